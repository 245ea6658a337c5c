"""Label schemes and their TOML file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydantic import ValidationError

from napari_hogseg.data.scheme import LabelScheme
from napari_hogseg.io.errors import InputError
from tests.unit.data.trees import SCHEME

if TYPE_CHECKING:
    from pathlib import Path


def test_toml_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "dataset.toml"
    path.write_text(SCHEME.to_toml(), "utf-8")
    assert LabelScheme.read(path) == SCHEME


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "Not a class table"),
        ('name = "x"', "classes"),
        ('name = "x"\n[[classes]]\nid = 1\nname = "a"\ncolor = [0, 0, 0]', "not 0, 1, 2"),
        ('name = "x"\n[[classes]]\nid = 0\nname = "a"\ncolor = [0, 0, 300]', "Not a class table"),
    ],
)
def test_bad_toml_names_the_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "dataset.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=said) as caught:
        LabelScheme.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "change", [{"colors": ((0, 0, 0),)}, {"classes": ("a", "a", "b")}, {"ignore": 7}, {"surprise": 1}]
)
def test_inconsistent_schemes_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LabelScheme(**{**SCHEME.model_dump(), **change})


def test_check_mask_names_values_outside() -> None:
    mask = np.array([[0, 1], [2, 255]], np.uint8)
    assert SCHEME.check_mask(mask, "m.png").dtype == np.uint8
    mask[0, 0] = 9
    with pytest.raises(InputError, match=r"\[9\].*m\.png"):
        SCHEME.check_mask(mask, "m.png")


def test_check_mask_finds_values_beyond_a_byte() -> None:
    with pytest.raises(InputError, match="300"):
        SCHEME.check_mask(np.array([[300, 0]], np.uint16), "m.png")


def test_color_table() -> None:
    table = SCHEME.color_table()
    assert table.shape == (256, 3)
    assert tuple(table[1]) == SCHEME.colors[1]
    assert not table[255].any()
