"""Snapping a stroke's rim: to an edge within reach, never without one, never outside the band."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt, gaussian_filter

from napari_hogseg.metrics.boundary import surface_dice
from napari_hogseg.session.smart_edge import snap_rim

SIZE = 120
ROWS, COLS = np.indices((SIZE, SIZE)).astype(float)
ANGLES = np.arctan2(ROWS - 60, COLS - 60)
RADII = np.hypot(ROWS - 60, COLS - 60)


def picture(region, contrast=60, noise=4.0, seed=0):
    """A blurred two-tone picture of a region, with noise."""
    rng = np.random.default_rng(seed)
    gray = 90 + contrast * gaussian_filter(region.astype(float), 1.0)
    frame = gray[..., None] + rng.normal(0, noise, (*region.shape, 3))
    return np.clip(frame, 0, 255).astype(np.uint8)


def wobbly_disk(radius, wobble_px, seed=0):
    """A disk whose painted rim strays by up to `wobble_px`, as a hand's does."""
    rng = np.random.default_rng(seed)
    phases = rng.uniform(0, 2 * np.pi, 5)
    waves = sum(np.cos(k * ANGLES + phase) for k, phase in enumerate(phases, start=2))
    return radius + wobble_px * waves / np.abs(waves).max() >= RADII


DISK = RADII <= 35


def rim_distances(a, b):
    """Distances from each rim pixel of one region to the other's, both ways, in pixels."""

    def rim(region):
        return region & (distance_transform_edt(region) <= 1)

    to_a, to_b = (distance_transform_edt(~rim(region)) for region in (a, b))
    return np.concatenate([to_b[rim(a)], to_a[rim(b)]])


@pytest.mark.parametrize("seed", range(4))
def test_a_shaky_rim_snaps_to_the_edge(seed):
    painted = wobbly_disk(35, 4, seed)
    before = rim_distances(painted, DISK)
    after = rim_distances(snap_rim(picture(DISK, seed=seed), painted, 6), DISK)
    assert before.max() > 3
    assert np.percentile(after, 95) <= 1.0
    assert after.max() <= 2.0
    snapped = snap_rim(picture(DISK, seed=seed), painted, 6).astype(np.uint8)
    assert surface_dice(snapped, DISK.astype(np.uint8), 1, tolerance_px=1) > 0.99


def test_a_stroke_on_a_flat_picture_stays_as_it_is():
    painted = wobbly_disk(30, 4)
    flat = np.full((SIZE, SIZE, 3), 128, np.uint8)
    np.testing.assert_array_equal(snap_rim(flat, painted, 6), painted)
    noisy = picture(np.zeros((SIZE, SIZE), bool), noise=2.0)
    np.testing.assert_array_equal(snap_rim(noisy, painted, 6), painted)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 50), band=st.integers(1, 8), wobble=st.floats(0, 8, allow_subnormal=False))
def test_nothing_changes_outside_the_band(seed, band, wobble):
    painted = wobbly_disk(28, wobble, seed)
    snapped = snap_rim(picture(DISK, seed=seed), painted, band)
    reach = np.where(painted, distance_transform_edt(painted), distance_transform_edt(~painted)) - 0.5
    assert not (snapped != painted)[reach > band].any()


def test_an_edge_out_of_reach_is_left_alone():
    painted = RADII <= 20
    np.testing.assert_array_equal(snap_rim(picture(DISK, noise=1.0), painted, 5), painted)


def test_both_rims_of_a_thin_stroke_keep_apart():
    tool = np.abs(COLS - 60) <= 4
    tool[:15] = tool[105:] = False
    painted = np.abs(COLS - 61 - 1.5 * np.sin(ROWS / 9)) <= 5
    painted[:16] = painted[104:] = False
    snapped = snap_rim(picture(tool), painted, 5)
    middle = slice(25, 95)
    assert np.abs(snapped[middle].sum(axis=1) - 9).max() <= 2
    assert (snapped[middle] & tool[middle]).sum() / (snapped[middle] | tool[middle]).sum() > 0.85


def test_a_hole_is_snapped_too():
    ring = (RADII <= 45) & (RADII >= 20)
    painted = wobbly_disk(45, 3, 1) & ~wobbly_disk(20, 3, 2)
    snapped = snap_rim(picture(ring), painted, 6)
    assert np.percentile(rim_distances(snapped, ring), 95) <= 1.0


def test_only_the_movable_part_of_the_rim_moves():
    painted = wobbly_disk(35, 4, 3)
    movable = COLS > 60
    snapped = snap_rim(picture(DISK), painted, 6, movable=movable)
    changed = snapped != painted
    assert changed.any()
    assert not changed[COLS < 52].any()
    right = COLS > 68
    assert (snapped != DISK)[right].sum() < 0.3 * (painted != DISK)[right].sum()


def test_a_rim_on_the_frames_edge_stays_there():
    painted = COLS < 40
    truth = COLS < 43
    snapped = snap_rim(picture(truth), painted, 6)
    assert snapped[:, 0].all()
    assert (snapped[10:-10] == truth[10:-10]).mean() > 0.99
    assert snapped[0, 20]
    assert snapped[-1, 20]


@pytest.mark.parametrize("painted", [np.zeros((9, 9), bool), np.ones((9, 9), bool), np.eye(9, dtype=bool)])
def test_tiny_and_empty_regions_come_back(painted):
    frame = np.random.default_rng(0).integers(0, 255, (9, 9, 3)).astype(np.uint8)
    assert snap_rim(frame, painted, 3).shape == painted.shape
    np.testing.assert_array_equal(snap_rim(frame, painted, 0), painted)
