"""The strip of small panels beside the large one, in room that napari's canvas gives up for it.

The canvas itself becomes smaller, so everything on it (fit, crosses, painting, napari's own Home) is as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QTimer

from napari_hogseg.ui.painted_panels import PaintedPanels, PanelWindow
from napari_hogseg.ui.strip_plan import StripPlan, plan_strip, seen_part

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QColor
    from qtpy.QtWidgets import QVBoxLayout, QWidget


class PanelStrip(PaintedPanels):
    """Small panels, each of which shows as much of the image as the canvas does.

    Parameters
    ----------
    canvas : QWidget
        napari's; it stands in a column with the slider.
    column : QVBoxLayout
        That column's layout.
    viewer : napari.Viewer
    """

    def __init__(self, canvas: QWidget, column: QVBoxLayout, viewer: Viewer) -> None:
        host = column.parentWidget()
        super().__init__(host, viewer)
        self._canvas, self._host, self._column = canvas, host, column
        self._keys: tuple[str, ...] = ()
        self._frame = (1, 1)
        self.plan: StripPlan | None = None
        self._margins = column.contentsMargins()
        self.setObjectName("hogseg strip")
        self.setToolTip("Double click makes a panel the large one")
        self._later = QTimer(self, singleShot=True, interval=0)
        self._later.timeout.connect(self._place)
        host.installEventFilter(self)
        canvas.installEventFilter(self)
        self.hide()

    def show_panels(self, keys: tuple[str, ...], frame: tuple[int, int]) -> None:
        """Make room for these panels and no others; none gives the room back."""
        self._keys, self._frame = keys, frame
        self._place()

    def windows(self) -> dict[str, PanelWindow]:
        """Say where each panel is; it shows what the canvas shows of the frame, as large as it can."""
        if self.plan is None:
            return {}
        camera = self._viewer.scene.camera
        seen = float(max(self._canvas.height(), 1)), float(max(self._canvas.width(), 1))
        at = (float(camera.center[-2]), float(camera.center[-1]))
        center, part = seen_part(seen, at, float(camera.zoom), self._frame)
        windows = {}
        for key, (left, top, width, height) in zip(self._keys, self.plan.cells, strict=False):
            zoom = min(height / part[0], width / part[1])
            middle = (left + width / 2, top + height / 2)
            windows[key] = PanelWindow((left, top, width, height), middle, center, zoom)
        return windows

    def background(self) -> QColor:
        """Give the window's own colour, which follows the theme."""
        return self._host.palette().color(self._host.backgroundRole())

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Keep to the canvas' size; plan anew once the window has another one."""
        if event is not None and event.type() in (QEvent.Type.Resize, QEvent.Type.Move) and self._keys:
            if watched is self._host:
                self._later.start()  # not within Qt's own laying out
            else:
                self._follow()
        return False

    def _place(self) -> None:
        if not self._keys:
            self.plan = None
            self._give_back()
            return
        slider_px = self._host.height() - self._canvas.height()
        if self.plan is not None and self.plan.side == "below":
            slider_px -= self.height() + self._column.spacing()
        room = (float(self._host.height() - slider_px), float(self._host.width()))
        plan = plan_strip(room, self._frame, len(self._keys))
        if plan == self.plan and self.isVisible():
            return
        if self.plan is None or plan.side != self.plan.side:
            self._give_back()
        self.plan = plan
        across = round(plan.across_px)
        if plan.side == "below":
            if self._column.indexOf(self) < 0:
                self._column.insertWidget(self._column.indexOf(self._canvas) + 1, self)
            self.setMinimumSize(0, across)
            self.setMaximumSize(16_777_215, across)
        else:
            margins = self._margins
            right = margins.right() + across
            self._column.setContentsMargins(margins.left(), margins.top(), right, margins.bottom())
            self._follow()
        self.show()
        self.update()

    def _follow(self) -> None:
        """Stand right of the canvas; below it, the column's layout sees to that."""
        if self.plan is not None and self.plan.side == "right":
            canvas = self._canvas.geometry()
            self.setGeometry(canvas.right() + 1, canvas.top(), round(self.plan.across_px), canvas.height())
        self.update()

    def _give_back(self) -> None:
        if self._column.indexOf(self) >= 0:
            self._column.removeWidget(self)
        self.setMinimumSize(0, 0)
        self.setMaximumSize(16_777_215, 16_777_215)
        self._column.setContentsMargins(self._margins)
        self.hide()

    def let_go(self) -> None:
        """Give all room back, for good."""
        self._later.stop()
        self._host.removeEventFilter(self)
        self._canvas.removeEventFilter(self)
        self._keys, self.plan = (), None
        self._give_back()
        self.deleteLater()
