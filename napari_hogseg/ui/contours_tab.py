"""The tab of doubtful contours: a table, the check that fills it, and which of them are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton

from napari_hogseg.ui.contour_marks import ramp_picture
from napari_hogseg.ui.section import ElidedLabel
from napari_hogseg.ui.triage_tables import ArrayTable, Column, TableView
from napari_hogseg.ui.triage_tabs import ColumnOptions, TriageTab, narrow_combo, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_hogseg.metrics.sloppy_labels import ContourReport, DoubtfulContour
    from napari_hogseg.ui.triage_tabs import Columns

Drawing = Literal["chosen", "frame", "nothing"]
DRAWINGS: dict[Drawing, str] = {"chosen": "the chosen one", "frame": "all of the frame", "nothing": "nothing"}
RAMP_PX = (48, 8)
UNCHECKED = (
    "Masks have not been checked. The check compares their contours with the edges of the frames; what it "
    "finds is a question to you, not a verdict."
)
RUNNING = "No doubtful contour so far."
NO_CONTOURS = "No doubtful contour: all run along edges of their frames."
CHECK, STOP = "Check masks", "Stop"


class ContoursTab(TriageTab):
    """Contours of the masks that the frames contradict.

    Attributes
    ----------
    chosen : Signal(object, int)
        A DoubtfulContour and its frame.
    toggled : Signal()
        The check is to begin, or to stop.
    drawing_changed : Signal()
        See `drawing`.
    """

    chosen = Signal(object, int)
    toggled = Signal()
    drawing_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._contours: list[tuple[int, DoubtfulContour]] = []
        self._num_checked, self._running = 0, False
        self.button, self.note = QPushButton(CHECK), ElidedLabel()
        self.button.setToolTip("Compare the contours of all masks with the gradients of their frames")
        self.button.clicked.connect(lambda: self.toggled.emit())
        row = QHBoxLayout()
        row.addWidget(self.button)
        row.addWidget(self.note, 1)
        self.column.insertLayout(0, row)
        self.column.insertLayout(1, self._drawing_row())
        self._fitted = False
        self.table = ArrayTable(self._describe(), "weight", self)
        self.view = TableView(self.table, "Doubtful contours: Enter goes to one")
        self.pages.addWidget(self.view)
        self.view.chosen.connect(self._on_chosen)
        self._apply({})

    def _drawing_row(self) -> QHBoxLayout:
        about = "Which doubtful contours to draw over the ground truth, on the frame they are of"
        self.drawn = narrow_combo(about, list(DRAWINGS.values()))
        self.drawn.setAccessibleName("Draw")
        self.drawn.currentIndexChanged.connect(lambda: self.drawing_changed.emit())
        label = QLabel("Draw")
        label.setBuddy(self.drawn)
        row = QHBoxLayout()
        row.addWidget(label)
        row.addWidget(self.drawn, 1)
        ramp = QLabel()
        ramp.setPixmap(ramp_picture(RAMP_PX))
        for widget in (QLabel("0.5"), ramp, QLabel("1")):
            widget.setToolTip("Colour of a contour by its disagreement with the frame")
            row.addWidget(widget)
        return row

    @property
    def drawing(self) -> Drawing:
        """Which contours are to be drawn."""
        found: Drawing = list(DRAWINGS)[int(self.drawn.currentIndex())]
        return found

    def _describe(self) -> list[Column]:
        about_offset = (
            "Distance to the edge beside it, in pixels; '-': no parallel edge, the contour is turned"
        )
        about_angle = "Angle between the contour and the dominant HOG orientation nearby, in degrees"
        of_class: ColumnOptions = {"text": self.class_name, "icon": self.class_icon, "worst_first": False}
        return [
            Column(key="frame", title="Frame", about="Frame", text=whole, worst_first=False),
            Column(key="weight", title="Doubt", about="Length times disagreement, in pixels", text=whole),
            Column(key="length", title="Length", about="Length in pixels", text=whole),
            Column(
                key="disagreement",
                title="Disagr.",
                about="Mean disagreement, 0 to 1",
                text=lambda v: f"{v:.2f}",
            ),
            Column(key="offset", title="Offset", about=about_offset, text=lambda v: f"{v:+.0f}"),
            Column(key="angle", title="Angle", about=about_angle, text=whole),
            Column(key="class", title="Class", about="Class that the contour belongs to", **of_class),
            Column(key="other", title="Beside", about="Class on its other side", **of_class),
            Column(key="on", title="On", about="Gradient on the contour", text=lambda v: f"{v:.1f}"),
            Column(key="off", title="Off", about="Gradient of the edge beside it", text=lambda v: f"{v:.1f}"),
        ]

    def set_reports(self, reports: Mapping[int, ContourReport]) -> None:
        """List the contours of these frames."""
        row = self.view.selected_row
        selected = None if row is None else self._contours[row][1]
        self._num_checked = len(reports)
        self._contours = [
            (frame_index, segment)
            for frame_index in sorted(reports)
            for segment in reports[frame_index].segments
        ]
        rows = [
            (
                frame_index,
                one.weight,
                one.length_px,
                one.disagreement,
                one.offset_px,
                one.angle_deg,
                one.class_id,
                one.other_class,
                one.on_gradient,
                one.off_gradient,
            )
            for frame_index, one in self._contours
        ]
        table = np.array(rows, np.float64).reshape(len(rows), len(self.table.columns))
        keys = ("frame", "weight", "length", "disagreement", "offset", "angle", "class", "other", "on", "off")
        self._apply(dict(zip(keys, table.T, strict=True)))
        again = [row for row, (_, contour) in enumerate(self._contours) if contour is selected]
        self.view.show_row(again[0] if again else None, scroll=False)

    def _apply(self, columns: Columns) -> None:
        num = len(self._contours)
        empty = {column.key: np.zeros(0) for column in self.table.columns}
        self.table.set_values(columns or empty, np.ones(num, np.bool_))
        found_none = RUNNING if self._running else NO_CONTOURS
        empty_text = found_none if self._num_checked else UNCHECKED
        self.show_page(self.view, num_all=0, num_shown=num, empty=empty_text)
        if num and not self._fitted:
            self._fitted = True
            self.view.fit_columns()

    def show_run(self, note: str, *, running: bool) -> None:
        """Say how far the check is."""
        self._running = running
        self.button.setText(STOP if running else CHECK)
        self.note.set_text(note)

    def _on_chosen(self, row: int) -> None:
        frame_index, contour = self._contours[row]
        self.chosen.emit(contour, frame_index)
