"""Tables of numbers that stay quick at a hundred thousand rows.

Owns a Qt model over numpy columns and the view of it. Sorting and filtering are numpy's: Qt's own proxy model
asks Python for two values per comparison, which takes seconds at 90 000 rows, where numpy takes milliseconds.
What the columns mean is the panel's part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QEvent, QItemSelectionModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QColor, QKeySequence, QPalette
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from qtpy.QtGui import QIcon, QKeyEvent
    from qtpy.QtWidgets import QWidget

#: How much of the text's colour is left in a row that is done with.
DIM_ALPHA = 130
ROW_HEIGHT_PX = 22
_SAMPLE_ROWS = 50
_PADDING_PX = 10
_ARROW_PX = 10
_ICON_PX = 20
#: Names are cut there: a table beside the canvas is narrow.
_MAX_NAME_PX = 88


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: what it is called, what it means and how a number is written.

    Attributes
    ----------
    key : str
        Of the values.
    title, about : str
        Header and its tooltip.
    text : callable
        Number to text; NaN is always written as "-".
    icon : callable, optional
        Number to a QIcon or None.
    worst_first : bool
        Whether a first click on the header sorts from large to small.
    """

    key: str
    title: str
    about: str
    text: Callable[[float], str]
    icon: Callable[[float], QIcon | None] | None = None
    worst_first: bool = True


