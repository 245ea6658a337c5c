"""The view follows its cells until a person moves it, in a real window."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtTest import QTest
from review_cases import HEIGHT, WIDTH, canvas_of

from napari_hogseg.ui.fitted_view import SETTLE_MS

CELLS = 2
SPACING_PX = 6


def shown_share(review) -> float:
    """Larger of the two shares of its cell that the picture fills; above 1 it is cropped."""
    canvas, zoom = canvas_of(review), review.viewer.scene.camera.zoom
    cell = [(length - SPACING_PX) / CELLS for length in (canvas.width(), canvas.height())]
    return max(WIDTH * zoom / cell[0], HEIGHT * zoom / cell[1])


def wait_for_fit() -> None:
    QTest.qWait(4 * SETTLE_MS)


@pytest.fixture
def opened(review, clip_folder):
    review.open(clip_folder)
    wait_for_fit()
    return review


def test_panels_fill_their_cells_and_go_on_doing_so(opened) -> None:
    assert 0.9 < shown_share(opened) <= 1.0
    for width, height in ((1000, 700), (1700, 1000)):
        opened.viewer.window.resize(width, height)
        wait_for_fit()
        assert 0.9 < shown_share(opened) <= 1.0


def test_a_view_that_was_moved_stays_where_it_is(opened) -> None:
    camera = opened.viewer.scene.camera
    camera.zoom *= 3
    camera.center = (20.0, 30.0)
    QTest.qWait(50)
    zoom, center = camera.zoom, np.array(camera.center)
    opened.viewer.window.resize(1000, 700)
    wait_for_fit()
    assert camera.zoom == pytest.approx(zoom, rel=1e-3)
    np.testing.assert_allclose(camera.center, center, rtol=1e-3)


def test_a_hidden_panel_leaves_its_room_to_the_others(opened) -> None:
    before = opened.viewer.scene.camera.zoom
    for key in ("hog", "prediction", "errors"):
        opened.controller.set_panel_visible(key, visible=False)
    wait_for_fit()
    assert opened.viewer.scene.camera.zoom > 1.5 * before
