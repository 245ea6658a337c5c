"""The tabs of the triage panel: a table with its filters, and a sentence where there is nothing to list.

Owns what the columns mean and what the filters let through. Where a row leads to is the panel's part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSpinBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_hogseg.metrics.error_blobs import TYPES
from napari_hogseg.session.blob_codec import MIN_AREA_PX
from napari_hogseg.ui.confusion_view import ConfusionView
from napari_hogseg.ui.section import wrapped_label
from napari_hogseg.ui.triage_queue import KINDS, ErrorLimits, State
from napari_hogseg.ui.triage_tables import ArrayTable, Column, TableView
from napari_hogseg.ui.view_section import swatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from qtpy.QtGui import QIcon

    from napari_hogseg.data.scheme import Color

    Columns = dict[str, NDArray[np.float64]]

NO_FRAMES = (
    "No frame has been measured yet. Load a model and let the survey run: the worst frames then stand on top."
)
NO_ERRORS = (
    "No errors yet. They are found on frames that have a mask, once a model has predicted them in the survey."
)
NO_CONFUSION = "No frame with a mask has been compared with a prediction yet."
ALL_HIDDEN = "Nothing here passes the filters above."
ANY = "any"
_SHORT_KINDS = ("FN", "FP")


def whole(value: float) -> str:
    """Write a number without decimals."""
    return f"{value:.0f}"


def _score(value: float) -> str:
    return f"{value:.3f}"


def _tenths(value: float) -> str:
    return f"{value:.1f}"


def _tick(value: float) -> str:
    return "\N{CHECK MARK}" if value else ""


class ColumnOptions(TypedDict, total=False):
    """What several columns have in common."""

    text: Callable[[float], str]
    icon: Callable[[float], QIcon | None]
    worst_first: bool


class TriageTab(QWidget):
    """Filters above, and below them a table or a sentence."""

    def __init__(self) -> None:
        super().__init__()
        self.sentence = wrapped_label()
        self.sentence.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.sentence.setMargin(16)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.sentence)
        self.names: tuple[str, ...] = ()
        self.colors: tuple[Color, ...] = ()
        self._icons: list[QIcon] = []
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 4, 0, 0)
        self.column.setSpacing(4)
        self.column.addWidget(self.pages, 1)

    def set_classes(self, names: Sequence[str], colors: Sequence[Color]) -> None:
        """Call the classes by these names."""
        self.names, self.colors = tuple(names), tuple(colors)
        self._icons = [swatch(color) for color in colors]

    def class_name(self, value: float) -> str:
        """Name of a class; `ignore` has none."""
        return self.names[int(value)] if value < len(self.names) else "nothing"

    def class_icon(self, value: float) -> QIcon | None:
        """Colour of a class."""
        return self._icons[int(value)] if value < len(self._icons) else None

    def show_page(self, filled: QWidget, *, num_all: int, num_shown: int, empty: str) -> None:
        """Show the table, or why it would be empty."""
        self.sentence.setText(ALL_HIDDEN if num_all else empty)
        self.pages.setCurrentWidget(filled if num_shown else self.sentence)


class FramesTab(TriageTab):
    """All frames."""

    FILTERS = ("All frames", "With a mask", "Without a mask", "Corrected", "Not corrected", "Not reviewed")

    def __init__(self) -> None:
        super().__init__()
        self.columns: Columns = {"frame": np.zeros(0)}
        self._pair: tuple[int, int] | None = None
        self._fitted = False
        self.table = ArrayTable(self._describe(), "worst", self)
        self.view = TableView(self.table, "Frames: Enter goes to one, Space marks it as reviewed")
        self.pages.addWidget(self.view)
        self.filter = QComboBox()
        self.filter.addItems(self.FILTERS)
        self.filter.setToolTip("Which frames to list")
        self.filter.setAccessibleName("Which frames to list")
        self.filter.currentIndexChanged.connect(lambda: self._apply())
        row = QHBoxLayout()
        row.addWidget(self.filter)
        row.addStretch(1)
        self.column.insertLayout(0, row)
        self.set_pair(None)
        self._apply()

    def _describe(self) -> list[Column]:
        about_worst = (
            "Share of frames that are at most as bad, 100 the worst. Frames with a mask rank by mIoU, those "
            "without by HOG residual and entropy, each among their like."
        )
        about_doubt = "Mean disagreement of the mask's contours with the frame's edges: see Labels"
        low: ColumnOptions = {"text": _score, "worst_first": False}
        return [
            Column(key="frame", title="Frame", about="Frame", text=whole, worst_first=False),
            Column(key="pixels", title="Pixels", about="Pixels of the chosen pair of classes", text=whole),
            Column(key="worst", title="Worst", about=about_worst, text=lambda v: f"{100 * v:.0f}"),
            Column(key="miou", title="mIoU", about="Mean IoU over the classes in the frame", **low),
            Column(key="boundary_f", title="B. F", about="F score of the boundaries", **low),
            Column(
                key="hog_residual", title="HOG", about="HOG residual; needs no mask", text="{:.3g}".format
            ),
            Column(
                key="entropy", title="Entropy", about="Entropy of the prediction; needs no mask", text=_score
            ),
            Column(
                key="flicker", title="Flicker", about="Change from frame to frame beyond motion", text=_score
            ),
            Column(key="doubt", title="Doubt", about=about_doubt, text=_score),
            Column(key="corrected", title="Corr.", about="Corrected by a person", text=_tick),
            Column(key="reviewed", title="Rev.", about="Reviewed: Space marks a frame", text=_tick),
        ]

    def set_columns(self, columns: Columns) -> None:
        """Take the measured frames, one row each."""
        self.columns = columns
        self._apply()
        if not self._fitted and self.table.rowCount():
            self._fitted = True
            self.view.fit_columns()

    def set_pair(self, pair: tuple[int, int] | None) -> None:
        """List only frames with pixels of this pair of classes, from the next `set_columns` on."""
        self._pair = pair
        self.view.setColumnHidden(self.table.position("pixels"), pair is None)

    def set_reviewed(self, row: int, *, reviewed: bool) -> None:
        """Mark a frame."""
        self.columns["reviewed"][row] = reviewed
        self.table.row_changed(row, dim=reviewed)

    def _apply(self) -> None:
        columns = self.columns
        num = len(columns["frame"])
        if num:
            passes = {
                "With a mask": columns["has_truth"] > 0,
                "Without a mask": columns["has_truth"] == 0,
                "Corrected": columns["corrected"] > 0,
                "Not corrected": columns["corrected"] == 0,
                "Not reviewed": columns["reviewed"] == 0,
            }
            shown = passes.get(self.filter.currentText(), np.ones(num, np.bool_))
            if self._pair is not None:
                shown = shown & (columns["pixels"] > 0)
            selected = self.view.selected_row
            self.table.set_values(columns, shown, columns["reviewed"] > 0)
            self.view.show_row(selected, scroll=False)
        else:
            self.table.set_values({c.key: np.zeros(0) for c in self.table.columns}, np.zeros(0, np.bool_))
        self.show_page(self.view, num_all=num, num_shown=self.table.rowCount(), empty=NO_FRAMES)


class ErrorsTab(TriageTab):
    """All error blobs.

    Attributes
    ----------
    filtered : Signal()
        Other errors are listed now.
    limits_changed : Signal()
        See `limits`.
    """

    filtered = Signal()
    limits_changed = Signal()

    def __init__(self, limits: ErrorLimits) -> None:
        super().__init__()
        self._columns: Columns = {}
        self._pair: tuple[int, int] | None = None
        self._fitted = False
        self.table = ArrayTable(self._describe(), "worst", self)
        self.view = TableView(self.table, "Errors: Enter goes to one, Space marks it as done")
        self.pages.addWidget(self.view)
        self.kind = narrow_combo("Missed (FN) or invented (FP)", [ANY, *KINDS])
        self.type = narrow_combo(
            "By Bernhard et al.: a displaced boundary, a wrong extent, a whole object", [ANY, *TYPES]
        )
        self.of_class = narrow_combo("True or predicted class", [ANY])
        self.min_area = QSpinBox(minimum=1, maximum=10_000_000)
        self.min_area.setValue(limits.min_area_px)
        self.min_area.setToolTip(
            f"Smallest error listed, in pixels; a survey keeps those from {MIN_AREA_PX} pixels on"
        )
        self.min_depth = QDoubleSpinBox(maximum=10_000, singleStep=0.5, decimals=1)
        self.min_depth.setValue(limits.min_depth_px)
        self.min_depth.setSpecialValueText(ANY)
        self.min_depth.setToolTip(
            "Least depth of an error listed: its largest distance to a pixel that is right"
        )
        self.hidden = wrapped_label()
        self.column.insertLayout(0, self._filter_grid())
        self.column.insertWidget(1, self.hidden)
        for combo in (self.kind, self.type, self.of_class):
            combo.currentIndexChanged.connect(lambda: self._on_filter())
        for box in (self.min_area, self.min_depth):
            box.valueChanged.connect(lambda: self._on_limits())
        self._apply()

    def _filter_grid(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(6)
        filters: tuple[tuple[str, QWidget, tuple[int, int], int], ...] = (
            ("Kind", self.kind, (0, 0), 1),
            ("Type", self.type, (0, 2), 1),
            ("Class", self.of_class, (1, 0), 3),
            ("Area px \N{GREATER-THAN OR EQUAL TO}", self.min_area, (2, 0), 1),
            ("Depth px \N{GREATER-THAN OR EQUAL TO}", self.min_depth, (2, 2), 1),
        )
        for title, widget, (row, column), span in filters:
            label = QLabel(title)
            label.setBuddy(widget)
            widget.setAccessibleName(title)
            grid.addWidget(label, row, column)
            grid.addWidget(widget, row, column + 1, 1, span)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(3, 1)
        return grid

    def _describe(self) -> list[Column]:
        about_depth = "Largest distance within the error to a pixel that is right, in pixels"
        about_gradient = (
            "Mean gradient of the frame under the error's outline, in grey levels per pixel. Where it is low "
            "the frame shows no edge: the mask itself may be wrong."
        )
        about_type = "Displaced boundary, wrong extent of an object that was found, or a whole object"
        about_worst = f"{about_depth}, but at most the radius of a disk of the same area"
        about_kind = "FN: the true class is missed. FP: the predicted class is invented."
        about_state = "Seen: you were there. Mended: you were there, and it is gone. Space changes it."
        of_class: ColumnOptions = {"text": self.class_name, "icon": self.class_icon, "worst_first": False}
        return [
            Column(key="frame", title="Frame", about="Frame", text=whole, worst_first=False),
            Column(key="worst", title="Worst", about=about_worst, text=_tenths),
            Column(key="true", title="True", about="Class in the mask", **of_class),
            Column(key="predicted", title="Predicted", about="Class in the prediction", **of_class),
            Column(
                key="kind",
                title="Kind",
                about=about_kind,
                text=lambda v: _SHORT_KINDS[int(v)],
                worst_first=False,
            ),
            Column(key="type", title="Type", about=about_type, text=lambda v: TYPES[int(v)]),
            Column(key="area", title="Area", about="Pixels", text=lambda v: f"{v:,.0f}"),
            Column(key="depth", title="Depth", about=about_depth, text=_tenths),
            Column(key="gradient", title="Gradient", about=about_gradient, text=_tenths, worst_first=False),
            Column(
                key="state",
                title="State",
                about=about_state,
                text=lambda v: State(int(v)).name.lower(),
                worst_first=False,
            ),
        ]

    def set_classes(self, names: Sequence[str], colors: Sequence[Color]) -> None:
        """Call the classes by these names."""
        super().set_classes(names, colors)
        self.of_class.blockSignals(True)  # noqa: FBT003 - Qt's
        self.of_class.clear()
        self.of_class.addItem(ANY)
        for name, color in zip(names, colors, strict=True):
            self.of_class.addItem(swatch(color), name)
        self.of_class.blockSignals(False)  # noqa: FBT003 - Qt's
        self._fitted = False

    def set_columns(self, columns: Columns) -> None:
        """Take the columns of a `BlobQueue`."""
        self._columns = columns
        self._apply()
        if not self._fitted and self.table.rowCount():
            self._fitted = True
            self.view.fit_columns()

    def set_pair(self, pair: tuple[int, int] | None) -> None:
        """List only errors of this pair of classes, or of this class, from the next `set_columns` on."""
        self._pair = pair

    @property
    def limits(self) -> ErrorLimits:
        """How large an error must be to be listed; what is smaller is hidden and counted."""
        return ErrorLimits(self.min_area.value(), self.min_depth.value())

    def _on_limits(self) -> None:
        self._on_filter()
        self.limits_changed.emit()

    def _on_filter(self) -> None:
        self._apply()
        self.filtered.emit()

    def _apply(self) -> None:
        columns = self._columns
        num = len(columns["frame"]) if columns else 0
        hidden = ""
        if num:
            passing, large = self._passing(columns), self.limits.passing(columns)
            self.table.set_values(columns, passing & large, columns["state"] != State.OPEN)
            hidden = self.limits.describe(
                int(np.count_nonzero(passing & ~large)), int(np.count_nonzero(passing))
            )
        else:
            self.table.set_values({c.key: np.zeros(0) for c in self.table.columns}, np.zeros(0, np.bool_))
        self.hidden.setText(hidden)
        self.hidden.setVisible(bool(hidden))
        self.show_page(self.view, num_all=num, num_shown=self.table.rowCount(), empty=NO_ERRORS)

    def _passing(self, columns: Columns) -> NDArray[np.bool_]:
        """Tell which rows the filters but size let through."""
        passing = np.ones(len(columns["frame"]), np.bool_)
        for combo, key in ((self.kind, "kind"), (self.type, "type")):
            if combo.currentIndex() > 0:
                passing &= columns[key] == combo.currentIndex() - 1
        classes = [self.of_class.currentIndex() - 1] if self.of_class.currentIndex() > 0 else []
        if self._pair is not None and self._pair[0] == self._pair[1]:
            classes.append(self._pair[0])
        elif self._pair is not None:
            passing &= (columns["true"] == self._pair[0]) & (columns["predicted"] == self._pair[1])
        for class_id in classes:
            passing &= (columns["true"] == class_id) | (columns["predicted"] == class_id)
        return passing


class ConfusionTab(TriageTab):
    """The confusion matrix of all frames."""

    def __init__(self) -> None:
        super().__init__()
        self.view = ConfusionView()
        filled = QWidget()
        column = QVBoxLayout(filled)
        column.setContentsMargins(0, 0, 0, 0)
        hint = wrapped_label(
            "Percent of each true class (row) by what was predicted (column). "
            "Choose a cell to list its frames and errors."
        )
        column.addWidget(hint)
        column.addWidget(self.view, 1)
        self._filled = filled
        self.pages.addWidget(filled)
        self.set_matrix(None)

    def set_matrix(self, matrix: NDArray[np.int64] | None) -> None:
        """Show the sum of all frames' counts; None where there are none."""
        fits = matrix is not None and matrix.shape[0] == len(self.names)
        if fits and matrix is not None:
            if matrix.shape[1] > matrix.shape[0] and not matrix[:, -1].any():
                matrix = matrix[:, :-1]  # something was predicted everywhere
            self.view.table.set_matrix(matrix, self.names, self.colors)
        self.show_page(self._filled, num_all=0, num_shown=int(fits), empty=NO_CONFUSION)


def narrow_combo(about: str, items: Sequence[str]) -> QComboBox:
    """Make a box of choices that gives way where the panel is narrow."""
    combo = QComboBox()
    combo.addItems(list(items))
    combo.setToolTip(about)
    combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return combo
