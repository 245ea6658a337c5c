"""Layouts: what is recognised, what raw values mean, and how bad trees are refused."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_hogseg.data.layouts import VOCALFOLDS, open_dataset
from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError
from tests.unit.data.trees import SCHEME, toy_pair, write_tree

if TYPE_CHECKING:
    from pathlib import Path


def test_plain_folders(tmp_path: Path) -> None:
    dataset = open_dataset(write_tree(tmp_path, {"b": 2, "a": 11}))
    assert dataset.layout.name == "folders"
    assert dataset.scheme == SCHEME
    assert dataset.groups == ("a", "b")
    # natural order: frame_2 before frame_10
    assert [s.sample_id for s in dataset.samples[:3]] == ["a/frame_0", "a/frame_1", "a/frame_2"]
    frame, mask = dataset.read_pair(dataset.samples[0])
    expected_frame, expected_mask = toy_pair(100)
    np.testing.assert_array_equal(frame, expected_frame)
    np.testing.assert_array_equal(mask, expected_mask)


def test_flat_folder_with_a_group_pattern(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {"all": 2})
    for kind in ("images", "masks"):
        for number, path in enumerate(sorted((root / kind / "all").iterdir())):
            path.rename(root / kind / f"video{number}_{path.name}")
        (root / kind / "all").rmdir()
    with (root / "dataset.toml").open("r+", encoding="utf-8") as file:
        text = file.read()
        file.seek(0)
        file.write("group_pattern = '(video\\d+)_'\n" + text)
    assert open_dataset(root).groups == ("video0", "video1")


def test_vocalfolds_is_recognised_and_mapped(shared_data: Path) -> None:
    dataset = open_dataset(shared_data / "vocalfolds")
    assert dataset.layout is VOCALFOLDS
    counts = {group: sum(s.group == group for s in dataset.samples) for group in dataset.groups}
    assert counts == {"patient2_seq5": 26, "patient2_seq6": 44, "patient2_seq7": 122}
    sample = dataset.samples[0]
    raw = np.array(Image.open(sample.mask_path))
    mask = dataset.read_mask(sample)
    np.testing.assert_array_equal(mask == 255, raw == 0)
    for raw_value in range(1, 7):
        np.testing.assert_array_equal(mask == raw_value - 1, raw == raw_value)


def test_unknown_raw_value_is_an_error_never_ignored() -> None:
    with pytest.raises(InputError, match=r"\[7\].*seven\.png"):
        VOCALFOLDS.to_class_ids(np.full((2, 2), 7, np.uint8), "seven.png")
    with pytest.raises(InputError, match="900"):
        VOCALFOLDS.to_class_ids(np.full((2, 2), 900, np.uint16), "deep.png")


def test_mask_of_another_size(tmp_path: Path) -> None:
    dataset = open_dataset(write_tree(tmp_path, {"a": 1}))
    images.write_mask(dataset.samples[0].mask_path, np.zeros((10, 10), np.uint8))
    with pytest.raises(InputError, match="10x10 but its frame is 64x48") as caught:
        dataset.read_pair(dataset.samples[0])
    assert "frame_0.png" in str(caught.value)


def test_label_outside_the_scheme(tmp_path: Path) -> None:
    dataset = open_dataset(write_tree(tmp_path, {"a": 1}))
    images.write_mask(dataset.samples[0].mask_path, np.full((48, 64), 17, np.uint8))
    with pytest.raises(InputError, match=r"\[17\] are not classes of 'toy'"):
        dataset.read_pair(dataset.samples[0])


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda root: root / "nowhere", "No such folder"),
        (lambda root: root, "no images/ folder"),
        (lambda root: (root / "images").mkdir() or root, "No image lies below"),
    ],
)
def test_wrong_trees(tmp_path: Path, prepare: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_dataset(prepare(tmp_path))


def test_unrecognised_and_unknown_layouts(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {"a": 1})
    with pytest.raises(InputError, match="Unknown layout 'cadis9'"):
        open_dataset(root, "cadis9")
    (root / "dataset.toml").unlink()
    with pytest.raises(InputError, match="not recognised"):
        open_dataset(root)


def test_macos_leftovers_are_passed_over(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {"a": 2})
    (root / "images" / "a" / "._frame_0.png").write_bytes(b"resource fork")
    shutil.copytree(root / "images" / "a", root / "images" / ".Trashes" / "a")
    assert len(open_dataset(root).samples) == 2


def test_a_frame_without_a_mask_is_listed_but_says_so(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {"a": 2})
    (root / "masks" / "a" / "frame_1.png").unlink()
    dataset = open_dataset(root)
    assert [s.mask_path is None for s in dataset.samples] == [False, True]
    with pytest.raises(InputError, match="no mask"):
        dataset.read_mask(dataset.samples[1])
