"""The error map against the definition written out, and against surface Dice, which counts alike."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics import CORRECT, MISSED, SPURIOUS, boundary_errors, surface_dice
from napari_hogseg.metrics.error_map import close_void


def naive_edge_pixels(mask):
    """Class of every boundary pixel by position."""
    height, width = mask.shape
    edges = {}
    for row, col in np.ndindex(height, width):
        for r, c in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
            inside = 0 <= r < height and 0 <= c < width
            if inside and mask[row, col] != 255 and mask[r, c] != mask[row, col]:
                edges[row, col] = mask[row, col]
    return edges


def naive_errors(prediction, truth, tolerance_px, max_open_px=12):
    closed, depth = close_void(truth)
    predicted = naive_edge_pixels(prediction)
    true = {where: c for where, c in naive_edge_pixels(closed).items() if depth[where] <= max_open_px}

    def partners(where_a, class_a, where_b, class_b):
        squared = (where_a[0] - where_b[0]) ** 2 + (where_a[1] - where_b[1]) ** 2
        # The second is the true one: where it lies in void, it may lie anywhere in it.
        return class_a == class_b and squared <= (tolerance_px + float(depth[where_b])) ** 2 + 1e-9

    errors = np.zeros(truth.shape, np.uint8)
    for where, class_id in predicted.items():
        if any(partners(where, class_id, *other) for other in true.items()):
            errors[where] = CORRECT
        elif truth[where] != 255:
            errors[where] = SPURIOUS
    for where, class_id in true.items():
        if not any(partners(*other, where, class_id) for other in predicted.items()):
            errors[where] = MISSED
    return errors


@st.composite
def mask_pairs(draw):
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    few_void = st.sampled_from([0, 0, 0, 1, 1, 1, 2, 2, 255])
    blocks = draw(st.sampled_from([1, 2, 3]))  # larger patches leave room between boundaries
    masks = arrays(np.uint8, shape, elements=few_void).map(lambda m: m.repeat(blocks, 0).repeat(blocks, 1))
    return draw(masks), draw(masks)


@settings(max_examples=60, deadline=None)
@given(pair=mask_pairs(), tolerance=st.sampled_from([0, 0.5, 1, np.sqrt(2), 2, 3.7]))
def test_errors_equal_the_definition_written_out(pair, tolerance):
    np.testing.assert_array_equal(boundary_errors(*pair, tolerance), naive_errors(*pair, tolerance))


@pytest.mark.parametrize("seed", range(6))
def test_void_is_closed_by_a_nearest_class(seed):
    rng = np.random.default_rng(seed)
    truth = segmentation(seed, (64, 80), 4)
    truth[ndimage.binary_dilation(rng.random(truth.shape) < 0.003, iterations=3)] = 255
    closed, depth = close_void(truth)
    void = truth == 255
    assert (closed[~void] == truth[~void]).all()
    assert not (closed == 255).any()
    assert (depth[~void] == 0).all()
    exact = ndimage.distance_transform_edt(void)
    assert np.abs(depth - exact).max() <= 0.5 + 0.03 * exact.max()
    for class_id in np.unique(truth[~void]):
        to_class = ndimage.distance_transform_edt(truth != class_id)
        taken = void & (closed == class_id)
        assert (to_class[taken] <= exact[taken] * 1.05 + 0.1).all()


def test_a_truth_without_a_label_or_without_void_is_left_alone():
    for truth in (np.full((5, 6), 255, np.uint8), np.eye(5, dtype=np.uint8)):
        closed, depth = close_void(truth)
        np.testing.assert_array_equal(closed, truth)
        assert (depth == (255 if truth[0, 1] == 255 else 0)).all()
    assert not boundary_errors(np.eye(5, dtype=np.uint8), np.full((5, 5), 255, np.uint8), 1).any()


def segmentation(seed, shape, num_classes=8, sigma=12.0):
    noise = np.random.default_rng(seed).standard_normal((num_classes, shape[0] // 4, shape[1] // 4))
    smooth = ndimage.gaussian_filter(noise, (0, sigma / 4, sigma / 4))
    return ndimage.zoom(smooth, (1, 4, 4), order=1).argmax(axis=0).astype(np.uint8)


@pytest.mark.parametrize("tolerance", [1, 3])
def test_shares_agree_with_surface_dice_of_each_class(tolerance):
    truth, prediction = segmentation(0, (96, 128), 3), segmentation(0, (96, 128), 3, sigma=11)
    for class_id in range(3):
        # One class against the rest: boundaries of the rest are their own and must be left out of the count.
        a, b = (np.where(mask == class_id, 1, 0).astype(np.uint8) for mask in (prediction, truth))
        errors = boundary_errors(a, b, tolerance)
        mirrored = boundary_errors(b, a, tolerance)
        right_a, wrong_a = ((errors == CORRECT) & (a == 1)).sum(), ((mirrored == MISSED) & (a == 1)).sum()
        right_b, wrong_b = ((mirrored == CORRECT) & (b == 1)).sum(), ((errors == MISSED) & (b == 1)).sum()
        # An error may lie on a found boundary of the other class and then hides it: only a bound is certain.
        want = surface_dice(prediction, truth, class_id, tolerance, frame_edge="ignored")
        got = (right_a + right_b) / (right_a + right_b + wrong_a + wrong_b)
        assert got == pytest.approx(want, abs=0.02)


def test_a_perfect_prediction_is_correct_on_both_sides_of_each_boundary():
    mask = np.zeros((10, 12), np.uint8)
    mask[:, 6:] = 1
    errors = boundary_errors(mask, mask, 2)
    assert (errors[:, 5:7] == CORRECT).all()
    assert np.count_nonzero(errors) == 20


def test_a_lost_and_an_invented_object_are_told_apart():
    truth, prediction = np.zeros((30, 60), np.uint8), np.zeros((30, 60), np.uint8)
    truth[10:20, 5:15] = 1
    prediction[10:20, 40:50] = 2
    errors = boundary_errors(prediction, truth, 2)
    assert set(np.unique(errors[:, :30])) == {0, MISSED}
    assert set(np.unique(errors[:, 30:])) == {0, SPURIOUS}


def test_the_right_contour_under_the_wrong_class_is_no_hit():
    truth, prediction = np.zeros((30, 30), np.uint8), np.zeros((30, 30), np.uint8)
    truth[10:20, 10:20], prediction[10:20, 10:20] = 1, 2
    inside = np.zeros_like(truth, bool)
    inside[10:20, 10:20] = True
    errors = boundary_errors(prediction, truth, 2)
    assert set(np.unique(errors[inside])) == {0, MISSED}
    assert set(np.unique(errors[~inside])) == {0, CORRECT}  # the background's own side is found


def strip(*columns: tuple[int, int]) -> np.ndarray:
    """Mask of 20 rows from (class, number of columns) pairs."""
    return np.concatenate([np.full((20, count), value, np.uint8) for value, count in columns], axis=1)


@pytest.mark.parametrize("switch", [17, 18, 22, 26, 28, 29])
def test_a_boundary_is_right_wherever_in_the_void_it_runs_and_a_little_beyond(switch):
    truth = strip((1, 20), (255, 6), (2, 20))
    errors = boundary_errors(strip((1, switch), (2, 46 - switch)), truth, 2)
    right = 18 <= switch <= 28
    assert (errors[:, switch - 1 : switch + 1] == (CORRECT if right else SPURIOUS)).all()
    assert (errors == MISSED).any() != right


def test_a_boundary_in_void_between_other_classes_is_missed_not_found():
    truth = strip((1, 20), (255, 6), (2, 20))
    errors = boundary_errors(strip((1, 46)), truth, 2)
    assert set(np.unique(errors)) == {0, MISSED}
    assert set(np.flatnonzero(errors.any(axis=0))) == {22, 23}


def test_void_that_is_an_area_is_not_judged_and_the_frame_edge_is_no_boundary():
    truth = strip((0, 10), (255, 40), (1, 10))
    prediction = strip((0, 28), (3, 4), (1, 28))
    assert not boundary_errors(prediction, truth, 2).any()
    assert not boundary_errors(strip((0, 30)), strip((0, 15), (255, 15)), 2).any()


def test_many_classes_and_wide_types_are_kept_apart():
    truth = np.repeat(np.arange(25, dtype=np.int64), 4)[None].repeat(6, axis=0)
    errors = boundary_errors(truth[:, ::-1].copy(), truth, 1)
    assert set(np.unique(errors)) >= {0, MISSED}
    assert (boundary_errors(truth, truth, 1) != MISSED).all()


@pytest.mark.parametrize(("shape", "limit_ms"), [((512, 512), 15), ((1080, 1920), 60)])
def test_a_frame_is_marked_while_the_reviewer_watches(shape, limit_ms):
    truth, prediction = segmentation(0, shape, sigma=40), segmentation(0, shape, sigma=38)
    times_ms = []
    for _ in range(8):
        start = time.process_time()
        boundary_errors(prediction, truth, 3)
        times_ms.append((time.process_time() - start) * 1e3)
    assert min(times_ms) < limit_ms


def test_bad_input_is_refused():
    mask = np.zeros((4, 4), np.uint8)
    with pytest.raises(InputError, match="negative"):
        boundary_errors(mask, mask, -1)
    with pytest.raises(InputError, match="differ in size"):
        boundary_errors(mask, mask[:2], 1)
