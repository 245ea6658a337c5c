"""Doubtful contours drawn over the ground truth's panel, coloured by how much the frame contradicts them.

Drawn on a transparent Qt widget over the canvas: a third layer in the panel would shift all others in
napari's grid, and the editable masks stay as they are. The widget is there only while something is drawn.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QEvent, QLineF, QObject, QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QLinearGradient, QPainter, QPaintEvent, QPen, QPixmap
from qtpy.QtWidgets import QWidget

from napari_hogseg.ui.canvas_access import canvas_widget
from napari_hogseg.ui.cells import Cells
from napari_hogseg.ui.live import on_gui_thread
from napari_hogseg.ui.review_layers import TRUTH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hogseg.metrics.sloppy_labels import DoubtfulContour
    from napari_hogseg.ui.review_controller import ReviewController

#: From the least disagreement that is reported to 1; none of them is a colour of tissue.
RAMP = (QColor(255, 250, 130), QColor(255, 150, 0), QColor(225, 0, 130))
LEAST = 0.5
LINE_PX, DARK_PX = 3.0, 5.5


class ContourMarks(QObject):
    """Draws contours while there are any; follows zoom, pan, layout and the canvas' size.

    Parameters
    ----------
    controller : ReviewController
    parent : QObject, optional
    """

    def __init__(self, controller: ReviewController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.overlay: MarksOverlay | None = None

    def draw(self, contours: Sequence[DoubtfulContour]) -> None:
        """Draw these and no others; without any, nothing is left on the canvas."""
        if not contours:
            self.close()
            return
        canvas = None if self.overlay is not None else canvas_widget(self._controller.viewer)
        if canvas is not None:
            self.overlay = MarksOverlay(canvas, self._controller)
            self._controller.viewer.scene.camera.events.connect(self._follow)
            self._controller.grid.changed.connect(self._on_panels)
        if self.overlay is not None and self.overlay.contours != tuple(contours):
            self.overlay.contours = tuple(contours)
            self.overlay.update()

    def close(self) -> None:
        """Take all away."""
        overlay, self.overlay = self.overlay, None
        if overlay is None:
            return
        self._controller.viewer.scene.camera.events.disconnect(self._follow)
        self._controller.grid.changed.disconnect(self._on_panels)
        try:
            overlay.setParent(None)
            overlay.deleteLater()
        except RuntimeError:
            return  # it went with the window

    def _on_panels(self) -> None:
        if self.overlay is not None:
            self.overlay.raise_()  # a swipe puts its right side over the canvas
            self.overlay.update()

    def _follow(self, _event: object = None) -> None:
        if self.overlay is not None:
            self.overlay.update()


class MarksOverlay(QWidget):
    """Contours over a canvas; the mouse does not notice it.

    Parameters
    ----------
    canvas : QWidget
    controller : ReviewController

    Attributes
    ----------
    contours : tuple of DoubtfulContour
    """

    def __init__(self, canvas: QWidget, controller: ReviewController) -> None:
        super().__init__(canvas)
        self._controller = controller
        self.contours: tuple[DoubtfulContour, ...] = ()
        self.setObjectName("hogseg doubtful contours")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setStyleSheet("background: transparent;")  # napari's sheet gives plain widgets a background
        self.setGeometry(canvas.rect())
        canvas.installEventFilter(self)
        self.show()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Keep the canvas' size."""
        if event is not None and event.type() == QEvent.Type.Resize and isinstance(watched, QWidget):
            self.setGeometry(watched.rect())
        return False

    @on_gui_thread
    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Draw each contour dark and wide first, then in its colours."""
        found = self._panel()
        if found is None:
            return
        cells, cell, clip = found
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setClipRect(clip)
        top, left = cells.corner(cell)
        middle = np.array([top + cells.size_px[0] / 2, left + cells.size_px[1] / 2])
        for contour in self.contours:
            points = (middle + (contour.path - np.array(cells.center)) * cells.zoom).tolist()
            corners = [QPointF(x, y) for y, x in points]
            lines = [QLineF(*ends) for ends in pairwise(corners)]
            painter.setPen(_pen(QColor(0, 0, 0), DARK_PX))
            painter.drawLines(lines)
            for line, disagreement in zip(lines, contour.disagreements.tolist(), strict=False):
                painter.setPen(_pen(color_of(disagreement), LINE_PX))
                painter.drawLine(line)
        painter.end()

    def _panel(self) -> tuple[Cells, tuple[int, int], QRectF] | None:
        """Cell of the ground truth, and what is seen of it; None while it is not on screen."""
        controller = self._controller
        panel, viewer = controller.grid.get(TRUTH), controller.viewer
        if panel is None or not controller.grid.is_drawn(TRUTH):
            return None
        cells = Cells.of(viewer, (self.height(), self.width()))
        if controller.stage.swiping:
            return cells, (0, 0), self._side(panel_is_left=controller.stage.pair[0] == TRUTH)
        cell = viewer.canvas.grid.position(viewer.layers.index(panel.backdrop), viewer.layers)
        top, left = cells.corner(cell)
        return cells, cell, QRectF(left, top, cells.size_px[1], cells.size_px[0])

    def _side(self, *, panel_is_left: bool) -> QRectF:
        divider = self._controller.stage.divider
        line_px = self.width() / 2 if divider is None else divider.line_px
        if panel_is_left:
            return QRectF(0, 0, line_px, self.height())
        return QRectF(line_px, 0, self.width() - line_px, self.height())


def color_of(disagreement: float) -> QColor:
    """Give the ramp's colour of a disagreement, 0 to 1."""
    place = (min(max(disagreement, LEAST), 1.0) - LEAST) / (1 - LEAST) * (len(RAMP) - 1)
    first = min(int(place), len(RAMP) - 2)
    share, one, other = place - first, RAMP[first], RAMP[first + 1]
    parts = zip(one.getRgb()[:3], other.getRgb()[:3], strict=True)
    return QColor(*(round((1 - share) * a + share * b) for a, b in parts))


def ramp_picture(size_px: tuple[int, int]) -> QPixmap:
    """Picture the ramp from `LEAST` to 1, width and height in pixels."""
    picture = QPixmap(*size_px)
    gradient = QLinearGradient(0, 0, size_px[0], 0)
    for number, color in enumerate(RAMP):
        gradient.setColorAt(number / (len(RAMP) - 1), color)
    painter = QPainter(picture)
    painter.fillRect(picture.rect(), gradient)
    painter.end()
    return picture


def _pen(color: QColor, width_px: float) -> QPen:
    return QPen(color, width_px, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap)
