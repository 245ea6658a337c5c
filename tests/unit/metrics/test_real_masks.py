"""Scores on masks that surgeons drew: void, thin tools, classes that come and go."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics import compute_surface_dice
from scipy import ndimage

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.metrics import (
    CORRECT,
    MISSED,
    SPURIOUS,
    boundary_errors,
    boundary_iou,
    confusion_matrix,
    iou_scores,
    surface_dice,
    thin_structure_limit_px,
)

NUM_CLASSES = 7

pytestmark = [
    pytest.mark.filterwarnings("ignore:the (prediction|ground truth) of class:UserWarning"),
    pytest.mark.filterwarnings("ignore:monai.metrics.utils:FutureWarning"),
]


@pytest.fixture(scope="module")
def masks(shared_data) -> list[np.ndarray]:
    dataset = open_dataset(shared_data / "vocalfolds")
    return [dataset.read_mask(sample) for sample in dataset.samples[:: len(dataset.samples) // 4]][:4]


def shifted(mask: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """The mask moved within its frame; a model knows no void, so class 0 stands there."""
    moved = np.roll(mask, (rows, cols), axis=(0, 1))
    return np.where(moved == 255, 0, moved).astype(np.uint8)


def without_void(mask: np.ndarray) -> np.ndarray:
    """Void becomes the nearest class: annotators put it between most structures."""
    rows, cols = ndimage.distance_transform_edt(mask == 255, return_distances=False, return_indices=True)
    return mask[rows, cols]


def test_a_perfect_prediction_has_no_error(masks):
    for truth in masks:
        errors = boundary_errors(without_void(truth), truth, 2)
        assert not np.isin(errors, (MISSED, SPURIOUS)).any()
        assert np.count_nonzero(errors == CORRECT) > 1000  # void or not, the structures have boundaries
        prediction = shifted(truth, 0, 0)
        scores = iou_scores(confusion_matrix(prediction, truth, NUM_CLASSES))
        assert scores.mean == 1.0
        assert scores.num_present == len(np.setdiff1d(truth, [255]))


def test_a_shift_beyond_the_tolerance_shows_and_one_within_it_does_not(masks):
    for truth in map(without_void, masks):
        inside = (slice(8, -8), slice(8, -8))  # what rolls around the frame's end is another error
        near = boundary_errors(shifted(truth, 1, 1), truth, 2)[inside]
        far = boundary_errors(shifted(truth, 6, 6), truth, 2)[inside]
        share = [
            np.isin(errors, (MISSED, SPURIOUS)).sum() / np.count_nonzero(errors) for errors in (near, far)
        ]
        assert share[0] < 0.1
        assert share[1] > 0.5
        assert (near == CORRECT).any()


def test_surface_dice_equals_monai_once_void_is_taken_out(masks):
    truth = masks[0]
    prediction = shifted(truth, 3, -2)
    valid = truth != 255
    planes = [
        torch.from_numpy(np.stack([(mask == c) & valid for c in range(NUM_CLASSES)])[None].astype(np.float32))
        for mask in (prediction, truth)
    ]
    theirs = compute_surface_dice(*planes, [2.0] * NUM_CLASSES, include_background=True)[0].numpy()
    ours = [surface_dice(prediction, truth, class_id, 2) for class_id in range(NUM_CLASSES)]
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_boundary_iou_is_harder_than_iou_below_the_thin_structure_limit(masks):
    truth = masks[0]
    prediction = shifted(truth, 3, 0)
    iou = iou_scores(confusion_matrix(prediction, truth, NUM_CLASSES)).per_class
    for class_id in np.setdiff1d(truth, [255]):
        limit = thin_structure_limit_px([truth == class_id])
        if limit > 5:
            assert boundary_iou(prediction, truth, class_id, 4) < iou[class_id]
