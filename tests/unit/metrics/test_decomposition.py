"""Error types against the definition written out with scipy, class by class and piece by piece."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics import (
    ErrorDecomposition,
    ErrorType,
    confusion_matrix,
    decompose_errors,
    error_type_map,
    iou_scores,
)
from napari_hogseg.metrics.regions import connected_regions

NUM_CLASSES = 3
EIGHT = np.ones((3, 3), bool)
BOUNDARY, EXTENT, SEGMENT = 0, 1, 2
FN, FP = 0, 1
WIDTHS = st.sampled_from([1, 1.4, np.sqrt(2), 2, 2.5, 3, 5, 40])


def near(mask: np.ndarray, distance_px: float) -> np.ndarray:
    if not mask.any():
        return mask  # the transform of nothing is finite nonsense
    return np.rint(ndimage.distance_transform_edt(~mask) ** 2) <= distance_px**2 + 1e-9


def slow_types(own: np.ndarray, other: np.ndarray, boundary_px: float) -> np.ndarray:
    """Types of `own` without `other`, one of the two the truth: 0, or 1 + boundary, extent, segment."""
    wrong, hit, neither = own & ~other, own & other, ~own & ~other
    types = np.zeros(own.shape, np.uint8)
    objects, num = ndimage.label(own, EIGHT)
    for k in range(1, num + 1):
        types[wrong & (objects == k)] = 1 + (EXTENT if (hit & (objects == k)).any() else SEGMENT)
    core = wrong & near(hit, boundary_px) & near(neither, boundary_px)
    pieces, num = ndimage.label(wrong & near(core, boundary_px), EIGHT)
    for k in range(1, num + 1):
        around = ndimage.binary_dilation(pieces == k, EIGHT)
        if (around & hit).any() and (around & neither).any():
            types[pieces == k] = 1 + BOUNDARY
    return types


def slow_maps(prediction, truth, class_id, boundary_px):
    """Types of the false negatives and of the false positives of a class."""
    predicted, true = prediction == class_id, truth == class_id
    sides = slow_types(true, predicted, boundary_px), slow_types(predicted, true, boundary_px)
    return [np.where(truth == 255, 0, types) for types in sides]


def slow_counts(prediction, truth, num_classes, boundary_px):
    maps = [slow_maps(prediction, truth, class_id, boundary_px) for class_id in range(num_classes)]
    return np.array([[np.bincount(side.ravel(), minlength=4)[1:] for side in sides] for sides in maps])


def blobs(seed: int, shape=(60, 80), num_classes: int = NUM_CLASSES, sigma: float = 5.0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((num_classes, *shape))
    return ndimage.gaussian_filter(noise, (0, sigma, sigma)).argmax(axis=0).astype(np.uint8)


@st.composite
def mask_pairs(draw, void: bool = True):
    """Two masks that often agree: patches, thin lines, empty classes, void, unanswered pixels."""
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    labels = draw(st.sampled_from([(0, 1), (0, 0, 0, 1), (0, 1, 2), (1, 2)]))
    block = draw(st.sampled_from([1, 2, 3]))
    masks = arrays(np.uint8, shape, elements=st.sampled_from(labels)).map(
        lambda mask: mask.repeat(block, 0).repeat(block, 1)
    )
    truth, prediction = draw(masks), draw(masks)
    agree = draw(arrays(bool, shape)).repeat(block, 0).repeat(block, 1)
    prediction = np.where(agree, truth, prediction)
    if void:
        for mask in (truth, prediction):
            mask[draw(arrays(bool, mask.shape, elements=st.sampled_from([False] * 6 + [True])))] = 255
    return prediction, truth


@settings(max_examples=150, deadline=None)
@given(pair=mask_pairs(), boundary_px=WIDTHS)
def test_counts_equal_the_definition_written_out(pair, boundary_px):
    got = decompose_errors(*pair, NUM_CLASSES, boundary_px=boundary_px)
    np.testing.assert_array_equal(got.counts, slow_counts(*pair, NUM_CLASSES, boundary_px))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("boundary_px", [1, 3, 6.5])
def test_counts_of_smooth_regions_equal_the_definition_written_out(seed, boundary_px):
    truth, prediction = blobs(seed), blobs(seed, sigma=4.2)
    truth[ndimage.binary_dilation(np.random.default_rng(seed).random(truth.shape) < 0.002, iterations=2)] = (
        255
    )
    got = decompose_errors(prediction, truth, NUM_CLASSES, boundary_px=boundary_px)
    np.testing.assert_array_equal(got.counts, slow_counts(prediction, truth, NUM_CLASSES, boundary_px))


@settings(max_examples=80, deadline=None)
@given(pair=mask_pairs(), boundary_px=WIDTHS)
def test_types_split_the_errors_of_the_confusion_matrix_without_rest(pair, boundary_px):
    errors = decompose_errors(*pair, NUM_CLASSES, boundary_px=boundary_px)
    matrix = confusion_matrix(*pair, NUM_CLASSES, unanswered="count")
    hits = matrix.diagonal()
    np.testing.assert_array_equal(errors.hits, hits)
    np.testing.assert_array_equal(errors.counts[:, FN].sum(axis=1), matrix.sum(axis=1) - hits)
    np.testing.assert_array_equal(
        errors.counts[:, FP].sum(axis=1), matrix[:, :NUM_CLASSES].sum(axis=0) - hits
    )
    assert errors.counts.dtype == np.int64


@settings(max_examples=60, deadline=None)
@given(pair=mask_pairs(void=False), boundary_px=WIDTHS)
def test_without_void_the_two_masks_may_change_places(pair, boundary_px):
    prediction, truth = pair
    there = decompose_errors(prediction, truth, NUM_CLASSES, boundary_px=boundary_px)
    back = decompose_errors(truth, prediction, NUM_CLASSES, boundary_px=boundary_px)
    np.testing.assert_array_equal(there.counts, back.counts[:, ::-1])


@settings(max_examples=60, deadline=None)
@given(pair=mask_pairs(), boundary_px=WIDTHS)
def test_the_drawn_map_shows_each_pixel_with_its_type(pair, boundary_px):
    prediction, truth = pair
    sides = np.zeros((2, *truth.shape), np.uint8)
    for class_id in range(NUM_CLASSES):
        missed, spurious = slow_maps(prediction, truth, class_id, boundary_px)
        codes = error_type_map(prediction, truth, class_id, boundary_px=boundary_px)
        np.testing.assert_array_equal(codes, missed + np.where(spurious > 0, spurious + 3, 0))
        sides += np.stack([missed, spurious]).astype(np.uint8)
    codes = error_type_map(prediction, truth, boundary_px=boundary_px)
    want = np.where(sides[FN] >= sides[FP], sides[FN], sides[FP] + 3)
    np.testing.assert_array_equal(codes, want)
    assert codes.dtype == np.uint8
    assert ((codes == 0) == ((prediction == truth) | (truth == 255))).all()


@pytest.mark.parametrize("seed", range(6))
def test_regions_equal_scipys(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (int(rng.integers(1, 40)), int(rng.integers(1, 40)))).astype(np.uint8)
    regions, num_regions = connected_regions(labels)
    assert regions.max() < num_regions
    for label in range(3):
        theirs, num = ndimage.label(labels == label, EIGHT)
        inside = labels == label
        pairs = np.unique(np.stack([regions[inside], theirs[inside]]), axis=1)
        assert pairs.shape[1] == num == np.unique(pairs[0]).size
        assert not np.isin(regions[~inside], pairs[0]).any()


def scene() -> tuple[np.ndarray, np.ndarray]:
    """One error of each type, and what the counts of class 1 then are."""
    truth, prediction = np.zeros((100, 200), np.uint8), np.zeros((100, 200), np.uint8)
    truth[40:60, 20:120] = 1  # a shaft, found two pixels too low ...
    prediction[42:62, 20:100] = 1  # ... and without its last 20 px
    truth[5:15, 150:160] = 1  # overlooked
    prediction[80:90, 150:170] = 1  # invented
    return prediction, truth


def test_a_scene_with_one_error_of_each_type():
    errors = decompose_errors(*scene(), 2, boundary_px=3)
    # Of the missing tip, the corners near the shaft's end are as near to it as a displaced boundary is.
    assert errors.counts[1, FN].sum() == 2 * 80 + 20 * 20 + 100
    assert errors.counts[1, FN, SEGMENT] == 100
    assert 300 < errors.counts[1, FN, EXTENT] < 400
    assert errors.counts[1, FP].tolist() == [2 * 80, 0, 200]
    # For the background the shaft is no object of its own: nothing of it is a segment.
    assert errors.counts[0, :, SEGMENT].tolist() == [0, 0]
    codes = error_type_map(*scene(), boundary_px=3)
    assert codes[10, 155] == ErrorType.FN_SEGMENT
    assert codes[85, 160] == ErrorType.FP_SEGMENT
    assert codes[50, 110] == ErrorType.FN_EXTENT
    assert codes[40, 50] == ErrorType.FN_BOUNDARY
    assert error_type_map(*scene(), 1, boundary_px=3)[61, 50] == ErrorType.FP_BOUNDARY


def test_a_halo_of_uneven_width_is_boundary_where_it_is_narrow():
    truth, prediction = np.zeros((60, 100), np.uint8), np.zeros((60, 100), np.uint8)
    truth[20:, :] = 1
    prediction[20:, :] = 1
    prediction[18:20, :50] = 1
    prediction[2:20, 50:] = 1
    counts = decompose_errors(prediction, truth, 2, boundary_px=4).counts[1]
    assert counts[FN].sum() == 0
    assert counts[FP, SEGMENT] == 0
    # All of the narrow half, and of the wide half what lies within twice the width of its end.
    assert 100 <= counts[FP, BOUNDARY] < 100 + 18 * 8
    assert counts[FP, EXTENT] > 50 * 18 - 18 * 8


def test_what_lies_beyond_the_frame_makes_no_boundary():
    truth, prediction = np.ones((20, 30), np.uint8), np.ones((20, 30), np.uint8)
    truth[:2] = 0  # a strip along the frame's edge: for class 1 there is no pixel of neither
    errors = decompose_errors(prediction, truth, 2, boundary_px=3)
    assert errors.counts[1].tolist() == [[0, 0, 0], [0, 60, 0]]
    assert errors.counts[0].tolist() == [[0, 0, 60], [0, 0, 0]]


def test_a_width_of_half_a_pixel_more_reaches_what_rounds_to_the_width():
    truth, prediction = np.zeros((9, 9), np.uint8), np.zeros((9, 9), np.uint8)
    truth[4, 4] = prediction[4, 4] = 1
    prediction[3, 3] = prediction[2, 2] = prediction[1, 2] = 1  # the last sqrt(13) = 3.6 from the hit
    assert decompose_errors(prediction, truth, 2, boundary_px=1).counts[1, FP].tolist() == [0, 3, 0]
    assert decompose_errors(prediction, truth, 2, boundary_px=1.5).counts[1, FP].tolist() == [2, 1, 0]


def test_void_carries_a_boundary_across_and_is_not_counted():
    truth = np.zeros((40, 60), np.uint8)
    truth[:, :30], truth[:, 28:32] = 1, 255  # the annotator left the boundary open
    prediction = np.zeros((40, 60), np.uint8)
    prediction[:, :34] = 1  # two pixels beyond the void
    assert decompose_errors(prediction, truth, 2, boundary_px=7).counts[1].tolist() == [[0] * 3, [80, 0, 0]]
    assert decompose_errors(prediction, truth, 2, boundary_px=3).counts[1].tolist() == [[0] * 3, [0, 80, 0]]
    # What is predicted on the void may change a type, but no number.
    prediction[:, 28:32] = 0
    assert decompose_errors(prediction, truth, 2, boundary_px=3).counts[1].tolist() == [[0] * 3, [0, 0, 80]]


def test_losses_and_iou_add_up_to_one():
    errors = decompose_errors(blobs(3), blobs(4), 5, boundary_px=3)  # classes 3 and 4 are absent
    matrix = confusion_matrix(blobs(3), blobs(4), 5)
    np.testing.assert_allclose(errors.iou, iou_scores(matrix).per_class)
    total = errors.iou + errors.iou_loss.sum(axis=(1, 2))
    np.testing.assert_allclose(total, [1, 1, 1, np.nan, np.nan])
    assert errors.mean_iou_loss.sum() == pytest.approx(1 - iou_scores(matrix).mean)
    np.testing.assert_allclose(errors.shares.sum(axis=(1, 2)), [1, 1, 1, np.nan, np.nan])


def test_renormalised_losses_by_hand():
    counts = np.zeros((2, 2, 3), np.int64)
    counts[0] = [[10, 20, 30], [0, 5, 15]]
    errors = ErrorDecomposition(counts=counts, hits=np.array([40, 0]), boundary_px=2)
    np.testing.assert_allclose(errors.renormalised_loss[0], [10 / 50, 25 / 75, 45 / 120])
    assert np.isnan(errors.renormalised_loss[1]).all()
    np.testing.assert_allclose(errors.iou, [40 / 120, np.nan])


def test_frames_add_up_and_unlike_ones_do_not():
    frames = [decompose_errors(blobs(k), blobs(k + 1), NUM_CLASSES, boundary_px=2) for k in range(3)]
    total = reduce(add, frames, ErrorDecomposition.empty(NUM_CLASSES, boundary_px=2))
    np.testing.assert_array_equal(total.counts, sum(frame.counts for frame in frames))
    np.testing.assert_array_equal(total.hits, sum(frame.hits for frame in frames))
    for other in (
        ErrorDecomposition.empty(NUM_CLASSES, boundary_px=3),
        ErrorDecomposition.empty(4, boundary_px=2),
    ):
        with pytest.raises(InputError, match="do not add up"):
            total + other
    assert np.isnan(ErrorDecomposition.empty(2, boundary_px=2).mean_iou_loss).all()


def test_bad_input_is_refused():
    mask = np.zeros((4, 4), np.uint8)
    for width in (0.5, -1, float("nan")):
        with pytest.raises(InputError, match="at least one pixel"):
            decompose_errors(mask, mask, 2, boundary_px=width)
    with pytest.raises(InputError, match="differ in size"):
        error_type_map(mask, mask[:2], boundary_px=1)
    with pytest.raises(InputError, match="no class of 2"):
        decompose_errors(mask + 7, mask, 2, boundary_px=1)


def test_other_integer_types_and_views_count_alike():
    prediction, truth = blobs(5), blobs(6)
    want = decompose_errors(prediction, truth, NUM_CLASSES, boundary_px=2).counts
    for kind in (np.int64, np.uint16):
        got = decompose_errors(prediction.astype(kind), truth.astype(kind), NUM_CLASSES, boundary_px=2)
        np.testing.assert_array_equal(got.counts, want)
    turned = decompose_errors(prediction.T[:, ::-1], truth.T[:, ::-1], NUM_CLASSES, boundary_px=2)
    np.testing.assert_array_equal(turned.counts, want)


@pytest.mark.parametrize("ignore", [3, 254])
def test_void_may_have_another_value(ignore):
    prediction, truth = blobs(7), blobs(8)
    truth[20:30, 10:50], prediction[40:50, 5:60] = 255, 255
    want = decompose_errors(prediction, truth, NUM_CLASSES, boundary_px=3)
    drawn = error_type_map(prediction, truth, boundary_px=3)
    prediction, truth = (np.where(mask == 255, ignore, mask) for mask in (prediction, truth))
    got = decompose_errors(prediction, truth, NUM_CLASSES, boundary_px=3, ignore=ignore)
    np.testing.assert_array_equal(got.counts, want.counts)
    got_drawn = error_type_map(prediction, truth, boundary_px=3, ignore=ignore)
    np.testing.assert_array_equal(got_drawn, drawn)


def test_a_missing_answer_is_an_overlooked_pixel_and_no_invented_one():
    truth, prediction = np.zeros((30, 30), np.uint8), np.zeros((30, 30), np.uint8)
    truth[10:20, 10:20] = 1
    prediction[10:20, 10:20] = 255
    errors = decompose_errors(prediction, truth, 2, boundary_px=2)
    assert errors.counts[1].tolist() == [[0, 0, 100], [0, 0, 0]]
    assert errors.counts[0].sum() == 0


def test_nothing_wrong_and_nothing_labelled():
    mask = blobs(9)
    assert decompose_errors(mask, mask, NUM_CLASSES, boundary_px=2).counts.sum() == 0
    assert not error_type_map(mask, mask, boundary_px=2).any()
    void = np.full_like(mask, 255)
    errors = decompose_errors(mask, void, NUM_CLASSES, boundary_px=2)
    assert errors.counts.sum() == errors.hits.sum() == 0
    assert np.isnan(errors.iou).all()
    assert not error_type_map(mask, void, boundary_px=2).any()


def test_a_displaced_prediction_of_real_masks_errs_at_boundaries_only(shared_data):
    dataset = open_dataset(shared_data / "vocalfolds")
    for sample in dataset.samples[:: len(dataset.samples) // 4][:4]:
        truth = dataset.read_mask(sample)
        rows, cols = ndimage.distance_transform_edt(truth == 255, return_distances=False, return_indices=True)
        prediction = ndimage.shift(truth[rows, cols], (2, 2), order=0, mode="nearest")
        counts = decompose_errors(prediction, truth, len(dataset.scheme.classes), boundary_px=5).counts.sum(
            axis=(0, 1)
        )
        assert counts[BOUNDARY] > 0.98 * counts.sum() > 0
