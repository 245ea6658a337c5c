"""clDice against lines whose centre is known by hand, and against the paper's formula on sets of pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.morphology import skeletonize

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics import cl_dice, confusion_matrix, dice_scores

SEEDS = st.integers(0, 2**32 - 1)


def tubes(seed: int, shape=(60, 90), void: float = 0.0) -> np.ndarray:
    """Winding bands of class 1 on class 0, as vessels are."""
    rng = np.random.default_rng(seed)
    height = ndimage.gaussian_filter(rng.standard_normal(shape), 6)
    mask = (np.abs(height) < 0.4 * height.std()).astype(np.uint8)
    mask[rng.random(shape) < void] = 255
    return mask


def formula(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Shit et al., equations 1 and 2, on sets of pixels of whole frames."""

    def pixels(mask):
        return set(map(tuple, np.argwhere(mask)))

    inside = [(mask == 1) & (truth != 255) for mask in (prediction, truth)]
    predicted, true = map(pixels, inside)
    line_predicted, line_true = (pixels(skeletonize(np.pad(mask, 3))[3:-3, 3:-3]) for mask in inside)
    if not (line_predicted and line_true):
        return 0.0 if line_predicted or line_true else np.nan
    precision = len(line_predicted & true) / len(line_predicted)
    sensitivity = len(line_true & predicted) / len(line_true)
    if precision == sensitivity == 0:
        return 0.0
    return 2 * precision * sensitivity / (precision + sensitivity)


def tool() -> np.ndarray:
    """A shaft 7 px wide and 101 long; its centre line is row 20."""
    mask = np.zeros((40, 120), np.uint8)
    mask[17:24, 10:111] = 1
    return mask


@settings(max_examples=50, deadline=None)
@given(one=SEEDS, other=SEEDS, void=st.sampled_from([0.0, 0.02]))
def test_scores_equal_the_formula_on_sets(one, other, void):
    prediction, truth = tubes(one), tubes(other, void=void)
    assert cl_dice(prediction, truth, 1) == pytest.approx(formula(prediction, truth), nan_ok=True)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_equal_masks_score_one_and_places_may_change(seed):
    mask, other = tubes(seed), tubes(seed + 1)
    assert cl_dice(mask, mask, 1) == 1.0
    assert cl_dice(mask, other, 1) == pytest.approx(cl_dice(other, mask, 1))


def test_lines_of_one_pixel_by_hand():
    truth, prediction = np.zeros((9, 30), np.uint8), np.zeros((9, 30), np.uint8)
    truth[4, 5:25] = 1  # 20 px
    prediction[4, 15:30] = 1  # 15 px, of which 10 in the truth
    precision, sensitivity = 10 / 15, 10 / 20
    want = 2 * precision * sensitivity / (precision + sensitivity)
    assert cl_dice(prediction, truth, 1) == pytest.approx(want)


def test_a_wider_prediction_around_the_same_centre_is_right_and_a_parallel_one_wrong():
    truth, wide, beside = tool(), np.zeros_like(tool()), np.zeros_like(tool())
    wide[16:25, 9:112] = 1
    beside[25:32, 10:111] = 1
    assert cl_dice(wide, truth, 1) == 1.0
    assert cl_dice(beside, truth, 1) == 0.0  # both present, neither line meets the other mask


def test_a_broken_tool_costs_more_than_the_same_area_along_its_edge():
    truth = tool()
    broken, thinner = truth.copy(), truth.copy()
    broken[:, 50:67] = 0  # 17 columns of 7 px
    thinner[17, 10:111] = 0  # about as many pixels
    matrices = [confusion_matrix(mask, truth, 2) for mask in (broken, thinner)]
    dice = [dice_scores(matrix).per_class[1] for matrix in matrices]
    assert dice[0] == pytest.approx(dice[1], abs=0.02)
    assert cl_dice(thinner, truth, 1) == 1.0
    assert cl_dice(broken, truth, 1) < 0.93


def test_a_thin_branch_that_is_missing_hardly_touches_dice():
    truth = np.zeros((80, 120), np.uint8)
    truth[20:40, 5:115] = 1
    truth[40:80, 60] = 1  # a suture at the shaft
    prediction = truth.copy()
    prediction[40:, 60] = 0
    dice = dice_scores(confusion_matrix(prediction, truth, 2)).per_class[1]
    assert dice > 0.99
    assert cl_dice(prediction, truth, 1) < 0.9


def test_empty_masks_by_the_stated_rule():
    empty = np.zeros((40, 120), np.uint8)
    assert np.isnan(cl_dice(empty, empty, 1))
    assert cl_dice(empty, tool(), 1) == cl_dice(tool(), empty, 1) == 0.0
    assert np.isnan(cl_dice(np.ones((3, 3), np.uint8), np.full((3, 3), 255, np.uint8), 1))


def test_void_counts_on_neither_side():
    truth, prediction = tool(), tool()
    truth[:, 60:], prediction[:, 60:] = 255, 0
    assert cl_dice(prediction, truth, 1) == 1.0
    assert cl_dice(tool(), truth, 1) == 1.0


def test_other_classes_and_where_the_tool_lies_do_not_matter():
    truth, prediction = tubes(1), tubes(2)
    want = cl_dice(prediction, truth, 1)
    frame = np.full((2, 200, 200), 2, np.uint8)
    frame[:, 40:100, 70:160] = np.where([prediction == 1, truth == 1], 5, 3)
    assert cl_dice(frame[0], frame[1], 5) == pytest.approx(want)
    assert cl_dice(frame[0].astype(np.int64), frame[1].astype(np.int64), 5) == pytest.approx(want)


def test_masks_of_two_sizes_are_refused():
    with pytest.raises(InputError, match="differ in size"):
        cl_dice(tool(), tool()[:5], 1)


def test_real_tools_score_one_against_themselves_and_less_when_cut(shared_data):
    dataset = open_dataset(shared_data / "vocalfolds")
    tool_id = dataset.scheme.classes.index("intubation")
    scored = 0
    for sample in dataset.samples[:: len(dataset.samples) // 8]:
        truth = dataset.read_mask(sample)
        prediction = np.where(truth == 255, 0, truth).astype(np.uint8)
        columns = np.flatnonzero((truth == tool_id).any(axis=0))
        if columns.size == 0:
            continue
        assert cl_dice(prediction, truth, tool_id) == 1.0
        prediction[:, columns[len(columns) // 3 : len(columns) // 2]] = 0
        assert cl_dice(prediction, truth, tool_id) < 1.0
        scored += 1
    assert scored > 0
