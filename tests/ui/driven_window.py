"""A reviewer's whole way for `test_drive`: worst error, correction, masks carried on, saved, and then killed.

Run as `python driven_window.py VIDEO MASKS MODEL SESSIONS CORRECTED [PICTURES]`. Real mouse and key events.
"""

from __future__ import annotations

import sys
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from review_cases import canvas_of, canvas_point, drag, hover, settle
from reviewer import TOOL, save_masks, say, sit_down, wait
from scipy.ndimage import distance_transform_edt

MOST_TRIES = 12


def press(case, action):
    """Press the key of an action over the canvas."""
    canvas = canvas_of(case)
    canvas.setFocus()
    QTest.keyClick(canvas, case.controller.keys.key_of(action))
    QTest.qWait(50)


def photograph(case, pictures, name):
    if pictures:
        case.viewer.screenshot(str(Path(pictures) / f"{name}.png"), canvas_only=False, flash=False)


def correct_the_worst(case, pictures):
    """Go to the next frame's worst error by its key, take over the prediction there, and paint a stroke."""
    before = case.dock.triage._current
    while case.dock.triage._current is before or (before and case.dock.triage._current[0] == before[0]):
        press(case, "next_error")
    frame_index, blob = case.dock.triage._current
    wait(lambda: case.state().predicted == frame_index, "the prediction of the worst frame")
    settle(case)
    session = case.controller.session
    store, before = session.store, session.store.mask(frame_index)
    assert case.controller.selected_class == blob.true_class, "the brush is ready"
    photograph(case, pictures, "1-worst-error")
    # The pixel deepest inside: one of the canvas is several of the frame's.
    depth = distance_transform_edt(blob.mask(session.live.predicted_class_ids, before))
    row, col = np.unravel_index(depth.argmax(), depth.shape)
    hover(case, row, col, within_px=2 + 1 / case.viewer.scene.camera.zoom)
    press(case, "accept_error")
    taken_over = store.mask(frame_index)
    assert (taken_over != before).sum() >= blob.area_px / 2, "the prediction was taken over"
    case.controller.select_class(TOOL)
    row, col = case.viewer.scene.camera.center[-2:]
    reach = 40 / case.viewer.scene.camera.zoom
    drag(case, [canvas_point(case, row, col + shift) for shift in (-reach, 0, reach)])
    assert (store.mask(frame_index) != taken_over).any(), "painted"
    settle(case)
    photograph(case, pictures, "2-corrected")
    return frame_index


def carry_on(case, pictures):
    """Carry the corrected mask to its neighbours, accept the first proposal by its key; None without one."""
    section = case.dock.carrying
    section.opened = True
    frame_index = case.state().frame_index
    for button in (section.forward, section.backward):
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        wait(lambda: not section.worker.running, "the optical flow")
        QTest.qWait(100)
        if section.table.rowCount():
            break
        case.viewer.dims.set_current_step(0, frame_index)
    if not section.table.rowCount():  # the neighbours moved too far for a mask to be trusted there
        return None
    section.table.selectRow(0)
    target = int(section.table.item(0, 0).text())
    wait(lambda: case.state().shown == target, "the proposal's frame")
    settle(case)
    photograph(case, pictures, "3-proposal")
    press(case, "accept_proposal")
    assert target in case.controller.session.store.edited_frames, "accepted"
    return target


def main(video, masks, model, sessions, corrected, pictures=""):
    case = sit_down(video, sessions, masks, model)
    worker = lambda: case.dock.timeline.worker  # noqa: E731
    wait(lambda: worker() is not None and worker().idle and len(case.dock.triage.queue), "the survey", 400)
    QTest.qWait(500)
    frames, target = [], None
    while target is None:
        assert len(frames) < MOST_TRIES, case.dock.carrying.note.text()
        frames.append(correct_the_worst(case, pictures))
        target = carry_on(case, pictures)
    frames.append(target)
    store = case.controller.session.store
    wait(lambda: not store.unsaved_frames, "the disk")
    save_masks(case, corrected, frames)
    photograph(case, pictures, "4-saved")
    say(f"saved {sorted(np.load(corrected).files)}")
    napari.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
