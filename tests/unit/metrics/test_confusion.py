"""Confusion scores against counting by hand, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics import confusion_matrix, dice_scores, iou_scores, paper_per_image_miou

NUM_CLASSES = 4
LABELS = st.sampled_from([0, 1, 2, 3, 255])
MASKS = arrays(np.uint8, (7, 9), elements=LABELS)


@settings(max_examples=60, deadline=None)
@given(prediction=MASKS, truth=MASKS)
def test_scores_equal_set_arithmetic_on_the_masks(prediction, truth):
    matrix = confusion_matrix(prediction, truth, NUM_CLASSES, unanswered="count")
    iou, dice = iou_scores(matrix), dice_scores(matrix)
    valid = truth != 255
    present = []
    for class_id in range(NUM_CLASSES):
        a, b = (prediction == class_id) & valid, (truth == class_id) & valid
        if not (a | b).any():
            assert np.isnan(iou.per_class[class_id])
            assert np.isnan(dice.per_class[class_id])
            continue
        present.append(class_id)
        assert iou.per_class[class_id] == pytest.approx((a & b).sum() / (a | b).sum())
        assert dice.per_class[class_id] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
    assert (iou.num_present, iou.num_absent) == (len(present), NUM_CLASSES - len(present))
    if present:
        assert iou.mean == pytest.approx(np.mean([iou.per_class[class_id] for class_id in present]))
    else:
        assert np.isnan(iou.mean)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint16])
def test_rows_are_truth_and_columns_prediction(dtype):
    prediction = np.array([[0, 1, 1], [2, 2, 255]], dtype)
    truth = np.array([[0, 0, 1], [1, 1, 255]], dtype)
    assert confusion_matrix(prediction, truth, 3).tolist() == [[1, 1, 0], [0, 1, 2], [0, 0, 0]]


def test_a_class_that_only_the_prediction_holds_is_present_and_scores_zero():
    scores = iou_scores(confusion_matrix(np.full((2, 2), 1, np.uint8), np.zeros((2, 2), np.uint8), 3))
    assert scores.per_class[:2].tolist() == [0.0, 0.0]
    assert np.isnan(scores.per_class[2])
    assert (scores.mean, scores.num_present, scores.num_absent) == (0.0, 2, 1)


def test_a_missing_answer_is_refused_or_counts_as_wrong():
    prediction = np.array([[0, 255], [1, 1]], np.uint8)
    truth = np.array([[0, 0], [1, 1]], np.uint8)
    with pytest.raises(InputError, match="1 pixels have a true class but no predicted one"):
        confusion_matrix(prediction, truth, 2)
    matrix = confusion_matrix(prediction, truth, 2, unanswered="count")
    assert matrix.tolist() == [[1, 0, 1], [0, 2, 0]]
    assert iou_scores(matrix).per_class.tolist() == [0.5, 1.0]


@pytest.mark.parametrize("where", ["prediction", "truth"])
@pytest.mark.parametrize("value", [4, 254, -1, 300])
def test_values_outside_the_classes_are_refused_even_on_void(where, value):
    masks = {"prediction": np.zeros((3, 3), np.int32), "truth": np.full((3, 3), 255, np.int32)}
    masks[where][1, 1] = value
    with pytest.raises(InputError, match=f"the {where} holds values"):
        confusion_matrix(masks["prediction"], masks["truth"], NUM_CLASSES)


def test_masks_of_two_sizes_are_refused():
    with pytest.raises(InputError, match="differ in size"):
        confusion_matrix(np.zeros((3, 4), np.uint8), np.zeros((4, 3), np.uint8), 2)


@pytest.mark.parametrize(("num_classes", "ignore"), [(256, 255), (0, 255), (3, 2), (3, 256)])
def test_an_ignore_value_that_is_a_class_or_fits_no_mask_is_refused(num_classes, ignore):
    mask = np.zeros((2, 2), np.uint8)
    with pytest.raises(InputError, match="do not fit"):
        confusion_matrix(mask, mask, num_classes, ignore)


def test_paper_per_image_miou_by_hand_and_apart_from_the_data_set_miou():
    # Image 1: truth 0 0 0 1, all called 0 -> IoU 3/4 and 0; mean 3/8.
    # Image 2: truth 0 0 0 0 with one void, one called 1 -> only class 0 is in the truth: 2/3.
    pairs = [
        (np.array([[0, 0, 0, 0]], np.uint8), np.array([[0, 0, 0, 1]], np.uint8)),
        (np.array([[0, 0, 1, 1]], np.uint8), np.array([[0, 0, 0, 255]], np.uint8)),
    ]
    assert paper_per_image_miou(pairs, 2) == pytest.approx((3 / 8 + 2 / 3) / 2)
    matrix = sum(confusion_matrix(*pair, 2) for pair in pairs)
    # Data set: class 0 hits 5 of union 3 + 3 + 1 (image 1's false positive); class 1 hits 0.
    assert iou_scores(matrix).mean == pytest.approx((5 / 7 + 0) / 2)


def test_paper_per_image_miou_leaves_out_images_that_are_all_void():
    zeros, void = np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8)
    assert paper_per_image_miou([(zeros, zeros), (zeros, void)], 2) == 1.0
    assert np.isnan(paper_per_image_miou([(zeros, void)], 2))
    assert np.isnan(paper_per_image_miou([], 2))


def test_paper_per_image_miou_counts_a_missing_answer_as_wrong():
    prediction = np.array([[0, 255]], np.uint8)
    assert paper_per_image_miou([(prediction, np.zeros((1, 2), np.uint8))], 2) == 0.5
