"""Files that are damaged, foreign or malicious: an InputError that names them, and never anything else."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest

from napari_hogseg.data.exchange import FORMATS, AnnotatedFrame, ExchangeClip, export_frames, find_format
from napari_hogseg.data.exchange.run_lengths import fill_runs, unpack_counts
from napari_hogseg.data.scheme import IGNORE, LabelScheme
from napari_hogseg.io.errors import InputError

SCHEME = LabelScheme(name="two", classes=("eye", "tool"), colors=((0, 0, 0), (200, 9, 9)))
CLIP = ExchangeClip("clip", ("frame_000000", "frame_000001"), 6, 8, SCHEME)
MASK = np.array([[0, 0, 1, 1, 1, 255, 255, 0]] * 6, np.uint8)


@pytest.fixture
def exported(tmp_path):
    def export(name, clip=CLIP):
        folder = tmp_path / name
        mask = MASK[: clip.height, : clip.width]
        export_frames([AnnotatedFrame(1, mask)], folder, find_format(name), clip)
        return folder

    return export


def read(name, path, clip=CLIP):
    return list(find_format(name).read(path, clip, IGNORE))


def data_file(folder):
    """The file that holds the mask."""
    (file,) = (
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("dataset.toml", "labels.json", "frames.csv", "data.yaml")
    )
    return file


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_an_input_error_or_read(exported, name):
    """Cut anywhere, or bytes changed anywhere: read, or refused by name; never another exception."""
    file = data_file(exported(name))
    whole = file.read_bytes()
    random = np.random.default_rng(0)
    refused = []
    for _ in range(60):
        data = bytearray(whole)
        if random.random() < 0.5:
            del data[int(random.integers(len(data))) :]
        else:
            for place in random.integers(0, len(data), 3):
                data[place] = int(random.integers(256))
        file.write_bytes(bytes(data))
        try:
            read(name, file.parent if name in ("yolo", "index-png", "colour-png", "endovis") else file)
        except InputError as error:
            refused.append(error.where)
    assert len(refused) > 5
    assert None not in refused


@pytest.mark.parametrize("name", FORMATS)
def test_other_sizes_frames_and_classes_are_refused(exported, name):
    folder = exported(name)
    if name != "yolo":  # shares of the frame have no size
        other = ExchangeClip("clip", CLIP.frame_names, 7, 8, SCHEME)
        with pytest.raises(InputError, match="8x6 but the frames are 8x7"):
            read(name, folder, other)
    with pytest.raises(InputError, match="no frame"):
        read(name, folder, ExchangeClip("clip", ("another",), 6, 8, SCHEME))
    classes = LabelScheme(name="x", classes=("eye", "needle"), colors=SCHEME.colors)
    with pytest.raises(InputError, match="no class 'tool'"):
        read(name, folder, ExchangeClip("clip", CLIP.frame_names, 6, 8, classes))


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_folder_is_named(tmp_path, name):
    with pytest.raises(InputError, match=re.escape(str(tmp_path))):
        read(name, tmp_path)


def test_entities_are_not_unfolded(tmp_path):
    bomb = "".join(f'<!ENTITY e{i + 1} "{f"&e{i};" * 10}">' for i in range(9))
    text = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e0 "e">{bomb}]><annotations>&e9;</annotations>'
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.raises(InputError, match="declares entities"):
        read("cvat", tmp_path)


def test_what_covers_no_pixels_is_refused(tmp_path):
    box = '<track id="0" label="tool"><box frame="0" xtl="1" ytl="1" xbr="2" ybr="2"/></track>'
    (tmp_path / "annotations.xml").write_text(f"<annotations>{box}</annotations>")
    with pytest.raises(InputError, match="'box' covers no pixels"):
        read("cvat", tmp_path)
    (tmp_path / "frame_000000.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    with pytest.raises(InputError, match="three points or more"):
        read("yolo", tmp_path)


@pytest.mark.parametrize(
    "counts", [[49], [-1, 49], [10**18, 38], [1, 2], "~", "0\n", "04", [0.5, 47.5], [[48]]]
)
def test_run_lengths_that_do_not_fit_are_refused(tmp_path, exported, counts):
    folder = exported("coco")
    file = data_file(folder)
    table = json.loads(file.read_text())
    table["annotations"][0]["segmentation"]["counts"] = counts
    file.write_text(json.dumps(table))
    with pytest.raises(InputError, match="Not a "):
        read("coco", folder)


@pytest.mark.parametrize(
    "ring", [[], [1, 1, 5, 5], [1, 2, 3], [1, 1, 5, 1, float("nan"), 4], [0, 0, 1e300, 0, 5, 5]]
)
def test_outlines_that_are_none_are_refused(tmp_path, exported, ring):
    folder = exported("coco")
    file = data_file(folder)
    table = json.loads(file.read_text())
    table["annotations"][0]["segmentation"] = [ring]
    file.write_text(json.dumps(table))
    with pytest.raises(InputError, match="Not a mask"):
        read("coco", folder)
    points = ";".join(f"{x},{y}" for x, y in zip(ring[::2], ring[1::2], strict=False))
    shape = f'<track id="0" label="tool"><polygon frame="0" points="{points}"/></track>'
    (tmp_path / "a.xml").write_text(f"<annotations>{shape}</annotations>")
    with pytest.raises(InputError, match="Not a polygon"):
        read("cvat", tmp_path / "a.xml")


def test_run_lengths_say_what_is_wrong():
    with pytest.raises(ValueError, match="do not add up to 4"):
        fill_runs([2, 3], 4)
    with pytest.raises(ValueError, match="end in the middle"):
        unpack_counts("o")
    with pytest.raises(ValueError, match="no place"):
        unpack_counts("\x7f" * 3)


def test_two_classes_of_one_colour_need_ids(tmp_path):
    same = LabelScheme(name="same", classes=("a", "b"), colors=((1, 1, 1), (1, 1, 1)))
    clip = ExchangeClip("clip", CLIP.frame_names, 6, 8, same)
    for name in ("colour-png", "endovis"):
        with pytest.raises(InputError, match="one colour"):
            export_frames([AnnotatedFrame(0, MASK)], tmp_path / "out", find_format(name), clip)
    assert not list(tmp_path.iterdir())


def test_without_nibabel_the_extra_is_named(exported, monkeypatch):
    folder = exported("nifti")
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(InputError, match=r"napari-hogseg\[exchange\]"):
        read("nifti", folder)


@pytest.mark.parametrize(
    "names",
    ["names: [tool, 'eye']\n", 'names:\n  0: tool\n  1: "eye"\n', "names:\n  1: 'eye'\n  0: tool\nnc: 2\n"],
)
def test_names_of_a_data_yaml(exported, names):
    folder = exported("yolo")
    (folder / "data.yaml").write_text(f"path: .\n{names}")
    (frame,) = read("yolo", folder)
    swapped = np.where(MASK == IGNORE, IGNORE, 1 - MASK.astype(int))
    np.testing.assert_array_equal(frame.mask, swapped)


def test_formats_are_named():
    assert list(FORMATS) == ["index-png", "colour-png", "coco", "cvat", "yolo", "nifti", "endovis"]
    with pytest.raises(InputError, match="index-png, colour-png"):
        find_format("pascal")
