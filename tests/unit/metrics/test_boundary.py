"""Boundary scores against MONAI, surface-distance and the published definitions, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics import compute_surface_dice
from scipy import ndimage
from surface_distance import compute_surface_dice_at_tolerance, compute_surface_distances

from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics import (
    boundary_iou,
    confusion_matrix,
    iou_scores,
    surface_dice,
    thin_structure_limit_px,
)

# surface-distance still imports from scipy.ndimage.filters; MONAI warns of empty masks and of itself.
pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:Please import .* from the `scipy.ndimage` namespace:DeprecationWarning"
    ),
    pytest.mark.filterwarnings("ignore:the (prediction|ground truth) of class:UserWarning"),
    pytest.mark.filterwarnings("ignore:monai.metrics.utils:FutureWarning"),
]

SHAPES = st.tuples(st.integers(1, 14), st.integers(1, 14))
BLOBS = st.integers(0, 2**32 - 1)


def blobs(
    seed: int, shape: tuple[int, int] = (48, 64), num_classes: int = 3, sigma: float = 4.0
) -> np.ndarray:
    """Smooth random regions, as a segmentation has them."""
    noise = np.random.default_rng(seed).standard_normal((num_classes, *shape))
    return ndimage.gaussian_filter(noise, (0, sigma, sigma)).argmax(axis=0).astype(np.uint8)


@st.composite
def mask_pairs(draw, labels=(0, 1)):
    shape = draw(SHAPES)
    elements = st.sampled_from(labels)
    return draw(arrays(np.uint8, shape, elements=elements)), draw(arrays(np.uint8, shape, elements=elements))


def naive_band(mask: np.ndarray, distance_px: int) -> np.ndarray:
    """Pixels of the mask from which the outside, or the frame's end, is within the chessboard distance."""
    band = np.zeros_like(mask)
    height, width = mask.shape
    for row, col in zip(*np.nonzero(mask), strict=True):
        top, left = row - distance_px, col - distance_px
        bottom, right = row + distance_px + 1, col + distance_px + 1
        leaves_frame = top < 0 or left < 0 or bottom > height or right > width
        band[row, col] = leaves_frame or not mask[top:bottom, left:right].all()
    return band


def naive_boundary_iou(prediction, truth, distance_px):
    a, b = naive_band(prediction, distance_px), naive_band(truth, distance_px)
    return (a & b).sum() / (a | b).sum() if (a | b).any() else np.nan


def naive_edges(mask: np.ndarray, *, counted: bool) -> list[tuple[int, int]]:
    height, width = mask.shape
    edges = []
    for row, col in zip(*np.nonzero(mask), strict=True):
        for r, c in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
            outside = not (0 <= r < height and 0 <= c < width)
            if counted if outside else not mask[r, c]:
                edges.append((int(row), int(col)))
                break
    return edges


def naive_surface_dice(prediction, truth, tolerance_px, *, counted):
    a, b = naive_edges(prediction, counted=counted), naive_edges(truth, counted=counted)
    if not (a or b):
        return np.nan if prediction.any() == truth.any() else 0.0

    def near(one, other):
        return sum(
            any((r - y) ** 2 + (c - x) ** 2 <= tolerance_px**2 + 1e-9 for y, x in other) for r, c in one
        )

    return (near(a, b) + near(b, a)) / (len(a) + len(b))


def monai_surface_dice(prediction, truth, tolerance_px, *, use_subvoxels=False):
    a, b = (torch.from_numpy(mask.astype(np.float32))[None, None] for mask in (prediction, truth))
    score = compute_surface_dice(a, b, [tolerance_px], include_background=True, use_subvoxels=use_subvoxels)
    return float(score[0, 0])


@settings(max_examples=80, deadline=None)
@given(pair=mask_pairs(), distance_px=st.integers(1, 6))
def test_boundary_iou_equals_the_published_definition(pair, distance_px):
    prediction, truth = pair
    want = naive_boundary_iou(prediction.astype(bool), truth.astype(bool), distance_px)
    assert boundary_iou(prediction, truth, 1, distance_px) == pytest.approx(want, nan_ok=True)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("distance_px", [1, 2, 5])
def test_boundary_iou_of_smooth_regions_equals_the_published_definition(seed, distance_px):
    prediction, truth = blobs(seed), blobs(seed, sigma=3.7)
    for class_id in range(3):
        want = naive_boundary_iou(prediction == class_id, truth == class_id, distance_px)
        assert boundary_iou(prediction, truth, class_id, distance_px) == pytest.approx(want)


def test_empty_masks_by_the_stated_rule():
    empty, some = np.zeros((9, 9), np.uint8), np.zeros((9, 9), np.uint8)
    some[3:6, 3:6] = 1
    for score in (lambda a, b: boundary_iou(a, b, 1, 2), lambda a, b: surface_dice(a, b, 1, 2)):
        assert np.isnan(score(empty, empty))
        assert score(some, empty) == score(empty, some) == 0.0
        assert score(some, some) == 1.0


