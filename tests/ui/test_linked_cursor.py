"""The cross in all other panels."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from review_cases import canvas_of, canvas_point

from napari_hogseg.ui.cells import Cells


def move_to(review, row, column, cell):
    def there():  # the window may still be laying out its docks: the place is asked for anew
        QTest.mouseMove(canvas_of(review), canvas_point(review, row, column, cell=cell))
        QTest.qWait(20)
        return review.viewer.cursor.viewbox == cell

    review.wait(there)
    QTest.qWait(20)


@pytest.mark.parametrize("zoom", [1.0, 2.5])
def test_a_cross_lies_where_the_mouse_would_point_at_the_same_place(review, clip_folder, zoom):
    """napari itself says which place of the image a cross is on, once the mouse goes there."""
    review.open(clip_folder)
    review.wait(lambda: review.viewer.scene.camera.zoom > 1)
    QTest.qWait(300)
    review.viewer.scene.camera.zoom *= zoom
    move_to(review, 40, 60, (0, 0))
    wanted = review.viewer.cursor.position[-2:]
    points = review.dock.linked_cursor.overlay.points
    assert len(points) == 3
    seen = set()
    for y, x in points:
        QTest.mouseMove(canvas_of(review), QPoint(round(x), round(y)))
        QTest.qWait(20)
        seen.add(review.viewer.cursor.viewbox)
        within = 1.0 / review.viewer.scene.camera.zoom  # a pixel of the screen
        np.testing.assert_allclose(review.viewer.cursor.position[-2:], wanted, atol=within)
    assert seen == {(0, 1), (1, 0), (1, 1)}


def test_the_crosses_follow_hidden_and_enlarged_panels_and_leave_with_the_mouse(review, clip_folder):
    review.open(clip_folder)
    QTest.qWait(300)
    linked = review.dock.linked_cursor
    move_to(review, 40, 60, (0, 0))
    pixels = linked.overlay.grab().toImage()
    y, x = (round(each) for each in linked.overlay.points[0])
    arm = [pixels.pixelColor(x + 6, y + offset).lightness() for offset in (-1, 0, 1)]
    assert arm == [0, 255, 0]  # white on black, whatever lies beneath
    QApplication.sendEvent(canvas_of(review), QEvent(QEvent.Type.Leave))
    assert linked.overlay.points == ()
    review.controller.set_panel_visible("errors", visible=False)
    QTest.qWait(300)
    move_to(review, 40, 61, (0, 1))
    assert len(linked.overlay.points) == 2
    review.controller.enlarge("hog")
    QTest.qWait(300)
    move_to(review, 40, 62, (0, 0))
    assert linked.overlay.points == ()


def test_what_a_cell_cuts_off_has_no_cross():
    cells = Cells(shape=(2, 2), size_px=(100.0, 200.0), spacing_px=6.0, center=(50.0, 50.0), zoom=2.0)
    assert cells.on_canvas((1, 1), (50.0, 50.0)) == (156.0, 306.0)
    assert cells.on_canvas((0, 0), (80.0, 50.0)) is None
