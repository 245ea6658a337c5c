"""Ways in which boundary scores are known to mislead: each shown, and what our scores say instead."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from monai.metrics import HausdorffDistanceMetric, compute_surface_dice
from scipy import ndimage
from surface_distance import compute_surface_dice_at_tolerance, compute_surface_distances

from napari_hogseg.metrics import (
    boundary_scores,
    confusion_matrix,
    iou_scores,
    thin_structure_limit_px,
)

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:Please import .* from the `scipy.ndimage` namespace:DeprecationWarning"
    ),
    pytest.mark.filterwarnings("ignore:the (prediction|ground truth) of class:UserWarning"),
    pytest.mark.filterwarnings("ignore:monai.metrics.utils:FutureWarning"),
]


def box(shape: tuple[int, int], rows: slice, cols: slice) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[rows, cols] = 1
    return mask


def tensor(mask: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(mask.astype(np.float32))[None, None]


@pytest.mark.parametrize("num_missed", [0, 5, 9])
def test_monai_hd95_drops_missed_objects_ours_is_infinite(num_missed):
    truth = box((60, 60), slice(20, 40), slice(20, 40))
    found, missed = box((60, 60), slice(20, 40), slice(24, 44)), np.zeros_like(truth)
    predictions = [missed] * num_missed + [found] * (10 - num_missed)

    theirs = HausdorffDistanceMetric(include_background=True, percentile=95)
    for prediction in predictions:
        theirs(tensor(prediction), tensor(truth))
    assert theirs.aggregate().item() == 4.0  # whatever the number of missed objects

    ours = np.array([boundary_scores(mask, truth, 2).hd95_px[1] for mask in predictions])
    assert np.isinf(ours).sum() == num_missed
    assert (ours[num_missed:] == 4.0).all()


def test_counted_frame_edge_hides_the_failure_of_a_half_image_organ():
    # The left half of a frame; the prediction's one free side is 5 px off.
    truth, prediction = (box((480, 854), slice(None), slice(0, width)) for width in (427, 432))
    counted = boundary_scores(prediction, truth, 2, tolerance_px=2)
    ignored = boundary_scores(prediction, truth, 2, tolerance_px=2, frame_edge="ignored")
    assert counted.nsd[1] == pytest.approx(0.735, abs=5e-3)
    assert counted.nsd[1] == pytest.approx(
        compute_surface_dice(tensor(prediction), tensor(truth), [2.0], include_background=True).item()
    )
    assert ignored.nsd.tolist() == [0.0, 0.0]
    assert ignored.hd95_px.tolist() == [5.0, 5.0]
    assert ignored.boundary_iou[1] < counted.boundary_iou[1]
    contour = [
        boundary_scores(prediction, truth, 2, frame_edge=policy, parts=["nsd_contour"]).nsd_contour[1]
        for policy in ("counted", "ignored")
    ]
    assert contour[0] > 0.7
    assert contour[1] == 0.0


def test_boundary_iou_at_two_percent_of_the_diagonal_is_plain_iou_for_thin_tools():
    shape = 480, 854
    truth = box(shape, slice(200, 224), slice(100, 700))  # a shaft of 24 px
    prediction = box(shape, slice(206, 230), slice(100, 700))
    published_px = round(0.02 * np.hypot(*shape))
    assert published_px == 20
    iou = iou_scores(confusion_matrix(prediction, truth, 2)).per_class[1]
    at_published, at_three = (
        boundary_scores(prediction, truth, 2, band_px=px, parts=["boundary_iou"]).boundary_iou[1]
        for px in (published_px, 3)
    )
    assert at_published == iou
    assert at_three < iou - 0.3
    assert 3 < thin_structure_limit_px([truth]) < published_px


def test_distance_transform_of_an_all_foreground_mask_is_garbage_ours_is_infinite():
    full, part = np.ones((20, 30), np.uint8), box((20, 30), slice(0, 20), slice(0, 15))
    assert np.isfinite(ndimage.distance_transform_edt(full)).all()  # there is no background to be near
    ours = boundary_scores(full, part, 2, frame_edge="ignored")
    # Class 1 fills the predicted frame: without an edge of its own it is no pixel near the true one.
    assert ours.hd95_px[1] == np.inf
    assert ours.nsd[1] == 0.0
    assert ours.boundary_iou[1] == 0.0
    assert ours.davis_f[1] == 0.0


def test_no_boundary_in_either_mask_is_nothing_to_measure():
    full = np.ones((20, 30), np.uint8)
    ours = boundary_scores(full, full, 2, frame_edge="ignored", parts=["nsd", "hd95_px", "boundary_iou"])
    assert ours.in_truth[1]
    assert np.isnan([ours.nsd[1], ours.hd95_px[1], ours.boundary_iou[1]]).all()
    counted = boundary_scores(full, full, 2)
    assert (counted.nsd[1], counted.hd95_px[1], counted.boundary_iou[1]) == (1.0, 0.0, 1.0)


def test_davis_f_has_no_contour_on_the_frame_and_no_free_point_for_a_missed_class():
    full, empty = np.ones((20, 30), np.uint8), np.zeros((20, 30), np.uint8)
    ours = boundary_scores(full, full, 3, parts=["davis_f"])
    assert np.isnan(ours.davis_f).all()  # published: 1, two empty contours
    ours = boundary_scores(full, empty, 3, parts=["davis_f"])
    assert ours.davis_f[:2].tolist() == [0.0, 0.0]  # published: 1, as both contours are empty
    assert np.isnan(ours.davis_f[2])


def test_nsd_by_pixel_count_and_by_contour_length_are_different_numbers():
    # Edge pixels lie inside of their mask: where two masks face each other across a gap, those are one pixel
    # farther apart than the contours.
    truth = box((60, 60), slice(10, 50), slice(10, 30))
    prediction = box((60, 60), slice(10, 50), slice(32, 52))
    ours = boundary_scores(prediction, truth, 2, tolerance_px=2, parts=["nsd", "nsd_contour"])
    pair = tensor(prediction), tensor(truth)
    for got, use_subvoxels in ((ours.nsd[1], False), (ours.nsd_contour[1], True)):
        theirs = compute_surface_dice(*pair, [2.0], include_background=True, use_subvoxels=use_subvoxels)
        assert got == pytest.approx(theirs.item(), abs=1e-6)
    distances = compute_surface_distances(truth == 1, prediction == 1, (1, 1))
    assert ours.nsd_contour[1] == pytest.approx(compute_surface_dice_at_tolerance(distances, 2), abs=1e-9)
    assert ours.nsd[1] == 0.0
    assert ours.nsd_contour[1] > 0.3


def test_opencv_rounds_distances_ours_are_exact_at_the_tolerance():
    alone = np.ones((700, 700), np.uint8)
    alone[0, 0] = 0
    theirs = cv2.distanceTransform(alone, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float64)
    y, x = np.mgrid[:700, :700]
    off = np.argwhere(theirs > np.hypot(y, x) + 1e-7)
    assert len(off) > 1000
    for row, col in off[:: len(off) // 40]:
        truth, prediction = np.zeros((700, 700), np.uint8), np.zeros((700, 700), np.uint8)
        truth[0, 0] = prediction[row, col] = 1
        tolerance_px = math.sqrt(row**2 + col**2)
        ours = boundary_scores(prediction, truth, 2, tolerance_px=tolerance_px, parts=["nsd", "hd95_px"])
        assert ours.nsd[1] == 1.0
        assert ours.hd95_px[1] == tolerance_px
        below = boundary_scores(prediction, truth, 2, tolerance_px=tolerance_px - 1e-3, parts=["nsd"])
        assert below.nsd[1] == 0.0


def test_target_void_is_neither_refused_nor_scored_as_a_class():
    truth = box((20, 20), slice(5, 15), slice(5, 15))
    prediction = box((20, 20), slice(5, 15), slice(5, 18))
    truth[:, 15:] = 255  # the annotator left open where the right side runs
    ours = boundary_scores(prediction, truth, 2)
    assert ours.nsd[1] == ours.boundary_iou[1] == 1.0
    assert ours.hd95_px[1] == 0.0
