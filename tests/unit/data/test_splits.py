"""Splits: leakage is refused in each of its forms."""

from __future__ import annotations

import shutil
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.data.splits import LeakageError, split_samples, thin_samples
from napari_hogseg.io.errors import InputError
from tests.unit.data.trees import write_tree

if TYPE_CHECKING:
    from pathlib import Path

LISTED = """
name = "listed"
title = "A set divided by lists of frames"
classes = [
    { name = "background", color = [0, 0, 0] },
    { name = "tool", color = [255, 200, 0] },
    { name = "tissue", color = [200, 0, 60] },
]
ignore_values = [255]

[[trees]]
frames = 'images/(?P<group>[a-z])/(?P<name>\\w+)\\.png'
masks = ["masks/{group}/{name}.png"]

[splits.official.lists]
train = "train.txt"
test = "test.txt"
"""


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


def test_a_split_that_is_not_published(tmp_path: Path) -> None:
    dataset = open_dataset(write_tree(tmp_path, {"a": 1}))
    with pytest.raises(InputError, match=r"has no split 'official'.*It has none"):
        split_samples(dataset, split="official")


def test_a_list_may_not_name_frames_by_what_several_share(tmp_path: Path) -> None:
    """frame_0 of which group? Such a line is an error, not the last group's frame."""
    root = write_tree(tmp_path, {"a": 2, "b": 2})
    (root / "dataset.toml").unlink()
    (root / "layout.toml").write_text(LISTED, "utf-8")
    (root / "train.txt").write_text("a/frame_0\nb/frame_0.png\n", "utf-8")
    (root / "test.txt").write_text("a/frame_1\n", "utf-8")
    split = split_samples(open_dataset(root), split="official")
    assert [sample.sample_id for sample in split.train] == ["a/frame_0", "b/frame_0"]
    (root / "test.txt").write_text("frame_1\n", "utf-8")
    with pytest.raises(InputError, match="1 frames of the list are not here, such as frame_1"):
        split_samples(open_dataset(root), split="official")


def test_the_same_picture_on_both_sides_of_a_list(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {"a": 2})
    (root / "dataset.toml").unlink()
    shutil.copy(root / "images/a/frame_0.png", root / "images/a/frame_1.png")
    (root / "layout.toml").write_text(LISTED, "utf-8")
    (root / "train.txt").write_text("frame_0", "utf-8")
    (root / "test.txt").write_text("frame_1", "utf-8")
    with pytest.raises(LeakageError, match="same picture"):
        split_samples(open_dataset(root), split="official")


def test_unknown_part(tmp_path: Path) -> None:
    split = split_samples(open_dataset(write_tree(tmp_path, {"a": 1})))
    with pytest.raises(InputError, match="No such part"):
        split.part("holdout")


def test_a_share_is_spread_evenly_and_part_of_a_larger_one(tmp_path: Path) -> None:
    samples = open_dataset(write_tree(tmp_path, {"a": 12, "b": 5})).samples
    kept = {share: thin_samples(samples, share) for share in (0.01, 0.25, 0.5, 1.0)}
    shares = list(kept)
    assert all(set(kept[one]) < set(kept[two]) for one, two in pairwise(shares))
    assert kept[1.0] == tuple(samples)
    assert [sample.group for sample in kept[0.01]] == ["a", "b"], "no group is lost"
    places = [number for number, sample in enumerate(samples) if sample in kept[0.5] and sample.group == "a"]
    assert len(places) == 6
    assert max(two - one for one, two in pairwise(places)) <= 3
