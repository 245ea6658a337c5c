"""Panels that are painted by Qt, over napari's canvas or beside it, and the mouse in them.

napari's cells are all equal and share one zoom, so a layout with a small panel beside a large one, or with
two over each other, paints the others itself. The mouse does there what it does on the canvas, but for
painting: it zooms, pans, and moves napari's cursor, by which crosses and the line under the mouse go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QLineF, QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from qtpy.QtWidgets import QWidget

from napari_hogseg.ui.live import on_gui_thread

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_hogseg.ui.panel_picture import PanelPicture

#: By how much one notch of the wheel zooms, as on napari's canvas.
ZOOM_A_NOTCH, NOTCH = 1.23, 120
#: Half of a cross, its free middle (what is pointed at must be seen), and the lines' widths.
ARM_PX, GAP_PX, DARK_PX, LIGHT_PX = 11, 3, 3.0, 1.0
PAD_PX = 5


@dataclass(frozen=True)
class PanelWindow:
    """What a rectangle of a widget shows of the image.

    Attributes
    ----------
    rect : (float, float, float, float)
        Left, top, width and height.
    middle : (float, float)
        X and y on the widget of `center`.
    center : (float, float)
        Row and column of the image.
    zoom : float
        Pixels of the widget per pixel of the image.
    """

    rect: tuple[float, float, float, float]
    middle: tuple[float, float]
    center: tuple[float, float]
    zoom: float

    def contains(self, x: float, y: float) -> bool:
        """Tell whether a point of the widget is in the rectangle."""
        left, top, width, height = self.rect
        return left <= x < left + width and top <= y < top + height

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Find the row and column of the image at a point of the widget."""
        row = self.center[0] + (y - self.middle[1]) / self.zoom
        return row, self.center[1] + (x - self.middle[0]) / self.zoom

    def point(self, row: float, column: float) -> tuple[float, float]:
        """Find the x and y on the widget of a place of the image."""
        x = self.middle[0] + (column - self.center[1]) * self.zoom
        return x, self.middle[1] + (row - self.center[0]) * self.zoom


