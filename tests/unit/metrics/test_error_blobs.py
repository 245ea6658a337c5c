"""Error blobs against hand-made masks and against scipy's and scikit-image's labelling of the regions."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.measure import regionprops

from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.error_blobs import find_error_blobs

IGNORE = 255
GREY = np.full((40, 60, 3), 90, np.uint8)


def find(prediction, truth, frame=None, **options):
    frame = np.zeros((*truth.shape, 3), np.uint8) if frame is None else frame
    defaults = {"num_classes": 4, "boundary_px": 2.0, "min_area_px": 1}
    return find_error_blobs(prediction, truth, frame, **(defaults | options))


def disk(radius, row=20, col=30, shape=(40, 60)):
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return (rows - row) ** 2 + (cols - col) ** 2 <= radius**2


@st.composite
def mask_pairs(draw):
    shape = draw(st.tuples(st.integers(1, 14), st.integers(1, 14)))
    masks = arrays(np.uint8, shape, elements=st.sampled_from([0, 0, 0, 1, 2, 255]))
    return draw(masks), draw(masks)


@settings(max_examples=80, deadline=None)
@given(mask_pairs())
def test_every_blob_is_a_region_that_scipy_and_skimage_find_too(pair) -> None:
    prediction, truth = pair
    blobs = find(prediction, truth, num_classes=3)
    right = (prediction == truth) & (truth != IGNORE)
    distance = ndimage.distance_transform_edt(~right) if right.any() else np.full(truth.shape, np.inf)
    expected = set()
    for t, p in {(int(t), int(p)) for t, p in zip(truth.flat, prediction.flat, strict=True)}:
        if t in (p, IGNORE):
            continue
        labels, _ = ndimage.label((truth == t) & (prediction == p), structure=np.ones((3, 3)))
        for region in regionprops(labels):
            depth = min(distance[labels == region.label].max(), math.hypot(*truth.shape))
            centroid = tuple(round(float(c), 9) for c in region.centroid)
            expected.add((t, p, int(region.area), region.bbox, centroid, round(float(depth), 9)))
    found = {
        (
            b.true_class,
            b.predicted_class,
            b.area_px,
            b.bbox,
            tuple(round(c, 9) for c in b.centroid),
            round(b.depth_px, 9),
        )
        for b in blobs
    }
    assert len(blobs) == len(found)
    assert found == expected


@settings(max_examples=80, deadline=None)
@given(mask_pairs())
def test_the_masks_of_all_blobs_are_the_wrong_pixels_once_each(pair) -> None:
    prediction, truth = pair
    total = np.zeros(truth.shape, int)
    for blob in find(prediction, truth, num_classes=3):
        mask = blob.mask(prediction, truth)
        assert mask.sum() == blob.area_px
        total += mask
    np.testing.assert_array_equal(total, (prediction != truth) & (truth != IGNORE))


def test_an_overlooked_object_is_a_false_negative_segment() -> None:
    truth = disk(8).astype(np.uint8)
    (blob,) = find(np.zeros_like(truth), truth)
    assert (blob.kind, blob.type, blob.true_class, blob.predicted_class) == (
        "false negative",
        "segment",
        1,
        0,
    )
    assert blob.area_px == truth.sum()
    assert blob.bbox == (12, 22, 29, 39)
    assert blob.centroid == (20.0, 30.0)
    # From the middle to the nearest pixel outside of the disk.
    assert blob.depth_px == pytest.approx(ndimage.distance_transform_edt(truth)[20, 30])


def test_an_invented_object_is_a_false_positive_segment() -> None:
    prediction = 2 * disk(8).astype(np.uint8)
    (blob,) = find(prediction, np.zeros_like(prediction))
    assert (blob.kind, blob.type) == ("false positive", "segment")


def test_a_displaced_boundary_and_a_wrong_extent_are_told_apart() -> None:
    truth = np.zeros((40, 60), np.uint8)
    truth[:, :20] = 1
    near, far = truth.copy(), truth.copy()
    near[:, 18:20] = 0
    far[10:30, 5:20] = 0  # much deeper than a boundary is wide
    (boundary,), (extent,) = find(near, truth), find(far, truth)
    assert (boundary.type, extent.type) == ("boundary", "extent")
    assert boundary.kind == extent.kind == "false negative"
    assert boundary.depth_px == 1.0  # right pixels on both sides of the strip
    assert extent.depth_px == 8.0  # from the middle of its fifteen columns


def test_the_background_decides_the_kind_where_it_is_named() -> None:
    truth = np.zeros((40, 60), np.uint8)
    truth[:, :20] = 1
    prediction = truth.copy()
    prediction[:, 20:22] = 1
    assert [b.kind for b in find(prediction, truth)] == ["false negative"]  # 0 is a class like any other
    assert [b.kind for b in find(prediction, truth, background=0)] == ["false positive"]
    assert [b.kind for b in find(prediction, truth, background=1)] == ["false negative"]
    assert [b.kind for b in find(prediction, truth, background=3)] == ["false negative"]


def test_regions_that_touch_by_a_corner_are_one_and_pairs_are_kept_apart() -> None:
    truth = np.zeros((6, 8), np.uint8)
    prediction = truth.copy()
    prediction[1, 1] = prediction[2, 2] = 1
    prediction[3, 3] = 2
    assert sorted((b.predicted_class, b.area_px) for b in find(prediction, truth)) == [(1, 2), (2, 1)]


def test_large_ones_come_first_and_specks_are_left_out() -> None:
    truth = np.zeros((40, 60), np.uint8)
    prediction = truth.copy()
    prediction[2, 2] = 1
    prediction[10:14, 10:14] = 1
    prediction[20:30, 20:30] = 2
    assert [b.area_px for b in find(prediction, truth)] == [100, 16, 1]
    assert [b.area_px for b in find(prediction, truth, min_area_px=2)] == [100, 16]
    assert find(prediction, truth, min_area_px=101) == ()
    assert find(truth, truth) == ()


def test_gradient_is_that_of_the_frame_under_the_outline() -> None:
    truth = np.zeros((40, 60), np.uint8)
    prediction = truth.copy()
    prediction[:, 30:] = 1
    edge = GREY.copy()
    edge[:, 30:, 0] = 190  # in one channel only; 100 levels over two pixels
    assert find(prediction, truth, GREY)[0].gradient == 0.0
    # Every outline pixel lies beside the step: the frame's end is no outline.
    assert find(prediction, truth, edge)[0].gradient == pytest.approx(50.0)
    assert math.isnan(find(np.ones_like(truth), truth, edge)[0].gradient)


def test_nothing_right_at_all_is_as_deep_as_the_frame() -> None:
    truth = np.full((30, 40), IGNORE, np.uint8)
    truth[5:10, 5:10] = 1
    (blob,) = find(np.full_like(truth, IGNORE), truth)
    assert blob.predicted_class == IGNORE
    assert blob.kind == "false negative"
    assert blob.depth_px == 50.0


def test_more_pairs_of_classes_than_eight_bits_hold() -> None:
    classes = np.arange(20, dtype=np.uint8)
    truth = np.repeat(classes, 20 * 3).reshape(20, 60).repeat(3, axis=0)
    prediction = np.tile(np.repeat(classes, 3), (60, 1))
    blobs = find(prediction, truth, num_classes=20)
    assert {(b.true_class, b.predicted_class) for b in blobs} == {
        (t, p) for t in range(20) for p in range(20) if t != p
    }
    assert [b.area_px for b in blobs] == [9] * 380


def test_a_blob_that_was_mended_has_no_pixels() -> None:
    truth = disk(8).astype(np.uint8)
    prediction = np.zeros_like(truth)
    (blob,) = find(prediction, truth)
    assert not blob.mask(prediction, prediction).any()
    truth[12:20] = 0
    assert not blob.mask(prediction, truth).any()


def test_what_does_not_fit_is_refused() -> None:
    mask = np.zeros((40, 60), np.uint8)
    with pytest.raises(InputError, match="the frame does not fit"):
        find(mask, mask, np.zeros((40, 61, 3), np.uint8))
    with pytest.raises(InputError, match="prediction and truth differ"):
        find(mask[1:], mask)
    with pytest.raises(InputError, match="no class of 4"):
        find(mask + np.uint8(4), mask)
    with pytest.raises(InputError, match="min_area_px = 0"):
        find(mask, mask, min_area_px=0)


def test_a_frame_of_512_by_512_takes_little_time() -> None:
    rng = np.random.default_rng(0)
    coarse = ndimage.gaussian_filter(rng.normal(size=(3, 512, 512)), (0, 12, 12))
    truth = coarse.argmax(axis=0).astype(np.uint8)
    prediction = np.roll(truth, (6, 9), (0, 1))
    frame = rng.integers(0, 256, (512, 512, 3), np.uint8)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        assert len(find(prediction, truth, frame)) > 100
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.3  # 20 ms alone; other processes may take the machine
