"""Augmentation: geometry against independent resampling, ignore at the rim, determinism."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hogseg.data.augment import (
    Draw,
    augment,
    draw_geometry,
    input_size,
    jitter_color,
    resize_frame,
    resize_mask,
    sample_rng,
)
from napari_hogseg.runs.config import AugmentConfig

STILL = AugmentConfig(crop_px=64, hflip=0, vflip=0, rotation=0)


def picture(height: int = 64, width: int = 96, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3)).astype(np.uint8), rng.integers(
        0, 6, (height, width)
    ).astype(np.uint8)


def test_without_randomness_a_crop_is_a_crop() -> None:
    frame, mask = picture()
    crop, crop_mask = augment(frame, mask, STILL, sample_rng(0, 0, 0))
    starts = [
        left
        for left in range(96 - 64 + 1)
        if np.abs(frame[:, left : left + 64].astype(int) - crop).max() <= 160
        and (mask[:, left : left + 64] == crop_mask).mean() > 0.9
    ]
    assert len(starts) == 1  # the place may fall between pixels: nearest for the mask


def test_both_flips_are_exact() -> None:
    frame, mask = picture(64, 64)
    params = STILL.model_copy(update={"hflip": 1.0, "vflip": 1.0})
    crop, crop_mask = augment(frame, mask, params, sample_rng(0, 0, 0))
    np.testing.assert_array_equal(crop, frame[::-1, ::-1])
    np.testing.assert_array_equal(crop_mask, mask[::-1, ::-1])


@pytest.mark.parametrize(("angle_deg", "zoom"), [(90.0, 1.0), (37.0, 1.0), (-20.0, 1.4), (10.0, 0.7)])
def test_matrix_agrees_with_scipy(angle_deg: float, zoom: float) -> None:
    _, mask = picture(80, 80, seed=3)
    mask = np.kron(mask[:10, :10], np.ones((8, 8), np.uint8))
    draw = Draw(angle_deg, zoom, hflip=False, vflip=False, center_x=39.5, center_y=39.5)
    matrix = draw.matrix(48)
    rows, cols = np.mgrid[:48, :48]
    x, y = np.einsum("ij,jrc->irc", matrix[:, :2], np.stack([cols, rows])) + matrix[:, 2, None, None]
    expected = scipy.ndimage.map_coordinates(mask, [y, x], order=0, mode="constant", cval=255)
    frame = np.repeat(mask[..., None], 3, axis=2)
    del frame
    import cv2

    ours = cv2.warpAffine(
        mask, matrix, (48, 48), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP, borderValue=255
    )
    assert (ours == expected).mean() > 0.98  # they differ in rounding on cell borders only


def test_rotation_fills_with_ignore_never_with_class_0() -> None:
    frame = np.full((64, 64, 3), 120, np.uint8)
    mask = np.full((64, 64), 3, np.uint8)
    params = STILL.model_copy(update={"rotation": 1.0, "rotation_deg": 45.0})
    seen = set()
    for index in range(8):
        crop, crop_mask = augment(frame, mask, params, sample_rng(1, 0, index))
        seen |= set(np.unique(crop_mask).tolist())
        assert (crop == 120).all()  # the rim is mirrored: no black corner becomes an edge for the HOG
    assert seen == {3, 255}


@given(st.integers(0, 2**32), st.integers(0, 1000), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_randomness_is_a_function_of_seed_epoch_index(seed: int, epoch: int, index: int) -> None:
    first = sample_rng(seed, epoch, index).random(4)
    np.testing.assert_array_equal(first, sample_rng(seed, epoch, index).random(4))
    assert (first != sample_rng(seed, epoch + 1, index).random(4)).all()
    assert (first != sample_rng(seed, epoch, index + 1).random(4)).all()


@given(st.integers(40, 200), st.integers(40, 200), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_unrotated_crops_stay_inside_where_they_fit(height: int, width: int, index: int) -> None:
    params = STILL.model_copy(update={"crop_px": 32, "zoom": 1.2})
    draw = draw_geometry(params, height, width, sample_rng(0, 0, index))
    corners = draw.matrix(32) @ np.array([[0, 31], [0, 31], [1, 1]])
    assert corners.min() >= -1.0
    assert corners[0].max() <= width
    assert corners[1].max() <= height


def test_color_jitter_changes_colours_but_no_more_than_asked() -> None:
    frame, _ = picture()
    params = STILL.model_copy(update={"brightness": 0.2})
    changed = jitter_color(frame, params, sample_rng(0, 0, 5)).astype(float)
    assert (changed != frame).any()
    gain = changed[frame > 100] / frame[frame > 100]
    assert gain.min() >= 0.79
    assert gain.max() <= 1.21
    np.testing.assert_array_equal(jitter_color(frame, STILL, sample_rng(0, 0, 5)), frame)


@pytest.mark.parametrize(
    ("size", "short_px", "expected"),
    [((540, 960), 256, (256, 455)), ((960, 540), 270, (480, 270)), ((7, 900), 7, (7, 900))],
)
def test_input_size_keeps_the_aspect(size: tuple[int, int], short_px: int, expected: tuple[int, int]) -> None:
    assert input_size(*size, short_px) == expected


def test_resizing_by_two_averages_and_masks_keep_their_ids() -> None:
    frame, mask = picture(64, 96)
    half = resize_frame(frame, 32)
    expected = frame.reshape(32, 2, 48, 2, 3).mean((1, 3))
    assert np.abs(half - expected).max() <= 0.5
    assert set(np.unique(resize_mask(mask, 32, 48))) <= set(np.unique(mask))
    assert resize_frame(frame, 64) is frame
