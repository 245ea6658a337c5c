"""Panels beside the first four, the looks of masks and HOG maps, enlarging, and the docks of a review."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from review_cases import SCHEME, canvas_of, canvas_point, frame_pixels, hover, settle, truth_mask, write_model
from skimage.segmentation import find_boundaries

from napari_hogseg.inference.predictor import Predictor
from napari_hogseg.inference.residual import hog_residual
from napari_hogseg.ui.labels import class_colors
from napari_hogseg.ui.looks import MaskLook, contour_mask, palette
from napari_hogseg.ui.products import BREAKS, DIFFER, MENDS, difference_map


def pixels(review, name):
    return np.asarray(review.layer(name).data)


def test_the_difference_of_two_models_is_marked(review, clip_folder, model_folder, tmp_path):
    other = write_model(tmp_path / "other", seed=7)
    review.open(clip_folder)
    review.load(model_folder)
    review.dock.show_section.boxes["difference"].setChecked(True)
    settle(review)
    assert "second model" in review.dock.show_section.note.text()
    review.load(other)
    settle(review)
    ours, theirs = (Predictor.load(folder).predict(frame_pixels(0)) for folder in (other, model_folder))
    truth = truth_mask(0)
    marks = pixels(review, "Difference of models")
    assert (marks[(ours == truth) & (theirs != truth)] == MENDS).all()
    assert (marks[(ours != truth) & (theirs == truth)] == BREAKS).all()
    np.testing.assert_array_equal(marks > 0, ours != theirs)
    assert "differ on" in review.dock.show_section.note.text()


def test_a_difference_without_truth_takes_no_side():
    ours, theirs = np.array([[0, 1]], np.uint8), np.array([[0, 2]], np.uint8)
    np.testing.assert_array_equal(difference_map(ours, theirs, None), [[0, DIFFER]])


def test_the_hog_residual_is_drawn_and_told(review, clip_folder, tmp_path):
    folder = write_model(tmp_path / "heads", head="grid")
    review.open(clip_folder)
    review.load(folder)
    review.dock.show_section.boxes["residual"].setChecked(True)
    settle(review)
    residual = hog_residual(Predictor.load(folder), frame_pixels(0))
    assert f"{residual.total:.4f}" in review.dock.show_section.note.text()
    whole = pixels(review, "HOG residual").copy()
    assert whole.any()
    review.dock.show_section.stage.setCurrentIndex(1)
    settle(review)
    expected = np.clip(residual.pictures(*whole.shape)[0] / 0.03, 0, 1)
    np.testing.assert_allclose(pixels(review, "HOG residual"), 255 * np.sqrt(expected), atol=1)


def test_a_model_without_heads_has_no_residual_and_says_so(review, clip_folder, model_folder):
    review.open(clip_folder)
    review.load(model_folder)
    review.dock.show_section.boxes["residual"].setChecked(True)
    settle(review)
    assert "no regression heads" in review.dock.show_section.note.text()
    assert not pixels(review, "HOG residual").any()


def test_outlines_are_the_masks_boundaries_and_leave_the_masks_alone(review, clip_folder, model_folder):
    review.open(clip_folder)
    review.load(model_folder)
    review.dock.show_section.contours.setChecked(True)
    settle(review)
    changed = (pixels(review, "Frame") != frame_pixels(0)).any(axis=-1)
    near = find_boundaries(truth_mask(0), mode="thick")
    assert changed.any()
    assert not changed[~contour_mask(truth_mask(0), 2)].any()
    assert contour_mask(truth_mask(0), 1)[near].all()
    np.testing.assert_array_equal(review.layer("Ground truth").data[0], truth_mask(0) + 1)
    review.dock.show_section.contours.setChecked(False)
    settle(review)
    np.testing.assert_array_equal(pixels(review, "Frame"), frame_pixels(0))


def test_a_class_is_hidden_by_its_box_and_shown_alone_by_a_double_click(review, clip_folder):
    review.open(clip_folder)
    legend = review.dock.legend
    legend.boxes[1].click()
    colors = review.layer("Ground truth").colormap.colors
    assert colors[2, 3] == 0
    assert colors[1, 3] == 1
    QTest.mouseDClick(legend._buttons[2], Qt.MouseButton.LeftButton)
    assert review.controller.layers.look.hidden == {0, 1}
    assert not legend.boxes[0].isChecked()
    legend.show_alone(2)
    assert review.controller.layers.look.hidden == frozenset()


def test_the_safe_palette_tells_all_classes_apart():
    many = replace(MaskLook(), palette="colour-blind safe")
    scheme = SCHEME.model_copy(
        update={"classes": tuple(f"c{i}" for i in range(21)), "colors": ((1, 2, 3),) * 21}
    )
    assert len(set(palette(scheme, many.palette))) == 21
    assert class_colors(scheme, many)[:21, 3].all()


def test_a_double_click_enlarges_a_panel_and_puts_the_grid_back(review, clip_folder):
    review.open(clip_folder)
    canvas, grid = canvas_of(review), review.viewer.canvas.grid
    zoom = review.viewer.scene.camera.zoom
    QTest.mouseDClick(canvas, Qt.MouseButton.LeftButton, pos=canvas_point(review, 48, 64, cell=(0, 1)))
    assert review.controller.grid.enlarged == "hog"
    assert grid.actual_shape(review.viewer.layers) == (1, 1)
    review.wait(lambda: review.viewer.scene.camera.zoom > 1.3 * zoom)
    QTest.mouseDClick(canvas, Qt.MouseButton.LeftButton, pos=canvas.rect().center())
    assert review.controller.grid.enlarged is None
    assert grid.actual_shape(review.viewer.layers) == (2, 2)


def test_orientations_are_drawn_in_colour_and_energy_in_grey(review, clip_folder):
    review.open(clip_folder)
    review.dock.hog.view.setCurrentText("orientation")
    settle(review)
    drawn = pixels(review, "Frame (HOG)")
    assert (drawn.max(axis=-1) != drawn.min(axis=-1)).any()
    assert not pixels(review, "HOG map").any()
    review.dock.hog.view.setCurrentText("energy")
    settle(review)
    np.testing.assert_array_equal(pixels(review, "Frame (HOG)"), frame_pixels(0))
    assert pixels(review, "HOG map").any()


def test_the_survey_fills_timeline_and_errors(review, clip_folder, model_folder):
    review.open(clip_folder)
    review.load(model_folder)
    timeline, triage = review.dock.timeline, review.dock.triage
    review.wait(lambda: len(timeline.source.records()) == 6, timeout=60_000)
    record = timeline.source.records()[3]
    assert record.has_truth
    assert np.isfinite(record.miou)
    assert record.blobs
    triage.refresh()
    triage.next_blob()
    frame_index, blob = triage._current
    assert review.viewer.dims.current_step[0] == frame_index
    assert review.controller.selected_class == blob.true_class


def test_an_error_is_taken_over_by_key_and_undone(review, clip_folder, model_folder):
    review.open(clip_folder)
    review.load(model_folder)
    prediction = Predictor.load(model_folder).predict(frame_pixels(0))
    row, column = np.argwhere(prediction != truth_mask(0))[50]
    hover(review, row, column, cell=(1, 0))
    review.dock.mending.accept_under_mouse()
    store = review.controller.session.store
    changed = store.mask(0) != truth_mask(0)
    pair = (truth_mask(0)[row, column], prediction[row, column])
    assert changed[row, column]
    assert (store.mask(0)[changed] == pair[1]).all()
    assert (truth_mask(0)[changed] == pair[0]).all()
    review.layer("Ground truth").undo()
    np.testing.assert_array_equal(store.mask(0), truth_mask(0))
    review.dock.mending.of_frame.click()
    np.testing.assert_array_equal(store.mask(0), prediction)
    assert store.flush()


def test_nothing_is_taken_over_without_a_prediction(review, clip_folder):
    review.open(clip_folder)
    assert not review.dock.mending.of_frame.isEnabled()
    review.dock.mending.accept_frame()
    assert review.controller.session.store.edited_frames == ()
