"""The dock's section with the scores of the frame on screen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_hogseg.metrics.protocols import DEFAULT
from napari_hogseg.ui.section import Section, wrapped_label

if TYPE_CHECKING:
    from napari_hogseg.ui.live_review import LiveState
    from napari_hogseg.ui.products import Scores
    from napari_hogseg.ui.review_controller import ReviewController

COLUMNS = {
    "IoU": "Intersection over union of the class",
    "Boundary": "Boundary IoU: intersection over union of the bands inside both outlines",
    "Surface": "Surface Dice: share of both outlines that lies within the tolerance of the other",
}


class ScoresSection(Section):
    """A table of classes and scores, or the reason why there is none.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional
    """

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__("Scores of this frame", parent=parent)
        self._controller = controller
        self.note = wrapped_label("Open a clip and load a model.")
        self._table = QWidget()
        self._grid = QGridLayout(self._table)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setVerticalSpacing(1)
        self._cells: dict[tuple[int, int], QLabel] = {}
        self.body.addWidget(self._table)
        self.body.addWidget(self.note)
        controller.clip_changed.connect(self._rebuild)
        controller.live_changed.connect(self.show_state)

    def _rebuild(self) -> None:
        while self._grid.count():
            self._grid.takeAt(0).widget().deleteLater()
        self._cells = {}
        session = self._controller.session
        if session is None:
            return
        for column, (title, meaning) in enumerate(COLUMNS.items(), start=1):
            header = _number(title)
            header.setToolTip(meaning)
            self._grid.addWidget(header, 0, column)
        for row, name in enumerate([*session.clip.scheme.classes, "mean"], start=1):
            self._grid.addWidget(QLabel(name), row, 0)
            for column in range(1, len(COLUMNS) + 1):
                cell = self._cells[row - 1, column - 1] = _number("-")
                self._grid.addWidget(cell, row, column)
        self.show_state(session.live.state)

    def show_state(self, state: LiveState) -> None:
        """Show the scores of a state or its reason for none."""
        self._table.setVisible(state.scores is not None)
        self._table.setDisabled(state.stale)  # grey until it is compared anew
        self.note.setText(self._why(state))
        if state.scores is not None:
            self._fill(state.scores)

    def _why(self, state: LiveState) -> str:
        if state.scores is not None:
            numbers = ", ".join(
                f"{name} {'-' if math.isnan(value) else f'{value:.3f}'}"
                for name, value in state.scores.by_protocol.items()
            )
            by_protocol = "" if state.scores.protocol == DEFAULT else f"{state.scores.protocol}: {numbers}. "
            return (
                f"{by_protocol}Boundaries within {state.scores.tolerance_px} px; '-': absent on this frame."
            )
        if self._controller.model is None:
            return "No model is loaded."
        if state.prediction_error is not None:
            return str(state.prediction_error)
        return state.mask_note or "Computing ..."

    def _fill(self, scores: Scores) -> None:
        columns = (scores.iou, scores.boundary_iou, scores.surface_dice)
        means = (scores.mean_iou, _mean(scores.boundary_iou), _mean(scores.surface_dice))
        for column, (values, mean) in enumerate(zip(columns, means, strict=True)):
            for row, value in enumerate([*values, mean]):
                cell = self._cells.get((row, column))
                if cell is not None:
                    cell.setText("-" if math.isnan(value) else f"{value:.3f}")


def _mean(values: tuple[float, ...]) -> float:
    present = [value for value in values if not math.isnan(value)]
    return sum(present) / len(present) if present else math.nan


def _number(text: str) -> QLabel:
    label = QLabel(text)
    label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return label
