"""Clips of every public data set's tree: frames, truth and names as a review gets them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.clips import (
    dataset_clips,
    describe_dataset,
    open_clip,
    open_dataset_clip,
    part_of_group,
)
from tests.miniature_trees import LAYOUT_NAMES, expected_mask, write_tree


@pytest.mark.parametrize("name", LAYOUT_NAMES)
def test_every_clip_of_a_public_set_opens_with_its_truth(tmp_path, name) -> None:
    write_tree(name, tmp_path)
    dataset = open_dataset(tmp_path, name)
    clips = dataset_clips(dataset)
    assert {clip.group for clip in clips} == set(dataset.groups)
    assert len({clip.name for clip in clips}) == len(clips)
    assert sum(len(clip.samples) for clip in clips) == len(dataset.samples)
    clip = open_dataset_clip(dataset, clips[-1])
    try:
        masked = [index for index in range(clip.source.num_frames) if clip.truth(index) is not None]
        assert len(masked) == clip.num_masks == clips[-1].num_masks > 0
        truth = clip.truth(masked[0])
        height, width = clip.source.height, clip.source.width
        np.testing.assert_array_equal(truth, expected_mask(name, height, width))
        assert clip.source.frame(masked[0]).shape == (height, width, 3)
        assert len(set(clip.source.frame_names)) == clip.source.num_frames == len(clip.source.pts_s)
        assert clip.scheme == dataset.scheme
        assert clip.named
    finally:
        clip.source.close()


def test_a_video_with_few_masks_is_shown_whole(tmp_path) -> None:
    write_tree("sar-rarp50", tmp_path)
    clip = open_clip(tmp_path)
    assert clip.source.num_frames == 61
    assert [index for index in range(61) if clip.truth(index) is not None] == [0, 60]
    clip.source.close()


def test_a_root_gives_its_first_clip_and_the_folder_of_another_that_one(tmp_path) -> None:
    write_tree("fetreg2021", tmp_path)
    first = open_clip(tmp_path)
    assert first.part is not None
    assert first.part == dataset_clips(first.dataset)[0]
    other = dataset_clips(first.dataset)[3]
    assert open_clip(other.path, dataset=first.dataset).part == other


def test_tasks_on_one_tree_open_as_the_likeliest_or_as_named(tmp_path) -> None:
    write_tree("cadis-task2", tmp_path)
    assert open_clip(tmp_path).scheme.name.startswith("cadis-task")
    assert open_clip(tmp_path, layout="cadis-task3").scheme.num_classes == 25
    with pytest.raises(InputError, match="No frame lies here"):
        open_clip(tmp_path, layout="endovis2018")


def test_what_was_recognised_in_words(tmp_path) -> None:
    write_tree("cadis-task1", tmp_path)
    dataset = open_dataset(tmp_path, "cadis-task1")
    text = describe_dataset(dataset)
    for words in ("CaDIS", "8 classes", "25 videos", "25 masks", "Scored by dataset-miou"):
        assert words in text
    parts = [part_of_group(dataset, group) for group in dataset.groups]
    assert {part: parts.count(part) for part in ("train", "val", "test")} == {
        "train": 19,
        "val": 3,
        "test": 3,
    }


def test_a_set_split_by_lists_says_nothing_of_groups(tmp_path) -> None:
    write_tree("kvasir-instrument", tmp_path)
    dataset = open_dataset(tmp_path, "kvasir-instrument")
    assert {part_of_group(dataset, group) for group in dataset.groups} == {""}


def test_a_frame_of_another_size_is_named_when_it_is_shown(tmp_path) -> None:
    write_tree("vocalfolds", tmp_path)
    dataset = open_dataset(tmp_path, "vocalfolds")
    part = next(clip for clip in dataset_clips(dataset) if len(clip.samples) > 1)
    odd = part.samples[1].image_path
    with Image.open(odd) as picture:
        size = (picture.width + 8, picture.height)
    Image.new("RGB", size).save(odd)
    clip = open_dataset_clip(dataset, part)
    clip.source.frame(0)
    with pytest.raises(InputError, match=rf"This picture is {size[0]}x") as caught:
        clip.source.frame(1)
    assert odd.name in str(caught.value)
    with pytest.raises(IndexError):
        clip.source.frame(len(part.samples))
