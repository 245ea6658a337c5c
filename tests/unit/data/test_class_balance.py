"""Class weights and repeat factors against the published definitions, worked out frame by frame."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_hogseg.data.class_balance import count_pixels, inverse_frequency, median_frequency, repeat_factors
from napari_hogseg.data.layouts import open_dataset
from tests.unit.data.trees import write_tree

if TYPE_CHECKING:
    from pathlib import Path

COUNTS = np.array([[90, 10, 0, 0], [60, 0, 40, 0], [100, 0, 0, 0], [70, 30, 0, 0]], np.int64)


def test_counts_are_the_masks(tmp_path: Path) -> None:
    dataset = open_dataset(write_tree(tmp_path, {"a": 2, "b": 1}))
    counts = count_pixels(dataset, dataset.samples)
    assert counts.shape == (3, 3)
    for row, sample in zip(counts, dataset.samples, strict=True):
        mask = dataset.read_mask(sample)
        assert row.tolist() == [int((mask == c).sum()) for c in range(3)]
        assert row.sum() == (mask != 255).sum() < mask.size


def test_inverse_frequency_lets_every_class_weigh_the_same() -> None:
    weights = inverse_frequency(COUNTS)
    totals = weights * COUNTS.sum(0)
    assert totals[:3] == pytest.approx([400 / 3] * 3)
    assert weights[3] == 1.0
    assert totals.sum() / COUNTS.sum() == pytest.approx(1.0)


def test_median_frequency_is_eigens() -> None:
    frequency = [320 / 400, 40 / 200, 40 / 100]  # pixels of the class / pixels of the frames that hold it
    expected = [median(frequency) / f for f in frequency] + [1.0]
    assert median_frequency(COUNTS) == pytest.approx(expected)


@pytest.mark.parametrize("threshold", [0.15, 0.5, 1.0])
def test_repeat_factors_are_the_published_ones(threshold: float) -> None:
    share = {0: 4 / 4, 1: 2 / 4, 2: 1 / 4}
    expected = [
        max(max(1.0, math.sqrt(threshold / share[c])) for c in held) for held in ([0, 1], [0, 2], [0], [0, 1])
    ]
    assert repeat_factors(COUNTS, threshold) == pytest.approx(expected)


def test_a_frame_without_a_class_is_met_once() -> None:
    assert repeat_factors(np.zeros((2, 3), np.int64), 0.5).tolist() == [1.0, 1.0]
