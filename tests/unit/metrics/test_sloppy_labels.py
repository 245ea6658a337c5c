"""Doubtful contours on drawn frames whose truth is known, and on frames that annotators labelled."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.sloppy_labels import ContourCheck, check_contours

HEIGHT, WIDTH = 160, 200
ROWS, COLS = np.mgrid[:HEIGHT, :WIDTH]
RADIUS = 45


def disk(radius=RADIUS, row=80, col=100):
    return ((ROWS - row) ** 2 + (COLS - col) ** 2 <= radius**2).astype(np.uint8)


def picture_of(mask, noise=6.0, levels=(150, 90, 60)):
    """A frame of a mask: flat regions, a soft edge, noise."""
    values = np.array(levels)[mask][..., None] + np.random.default_rng(0).normal(0, noise, (*mask.shape, 3))
    return np.clip(cv2.GaussianBlur(values, (0, 0), 1), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def frame():
    return picture_of(disk())


def test_an_exact_mask_is_agreed_with(frame) -> None:
    report = check_contours(disk(), frame)
    assert report.score < 0.02
    assert report.segments == ()
    assert 200 < report.num_judged < 320  # the circle, judged once


@pytest.mark.parametrize(("rows", "cols"), [(0, 5), (5, 0), (0, -5), (-4, 4)])
def test_a_shifted_mask_is_found_where_it_left_the_edge(frame, rows, cols) -> None:
    report = check_contours(disk(row=80 + rows, col=100 + cols), frame)
    shift = np.array([rows, cols]) / math.hypot(rows, cols)
    worst = report.segments[0]
    place = worst.path.mean(axis=0) - (80, 100)
    # In front of or behind the disk, in the direction of the shift; not at its sides.
    assert abs(place @ shift) > 0.9 * np.linalg.norm(place)
    assert report.score > 0.2
    # The edge lies where the mask came from: `other_class` is the disk here, as 0 judges.
    assert (worst.class_id, worst.other_class) == (0, 1)
    assert abs(worst.offset_px) == pytest.approx(math.hypot(rows, cols), abs=1.5)
    assert np.sign(worst.offset_px) == np.sign(place @ shift)
    assert worst.off_gradient > 3 * worst.on_gradient
    assert worst.disagreements.shape == (worst.length_px,)
    assert worst.disagreements.mean() == pytest.approx(worst.disagreement, abs=1e-6)
    assert worst.angle_deg < 15


def test_a_corner_cut_off_is_found_and_nothing_else(frame) -> None:
    # The chord lies at most 7 px within the circle.
    report = check_contours(np.where(ROWS + COLS > 180 + 1.414 * (RADIUS - 7), 0, disk()), frame)
    assert len(report.segments) == 1
    (segment,) = report.segments
    assert np.all(segment.path.sum(axis=1) > 180 + 1.2 * (RADIUS - 7))
    row0, col0, row1, col1 = segment.bbox
    assert segment.path.min(axis=0).tolist() == [row0, col0]
    assert segment.path.max(axis=0).tolist() == [row1 - 1, col1 - 1]
    assert segment.offset_px < -3  # outwards: the cut lies in class 0, away from the disk


def test_a_contour_across_an_edge_is_turned() -> None:
    truth = np.zeros((HEIGHT, WIDTH), np.uint8)
    truth[80:] = 1
    across = np.zeros((HEIGHT, WIDTH), np.uint8)
    across[:, 100:] = 1
    (segment,) = check_contours(truth, picture_of(across, noise=2.0)).segments
    assert math.isnan(segment.offset_px)
    assert segment.angle_deg > 80
    assert abs(segment.path[:, 1].mean() - 100) < 3


def test_texture_alone_contradicts_nothing() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    assert check_contours(disk(), noise).segments == ()


def test_an_open_contour_agrees_with_an_edge_anywhere_in_its_void(frame) -> None:
    void = np.where((disk(RADIUS + 1) == 1) & (disk(RADIUS - 9) == 0), 255, disk()).astype(np.uint8)
    report = check_contours(void, frame)
    assert report.num_judged > 200
    assert report.score < 0.02
    unlabelled = np.where(disk(30) == 1, np.uint8(1), np.uint8(255))
    assert math.isnan(check_contours(unlabelled, frame).score)


def test_the_far_side_of_a_thin_tool_is_no_better_place() -> None:
    truth = np.zeros((HEIGHT, WIDTH), np.uint8)
    truth[:, 100:106] = 2
    picture = picture_of(truth, levels=(150, 0, 130))  # its left edge ...
    picture[:, 106:] = np.minimum(picture[:, 106:], 60)  # ... is weak, its right one strong
    assert check_contours(truth, picture).segments == ()
    assert check_contours(np.where(COLS >= 100, truth[0, 100], 0), picture).segments != ()


def test_a_contour_along_a_thin_line_is_agreed_with() -> None:
    truth = np.zeros((HEIGHT, WIDTH), np.uint8)
    truth[:, 100:] = 1
    furrow = np.where(np.abs(COLS - 100) <= 2, 1, 0)
    assert check_contours(truth, picture_of(furrow)).segments == ()
    beside = np.where(np.abs(COLS - 106) <= 2, 1, 0)
    assert len(check_contours(truth, picture_of(beside)).segments) == 1


def test_the_frames_end_is_no_contour(frame) -> None:
    report = check_contours(np.ones((HEIGHT, WIDTH), np.uint8), frame)
    assert (report.num_judged, report.segments) == (0, ())
    assert math.isnan(report.score)


def test_limits_are_options(frame) -> None:
    shifted = disk(col=105)
    assert check_contours(shifted, frame, options=ContourCheck(tolerance_px=7)).segments == ()
    assert check_contours(shifted, frame, options=ContourCheck(min_gradient=50)).score == 0
    assert check_contours(shifted, frame, options=ContourCheck(min_length_px=200)).segments == ()


def test_sizes_must_fit(frame) -> None:
    with pytest.raises(InputError, match="the frame does not fit"):
        check_contours(disk()[1:], frame)


def test_a_moved_mask_of_a_real_frame_is_worse_than_its_own(shared_data) -> None:
    dataset = open_dataset(shared_data / "vocalfolds")
    for sample in dataset.samples[::60]:
        frame, truth = dataset.read_frame(sample), dataset.read_mask(sample)
        closed = np.where(truth == 255, 1, truth)  # void would move along and agree
        inside = (slice(8, -8), slice(8, -8))
        moved = np.roll(closed, (5, 5), (0, 1))[inside]
        own = check_contours(closed[inside], frame[inside])
        assert check_contours(moved, frame[inside]).score > 1.3 * own.score
