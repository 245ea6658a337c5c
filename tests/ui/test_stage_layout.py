"""Layouts: two panels over each other; one large with a strip of the others."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from review_cases import canvas_of, drag, drag_on, settle, write_clip

LEFT, NO_KEY = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def at(review, x):
    """Brightness of the canvas in the middle row, at a share of its width."""
    canvas = canvas_of(review)
    image = canvas.grab().toImage()
    color = image.pixelColor(int(x * image.width()), image.height() // 3)
    return np.array(color.getRgb()[:3])


def test_a_swipe_shows_one_panel_left_and_the_other_right_of_the_divider(review, clip_folder, tmp_path):
    review.open(clip_folder)
    controller, show = review.controller, review.dock.show_section
    for key, value in (("truth", 40), ("errors", 200)):
        panel = controller.grid.get(key)
        panel.overlay.opacity, panel.backdrop.opacity = 0, 1
        panel.backdrop.data[...] = value
        panel.backdrop.refresh()
    controller.set_layout("swipe", ("truth", "errors"))
    QTest.qWait(400)
    divider = controller.stage.divider
    assert divider.isVisible()
    assert show.layout_box.currentText() == "swipe"
    np.testing.assert_allclose([at(review, 0.45).mean(), at(review, 0.55).mean()], [40, 200], atol=2)
    middle = QPoint(divider.width() // 2, 30)
    QTest.mousePress(divider, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle)
    there = QPointF(middle + QPoint(round(0.15 * canvas_of(review).width()), 0))
    left, no_key = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    moved = QMouseEvent(QEvent.Type.MouseMove, there, left, left, no_key)  # QTest moves without a button
    QApplication.sendEvent(divider, moved)
    QTest.mouseRelease(divider, Qt.MouseButton.LeftButton)
    QTest.qWait(100)
    np.testing.assert_allclose(at(review, 0.55).mean(), 40, atol=2)
    camera = review.viewer.scene.camera  # the divider stays where it is on screen
    camera.zoom, camera.center = camera.zoom * 3, (camera.center[-2] + 3, camera.center[-1] + 9)
    QTest.qWait(100)
    np.testing.assert_allclose([at(review, 0.6).mean(), at(review, 0.7).mean()], [40, 200], atol=2)
    review.open(write_clip(tmp_path / "other", "clip_b"))
    assert [panel.key for panel in controller.grid.panels if panel.backdrop.visible] == ["truth"]
    assert divider.isVisible()
    controller.set_layout("grid")
    QTest.qWait(300)
    assert not divider.isVisible()
    assert review.viewer.canvas.grid.actual_shape(review.viewer.layers) == (2, 2)


def test_a_pair_of_one_panel_is_refused(review, clip_folder):
    review.open(clip_folder)
    review.controller.set_layout("swipe", ("hog", "hog"))
    assert "two panels" in review.dock.message.text()
    assert review.controller.stage.name == "grid"


def window_point(widget, key, row, column):
    """Where a place of the image is in a panel that Qt paints."""
    x, y = widget.windows()[key].point(row, column)
    return QPoint(round(x), round(y))


def point_at(review, widget, key, row, column):
    """Move the mouse there until napari's cursor has it."""

    def arrived():
        QTest.mouseMove(widget, window_point(widget, key, row, column))
        QTest.qWait(20)
        there = review.viewer.cursor.position[-2:]
        within = 1.0 / widget.windows()[key].zoom
        return (
            review.controller.stage.pointed == key
            and abs(there[0] - row) + abs(there[1] - column) < 2 * within
        )

    review.wait(arrived)


