"""The painted part of the timeline: strips and curves over the frames, and what mouse and keys do to it.

Owns pixels and gestures. What they mean, where the numbers come from and what is kept is `timeline`'s part:
a gesture becomes a signal. Strips and curves are painted once into a pixmap; playhead, ranges and the words
under the pointer lie over it, so that moving the playhead costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QContextMenuEvent, QFontMetricsF, QPainter, QPen, QPixmap, QPolygonF
from qtpy.QtWidgets import QMenu, QSizePolicy, QWidget

from napari_hogseg.session.ranges import FrameRange
from napari_hogseg.ui.timeline_painting import Curve, Strip, TimelineColors, faded, paint_curves
from napari_hogseg.ui.timeline_view import TimelineView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qtpy.QtCore import QEvent
    from qtpy.QtGui import QFocusEvent, QKeyEvent, QMouseEvent, QPaintEvent, QWheelEvent

GUTTER_PX, RIGHT_PX = 62, 6
STRIP_PX, STRIP_GAP_PX = 7, 4
AXIS_PX = 13
MIN_CURVES_PX = 30
FONT_PX = 10
TICKS_APART_PX = 70
ZOOM = 0.8
HANDLE_PX = 5.0


class TimelineCanvas(QWidget):
    """Strips, curves, playhead.

    Parameters
    ----------
    describe : callable
        `describe(frame_index) -> str`: what stands beside the pointer.
    parent : QWidget, optional

    Attributes
    ----------
    frame_chosen : Signal(int)
        Go to this frame.
    range_marked : Signal(int, int)
        Both ends of a new range, in the order they were marked.
    range_removed : Signal(int)
        Take out the range that holds this frame.
    """

    frame_chosen = Signal(int)
    range_marked = Signal(int, int)
    range_removed = Signal(int)

    def __init__(self, describe: Callable[[int], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._describe = describe
        self.view = TimelineView.whole(0)
        self.playhead = 0
        self.message = ""
        self.colors = TimelineColors(*(QColor(name) for name in ("black", "gray", "white", "blue", "red")))
        self._strips: tuple[Strip, ...] = ()
        self._curves: tuple[Curve, ...] = ()
        self._ranges: tuple[FrameRange, ...] = ()
        self._dragged: tuple[int, int] | None = None
        self._mark_from: int | None = None
        self._grabbed_at: tuple[float, TimelineView] | None = None
        self._is_scrubbing = False
        self._hovered: float | None = None
        self._painted: QPixmap | None = None
        font = self.font()
        font.setPixelSize(FONT_PX)
        self.setFont(font)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(self._curves_top(3) + MIN_CURVES_PX + AXIS_PX)
        self.setAccessibleName("Timeline")

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Wide, and a little higher than need be."""
        return QSize(600, self.minimumHeight() + 20)

    # --- what is shown ----------------------------------------------------------------------------

    def set_num_frames(self, num_frames: int) -> None:
        """Show a clip of so many frames from its first to its last; 0 for none."""
        self.view = TimelineView.whole(num_frames)
        self.playhead, self._hovered, self._mark_from, self._dragged = 0, None, None, None
        self._strips, self._curves, self._ranges = (), (), ()
        self.redraw()

    def set_content(self, strips: tuple[Strip, ...], curves: tuple[Curve, ...], message: str = "") -> None:
        """Show these; `message` where the curves would be if there were some."""
        self._strips, self._curves, self.message = strips, curves, message
        self.redraw()

    def set_ranges(self, ranges: tuple[FrameRange, ...]) -> None:
        """Show these marked ranges."""
        self._ranges = ranges
        self.update()

    def set_playhead(self, frame_index: int) -> None:
        """Show that this frame is on screen."""
        if frame_index != self.playhead:
            self.playhead = frame_index
            self._set_view(self.view.following(frame_index))
            self.update()

    def set_colors(self, colors: TimelineColors) -> None:
        """Follow a theme."""
        self.colors = colors
        self.redraw()

    def redraw(self) -> None:
        """Paint everything anew: numbers have changed."""
        self._painted = None
        self.update()

    def show_all(self) -> None:
        """Show the whole clip."""
        self._set_view(TimelineView.whole(self.view.num_frames))

    def _set_view(self, view: TimelineView) -> None:
        if view != self.view:
            self.view = view
            self.redraw()

    # --- places -----------------------------------------------------------------------------------

    @property
    def plot_px(self) -> int:
        """Width of what shows frames, in logical pixels."""
        return int(max(self.width() - GUTTER_PX - RIGHT_PX, 1))

    def x_of(self, frame: float) -> float:
        """Where a frame begins; `frame + 0.5` is its middle."""
        return GUTTER_PX + self.view.x_of(frame, self.plot_px)

    def frame_at(self, x_px: float) -> int:
        """Frame under a place."""
        return self.view.frame_at(x_px - GUTTER_PX, self.plot_px)

    @staticmethod
    def _curves_top(num_strips: int) -> int:
        return STRIP_GAP_PX + num_strips * (STRIP_PX + STRIP_GAP_PX)

    def _curves_box(self) -> QRectF:
        top = self._curves_top(max(len(self._strips), 1))
        return QRectF(GUTTER_PX, top, self.plot_px, max(self.height() - AXIS_PX - top, 1))

    # --- painting ---------------------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Paint what is kept, and over it what moves."""
        ratio = self.devicePixelRatioF()
        size = QSize(round(self.width() * ratio), round(self.height() * ratio))
        if self._painted is None or self._painted.size() != size:
            self._painted = self._paint_all(size, ratio)
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._painted)
        if self.view.num_frames:
            self._paint_ranges(painter)
            self._paint_playhead(painter)
            self._paint_words(painter)
        if self.hasFocus():
            painter.setPen(QPen(self.colors.accent, 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(QRectF(0.5, 0.5, self.width() - 1, self.height() - 1))
        painter.end()

    def _paint_all(self, size: QSize, ratio: float) -> QPixmap:
        pixmap = QPixmap(size)
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(self.colors.background)
        painter = QPainter(pixmap)
        painter.setFont(self.font())
        box = self._curves_box()
        painter.fillRect(box, self.colors.foreground)
        if self.view.num_frames:
            for number, strip in enumerate(self._strips):
                self._paint_strip(painter, number, strip, round(self.plot_px * ratio))
            self._paint_axis(painter, box)
            painter.save()
            painter.setClipRect(box)
            paint_curves(painter, box, self._curves, self.view, round(self.plot_px * ratio))
            painter.restore()
        if self.message:
            painter.setPen(faded(self.colors.text, 190))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, self.message)
        painter.end()
        return pixmap

    def _paint_strip(self, painter: QPainter, number: int, strip: Strip, num_columns: int) -> None:
        top = STRIP_GAP_PX + number * (STRIP_PX + STRIP_GAP_PX)
        painter.setPen(faded(self.colors.text, 200))
        label = QRectF(0, top - 4, GUTTER_PX - 6, STRIP_PX + 8)
        painter.drawText(label, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, strip.name)
        painter.fillRect(QRectF(GUTTER_PX, top, self.plot_px, STRIP_PX), self.colors.foreground)
        per_column = self.plot_px / num_columns
        for flags, color in ((strip.flags, strip.color), (strip.troubled, self.colors.error)):
            if flags is None:
                continue
            for begin, end in (self.view.runs(flags, num_columns) * per_column).tolist():
                # A single frame of an hour is still seen.
                box = QRectF(GUTTER_PX + begin, top, max(end - begin, 1.0), STRIP_PX)
                painter.fillRect(box, color)

    def _paint_axis(self, painter: QPainter, box: QRectF) -> None:
        painter.setPen(faded(self.colors.text, 30))
        for share in (0.0, 0.5, 1.0):
            y = round(box.top() + share * (box.height() - 1)) + 0.5
            painter.drawLine(QPointF(box.left(), y), QPointF(box.right(), y))
        numbers = QFontMetricsF(self.font())
        for frame_index in self.view.ticks(self.plot_px, TICKS_APART_PX):
            x = self.x_of(frame_index + 0.5)
            text = f"{frame_index:,}".replace(",", " ")
            left = min(x - numbers.horizontalAdvance(text) / 2, box.right() - numbers.horizontalAdvance(text))
            painter.setPen(faded(self.colors.text, 30))
            painter.drawLine(QPointF(x, box.top()), QPointF(x, box.bottom()))
            painter.setPen(faded(self.colors.text, 170))
            painter.drawText(QPointF(max(left, GUTTER_PX), self.height() - 3), text)
        painter.drawText(
            QRectF(0, box.bottom(), GUTTER_PX - 6, AXIS_PX),
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
            "frame",
        )

    def _paint_ranges(self, painter: QPainter) -> None:
        begun = None if self._mark_from is None else (self._mark_from, self.playhead)
        pending = [FrameRange(*sorted(ends)) for ends in (self._dragged, begun) if ends is not None]
        for each in (*self._ranges, *pending):
            left = max(self.x_of(each.first), GUTTER_PX)
            right = min(self.x_of(each.last + 1), GUTTER_PX + self.plot_px)
            if right < left:
                continue
            box = QRectF(left, 0, max(right - left, 1.0), self.height() - AXIS_PX)
            painter.fillRect(box, faded(self.colors.accent, 60))
            painter.setPen(QPen(self.colors.accent, 1))
            painter.drawLine(box.topLeft(), box.bottomLeft())
            painter.drawLine(box.topRight(), box.bottomRight())

    def _paint_playhead(self, painter: QPainter) -> None:
        x = self.x_of(self.playhead + 0.5)
        if not GUTTER_PX <= x <= GUTTER_PX + self.plot_px:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self.colors.text, 1.5))
        painter.drawLine(QPointF(x, 0), QPointF(x, self.height() - AXIS_PX))
        painter.setBrush(self.colors.text)
        painter.setPen(Qt.PenStyle.NoPen)
        handle = [QPointF(x - HANDLE_PX, 0), QPointF(x + HANDLE_PX, 0), QPointF(x, HANDLE_PX + 1)]
        painter.drawPolygon(QPolygonF(handle))

    def _paint_words(self, painter: QPainter) -> None:
        if self._hovered is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame_index = self.frame_at(self._hovered)
        middle = self.x_of(frame_index + 0.5)
        painter.setPen(QPen(faded(self.colors.text, 120), 1, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(middle, 0), QPointF(middle, self.height() - AXIS_PX))
        text = self._describe(frame_index)
        width = QFontMetricsF(self.font()).horizontalAdvance(text) + 12
        right = GUTTER_PX + self.plot_px
        left = middle + 8 if middle + 8 + width <= right else middle - 8 - width
        # Over the axis: the curves stay in sight.
        height = FONT_PX + 6
        box = QRectF(max(left, 2.0), self.height() - height - 1, width, height)
        painter.setPen(QPen(faded(self.colors.text, 90), 1))
        painter.setBrush(self.colors.background)
        painter.drawRoundedRect(box, 3, 3)
        painter.setPen(self.colors.text)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    # --- mouse ------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Go to a frame; begin a range with Shift; grab with the middle button."""
        if not self.view.num_frames:
            return
        x = event.position().x()
        if event.button() == Qt.MouseButton.MiddleButton:
            self._grabbed_at = (x, self.view)
        elif event.button() == Qt.MouseButton.LeftButton:
            if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                self._dragged = (self.frame_at(x), self.frame_at(x))
                self.update()
            else:
                self._is_scrubbing = True
                self.frame_chosen.emit(self.frame_at(x))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Drag what was begun; say what is under the pointer."""
        if not self.view.num_frames:
            return
        x = event.position().x()
        self._hovered = x
        if self._grabbed_at is not None:
            begin, view = self._grabbed_at
            self._set_view(view.panned((begin - x) / self.plot_px * view.span))
        elif self._dragged is not None:
            self._dragged = (self._dragged[0], self.frame_at(x))
        elif self._is_scrubbing and self.frame_at(x) != self.playhead:
            self.frame_chosen.emit(self.frame_at(x))
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """End what was begun."""
        if event.button() == Qt.MouseButton.MiddleButton:
            self._grabbed_at = None
        elif event.button() == Qt.MouseButton.LeftButton:
            self._is_scrubbing = False
            ends, self._dragged = self._dragged, None
            if ends is not None:
                self.range_marked.emit(*ends)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Go to a frame: the second click of two is a click."""
        self.mousePressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        """Zoom about the pointer; a wheel to the side moves along."""
        if not self.view.num_frames:
            return
        notches, sideways = event.angleDelta().y() / 120, event.angleDelta().x() / 120
        if abs(sideways) > abs(notches):
            self._set_view(self.view.panned(-0.1 * sideways * self.view.span))
        else:
            x = event.position().x() - GUTTER_PX
            about = self.view.first + x / self.plot_px * self.view.span
            self._set_view(self.view.zoomed(ZOOM**notches, about))
        event.accept()

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Nothing is under the pointer any more."""
        self._hovered = None
        self.update()
        super().leaveEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802 - Qt's name
        """Offer what can be done to ranges and to the view."""
        if not self.view.num_frames:
            return
        by_key = event.reason() == QContextMenuEvent.Reason.Keyboard
        frame_index = self.playhead if by_key else self.frame_at(event.pos().x())
        menu = QMenu(self)
        menu.addAction("Begin a range at the playhead (I)", self._mark_begin)
        menu.addAction("End the range at the playhead (O)", self._mark_end)
        remove = menu.addAction("Remove this range", lambda: self.range_removed.emit(frame_index))
        remove.setEnabled(any(frame_index in each for each in self._ranges))
        menu.addSeparator()
        menu.addAction("Show the whole clip (0)", self.show_all).setEnabled(not self.view.is_whole)
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(event.globalPos())

    # --- keys -------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Step, jump, zoom and mark; any other key is left to the window."""
        action = self._actions().get(event.key()) if self.view.num_frames else None
        if action is None:
            super().keyPressEvent(event)
            return
        wide = event.modifiers() & (Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.ControlModifier)
        action(10 if wide else 1)
        event.accept()

    def _actions(self) -> Mapping[int, Callable[[int], Any]]:
        key, at = Qt.Key, self.playhead
        page = max(round(self.view.span / 10), 1)
        return {
            key.Key_Left: lambda by: self._go(at - by),
            key.Key_Right: lambda by: self._go(at + by),
            key.Key_PageUp: lambda _: self._go(at - page),
            key.Key_PageDown: lambda _: self._go(at + page),
            key.Key_Home: lambda _: self._go(0),
            key.Key_End: lambda _: self._go(self.view.num_frames - 1),
            key.Key_Plus: lambda _: self._set_view(self.view.zoomed(ZOOM, at + 0.5)),
            key.Key_Equal: lambda _: self._set_view(self.view.zoomed(ZOOM, at + 0.5)),
            key.Key_Minus: lambda _: self._set_view(self.view.zoomed(1 / ZOOM, at + 0.5)),
            key.Key_0: lambda _: self.show_all(),
            key.Key_I: lambda _: self._mark_begin(),
            key.Key_O: lambda _: self._mark_end(),
            key.Key_Delete: lambda _: self.range_removed.emit(at),
        }

    def _go(self, frame_index: int) -> None:
        self.frame_chosen.emit(min(max(frame_index, 0), self.view.num_frames - 1))

    def _mark_begin(self) -> None:
        self._mark_from = self.playhead
        self.update()

    def _mark_end(self) -> None:
        one, self._mark_from = self._mark_from, None
        self.range_marked.emit(self.playhead if one is None else one, self.playhead)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        """Show the focus."""
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        """Show that it is gone."""
        super().focusOutEvent(event)
        self.update()
