"""A review in the real window: what is shown, painted, saved, refused and left behind."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from napari.layers import Points
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from review_cases import (
    HEIGHT,
    NUM_FRAMES,
    SCHEME,
    WIDTH,
    canvas_of,
    canvas_point,
    drag,
    frame_pixels,
    settle,
    truth_mask,
    write_clip,
    write_model,
)

from napari_hogseg.data.scheme import IGNORE, LabelScheme
from napari_hogseg.inference.predictor import Predictor
from napari_hogseg.io import images
from napari_hogseg.metrics.error_map import boundary_errors
from napari_hogseg.ui.products import HogSettings, draw_hog

PANEL_LAYERS = [
    "Frame", "Ground truth", "Frame (HOG)", "HOG map",
    "Frame (prediction)", "Prediction", "Frame (errors)", "Boundary errors",
]  # fmt: skip


def names(review):
    return [layer.name for layer in review.viewer.layers]


def pixels(review, name):
    return np.asarray(review.layer(name).data)


# --- what is shown


def test_four_pairs_stand_in_the_grid(review, clip_folder):
    review.open(clip_folder)
    assert names(review) == PANEL_LAYERS
    grid = review.viewer.canvas.grid
    assert grid.enabled
    assert grid.actual_shape(review.viewer.layers) == (2, 2)
    for position, cell in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        assert grid.contents_at(cell, review.viewer.layers) == (2 * position, 2 * position + 1)
    assert all(review.layer(name).name_overlay.visible for name in PANEL_LAYERS[1::2])


def test_every_panel_belongs_to_the_frame_on_the_slider(review, clip_folder, model_folder):
    review.open(clip_folder)
    review.load(model_folder)
    predictor = Predictor.load(model_folder)
    for frame_index in (0, 3, 5, 1):
        review.goto(frame_index)
        frame = frame_pixels(frame_index)
        for name in PANEL_LAYERS[::2]:
            np.testing.assert_array_equal(pixels(review, name), frame)
        prediction = predictor.predict(frame)
        np.testing.assert_array_equal(pixels(review, "Prediction"), prediction + 1)
        np.testing.assert_array_equal(
            pixels(review, "Boundary errors"), boundary_errors(prediction, truth_mask(frame_index), 3)
        )
        np.testing.assert_array_equal(
            review.layer("Ground truth").data[frame_index], truth_mask(frame_index) + 1
        )
        assert review.state().scores is not None


def test_hog_map_follows_its_settings(review, clip_folder):
    review.open(clip_folder)
    dock = review.dock
    dock.hog.preset.setCurrentText("official-3780")
    settle(review)
    expected, _ = draw_hog(frame_pixels(0), HogSettings(9, 8), None)
    np.testing.assert_array_equal(pixels(review, "HOG map"), expected)
    dock.hog.cell_px.setValue(12)
    settle(review)
    assert dock.hog.preset.currentText() == "custom"
    expected, _ = draw_hog(frame_pixels(0), HogSettings(9, 12), None)
    np.testing.assert_array_equal(pixels(review, "HOG map"), expected)


def test_without_a_model_it_says_so_and_shows_the_frame(review, clip_folder):
    review.open(clip_folder)
    assert "no model loaded" in review.dock.status.text()
    assert "No model" in review.dock.scores.note.text()
    assert not pixels(review, "Prediction").any()
    np.testing.assert_array_equal(pixels(review, "Frame (prediction)"), frame_pixels(0))


def test_hiding_a_panel_closes_the_gap(review, clip_folder):
    review.open(clip_folder)
    review.dock.show_section.boxes["hog"].setChecked(False)
    assert not review.layer("HOG map").visible
    grid = review.viewer.canvas.grid
    assert grid.contents_at((0, 1), review.viewer.layers) == (4, 5)
    review.dock.show_section.boxes["hog"].setChecked(True)
    settle(review)
    assert grid.contents_at((0, 1), review.viewer.layers) == (2, 3)
    assert pixels(review, "HOG map").any()


def test_a_deleted_panel_comes_back_with_its_check_box(review, clip_folder):
    review.open(clip_folder)
    box = review.dock.show_section.boxes["truth"]
    review.viewer.layers.remove("Ground truth")
    review.wait(lambda: "Frame" not in names(review))
    assert not box.isChecked()
    box.setChecked(True)
    review.wait(lambda: names(review) == PANEL_LAYERS)
    settle(review)
    review.goto(2)
    np.testing.assert_array_equal(pixels(review, "Frame"), frame_pixels(2))


# --- foreign layers


def test_foreign_layers_never_break_the_pairs(review, clip_folder):
    review.open(clip_folder)
    layers = review.viewer.layers
    layers.insert(3, Points([[10, 10]], name="notes"))
    review.wait(lambda: names(review)[:8] == PANEL_LAYERS)
    review.viewer.add_image(np.zeros((HEIGHT, WIDTH)), name="other")
    assert layers.selection.active.name == "other"
    layers.move(layers.index("other"), 0)
    review.wait(lambda: names(review)[:8] == PANEL_LAYERS)
    grid = review.viewer.canvas.grid
    rows, cols = grid.actual_shape(layers)
    assert rows * cols >= 5
    cells = [grid.position(index, layers) for index in range(8)]
    assert cells == [(index // 2 // cols, index // 2 % cols) for index in range(8)]
    assert {grid.position(layers.index(name), layers) for name in ("notes", "other")}.isdisjoint(cells)
    layers.remove("notes")
    layers.remove("other")
    review.wait(lambda: grid.actual_shape(layers) == (2, 2))


def test_a_changed_stride_is_put_back(review, clip_folder):
    review.open(clip_folder)
    review.viewer.canvas.grid.stride = 1
    review.wait(lambda: review.viewer.canvas.grid.stride == 2)


# --- painting


def test_painting_with_the_mouse_reaches_the_disk(review, clip_folder):
    review.open(clip_folder)
    review.goto(2)
    review.controller.select_class(2)
    review.layer("Ground truth").brush_size = 5
    drag(review, [canvas_point(review, 20, col) for col in (20, 26, 32)])
    mask = review.controller.session.store.mask(2)
    assert (mask[20, 20:32] == 2).all()
    assert mask[60, 60] == truth_mask(2)[60, 60]
    review.wait(lambda: "all saved" in review.dock.saved.text(), timeout=2000)
    assert review.dock.saved.text().startswith("1 frame corrected")
    stored = review.controller.session.store.folder / "masks" / "0002.png"
    np.testing.assert_array_equal(images.read_mask(stored), mask)
    np.testing.assert_array_equal(
        images.read_mask(clip_folder.parents[1] / "masks" / "clip_a" / "0002.png"), truth_mask(2)
    )


def test_painting_in_the_prediction_panel_edits_the_truth(review, clip_folder, model_folder):
    review.open(clip_folder)
    review.load(model_folder)
    review.controller.select_class(2)
    review.layer("Ground truth").brush_size = 5
    drag(review, [canvas_point(review, 30, col, cell=(1, 0)) for col in (90, 96)])
    assert (review.controller.session.store.mask(0)[30, 90:96] == 2).all()


def test_the_error_map_follows_the_brush(review, clip_folder, model_folder):
    review.open(clip_folder)
    review.load(model_folder)
    layer = review.layer("Ground truth")
    before, said = review.state().scores, []
    review.controller.session.live.state_changed.connect(lambda _: said.append(review.dock.status.text()))
    layer.fill((0, 48, 40), 3)
    review.wait(lambda: review.state().scores is not before)
    settle(review)
    assert "(stale: painted on since)" in said[0]
    assert f"mean IoU {before.mean_iou:.3f}" in said[0]
    assert not review.state().stale
    assert "stale" not in review.dock.status.text()
    prediction = pixels(review, "Prediction") - np.uint8(1)
    truth = review.controller.session.store.mask(0)
    assert (truth == 2).sum() > (truth_mask(0) == 2).sum()
    np.testing.assert_array_equal(pixels(review, "Boundary errors"), boundary_errors(prediction, truth, 3))


def test_undo_on_another_frame_reaches_the_disk(review, clip_folder):
    review.open(clip_folder)
    layer = review.layer("Ground truth")
    layer.fill((0, 48, 40), 3)
    store = review.controller.session.store
    assert store.flush()
    assert store.edited_frames == (0,)
    review.goto(4)
    layer.undo()
    review.wait(lambda: store.edited_frames == () and not store.unsaved_frames)
    np.testing.assert_array_equal(store.mask(0), truth_mask(0))
    assert list((store.folder / "masks").iterdir()) == []


def test_number_keys_and_the_legend_choose_the_class(review, clip_folder):
    review.open(clip_folder)
    layer = review.layer("Ground truth")
    QTest.keyClick(canvas_of(review), Qt.Key.Key_3)
    assert layer.selected_label == 3
    assert str(layer.mode) == "paint"
    assert review.controller.selected_class == 2
    QTest.keyClick(canvas_of(review), Qt.Key.Key_0)
    assert str(layer.mode) == "erase"
    review.controller.select_class(0)
    assert (layer.selected_label, str(layer.mode)) == (1, "paint")
    review.controller.select_class(None)
    drag(review, [canvas_point(review, 48, 40), canvas_point(review, 48, 42)])
    assert review.controller.session.store.mask(0)[48, 40] == IGNORE


def test_a_label_outside_the_scheme_is_refused_with_a_message(review, clip_folder):
    review.open(clip_folder)
    review.layer("Ground truth").fill((0, 48, 40), 9)
    assert "not classes" in review.dock.message.text()
    assert review.dock.message.isVisible()
    assert review.controller.session.store.edited_frames == ()


def test_corrections_are_back_after_opening_the_clip_again(review, clip_folder, tmp_path):
    review.open(clip_folder)
    review.layer("Ground truth").fill((1, 48, 44), 3)
    painted = review.controller.session.store.mask(1)
    review.open(write_clip(tmp_path / "other", "clip_b"))
    assert review.controller.num_corrected_frames() == 0
    review.layer("Ground truth").undo()  # nothing of the other clip is in this history
    assert review.controller.num_corrected_frames() == 0
    review.open(clip_folder)
    assert review.controller.session.store.edited_frames == (1,)
    np.testing.assert_array_equal(review.controller.session.store.mask(1), painted)


# --- what cannot be used


def test_a_mask_of_another_size_locks_its_frame(review, clip_folder, model_folder):
    path = clip_folder.parents[1] / "masks" / "clip_a" / "0003.png"
    Image.fromarray(np.zeros((10, 12), np.uint8)).save(path)
    before = path.read_bytes()
    review.open(clip_folder)
    review.load(model_folder)
    review.goto(3)
    review.wait(lambda: bool(review.state().mask_note))
    assert "12x10" in review.dock.scores.note.text()
    assert "0003" in review.dock.scores.note.text()
    layer = review.layer("Ground truth")
    assert not layer.editable
    layer.fill((3, 48, 40), 2)
    assert "locked" in review.dock.message.text()
    assert path.read_bytes() == before
    review.goto(4)
    assert layer.editable


def test_a_mask_value_outside_the_scheme_is_named(review, clip_folder, model_folder):
    path = clip_folder.parents[1] / "masks" / "clip_a" / "0000.png"
    Image.fromarray(np.full((HEIGHT, WIDTH), 77, np.uint8)).save(path)
    review.open(clip_folder)
    review.load(model_folder)
    review.wait(lambda: "[77]" in review.dock.scores.note.text())
    assert "0000.png" in review.dock.scores.note.text()


def test_a_frame_that_cannot_be_decoded_is_black_and_says_why(review, clip_folder):
    path = clip_folder / "0002.png"
    review.open(clip_folder)
    path.write_bytes(b"not a picture")
    review.goto(2)
    assert "cannot be decoded" in review.dock.status.text()
    assert not pixels(review, "Frame").any()
    assert not pixels(review, "HOG map").any()
    review.goto(3)
    np.testing.assert_array_equal(pixels(review, "Frame"), frame_pixels(3))


def test_a_bad_path_leaves_the_clip_open(review, clip_folder, tmp_path):
    review.open(clip_folder)
    session = review.controller.session
    review.controller.open(tmp_path / "nothing.mp4")
    review.wait(lambda: review.dock.message.isVisible())
    assert "nothing.mp4" in review.dock.message.text()
    assert review.controller.session is session
    review.goto(1)
    np.testing.assert_array_equal(pixels(review, "Frame"), frame_pixels(1))


def test_masks_that_do_not_pair_are_refused(review, clip_folder, tmp_path):
    review.open(clip_folder)
    (tmp_path / "few").mkdir()
    Image.fromarray(truth_mask(0)).save(tmp_path / "few" / "x.png")
    review.controller.open(clip_folder, tmp_path / "few")
    review.wait(lambda: "neither by name nor by number" in review.dock.message.text())


def test_a_layer_that_file_open_made_can_be_reviewed(review, clip_folder):
    assert not review.dock.source.layer_button.isVisibleTo(review.dock)
    (layer,) = review.viewer.open(str(clip_folder), plugin="napari-hogseg")
    assert review.dock.source.layer_button.isVisibleTo(review.dock)
    review.dock.source.layer_button.click()
    review.wait(lambda: review.controller.session is not None)
    settle(review)
    assert not layer.visible
    assert not review.dock.source.layer_button.isVisibleTo(review.dock)
    assert review.viewer.canvas.grid.actual_shape(review.viewer.layers) == (2, 2)


def test_the_sample_clip_is_reviewed_with_its_masks(review):
    layers = review.viewer.open_sample("napari-hogseg", "cataract")
    review.dock.source.layer_button.click()
    review.wait(lambda: review.controller.session is not None)
    settle(review)
    session = review.controller.session
    assert session.clip.num_masks == session.store.shape[0]
    assert session.clip.named
    assert not any(layer.visible for layer in layers)


# --- models


def test_a_new_model_replaces_the_prediction_and_the_old_one_is_a_click_away(
    review, clip_folder, model_folder, tmp_path
):
    review.open(clip_folder)
    review.load(model_folder)
    first = pixels(review, "Prediction").copy()
    review.load(write_model(tmp_path / "better", seed=7))
    second = pixels(review, "Prediction").copy()
    assert (first != second).any()
    assert review.dock.model.name_label.whole_text.startswith("better")
    assert review.dock.model.back_button.isEnabled()
    review.dock.model.back_button.click()
    settle(review)
    np.testing.assert_array_equal(pixels(review, "Prediction"), first)
    assert review.controller.base_model() == model_folder


def test_a_folder_without_a_model_is_refused_and_the_old_one_stays(
    review, clip_folder, model_folder, tmp_path
):
    review.open(clip_folder)
    review.load(model_folder)
    review.controller.load_model(tmp_path)
    review.wait(lambda: review.dock.message.isVisible())
    assert str(tmp_path) in review.dock.message.text()
    assert review.controller.model.path == model_folder


def test_a_model_of_other_classes_predicts_but_is_not_compared(review, clip_folder, tmp_path):
    other = LabelScheme(name="two", classes=("a", "b"), colors=((0, 0, 0), (1, 1, 1)))
    review.open(clip_folder)
    review.load(write_model(tmp_path / "two", scheme=other))
    assert "nothing to compare" in review.dock.scores.note.text()
    assert not pixels(review, "Boundary errors").any()


def test_a_model_names_the_classes_of_a_clip_without_any(review, clip_folder, model_folder, tmp_path):
    plain = tmp_path / "plain"
    plain.mkdir()
    Image.fromarray(frame_pixels(0)).save(plain / "a.png")
    review.open(plain)
    assert review.controller.session.clip.scheme.classes[0] == "class 0"
    review.controller.load_model(model_folder)
    review.wait(lambda: review.controller.session and review.controller.session.clip.scheme == SCHEME)


class SlowPredictor:
    """A real model that waits for a gate: what a large network on a CPU feels like."""

    def __init__(self, predictor, gate):
        self._predictor, self._gate = predictor, gate

    def __getattr__(self, name):
        return getattr(self._predictor, name)

    def predict_with_probabilities(self, frame_HWC):
        assert self._gate.wait(20)
        return self._predictor.predict_with_probabilities(frame_HWC)


@pytest.fixture
def gate():
    gate = threading.Event()
    yield gate
    gate.set()


def test_a_slow_model_holds_up_neither_frame_nor_hog(review, clip_folder, model_folder, gate):
    review.open(clip_folder)
    live = review.controller.session.live
    live.set_predictor(SlowPredictor(Predictor.load(model_folder), gate))
    for frame_index in (1, 2, 3):
        review.viewer.dims.set_current_step(0, frame_index)
        review.wait(lambda frame_index=frame_index: live.state.shown == frame_index)
    review.wait(lambda: not review.controller.layers.updating)
    np.testing.assert_array_equal(pixels(review, "Frame (HOG)"), frame_pixels(3))
    gate.set()
    review.wait(lambda: live.state.predicted == 3)
    settle(review)
    np.testing.assert_array_equal(pixels(review, "Frame (prediction)"), frame_pixels(3))


def test_the_prediction_of_an_old_model_is_dropped(review, clip_folder, model_folder, tmp_path, gate):
    review.open(clip_folder)
    live = review.controller.session.live
    live.set_predictor(SlowPredictor(Predictor.load(model_folder), gate))
    new = Predictor.load(write_model(tmp_path / "new", seed=3))
    live.set_predictor(new)
    gate.set()
    review.wait(lambda: live.state.predicted == 0)
    settle(review)
    np.testing.assert_array_equal(pixels(review, "Prediction"), new.predict(frame_pixels(0)) + 1)


# --- the end


def test_closing_saves_what_is_pending_and_ends_the_threads(review, clip_folder, model_folder):
    review.open(clip_folder)
    review.load(model_folder)
    review.layer("Ground truth").fill((1, 48, 44), 3)
    store = review.controller.session.store
    assert store.unsaved_frames == (1,)
    assert review.controller.close()
    assert store.unsaved_frames == ()
    assert (store.folder / "masks" / "0001.png").is_file()
    ours = [thread.name for thread in threading.enumerate() if thread.name.startswith("hogseg")]
    assert ours == []
    assert review.viewer.layers == []


def test_closing_the_dock_closes_the_review(review, clip_folder, qtbot):
    review.open(clip_folder)
    review.layer("Ground truth").fill((1, 48, 44), 3)
    store = review.controller.session.store
    review.viewer.window.remove_dock_widget(review.dock)
    review.dock.deleteLater()
    qtbot.waitUntil(lambda: store.unsaved_frames == ())
    qtbot.waitUntil(lambda: review.viewer.layers == [])
    qtbot.waitUntil(lambda: "hogseg-mask-writer" not in [thread.name for thread in threading.enumerate()])


def test_exported_corrections_are_a_training_set(review, clip_folder, tmp_path):
    review.open(clip_folder)
    review.layer("Ground truth").fill((1, 48, 44), 3)
    assert review.controller.num_corrected_frames() == 1
    export = review.controller.export_corrections(tmp_path / "export")
    assert export.sample_ids == ("clip_a/0001",)
    np.testing.assert_array_equal(
        images.read_image(tmp_path / "export" / "images" / "clip_a" / "0001.png"), frame_pixels(1)
    )
    assert review.controller.session.store.shape[0] == NUM_FRAMES