def test_the_mouse_acts_on_the_panel_that_is_under_it_in_a_swipe(review, clip_folder, model_folder):
    review.open(clip_folder)
    review.load(model_folder)
    controller, store = review.controller, review.controller.session.store
    controller.set_layout("swipe", ("prediction", "truth"))  # painted on the right: napari draws it there too
    QTest.qWait(400)
    cover, before = controller.stage.cover, store.mask(0)
    assert (cover.key, cover.at_right) == ("prediction", False)
    point_at(review, cover, "prediction", 30, 20)
    assert controller.stage.panel_under_mouse() == "prediction"
    review.wait(lambda: review.dock.probe.text().startswith("(30, 20)"))
    controller.select_class(2)
    drag_on(cover, [window_point(cover, "prediction", 30, column) for column in (20, 30)])
    np.testing.assert_array_equal(store.mask(0), before)
    assert "Strokes go to Ground truth" in review.dock.status.text()
    row, column = cover.windows()["prediction"].place(
        canvas_of(review).width() * 0.7, canvas_of(review).height() / 2
    )
    points = [
        QPoint(*(round(each) for each in cover.windows()["prediction"].point(row, column + step)))
        for step in (0, 5)
    ]
    drag(review, points)
    review.wait(lambda: (store.mask(0) != before).any())
    assert (np.argwhere(store.mask(0) != before)[:, 1] > WIDTH_MIDDLE).all()
    controller.truth_layer.mode = "pan_zoom"

    QTest.mouseDClick(cover, LEFT, NO_KEY, window_point(cover, "prediction", 30, 20))
    assert controller.grid.enlarged == "prediction"
    review.wait(lambda: not cover.isVisible())
    QTest.mouseDClick(canvas_of(review), LEFT, NO_KEY, canvas_of(review).rect().center())
    review.wait(cover.isVisible)
    assert (controller.grid.enlarged, controller.stage.name) == (None, "swipe")


WIDTH_MIDDLE = 60


def test_a_swipe_ends_where_one_of_its_panels_goes(review, clip_folder):
    review.open(clip_folder)
    controller, show = review.controller, review.dock.show_section
    controller.set_layout("swipe", ("hog", "errors"))
    QTest.qWait(200)
    cover = controller.stage.cover
    assert cover.isVisible()
    show.boxes["errors"].setChecked(False)
    assert controller.stage.name == show.layout_box.currentData() == "grid"
    assert "Boundary errors is not shown" in review.dock.status.text()
    assert [panel.key for panel in controller.grid.panels if panel.backdrop.visible] == [
        "truth",
        "hog",
        "prediction",
    ]
    controller.set_layout("swipe", ("hog", "errors"))
    review.wait(cover.isVisible)
    assert show.boxes["errors"].isChecked()
    review.viewer.layers.remove("HOG map")  # the one that napari draws
    review.wait(lambda: controller.stage.name == "grid" and not cover.isVisible())
    review.wait(lambda: "Frame (HOG)" not in [layer.name for layer in review.viewer.layers])
    seen = [panel.key for panel in controller.grid.panels if panel.backdrop.visible]
    assert seen == ["truth", "prediction", "errors"]
    controller.enlarge("errors")
    review.viewer.layers.remove("Boundary errors")
    review.wait(lambda: review.layer("Ground truth").visible)  # not an empty canvas


