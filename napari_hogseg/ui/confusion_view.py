"""The confusion matrix of all frames as a table of colours; a cell can be chosen.

Owns drawing and choosing. Rows are the true classes, each with its shares of predicted classes: what is right
in blue, what is wrong in orange, which every common colour vision tells apart, on both themes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QBrush, QColor, QPalette, QPen
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QStyle, QStyledItemDelegate, QTableView

from napari_hogseg.ui.view_section import swatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from qtpy.QtGui import QKeyEvent, QPainter
    from qtpy.QtWidgets import QStyleOptionViewItem, QWidget

    from napari_hogseg.data.scheme import Color

RIGHT, WRONG = QColor(0, 114, 178), QColor(213, 94, 0)
_STRONGEST = 0.8
_CELL_PX = (30, 26)
NO_PREDICTION = "nothing"


class ConfusionTable(QAbstractTableModel):
    """Shares of the predicted classes in each true class."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.matrix = np.zeros((0, 0), np.int64)
        self._shares = np.zeros((0, 0))
        self._names: tuple[str, ...] = ()
        self._colors: tuple[Color, ...] = ()

    def set_matrix(self, matrix: NDArray[np.int64], names: Sequence[str], colors: Sequence[Color]) -> None:
        """Show another matrix, (C, C) or (C, C + 1), with the names and colours of its C classes."""
        self.beginResetModel()
        self.matrix = matrix
        totals = matrix.sum(axis=1, keepdims=True)
        self._shares = np.divide(matrix, totals, out=np.full(matrix.shape, np.nan), where=totals > 0)
        self._names, self._colors = tuple(names), tuple(colors)
        self.endResetModel()

    def name(self, class_id: int) -> str:
        """Name of a row or column."""
        return self._names[class_id] if class_id < len(self._names) else NO_PREDICTION

    def color(self, row: int, column: int) -> QColor | None:
        """Colour of a cell; None where there is nothing in it."""
        share = self._shares[row, column]
        if math.isnan(share) or not share:
            return None
        color = QColor(RIGHT if row == column else WRONG)
        # The root: a class that loses two pixels in a hundred to another must not look like one that loses
        # none.
        color.setAlphaF(_STRONGEST * math.sqrt(share))
        return color

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Count the true classes."""
        return 0 if parent is not None and parent.isValid() else self.matrix.shape[0]

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Count the predicted classes."""
        return 0 if parent is not None and parent.isValid() else self.matrix.shape[1]

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: ANN401 - Qt's
        """Give a cell's text and tooltip."""
        row, column = index.row(), index.column()
        share, count = self._shares[row, column], int(self.matrix[row, column])
        if role == Qt.ItemDataRole.DisplayRole:
            return _percent(share, count)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(Qt.AlignmentFlag.AlignCenter)
        if role == Qt.ItemDataRole.ToolTipRole:
            total = int(self.matrix[row].sum())
            what = f"{self.name(row)} predicted as {self.name(column)}"
            if not total:
                return f"{what}: no frame has {self.name(row)}."
            return (
                f"{what}: {count:,} of {total:,} pixels ({share:.2%}).\nClick to list the frames and errors."
            )
        return None

    def headerData(  # noqa: N802 - Qt's name
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:  # noqa: ANN401 - Qt's own type
        """Give the class of a row, by name, or of a column, by its number alone: names do not fit."""
        is_row = orientation == Qt.Orientation.Vertical
        if role == Qt.ItemDataRole.DisplayRole:
            if section >= len(self._names):
                return "-"
            return f"{section} {self.name(section)}" if is_row else str(section)
        if role == Qt.ItemDataRole.DecorationRole and section < len(self._colors):
            return swatch(self._colors[section])
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{'True class' if is_row else 'Predicted as'}: {self.name(section)}"
        return None


class _Cells(QStyledItemDelegate):
    """Draws the colours; napari's style sheet would paint over a model's background."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        color = index.model().color(index.row(), index.column())
        if color is not None:
            painter.fillRect(option.rect, QBrush(color))
        text = option.palette.color(QPalette.ColorRole.WindowText)
        painter.save()
        painter.setPen(QPen(text))
        painter.drawText(option.rect, int(Qt.AlignmentFlag.AlignCenter), index.data())
        if option.state & (QStyle.StateFlag.State_HasFocus | QStyle.StateFlag.State_Selected):
            painter.setPen(QPen(text, 2))
            painter.drawRect(option.rect.adjusted(1, 1, -2, -2))
        painter.restore()


class ConfusionView(QTableView):
    """The matrix; a click or Enter chooses a cell.

    Attributes
    ----------
    chosen : Signal(int, int)
        True and predicted class.
    """

    chosen = Signal(int, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = ConfusionTable(self)
        self.setModel(self.table)
        self.setItemDelegate(_Cells(self))
        self.setAccessibleName("Confusion matrix: rows true classes, columns predicted ones")
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.setCornerButtonEnabled(False)
        for header, size in ((self.horizontalHeader(), _CELL_PX[0]), (self.verticalHeader(), _CELL_PX[1])):
            header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
            header.setMinimumSectionSize(size)
            header.setDefaultSectionSize(size)
            header.setHighlightSections(False)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.clicked.connect(lambda index: self.chosen.emit(index.row(), index.column()))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Choose the cell on Enter or Space."""
        index = self.currentIndex()
        if index.isValid() and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.chosen.emit(index.row(), index.column())
        elif event.text().isalpha():
            event.ignore()  # a shortcut's
        else:
            super().keyPressEvent(event)


def _percent(share: float, count: int) -> str:
    if math.isnan(share) or not count:
        return ""
    percent = 100 * share
    return f"{percent:.0f}" if percent >= 9.5 else (f"{percent:.1f}" if percent >= 0.05 else "<.1")
