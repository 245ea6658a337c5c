"""The curves of a run while it goes on: loss terms above, mIoU below.

Fed with events, or rebuilt from `events.jsonl`; owns no process and no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyqtgraph as pg
from qtpy.QtCore import QEvent, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QFont, QPalette
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_hogseg.runs.events import AnyEvent, Progress, Validated, read_events

if TYPE_CHECKING:
    from pathlib import Path

    from qtpy.QtGui import QWheelEvent

REDRAW_MS = 200
MAX_POINTS = 1_000
PLOT_HEIGHT_PX = 110
AXIS_WIDTH_PX = {"left": 46, "right": 56}
"""Room for `0.015` and for `0.00025`: pyqtgraph leaves out numbers that do not fit."""

AXIS_POINT_SIZE = 8
EMPTY_TEXT = "Loss and mIoU are drawn here once a fine-tune runs."
CE, MSE = "CE", "HOG MSE"

# After Okabe and Ito: told apart by colour-blind eyes, readable on dark and light.
COLORS = {
    CE: (58, 150, 214),
    MSE: (230, 139, 0),
    "corrected": (0, 158, 115),
    "guard": (204, 101, 157),
    "val": (0, 158, 115),
}
OTHER_COLOR = (128, 128, 128)


class Series:
    """Points of one curve, fewer than `max_points`: when full, neighbours are averaged in pairs.

    Parameters
    ----------
    max_points : int
        Even.
    """

    def __init__(self, max_points: int = MAX_POINTS) -> None:
        self._max_points = max_points
        self._stride = 1
        self._waiting: list[tuple[float, float]] = []
        self.x: list[float] = []
        self.y: list[float] = []
        self.newest: float | None = None

    def add(self, x: float, y: float) -> None:
        """Add a point."""
        self.newest = y
        self._waiting.append((x, y))
        if len(self._waiting) < self._stride:
            return
        self.x.append(sum(point[0] for point in self._waiting) / self._stride)
        self.y.append(sum(point[1] for point in self._waiting) / self._stride)
        self._waiting.clear()
        if len(self.x) >= self._max_points:
            self.x, self.y = _pair_means(self.x), _pair_means(self.y)
            self._stride *= 2


def _pair_means(values: list[float]) -> list[float]:
    return [(first + second) / 2 for first, second in zip(values[::2], values[1::2], strict=True)]


class Plot(pg.GraphicsView):
    """Curves over one axis of steps, with a scale at the left and, where asked for, another at the right.

    Not pyqtgraph's own PlotWidget: that makes a dozen context menus, which we do not offer and which, being
    windows of their own, outlive a dock for a while.

    Parameters
    ----------
    two_scales : bool
        Whether there is a second scale; its room at the right is kept either way, so that plots line up.

    Attributes
    ----------
    views : tuple of pg.ViewBox
        One for each scale.
    axes : dict of str to pg.AxisItem
    """

    def __init__(self, *, two_scales: bool) -> None:
        super().__init__(background=None)
        self.setFixedHeight(PLOT_HEIGHT_PX)
        self.views = tuple(_make_view() for _ in range(1 + two_scales))
        self.axes = {side: _make_axis(side) for side in ("left", "bottom", "right")}
        layout = pg.GraphicsLayout()
        layout.setContentsMargins(0, 2, 0, 4)
        layout.setSpacing(0)
        layout.addItem(self.axes["left"], 0, 0)
        layout.addItem(self.views[0], 0, 1)
        layout.addItem(self.axes["right"], 0, 2)
        layout.addItem(self.axes["bottom"], 1, 1)
        self.setCentralItem(layout)
        self.axes["left"].linkToView(self.views[0])
        self.axes["bottom"].linkToView(self.views[0])
        if two_scales:
            self.scene().addItem(self.views[1])
            self.axes["right"].linkToView(self.views[1])
            self.views[1].setXLink(self.views[0])
            self.views[0].sigResized.connect(self._lay_views_together)
        else:
            self.axes["right"].setStyle(showValues=False)
            self.axes["right"].setPen(None)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        """Leave the wheel to the dock, which scrolls."""
        event.ignore()

    def _lay_views_together(self) -> None:
        main, second = self.views
        second.setGeometry(main.sceneBoundingRect())
        second.linkedViewChanged(main, second.XAxis)


def _make_view() -> pg.ViewBox:
    return pg.ViewBox(enableMouse=False, enableMenu=False)


def _make_axis(side: str) -> pg.AxisItem:
    axis = pg.AxisItem(side)
    font = QFont()
    font.setPointSize(AXIS_POINT_SIZE)
    axis.enableAutoSIPrefix(enable=False)
    axis.setStyle(tickFont=font)
    if side != "bottom":
        axis.setWidth(AXIS_WIDTH_PX[side])
    return axis


class LiveCurves(QWidget):
    """Loss terms and mIoU over the steps, redrawn at most five times a second.

    Parameters
    ----------
    parent : QWidget, optional

    Attributes
    ----------
    appeared : Signal()
        There are curves where none were.
    """

    appeared = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.series: dict[str, Series] = {}
        self._curves: dict[str, pg.PlotDataItem] = {}
        self.empty = QLabel(EMPTY_TEXT)
        self.empty.setWordWrap(True)
        self.loss_legend, self.miou_legend = QLabel(), QLabel()
        self.loss, self.miou = Plot(two_scales=True), Plot(two_scales=False)
        self.miou.setFixedHeight(PLOT_HEIGHT_PX + 22)
        self.miou.views[0].setXLink(self.loss.views[0])
        self._filled = (self.loss_legend, self.loss, self.miou_legend, self.miou)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for widget in (self.empty, *self._filled):
            layout.addWidget(widget)
        self._redraw = QTimer(self, singleShot=True, interval=REDRAW_MS)
        self._redraw.timeout.connect(self._draw)
        self._draw()
        self._take_theme()

    def add(self, event: AnyEvent) -> None:
        """Take one event; those that measure nothing are passed over."""
        if isinstance(event, Progress):
            self._add(CE, event.step, event.ce)
            if event.mse or MSE in self.series:  # a network without regression heads has no such curve
                self._add(MSE, event.step, event.mse)
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

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange):
            self._take_theme()

    def _take_theme(self) -> None:
        # A style sheet's colours reach a label's palette, not always that of a bare container.
        text = self.empty.palette().color(QPalette.ColorRole.WindowText)
        _color_axis(self.loss.axes["left"], QColor(*COLORS[CE]))
        _color_axis(self.loss.axes["right"], QColor(*COLORS[MSE]))
        for axis in (self.loss.axes["bottom"], self.miou.axes["left"], self.miou.axes["bottom"]):
            _color_axis(axis, text)
        self.miou.axes["bottom"].setLabel("step", color=text.name())

    def _add(self, name: str, step: int, value: float) -> None:
        self.series.setdefault(name, Series()).add(step, value)
        if not self._redraw.isActive():
            self._redraw.start()

    def _draw(self) -> None:
        for name in [name for name in self._curves if name not in self.series]:
            curve = self._curves.pop(name)
            curve.getViewBox().removeItem(curve)
        for name, series in self.series.items():
            if name not in self._curves:
                self._curves[name] = self._make_curve(name)
            self._curves[name].setData(series.x, series.y)
        self._show_all_steps()
        self.loss_legend.setText(self._legend("loss", [name for name in self.series if name in (CE, MSE)]))
        parts = [name for name in self.series if name not in (CE, MSE)]
        self.miou_legend.setText(self._legend("mIoU", parts))
        appeared = bool(self.series) and self.loss.isHidden()
        self.empty.setVisible(not self.series)
        for widget in self._filled:
            widget.setVisible(bool(self.series))
        if appeared:
            self.appeared.emit()
        self.loss.axes["right"].setStyle(showValues=MSE in self.series)

    def _show_all_steps(self) -> None:
        # By itself the loss view, which all others follow, would begin at its own first point: after the
        # scores at step 0, those a fine-tune is measured against.
        if self.series:
            first = min(series.x[0] for series in self.series.values())
            last = max(series.x[-1] for series in self.series.values())
            self.loss.views[0].setXRange(first, last)

    def _make_curve(self, name: str) -> pg.PlotDataItem:
        color = COLORS.get(name, OTHER_COLOR)
        pen = pg.mkPen(color, width=2)
        dots: dict[str, object] = {}
        if name not in (CE, MSE):  # few points; and guard often lies on corrected
            dots = {"symbol": "o", "symbolSize": 5, "symbolBrush": color, "symbolPen": None}
            pen.setStyle(Qt.PenStyle.DashLine if name == "guard" else Qt.PenStyle.SolidLine)
        curve = pg.PlotDataItem(pen=pen, **dots)
        view = self.loss.views[1] if name == MSE else (self.loss if name == CE else self.miou).views[0]
        view.addItem(curve)
        return curve

    def _legend(self, title: str, names: list[str]) -> str:
        """Name each curve with a dot in its colour and its newest value, as rich text."""
        words = [f"<b>{title}</b>"]
        for name in names:
            color = QColor(*COLORS.get(name, OTHER_COLOR)).name()
            words.append(f'<span style="color:{color}">&#9679;</span> {name} {self.series[name].newest:.3g}')
        return " &nbsp; ".join(words)


def _color_axis(axis: pg.AxisItem, color: QColor) -> None:
    axis.setPen(pg.mkPen(color))
    axis.setTextPen(pg.mkPen(color))