def test_one_large_panel_and_a_strip_of_the_others(review, clip_folder, model_folder):
    review.open(clip_folder)
    review.load(model_folder)
    controller, show, canvas = review.controller, review.dock.show_section, canvas_of(review)
    whole, room = canvas.height() * canvas.width(), room_beside(canvas)
    QTest.keyClick(canvas, Qt.Key.Key_Q)
    assert controller.stage.name == show.layout_box.currentData() == "strip"
    strip = controller.stage.strip
    review.wait(lambda: strip.isVisible() and canvas.height() * canvas.width() < whole)
    review.wait(lambda: set(strip.pictures) == {"hog", "prediction", "errors"})
    settle(review)
    assert review.viewer.canvas.grid.actual_shape(review.viewer.layers) == (1, 1)
    assert not strip.geometry().intersects(canvas.geometry())

    point_at(review, strip, "errors", 40, 60)  # a cross in the large panel, and in the small ones but its own
    ((y, x),) = review.dock.linked_cursor.overlay.points
    np.testing.assert_allclose(strip.cross, (40, 60), atol=1)
    camera = review.viewer.scene.camera
    np.testing.assert_allclose(
        ((y - canvas.height() / 2) / camera.zoom, (x - canvas.width() / 2) / camera.zoom),
        np.array(strip.cross) - camera.center[-2:],
        atol=0.5,
    )
    review.wait(lambda: probe_is_at_the_cursor(review))
    leave_when_the_canvas_has_the_cursor(review, strip)

    def on_the_canvas():  # moved again and again: the X server may be a move behind
        QTest.mouseMove(canvas, QPoint(round(x), round(y)))
        return controller.stage.pointed is None and strip.cross is not None

    review.wait(on_the_canvas)
    np.testing.assert_allclose(review.viewer.cursor.position[-2:], (40, 60), atol=1)
    review.wait(lambda: probe_is_at_the_cursor(review))
    assert review.dock.linked_cursor.overlay.points == ()

    paint_on_the_large_panel(review, QPoint(round(x), round(y)))

    zoom = camera.zoom
    drag_on(strip, [window_point(strip, "hog", 40, column) for column in (60, 70)])
    assert camera.center[-1] < 60
    camera.zoom = 2 * zoom
    before_px = strip.windows()["hog"].zoom
    QTest.mouseDClick(strip, LEFT, NO_KEY, window_point(strip, "prediction", 48, 50))
    assert (controller.stage.large, show.large.currentData()) == ("prediction", "prediction")
    review.wait(lambda: camera.zoom < 1.5 * zoom and strip.windows()["hog"].zoom < before_px)  # fitted anew
    assert review.layer("Prediction").visible
    assert not review.layer("Ground truth").visible
    controller.select_class(1)
    assert "cannot be painted" in review.dock.status.text()
    review.wait(lambda: "truth" in strip.pictures)

    for key in ("residual", "difference", "proposal"):
        show.boxes[key].setChecked(True)
    review.wait(lambda: len(strip.windows()) == 6)
    review.viewer.layers.remove("Prediction")  # another panel is large now
    review.wait(lambda: controller.stage.large == "truth" and review.layer("Ground truth").visible)
    assert len(strip.windows()) == 5
    QTest.mouseDClick(canvas, LEFT, NO_KEY, canvas.rect().center())
    review.wait(lambda: not strip.isVisible() and controller.grid.enlarged == "truth")
    QTest.keyClick(canvas, Qt.Key.Key_Q, Qt.KeyboardModifier.ShiftModifier)
    review.wait(lambda: room_beside(canvas) == room)
    assert controller.stage.name == "grid"


def room_beside(canvas):
    """What the canvas leaves of its column to others; the window may give the column itself another size."""
    host = canvas.parentWidget()
    return host.width() - canvas.width(), host.height() - canvas.height()


def leave_when_the_canvas_has_the_cursor(review, strip):
    """Qt 6 may tell the canvas of the mouse before it tells the strip that it was left: the cross stays."""
    review.viewer.cursor.position = (0, 30, 50)
    QApplication.sendEvent(strip, QEvent(QEvent.Type.Leave))
    assert (review.controller.stage.pointed, strip.cross) == (None, (30, 50))


def paint_on_the_large_panel(review, point):
    """Paint where the strip's panel was pointed at, (40, 60)."""
    store = review.controller.session.store
    before = store.mask(0)
    review.controller.select_class(2)
    drag(review, [point, point + QPoint(8, 0)])
    review.wait(lambda: store.mask(0)[40, 60] == 2 != before[40, 60])
    review.controller.truth_layer.mode = "pan_zoom"


def probe_is_at_the_cursor(review):
    row, column = (round(each) for each in review.viewer.cursor.position[-2:])
    return review.dock.probe.text().startswith(f"({row}, {column})")
