"""The dock's section on proposals: masks carried to other frames by flow, until a person accepts them.

A proposal is shown in a panel of its own and listed here with its confidence. Only accepting writes, through
the layer one paints on: napari's undo has each frame as one step.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDoubleSpinBox,
    QGridLayout,
    QHeaderView,
    QMessageBox,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.proposals import BY_FLOW, INTERPOLATED, PROPAGATED, Proposals
from napari_hogseg.ui.activity_bar import ActivityBar
from napari_hogseg.ui.labels import to_display
from napari_hogseg.ui.proposal_worker import ProposalWorker
from napari_hogseg.ui.review_layers import PROPOSAL
from napari_hogseg.ui.section import Section, wrapped_label

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_hogseg.session.propagation import Carried, ChainEnd
    from napari_hogseg.session.proposals import ProposedMask
    from napari_hogseg.ui.review_controller import ReviewController

#: Beyond some five frames carried masks are no better than copies.
NUM_FRAMES, MAX_FRAMES = 5, 50
ACCEPT_ABOVE = 0.7
LISTED_ROWS = 5
HINT = "Carries this frame's mask on by optical flow. Nothing is written until it is accepted."
NO_MASK = "This frame has no labels to carry on."
NO_GAP = "Correct two frames with some between them; then go to one of them, or in between."
TOUCHED = "corrected by hand"
CARRYING, FILLING = "Carrying masks", "Filling between corrected frames"


class ProposalSection(Section):
    """Asks for proposals, lists them, accepts and rejects.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional

    Attributes
    ----------
    changed : Signal()
        Other frames have proposals now.
    filled, emptied : Signal()
        There is something for the panel of proposals; there is nothing any more.
    """

    changed = Signal()
    filled = Signal()
    emptied = Signal()

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__("Carry masks to other frames", opened=False, parent=parent)
        self._controller = controller
        self.proposals: Proposals | None = None
        self.worker = ProposalWorker(self)
        self._bar = ActivityBar(CARRYING, self.cancel)
        self._kind = PROPAGATED
        self.backward, self.forward = QPushButton("◀ Backward"), QPushButton("Forward ▶")
        self.num_frames = QSpinBox(minimum=1, maximum=MAX_FRAMES, value=NUM_FRAMES)
        self.fill = QPushButton("Fill between corrected frames")
        self.stop = QPushButton("Stop")
        self.table = QTableWidget(0, 3)
        self.table.setAccessibleName("Proposed masks by frame")
        self.accept, self.reject = QPushButton("Accept this frame"), QPushButton("Reject")
        self.above = QPushButton("Accept all with at least")
        self.least = QDoubleSpinBox(minimum=0.0, maximum=1.0, singleStep=0.05, decimals=2, value=ACCEPT_ABOVE)
        self.num_frames.setAccessibleName("Frames to propose")
        self.least.setAccessibleName("Least confidence")
        self.reject_all = QPushButton("Reject all")
        self.note = wrapped_label(HINT)
        self._lay_out()
        self._explain()
        self._connect()
        self._refresh()

    # --- widgets ----------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        ask = QGridLayout()
        for column, widget in enumerate((self.backward, self.num_frames, self.forward)):
            ask.addWidget(widget, 0, column)
        ask.addWidget(self.fill, 1, 0, 1, 2)
        ask.addWidget(self.stop, 1, 2)
        self.body.addLayout(ask)
        table = self.table
        table.setHorizontalHeaderLabels(["Frame", "Expected IoU", "Now"])
        table.verticalHeader().setVisible(False)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        table.setMaximumHeight((LISTED_ROWS + 2) * table.fontMetrics().height() * 2)
        table.setTabKeyNavigation(False)
        self.body.addWidget(table)
        take = QGridLayout()
        for column, widget in enumerate((self.accept, self.reject, self.reject_all)):
            take.addWidget(widget, 0, column)
        take.addWidget(self.above, 1, 0, 1, 2)
        take.addWidget(self.least, 1, 2)
        for grid, shares in ((ask, (1, 1, 1)), (take, (4, 2, 3))):
            for column, share in enumerate(shares):
                grid.setColumnStretch(column, share)
        self.body.addLayout(take)
        self.body.addWidget(self.note)
        for button in (self.backward, self.forward, self.fill, self.stop, self.accept, self.reject,
                       self.above, self.reject_all):  # fmt: skip
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def _explain(self) -> None:
        for button, where in ((self.backward, "before"), (self.forward, "after")):
            button.setToolTip(f"Carry this frame's mask to the frames {where} it, as proposals.")
        self.num_frames.setToolTip(
            "At most: it ends at a cut, and where the mask is no longer to be trusted."
        )
        self.fill.setToolTip("The frames between the corrected ones before and after this frame.")
        self.table.setToolTip(
            "Proposals. The expected IoU is estimated from the pictures, from both directions of the flow."
        )
        self.above.setToolTip("Frames corrected by hand are left out.")
        self.least.setToolTip("Least expected IoU.")

    def _connect(self) -> None:
        controller = self._controller
        self.backward.clicked.connect(lambda: self.propagate(-1))
        self.forward.clicked.connect(lambda: self.propagate(1))
        self.fill.clicked.connect(lambda: self.fill_gap())
        self.stop.clicked.connect(lambda: self.cancel())
        self.accept.clicked.connect(lambda: self.accept_frame())
        self.reject.clicked.connect(lambda: self.reject_frame())
        self.above.clicked.connect(lambda: self.accept_above())
        self.reject_all.clicked.connect(lambda: self.reject_every())
        self.table.itemSelectionChanged.connect(self._on_row)
        self.worker.found.connect(self._on_found)
        self.worker.progressed.connect(self._bar.show)
        self.worker.ended.connect(self._on_ended)
        controller.clip_changed.connect(self._on_clip)
        controller.closing.connect(self._on_closing)
        controller.live_changed.connect(lambda _state: self._show_frame())
        controller.corrections_changed.connect(self._refresh)

    # --- asking -----------------------------------------------------------------------------------

    def propagate(self, direction: int) -> None:
        """Carry the mask of the frame on the slider forward (1) or backward (-1)."""
        session = self._controller.session
        if session is None:
            return
        start, num_all = self._frame(), session.store.shape[0]
        reach = direction * self.num_frames.value()
        targets = [each for each in range(start + direction, start + reach + direction, direction)
                   if 0 <= each < num_all]  # fmt: skip
        mask = self._mask(start)
        if mask is None:
            return
        if not (mask != IGNORE).any():
            self.note.setText(NO_MASK)
            return
        self._kind, self._bar.what = PROPAGATED, CARRYING
        self._begin(f"Carrying frame {start} on ...")
        self.worker.propagate(session.clip.source.frame, start, targets, mask)

    def fill_gap(self) -> None:
        """Fill the frames between the corrected ones round the frame on the slider."""
        session = self._controller.session
        if session is None:
            return
        gap = gap_round(session.store.edited_frames, self._frame())
        if gap is None:
            self.note.setText(NO_GAP)
            return
        first, last = (self._mask(each) for each in gap)
        if first is None or last is None:
            return
        self._kind, self._bar.what = INTERPOLATED, FILLING
        self._begin(f"Filling between frames {gap[0]} and {gap[1]} ...")
        self.worker.interpolate(session.clip.source.frame, (gap[0], first), (gap[1], last))

    def cancel(self) -> None:
        """End the computing; what was found stays."""
        if self.worker.stop():
            self._bar.end()
            self.note.setText("Stopped.")
            self._refresh()

    def _begin(self, what: str) -> None:
        self.note.setText(what)
        self.stop.setEnabled(True)

    def _mask(self, frame_index: int) -> npt.NDArray[np.uint8] | None:
        session = self._controller.session
        if session is None:
            return None
        problem = session.store.problem(frame_index)
        if problem is not None:
            self._controller.failed.emit(str(problem))
            return None
        return session.store.mask(frame_index).copy()

    def _frame(self) -> int:
        session = self._controller.session
        return 0 if session is None else session.live.state.frame_index

    # --- what was found ---------------------------------------------------------------------------

    def _on_found(self, carried: Carried) -> None:
        if self.proposals is None:
            return
        try:
            self.proposals.add(carried, self._kind)
        except InputError as error:
            self._controller.failed.emit(str(error))
            return
        if len(self.proposals) == 1:
            self.filled.emit()
        self._tell()

    def _on_ended(self, end: ChainEnd | None, failed: str) -> None:
        self._bar.end()
        self.note.setText(failed or describe_end(end, len(self.proposals or ())))
        self._refresh()

    def _on_clip(self) -> None:
        self.worker.stop()
        self._bar.end()
        had = bool(self.proposals)
        session = self._controller.session
        self.proposals = None if session is None else Proposals(session.store)
        self.note.setText(HINT)
        if had:
            self.emptied.emit()
        self._tell()

    def _on_closing(self) -> None:
        self.worker.close()
        self._bar.end()

    # --- a person's word --------------------------------------------------------------------------

    def accept_frame(self) -> None:
        """Accept the proposal of the frame on the slider; over a person's own work only if they say so."""
        frame_index, proposals = self._frame(), self.proposals
        if proposals is None or proposals.get(frame_index) is None:
            return
        if proposals.is_touched(frame_index) and not self._may_replace(frame_index):
            return
        num_pixels = self._write(frame_index)
        self.note.setText(f"Frame {frame_index}: {num_pixels:,} pixels. Ctrl+Z takes them back.")
        self._after()

    def accept_above(self) -> None:
        """Accept all that are sure enough, but on frames that a person corrected."""
        proposals = self.proposals
        if proposals is None:
            return
        wanted = proposals.at_least(self.least.value())
        kept = [each for each in wanted if proposals.is_touched(each)]
        free = [each for each in wanted if each not in kept]
        for frame_index in free:
            self._write(frame_index)
        text = f"Accepted {len(free)} frames; Ctrl+Z takes them back, one by one."
        if kept:
            text += f" Corrected by hand, so left for you: {', '.join(str(each) for each in kept)}."
        self.note.setText(text)
        self._after()

    def reject_frame(self) -> None:
        """Forget the proposal of the frame on the slider."""
        if self.proposals is not None:
            self.proposals.discard(self._frame())
            self.note.setText(f"Frame {self._frame()}: rejected. Its mask is as it was.")
            self._after()

    def reject_every(self) -> None:
        """Forget all proposals."""
        if self.proposals is not None:
            self.proposals.clear()
            self.note.setText("All rejected. No mask was changed by them.")
            self._after()

    def _may_replace(self, frame_index: int) -> bool:
        answer = QMessageBox.question(
            self,
            "Replace your own work?",
            f"Frame {frame_index} was corrected by hand. Write the proposal over it? Ctrl+Z brings it back.",
        )
        return bool(answer == QMessageBox.StandardButton.Yes)

    def _write(self, frame_index: int) -> int:
        """Write one proposal through the layer, as one step of its undo; returns the pixels changed."""
        session, layer, proposals = self._controller.session, self._controller.truth_layer, self.proposals
        if session is None or layer is None or proposals is None:
            return 0
        proposed, edit = proposals.get(frame_index), proposals.edit(frame_index)
        if proposed is None:
            return 0
        if edit.num_pixels:
            with session.store.acting(proposed.kind, BY_FLOW):
                frames = np.full(edit.num_pixels, frame_index)
                layer.data_setitem((frames, edit.rows, edit.cols), to_display(edit.values))
        proposals.discard(frame_index)
        return edit.num_pixels

    def _after(self) -> None:
        if not self.proposals:
            self.emptied.emit()
        self._tell()

    # --- showing ----------------------------------------------------------------------------------

    def _tell(self) -> None:
        self._refresh()
        self._show_frame()
        self.changed.emit()

    def _show_frame(self) -> None:
        """Draw the proposal of the frame on screen, or nothing, and select its row."""
        session, view = self._controller.session, None
        if session is not None:
            view = session.live.view
        if session is not None and view is not None and self._controller.grid.get(PROPOSAL) is not None:
            proposed = None if self.proposals is None else self.proposals.get(view.frame_index)
            mask = None if proposed is None else to_display(proposed.mask)
            self._controller.layers.show(PROPOSAL, view.frame, mask)
        self._enable()
        frames = () if self.proposals is None else self.proposals.frames
        with QSignalBlocker(self.table):
            self.table.clearSelection()
            if self._frame() in frames:
                self.table.selectRow(frames.index(self._frame()))

    def _refresh(self) -> None:
        proposals = list(self.proposals or ())
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(proposals))
            for row, proposed in enumerate(proposals):
                self._write_row(row, proposed)
        self._enable()

    def _write_row(self, row: int, proposed: ProposedMask) -> None:
        touched = self.proposals is not None and self.proposals.is_touched(proposed.frame_index)
        words = (str(proposed.frame_index), f"{proposed.confidence:.2f}", TOUCHED if touched else "proposed")
        for column, text in enumerate(words):
            item = QTableWidgetItem(text)
            item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
            self.table.setItem(row, column, item)

    def _enable(self) -> None:
        has_clip, proposals = self._controller.session is not None, self.proposals
        here = proposals is not None and proposals.get(self._frame()) is not None
        for button in (self.backward, self.forward, self.fill):
            button.setEnabled(has_clip and not self.worker.running)
        self.stop.setEnabled(self.worker.running)
        for button in (self.accept, self.reject):
            button.setEnabled(here)
        for button in (self.above, self.reject_all):
            button.setEnabled(bool(proposals))

    def _on_row(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        if rows and self.proposals is not None:
            self._controller.go_to(self.proposals.frames[rows[0].row()])


def gap_round(corrected: tuple[int, ...], frame_index: int) -> tuple[int, int] | None:
    """Find two neighbouring corrected frames with frames between them, round a frame or beginning there."""
    gaps = [pair for pair in pairwise(sorted(corrected)) if pair[1] - pair[0] > 1]
    return next((pair for pair in gaps if pair[0] <= frame_index <= pair[1]), None)


def describe_end(end: ChainEnd | None, num_proposals: int) -> str:
    """Say what came of it."""
    many = "1 frame" if num_proposals == 1 else f"{num_proposals} frames"
    words = f"{many} proposed; look at each, then accept or reject." if num_proposals else "Nothing proposed."
    if end is None:
        return words
    if end.is_cut:
        return f"Ended before frame {end.frame_index}: another scene begins there. {words}"
    return f"Ended before frame {end.frame_index}: IoU of only {end.confidence:.2f} to be expected. {words}"
