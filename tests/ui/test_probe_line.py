"""The line under the mouse."""

from __future__ import annotations

import numpy as np
import pytest
from review_cases import SCHEME, frame_pixels, hover, truth_mask

from napari_hogseg.inference.predictor import Predictor
from napari_hogseg.ui.probe_line import edge_text


def test_it_tells_mask_prediction_and_edge_from_any_panel(review, clip_folder, model_folder):
    review.open(clip_folder)
    review.load(model_folder)
    prediction = Predictor.load(model_folder).predict(frame_pixels(0))
    probabilities = Predictor.load(model_folder).probabilities(frame_pixels(0))
    for cell in ((0, 0), (1, 1)):
        for row, column in ((48, 40), (20, 118)):
            hover(review, row, column, cell=cell)
            mask, model = SCHEME.classes[truth_mask(0)[row, column]], SCHEME.classes[prediction[row, column]]
            sure = round(100 * probabilities[:, row, column].max())
            expected = f"({row}, {column}) · mask: {mask} · model: {model} {sure} %"
            review.wait(lambda expected=expected: review.dock.probe.text().startswith(expected))


@pytest.mark.parametrize(("degrees", "slope"), [(0, (1, 0)), (90, (0, 1)), (45, (-1, 1)), (135, (1, 1))])
def test_an_edge_has_its_angle(degrees, slope):
    """Edges of a ramp run across its slope."""
    rows, columns = np.mgrid[:48, :48]
    ramp = 120 + 1.5 * (slope[0] * (rows - 24) + slope[1] * (columns - 24))
    frame = np.repeat(np.clip(ramp, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    told = edge_text(frame, 20, 20, 12, 16)
    assert told.startswith("edge ")
    angle = float(told.split()[1].rstrip("°,"))
    off = abs(angle - degrees) % 180
    assert min(off, 180 - off) <= 8


def test_a_flat_cell_has_no_edge_and_a_cut_cell_none_at_all():
    flat = np.full((40, 40, 3), 90, np.uint8)
    assert edge_text(flat, 20, 20, 6, 16) == "no edge"
    assert edge_text(flat, 39, 39, 6, 16) == "no whole HOG cell here"
