"""The effort curve: corrected frames and pixels against working time. Owns no ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyqtgraph as pg
from qtpy.QtCore import QEvent
from qtpy.QtGui import QColor, QPalette
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_hogseg.ui.curves import PLOT_HEIGHT_PX, Plot

if TYPE_CHECKING:
    from napari_hogseg.session.ledger import EffortCurve

EMPTY_TEXT = "What you correct is drawn here against the minutes it took."
# After Okabe and Ito, as the curves of a run.
FRAMES_COLOR, PIXELS_COLOR = (58, 150, 214), (230, 139, 0)


class EffortPlot(QWidget):
    """Two curves over minutes, or a line that says why there are none.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.empty = QLabel(EMPTY_TEXT)
        self.empty.setWordWrap(True)
        self.legend = QLabel()
        # Else the docks, and with them the canvas, change their width when the first stroke is made.
        self.legend.setWordWrap(True)
        self.plot = Plot(two_scales=True)
        self.plot.setFixedHeight(PLOT_HEIGHT_PX + 22)
        self.frames = pg.PlotDataItem(pen=pg.mkPen(FRAMES_COLOR, width=2))
        self.pixels = pg.PlotDataItem(pen=pg.mkPen(PIXELS_COLOR, width=2))
        for view, curve in zip(self.plot.views, (self.frames, self.pixels), strict=True):
            view.addItem(curve)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for widget in (self.empty, self.legend, self.plot):
            layout.addWidget(widget)
        self._take_theme()
        self.show_curve(None)

    def show_curve(self, curve: EffortCurve | None) -> None:
        """Draw a curve; None, or one without a correction, draws none."""
        drawn = curve is not None and bool(curve.frames) and curve.frames[-1] > 0
        for widget in (self.legend, self.plot):
            widget.setVisible(drawn)
        self.empty.setVisible(not drawn)
        if curve is None or not drawn:
            return
        minutes = [0.0, *curve.minutes]
        self.frames.setData(minutes, [0, *curve.frames])
        self.pixels.setData(minutes, [0.0, *(pixels / 1000 for pixels in curve.pixels)])
        self.legend.setText(
            f"{_dot(FRAMES_COLOR)} corrected frames &nbsp; {_dot(PIXELS_COLOR)} corrected pixels, thousands"
        )

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange):
            self._take_theme()

    def _take_theme(self) -> None:
        # A style sheet's colours reach a label's palette, not always that of a bare container.
        text = self.empty.palette().color(QPalette.ColorRole.WindowText)
        colors = {"left": QColor(*FRAMES_COLOR), "right": QColor(*PIXELS_COLOR), "bottom": text}
        for side, color in colors.items():
            self.plot.axes[side].setPen(pg.mkPen(color))
            self.plot.axes[side].setTextPen(pg.mkPen(color))
        self.plot.axes["bottom"].setLabel("minutes of work", color=text.name())


def _dot(color: tuple[int, int, int]) -> str:
    return f'<span style="color:{QColor(*color).name()}">&#9679;</span>'
