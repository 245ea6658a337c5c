"""A cross in all other panels at the image place that the mouse points at in one.

Drawn on a transparent Qt widget over the canvas: the canvas itself, which is slow to draw, stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QRect, Qt, Signal
from qtpy.QtGui import QPainter, QPaintEvent
from qtpy.QtWidgets import QWidget

from napari_hogseg.ui.canvas_access import canvas_widget
from napari_hogseg.ui.cells import Cells
from napari_hogseg.ui.live import on_gui_thread
from napari_hogseg.ui.painted_panels import ARM_PX, draw_cross

if TYPE_CHECKING:
    from napari_hogseg.ui.review_controller import ReviewController

_REACH_PX = ARM_PX + 3


class CrossOverlay(QWidget):
    """Crosses over a canvas; the mouse does not notice it.

    Parameters
    ----------
    canvas : QWidget
        What it lies on, and whose size it keeps.

    Attributes
    ----------
    left : Signal()
        The mouse has left the canvas.
    """

    left = Signal()

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
            self.left.emit()
        return False

    @on_gui_thread
    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Draw the crosses."""
        if not self.points:
            return
        painter = QPainter(self)
        for y, x in self.points:
            draw_cross(painter, x, y)
        painter.end()


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
            self.overlay.left.connect(self._clear)

    def _clear(self) -> None:
        """Take the crosses away: other panels are seen, at other places."""
        if self.overlay is not None:
            self.overlay.set_points(())
        self._controller.stage.set_cross(None)

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
        place = self._place()
        self.overlay.set_points(() if place is None else self._other_places(self.overlay, place))
        self._controller.stage.set_cross(place)

    def _place(self) -> tuple[float, float] | None:
        """Find the row and column under the mouse; None off the image and off all panels."""
        viewer, session = self._controller.viewer, self._controller.session
        outside = viewer.cursor.viewbox is None and self._controller.stage.pointed is None
        if session is None or outside or len(viewer.cursor.position) < 2:
            return None
        row, column = viewer.cursor.position[-2:]
        height, width = session.store.shape[1:]
        if not (-0.5 <= row < height - 0.5 and -0.5 <= column < width - 0.5):
            return None
        return row, column

    def _other_places(
        self, overlay: CrossOverlay, place: tuple[float, float]
    ) -> tuple[tuple[float, float], ...]:
        """Find a place of the image in every panel of the canvas but the mouse's own."""
        viewer, grid = self._controller.viewer, self._controller.viewer.canvas.grid
        own = viewer.cursor.viewbox
        cells = Cells.of(viewer, (overlay.height(), overlay.width()))
        seen = (panel for panel in self._controller.grid.panels if panel.backdrop.visible)
        at = (grid.position(viewer.layers.index(panel.backdrop), viewer.layers) for panel in seen)
        places = (cells.on_canvas(cell, place) for cell in at if own is None or cell != tuple(own))
        return tuple(place for place in places if place is not None)
