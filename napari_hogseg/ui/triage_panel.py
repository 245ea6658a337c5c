"""The worst first: frames, errors, confusions and doubtful contours of a clip, one key apart.

Owns the widgets and the way from a row to the place on the canvas. What is measured comes from outside, as
records (`triage_records`); the state of the errors is `triage_queue`'s, the tables `triage_tables`'.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_hogseg.ui.contour_review import ContourReview
from napari_hogseg.ui.contours_tab import ContoursTab
from napari_hogseg.ui.section import ElidedLabel
from napari_hogseg.ui.triage_queue import BlobQueue, State
from napari_hogseg.ui.triage_records import FrameRecord, FrameTable, TriageSource
from napari_hogseg.ui.triage_tabs import ConfusionTab, ErrorsTab, FramesTab

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari_hogseg.metrics.error_blobs import ErrorBlob
    from napari_hogseg.ui.review_controller import ReviewController

#: Records of a running survey come many a second; tables that jump cannot be read.
REFRESH_MS = 300


class TriagePanel(QWidget):
    """Find the worst frames and errors, and go through them.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional

    Attributes
    ----------
    state_changed : Signal()
        A person marked a frame or an error: `state` has more to keep.
    """

    state_changed = Signal()

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self.queue = BlobQueue()
        self._source: TriageSource | None = None
        self._measured = FrameTable()
        self._reviewed: set[int] = set()
        # Errors that were done when the clip was open last, by frame, until their frame is measured.
        self._done_before: dict[int, set[tuple[int, ...]]] = {}
        # Records wait here until the tables are filled anew: a row on screen must mean what it says.
        self._waiting: dict[int, FrameRecord] = {}
        self._pair: tuple[int, int] | None = None
        self._current: tuple[int, ErrorBlob] | None = None
        self._make_widgets()
        self.doubts = ContourReview(controller, self.contours, self)
        self._lay_out()
        self._refresh_later = QTimer(self, singleShot=True, interval=REFRESH_MS)
        self._refresh_later.timeout.connect(self.refresh)
        self._connect()
        self._bind_keys()
        self._on_clip()

    # --- what there is to show --------------------------------------------------------------------

    def set_source(self, source: TriageSource | None) -> None:
        """Follow a source of records; None lets go of the last one."""
        if self._source is not None:
            self._source.changed.disconnect(self._on_source)
        self._source = source
        if source is not None:
            source.changed.connect(self._on_source)
        self.set_records([] if source is None else source.records())

    def set_records(self, records: Iterable[FrameRecord]) -> None:
        """Show these records and no others: another clip, or another model."""
        records = list(records)
        self._waiting.clear()
        self.errors.set_columns({})  # its rows are the old queue's
        self._measured.set_records(records)
        self.queue.set_records(records)
        self._mark_done_before({record.frame_index for record in records})
        self._current = None
        self._set_pair(None)
        self.refresh()

    def update_record(self, record: FrameRecord) -> None:
        """Take a new or newer record of one frame; the tables follow within `REFRESH_MS`."""
        self._waiting[record.frame_index] = record
        self._follow_soon()

    def refresh(self) -> None:
        """Fill the tables anew, at once; what is selected stays selected."""
        self._refresh_later.stop()
        begin_s = time.perf_counter()
        row = self.errors.view.selected_row
        selected = None if row is None else (self.queue.frame_index(row), self.queue.blob(row))
        for record in self._waiting.values():
            self._measured.update(record)
            self.queue.update(record)
        self._mark_done_before(set(self._waiting))
        self._waiting.clear()
        self._fill_tables()
        if selected is not None:
            self.errors.view.show_row(self.queue.row_of(*selected), scroll=False)
        self._show_progress()
        # A survey may take a twentieth of the time of whoever paints meanwhile.
        spent_ms = 1000 * (time.perf_counter() - begin_s)
        self._refresh_later.setInterval(max(REFRESH_MS, round(20 * spent_ms)))

    def _fill_tables(self) -> None:
        for frame_index in self._reviewed:
            self._measured.set_value("reviewed", frame_index, 1.0)
        self._measured.clear_value("doubt")
        for frame_index, report in self.doubts.reports.items():
            self._measured.set_value("doubt", frame_index, report.score)
        self.frames.set_columns(self._measured.columns(self._pair))
        self.errors.set_columns(self.queue.columns())
        self.confusion.set_matrix(self._measured.confusion)
        self.doubts.refresh()

    def state(self) -> dict[str, Any]:
        """Give what a person has marked, as plain lists and numbers, to be kept with the session."""
        columns = self.queue.columns()
        rows = np.flatnonzero(columns["state"] != State.OPEN).tolist()
        done = [[self.queue.frame_index(row), *_identity(self.queue.blob(row))] for row in rows]
        waiting = [[frame, *error] for frame, errors in self._done_before.items() for error in sorted(errors)]
        return {"reviewed": sorted(self._reviewed), "done": done + waiting}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Mark again what `state` said; errors of frames not measured yet are marked when they are."""
        for frame_index in self._reviewed:
            self._measured.set_value("reviewed", frame_index, 0.0)
        self._reviewed = {int(frame_index) for frame_index in state.get("reviewed", ())}
        self._done_before = {}
        for frame_index, *error in state.get("done", ()):
            self._done_before.setdefault(frame_index, set()).add(tuple(error))
        self._mark_done_before(set(self._done_before))
        self.refresh()

    def _mark_done_before(self, frames: set[int]) -> None:
        for frame_index in frames & self._done_before.keys():
            errors = self._done_before[frame_index]
            for row in np.flatnonzero(self.queue.columns()["frame"] == frame_index).tolist():
                identity = _identity(self.queue.blob(row))
                if identity in errors and self.queue.state(row) == State.OPEN:
                    self.queue.mark(row, State.SEEN)
                    errors.discard(identity)
            if not errors:
                del self._done_before[frame_index]

    # --- going there ------------------------------------------------------------------------------

    def next_blob(self) -> None:
        """Go to the next open error, in the order of the table; it counts as seen then."""
        row = self.queue.next_row(self.errors.table.order, self._current_row())
        if row is None:
            self._say("All errors in this list are done." if len(self.errors.table.order) else "No errors.")
        else:
            self.go_to_blob(row)

    def previous_blob(self) -> None:
        """Go back to the error before, in the order of the table."""
        row = self.queue.previous_row(self.errors.table.order, self._current_row())
        if row is None:
            self._say("This is the first one of the list.")
        else:
            self.go_to_blob(row)

    def go_to_blob(self, row: int) -> None:
        """Show an error, zoomed, with the brush of its true class."""
        blob, frame_index = self.queue.blob(row), self.queue.frame_index(row)
        self._current = frame_index, blob
        self.doubts.leave()
        if self.queue.state(row) == State.OPEN:
            self._mark(row, State.SEEN)
        self.controller.go_to(frame_index, blob.bbox, blob.true_class)
        self._show_current()
        self._show_progress()

    def go_to_frame(self, row: int) -> None:
        """Show a frame, at the zoom that is."""
        self.doubts.leave()
        self.controller.go_to(int(self.frames.columns["frame"][row]))

    def choose_pair(self, true_class: int, predicted_class: int) -> None:
        """List only the frames and errors of a cell of the confusion matrix."""
        num_classes = len(self._names())
        # The matrix's last column is no class: nothing was predicted there.
        predicted = predicted_class if predicted_class < num_classes else self._ignore()
        self._set_pair((true_class, predicted))
        self.refresh()
        self.frames.view.sort_by("pixels")
        self.tabs.setCurrentWidget(self.frames if true_class == predicted else self.errors)

    # --- inside -----------------------------------------------------------------------------------

    def _make_widgets(self) -> None:
        self.previous_button, self.next_button = QPushButton("Previous"), QPushButton("Next worst")
        self.progress = QLabel()
        self.progress.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.pair_label = ElidedLabel()
        self.pair_button = QToolButton(text="Show all")
        self.frames, self.errors = FramesTab(), ErrorsTab(self.controller.preferences.limits)
        self.confusion, self.contours = ConfusionTab(), ContoursTab()
        self.tabs = QTabWidget()
        self.tabs.tabBar().setAccessibleName("Lists of what to look at")
        for title, tab, about in (
            ("Frames", self.frames, "All frames, the worst first"),
            ("Errors", self.errors, "All errors, the worst first"),
            ("Confusion", self.confusion, "Which classes are taken for which"),
            ("Labels", self.contours, "Where the masks themselves are doubtful"),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(tab, title), about)
        self.previous_button.setToolTip("Back to the error before (Shift+N)")
        self.next_button.setToolTip("To the next error that is open, with the brush of its true class (N)")
        self.pair_button.setToolTip("List all frames and errors again")

    def _lay_out(self) -> None:
        steps = QHBoxLayout()
        steps.addWidget(self.previous_button)
        steps.addWidget(self.next_button)
        steps.addWidget(self.progress, 1)
        self._pair_row = QWidget()
        pair = QHBoxLayout(self._pair_row)
        pair.setContentsMargins(0, 0, 0, 0)
        pair.addWidget(self.pair_label, 1)
        pair.addWidget(self.pair_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addLayout(steps)
        column.addWidget(self._pair_row)
        column.addWidget(self.tabs, 1)

    def _connect(self) -> None:
        self.previous_button.clicked.connect(lambda: self.previous_blob())
        self.next_button.clicked.connect(lambda: self.next_blob())
        self.pair_button.clicked.connect(lambda: self._show_all())
        self.frames.view.chosen.connect(self.go_to_frame)
        self.frames.view.toggled.connect(self._toggle_reviewed)
        self.errors.view.chosen.connect(self.go_to_blob)
        self.errors.view.toggled.connect(self._toggle_done)
        self.errors.filtered.connect(self._on_filtered)
        self.confusion.view.chosen.connect(self.choose_pair)
        self.doubts.changed.connect(self._follow_soon)
        self.doubts.settled.connect(self.refresh)
        self.controller.clip_changed.connect(self._on_clip)
        self.controller.closing.connect(self._on_closing)

    def _bind_keys(self) -> None:
        keys = self.controller.keys
        keys.add("next_error", "Next error", "N", self.next_blob)
        keys.add("previous_error", "Error before", "Shift+N", self.previous_blob)
        keys.serve(self)

    def _on_closing(self) -> None:
        """End the threads."""
        self.doubts.close()

    def _follow_soon(self) -> None:
        if not self._refresh_later.isActive():
            self._refresh_later.start()

    def _on_source(self, record: FrameRecord | None) -> None:
        if self._source is None:
            return
        if record is None:
            self.set_records(self._source.records())
        else:
            self.update_record(record)

    def _on_clip(self) -> None:
        """Another clip: its classes, and nothing measured yet."""
        session = self.controller.session
        if session is not None:
            scheme = session.clip.scheme
            for tab in (self.errors, self.confusion, self.contours):
                tab.set_classes(scheme.classes, scheme.colors)
        self._reviewed.clear()
        self._done_before.clear()
        self._current = None
        self.doubts.clear()
        self.contours.show_run("", running=False)
        self.set_records([] if self._source is None else self._source.records())

    def _on_filtered(self) -> None:
        self._show_current()
        self._show_progress()

    def _toggle_reviewed(self, row: int) -> None:
        frame_index = int(self.frames.columns["frame"][row])
        self._reviewed ^= {frame_index}
        self._measured.set_value("reviewed", frame_index, float(frame_index in self._reviewed))
        self.frames.set_reviewed(row, reviewed=frame_index in self._reviewed)
        self.state_changed.emit()

    def _toggle_done(self, row: int) -> None:
        if self.queue.state(row) != State.MENDED:
            self._mark(row, State.OPEN if self.queue.state(row) == State.SEEN else State.SEEN)
            self._show_progress()

    def _mark(self, row: int, state: State) -> None:
        self.queue.mark(row, state)
        self.errors.table.row_changed(row, dim=state != State.OPEN)
        self.state_changed.emit()

    def _current_row(self) -> int | None:
        return None if self._current is None else self.queue.row_of(*self._current)

    def _show_current(self) -> None:
        self.errors.view.show_row(self._current_row())

    def _show_progress(self) -> None:
        done, total = self.queue.progress(self.errors.table.order)
        self._say(f"{done} of {total} done" if total else "No errors in the list")
        self.next_button.setEnabled(total > 0)
        self.previous_button.setEnabled(total > 0)

    def _say(self, text: str) -> None:
        self.progress.setText(text)
        self.progress.setToolTip(f"{text}. Space in the list marks an error as done, or as open again.")

    def _set_pair(self, pair: tuple[int, int] | None) -> None:
        self._pair = pair
        self.errors.set_pair(pair)
        self.frames.set_pair(pair)
        self._pair_row.setVisible(pair is not None)
        if pair is not None:
            names = [*self._names()]
            true, predicted = (names[c] if c < len(names) else "nothing" for c in pair)
            same = pair[0] == pair[1]
            self.pair_label.set_text(
                f"Only {true}" if same else f"Only {true} \N{RIGHTWARDS ARROW} {predicted}"
            )

    def _show_all(self) -> None:
        self._set_pair(None)
        self.refresh()
        self.frames.view.sort_by("worst")

    def _names(self) -> tuple[str, ...]:
        session = self.controller.session
        return () if session is None else session.clip.scheme.classes

    def _ignore(self) -> int:
        session = self.controller.session
        return 255 if session is None else session.clip.scheme.ignore


def _identity(blob: ErrorBlob) -> tuple[int, ...]:
    return (blob.true_class, blob.predicted_class, blob.area_px, *blob.bbox)
