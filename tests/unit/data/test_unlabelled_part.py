"""Frames that train without their masks: which they are, and the same leakage refused as for train."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.data.splits import LeakageError, split_samples, thin_split
from napari_hogseg.data.torch_data import FrameDataset, Source, StepSampler, Stream
from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.config import AugmentConfig, DataConfig, parse_section
from tests.unit.data.test_splits import LISTED
from tests.unit.data.trees import write_tree

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from napari_hogseg.data.layouts import Sample


def ids(samples: Iterable[Sample]) -> set[str]:
    return {sample.sample_id for sample in samples}


def test_named_groups_are_kept_out_of_train(tmp_path: Path) -> None:
    dataset = open_dataset(write_tree(tmp_path, {"a": 2, "b": 3, "c": 1}))
    split = split_samples(dataset, val=["c"], unlabelled=["b"])
    assert ids(split.train) == {"a/frame_0", "a/frame_1"}
    assert ids(split.unlabelled) == {"b/frame_0", "b/frame_1", "b/frame_2"}
    assert split_samples(dataset, val=["c"]).unlabelled == ()


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_a_group_of_another_part_is_refused(tmp_path: Path, part: str) -> None:
    dataset = open_dataset(write_tree(tmp_path, {"a": 1, "b": 1}))
    groups = {"train": ["a"], part: ["a", "b"] if part == "train" else ["b"]}
    with pytest.raises(LeakageError, match=f"b stand in both {part} and unlabelled"):
        split_samples(dataset, **groups, unlabelled=["b"])
    with pytest.raises(InputError, match=r"\['b'\] stand in both"):
        parse_section(DataConfig, groups | {"unlabelled": ["b"]}, "recipe")


def test_a_recording_of_val_or_test_is_refused_and_one_of_train_is_not(shared_data: Path) -> None:
    dataset = open_dataset(shared_data / "vocalfolds")
    with pytest.raises(
        LeakageError, match=r"patient2_seq6 \(unlabelled\) and patient2_seq7 \(val\).* one rec"
    ):
        split_samples(dataset, ["patient2_seq5"], ["patient2_seq7"], unlabelled=["patient2_seq6"])
    split = split_samples(dataset, ["patient2_seq6"], ["patient2_seq5"], unlabelled=["patient2_seq7"])
    assert {sample.group for sample in split.unlabelled} == {"patient2_seq7"}


def test_a_copied_picture_is_refused_in_val_but_not_in_train(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {"a": 2, "b": 1, "c": 1})
    shutil.copy(root / "images/a/frame_1.png", root / "images/b/frame_0.png")
    dataset = open_dataset(root)
    with pytest.raises(LeakageError, match="same picture"):
        split_samples(dataset, ["c"], ["a"], unlabelled=["b"])
    # Annotated frames are often copies out of a video that is there as a whole.
    assert len(split_samples(dataset, ["a"], ["c"], unlabelled=["b"]).unlabelled) == 1


def test_the_rest_is_what_the_share_leaves_out_and_what_has_no_mask(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {"a": 4, "b": 2, "c": 1})
    (root / "masks/b/frame_1.png").unlink()
    split = split_samples(open_dataset(root), val=["c"])
    thinned = thin_split(split, 0.5, rest=True)
    assert len(thinned.train) == 3
    assert ids(thinned.train) | ids(thinned.unlabelled) == {f"a/frame_{i}" for i in range(4)} | {
        "b/frame_0",
        "b/frame_1",
    }
    assert not ids(thinned.train) & ids(thinned.unlabelled)
    assert thin_split(split, 0.5).unlabelled == ()
    assert thin_split(split, 0.5).train == thinned.train


def test_a_frame_without_a_mask_may_not_be_a_picture_of_val(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {"a": 2, "c": 1})
    (root / "masks/a/frame_1.png").unlink()
    shutil.copy(root / "images/c/frame_0.png", root / "images/a/frame_1.png")
    split = split_samples(open_dataset(root), val=["c"])  # nobody trains on it yet
    with pytest.raises(LeakageError, match="same picture"):
        thin_split(split, 1.0, rest=True)


def test_beside_a_published_list(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {"a": 2, "b": 1, "c": 2})
    (root / "dataset.toml").unlink()
    (root / "layout.toml").write_text(LISTED, "utf-8")
    (root / "train.txt").write_text("a/frame_0\na/frame_1\n", "utf-8")
    (root / "test.txt").write_text("b/frame_0\n", "utf-8")
    (root / "masks/a/frame_1.png").unlink()
    dataset = open_dataset(root)
    split = split_samples(dataset, split="official", unlabelled=["c"])
    assert ids(split.unlabelled) == {"c/frame_0", "c/frame_1"}
    # The list decides what the rest is: frames of no list stay out.
    assert ids(thin_split(split, 1.0, rest=True).unlabelled) - ids(split.unlabelled) == {"a/frame_1"}
    with pytest.raises(LeakageError, match="b stand in both test and unlabelled"):
        split_samples(dataset, split="official", unlabelled=["b"])


def test_groups_kept_for_the_test_are_refused(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {"a": 1, "b": 1})
    (root / "dataset.toml").unlink()
    table = LISTED.replace("\n[[trees]]", 'test_only = ["b"]\n\n[[trees]]')
    (root / "layout.toml").write_text(table, "utf-8")
    with pytest.raises(LeakageError, match="b may only be tested on"):
        split_samples(open_dataset(root), ["a"], unlabelled=["b"])


def test_masks_of_unlabelled_frames_are_never_read(tmp_path: Path) -> None:
    dataset = open_dataset(write_tree(tmp_path, {"a": 1, "b": 1}))
    for path in (dataset.root / "masks/b").iterdir():
        path.write_bytes(b"no picture")
    a, b = (dataset.in_groups([name]) for name in "ab")
    sources = [Source(dataset, a), Source(dataset, b, labelled=False)]
    params = AugmentConfig(crop_px=48)
    frames = FrameDataset(sources, params, None, short_px=48, seed=3)
    assert (frames.num_labelled, len(frames)) == (1, 2)
    assert (frames[0, 0]["mask"] != 255).any()
    for epoch in (0, 1):  # read, and from the cache
        item = frames[epoch, 1]
        assert (item["mask"] == 255).all()
        assert item["image"].float().std() > 1
    labelled = FrameDataset([Source(dataset, a)], params, None, short_px=48, seed=3)
    np.testing.assert_array_equal(frames[0, 0]["image"], labelled[0, 0]["image"])


def test_every_part_of_a_batch_has_its_share_of_each_stream() -> None:
    streams = [Stream(0, 5, 4), Stream(5, 20, 2)]
    whole, parted = (
        list(StepSampler(streams, seed=1, first_step=0, num_steps=6, num_parts=parts)) for parts in (1, 2)
    )
    for keys, other in zip(whole, parted, strict=True):
        assert sorted(keys) == sorted(other), "the same frames, in another order"
        assert [index < 5 for _, index in keys] == [True] * 4 + [False] * 2
        assert [index < 5 for _, index in other] == [True, True, False] * 2