class ArrayTable(QAbstractTableModel):
    """Rows of numbers, some of them shown, in some order.

    A *row* is a row of the values; its *place* is where it stands on screen.

    Parameters
    ----------
    columns : sequence of Column
    sorted_by : str
        Key of the column that rows are ordered by at first.
    parent : QObject, optional
    """

    def __init__(self, columns: Sequence[Column], sorted_by: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.columns = tuple(columns)
        self._values: dict[str, NDArray[np.float64]] = {column.key: np.zeros(0) for column in columns}
        self._dim = np.zeros(0, np.bool_)
        self.dim_color = QColor()
        """Of the text of rows that are done with; the view knows the theme."""
        self._shown = np.zeros(0, np.intp)
        self.order = np.zeros(0, np.intp)
        """The rows in the order in which they are shown."""
        self.sorted_by, self.descending = sorted_by, self.column(sorted_by).worst_first

    def column(self, key: str) -> Column:
        """Look a column up."""
        return next(column for column in self.columns if column.key == key)

    def position(self, key: str) -> int:
        """Where a column stands."""
        return [column.key for column in self.columns].index(key)

    def set_values(
        self,
        values: dict[str, NDArray[np.float64]],
        shown: NDArray[np.bool_],
        dim: NDArray[np.bool_] | None = None,
    ) -> None:
        """Take other rows.

        Parameters
        ----------
        values : dict of (N,) float64 arrays
            By key of the column; others are passed over.
        shown : (N,) bool array
            Which pass the filters.
        dim : (N,) bool array, optional
            Which are done with.
        """
        self.beginResetModel()
        self._values = values
        self._dim = np.zeros(len(shown), np.bool_) if dim is None else dim
        self._shown = np.flatnonzero(shown)
        self.order = self._sorted()
        self.endResetModel()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; Qt calls it when a header is clicked."""
        if not 0 <= column < len(self.columns):
            return
        self.sorted_by = self.columns[column].key
        self.descending = order == Qt.SortOrder.DescendingOrder
        self.layoutAboutToBeChanged.emit()
        old, before = self.persistentIndexList(), self.order
        self.order = self._sorted()
        place_of = dict(zip(self.order.tolist(), range(len(self.order)), strict=True)) if old else {}
        new = [self.index(place_of[int(before[index.row()])], index.column()) for index in old]
        self.changePersistentIndexList(old, new)
        self.layoutChanged.emit()

    def _sorted(self) -> NDArray[np.intp]:
        """Rows in order; stable, and what has no number comes last either way."""
        values = self._values[self.sorted_by][self._shown]
        order = np.argsort(-values if self.descending else values, kind="stable")
        return np.asarray(self._shown[order], np.intp)

    def place(self, row: int) -> int | None:
        """Where a row is shown; None where a filter hides it."""
        places = np.flatnonzero(self.order == row)
        return int(places[0]) if places.size else None

    def row_changed(self, row: int, *, dim: bool) -> None:
        """Draw a row anew whose values were changed in place; it keeps its place."""
        self._dim[row] = dim
        place = self.place(row)
        if place is not None:
            self.dataChanged.emit(self.index(place, 0), self.index(place, len(self.columns) - 1))

    # --- asked by Qt ------------------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Count the rows that are shown."""
        return 0 if parent is not None and parent.isValid() else len(self.order)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Count the columns."""
        return 0 if parent is not None and parent.isValid() else len(self.columns)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: ANN401 - Qt's
        """Give a cell's text and looks."""
        if not index.isValid() or index.row() >= len(self.order):
            return None
        row, column = int(self.order[index.row()]), self.columns[index.column()]
        value = float(self._values[column.key][row])
        if role == Qt.ItemDataRole.DisplayRole:
            return "-" if np.isnan(value) else column.text(value)
        if role == Qt.ItemDataRole.DecorationRole and column.icon is not None:
            return column.icon(value)
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{column.title}: {self.data(index)}\n{column.about}"
        if role == Qt.ItemDataRole.ForegroundRole and self._dim[row]:
            return self.dim_color
        if role == Qt.ItemDataRole.TextAlignmentRole and column.icon is None:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(  # noqa: N802 - Qt's name
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:  # noqa: ANN401 - Qt's own type
        """Give a column's title and what it means."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self.columns[section].title
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{self.columns[section].about}\nClick to sort."
        return None


class TableView(QTableView):
    """A view of an `ArrayTable`: one row is chosen at a time, by click or by Enter.

    Parameters
    ----------
    table : ArrayTable
    about : str
        What the table is, for screen readers and as tooltip of its empty part.
    parent : QWidget, optional

    Attributes
    ----------
    chosen : Signal(int)
        The row (not the place) that a person wants to go to.
    toggled : Signal(int)
        The row whose mark is to change: Space was pressed.
    """

    chosen = Signal(int)
    toggled = Signal(int)

    def __init__(self, table: ArrayTable, about: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = table
        self.setModel(table)
        self.setAccessibleName(about)
        self.setToolTip(about)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)  # Tab leaves the table
        self.setWordWrap(False)
        rows = self.verticalHeader()
        rows.setVisible(False)
        # All rows of one height: measuring 90 000 of them takes seconds.
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(ROW_HEIGHT_PX)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setStretchLastSection(True)
        header.setMinimumSectionSize(24)
        order = Qt.SortOrder.DescendingOrder if table.descending else Qt.SortOrder.AscendingOrder
        header.setSortIndicator(table.position(table.sorted_by), order)
        self.setSortingEnabled(True)
        self.clicked.connect(self._on_chosen)
        self._take_theme()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange):
            self._take_theme()

    def _take_theme(self) -> None:
        color = QColor(self.palette().color(QPalette.ColorRole.Text))
        color.setAlpha(DIM_ALPHA)
        self.table.dim_color = color

    def fit_columns(self) -> None:
        """Give each column the width of its title and of its first rows."""
        metrics, header = self.fontMetrics(), self.horizontalHeader()
        for position, column in enumerate(self.table.columns):
            texts = [
                str(self.table.data(self.table.index(place, position)))
                for place in range(min(self.table.rowCount(), _SAMPLE_ROWS))
            ]
            title = metrics.horizontalAdvance(column.title) + _ARROW_PX  # of the sorted column
            widest = max([title, *map(metrics.horizontalAdvance, texts)])
            if column.icon is not None:
                widest = min(widest + _ICON_PX, _MAX_NAME_PX)
            header.resizeSection(position, widest + _PADDING_PX)

    def sort_by(self, key: str) -> None:
        """Sort by a column, worst first."""
        order = self.table.column(key).worst_first
        kind = Qt.SortOrder.DescendingOrder if order else Qt.SortOrder.AscendingOrder
        self.sortByColumn(self.table.position(key), kind)

    @property
    def selected_row(self) -> int | None:
        """The row (not the place) that is selected."""
        place = self.currentIndex().row()
        return int(self.table.order[place]) if 0 <= place < len(self.table.order) else None

    def show_row(self, row: int | None, *, scroll: bool = True) -> None:
        """Select a row and bring it into view; no row, or one that is hidden, selects nothing."""
        place = None if row is None else self.table.place(row)
        if place is None:
            self.clearSelection()
            return
        if scroll:
            self.selectRow(place)
            self.scrollTo(self.table.index(place, 0))
        else:  # whoever has scrolled away stays there
            what = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
            self.setAutoScroll(False)
            self.selectionModel().setCurrentIndex(self.table.index(place, 0), what)
            self.setAutoScroll(True)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Go to the row on Enter, change its mark on Space."""
        row = self.selected_row
        if row is not None:
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self.chosen.emit(row)
                return
            if event.key() == Qt.Key.Key_Space:
                self.toggled.emit(row)
                return
        # A letter would search the first column for a number that begins with it; shortcuts want it.
        if event.text().isalpha() and not event.matches(QKeySequence.StandardKey.Copy):
            event.ignore()
            return
        super().keyPressEvent(event)

    def _on_chosen(self, index: QModelIndex) -> None:
        self.chosen.emit(int(self.table.order[index.row()]))
