"""The triage panel in a real window, driven by keys and clicks, on records measured from masks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget
from review_cases import (
    HEIGHT,
    NUM_FRAMES,
    WIDTH,
    canvas_of,
    frame_pixels,
    settle,
    truth_mask,
    write_clip,
)

from napari_hogseg.metrics import confusion_matrix, iou_scores
from napari_hogseg.metrics.error_blobs import find_error_blobs
from napari_hogseg.metrics.sloppy_labels import check_contours
from napari_hogseg.ui.cells import Cells
from napari_hogseg.ui.contour_marks import color_of
from napari_hogseg.ui.contour_review import same_contour
from napari_hogseg.ui.fitted_view import SETTLE_MS
from napari_hogseg.ui.triage_panel import TriagePanel
from napari_hogseg.ui.triage_records import InMemoryRecords


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


def test_the_worst_frame_stands_on_top_and_is_gone_to_by_click_and_enter(triage) -> None:
    tab, view = triage.panel.frames, triage.panel.frames.view
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

    QTest.keyClick(view, Qt.Key.Key_Space)
    assert column_texts(view, "reviewed")[0] == "\N{CHECK MARK}"
    assert triage.panel.state()["reviewed"] == [4]

    header, position = view.horizontalHeader(), tab.table.position("miou")
    middle = header.sectionViewportPosition(position) + header.sectionSize(position) // 2
    QTest.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(middle, 8))
    texts = column_texts(view, "miou")
    assert texts[-1] == "-"
    assert texts[:-1] in (sorted(texts[:-1]), sorted(texts[:-1], reverse=True))

    tab.filter.setCurrentText("Not reviewed")
    assert "4" not in column_texts(view, "frame")
    tab.filter.setCurrentText("Without a mask")
    assert column_texts(view, "frame") == ["5"]
    tab.filter.setCurrentText("Corrected")
    assert tab.pages.currentWidget() is tab.sentence
    assert "passes the filters" in tab.sentence.text()


def test_n_goes_to_the_worst_error_zoomed_with_the_brush_of_its_class(triage) -> None:
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
    seen = np.array(triage.viewer.canvas.viewbox_size(triage.viewer.layers)) / camera.zoom
    first, last = np.array(camera.center[-2:]) + 0.5 - seen / 2, np.array(camera.center[-2:]) + 0.5 + seen / 2
    row0, col0, row1, col1 = blob.bbox
    assert np.all(first < (row0, col0))
    assert np.all(last > (row1, col1))
    assert seen.min() < 0.9 * HEIGHT  # nearer than the whole frame
    assert panel.progress.text() == "1 of 6 done"
    wait_for_fit = 5 * SETTLE_MS
    QTest.qWait(wait_for_fit)
    assert seen == pytest.approx(
        np.array(triage.viewer.canvas.viewbox_size(triage.viewer.layers)) / camera.zoom, rel=0.1
    )  # nothing takes the view away

    canvas.setFocus()
    QTest.keyClick(canvas, Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    assert panel.progress.text() == "This is the first one of the list."

    # The invented tool stands in the frame's upper left corner: no half of the view is left empty.
    panel.go_to_blob(next(row for row in range(6) if panel.queue.blob(row).predicted_class == 2))
    seen = np.array(triage.viewer.canvas.viewbox_size(triage.viewer.layers)) / camera.zoom
    np.testing.assert_allclose(camera.center[-2:], np.minimum(seen, (HEIGHT, WIDTH)) / 2 - 0.5, atol=0.5)


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

    # Until the tables follow, a row means what it says.
    view = panel.errors.view
    row = next(row for row in range(5) if panel.queue.frame_index(row) == 1)
    view.show_row(row)
    panel.update_record(measured(0, prediction=truth_mask(0)))
    assert panel.queue.frame_index(view.selected_row) == 1
    panel.refresh()
    assert view.selected_row == row - 1
    assert panel.queue.frame_index(row - 1) == 1
    panel.update_record(measured(0))
    panel.refresh()

    state = panel.state()
    panel.set_records([measured(index) for index in range(5)])
    assert panel.progress.text() == "0 of 6 done"
    panel.restore(state)
    assert panel.progress.text() == "2 of 6 done"


def test_errors_are_filtered_and_a_cell_of_the_matrix_lists_its_own(triage) -> None:
    panel, tab = triage.panel, triage.panel.errors
    everything = len(column_texts(tab.view, "frame"))
    tab.kind.setCurrentText("false positive")
    assert set(column_texts(tab.view, "kind")) == {"FP"}
    tab.kind.setCurrentIndex(0)
    tab.of_class.setCurrentText("tool")
    assert column_texts(tab.view, "predicted") == ["tool"]
    assert panel.progress.text() == "0 of 1 done"
    tab.of_class.setCurrentIndex(0)
    tab.type.setCurrentText("segment")
    assert column_texts(tab.view, "type") == ["segment"]
    tab.type.setCurrentIndex(0)
    assert tab.hidden.text() == ""
    tab.min_area.setValue(100)
    left = len(column_texts(tab.view, "frame"))
    assert 0 < left < everything == 6
    assert tab.hidden.text() == f"{6 - left} of 6 errors hidden by size < 100 px"
    tab.of_class.setCurrentText("tool")
    assert tab.hidden.text() == "1 of 1 error hidden by size < 100 px"  # of those that are asked for
    tab.of_class.setCurrentIndex(0)
    tab.min_area.setValue(100_000)
    assert "passes the filters" in tab.sentence.text()
    assert not panel.next_button.isEnabled()
    tab.min_area.setValue(1)
    tab.min_depth.setValue(5.5)
    shallow = [blob.depth_px < 5.5 for index in range(5) for blob in measured(index).blobs]
    assert 0 < sum(shallow) < 6
    assert tab.hidden.text() == f"{sum(shallow)} of 6 errors hidden by depth < 5.5 px"
    assert panel.progress.text() == f"0 of {6 - sum(shallow)} done"
    tab.min_depth.setValue(0)

    panel.tabs.setCurrentWidget(panel.confusion)
    view = panel.confusion.view
    np.testing.assert_array_equal(view.table.matrix, sum(measured(index).confusion for index in range(5)))
    tooltip = view.table.data(view.table.index(1, 2), Qt.ItemDataRole.ToolTipRole)
    assert tooltip.startswith("iris predicted as tool: 60 of ")
    click_row(view, 1, column=2)
    assert panel.tabs.currentWidget() is tab
    for table_view in (tab.view, panel.frames.view):
        assert column_texts(table_view, "frame") == ["2"]
    assert column_texts(panel.frames.view, "pixels") == ["60"]
    assert panel.pair_label.whole_text == "Only iris \N{RIGHTWARDS ARROW} tool"
    panel.pair_button.click()
    assert len(column_texts(panel.frames.view, "frame")) == NUM_FRAMES
    assert not panel.pair_label.isVisible()

    panel.tabs.setCurrentWidget(panel.confusion)
    view.setFocus()
    view.setCurrentIndex(view.table.index(0, 0))
    QTest.keyClick(view, Qt.Key.Key_Right)
    QTest.keyClick(view, Qt.Key.Key_Return)
    assert panel.pair_label.whole_text == "Only pupil \N{RIGHTWARDS ARROW} iris"
    assert column_texts(panel.frames.view, "frame")[0] == "4"


def test_doubtful_contours_are_looked_for_listed_and_gone_to(triage) -> None:
    panel = triage.panel
    panel.tabs.setCurrentWidget(panel.contours)
    assert "have not been checked" in panel.contours.sentence.text()
    store = triage.controller.session.store
    store.paint(2, ..., truth_mask(1))  # 4 px beside the pupil
    panel.contours.button.click()
    assert panel.contours.button.text() == "Stop"
    triage.wait(lambda: panel.contours.button.text() == "Check masks")
    assert panel.contours.note.whole_text == f"{NUM_FRAMES} masks checked"
    assert set(column_texts(panel.contours.view, "frame")) == {"2"}
    assert abs(float(column_texts(panel.contours.view, "offset")[0])) == pytest.approx(4, abs=1)
    doubts = dict(
        zip(column_texts(panel.frames.view, "frame"), column_texts(panel.frames.view, "doubt"), strict=True)
    )
    assert max(doubts, key=doubts.get) == "2"
    assert marks_on(triage) is None  # nothing is drawn unasked
    click_row(panel.contours.view, 0)
    assert frame_on_screen(triage) == 2
    assert triage.controller.selected_class == 0
    settle(triage)

    frame_index, chosen = panel.doubts.chosen
    overlay = marks_on(triage)
    assert (frame_index, overlay.contours) == (2, (chosen,))
    picture = overlay.grab().toImage()
    row, col = chosen.path[len(chosen.path) // 2].tolist()
    y, x = Cells.of(triage.viewer, (overlay.height(), overlay.width())).on_canvas((0, 0), (row, col))
    drawn, wanted = picture.pixelColor(round(x), round(y)), color_of(float(chosen.disagreements.mean()))
    assert max(abs(a - b) for a, b in zip(drawn.getRgb()[:3], wanted.getRgb()[:3], strict=True)) < 60
    right = round(x) + overlay.width() // 2 + 3  # the same place of the next panel
    assert picture.pixelColor(right, round(y)) != drawn

    triage.goto(3)
    assert marks_on(triage) is None
    triage.goto(2)
    assert marks_on(triage).contours == (chosen,)
    panel.contours.drawn.setCurrentText("nothing")
    assert marks_on(triage) is None
    panel.contours.drawn.setCurrentText("all of the frame")
    assert set(marks_on(triage).contours) == set(panel.doubts.reports[2].segments)
    triage.controller.set_layout("swipe", ("prediction", "truth"))
    over = canvas_of(triage).children()
    assert over.index(marks_on(triage)) > over.index(triage.controller.stage.cover)
    triage.controller.set_layout("grid")
    panel.next_blob()  # somewhere else: nothing is chosen any more
    panel.contours.drawn.setCurrentText("the chosen one")
    assert panel.doubts.chosen is None

    triage.goto(2)
    click_row(panel.contours.view, 0)
    assert marks_on(triage).contours
    store.paint(2, ..., truth_mask(2))  # mended: it goes from the list and from the canvas
    triage.wait(lambda: not panel.doubts.reports[2].segments)
    triage.wait(lambda: panel.contours.table.rowCount() == 0)
    assert marks_on(triage) is None


def marks_on(case):
    """The widget that contours are drawn on; None where there is none."""
    found = canvas_of(case).findChildren(QWidget, "hogseg doubtful contours")
    assert len(found) <= 1
    return found[0] if found else None


def test_a_contour_that_was_checked_again_is_found_by_its_box() -> None:
    rows, cols = np.mgrid[:80, :80]
    frame = np.where((rows - 40) ** 2 + (cols - 40) ** 2 < 20**2, 200, 60).astype(np.uint8)
    frame = np.repeat(frame[..., None], 3, axis=2)

    def report(shift):
        return check_contours(((rows - 40) ** 2 + (cols - 40 - shift) ** 2 < 20**2).astype(np.uint8), frame)

    before, mended = report(6), report(0)
    worst = before.segments[0]
    assert same_contour(worst, before) is worst
    again = same_contour(worst, report(5))
    assert again is not None
    assert abs(again.offset_px) < abs(worst.offset_px)
    assert same_contour(worst, mended) is None


def test_the_more_it_disagrees_the_redder_it_is() -> None:
    greens = [color_of(each).green() for each in (0.2, 0.5, 0.6, 0.8, 1.0, 1.2)]
    assert greens == sorted(greens, reverse=True)
    assert greens[0] == greens[1] > greens[-1] == greens[-2] == 0


def test_without_records_each_tab_says_what_is_missing(review) -> None:
    panel = make_panel(review)
    for tab in (panel.frames, panel.errors, panel.confusion, panel.contours):
        panel.tabs.setCurrentWidget(tab)
        assert tab.sentence.isVisible()
        assert tab.sentence.text().endswith(".")
    QTest.keyClick(panel.frames, Qt.Key.Key_N)
    assert panel.progress.text() == "No errors."
    panel.contours.button.click()
    assert panel.contours.note.whole_text == "No clip is open."


def test_a_source_is_followed_another_clip_begins_anew_and_keys_are_given_back(triage, tmp_path) -> None:
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

    panel.set_records([measured(4)])
    panel.next_blob()
    settle(triage)
    panel.doubts.check_masks()
    triage.open(write_clip(tmp_path / "other", "clip_b"))
    assert panel.frames.table.rowCount() == 0
    assert panel.state() == {"reviewed": [], "done": []}
    assert not panel.doubts.scan.running
    assert {str(key) for key in triage.viewer.keymap} >= {"N", "Shift+N"}
    assert triage.controller.close()
    assert not {"N", "Shift+N"} & {str(key) for key in triage.viewer.keymap}
