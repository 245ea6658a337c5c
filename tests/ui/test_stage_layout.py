"""Layouts: two panels over each other."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from review_cases import canvas_of, write_clip


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
