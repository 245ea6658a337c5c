"""Proposals as a person uses them: asked for, looked at, accepted, rejected, taken back."""

from __future__ import annotations

import json
import threading

import cv2
import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMessageBox, QPushButton, QToolButton
from review_cases import HEIGHT, NUM_FRAMES, SCHEME, WIDTH, canvas_of, truth_mask, write_clip

from napari_hogseg.session.ledger import LEDGER_FILE
from napari_hogseg.ui.proposal_section import gap_round

TEXTURE = cv2.GaussianBlur(np.random.default_rng(3).random((HEIGHT, 3 * WIDTH, 3)), (0, 0), 1.5)
TEXTURE = (140 * (TEXTURE - TEXTURE.min()) / np.ptp(TEXTURE)).astype(np.uint8)
#: Everything but the tool at the edge goes this far with each frame.
SPEED_PX = 4


def textured(frame_index):
    """The clip's scene with tissue that moves along with the pupil."""
    tissue = TEXTURE[:, WIDTH - SPEED_PX * frame_index :][:, :WIDTH]
    picture = tissue + SCHEME.color_table()[truth_mask(frame_index)] // 4
    picture[:, 112:] = 200
    return picture


@pytest.fixture
def moving_clip(tmp_path):
    """A clip whose frames can be followed; only frame 1 has a mask."""
    folder = write_clip(tmp_path / "data", "moving")
    for frame_index in range(NUM_FRAMES):
        Image.fromarray(textured(frame_index)).save(folder / f"{frame_index:04d}.png")
        if frame_index != 1:
            (tmp_path / "data" / "masks" / "moving" / f"{frame_index:04d}.png").unlink()
    return folder


def ask(review, click):
    """Press a button and wait until nothing is computed any more."""
    section = review.dock.carrying
    section.opened = True
    QTest.mouseClick(click, Qt.MouseButton.LeftButton)
    review.wait(lambda: not section.worker.running)
    QTest.qWait(60)
    return section


def rows(section):
    table = section.table
    return [[table.item(row, column).text() for column in range(3)] for row in range(table.rowCount())]


def iou(mask, frame_index, class_id):
    truth = truth_mask(frame_index) == class_id
    return (truth & (mask == class_id)).sum() / (truth | (mask == class_id)).sum()


