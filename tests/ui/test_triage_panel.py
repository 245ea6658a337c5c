"""The triage panel in a real window, driven by keys and clicks, on records measured from masks."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from review_cases import HEIGHT, NUM_FRAMES, SCHEME, canvas_of, frame_pixels, settle, truth_mask

from napari_hogseg.metrics import confusion_matrix, iou_scores
from napari_hogseg.metrics.error_blobs import find_error_blobs
from napari_hogseg.metrics.sloppy_labels import check_contours
from napari_hogseg.ui.triage_panel import TriagePanel
from napari_hogseg.ui.triage_records import InMemoryRecords, badness
from napari_hogseg.ui.triage_tables import ArrayTable, Column, TableView


@dataclass(frozen=True)
class Record:
    frame_index: int
    has_truth: bool = True
    corrected: bool = False
    miou: float | None = None
    boundary_f: float | None = None
    hog_residual: float | None = None
    entropy: float | None = None
    flicker: float | None = None
    confusion: np.ndarray | None = None
    blobs: tuple = ()


def predicted_mask(frame_index):
    """The pupil is missed in part, the more the later; a tool is invented at the upper left."""
    mask = truth_mask(frame_index)
    rows = np.arange(HEIGHT)[:, None]
    mask[(mask == 0) & (rows > 60 - 4 * frame_index)] = 1
    if frame_index == 2:
        mask[:10, 4:10] = 2
    return mask


def measured(frame_index, prediction=None):
    truth = truth_mask(frame_index)
    prediction = predicted_mask(frame_index) if prediction is None else prediction
    matrix = confusion_matrix(prediction, truth, 3)
    blobs = find_error_blobs(
        prediction, truth, frame_pixels(frame_index), num_classes=3, boundary_px=2, min_area_px=4
    )
    miou = iou_scores(matrix).mean
    return Record(frame_index, miou=miou, boundary_f=miou, confusion=matrix, blobs=blobs)


def make_panel(case):
    panel = TriagePanel(case.controller)
    case.viewer.window.add_dock_widget(panel, name="Triage", area="right", tabify=True)
    panel.parentWidget().raise_()
    QTest.qWait(50)
    return panel


@pytest.fixture
def triage(review, clip_folder):
    """A clip with a panel of its records: five frames with a mask, one without."""
    review.open(clip_folder)
    review.panel = make_panel(review)
    records = [measured(index) for index in range(NUM_FRAMES - 1)]
    blind = Record(NUM_FRAMES - 1, has_truth=False, hog_residual=0.3, entropy=0.2)
    review.panel.set_records([*records, blind])
    return review


def click_row(view, place, column=0):
    index = view.model().index(place, column)
    view.scrollTo(index)
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.visualRect(index).center())


def frame_on_screen(case):
    return int(case.viewer.dims.current_step[0])


def column_texts(view, key):
    table = view.table
    return [table.data(table.index(place, table.position(key))) for place in range(table.rowCount())]


# --- frames ---------------------------------------------------------------------------------------


def test_the_worst_frame_stands_on_top_and_a_click_goes_there(triage) -> None:
    view = triage.panel.frames.view
    assert column_texts(view, "frame") == ["4", "5", "3", "2", "1", "0"]  # 5: the worst one without a mask
    assert column_texts(view, "miou")[1] == "-"
    click_row(view, 2)
    assert frame_on_screen(triage) == 3
    view.setFocus()
    QTest.keyClick(view, Qt.Key.Key_Up)
    QTest.keyClick(view, Qt.Key.Key_Up)
    assert frame_on_screen(triage) == 3  # to look at a row is not to go there
    QTest.keyClick(view, Qt.Key.Key_Return)
    assert frame_on_screen(triage) == 4


def test_frames_are_sorted_by_a_click_on_the_header_and_filtered(triage) -> None:
    tab = triage.panel.frames
    header, position = tab.view.horizontalHeader(), tab.table.position("miou")
    middle = header.sectionViewportPosition(position) + header.sectionSize(position) // 2
    QTest.mouseClick(
        header.viewport(),
        Qt.MouseButton.LeftButton,
        pos=QPoint(middle, 8),
    )
    first = column_texts(tab.view, "miou")
    assert first[-1] == "-"
    assert first[:-1] in (sorted(first[:-1]), sorted(first[:-1], reverse=True))
    tab.filter.setCurrentText("Without a mask")
    assert column_texts(tab.view, "frame") == ["5"]
    tab.filter.setCurrentText("Corrected")
    assert tab.pages.currentWidget() is tab.sentence
    assert "passes the filters" in tab.sentence.text()


def test_space_marks_a_frame_as_reviewed(triage) -> None:
    view = triage.panel.frames.view
    view.setFocus()
    view.selectRow(0)
    QTest.keyClick(view, Qt.Key.Key_Space)
    assert column_texts(view, "reviewed")[0] == "\N{CHECK MARK}"
    assert triage.panel.state()["reviewed"] == [4]
    triage.panel.frames.filter.setCurrentText("Not reviewed")
    assert "4" not in column_texts(view, "frame")


def test_frames_without_a_mask_rank_by_residual_and_entropy() -> None:
    columns = {
        "miou": np.array([0.9, 0.5, np.nan, np.nan, np.nan, np.nan]),
        "hog_residual": np.array([9.0, 9.0, 0.1, 0.3, 0.2, np.nan]),
        "entropy": np.array([np.nan, np.nan, 0.5, 0.6, np.nan, np.nan]),
    }
    np.testing.assert_allclose(badness(columns), [0.5, 1.0, 1 / 3, 1.0, 2 / 3, np.nan])


# --- errors ---------------------------------------------------------------------------------------


def test_n_goes_to_the_deepest_error_zoomed_with_the_brush_of_its_class(triage) -> None:
    panel = triage.panel
    worst = [float(text) for text in column_texts(panel.errors.view, "worst")]
    assert worst == sorted(worst, reverse=True)
    canvas = canvas_of(triage)
    canvas.setFocus()
    QTest.keyClick(canvas, Qt.Key.Key_N)  # napari's binding
    blob = panel.queue.blob(int(panel.errors.table.order[0]))
    assert frame_on_screen(triage) == 4
    assert triage.controller.selected_class == blob.true_class == 0
    layer = triage.layer("Ground truth")
    assert str(layer.mode) == "paint"
    assert triage.viewer.layers.selection.active == layer
    camera = triage.viewer.scene.camera
    row0, col0, row1, col1 = blob.bbox
    np.testing.assert_allclose(camera.center[-2:], [(row0 + row1 - 1) / 2, (col0 + col1 - 1) / 2])
    seen = np.array(triage.viewer.canvas.viewbox_size(triage.viewer.layers)) / camera.zoom
    assert np.all(seen >= 1.3 * np.array([row1 - row0, col1 - col0]))
    assert seen.min() < HEIGHT  # nearer than the whole frame
    assert panel.progress.text() == "1 of 6 done"


def test_n_and_shift_n_walk_through_the_list_from_within_the_panel_too(triage) -> None:
    panel, view = triage.panel, triage.panel.errors.view
    panel.tabs.setCurrentWidget(panel.errors)
    view.setFocus()
    QApplication.processEvents()
    order = panel.errors.table.order.tolist()
    seen = []
    for _ in order:
        QTest.keyClick(view, Qt.Key.Key_N)
        seen.append(view.table.order[view.currentIndex().row()])
    assert seen == order
    assert panel.progress.text() == "6 of 6 done"
    QTest.keyClick(view, Qt.Key.Key_N)
    assert "All errors" in panel.progress.text()
    QTest.keyClick(view, Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    assert view.currentIndex().row() == len(order) - 2
    QTest.keyClick(view, Qt.Key.Key_Space)  # open again
    assert column_texts(view, "state")[len(order) - 2] == "open"
    assert panel.progress.text() == "5 of 6 done"


def test_an_error_that_was_mended_is_counted_and_left_alone(triage) -> None:
    panel = triage.panel
    panel.next_button.click()
    assert frame_on_screen(triage) == 4
    panel.update_record(measured(4, prediction=truth_mask(4)))
    triage.wait(lambda: "mended" in column_texts(panel.errors.view, "state"))
    assert panel.progress.text() == "1 of 6 done"
    panel.update_record(measured(3, prediction=truth_mask(3)))  # nobody has seen that one
    triage.wait(lambda: panel.progress.text() == "1 of 5 done")
    panel.next_button.click()
    assert frame_on_screen(triage) == 2
    panel.previous_button.click()
    assert "first one" in panel.progress.text()  # the mended one is no place to go to


def test_what_was_seen_stays_seen_when_its_frame_is_measured_anew(triage) -> None:
    panel = triage.panel
    panel.next_blob()
    prediction = predicted_mask(4)
    prediction[44:46][prediction[44:46] == 1] = truth_mask(4)[44:46][prediction[44:46] == 1]
    panel.update_record(measured(4, prediction))
    panel.refresh()
    assert column_texts(panel.errors.view, "state").count("seen") == 1
    state = panel.state()
    panel.set_records([measured(index) for index in range(5)])
    assert panel.progress.text() == "0 of 6 done"
    panel.set_records([measured(4, prediction)])
    panel.restore(state)
    assert panel.progress.text() == "1 of 1 done"


def test_errors_are_filtered_by_kind_type_class_and_size(triage) -> None:
    tab = triage.panel.errors
    everything = len(column_texts(tab.view, "frame"))
    tab.kind.setCurrentText("false positive")
    assert set(column_texts(tab.view, "kind")) == {"FP"}
    tab.kind.setCurrentIndex(0)
    tab.of_class.setCurrentText("tool")
    assert column_texts(tab.view, "predicted") == ["tool"]
    assert triage.panel.progress.text() == "0 of 1 done"
    tab.of_class.setCurrentIndex(0)
    tab.type.setCurrentText("segment")
    assert column_texts(tab.view, "type") == ["segment"]
    tab.type.setCurrentIndex(0)
    tab.min_area.setValue(100)
    assert 0 < len(column_texts(tab.view, "frame")) < everything
    tab.min_area.setValue(100_000)
    assert "passes the filters" in tab.sentence.text()
    assert not triage.panel.next_button.isEnabled()


# --- confusion ------------------------------------------------------------------------------------


def test_a_cell_of_the_confusion_matrix_lists_its_frames_and_errors(triage) -> None:
    panel = triage.panel
    panel.tabs.setCurrentWidget(panel.confusion)
    table = panel.confusion.view.table
    np.testing.assert_array_equal(table.matrix, sum(measured(index).confusion for index in range(5)))
    tooltip = table.data(table.index(1, 2), Qt.ItemDataRole.ToolTipRole)
    assert tooltip.startswith("iris predicted as tool: 60 of ")
    click_row(panel.confusion.view, 1, column=2)
    assert panel.tabs.currentWidget() is panel.errors
    assert column_texts(panel.errors.view, "frame") == ["2"]
    assert column_texts(panel.frames.view, "frame") == ["2"]
    assert column_texts(panel.frames.view, "pixels") == ["60"]
    assert panel.pair_label.whole_text == "Only iris predicted as tool"
    panel.pair_button.click()
    assert len(column_texts(panel.frames.view, "frame")) == NUM_FRAMES
    assert not panel.pair_label.isVisible()


def test_a_cell_is_chosen_by_keyboard(triage) -> None:
    panel = triage.panel
    panel.tabs.setCurrentWidget(panel.confusion)
    view = panel.confusion.view
    view.setFocus()
    view.setCurrentIndex(view.table.index(0, 0))
    QTest.keyClick(view, Qt.Key.Key_Right)
    QTest.keyClick(view, Qt.Key.Key_Return)
    assert panel.pair_label.whole_text == "Only pupil predicted as iris"
    assert column_texts(panel.frames.view, "frame")[0] == "4"


# --- labels ---------------------------------------------------------------------------------------


def test_doubtful_contours_are_listed_and_gone_to(triage) -> None:
    panel = triage.panel
    frame = SCHEME.color_table()[truth_mask(2)]
    panel.set_contours({2: check_contours(truth_mask(1), frame), 3: check_contours(truth_mask(2), frame)})
    assert set(column_texts(panel.contours.view, "frame")) == {"2"}
    panel.tabs.setCurrentWidget(panel.contours)
    click_row(panel.contours.view, 0)
    assert frame_on_screen(triage) == 2
    assert triage.controller.selected_class == 0
    assert abs(float(column_texts(panel.contours.view, "offset")[0])) == pytest.approx(4, abs=1)


# --- the rest -------------------------------------------------------------------------------------


def test_without_records_each_tab_says_what_is_missing(review) -> None:
    panel = make_panel(review)
    for tab in (panel.frames, panel.errors, panel.confusion, panel.contours):
        panel.tabs.setCurrentWidget(tab)
        assert tab.sentence.isVisible()
        assert tab.sentence.text().endswith(".")
    QTest.keyClick(panel.frames, Qt.Key.Key_N)
    assert panel.progress.text() == "No errors."


def test_a_source_is_followed_and_let_go_of(triage) -> None:
    panel, source = triage.panel, InMemoryRecords([measured(0)])
    panel.set_source(source)
    assert column_texts(panel.frames.view, "frame") == ["0"]
    source.put(measured(3))
    triage.wait(lambda: column_texts(panel.frames.view, "frame") == ["3", "0"])
    source.put(replace(measured(0), miou=0.01))
    triage.wait(lambda: column_texts(panel.frames.view, "frame") == ["0", "3"])
    source.clear()
    assert panel.frames.table.rowCount() == 0
    panel.set_source(None)
    source.put(measured(1))
    QTest.qWait(400)
    assert panel.frames.table.rowCount() == 0


def test_another_clip_begins_anew_and_closing_gives_the_keys_back(triage, tmp_path) -> None:
    from review_cases import write_clip

    panel = triage.panel
    panel.next_blob()
    settle(triage)
    triage.open(write_clip(tmp_path / "other", "clip_b"))
    assert panel.frames.table.rowCount() == 0
    assert panel.state() == {"reviewed": [], "done": []}
    assert {str(key) for key in triage.viewer.keymap} >= {"N", "Shift+N"}
    assert triage.controller.close()
    assert not {"N", "Shift+N"} & {str(key) for key in triage.viewer.keymap}


def test_ninety_thousand_rows_are_sorted_and_filtered_at_once(qtbot) -> None:
    rng = np.random.default_rng(0)
    columns = [
        Column(key=key, title=key, about=key, text=lambda v: f"{v:.3f}") for key in ("a", "b", "c", "d")
    ]
    values = {key: rng.random(90_000) for key in "abcd"}
    values["a"][:1000] = math.nan
    table = ArrayTable(columns, "a")
    view = TableView(table, "many")
    qtbot.addWidget(view)
    view.resize(400, 600)
    view.show()
    start = time.perf_counter()
    table.set_values(values, np.ones(90_000, np.bool_))
    view.fit_columns()
    view.show_row(12_345)
    view.sort_by("b")
    QApplication.processEvents()
    table.set_values(values, values["c"] > 0.5)
    QApplication.processEvents()
    assert time.perf_counter() - start < 1.0  # 0.1 s alone
    shown = values["b"][table.order]
    assert np.all(np.diff(shown) <= 0)
    assert len(shown) == np.count_nonzero(values["c"] > 0.5)
    view.sort_by("a")
    assert np.isnan(values["a"][table.order[-1]])
    table.sort(0, Qt.SortOrder.AscendingOrder)
    assert np.isnan(values["a"][table.order[-1]])


def test_the_selected_row_stays_selected_when_sorted(qtbot) -> None:
    columns = [Column(key=key, title=key, about=key, text=str) for key in ("a", "b")]
    table = ArrayTable(columns, "a")
    view = TableView(table, "few")
    qtbot.addWidget(view)
    values = {"a": np.array([3.0, 1.0, 2.0]), "b": np.array([1.0, 2.0, 3.0])}
    table.set_values(values, np.ones(3, np.bool_))
    view.show_row(1)
    assert view.currentIndex().row() == 2
    view.sort_by("b")
    assert view.currentIndex().row() == 1
