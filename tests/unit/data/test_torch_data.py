"""Training items and their order."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pytest
import skimage.feature
import torch
from PIL import Image
from torch.utils.data import DataLoader

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.data.torch_data import CACHE_BYTES, FrameDataset, Source, StepSampler, Stream
from napari_hogseg.features.hog import HogParams
from napari_hogseg.features.pseudo_labels import HogLabel
from napari_hogseg.runs.config import AugmentConfig
from tests.unit.data.trees import write_tree

if TYPE_CHECKING:
    from pathlib import Path

HOG = HogLabel(HogParams.preset("official-504"))


@pytest.fixture
def frames(tmp_path: Path) -> FrameDataset:
    dataset = open_dataset(write_tree(tmp_path, {"a": 5}))
    params = AugmentConfig(crop_px=48, rotation=0.5, brightness=0.2)
    return FrameDataset([Source(dataset, dataset.samples)], params, HOG, short_px=48, seed=3)


def test_item_shapes(frames: FrameDataset) -> None:
    item = frames[0, 1]
    assert item["image"].shape == (3, 48, 48)
    assert item["image"].dtype == torch.uint8
    assert item["mask"].shape == (48, 48)
    assert item["mask"].dtype == torch.int64
    assert item["hog"].shape == (504,)
    assert item["index"] == 1


def test_hog_target_is_of_the_augmented_crop_and_not_all_zeros(frames: FrameDataset) -> None:
    """The released code cast its target to integers, which made it all zeros."""
    item = frames[2, 3]
    crop = item["image"].permute(1, 2, 0).numpy()
    resized = np.array(Image.fromarray(crop).resize((64, 128), Image.Resampling.BICUBIC))
    expected = skimage.feature.hog(
        resized, orientations=6, pixels_per_cell=(16, 16), cells_per_block=(2, 2), channel_axis=-1
    )
    np.testing.assert_allclose(item["hog"].numpy(), expected, atol=1e-6)
    assert item["hog"].dtype == torch.float32
    assert float(item["hog"].var()) > 1e-3


def test_no_hog_is_computed_when_none_is_asked_for(tmp_path: Path) -> None:
    dataset = open_dataset(write_tree(tmp_path, {"a": 1}))
    frames = FrameDataset(
        [Source(dataset, dataset.samples)], AugmentConfig(crop_px=48), None, short_px=48, seed=0
    )
    assert frames[0, 0]["hog"].numel() == 0


def test_the_cache_stays_in_its_bound_and_changes_no_batch(tmp_path: Path) -> None:
    dataset = open_dataset(write_tree(tmp_path, {"a": 5}))
    params = AugmentConfig(crop_px=48, rotation=0.5, brightness=0.2)
    frame_bytes = 48 * 64 * (3 + 1)  # RGB and its mask

    def batches(cache_bytes: int) -> tuple[list[torch.Tensor], int, int]:
        frames = FrameDataset(
            [Source(dataset, dataset.samples)], params, HOG, short_px=48, seed=3, cache_bytes=cache_bytes
        )
        sampler = StepSampler([Stream(0, 5, 2)], seed=3, first_step=0, num_steps=10)
        items = [batch[name] for batch in DataLoader(frames, batch_sampler=sampler) for name in batch]
        return items, sum(a.nbytes for pair in frames._cache.values() for a in pair), len(frames._cache)

    plain, num_bytes, num_frames = batches(0)
    assert (num_bytes, num_frames) == (0, 0)
    for bound, kept in (
        (frame_bytes - 1, 0),
        (2 * frame_bytes, 2),
        (3 * frame_bytes + 1, 3),
        (CACHE_BYTES, 5),
    ):
        items, num_bytes, num_frames = batches(bound)
        assert (num_bytes, num_frames) == (kept * frame_bytes, kept)
        assert num_bytes <= bound
        assert all(torch.equal(a, b) for a, b in zip(items, plain, strict=True))


def test_every_epoch_is_a_permutation_of_its_own() -> None:
    keys = list(islice(Stream(10, 7, 1).keys(5, 0), 21))
    epochs = [[index for epoch, index in keys if epoch == number] for number in range(3)]
    assert all(sorted(epoch) == list(range(10, 17)) for epoch in epochs)
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("start", [0, 3, 7, 12])
def test_a_walk_can_be_joined_anywhere(start: int) -> None:
    whole = list(islice(Stream(0, 7, 1).keys(5, 0), 30))
    assert list(islice(Stream(0, 7, 1).keys(5, start), 30 - start)) == whole[start:]


REPEATS = (1.0, 2.5, 1.3, 4.0, 1.0)


def test_repeats_are_met_as_often_as_they_say_each_time_by_a_key_of_its_own() -> None:
    stream = Stream(10, 5, 1, REPEATS)
    keys = list(islice(stream.keys(5, 0), 20_000))
    epochs = [epoch % (1 << 24) for epoch, _ in keys]
    assert epochs == sorted(epochs)
    whole = [key for key, epoch in zip(keys, epochs, strict=True) if epoch < epochs[-1]]
    assert len(set(keys)) == len(keys)  # no crop twice
    counts = Counter(index - 10 for _, index in whole)
    for place, factor in enumerate(REPEATS):
        assert counts[place] / epochs[-1] == pytest.approx(factor, abs=0.05)
    for number in range(30):  # rounded, never dropped: every frame in every epoch
        met = Counter(index - 10 for (_, index), epoch in zip(keys, epochs, strict=True) if epoch == number)
        assert all(int(factor) <= met[place] <= -(-factor // 1) for place, factor in enumerate(REPEATS))


def test_a_repeated_frame_is_another_crop(frames: FrameDataset) -> None:
    keys = list(islice(Stream(0, 5, 1, (3.0,) * 5).keys(3, 0), 15))
    crops = [frames[key]["image"] for key in keys if key[1] == 2]
    assert len(crops) == 3
    assert not any(torch.equal(crops[i], crops[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_repeats_of_one_are_the_plain_epochs() -> None:
    keys = list(islice(Stream(0, 7, 1, (1.0,) * 7).keys(5, 0), 21))
    assert all(sorted(index for _, index in keys[7 * e : 7 * e + 7]) == list(range(7)) for e in range(3))
    assert [epoch for epoch, _ in keys] == [0] * 7 + [1] * 7 + [2] * 7


@pytest.mark.parametrize("start", [0, 3, 9, 10, 57, 4000])
def test_a_walk_with_repeats_can_be_joined_anywhere(start: int) -> None:
    stream = Stream(0, 5, 1, REPEATS)
    whole = list(islice(stream.keys(5, 0), start + 40))
    assert list(islice(stream.keys(5, start), 40)) == whole[start:]


def test_streams_share_each_batch() -> None:
    sampler = StepSampler([Stream(0, 3, 2), Stream(3, 50, 6)], seed=0, first_step=0, num_steps=10)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 10
    for batch in batches:
        assert Counter(index < 3 for _, index in batch) == {True: 2, False: 6}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_workers_and_resume_do_not_change_a_batch(frames: FrameDataset, num_workers: int) -> None:
    def batches(first_step: int, workers: int) -> list[dict[str, torch.Tensor]]:
        sampler = StepSampler([Stream(0, 5, 2)], seed=3, first_step=first_step, num_steps=6)
        return list(DataLoader(frames, batch_sampler=sampler, num_workers=workers))

    reference = batches(0, 0)
    resumed = batches(4, num_workers)
    assert len(resumed) == 2
    for ours, theirs in zip(resumed, reference[4:], strict=True):
        for name in ("image", "mask", "hog", "index"):
            assert torch.equal(ours[name], theirs[name])
