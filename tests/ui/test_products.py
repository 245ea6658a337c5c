"""What is computed for a frame: equal to the modules it is made of."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hogseg.features.drawing import hog_picture, to_uint8, white_point
from napari_hogseg.features.live import cell_histogram
from napari_hogseg.metrics.boundary import boundary_iou, surface_dice
from napari_hogseg.metrics.error_map import boundary_errors
from napari_hogseg.ui.products import FrameRenderer, HogSettings, compare, draw_hog

RNG = np.random.default_rng(5)
FRAME = RNG.integers(0, 255, (50, 61, 3)).astype(np.uint8)


def test_the_hog_map_is_padded_to_the_frame():
    picture, white = draw_hog(FRAME, HogSettings(6, 16), None)
    histogram = cell_histogram(FRAME, 6, 16)
    assert white == white_point(histogram)
    assert picture.shape == (50, 61)
    np.testing.assert_array_equal(picture[:48, :48], to_uint8(hog_picture(histogram, 16), white))
    assert not picture[48:].any()
    assert not picture[:, 48:].any()


class Clip:
    """A source of two frames, the second a little brighter."""

    def frame(self, frame_index):
        return FRAME if frame_index == 0 else (FRAME // 10 * 9)


class Masks:
    """Notes what is read ahead."""

    def __init__(self):
        self.read = []

    def prefetch(self, frame_index):
        self.read.append(frame_index)


def test_white_is_steady_within_a_clip_and_new_with_other_cells():
    masks = Masks()
    renderer = FrameRenderer(Clip(), masks)
    first = renderer.render(0, HogSettings(6, 16))
    second = renderer.render(1, HogSettings(6, 16))
    _, white = draw_hog(FRAME, HogSettings(6, 16), None)
    np.testing.assert_array_equal(second.hog_map, draw_hog(second.frame, HogSettings(6, 16), white)[0])
    other = renderer.render(1, HogSettings(9, 8))
    np.testing.assert_array_equal(other.hog_map, draw_hog(other.frame, HogSettings(9, 8), None)[0])
    assert first.frame is FRAME
    assert renderer.render(0, None).hog_map is None
    assert masks.read[:5] == [0, 1, 2, 3, 1]


def test_a_comparison_is_what_the_metrics_say():
    truth = np.repeat(np.repeat(RNG.integers(0, 3, (6, 6)), 8, 0), 8, 1).astype(np.uint8)
    truth[:, :5] = 255
    prediction = np.roll(truth, 2, axis=1)
    prediction[prediction == 255] = 1
    comparison = compare(7, prediction, truth, 4, 3)
    assert comparison.frame_index == 7
    np.testing.assert_array_equal(comparison.error_map, boundary_errors(prediction, truth, 3))
    scores, known = comparison.scores, truth != 255
    for class_id in range(3):
        inside = (prediction == class_id) & known
        union = inside | (truth == class_id)
        assert scores.iou[class_id] == pytest.approx((inside & (truth == class_id)).sum() / union.sum())
        assert scores.boundary_iou[class_id] == boundary_iou(prediction, truth, class_id, 3)
        assert scores.surface_dice[class_id] == surface_dice(prediction, truth, class_id, 3)
    assert np.isnan(scores.iou[3])
    assert np.isnan(scores.surface_dice[3])
    assert scores.mean_iou == pytest.approx(np.mean(scores.iou[:3]))
