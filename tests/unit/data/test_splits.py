"""Splits: leakage is refused in each of its forms."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.data.splits import LeakageError, split_samples
from napari_hogseg.io.errors import InputError
from tests.unit.data.trees import write_tree

if TYPE_CHECKING:
    from pathlib import Path


def test_groups_stay_whole(tmp_path: Path) -> None:
    dataset = open_dataset(write_tree(tmp_path, {"a": 3, "b": 2, "c": 1}))
    split = split_samples(dataset, val=["b"], test=["c"])
    assert [len(split.part(name)) for name in ("train", "val", "test")] == [3, 2, 1]
    assert {sample.group for sample in split.train} == {"a"}


def test_one_group_in_two_parts(tmp_path: Path) -> None:
    dataset = open_dataset(write_tree(tmp_path, {"a": 1, "b": 1}))
    with pytest.raises(LeakageError, match="a stand in both train and val"):
        split_samples(dataset, train=["a"], val=["a", "b"])


def test_one_recording_in_two_parts(shared_data: Path) -> None:
    dataset = open_dataset(shared_data / "vocalfolds")
    with pytest.raises(LeakageError, match="one recording"):
        split_samples(dataset, train=["patient2_seq6"], val=["patient2_seq7"])


def test_the_same_picture_under_another_name(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {"a": 2, "b": 1})
    shutil.copy(root / "images/a/frame_1.png", root / "images/b/frame_0.png")
    with pytest.raises(LeakageError, match="same picture") as caught:
        split_samples(open_dataset(root), train=["a"], val=["b"])
    assert "frame_1.png" in str(caught.value)


def test_unknown_group_lists_the_known(tmp_path: Path) -> None:
    dataset = open_dataset(write_tree(tmp_path, {"a": 1, "b": 1}))
    with pytest.raises(InputError, match=r"No such group: z.*Groups here: a, b"):
        split_samples(dataset, val=["z"])


def test_nothing_left_to_train_on(tmp_path: Path) -> None:
    dataset = open_dataset(write_tree(tmp_path, {"a": 1}))
    with pytest.raises(InputError, match="No training frame"):
        split_samples(dataset, val=["a"])


def test_unknown_part(tmp_path: Path) -> None:
    split = split_samples(open_dataset(write_tree(tmp_path, {"a": 1})))
    with pytest.raises(InputError, match="No such part"):
        split.part("holdout")
