"""A reviewer at a window of their own, in a child process that can be killed: what the scripts share."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from review_cases import canvas_of, settle

from napari_hogseg.ui import review_controller
from napari_hogseg.ui.opening import open_review

TOOL = 2


def wait(condition, what="something", timeout_s=120):
    """Run the event loop until a condition holds; end the script where it never does."""
    for _ in range(20 * timeout_s):
        if condition():
            return
        QTest.qWait(50)
    sys.exit(f"waited in vain for {what}")


def sit_down(clip, sessions, masks=None, model=None):
    """Open a clip and wait for its first frame; returns what tests call a case."""
    review_controller.default_sessions_root = lambda: Path(sessions)
    dock = open_review(clip, masks, model)
    controller = dock.controller
    controller.viewer.window.resize(1280, 800)
    case = SimpleNamespace(viewer=controller.viewer, dock=dock, controller=controller, wait=wait)
    case.state = lambda: controller.session.live.state
    wait(lambda: controller.session is not None and case.state().shown == 0, "the first frame")
    settle(case)
    QTest.qWait(500)
    return case


def press_at(case, point):
    """Press the mouse on the canvas and hold it."""
    canvas = canvas_of(case)
    QTest.mouseMove(canvas, point)
    QTest.qWait(30)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, point)


def save_masks(case, path, frames):
    """Write the masks as the store has them, by frame."""
    np.savez(path, **{str(frame): case.controller.session.store.mask(frame) for frame in frames})


def say(line):
    """Tell the test; napari writes to the same place."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
