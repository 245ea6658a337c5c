"""Two panels over each other: a divider over the canvas, and the second panel's picture on its side of it.

napari draws one panel alone, and the other one's picture is painted over it on a Qt widget, as far as the
divider lets it: napari's clipping planes cut no images in 2D. The divider stays where it is on screen while
the image moves under it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QPointF, QRect, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QWidget

from napari_hogseg.ui.painted_panels import PaintedPanels, PanelWindow, draw_title

if TYPE_CHECKING:
    from napari.viewer import Viewer

HANDLE_PX, KNOB_PX = 13, 9
#: The divider is never dragged out of reach.
_MARGIN_PX = 8


class Divider(QWidget):
    """A vertical line over the canvas that one drags.

    Parameters
    ----------
    canvas : QWidget

    Attributes
    ----------
    moved : Signal()
    """

    moved = Signal()

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._canvas, self.share = canvas, 0.5
        self._held = False
        self.setMouseTracking(True)
        self.setObjectName("hogseg divider")
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setStyleSheet("background: transparent;")
        self.setCursor(Qt.CursorShape.SplitHCursor)
        self.setToolTip("Drag to see more of one panel or of the other")
        canvas.installEventFilter(self)
        self._place()

    @property
    def line_px(self) -> float:
        """Where the line is on the canvas, Qt's pixels."""
        return float(self.share * self._canvas.width())

    def move_to(self, x: float) -> None:
        """Put the line somewhere else."""
        width = max(self._canvas.width(), 2 * _MARGIN_PX + 1)
        self.share = min(max(x, _MARGIN_PX), width - _MARGIN_PX) / width
        self._place()
        self.moved.emit()

    def _place(self) -> None:
        self.setGeometry(QRect(round(self.line_px) - HANDLE_PX // 2, 0, HANDLE_PX, self._canvas.height()))

    def eventFilter(self, _watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Keep the share of a canvas that changes its size."""
        if event is not None and event.type() == QEvent.Type.Resize:
            self._place()
            self.moved.emit()
        return False

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Take hold; napari must not pan."""
        if event is not None:
            self._held = True
            event.accept()

    def mouseReleaseEvent(self, _event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Let go."""
        self._held = False

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Follow the mouse."""
        if event is not None and self._held:
            self.move_to(float(self.mapToParent(event.pos()).x()))

    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Draw a white line on a black one, and a knob."""
        painter = QPainter(self)
        middle = HANDLE_PX // 2
        painter.fillRect(middle - 1, 0, 3, self.height(), QColor(0, 0, 0))
        painter.fillRect(middle, 0, 1, self.height(), QColor(255, 255, 255))
        painter.setBrush(QColor(255, 255, 255))
        painter.drawEllipse(QPointF(middle + 0.5, self.height() / 2), KNOB_PX / 2, KNOB_PX / 2)
        painter.end()


class SwipeCover(PaintedPanels):
    """The picture of the panel that napari does not draw, on its side of the divider.

    Parameters
    ----------
    canvas : QWidget
    viewer : napari.Viewer
    divider : Divider
    """

    cell = (0, 0)

    def __init__(self, canvas: QWidget, viewer: Viewer, divider: Divider) -> None:
        super().__init__(canvas, viewer)
        self._canvas, self._divider = canvas, divider
        self.key, self.at_right = "", True
        self.setObjectName("hogseg swipe")
        self.stackUnder(divider)
        divider.moved.connect(self.place)
        self.place()

    def cover(self, key: str, *, at_right: bool) -> None:
        """Show this panel, right of the divider or left of it."""
        self.key, self.at_right = key, at_right
        self.place()

    def place(self) -> None:
        """Reach from the divider to the canvas' edge."""
        line = round(self._divider.line_px)
        left, right = (line, self._canvas.width()) if self.at_right else (0, line)
        self.setGeometry(left, 0, right - left, self._canvas.height())
        self.update()

    def windows(self) -> dict[str, PanelWindow]:
        """Give the one panel, where napari's camera would have it."""
        camera = self._viewer.scene.camera
        middle = (self._canvas.width() / 2 - self.x(), self._canvas.height() / 2)
        rect = (0.0, 0.0, float(self.width()), float(self.height()))
        center = (float(camera.center[-2]), float(camera.center[-1]))
        return {self.key: PanelWindow(rect, middle, center, float(camera.zoom))}

    def set_cross(self, _place: tuple[float, float] | None) -> None:
        """Draw none: both panels have the place under the mouse."""

    def write_title(self, painter: QPainter, key: str, rect: QRectF) -> None:
        """Name the panel at its outer corner, away from the divider."""
        draw_title(painter, rect, self.titles.get(key, ""), at_right=self.at_right)
