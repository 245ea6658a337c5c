"""What stands behind the triage panel, without a window of napari: ranking, the queue, large tables."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_hogseg.metrics.error_blobs import ErrorBlob
from napari_hogseg.ui.confusion_view import ConfusionView
from napari_hogseg.ui.triage_queue import BlobQueue, State, severity_px
from napari_hogseg.ui.triage_records import FrameTable, badness
from napari_hogseg.ui.triage_tables import ArrayTable, Column, TableView

NUM_MANY = 90_000
BLOB = ErrorBlob(
    kind="false negative",
    type="extent",
    true_class=0,
    predicted_class=1,
    area_px=400,
    depth_px=8.0,
    gradient=5.0,
    bbox=(10, 10, 30, 30),
    centroid=(20.0, 20.0),
)
ELSEWHERE = replace(BLOB, bbox=(50, 50, 70, 70))


def record(frame_index, *blobs, **numbers):
    absent = dict.fromkeys(("miou", "boundary_f", "hog_residual", "entropy", "flicker", "confusion"))
    known = {"frame_index": frame_index, "has_truth": True, "corrected": False, "blobs": blobs}
    return SimpleNamespace(**(absent | known | numbers))


# --- frames ---------------------------------------------------------------------------------------


def test_frames_without_a_mask_rank_by_residual_and_entropy() -> None:
    columns = {
        "miou": np.array([0.9, 0.5, np.nan, np.nan, np.nan, np.nan]),
        "hog_residual": np.array([9.0, 9.0, 0.1, 0.3, 0.2, np.nan]),
        "entropy": np.array([np.nan, np.nan, 0.5, 0.6, np.nan, np.nan]),
    }
    np.testing.assert_allclose(badness(columns), [0.5, 1.0, 1 / 3, 1.0, 2 / 3, np.nan])


def test_records_become_columns_and_newer_ones_replace_older_ones() -> None:
    table = FrameTable()
    counts = np.array([[5, 1], [2, 7]])
    table.set_records(record(index, miou=index / 100, confusion=counts) for index in range(70))
    table.set_value("reviewed", 3, 1.0)
    table.set_value("doubt", 99, 1.0)  # no such frame
    table.update(record(3, miou=0.5, corrected=True, confusion=2 * counts))
    table.update(record(70, hog_residual=0.2, has_truth=False))
    columns = table.columns(pair=(0, 1))
    assert len(table) == len(columns["frame"]) == 71
    assert [columns[key][3] for key in ("miou", "corrected", "reviewed", "pixels")] == [0.5, 1.0, 1.0, 2.0]
    assert columns["has_truth"][70] == 0
    assert math.isnan(columns["miou"][70])
    assert columns["worst"][70] == 1.0
    assert columns["worst"][0] == 1.0
    np.testing.assert_array_equal(table.confusion, 71 * counts)
    assert np.isnan(table.columns()["pixels"]).all()
    table.set_records([])
    assert table.confusion is None


# --- errors ---------------------------------------------------------------------------------------


def test_an_error_is_no_worse_than_a_disk_of_its_size() -> None:
    disk = replace(BLOB, area_px=round(math.pi * 10**2), depth_px=10.0)
    assert severity_px(disk) == pytest.approx(10, abs=0.05)
    assert severity_px(replace(disk, depth_px=2.0)) == 2.0  # a strip
    assert severity_px(replace(disk, area_px=12, depth_px=30.0)) < 2  # deep within an error of other classes


def test_what_was_seen_stays_seen_when_its_frame_is_measured_anew() -> None:
    queue = BlobQueue()
    queue.set_records([record(1, BLOB, ELSEWHERE), record(0, BLOB), record(2)])
    assert len(queue) == 3
    assert [queue.frame_index(row) for row in range(3)] == [0, 1, 1]
    queue.mark(1, State.SEEN)
    smaller = replace(BLOB, area_px=300, bbox=(10, 10, 26, 30))
    queue.update(record(1, ELSEWHERE, smaller))
    assert [queue.state(row) for row in range(3)] == [State.OPEN, State.OPEN, State.SEEN]
    assert queue.row_of(1, BLOB) == 2
    mostly_mended = replace(BLOB, area_px=40, bbox=(10, 10, 14, 20))
    queue.update(record(1, ELSEWHERE, mostly_mended))  # what is left is a new error
    assert [queue.state(row) for row in range(4)] == [State.OPEN, State.OPEN, State.OPEN, State.MENDED]
    queue.update(record(1, smaller))  # undone; the one elsewhere was never seen
    assert [queue.state(row) for row in range(2)] == [State.OPEN, State.SEEN]
    assert len(queue) == 2
    assert queue.row_of(7, BLOB) is None


def test_the_queue_goes_round_and_passes_over_what_is_done() -> None:
    queue = BlobQueue()
    queue.set_records([record(index, BLOB) for index in range(4)])
    order = np.array([2, 0, 3])  # a filter hides row 1
    assert queue.next_row(order, None) == 2
    queue.mark(0, State.SEEN)
    assert queue.next_row(order, 2) == 3
    assert queue.next_row(order, 3) == 2  # round
    assert queue.next_row(order, 1) == 2  # from a hidden row
    assert queue.previous_row(order, 3) == 0  # seen, and still an error
    assert queue.previous_row(order, 2) is None
    queue.mark(0, State.MENDED)
    assert queue.previous_row(order, 3) == 2
    assert queue.progress(order) == (1, 3)
    for row in order.tolist():
        queue.mark(row, State.SEEN)
    assert queue.next_row(order, 2) is None


# --- tables ---------------------------------------------------------------------------------------


def table_of(*keys):
    return ArrayTable([Column(key=key, title=key, about=key, text=str) for key in keys], keys[0])


def test_ninety_thousand_rows_are_sorted_and_filtered_at_once(qtbot) -> None:
    rng = np.random.default_rng(0)
    values = {key: rng.random(NUM_MANY) for key in "abcd"}
    values["a"][:1000] = math.nan
    table = table_of(*"abcd")
    view = TableView(table, "many")
    qtbot.addWidget(view)
    view.resize(400, 600)
    view.show()
    start = time.perf_counter()
    table.set_values(values, np.ones(NUM_MANY, np.bool_))
    view.fit_columns()
    view.show_row(12_345)
    view.sort_by("b")
    QApplication.processEvents()
    table.set_values(values, values["c"] > 0.5)
    QApplication.processEvents()
    assert time.perf_counter() - start < 1.5  # 0.15 s alone
    shown = values["b"][table.order]
    assert np.all(np.diff(shown) <= 0)
    assert len(shown) == np.count_nonzero(values["c"] > 0.5)
    view.verticalScrollBar().setValue(500)
    table.set_values(values, values["c"] > 0.5)
    view.show_row(int(table.order[3]), scroll=False)
    QApplication.processEvents()
    assert view.verticalScrollBar().value() == 500  # new numbers leave a person where she looks
    for order in (Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder):
        table.sort(0, order)
        assert np.isnan(values["a"][table.order[-1]])  # what has no number comes last


def test_a_row_stays_selected_when_sorted_and_is_chosen_by_key(qtbot) -> None:
    table = table_of("a", "b")
    view = TableView(table, "few")
    qtbot.addWidget(view)
    table.set_values({"a": np.array([3.0, 1.0, 2.0]), "b": np.array([1.0, 2.0, 3.0])}, np.ones(3, np.bool_))
    view.show_row(1)
    assert view.currentIndex().row() == 2
    view.sort_by("b")
    assert view.currentIndex().row() == 1
    chosen, toggled = [], []
    view.chosen.connect(chosen.append)
    view.toggled.connect(toggled.append)
    QTest.keyClick(view, Qt.Key.Key_Down)
    QTest.keyClick(view, Qt.Key.Key_Enter)
    QTest.keyClick(view, Qt.Key.Key_Space)
    assert chosen == toggled == [0]
    table.row_changed(0, dim=True)
    view.show_row(2, scroll=False)
    assert (view.selected_row, view.currentIndex().row()) == (2, 0)
    done, open_ = (table.data(table.index(place, 0), Qt.ItemDataRole.ForegroundRole) for place in (2, 1))
    assert done.alpha() < 255
    assert open_ is None


def test_the_matrix_writes_percents_of_each_true_class(qtbot) -> None:
    view = ConfusionView()
    qtbot.addWidget(view)
    matrix = np.array([[900, 100, 0], [1, 9999, 5], [0, 0, 0]])
    view.table.set_matrix(matrix, ("a", "b", "c"), ((0, 0, 0),) * 3)
    texts = [[view.table.data(view.table.index(row, column)) for column in range(3)] for row in range(3)]
    assert texts == [["90", "10", ""], ["<.1", "100", "<.1"], ["", "", ""]]
    tooltip = view.table.data(view.table.index(2, 0), Qt.ItemDataRole.ToolTipRole)
    assert tooltip == "c predicted as a: no frame has c."
    colors = [view.table.color(0, column) for column in range(3)]
    assert colors[0].blue() > colors[0].red()  # right
    assert colors[1].red() > colors[1].blue()  # wrong
    assert colors[2] is None
    view.table.set_matrix(np.array([[3, 0, 1], [0, 4, 0]]), ("a", "b"), ((0, 0, 0),) * 2)
    assert view.table.headerData(2, Qt.Orientation.Horizontal) == "-"
    assert view.table.name(2) == "nothing"
