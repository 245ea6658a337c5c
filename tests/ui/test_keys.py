"""Keys of the review: real key events, changed keys, the list of them, the palette, what is remembered."""

from __future__ import annotations

import json
import logging

import pytest
from napari._app_model import get_app_model
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMainWindow
from review_cases import write_model

from napari_hogseg.io.errors import InputError
from napari_hogseg.ui import commands
from napari_hogseg.ui.keys import napari_keys, normal
from napari_hogseg.ui.preferences import FILE_NAME, Preferences, read_preferences
from napari_hogseg.ui.review_dock import ReviewDock
from napari_hogseg.ui.triage_panel import TriagePanel
from napari_hogseg.ui.triage_queue import ErrorLimits


def canvas():
    (window,) = [top for top in QApplication.topLevelWidgets() if isinstance(top, QMainWindow)]
    return next(each for each in window.findChildren(object) if type(each).__name__ == "CanvasBackendDesktop")


def press(key, modifier=Qt.KeyboardModifier.NoModifier):
    QTest.keyClick(canvas(), key, modifier)


def test_a_key_works_on_the_canvas_and_another_can_be_chosen(review, clip_folder):
    review.open(clip_folder)
    outlines, keys = review.dock.show_section.contours, review.controller.keys
    press(Qt.Key.Key_T)
    assert outlines.isChecked()
    keys.change("outlines", "shift-t")
    press(Qt.Key.Key_T)
    assert outlines.isChecked()
    press(Qt.Key.Key_T, Qt.KeyboardModifier.ShiftModifier)
    assert not outlines.isChecked()
    keys.reset()
    assert keys.key_of("outlines") == "T"
    press(Qt.Key.Key_T)
    assert outlines.isChecked()


@pytest.mark.parametrize("key", ["N", "P", "3", "O", "Ctrl+S", "Left", "Space"])
def test_a_key_that_has_a_meaning_is_refused(review, clip_folder, key):
    review.open(clip_folder)
    with pytest.raises(InputError, match=r"menus|chooses|timeline|napari|taken"):
        review.controller.keys.change("outlines", key)
    assert review.controller.keys.key_of("outlines") == "T"


def test_no_usual_key_is_another_ones(review, clip_folder):
    review.open(clip_folder)
    usual = [normal(action.usual) for action in review.controller.keys.actions]
    assert len(set(usual)) == len(usual) > 8
    assert not set(usual) & (napari_keys() | set("0123456789"))


def test_keys_are_given_back_at_the_end(review, clip_folder):
    review.open(clip_folder)
    assert review.viewer.keymap
    review.controller.close()
    assert not review.viewer.keymap


def test_the_list_changes_a_key_and_says_why_it_does_not(review, clip_folder, qtbot):
    review.open(clip_folder)
    press(Qt.Key.Key_K)
    dialog = review.dock.keys_dialog
    qtbot.waitUntil(dialog.isVisible)
    edit = dialog.edits["outlines"]
    QTest.keyClick(edit, Qt.Key.Key_W)
    qtbot.waitUntil(lambda: review.controller.keys.key_of("outlines") == "W")
    QTest.keyClick(edit, Qt.Key.Key_N)
    qtbot.waitUntil(lambda: "taken" in dialog.message.text())
    assert edit.keySequence().toString() == "W"
    dialog.usual.click()
    assert edit.keySequence().toString() == "T"
    dialog.close()


def test_what_is_chosen_is_there_the_next_time(review, clip_folder, make_napari_viewer_proxy, tmp_path):
    review.open(clip_folder)
    root = review.controller.sessions_root
    review.dock.steps.done.click()
    review.controller.keys.change("outlines", "W")
    review.dock.show_section.palette_box.setCurrentText("colour-blind safe")
    review.dock.hog.view.setCurrentText("energy")
    review.dock.triage.errors.min_area.setValue(50)
    review.dock.triage.errors.min_depth.setValue(2.5)
    review.controller.close()  # within the half second that it waits
    kept = read_preferences(root)
    assert (kept.keys, kept.hint_read) == ({"outlines": "W"}, True)
    assert (kept.palette, kept.hog_view) == ("colour-blind safe", "energy")
    assert kept.limits == ErrorLimits(50, 2.5)
    dock = ReviewDock(review.viewer)
    panel = TriagePanel(dock.controller)
    assert panel.errors.limits == ErrorLimits(50, 2.5)
    panel.deleteLater()
    assert dock.controller.keys.key_of("outlines") == "W"
    assert dock.show_section.palette_box.currentText() == "colour-blind safe"
    assert dock.hog.view.currentText() == "energy"
    assert dock.steps.isHidden()
    assert dock.controller.close()
    dock.deleteLater()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        json.dumps({"opacity": 7}),
        json.dumps({"keys": 3}),
        json.dumps({"min_error_area_px": 0}),
    ],
)
def test_a_file_that_makes_no_sense_gives_the_usual(tmp_path, caplog, text):
    (tmp_path / FILE_NAME).write_text(text)
    with caplog.at_level(logging.WARNING):
        assert read_preferences(tmp_path) == Preferences()
    assert FILE_NAME in caplog.text


def test_first_steps_go_with_the_first_clip(review, clip_folder):
    assert not review.dock.steps.isHidden()
    assert "J takes over" in review.dock.steps.text.text()
    review.open(clip_folder)
    assert review.dock.steps.isHidden()


def test_the_palette_runs_what_a_key_runs(review, clip_folder):
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "show_info", said.append)
        commands.next_error(review.viewer)
        assert said == [commands.NOT_YET]
    review.open(clip_folder)
    get_app_model().commands.execute_command("napari-hogseg.outlines").result()
    assert review.dock.show_section.contours.isChecked()


def test_the_palette_says_where_no_review_is(make_napari_viewer_proxy, monkeypatch):
    said = []
    monkeypatch.setattr(commands, "show_info", said.append)
    commands.keys(make_napari_viewer_proxy())
    assert said == [commands.NO_REVIEW]


def drop(widget, path):
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    given = Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(5, 5), *given)
    QApplication.sendEvent(widget, enter)
    place = QPointF(5, 5)
    event = QDropEvent(place, *given)
    event.setAccepted(False)
    QApplication.sendEvent(widget, event)
    return enter.isAccepted() and event.isAccepted()


def test_what_is_dropped_is_opened(review, clip_folder, tmp_path):
    assert drop(review.dock, clip_folder)
    review.wait(lambda: review.controller.session is not None)
    assert drop(review.dock, write_model(tmp_path / "model"))
    review.wait(lambda: review.controller.model is not None)
    session = review.controller.session
    review.wait(lambda: session.store.folder.joinpath("state.toml").exists())
    assert drop(review.dock, session.store.folder)
    review.wait(lambda: review.controller.session not in (None, session))
    assert review.controller.session.clip.source.path == session.clip.source.path
    assert drop(review.dock, tmp_path / "nothing.mp4")
    review.wait(lambda: "nothing.mp4" in review.dock.message.text())
