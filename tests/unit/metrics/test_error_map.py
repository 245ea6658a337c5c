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


def naive_edge_pixels(mask, void):
    """Class of every boundary pixel by position."""
    height, width = mask.shape
    edges = {}
    for row, col in np.ndindex(height, width):
        if void[row, col] or mask[row, col] == 255:
            continue
        for r, c in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
            if 0 <= r < height and 0 <= c < width and not void[r, c] and mask[r, c] != mask[row, col]:
                edges[row, col] = mask[row, col]
    return edges


def naive_errors(prediction, truth, tolerance_px):
    void = truth == 255
    edges_a, edges_b = naive_edge_pixels(prediction, void), naive_edge_pixels(truth, void)

    def found(where, class_id, others):
        return any(
            class_id == other and (where[0] - r) ** 2 + (where[1] - c) ** 2 <= tolerance_px**2 + 1e-9
            for (r, c), other in others.items()
        )

    errors = np.zeros(truth.shape, np.uint8)
    for where, class_id in edges_a.items():
        errors[where] = CORRECT if found(where, class_id, edges_b) else SPURIOUS
    for where, class_id in edges_b.items():
        if not found(where, class_id, edges_a):
            errors[where] = MISSED
    return errors


@st.composite
def mask_pairs(draw):
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    masks = arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 255]))
    return draw(masks), draw(masks)


@settings(max_examples=80, deadline=None)
@given(pair=mask_pairs(), tolerance=st.sampled_from([0, 0.5, 1, np.sqrt(2), 2, 3.7]))
def test_errors_equal_the_definition_written_out(pair, tolerance):
    np.testing.assert_array_equal(boundary_errors(*pair, tolerance), naive_errors(*pair, tolerance))


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


def test_void_and_the_frame_edge_are_no_boundary():
    truth = np.zeros((20, 20), np.uint8)
    truth[:, 10:] = 255
    prediction = np.zeros((20, 20), np.uint8)
    prediction[:, 10:] = 3
    assert not boundary_errors(prediction, truth, 2).any()


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