def ledger(store):
    assert store.flush()
    lines = (store.folder / LEDGER_FILE).read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_proposals_are_seen_but_not_written_until_accepted(review, moving_clip):
    review.open(moving_clip)
    review.goto(1)
    section = ask(review, review.dock.carrying.forward)
    store = review.controller.session.store
    assert [row[0] for row in rows(section)] == ["2", "3", "4", "5"]
    assert all(float(row[1]) > 0.55 and row[2] == "proposed" for row in rows(section))
    assert store.edited_frames == ()
    assert not store.has_mask(3)

    section.table.selectRow(1)  # a click on a row goes to its frame
    review.wait(lambda: review.state().shown == 3)
    QTest.qWait(80)
    proposal = np.asarray(review.layer("Unsaved proposal").data) - np.uint8(1)
    assert iou(proposal, 3, 0) > 0.85
    assert review.dock.show_section.boxes["proposal"].isChecked()
    assert [strip.name for strip in review.dock.timeline._strips(None)][-1] == "proposed"

    QTest.mouseClick(section.accept, Qt.MouseButton.LeftButton)
    assert store.edited_frames == (3,)
    assert iou(store.mask(3), 3, 0) > 0.85
    assert [row[0] for row in rows(section)] == ["2", "4", "5"]
    review.goto(4)
    QTest.mouseClick(section.reject, Qt.MouseButton.LeftButton)
    assert [row[0] for row in rows(section)] == ["2", "5"]
    assert store.edited_frames == (3,)

    canvas_of(review).setFocus()
    QTest.keyClick(canvas_of(review), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert review.viewer.dims.current_step[0] == 3  # the accepted one is gone to, and taken back
    assert (store.mask(3) == 255).all()
    assert store.flush()
    review.controller.close()
    by_flow = [entry for entry in map(json.loads, (store.folder / LEDGER_FILE).read_text().splitlines())
               if entry["kind"] == "propagate"]  # fmt: skip
    assert by_flow[0]["frame_index"] == 3
    assert by_flow[0]["proposed_by"]["name"] == "optical flow"


def test_all_above_a_confidence_are_accepted_but_not_over_ones_own_work(review, moving_clip):
    review.open(moving_clip)
    review.goto(1)
    section = ask(review, review.dock.carrying.forward)
    store, layer = review.controller.session.store, review.controller.truth_layer
    layer.data_setitem((np.array([4]), np.array([3]), np.array([3])), np.array([3]))  # painted meanwhile
    review.wait(lambda: ["4", "corrected by hand"] in [[row[0], row[2]] for row in rows(section)])
    least = min(float(row[1]) for row in rows(section) if row[0] in ("2", "3"))
    section.least.setValue(least - 0.01)
    QTest.mouseClick(section.above, Qt.MouseButton.LeftButton)
    assert {2, 3} <= set(store.edited_frames)
    painted = np.full((HEIGHT, WIDTH), 255, np.uint8)
    painted[3, 3] = 2
    np.testing.assert_array_equal(store.mask(4), painted)
    assert "left for you: 4" in section.note.text()

    review.goto(4)
    answer(QMessageBox.StandardButton.No)
    QTest.mouseClick(section.accept, Qt.MouseButton.LeftButton)
    np.testing.assert_array_equal(store.mask(4), painted)
    answer(QMessageBox.StandardButton.Yes)
    QTest.mouseClick(section.accept, Qt.MouseButton.LeftButton)
    assert iou(store.mask(4), 4, 0) > 0.8


def answer(button):
    """Press a button of the question that is about to be asked."""

    def press():
        box = next(each for each in QApplication.topLevelWidgets() if isinstance(each, QMessageBox))
        QTest.mouseClick(box.button(button), Qt.MouseButton.LeftButton)

    QTimer.singleShot(200, press)


def test_a_chain_says_where_another_scene_begins(review, moving_clip):
    for frame_index in (3, 4, 5):
        Image.fromarray(255 - textured(frame_index)).save(moving_clip / f"{frame_index:04d}.png")
    review.open(moving_clip)
    review.goto(1)
    section = ask(review, review.dock.carrying.forward)
    assert [row[0] for row in rows(section)] == ["2"]
    assert "Ended before frame 3: another scene" in section.note.text()


def test_between_corrected_frames_is_filled(review, moving_clip):
    review.open(moving_clip)
    section = ask(review, review.dock.carrying.fill)
    assert "Correct two frames" in section.note.text()
    store = review.controller.session.store
    for frame_index in (1, 4):
        store.paint(frame_index, ..., truth_mask(frame_index))
    store.paint(1, (0, 0), 2)
    review.goto(2)
    section = ask(review, section.fill)
    assert [row[0] for row in rows(section)] == ["2", "3"]
    for frame_index in (2, 3):
        assert iou(section.proposals.get(frame_index).mask, frame_index, 0) > 0.85
    assert store.edited_frames == (1, 4)


def test_a_frame_without_labels_is_not_carried(review, moving_clip):
    review.open(moving_clip)
    section = ask(review, review.dock.carrying.backward)
    assert "no labels" in section.note.text()
    assert rows(section) == []


def test_stopping_and_another_clip_leave_nothing_behind(review, moving_clip, clip_folder):
    review.open(moving_clip)
    review.goto(1)
    section, gate = review.dock.carrying, threading.Event()
    hold_at(review, 3, gate)
    window = section.window()
    window.findChild(QToolButton, "QtActivityButton").click()
    section.propagate(1)
    review.wait(lambda: [row[0] for row in rows(section)] == ["2"] and bool(activity(window)))
    (bar,) = activity(window)
    assert bar.description_label.text() == "Carrying masks: "
    assert bar.qt_progress_bar.maximum() == 4
    QTest.mouseClick(bar.findChild(QPushButton), Qt.MouseButton.LeftButton)  # in napari's activity dock
    assert not section.worker.running
    assert section.note.text() == "Stopped."
    gate.set()
    review.wait(lambda: not activity(window))
    assert [row[0] for row in rows(section)] == ["2"]

    gate.clear()
    section.propagate(1)
    review.wait(lambda: section.stop.isEnabled() and bool(activity(window)))
    QTest.mouseClick(section.stop, Qt.MouseButton.LeftButton)  # in the section itself
    assert section.note.text() == "Stopped."
    gate.set()
    ask(review, section.forward)
    assert rows(section)
    review.open(clip_folder)
    assert rows(section) == []
    assert not review.dock.show_section.boxes["proposal"].isChecked()
    assert review.controller.session.store.edited_frames == ()


def hold_at(review, frame_index, gate):
    """Let no chain go on to this frame before the gate is open."""
    source = review.controller.session.clip.source
    read = source.frame

    def frame(index):
        if index == frame_index and "proposing" in threading.current_thread().name:
            assert gate.wait(20)
        return read(index)

    source.frame = frame


def activity(window):
    """The bars in napari's activity dock."""
    found = [button.parentWidget() for button in window.findChildren(QPushButton, "")]
    return [each for each in found if type(each).__name__ == "QtLabeledProgressBar" and each.isVisible()]


@pytest.mark.parametrize(
    ("corrected", "frame_index", "gap"),
    [((1, 4), 2, (1, 4)), ((1, 4), 1, (1, 4)), ((1, 4), 4, (1, 4)), ((1, 2, 6), 1, None), ((), 0, None),
     ((1, 4, 8), 4, (1, 4)), ((1, 4), 7, None)],
)  # fmt: skip
def test_the_gap_is_the_one_round_the_frame(corrected, frame_index, gap):
    assert gap_round(corrected, frame_index) == gap
