"""A reviewer's window for `test_killed_window`: paints with the mouse, and waits in a stroke to be killed.

Run as `python killed_window.py CLIP SESSIONS PAINTED`.
"""

from __future__ import annotations

import sys

import napari
from qtpy.QtTest import QTest
from review_cases import canvas_of, canvas_point, drag, goto
from reviewer import TOOL, press_at, save_masks, say, sit_down

#: Frame, and where on it the stroke runs, as shares of height and width.
STROKES = ((1, 0.25), (4, 0.75))
LAST_FRAME, LAST_ROW = 2, 0.5


def stroke(case, row, cols):
    """Points of a stroke along a row, on the canvas."""
    _, height, width = case.controller.session.store.shape
    return [canvas_point(case, row * height, col * width) for col in cols]


def main(clip, sessions, painted):
    case = sit_down(clip, sessions)
    for frame_index, row in STROKES:
        goto(case, frame_index)
        case.controller.select_class(TOOL)
        drag(case, stroke(case, row, (0.3, 0.5, 0.7)))
    save_masks(case, painted, [frame for frame, _ in STROKES])
    QTest.qWait(1000)
    goto(case, LAST_FRAME)
    points = stroke(case, LAST_ROW, (0.3, 0.4))
    press_at(case, points[0])
    QTest.mouseMove(canvas_of(case), points[1])
    QTest.qWait(30)
    say("in a stroke")
    napari.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
