"""A reviewer's window for `test_killed_window`: paints with the mouse, and waits in a stroke to be killed.

Run as `python killed_window.py CLIP SESSIONS PAINTED`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import napari
import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from review_cases import canvas_of, canvas_point, drag, goto, settle

from napari_hogseg.ui import review_controller
from napari_hogseg.ui.opening import open_review

#: Frame, and where on it the stroke runs, as shares of height and width.
STROKES = ((1, 0.25), (4, 0.75))
LAST_FRAME, LAST_ROW = 2, 0.5
TOOL = 2


def wait(condition):
    for _ in range(1200):
        if condition():
            return
        QTest.qWait(50)
    sys.exit("timed out")


def stroke(case, row, cols):
    """Points of a stroke along a row, on the canvas."""
    _, height, width = case.controller.session.store.shape
    return [canvas_point(case, row * height, col * width) for col in cols]


def main(clip, sessions, painted):
    review_controller.default_sessions_root = lambda: Path(sessions)
    dock = open_review(clip)
    controller = dock.controller
    viewer = controller.viewer
    viewer.window.resize(1280, 800)
    case = SimpleNamespace(viewer=viewer, dock=dock, controller=controller, wait=wait)
    case.state = lambda: controller.session.live.state
    wait(lambda: controller.session is not None and case.state().shown == 0)
    settle(case)
    QTest.qWait(500)
    for frame_index, row in STROKES:
        goto(case, frame_index)
        controller.select_class(TOOL)
        drag(case, stroke(case, row, (0.3, 0.5, 0.7)))
    masks = {str(frame): controller.session.store.mask(frame) for frame, _ in STROKES}
    np.savez(painted, **masks)
    QTest.qWait(1000)
    goto(case, LAST_FRAME)
    points = stroke(case, LAST_ROW, (0.3, 0.4))
    canvas = canvas_of(case)
    QTest.mouseMove(canvas, points[0])
    QTest.qWait(30)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, points[0])
    QTest.mouseMove(canvas, points[1])
    QTest.qWait(30)
    sys.stdout.write("in a stroke\n")
    sys.stdout.flush()
    napari.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
