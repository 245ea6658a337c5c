"""The curves of a run while it goes on: loss terms above, mIoU below.

Fed with events, or rebuilt from `events.jsonl`; owns no process and no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyqtgraph as pg
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_hogseg.runs.events import AnyEvent, Progress, Validated, read_events

if TYPE_CHECKING:
    from pathlib import Path

REDRAW_MS = 200
MAX_POINTS = 1_000
PLOT_HEIGHT_PX = 120
EMPTY_TEXT = "The curves appear here once a fine-tune runs."

# Okabe and Ito's colours: told apart with colour-blind eyes, readable on dark and light.
COLORS = {
    "CE": (0, 114, 178),
    "HOG MSE": (230, 159, 0),
    "corrected": (0, 158, 115),
    "guard": (204, 121, 167),
    "val": (0, 158, 115),
}


class Series:
    """Points of one curve, never more than `max_points`: when full, neighbours are averaged in pairs."""

    def __init__(self, max_points: int = MAX_POINTS) -> None:
        self._max_points = max_points
        self._stride = 1
        self._pending: list[tuple[float, float]] = []
        self.x: list[float] = []
        self.y: list[float] = []

    def add(self, x: float, y: float) -> None:
        """Add a point."""
        self._pending.append((x, y))
        if len(self._pending) < self._stride:
            return
        self.x.append(sum(point[0] for point in self._pending) / self._stride)
        self.y.append(sum(point[1] for point in self._pending) / self._stride)
        self._pending.clear()
        if len(self.x) >= self._max_points:
            self.x = _pair_means(self.x)
            self.y = _pair_means(self.y)
            self._stride *= 2

    def __len__(self) -> int:
        return len(self.x)


def _pair_means(values: list[float]) -> list[float]:
    return [(a + b) / 2 for a, b in zip(values[::2], values[1::2], strict=False)]


class LiveCurves(QWidget):
    """Loss terms and mIoU over the steps, redrawn at most five times a second.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.series: dict[str, Series] = {}
        self._curves: dict[str, pg.PlotDataItem] = {}
        self.empty = QLabel(EMPTY_TEXT)
        self.empty.setWordWrap(True)
        self.loss = pg.PlotWidget(background=None)
        self.miou = pg.PlotWidget(background=None)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.empty, self.loss, self.miou):
            layout.addWidget(widget)
        for plot in (self.loss, self.miou):
            plot.setFixedHeight(PLOT_HEIGHT_PX)
            plot.setMouseEnabled(False, False)
            plot.hideButtons()
            plot.setMenuEnabled(False)
            plot.setVisible(False)
        self.miou.setLabel("bottom", "step")
        self._redraw = QTimer(self, singleShot=True, interval=REDRAW_MS)
        self._redraw.timeout.connect(self._draw)

    def add(self, event: AnyEvent) -> None:
        """Take one event; those that are no measurement are passed over."""
        if isinstance(event, Progress):
            self._add("CE", event.step, event.ce)
            self._add("HOG MSE", event.step, event.mse)
        elif isinstance(event, Validated):
            self._add(event.part, event.step, event.miou)

    def clear(self) -> None:
        """Forget everything."""
        self.series.clear()
        self._draw()

    def load(self, path: Path) -> None:
        """Show the curves of an `events.jsonl` instead."""
        self.series.clear()
        for event in read_events(path):
            self.add(event)
        self._draw()

    def _add(self, name: str, step: int, value: float) -> None:
        self.series.setdefault(name, Series()).add(step, value)
        if not self._redraw.isActive():
            self._redraw.start()

    def _draw(self) -> None:
        for name in list(self._curves):
            if name not in self.series:
                curve = self._curves.pop(name)
                (self.loss if name in ("CE", "HOG MSE") else self.miou).removeItem(curve)
        for name, series in self.series.items():
            if name not in self._curves:
                plot = self.loss if name in ("CE", "HOG MSE") else self.miou
                self._curves[name] = plot.plot(pen=pg.mkPen(COLORS.get(name, (128, 128, 128)), width=2))
            self._curves[name].setData(series.x, series.y)
        self.empty.setVisible(not self.series)
        self.loss.setVisible(bool(self.series))
        self.miou.setVisible(bool(self.series))
