"""A cross in all other panels at the image place that the mouse points at in one.

Drawn on a transparent Qt widget over the canvas: the canvas itself, which is slow to draw, stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QLineF, QObject, QPointF, QRect, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

from napari_hogseg.ui.canvas_access import canvas_widget
from napari_hogseg.ui.cells import Cells
from napari_hogseg.ui.live import on_gui_thread

if TYPE_CHECKING:
    from napari_hogseg.ui.review_controller import ReviewController

#: Half of a cross, its free middle (what is pointed at must be seen), and the lines' widths.
ARM_PX, GAP_PX, DARK_PX, LIGHT_PX = 11, 3, 3.0, 1.0
_REACH_PX = ARM_PX + 3


class CrossOverlay(QWidget):
    """Crosses over a canvas; the mouse does not notice it.

    Parameters
    ----------
    canvas : QWidget
        What it lies on, and whose size it keeps.
    """

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self.setObjectName("hogseg linked cursor")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        # napari's style sheet gives plain widgets a background.
        self.setStyleSheet("background: transparent;")
        self.points: tuple[tuple[float, float], ...] = ()
        self.setGeometry(canvas.rect())
        canvas.installEventFilter(self)
        self.show()

    def set_points(self, points: tuple[tuple[float, float], ...]) -> None:
        """Show crosses at these places (y, x) and nowhere else."""
        if points == self.points:
            return
        for y, x in (*self.points, *points):
            side = 2 * _REACH_PX
            self.update(QRect(int(x) - _REACH_PX, int(y) - _REACH_PX, side, side))
        self.points = points

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Keep the canvas' size; no crosses once the mouse has left it."""
        if event is not None and event.type() == QEvent.Type.Resize and isinstance(watched, QWidget):
            self.setGeometry(watched.rect())
        elif event is not None and event.type() == QEvent.Type.Leave:
            self.set_points(())
        return False

    @on_gui_thread
    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Draw white lines on black ones: seen on tissue, on masks and on a black panel."""
        if not self.points:
            return
        painter = QPainter(self)
        for color, width in ((QColor(0, 0, 0), DARK_PX), (QColor(255, 255, 255), LIGHT_PX)):
            painter.setPen(QPen(color, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.SquareCap))
            for y, x in self.points:
                painter.drawLines(_arms(QPointF(round(x) + 0.5, round(y) + 0.5)))
        painter.end()


def _arms(middle: QPointF) -> list[QLineF]:
    arms = []
    for across, down in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        step = QPointF(across, down)
        arms.append(QLineF(middle + step * GAP_PX, middle + step * ARM_PX))
    return arms


class LinkedCursor(QObject):
    """Moves the crosses with the mouse.

    Parameters
    ----------
    controller : ReviewController
    parent : QObject, optional
    """

    def __init__(self, controller: ReviewController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.overlay: CrossOverlay | None = None
        self._cursor = controller.viewer.cursor
        self._cursor.events.position.connect(self._on_moved)
        controller.clip_changed.connect(self._stand_up)
        controller.grid.changed.connect(self._clear)
        controller.closing.connect(self._let_go)

    def _stand_up(self) -> None:
        canvas = None if self.overlay is not None else canvas_widget(self._controller.viewer)
        if canvas is not None:
            self.overlay = CrossOverlay(canvas)

    def _clear(self) -> None:
        """Take the crosses away: other panels are seen, at other places."""
        if self.overlay is not None:
            self.overlay.set_points(())

    def _let_go(self) -> None:
        self._cursor.events.position.disconnect(self._on_moved)
        self._controller.grid.changed.disconnect(self._clear)
        overlay, self.overlay = self.overlay, None
        if overlay is not None:
            try:
                overlay.deleteLater()
            except RuntimeError:
                return  # it went with the window

    @on_gui_thread
    def _on_moved(self, _event: object = None) -> None:
        if self.overlay is None:
            return
        self.overlay.set_points(self._other_places(self.overlay))

    def _other_places(self, overlay: CrossOverlay) -> tuple[tuple[float, float], ...]:
        """Find the place under the mouse in every panel but the mouse's own; empty off the image."""
        viewer, session = self._controller.viewer, self._controller.session
        own, grid = viewer.cursor.viewbox, viewer.canvas.grid
        if session is None or own is None or len(viewer.cursor.position) < 2:
            return ()
        row, column = viewer.cursor.position[-2:]
        height, width = session.store.shape[1:]
        if not (-0.5 <= row < height - 0.5 and -0.5 <= column < width - 0.5):
            return ()
        cells = Cells.of(viewer, (overlay.height(), overlay.width()))
        seen = (panel for panel in self._controller.grid.panels if panel.backdrop.visible)
        at = (grid.position(viewer.layers.index(panel.backdrop), viewer.layers) for panel in seen)
        places = (cells.on_canvas(cell, (row, column)) for cell in at if cell != tuple(own))
        return tuple(place for place in places if place is not None)
