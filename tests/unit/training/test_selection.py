"""Frame selections in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.io.errors import InputError
from tests.unit.data.trees import write_tree
from training.selection import select_frames

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", ["a/frame_0", "a/frame_1", "a/frame_2", "b/frame_0", "b/frame_1"]),
        ("a:2,0", ["a/frame_0", "a/frame_2"]),
        ("a:1-2", ["a/frame_1", "a/frame_2"]),
        ("b", ["b/frame_0", "b/frame_1"]),
        ("b:0; a:0,0", ["a/frame_0", "b/frame_0"]),
    ],
)
def test_selections(tmp_path: Path, text: str, expected: list[str]) -> None:
    dataset = open_dataset(write_tree(tmp_path, {"a": 3, "b": 2}))
    assert [sample.sample_id for sample in select_frames(dataset, text)] == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("c", "No such group"),
        ("a:3", "outside 0 to 2"),
        ("a:x", "no frame number"),
        (";", "No frame is chosen"),
        ("a:-1", "no frame number"),
    ],
)
def test_bad_selections(tmp_path: Path, text: str, said: str) -> None:
    dataset = open_dataset(write_tree(tmp_path, {"a": 3}))
    with pytest.raises(InputError, match=said):
        select_frames(dataset, text)


def test_a_list_of_ids(tmp_path: Path) -> None:
    dataset = open_dataset(
        write_tree(tmp_path / "data", {"a": 3}) if (tmp_path / "data").mkdir() is None else tmp_path
    )
    listed = tmp_path / "frames.txt"
    listed.write_text("a/frame_2\n\na/frame_0\n", "utf-8")
    assert [s.sample_id for s in select_frames(dataset, str(listed))] == ["a/frame_0", "a/frame_2"]
    listed.write_text("a/frame_9\n", "utf-8")
    with pytest.raises(InputError, match="a/frame_9"):
        select_frames(dataset, str(listed))
