"""An outline drawn round a region with the mouse, in whichever panel of the canvas.

A widget over the canvas while it is asked for, so that neither the brush nor the camera takes the drag. The
wheel and a mouse that holds nothing are the canvas': one can zoom first, and the place is still told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QEvent, QObject, QPointF, Qt, Signal
from qtpy.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF, QWheelEvent
from qtpy.QtWidgets import QApplication, QWidget

from napari_hogseg.ui.cells import Cells
from napari_hogseg.ui.live import on_gui_thread

if TYPE_CHECKING:
    from napari.viewer import Viewer

LINE_PX, DARK_PX = 2.0, 4.0
INSIDE = QColor(255, 255, 255, 45)


class RegionLasso(QWidget):
    """Takes one outline after the other, until it is closed.

    Parameters
    ----------
    canvas : QWidget
        What it lies on; its parent.
    viewer : napari.Viewer
        Whose grid and camera say which place of the image a pixel of the canvas is.

    Attributes
    ----------
    drawn : Signal(object)
        An outline is closed: (N, 2) float64 ndarray of image rows and columns.
    unwanted : Signal()
        Esc or the right button: no outline is wanted any more.
    """

    drawn = Signal(object)
    unwanted = Signal()

    def __init__(self, canvas: QWidget, viewer: Viewer) -> None:
        super().__init__(canvas)
        self._viewer = viewer
        self._line: list[QPointF] = []
        self._frame = self._frame_now()
        self.setObjectName("hogseg region")
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setStyleSheet("background: transparent;")  # napari's sheet gives plain widgets a background
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setGeometry(canvas.rect())
        canvas.installEventFilter(self)
        self.show()
        self.raise_()  # a swipe has its right side over the canvas
        self.setFocus(Qt.FocusReason.OtherFocusReason)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Keep the canvas' size."""
        if event is not None and event.type() == QEvent.Type.Resize and isinstance(watched, QWidget):
            self.setGeometry(watched.rect())
        return False

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Begin a line; the right button ends it all."""
        if event is None:
            return
        event.accept()
        if event.button() == Qt.MouseButton.RightButton:
            self.unwanted.emit()
        elif event.button() == Qt.MouseButton.LeftButton:
            self._line, self._frame = [QPointF(event.pos())], self._frame_now()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Draw on; a mouse that draws nothing is the canvas' own."""
        if event is None:
            return
        event.setAccepted(bool(self._line))
        if self._line:
            self._line.append(QPointF(event.pos()))
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Close the line: that is the region, unless another frame has come on screen meanwhile."""
        if event is None or event.button() != Qt.MouseButton.LeftButton or not self._line:
            return
        outline = self._on_image()
        self._line = []
        self.update()
        if self._frame == self._frame_now():
            self.drawn.emit(outline)

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802 - Qt's name
        """Give it to the canvas, which is as large; ignored, it would not get there."""
        canvas = self.parentWidget()
        if event is not None and canvas is not None:
            QApplication.sendEvent(canvas, event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        """Esc ends it; all other keys are the canvas' own."""
        if event is not None and event.key() == Qt.Key.Key_Escape:
            self.unwanted.emit()
        else:
            super().keyPressEvent(event)

    @on_gui_thread
    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Draw the line, and what it would enclose now."""
        if len(self._line) < 2:
            return
        painter, line = QPainter(self), QPolygonF(self._line)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(INSIDE)
        painter.drawPolygon(line)
        for color, width in ((Qt.GlobalColor.black, DARK_PX), (Qt.GlobalColor.white, LINE_PX)):
            painter.setPen(QPen(QColor(color), width))
            painter.drawPolyline(line)
        painter.end()

    def _frame_now(self) -> tuple[int, ...]:
        return tuple(self._viewer.dims.current_step[:-2])

    def _on_image(self) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """Rows and columns of the line, all seen from the panel that it began in."""
        cells = Cells.of(self._viewer, (self.height(), self.width()))
        cell = cells.at(self._line[0].y(), self._line[0].x())
        return np.array([cells.place(cell, point.y(), point.x()) for point in self._line])
