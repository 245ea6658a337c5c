"""A clip comes back as it was left, whatever its state file holds; one that is open elsewhere is read."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QInputDialog
from review_cases import canvas_point, drag, frame_pixels, settle, truth_mask, write_clip, write_model

from napari_hogseg.inference.predictor import Predictor
from napari_hogseg.session.annotations import AnnotationStore, session_folder
from napari_hogseg.session.clips import open_clip
from napari_hogseg.session.state import MARKS_FILE, STATE_FILE, SessionState
from napari_hogseg.ui.fitted_view import SETTLE_MS
from napari_hogseg.ui.live import GUI_CALLS


@pytest.fixture
def other_clip(tmp_path):
    return write_clip(tmp_path / "other", "clip_b")


def rest(review):
    """Let timers of fits and notes run out."""
    QTest.qWait(5 * SETTLE_MS)
    settle(review)


def rename(review, key, name):
    """Rename a panel at its check box, as by F2."""
    box = review.dock.show_section.boxes[key]
    (action,) = box.actions()
    action.trigger()
    (dialog,) = box.findChildren(QInputDialog)
    dialog.setTextValue(name)
    dialog.accept()


def leave_traces(review):
    """Be somewhere: frame, view, class, look, panels, marks."""
    review.goto(3)
    rest(review)
    review.controller.select_class(2)
    review.controller.truth_layer.brush_size = 7
    show = review.dock.show_section
    show.boxes["hog"].setChecked(False)
    review.controller.set_layout("strip", large="errors")
    rest(review)  # it is fitted by then
    show.opacity.setValue(31)
    rename(review, "errors", "Where  it fails")
    show.palette_box.setCurrentText("colour-blind safe")
    camera = review.viewer.scene.camera
    camera.zoom, camera.center = 9.0, (40.0, 50.0)
    panel = review.dock.triage
    review.wait(lambda: len(panel.frames.columns["frame"]) > 4)
    panel._toggle_reviewed(list(panel.frames.columns["frame"]).index(4))
    rest(review)


def test_a_clip_comes_back_as_it_was_left(review, clip_folder, other_clip, model_folder):
    review.open(clip_folder)
    review.load(model_folder)
    leave_traces(review)
    review.open(other_clip)
    rest(review)
    assert review.state().frame_index == 0
    review.dock.show_section.boxes["hog"].setChecked(True)
    review.controller.set_layout("swipe", ("hog", "truth"))
    review.dock.show_section.opacity.setValue(80)
    review.layer("Where it fails").name = "Rim & depth"  # as in napari's layer list
    assert review.dock.show_section.boxes["errors"].text() == "Rim && depth"
    rest(review)

    GUI_CALLS.clear()
    review.open(clip_folder)
    review.wait(lambda: review.state().frame_index == 3)
    rest(review)
    camera = review.viewer.scene.camera
    assert camera.zoom == pytest.approx(9.0)
    assert camera.center[-2:] == pytest.approx((40.0, 50.0))
    layer, show = review.controller.truth_layer, review.dock.show_section
    assert (layer.selected_label, layer.brush_size) == (3, 7)
    assert str(layer.mode) == "pan_zoom"
    assert not show.boxes["hog"].isChecked()
    assert not review.layer("HOG map").visible
    stage = review.controller.stage
    assert (stage.name, stage.large) == ("strip", "errors")
    assert set(stage.strip.windows()) == {"truth", "prediction"}
    assert review.layer("Where it fails") == review.controller.grid.get("errors").overlay
    assert show.boxes["errors"].text() == show.large.currentText() == "Where it fails"
    rename(review, "errors", " ")
    assert review.layer("Boundary errors") == review.controller.grid.get("errors").overlay
    assert (show.opacity.value(), show.palette_box.currentText()) == (31, "colour-blind safe")
    assert review.dock.triage.state()["reviewed"] == [4]
    notes = [seconds for name, seconds in GUI_CALLS.calls if name == "SessionMemory.note"]
    assert notes
    assert np.median(notes) < 0.05  # a few milliseconds; other processes may share the machine
    state = SessionState.read(review.controller.session.store.folder)
    assert state.model == str(model_folder)


def test_the_model_of_last_time_is_loaded_unless_it_is_another_by_now(review, clip_folder, model_folder):
    store = AnnotationStore(*where_and_what(review, clip_folder))
    digest = digest_of(model_folder)
    store.remember(SessionState(clip=str(clip_folder), model=str(model_folder), model_digest=digest))
    assert store.close()
    review.open(clip_folder)
    review.wait(lambda: review.controller.model is not None)
    assert review.controller.model.path == model_folder
    rest(review)


def test_another_model_in_its_place_is_told_and_not_loaded(review, clip_folder, model_folder, tmp_path):
    store = AnnotationStore(*where_and_what(review, clip_folder))
    other = digest_of(write_model(tmp_path / "other", seed=5))
    store.remember(SessionState(clip=str(clip_folder), model=str(model_folder), model_digest=other))
    assert store.close()
    review.open(clip_folder)
    review.wait(lambda: "another one by now" in review.dock.message.text())
    assert review.controller.model is None


def digest_of(folder):
    return Predictor.load(folder).digest


def where_and_what(review, path):
    """Session folder, identity and truth of a clip, as the review will open it."""
    clip = open_clip(path)
    folder = session_folder(review.controller.sessions_root, path, clip.scheme)
    clip.source.close()
    return folder, clip.identity, clip.truth


BAD = [
    b"\xff\xfe\x00", b"frame_index = -3", b"zoom = nan\ncenter = [inf, 0.0]", b"x = " + b"[" * 3000,
    b"frame_index = 99999999999999999999999\nzoom = 1e200\ncenter = [1e9, -5.0]\nselected_class = 900\n"
    b"brush_px = 1e300\nshown_panels = ['none']\nenlarged = 'none'\npalette = 'none'\n"
    b"panel_layout = 'swipe'\nlarge_panel = 'none'\nswipe_pair = ['none', 'truth', 'x']\n"
    b"hidden_classes = [-1, 70]\n"
    b"model = '/nowhere'\nmodel_digest = 'x'\nmasks = '/nowhere'",
    b"#" * (1 << 17),
]  # fmt: skip


def test_a_state_that_makes_no_sense_never_prevents_opening(review, tmp_path):
    for number, data in enumerate(BAD):
        path = write_clip(tmp_path / str(number))
        folder, identity, truth = where_and_what(review, path)
        AnnotationStore(folder, identity, truth).close()
        (folder / STATE_FILE).write_bytes(data)
        (folder / MARKS_FILE).write_bytes(b'{"done": [[1], ["x"]]}')
        review.open(path)
        rest(review)
        frame_index = review.state().frame_index
        assert review.controller.session.path == path
        np.testing.assert_array_equal(
            review.layer("Ground truth").data[frame_index], truth_mask(frame_index) + 1
        )
        assert 0.1 < review.viewer.scene.camera.zoom < 50
        assert review.dock.message.text() == ""


def test_a_session_that_is_open_elsewhere_is_shown_and_not_painted(review, clip_folder):
    folder, identity, truth = where_and_what(review, clip_folder)
    elsewhere = AnnotationStore(folder, identity, truth)
    elsewhere.paint(0, np.s_[0:9, 0:9], 2)
    assert elsewhere.flush()
    review.open(clip_folder)
    assert "open elsewhere" in review.dock.message.text()
    assert review.dock.saved.text() == "Read-only. 1 frame corrected, all saved"
    layer = review.controller.truth_layer
    assert not layer.editable
    before = layer.data[0]
    assert (before[:9, :9] == 3).all()
    review.controller.select_class(0)
    drag(review, [canvas_point(review, 60, col) for col in (60, 90)])
    review.goto(1)
    assert not layer.editable
    np.testing.assert_array_equal(layer.data[0], before)
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")}
    assert review.controller.close()
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")} == files
    assert elsewhere.close()


def test_masks_chosen_once_come_back(review, tmp_path):
    frames = tmp_path / "frames"
    masks = tmp_path / "chosen"
    for folder in (frames, masks):
        folder.mkdir()
    for index in range(2):
        Image.fromarray(frame_pixels(index)).save(frames / f"{index:03d}.png")
        Image.fromarray(truth_mask(index)).save(masks / f"{index:03d}.png")
    review.open(frames, masks)
    rest(review)
    review.open(frames)
    review.wait(lambda: review.controller.session is not None and review.controller.session.masks == masks)
    assert review.controller.session.clip.truth is not None
    rest(review)


def test_saved_is_said_only_once_it_is(review, clip_folder):
    """Promise 3: the mask folder is out of reach for a while."""
    review.open(clip_folder)
    store = review.controller.session.store
    masks = store.folder / "masks"
    away = masks.rename(store.folder / "away")
    masks.write_text("in the way")
    layer = review.layer("Ground truth")
    layer.data_setitem((np.array([0]), np.array([1]), np.array([5])), 3)
    review.wait(lambda: store.save_error is not None)
    review.wait(lambda: str(store.save_error) in review.dock.message.text())
    assert "1 not saved yet" in review.dock.saved.text()
    masks.unlink()
    away.rename(masks)
    review.wait(lambda: review.dock.saved.text() == "1 frame corrected, all saved")
    assert (masks / "0000.png").is_file()


def test_predictions_never_change_a_mask(review, clip_folder, model_folder, tmp_path):
    """Promise 5: two models, every frame, every panel; only a button takes one over, and undo gives back."""
    review.open(clip_folder)
    layer = review.layer("Ground truth")
    layer.data_setitem((np.array([0, 3]), np.array([1, 2]), np.array([5, 5])), 3)
    store = review.controller.session.store
    assert store.flush()
    before = [store.mask(index) for index in range(store.shape[0])]
    review.load(model_folder)
    review.load(write_model(tmp_path / "second", seed=3))
    for box in review.dock.show_section.boxes.values():
        box.setChecked(True)
    for frame_index in range(store.shape[0]):
        review.goto(frame_index)
    review.controller.use_previous_model()
    rest(review)
    assert all(np.array_equal(store.mask(index), mask) for index, mask in enumerate(before))
    assert store.edited_frames == (0, 3)
    review.dock.mending.of_frame.click()
    assert not np.array_equal(store.mask(5), before[5])
    layer.undo()
    assert np.array_equal(store.mask(5), before[5])
