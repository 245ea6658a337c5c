"""An outline drawn with the mouse takes over the prediction inside, as one step, in any panel and layout."""

from __future__ import annotations

import json

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from review_cases import canvas_of, drag_on, settle

from napari_hogseg.session.ledger import LEDGER_FILE
from napari_hogseg.ui.cells import Cells
from napari_hogseg.ui.mending_section import NO_REGION
from napari_hogseg.ui.region_lasso import RegionLasso

LEFT, NO_KEY = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
OUTLINE = ((20, 30), (20, 80), (60, 80), (60, 30), (22, 30))


def points_in(review, key, places):
    """Pixels of the canvas where a panel shows these rows and columns."""
    viewer, canvas = review.viewer, canvas_of(review)
    cells = Cells.of(viewer, (canvas.height(), canvas.width()))
    panel = review.controller.grid.get(key)
    cell = viewer.canvas.grid.position(viewer.layers.index(panel.backdrop), viewer.layers)
    found = [cells.on_canvas(cell, place) for place in places]
    assert None not in found
    return [QPoint(round(x), round(y)) for y, x in found]


@pytest.fixture
def ready(review, clip_folder, model_folder):
    """A review with a prediction, and the brush in hand."""
    review.open(clip_folder)
    review.load(model_folder)
    review.controller.select_class(2)
    settle(review)
    return review


@pytest.mark.parametrize("key", ["truth", "prediction", "errors"])
def test_inside_the_outline_the_prediction_is_taken_over(ready, key):
    review, section = ready, ready.dock.mending
    session, canvas = review.controller.session, canvas_of(review)
    before, prediction = session.store.mask(0).copy(), session.live.predicted_class_ids.copy()
    QTest.keyClick(canvas, Qt.Key.Key_J, Qt.KeyboardModifier.ShiftModifier)
    assert section.lasso is not None
    assert section.of_region.isChecked()
    drag_on(section.lasso, points_in(review, key, OUTLINE))

    after = session.store.mask(0)
    inside = np.s_[24:56, 34:76]
    assert (before[inside] != prediction[inside]).any()
    np.testing.assert_array_equal(after[inside], prediction[inside])
    outside = np.ones(before.shape, bool)
    outside[17:64, 27:84] = False
    np.testing.assert_array_equal(after[outside], before[outside])
    assert section.note.text().startswith("Took over")

    QTest.keyClick(section.lasso, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)  # goes to the canvas
    np.testing.assert_array_equal(session.store.mask(0), before)
    QTest.keyClick(section.lasso, Qt.Key.Key_Escape)
    assert section.lasso is None
    assert not section.of_region.isChecked()
    assert session.store.flush()
    kinds = [
        json.loads(line)["kind"] for line in (session.store.folder / LEDGER_FILE).read_text().splitlines()
    ]
    assert kinds == ["accept", "undo"]


def test_in_a_swipe_and_beside_the_strip(ready):
    review, section = ready, ready.dock.mending
    store = review.controller.session.store
    for layout in ("swipe", "strip"):
        review.controller.set_layout(layout, *([("truth", "prediction")] if layout == "swipe" else []))
        settle(review)
        before = store.mask(0).copy()
        QTest.mouseClick(section.of_region, LEFT)
        drag_on(section.lasso, points_in(review, "truth", OUTLINE))
        prediction = review.controller.session.live.predicted_class_ids
        np.testing.assert_array_equal(store.mask(0)[24:56, 34:76], prediction[24:56, 34:76])
        review.controller.truth_layer.undo()
        np.testing.assert_array_equal(store.mask(0), before)
        QTest.mouseClick(section.of_region, LEFT)
        assert section.lasso is None


def test_no_outline_another_frame_and_another_clip(ready, clip_folder):
    review, section = ready, ready.dock.mending
    store = review.controller.session.store
    before = store.mask(0).copy()
    section.draw_region()
    points = points_in(review, "truth", OUTLINE)
    drag_on(section.lasso, points[:1])
    assert section.note.text() == NO_REGION
    drag_on(section.lasso, points, release=False)
    assert section.lasso._line
    review.goto(1)
    QTest.mouseRelease(section.lasso, LEFT, NO_KEY, points[-1])
    assert store.edited_frames == ()
    np.testing.assert_array_equal(store.mask(0), before)
    QTest.mousePress(section.lasso, Qt.MouseButton.RightButton, NO_KEY, points[0])
    assert section.lasso is None
    section.draw_region()
    assert section.lasso.size() == canvas_of(review).size()
    review.open(clip_folder)
    assert section.lasso is None


def test_wheel_and_hovering_mouse_are_the_canvas_own(ready):
    review, section = ready, ready.dock.mending
    camera, canvas = review.viewer.scene.camera, canvas_of(review)
    section.draw_region()
    (point,) = points_in(review, "prediction", [(40, 60)])
    review.wait(
        lambda: (
            QTest.mouseMove(section.lasso, point)
            or np.abs(np.array(review.viewer.cursor.position[-2:]) - (40, 60)).max() < 1
        )
    )
    before = camera.zoom
    at, everywhere = QPointF(point), QPointF(canvas.mapToGlobal(point))
    turn = QWheelEvent(
        at,
        everywhere,
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        NO_KEY,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(section.lasso, turn)
    review.wait(lambda: camera.zoom > before)
    section.draw_region()


def test_a_dock_that_is_closed_leaves_the_canvas_free(ready):
    review = ready
    review.dock.mending.draw_region()
    canvas = canvas_of(review)
    assert canvas.findChild(RegionLasso) is not None
    review.viewer.window.remove_dock_widget(review.dock)
    review.dock.deleteLater()
    review.wait(lambda: canvas.findChild(RegionLasso) is None)


def test_without_a_prediction_there_is_nothing_to_draw(review, clip_folder):
    review.open(clip_folder)
    section = review.dock.mending
    assert not section.of_region.isEnabled()
    section.draw_region()
    assert section.lasso is None
    assert not section.of_region.isChecked()
