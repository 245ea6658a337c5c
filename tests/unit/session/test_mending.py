"""Accepting predictions: which pixels change, and that no other ever does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.session.mending import (
    accept_blob,
    accept_class,
    accept_everywhere,
    accept_region,
    edit_between,
    polygon_region,
)

SHAPE = (7, 9)
masks = arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 1, 2, IGNORE]))
quick = settings(max_examples=60, deadline=None)


@quick
@given(masks, masks, st.integers(0, 2))
def test_an_accepted_class_lies_where_it_was_predicted_and_nothing_else_moves(truth, prediction, class_id):
    edit = accept_class(truth, prediction, class_id)
    after = edit.applied(truth)
    answered = prediction != IGNORE
    np.testing.assert_array_equal((after == class_id)[answered], (prediction == class_id)[answered])
    apart = (truth != class_id) & (prediction != class_id)
    np.testing.assert_array_equal(after[apart], truth[apart])
    np.testing.assert_array_equal(after[~answered], truth[~answered])
    assert (after[edit.rows, edit.cols] != truth[edit.rows, edit.cols]).all()


@quick
@given(masks, masks, arrays(np.bool_, SHAPE))
def test_an_accepted_region_is_the_prediction_inside_and_the_truth_outside(truth, prediction, region):
    after = accept_region(truth, prediction, region).applied(truth)
    expected = np.where(region & (prediction != IGNORE), prediction, truth)
    np.testing.assert_array_equal(after, expected)


@quick
@given(masks, masks)
def test_unlabelled_pixels_stay_so_where_asked(truth, prediction):
    after = accept_everywhere(truth, prediction, fill_unlabelled=False).applied(truth)
    assert (after[truth == IGNORE] == IGNORE).all()
    assert (after[truth != IGNORE] != IGNORE).all()


def flooded(truth, prediction, row, col):
    """The blob by a flood fill written for the test: 8 neighbours, one pair."""
    pair = (truth[row, col], prediction[row, col])
    found, open_pixels = set(), [(row, col)]
    while open_pixels:
        r, c = open_pixels.pop()
        inside = 0 <= r < truth.shape[0] and 0 <= c < truth.shape[1]
        if inside and (r, c) not in found and (truth[r, c], prediction[r, c]) == pair:
            found.add((r, c))
            open_pixels += [(r + dr, c + dc) for dr in (-1, 0, 1) for dc in (-1, 0, 1)]
    return found


@quick
@given(masks, masks, st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1))
def test_a_blob_is_the_connected_region_of_one_pair(truth, prediction, row, col):
    edit = accept_blob(truth, prediction, row, col)
    if truth[row, col] == prediction[row, col] or prediction[row, col] == IGNORE:
        assert edit.num_pixels == 0
        return
    expected = flooded(truth, prediction, row, col)
    assert set(zip(edit.rows.tolist(), edit.cols.tolist(), strict=True)) == expected
    assert (edit.values == prediction[row, col]).all()


def test_a_blob_reaches_over_a_corner_but_not_over_another_pair():
    truth = np.zeros((4, 6), np.uint8)
    prediction = np.zeros((4, 6), np.uint8)
    prediction[0, 0] = prediction[1, 1] = 1
    prediction[1, 2] = 2
    prediction[1, 3] = 1
    edit = accept_blob(truth, prediction, 0, 0)
    assert set(zip(edit.rows.tolist(), edit.cols.tolist(), strict=True)) == {(0, 0), (1, 1)}


@pytest.mark.parametrize("place", [(-1, 0), (0, -1), (4, 0), (0, 6)])
def test_a_cursor_beside_the_frame_points_at_nothing(place):
    assert accept_blob(np.zeros((4, 6), np.uint8), np.ones((4, 6), np.uint8), *place).num_pixels == 0


def test_a_lasso_takes_what_it_surrounds():
    corners = np.array([(1.0, 1.0), (1.0, 6.0), (6.0, 6.0), (6.0, 1.0)])
    region = polygon_region((8, 8), corners)
    assert region[2:6, 2:6].all()
    assert not region[0].any()
    assert not region[:, 7].any()
    assert not polygon_region((8, 8), corners[:2]).any()


def test_an_edit_between_two_masks_leads_from_one_to_the_other():
    rng = np.random.default_rng(0)
    before, after = (rng.integers(0, 3, (5, 5)).astype(np.uint8) for _ in range(2))
    edit = edit_between(before, after)
    np.testing.assert_array_equal(edit.applied(before), after)
    assert edit.num_pixels == (before != after).sum()
