"""Undo and redo with the keys a person presses: no other frame changes unseen."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from review_cases import canvas_of, canvas_point, drag, truth_mask

from napari_hogseg.session.ledger import LEDGER_FILE
from napari_hogseg.ui.undo_guard import UndoGuard

CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def press(review, modifiers):
    canvas = canvas_of(review)
    canvas.setFocus()
    QTest.keyClick(canvas, Qt.Key.Key_Z, modifiers)
    QTest.qWait(30)


def shown(review):
    return int(review.viewer.dims.current_step[0])


def stroke(review, row):
    drag(review, [canvas_point(review, row, col) for col in (60, 70, 80)])


def test_the_keys_go_to_the_frame_of_the_stroke_first(review, clip_folder):
    review.open(clip_folder)
    review.controller.select_class(2)
    review.goto(1)
    stroke(review, 60)
    store = review.controller.session.store
    painted = store.mask(1)
    assert (painted != truth_mask(1)).any()
    review.goto(4)
    stroke(review, 70)
    assert store.edited_frames == (1, 4)

    press(review, CONTROL)  # frame 4, which is on screen: nothing moves
    assert shown(review) == 4
    np.testing.assert_array_equal(store.mask(4), truth_mask(4))
    assert "Undone" not in review.dock.status.text()

    press(review, CONTROL)  # frame 1
    assert shown(review) == 1
    np.testing.assert_array_equal(store.mask(1), truth_mask(1))
    assert "Undone on frame 1; you were on 4" in review.dock.status.text()

    review.goto(5)
    assert "Undone" not in review.dock.status.text()
    press(review, CONTROL | SHIFT)
    assert shown(review) == 1
    np.testing.assert_array_equal(store.mask(1), painted)
    review.wait(lambda: review.state().shown == 1)

    review.goto(3)
    for _ in range(3):  # one step, then none is left: the slider stays where the last one lay
        press(review, CONTROL)
    assert shown(review) == 1
    assert store.flush()
    review.controller.close()
    ledger = (store.folder / LEDGER_FILE).read_text()
    assert '"undo"' in ledger
    assert '"redo"' in ledger


def test_a_layer_that_is_made_anew_is_guarded_too(review, clip_folder):
    review.open(clip_folder)
    del review.viewer.layers["Ground truth"]
    review.controller.set_panel_visible("truth", visible=True)
    review.controller.truth_layer.fill((2, 48, 48), 3)
    review.goto(0)
    review.controller.truth_layer.undo()
    assert shown(review) == 2


@pytest.fixture
def guarded():
    """A plain napari layer of 5 frames, where it was gone to, and what was said."""
    layer = Labels(np.zeros((5, 8, 9), np.uint8))
    at, said = [0], []
    UndoGuard(layer, None, on_screen=lambda: at[-1], go_to=at.append, say=said.append)
    return layer, at, said


def test_a_step_over_several_frames_names_them(guarded):
    layer, at, said = guarded
    frames = np.array([1, 1, 3])
    layer.data_setitem((frames, np.array([2, 3, 4]), np.array([5, 5, 5])), np.array([1, 2, 1]))
    layer.undo()
    assert at == [0, 1]
    assert said == ["Undone on frames 1, 3; you were on 0"]
    assert not layer.data.any()
    layer.redo()
    assert at == [0, 1]  # one of its frames is on screen
    assert layer.data[3, 4, 5] == 1


def test_a_new_step_ends_what_could_be_redone(guarded):
    layer, at, said = guarded
    layer.fill((2, 0, 0), 1)
    layer.undo()
    assert at == [0, 2]
    layer.data_setitem((np.array([2]), np.array([0]), np.array([0])), 3)
    layer.redo()
    assert layer.data[2].sum() == 3
    layer.undo()
    assert at == [0, 2]
    assert len(said) == 1


def test_a_layer_of_one_frame_has_no_other():
    layer, at = Labels(np.zeros((8, 9), np.uint8)), []
    UndoGuard(layer, None, on_screen=lambda: 7, go_to=at.append, say=at.append)
    layer.fill((1, 1), 2)
    layer.undo()
    assert not layer.data.any()
    layer.redo()
    assert layer.data.all()
    assert at == []
