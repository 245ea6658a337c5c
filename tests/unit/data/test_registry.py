"""Download tables: what they may say, and how a file is told to be the right one."""

from __future__ import annotations

import io
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from docs import make_download_table
from napari_hogseg.data.registry import (
    DHASH_MAX_FLIPS,
    RemoteFile,
    dhash_digest,
    difference_hash,
    parse_table,
    read_table,
    table_names,
)
from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError
from tests.unit.data.file_server import publish_set, smooth_picture

if TYPE_CHECKING:
    from pathlib import Path


def jpeg(picture: np.ndarray, quality: int = 90) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=0)
    return np.asarray(Image.open(buffer))


def test_every_packaged_table_is_whole() -> None:
    assert "vocalfolds" in table_names()
    for name in table_names():
        table = read_table(name)
        assert table.name == name
        assert table.base_url.startswith("https://")
        assert len({file.path for file in table.files}) == len(table.files)


def test_vocalfolds_names_a_mask_for_each_picture() -> None:
    files = read_table("vocalfolds").files
    images_of = {f.path.removeprefix("images/") for f in files if f.path.startswith("images/")}
    masks_of = {f.path.removeprefix("masks/"): f for f in files if f.path.startswith("masks/")}
    assert images_of == set(masks_of)
    assert len(images_of) == 192
    assert all(file.sha256 for file in masks_of.values())


def test_the_vocalfolds_table_is_the_one_its_script_makes(shared_data: Path) -> None:
    assert make_download_table.TARGET.read_text("utf-8") == make_download_table.table(
        shared_data / "vocalfolds"
    )


def test_a_table_made_from_a_clone_knows_every_file_by_its_bytes(tmp_path: Path) -> None:
    for kind, sequence in product(("img", "annot"), ("seq1", "seq4")):
        folder = tmp_path / kind / "patient1" / sequence
        folder.mkdir(parents=True)
        Image.fromarray(smooth_picture(1)).save(folder / "0001.png")
    files = parse_table(make_download_table.table(tmp_path), "made").files
    groups = ("patient1_seq1", "patient1_seq4")
    assert [file.path for file in files] == [f"{k}/{g}/0001.png" for k in ("images", "masks") for g in groups]
    assert all(file.sha256 for file in files)
    assert files[0].source == f"{make_download_table.FIRST_COMMIT}/img/patient1/seq1/0001.png"
    assert files[3].source == f"{make_download_table.SECOND_COMMIT}/annot/patient1/seq4/0001.png"


def test_a_picture_is_known_by_what_it_shows_after_jpeg_and_no_other_is(tmp_path: Path) -> None:
    picture = smooth_picture(3)
    file = RemoteFile("images/a.png", "a.png", dhash_digest(jpeg(picture)))
    path = tmp_path / "a.png"
    Image.fromarray(picture).save(path)
    assert file.accepts(path)
    Image.fromarray(smooth_picture(4)).save(path)
    assert not file.accepts(path)
    path.write_bytes(b"<html>not found</html>")
    assert not file.accepts(path)


def test_the_hash_of_a_real_frame_survives_jpeg_and_tells_its_neighbours(shared_data: Path) -> None:
    """The measured limits behind DHASH_MAX_FLIPS, on one sequence."""
    frames = [
        images.read_image(path)
        for path in images.list_images(shared_data / "vocalfolds" / "images" / "patient2_seq6")
    ]
    hashes = [difference_hash(frame) for frame in frames]
    flips = [(difference_hash(jpeg(f)) ^ h).bit_count() for f, h in zip(frames, hashes, strict=True)]
    assert max(flips) <= DHASH_MAX_FLIPS / 2
    nearest = min((a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i])
    assert nearest > 2 * DHASH_MAX_FLIPS


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('path = "images/a"', 'path = "../a"', "no path below"),
        ('path = "images/a"', 'path = "/etc"', "no path below"),
        ('source = "img"', 'source = "C:/img"', "no path below"),
        ("sha256:", "sha256:0", "neither sha256"),
        ("sha256:", "md5:", "neither sha256"),
        ('base_url = "http', 'base_url = "ftp', "base_url"),
        ('name = "pond"', 'nom = "pond"', "nom"),
        ('name = "pond"', "name = ", "Invalid value"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    text = publish_set(tmp_path).read_text("utf-8")
    assert old in text
    with pytest.raises(InputError, match=complaint):
        parse_table(text.replace(old, new, 1), "pond.toml")


def test_no_digest_may_be_left_out(tmp_path: Path) -> None:
    text = publish_set(tmp_path).read_text("utf-8")
    with pytest.raises(InputError, match="neither sha256"):
        parse_table(text.replace('"dhash:', '"" #', 1), "pond.toml")


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(InputError, match="vocalfolds"):
        read_table("cadis")
    with pytest.raises(InputError, match="No such file"):
        read_table("nowhere.toml")
