"""Pictures against skimage's, and their contrast from frame to frame."""

from __future__ import annotations

import numpy as np
import pytest
from hog_reference import drawn_frame, read_real_frames, skimage_hog

from napari_hogseg.features.drawing import hog_picture, to_uint8, white_point
from napari_hogseg.features.hog import HogParams
from napari_hogseg.features.live import cell_histogram
from napari_hogseg.io.errors import InputError


def assert_picture_is_skimages(frame, orientations: int, cell_px: int) -> None:
    params = HogParams(orientations=orientations, cell_px=cell_px, block_cells=1)
    _, expected = skimage_hog(frame, params, visualize=True)
    picture = hog_picture(cell_histogram(frame, orientations, cell_px), cell_px)
    assert picture.dtype == np.float32
    height, width = (size - size % cell_px for size in frame.shape[:2])
    assert picture.shape == (height, width)
    # skimage adds a cell's votes in float32, which shows in cells of a thousand pixels.
    np.testing.assert_allclose(picture, expected[:height, :width], rtol=1e-5, atol=1e-5)
    assert not expected[height:].any()


@pytest.mark.parametrize(("orientations", "cell_px"), [(9, 8), (6, 16), (4, 20)])
def test_real_frames(shared_data, orientations: int, cell_px: int) -> None:
    for frame in read_real_frames(shared_data):
        assert_picture_is_skimages(frame, orientations, cell_px)


@pytest.mark.parametrize("cell_px", [2, 3, 4, 5, 7, 8, 11, 16, 32])
@pytest.mark.parametrize("orientations", [1, 2, 6, 9, 11, 13])
def test_every_cell_and_bin_count(orientations: int, cell_px: int) -> None:
    # Odd numbers of bins have a line along an axis, whose ends skimage rounds differently in the first cells.
    assert_picture_is_skimages(drawn_frame(5 * cell_px + 1, 6 * cell_px - 1), orientations, cell_px)


def test_lines_lie_along_the_edge() -> None:
    frame = np.zeros((48, 48, 3), dtype=np.uint8)
    frame[:, 24:] = 200  # a vertical edge
    picture = hog_picture(cell_histogram(frame, 9, 16), 16)
    rows, cols = np.nonzero(picture)
    assert np.ptp(rows[rows < 16]) > 3 * np.ptp(cols)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(InputError, match="2 pixels or more"):
        hog_picture(np.zeros((3, 3, 9), dtype=np.float32), 1)
    with pytest.raises(InputError, match="three axes"):
        hog_picture(np.zeros((3, 9), dtype=np.float32), 8)


def test_eight_bits_follow_the_stated_rule() -> None:
    picture = np.array([[0.0, 0.5, 12.5], [25.0, 50.0, 400.0]], dtype=np.float32)
    shown = to_uint8(picture, white=50.0)
    assert shown.dtype == np.uint8
    expected = np.round(255 * np.sqrt(np.minimum(picture / 50.0, 1)))
    np.testing.assert_array_equal(shown, expected)
    assert shown[1, 1] == shown[1, 2] == 255
    for white in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="above 0"):
            to_uint8(picture, white)


def test_white_ignores_highlights_and_empty_cells() -> None:
    histogram = np.zeros((40, 40, 9), dtype=np.float32)
    assert white_point(histogram) == 1.0
    histogram[:20, :, 3] = np.linspace(1, 20, 800, dtype=np.float32).reshape(20, 40)
    calm = white_point(histogram)
    assert 19 < calm < 20
    histogram[0, :4] = 350.0  # four glints among 800 cells
    assert white_point(histogram) == pytest.approx(calm, rel=0.02)


def test_white_stays_through_a_scene_and_moves_with_a_cut(shared_data) -> None:
    frame = read_real_frames(shared_data)[0]
    white = white_point(cell_histogram(frame, 9, 8))
    dimmer = (frame * 0.8).astype(np.uint8)
    assert white_point(cell_histogram(dimmer, 9, 8), previous=white) == white
    dark = (frame * 0.2).astype(np.uint8)
    moved = white_point(cell_histogram(dark, 9, 8), previous=white)
    assert moved == white_point(cell_histogram(dark, 9, 8)) < white / 2
