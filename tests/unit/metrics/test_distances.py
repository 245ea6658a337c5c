"""Nearest boundary points and the passes that find them, against all pairs and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from napari_hogseg.metrics.contours import contour_corners, edge_pixels, with_border
from napari_hogseg.metrics.distances import NOWHERE, squared_distances
from napari_hogseg.metrics.label_scans import values_held

SEEDS = st.integers(0, 2**32 - 1)
NO_PATIENCE, ENDLESS_PATIENCE = 0, 1 << 20


def points(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a random set of pixels: none, one, a few or most, somewhere or everywhere."""
    mask = rng.random(shape) < rng.choice([0.0, 0.01, 0.1, 0.9])
    if rng.random() < 0.5:
        top, left = (int(rng.integers(side)) for side in shape)
        mask[top:] = mask[:, left:] = False
    if rng.random() < 0.2:
        mask[tuple(int(rng.integers(side)) for side in shape)] = True
    return np.nonzero(mask)


def brute_squares(one, other) -> np.ndarray:
    one, other = np.transpose(one), np.transpose(other)
    if not (len(one) and len(other)):
        return np.full(len(one), NOWHERE)
    return cdist(one, other, "sqeuclidean").min(axis=1).round().astype(np.int64)


@settings(max_examples=600, deadline=None, derandomize=True)
@given(
    seed=SEEDS,
    shape=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    ceiling=st.sampled_from([0, 1, 2, 5, 26, 1000, NOWHERE]),
)
def test_searching_and_envelope_both_equal_all_pairs(seed, shape, ceiling):
    rng = np.random.default_rng(seed)
    one, other = points(rng, shape), points(rng, shape)
    want = np.minimum(brute_squares(one, other), ceiling)
    for patience in (NO_PATIENCE, 1, 8, ENDLESS_PATIENCE):
        got = squared_distances(one, other, ceiling, patience=patience)
        np.testing.assert_array_equal(got, want)


def test_the_farthest_corners_of_a_large_frame():
    far = np.array([30_000]), np.array([40_000])
    origin = np.array([0]), np.array([0])
    assert squared_distances(origin, far).tolist() == [50_000**2]
    assert squared_distances(far, origin, patience=NO_PATIENCE).tolist() == [50_000**2]


def test_a_crowd_far_from_its_only_partner_is_measured_in_bounded_time():
    # 200 000 points, 1000 columns from the nearest other: a search alone would look at 10^8 columns and more.
    crowd = np.nonzero(np.ones((200, 1000), bool))
    other = np.array([100, 100]), np.array([2000, 2001])
    got = squared_distances(crowd, other)
    np.testing.assert_array_equal(got, (crowd[0] - 100) ** 2 + (2000 - crowd[1]) ** 2)


@pytest.mark.parametrize("size", [1, 7, 8, 9, 64, 67])
def test_values_held_misses_none_wherever_it_stands(size):
    for position in range(size):
        labels = np.zeros((1, size), np.uint8)
        labels[0, position] = 200
        assert np.flatnonzero(values_held(labels)).tolist() == ([0, 200] if size > 1 else [200])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(seed=SEEDS, shape=st.tuples(st.integers(1, 20), st.integers(1, 20)))
def test_points_of_each_class_are_sorted_and_complete(seed, shape):
    labels = np.random.default_rng(seed).choice([0, 1, 2, 7, 255], shape).astype(np.uint8)
    bordered = with_border(labels, "counted")
    for found in (edge_pixels(bordered, 3), contour_corners(bordered, 3)):
        for class_id in range(3):
            rows, cols = found.points(class_id)
            order = np.lexsort((cols, rows))
            np.testing.assert_array_equal(order, np.arange(rows.size))
            assert len(set(zip(rows.tolist(), cols.tolist(), strict=True))) == rows.size
    corners = contour_corners(bordered, 3)
    for class_id in range(3):
        padded = np.pad(labels, 1, constant_values=255) == class_id
        inside = padded[:-1, :-1] + padded[1:, 1:].astype(int) + padded[:-1, 1:] + padded[1:, :-1]
        want = np.argwhere((inside > 0) & (inside < 4))
        np.testing.assert_array_equal(np.transpose(corners.points(class_id)), want)