def test_at_and_above_the_thin_structure_limit_boundary_iou_is_plain_iou():
    truth, prediction = np.zeros((60, 80), np.uint8), np.zeros((60, 80), np.uint8)
    truth[20:30, 5:70] = 1  # a shaft, 10 px wide
    prediction[22:32, 5:70] = 1
    limit = thin_structure_limit_px([truth])
    assert limit == 5
    iou = iou_scores(confusion_matrix(prediction, truth, 2)).per_class[1]
    assert boundary_iou(prediction, truth, 1, int(limit)) == pytest.approx(iou)
    assert boundary_iou(prediction, truth, 1, int(limit) - 2) < iou - 0.05


def test_thin_structure_limit_is_the_median_over_all_masks():
    masks = [np.zeros((40, 100), np.uint8) for _ in range(3)]
    for mask, width in zip(masks, (5, 9, 21), strict=True):
        mask[10 : 10 + width, 5:95] = 1
    # Half widths 3, 5 and 11 along ridges of about the same length.
    assert thin_structure_limit_px(masks) == 5
    assert np.isnan(thin_structure_limit_px([]))
    assert np.isnan(thin_structure_limit_px([np.zeros((5, 5), bool)]))


@settings(max_examples=80, deadline=None)
@given(pair=mask_pairs(), tolerance=st.sampled_from([0, 1, np.sqrt(2), 2, 2.5, 5, 11]))
def test_surface_dice_equals_monai(pair, tolerance):
    prediction, truth = pair
    want = monai_surface_dice(prediction, truth, tolerance)
    assert surface_dice(prediction, truth, 1, tolerance) == pytest.approx(want, abs=1e-6, nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(pair=mask_pairs(labels=(0, 1, 2, 255)), tolerance=st.sampled_from([0, 1, 2.5]), counted=st.booleans())
def test_surface_dice_with_void_equals_the_definition_written_out(pair, tolerance, counted):
    prediction, truth = pair
    void = truth == 255
    masks = ((mask == 1) & ~void for mask in pair)
    want = naive_surface_dice(*masks, tolerance, counted=counted)
    got = surface_dice(prediction, truth, 1, tolerance, frame_edge="counted" if counted else "ignored")
    assert got == pytest.approx(want, nan_ok=True)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tolerance", [1, 3, 10, 14])
def test_surface_dice_of_smooth_regions_equals_monai(seed, tolerance):
    prediction, truth = blobs(seed, (120, 160), sigma=8), blobs(seed, (120, 160), sigma=7)
    for class_id in range(3):
        want = monai_surface_dice(prediction == class_id, truth == class_id, tolerance)
        assert surface_dice(prediction, truth, class_id, tolerance) == pytest.approx(want, abs=1e-6)


def test_surface_distance_measures_contour_length_and_lands_near():
    prediction, truth = blobs(1, (120, 160), sigma=8) == 1, blobs(1, (120, 160), sigma=7.5) == 1
    distances = compute_surface_distances(truth, prediction, (1, 1))
    theirs = compute_surface_dice_at_tolerance(distances, 3)
    ours = surface_dice(prediction, truth, True, 3)
    assert ours == pytest.approx(theirs, abs=0.05)


def test_frame_edge_policy_tells_a_displaced_organ_from_a_right_one():
    truth, prediction = np.zeros((100, 100), np.uint8), np.zeros((100, 100), np.uint8)
    truth[:, :50], prediction[:, :55] = 1, 1
    assert surface_dice(prediction, truth, 1, 2) > 0.6
    assert surface_dice(prediction, truth, 1, 2, frame_edge="ignored") == 0.0
    assert surface_dice(prediction, truth, 1, 5, frame_edge="ignored") == 1.0


def test_a_mask_that_fills_the_frame_against_none_scores_zero():
    full, empty = np.ones((8, 8), np.uint8), np.zeros((8, 8), np.uint8)
    assert surface_dice(full, empty, 1, 1, frame_edge="ignored") == 0.0
    assert np.isnan(surface_dice(full, full, 1, 1, frame_edge="ignored"))
    assert surface_dice(full, full, 1, 1) == 1.0


def test_distances_at_the_tolerance_count_however_far():
    # OpenCV's exact transform is off by up to 1.5e-5: a comparison of floats would lose some of these.
    for distance in range(1, 600, 7):
        prediction, truth = np.zeros((3, 700), np.uint8), np.zeros((3, 700), np.uint8)
        truth[1, 20], prediction[1, 20 + distance] = 1, 1
        assert surface_dice(prediction, truth, 1, distance) == 1.0
        assert surface_dice(prediction, truth, 1, distance - 0.01) == 0.0


def test_bad_parameters_are_refused():
    mask = np.zeros((4, 4), np.uint8)
    with pytest.raises(InputError, match="at least one pixel"):
        boundary_iou(mask, mask, 1, 0)
    with pytest.raises(InputError, match="negative"):
        surface_dice(mask, mask, 1, -1)
    with pytest.raises(InputError, match="differ in size"):
        surface_dice(mask, mask[:2], 1, 1)
