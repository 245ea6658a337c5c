"""Mask values into class ids: greys, ranges, colours and layers, against a look at every single pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_hogseg.data.layout_table import Crop, LayoutTable
from napari_hogseg.data.mask_coding import TreeCoding, cropped, make_coding, plain_name
from napari_hogseg.io.errors import InputError
from tests.miniature_trees import save

if TYPE_CHECKING:
    from pathlib import Path

BLACK, RED, PALE = (0, 0, 0), (200, 0, 0), (200, 0, 1)


def table(layers: tuple[dict, ...] = (), **tree: object) -> LayoutTable:
    return LayoutTable.model_validate(
        {
            "name": "toy",
            "title": "Toy",
            "classes": [{"name": name, "color": BLACK} for name in ("background", "tool", "probe")],
            "trees": [{"frames": r"(?P<name>\d+)\.png", "masks": ["*/{name}.png"], "layers": layers, **tree}],
        }
    )


@given(arrays.arrays(np.uint8, (3, 5), elements=st.sampled_from([0, 7, 30, 31, 32, 40])))
def test_greys_and_ranges(raw: np.ndarray) -> None:
    coding = make_coding(table(), {"background": (0,), "tool": (7, "30-32")}, [40])
    meaning = {0: 0, 7: 1, 30: 1, 31: 1, 32: 1, 40: 255}
    expected = np.array([meaning[int(value)] for value in raw.ravel()], np.uint8).reshape(raw.shape)
    np.testing.assert_array_equal(coding.decode(raw, "m.png"), expected)


@given(arrays.arrays(np.intp, (4, 6), elements=st.integers(0, 2)))
def test_colours_a_step_apart(pattern: np.ndarray) -> None:
    colors = np.array([BLACK, RED, PALE], np.uint8)
    coding = make_coding(table(), {"background": (BLACK,), "probe": (RED,)}, [PALE])
    expected = np.array([0, 2, 255], np.uint8)[pattern]
    np.testing.assert_array_equal(coding.decode(colors[pattern], "m.png"), expected)


def test_unknown_colours_are_named_as_colours() -> None:
    coding = make_coding(table(), {"background": (BLACK,), "tool": (RED,)})
    picture = np.zeros((2, 2, 3), np.uint8)
    picture[0, 0], picture[1, 1] = (255, 255, 255), PALE
    with pytest.raises(InputError, match=r"\[\(200, 0, 1\), \(255, 255, 255\)\].*m\.png"):
        coding.decode(picture, "m.png")


def test_values_beyond_a_byte() -> None:
    coding = make_coding(table(), {"background": (0,), "tool": (300,)})
    raw = np.array([[0, 300]], np.uint16)
    np.testing.assert_array_equal(coding.decode(raw, "m.png"), [[0, 1]])
    with pytest.raises(InputError, match="301"):
        coding.decode(raw + 1, "m.png")


def test_layers_cover_each_other_in_the_tables_order(tmp_path: Path) -> None:
    layers = (
        {"contains": "Probe", "values": {"probe": ["1-255"]}},
        {"contains": "", "values": {"tool": [10, 20]}},
    )
    paths = []
    for name, rows in {
        "left_probe": [[9, 9, 0]],
        "A tool": [[0, 10, 0]],
        "drop-in PROBE": [[0, 0, 1]],
    }.items():
        paths.append(tmp_path / name / "1.png")
        save(paths[-1], np.array(rows, np.uint8))
    toy = table(layers)
    coding = TreeCoding.of(toy, toy.trees[0])
    np.testing.assert_array_equal(coding.paint(paths), [[2, 1, 2]])
    np.testing.assert_array_equal(coding.paint(paths[::-1]), [[2, 1, 2]])


def test_layers_of_two_sizes(tmp_path: Path) -> None:
    toy = table(({"contains": "", "values": {"tool": [1]}},))
    for name, shape in (("a", (2, 3)), ("b", (3, 3))):
        save(tmp_path / name / "1.png", np.zeros(shape, np.uint8))
    with pytest.raises(InputError, match="3x3, but another of this frame is 3x2"):
        TreeCoding.of(toy, toy.trees[0]).paint([tmp_path / "a/1.png", tmp_path / "b/1.png"])


def test_an_unknown_value_in_a_layer_is_named(tmp_path: Path) -> None:
    toy = table(({"contains": "", "values": {"tool": [1]}},))
    save(tmp_path / "a" / "1.png", np.full((2, 2), 3, np.uint8))
    with pytest.raises(InputError, match=r"\[3\] have no meaning"):
        TreeCoding.of(toy, toy.trees[0]).paint([tmp_path / "a" / "1.png"])


@pytest.mark.parametrize("name", ["Left_Bipolar_Forceps", "left bipolar-forceps", "LEFTBIPOLARFORCEPS"])
def test_spellings_of_a_folder(name: str) -> None:
    assert plain_name(name) == "leftbipolarforceps"


def test_crop_takes_pictures_of_its_size_alone() -> None:
    crop = Crop(size=(8, 6), x=2, y=1, width=4, height=3)
    picture = np.arange(48, dtype=np.uint8).reshape(6, 8)
    np.testing.assert_array_equal(cropped(picture, crop), picture[1:4, 2:6])
    assert cropped(np.dstack([picture] * 3), crop).shape == (3, 4, 3)
    assert cropped(picture[:5], crop).shape == (5, 8)
    assert cropped(picture, None) is picture