class PaintedPanels(QWidget):
    """Pictures of panels in a widget.

    Parameters
    ----------
    parent : QWidget
    viewer : napari.Viewer

    Attributes
    ----------
    pictures : dict of str to PanelPicture
    titles : dict of str to str
    pointed : Signal(object)
        Key of the panel that the mouse is in now, or None; napari's cursor is there already.
    pressed, wanted : Signal(str)
        Key of a panel that was clicked, and clicked twice.
    """

    pointed = Signal(object)
    pressed = Signal(str)
    wanted = Signal(str)
    #: Cell of napari's grid that lies under the panels; None where they lie beside the canvas.
    cell: tuple[int, int] | None = None

    def __init__(self, parent: QWidget, viewer: Viewer) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.pictures: dict[str, PanelPicture] = {}
        self.titles: dict[str, str] = {}
        self.cross: tuple[float, float] | None = None
        self._pointed: str | None = None
        self._put: tuple[float, ...] | None = None
        self._held: tuple[float, float] | None = None
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def windows(self) -> dict[str, PanelWindow]:
        """Say where each panel is now, by key."""
        raise NotImplementedError

    @property
    def has_cursor(self) -> bool:
        """Whether napari's cursor is where the mouse in these panels put it; the canvas may have it since."""
        return self._put is not None and tuple(self._viewer.cursor.position) == self._put

    def set_cross(self, place: tuple[float, float] | None) -> None:
        """Show a cross at a row and column in all panels but the one the mouse is in; None for no cross."""
        if place != self.cross:
            self.cross = place
            self.update()

    # --- painting ---------------------------------------------------------------------------------

    @on_gui_thread
    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Draw each picture where the camera has it."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), self.background())
        for key, window in self.windows().items():
            rect = QRectF(*window.rect)
            painter.setClipRect(rect)
            painter.fillRect(rect, QColor(0, 0, 0))
            picture = self.pictures.get(key)
            if picture is not None:
                _draw_picture(painter, window, picture)
            if self.cross is not None and key != self._pointed:
                draw_cross(painter, *window.point(*self.cross))
            self.write_title(painter, key, rect)
        painter.end()

    def background(self) -> QColor:
        """Give what lies between the panels."""
        return QColor(0, 0, 0)

    def write_title(self, painter: QPainter, key: str, rect: QRectF) -> None:
        """Name a panel at its upper left."""
        draw_title(painter, rect, self.titles.get(key, ""))

    # --- the mouse --------------------------------------------------------------------------------

    def _at(self, x: float, y: float) -> tuple[str, PanelWindow] | None:
        found = (item for item in self.windows().items() if item[1].contains(x, y))
        return next(found, None)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Point at a place; pan while the button is held."""
        if event is None:
            return
        x, y = float(event.pos().x()), float(event.pos().y())
        found = self._at(x, y)
        if self._held is not None and found is not None:
            camera, there = self._viewer.scene.camera, found[1].place(x, y)
            moved = (self._held[0] - there[0], self._held[1] - there[1])
            camera.center = (camera.center[-2] + moved[0], camera.center[-1] + moved[1])
            return
        self._point(None if found is None else found[0], None if found is None else found[1].place(x, y))

    def _point(self, key: str | None, place: tuple[float, float] | None) -> None:
        changed, self._pointed = key != self._pointed, key
        if changed:
            self.pointed.emit(key)
        if place is not None:
            cursor = self._viewer.cursor
            cursor.viewbox = self.cell
            cursor.position = self._put = (*self._viewer.dims.point[:-2], *place)
        if changed:
            self.update()

    def leaveEvent(self, _event: QEvent | None) -> None:  # noqa: N802 - Qt's name
        """Point at nothing any more."""
        self._point(None, None)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Take hold of the image."""
        if event is None:
            return
        x, y = float(event.pos().x()), float(event.pos().y())
        found = self._at(x, y)
        event.accept()  # the canvas below must not take it for a stroke
        if found is not None:
            self._held = found[1].place(x, y)
            self.pressed.emit(found[0])

    def mouseReleaseEvent(self, _event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Let go."""
        self._held = None

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Ask for more room for a panel."""
        self._held = None
        found = None if event is None else self._at(float(event.pos().x()), float(event.pos().y()))
        if found is not None:
            self.wanted.emit(found[0])

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802 - Qt's name
        """Zoom around the place under the mouse, in all panels."""
        if event is None:
            return
        event.accept()
        position = event.position()
        found = self._at(position.x(), position.y())
        if found is None or event.angleDelta().y() == 0:
            return
        camera, place = self._viewer.scene.camera, found[1].place(position.x(), position.y())
        factor = ZOOM_A_NOTCH ** (event.angleDelta().y() / NOTCH)
        center = (camera.center[-2], camera.center[-1])
        camera.center = tuple(at + (mid - at) / factor for at, mid in zip(place, center, strict=True))
        camera.zoom = camera.zoom * factor


def _draw_picture(painter: QPainter, window: PanelWindow, picture: PanelPicture) -> None:
    rows, columns = picture.whole.shape[:2]
    # Pixel centres are whole numbers in napari, pixel corners in Qt.
    x, y = window.point(-0.5, -0.5)
    pixels = picture.fitting(window.zoom)
    height, width = pixels.shape[:2]
    image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, window.zoom < 1)
    painter.drawImage(QRectF(x, y, columns * window.zoom, rows * window.zoom), image)


def draw_cross(painter: QPainter, x: float, y: float) -> None:
    """Draw white lines on black ones: seen on tissue, on masks and on a black panel."""
    middle = QPointF(round(x) + 0.5, round(y) + 0.5)
    arms = []
    for across, down in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        step = QPointF(across, down)
        arms.append(QLineF(middle + step * GAP_PX, middle + step * ARM_PX))
    for color, width in ((QColor(0, 0, 0), DARK_PX), (QColor(255, 255, 255), LIGHT_PX)):
        painter.setPen(QPen(color, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.SquareCap))
        painter.drawLines(arms)


def draw_title(painter: QPainter, rect: QRectF, title: str, *, at_right: bool = False) -> None:
    """Name a panel at the top of its rectangle, cut where it does not fit."""
    if not title or rect.width() < 4 * PAD_PX:
        return
    metrics = painter.fontMetrics()
    text = metrics.elidedText(title, Qt.TextElideMode.ElideRight, int(rect.width()) - 4 * PAD_PX)
    box = QRectF(0, 0, metrics.horizontalAdvance(text) + 2 * PAD_PX, metrics.height() + 4)
    box.moveTop(rect.top() + PAD_PX)
    if at_right:
        box.moveRight(rect.right() - PAD_PX)
    else:
        box.moveLeft(rect.left() + PAD_PX)
    painter.fillRect(box, QColor(0, 0, 0, 190))
    painter.setPen(QColor(255, 255, 255))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
