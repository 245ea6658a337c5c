"""How the panels share the canvas: all in a grid, or two over each other with a divider to drag.

In a swipe napari draws the left panel alone, and the right one's picture is painted over it on a Qt widget,
as far as the divider lets it: napari's clipping planes cut no images in 2D. The divider stays where it is on
screen while the image moves under it. Which panels there are is `panels`' part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from qtpy.QtCore import QEvent, QObject, QPoint, QPointF, QRect, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QWidget

from napari_hogseg.io.errors import InputError
from napari_hogseg.ui.canvas_access import canvas_widget
from napari_hogseg.ui.live import LiveChannel, on_gui_thread
from napari_hogseg.ui.panel_picture import PanelPixels

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from napari.viewer import Viewer

    from napari_hogseg.ui.review_controller import ReviewController

LayoutName = Literal["grid", "swipe"]
LAYOUTS: tuple[LayoutName, ...] = get_args(LayoutName)
HANDLE_PX, KNOB_PX = 13, 9
#: The divider is never dragged out of reach.
_MARGIN_PX = 8
#: The layers' pixels are written a moment after what is computed arrives.
SETTLE_MS = 40


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


class RightSide(QWidget):
    """The right panel's picture, right of the divider; the mouse does not notice it.

    Parameters
    ----------
    canvas : QWidget
    viewer : napari.Viewer
    divider : Divider
    """

    def __init__(self, canvas: QWidget, viewer: Viewer, divider: Divider) -> None:
        super().__init__(canvas)
        self._canvas, self._viewer, self._divider = canvas, viewer, divider
        self.picture: npt.NDArray[np.uint8] | None = None
        self.title = ""
        self.setObjectName("hogseg swipe")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.stackUnder(divider)
        divider.moved.connect(self.place)
        self.place()

    def place(self) -> None:
        """Reach from the divider to the canvas' right edge."""
        left = round(self._divider.line_px)
        self.setGeometry(left, 0, self._canvas.width() - left, self._canvas.height())

    @on_gui_thread
    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Draw the picture where napari's camera has it."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(0, 0, 0))
        if self.picture is not None:
            height, width = self.picture.shape[:2]
            image = QImage(self.picture.data, width, height, 3 * width, QImage.Format.Format_RGB888)
            camera = self._viewer.scene.camera
            painter.translate(self._canvas.width() / 2 - self.x(), self._canvas.height() / 2)
            painter.scale(camera.zoom, camera.zoom)
            # Pixel centres are whole numbers in napari, pixel corners in Qt.
            painter.drawImage(QPointF(-camera.center[-1] - 0.5, -camera.center[-2] - 0.5), image)
            painter.resetTransform()
        self._write_title(painter)
        painter.end()

    def _write_title(self, painter: QPainter) -> None:
        """Name the panel at the upper right, as napari names the left one."""
        box = self.fontMetrics().boundingRect(self.title).adjusted(-6, -4, 6, 4)
        box.moveTopRight(QPoint(self.width() - 3, 10))
        painter.fillRect(box, QColor(0, 0, 0, 200))
        painter.setPen(QColor(255, 255, 255))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, self.title)


class StageLayout(QObject):
    """Applies a layout to the panels of a review.

    Parameters
    ----------
    controller : ReviewController
        Also the parent.

    Attributes
    ----------
    changed : Signal()
        Another layout or another pair.
    """

    changed = Signal()

    def __init__(self, controller: ReviewController) -> None:
        super().__init__(controller)
        self._controller = controller
        self.name: LayoutName = "grid"
        self.pair = ("truth", "prediction")
        self.divider: Divider | None = None
        self.right: RightSide | None = None
        self._pictures = LiveChannel("swipe", self)
        self._pictures.ready.connect(self._on_picture)
        self._later = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._later.timeout.connect(self._compose)
        controller.viewer.scene.camera.events.connect(self._on_camera)
        for signal in (controller.live_changed, controller.look_changed, controller.corrections_changed):
            signal.connect(self._on_pixels)

    def choose(self, name: str, pair: tuple[str, str] | None = None) -> None:
        """Take another layout.

        Raises
        ------
        InputError
            There is no such layout, or the pair names one panel twice.
        """
        if name not in LAYOUTS:
            raise InputError("There is no such layout", where=name, remedy=f"Choose {', '.join(LAYOUTS)}.")
        pair = pair or self.pair
        if pair[0] == pair[1]:
            raise InputError("A swipe needs two panels", where=pair[0], remedy="Choose another for one side.")
        self.name, self.pair = name, pair
        self.apply()
        self.changed.emit()

    def apply(self) -> None:
        """Stand the layout up, again after a clip was opened."""
        grid, swiping = self._controller.grid, self.name == "swipe"
        if not grid.panels:
            return
        if swiping:
            for key in self.pair:
                if not grid.is_shown(key):
                    self._controller.set_panel_visible(key, visible=True)
            self._stand_up()
        if self.divider is not None and self.right is not None:
            self.divider.setVisible(swiping)
            self.right.setVisible(swiping)
        self._controller.viewer.canvas.grid.enabled = True
        grid.swipe(self.pair if swiping else None)
        self._on_pixels()

    def _stand_up(self) -> None:
        canvas = None if self.divider is not None else canvas_widget(self._controller.viewer)
        if canvas is not None:
            self.divider = Divider(canvas)
            self.right = RightSide(canvas, self._controller.viewer, self.divider)

    def _on_pixels(self, _state: object = None) -> None:
        if self.name == "swipe":
            self._later.start()

    def _on_camera(self, _event: object = None) -> None:
        if self.right is not None and self.name == "swipe":
            self.right.update()

    @on_gui_thread
    def _compose(self) -> None:
        if self._controller.layers.updating:
            self._later.start()
            return
        session, panel = self._controller.session, self._controller.grid.get(self.pair[1])
        if session is not None and panel is not None and panel.overlay is not None:
            frame_index = session.live.state.frame_index
            if self.right is not None:
                self.right.title = panel.overlay.name  # as the person may have named it
            self._pictures.request(frame_index, PanelPixels.of(panel, frame_index).composed)

    @on_gui_thread
    def _on_picture(self, picture: npt.NDArray[np.uint8]) -> None:
        if self.right is not None:
            self.right.picture = picture
            self.right.update()

    def close(self) -> None:
        """Let go of the viewer."""
        self._later.stop()
        self._pictures.close()
        self._controller.viewer.scene.camera.events.disconnect(self._on_camera)
        for widget in (self.right, self.divider):
            if widget is not None:
                widget.deleteLater()
        self.right = self.divider = None
