"""How the panels share the window: in a grid, one large with a strip of the others, or two over each other.

A layout chooses what napari draws and what is painted beside (`strip`) or over it (`swipe`), and ends where
its panels go: a hidden one leaves no hole. Which panels there are is `panels`' part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from qtpy.QtCore import QObject, QTimer, Signal

from napari_hogseg.io.errors import InputError
from napari_hogseg.ui.canvas_access import canvas_column, canvas_widget
from napari_hogseg.ui.live import LiveChannel, on_gui_thread
from napari_hogseg.ui.panel_picture import PanelPicture, PanelPixels, compose
from napari_hogseg.ui.review_layers import PREDICTION, TRUTH
from napari_hogseg.ui.strip import PanelStrip
from napari_hogseg.ui.swipe import Divider, SwipeCover

if TYPE_CHECKING:
    from napari_hogseg.ui.painted_panels import PaintedPanels
    from napari_hogseg.ui.review_controller import ReviewController

LayoutName = Literal["grid", "strip", "swipe"]
LAYOUTS: tuple[LayoutName, ...] = get_args(LayoutName)
#: The layers' pixels are written a moment after what is computed arrives.
SETTLE_MS = 40


class StageLayout(QObject):
    """Applies a layout to the panels of a review.

    Parameters
    ----------
    controller : ReviewController
        Also the parent.

    Attributes
    ----------
    changed : Signal()
        Another layout, another pair or another large panel.
    name : str
        One of `LAYOUTS`.
    pair : (str, str)
        Panels of a swipe, left and right.
    large : str
        The large panel beside a strip.
    """

    changed = Signal()

    def __init__(self, controller: ReviewController) -> None:
        super().__init__(controller)
        self._controller = controller
        self.name: LayoutName = "grid"
        self.pair = (TRUTH, PREDICTION)
        self.large = TRUTH
        self.divider: Divider | None = None
        self.cover: SwipeCover | None = None
        self.strip: PanelStrip | None = None
        self.pointed: str | None = None
        self._busy = False
        self._pictures = LiveChannel("panels' pictures", self)
        self._pictures.ready.connect(self._on_pictures)
        self._later = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._later.timeout.connect(self._compose)
        # A deleted layer: napari is still inside its own removal.
        self._soon = QTimer(self, singleShot=True, interval=0)
        self._soon.timeout.connect(self._on_panels)
        controller.grid.changed.connect(self._on_panels)
        controller.grid.closed.connect(lambda _key: self._soon.start())
        controller.viewer.scene.camera.events.connect(self._on_camera)
        for signal in (controller.live_changed, controller.look_changed, controller.corrections_changed):
            signal.connect(self._on_pixels)
        controller.layers.renamed.connect(lambda _key: self._on_pixels())

    # --- what is chosen ---------------------------------------------------------------------------

    def choose(self, name: str, pair: tuple[str, str] | None = None, large: str | None = None) -> None:
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
        self.name, self.pair, self.large = name, pair, large or self.large
        self.apply()
        self.changed.emit()

    def apply(self) -> None:
        """Stand the layout up, again after a clip was opened."""
        grid = self._controller.grid
        if not grid.panels:
            return
        self._busy = True
        try:
            needed = {"grid": (), "strip": (self.large,), "swipe": self.pair}[self.name]
            for key in needed:
                if not grid.is_shown(key):
                    self._controller.set_panel_visible(key, visible=True)
            self._controller.viewer.canvas.grid.enabled = True
            grid.enlarge(None)
        finally:
            self._busy = False
        self._on_panels()

    # --- what is where ----------------------------------------------------------------------------

    @property
    def swiping(self) -> bool:
        """Whether two panels are over each other now; not while one has the canvas for itself."""
        return self.name == "swipe" and self._controller.grid.enlarged is None

    @property
    def drawn(self) -> str:
        """Panel of a swipe that napari draws: the ground truth if it can, as only that can be painted."""
        return TRUTH if TRUTH in self.pair else self.pair[0]

    def panel_under_mouse(self) -> str | None:
        """Find the panel that the mouse is in, whoever draws it; None between them."""
        if self.pointed is not None:
            return self.pointed
        panel = self._controller.grid.panel_at(self._controller.viewer.cursor.viewbox)
        return None if panel is None else panel.key

    def set_cross(self, place: tuple[float, float] | None) -> None:
        """Show a cross in the small panels; the canvas' own are `linked_cursor`'s part."""
        if self.strip is not None:
            self.strip.set_cross(place)

    # --- panels come and go -----------------------------------------------------------------------

    @on_gui_thread
    def _on_panels(self) -> None:
        if self._busy or not self._controller.grid.panels:
            return
        self._busy = True
        try:
            self._leave_missing()
            self._present()
        finally:
            self._busy = False
        self._on_pixels()

    def _leave_missing(self) -> None:
        """Go back to the grid, or to another large panel, where one of the layout's is hidden or deleted."""
        grid, titles = self._controller.grid, self._controller.layers.title_of
        if self.name == "swipe":
            missing = [titles(key) for key in self.pair if not grid.is_shown(key)]
            if missing:
                self.name = "grid"
                self._controller.said.emit(f"{missing[0]} is not shown: back to the grid")
                self.changed.emit()
        elif self.name == "strip" and not grid.is_shown(self.large):
            if grid.shown:
                self.large = grid.shown[0].key
            self.changed.emit()

    def _present(self) -> None:
        grid = self._controller.grid
        self._show_swipe()  # before `changed` is told: what else is drawn over the canvas comes on top then
        if self.name == "swipe":
            grid.present(self.drawn, tuple(key for key in self.pair if key != self.drawn))
        elif self.name == "strip" and grid.is_shown(self.large):
            grid.present(self.large, tuple(panel.key for panel in grid.shown if panel.key != self.large))
        else:
            grid.present(None)
        self._show_strip()

    def _show_swipe(self) -> None:
        if self.swiping and self.divider is None:
            canvas = canvas_widget(self._controller.viewer)
            if canvas is not None:
                self.divider = Divider(canvas)
                self.cover = SwipeCover(canvas, self._controller.viewer, self.divider)
                self._listen(self.cover)
        if self.divider is not None and self.cover is not None:
            if self.swiping:
                other = self.pair[1] if self.drawn == self.pair[0] else self.pair[0]
                self.cover.cover(other, at_right=other == self.pair[1])
            self.divider.setVisible(self.swiping)
            self.cover.setVisible(self.swiping)

    def _show_strip(self) -> None:
        grid, session = self._controller.grid, self._controller.session
        small: tuple[str, ...] = ()
        if self.name == "strip" and grid.enlarged is None and session is not None:
            small = tuple(panel.key for panel in grid.shown if panel.key != self.large)
        if small and self.strip is None:
            found = canvas_column(self._controller.viewer)
            if found is not None:
                self.strip = PanelStrip(*found, self._controller.viewer)
                self._listen(self.strip)
        if self.strip is not None:
            frame = (1, 1) if session is None else session.store.shape[1:]
            self.strip.show_panels(small, frame)

    def _listen(self, painted: PaintedPanels) -> None:
        painted.pointed.connect(self._on_pointed)
        painted.pressed.connect(self._on_pressed)
        painted.wanted.connect(self._on_wanted)

    def _on_pointed(self, key: str | None) -> None:
        self.pointed = key
        painted = [one for one in (self.cover, self.strip) if one is not None]
        if key is None and any(one.has_cursor for one in painted):  # else the canvas has the mouse: Qt 6 may
            self.set_cross(None)  # tell it so before these are left

    def _on_pressed(self, key: str) -> None:
        layer, layers = self._controller.truth_layer, self._controller.layers
        if key != TRUTH and layer is not None and str(layer.mode) not in ("pan_zoom", "transform"):
            self._controller.said.emit(
                f"Strokes go to {layers.title_of(TRUTH)}, not to {layers.title_of(key)}"
            )

    def _on_wanted(self, key: str) -> None:
        if self.name == "strip":
            self._controller.set_layout("strip", large=key)
        else:
            self._controller.enlarge(key)

    # --- pixels -----------------------------------------------------------------------------------

    @property
    def _painted(self) -> dict[str, PaintedPanels]:
        """Who paints which panel now."""
        painters = (self.cover if self.swiping else None, self.strip)
        return {key: widget for widget in painters if widget is not None for key in widget.windows()}

    def _on_pixels(self, _state: object = None) -> None:
        if self.name != "grid" and not self._later.isActive():  # started anew it would never come in playback
            self._later.start()

    def _on_camera(self, _event: object = None) -> None:
        for widget in (self.cover, self.strip):
            if widget is not None and widget.isVisible():
                widget.update()

    @on_gui_thread
    def _compose(self) -> None:
        if self._controller.layers.updating:
            self._later.start()
            return
        session, grid, painted = self._controller.session, self._controller.grid, self._painted
        if session is None or not painted:
            return
        state = session.live.state
        # The mask of the frame that is behind it, not of the slider's: a picture is whole.
        frame_index = state.frame_index if state.shown is None else state.shown
        wanted = {}
        for key, widget in painted.items():
            panel = grid.get(key)
            if panel is not None and panel.overlay is not None:
                widget.titles[key] = self._controller.layers.title_of(key)
                wanted[key] = PanelPixels.of(panel, frame_index)
        self._pictures.request(frame_index, lambda: compose(wanted))

    @on_gui_thread
    def _on_pictures(self, pictures: dict[str, PanelPicture]) -> None:
        for key, widget in self._painted.items():
            if key in pictures:
                widget.pictures[key] = pictures[key]
                widget.update()

    def close(self) -> None:
        """Let go of the viewer."""
        self._later.stop()
        self._soon.stop()
        self._pictures.close()
        self._controller.viewer.scene.camera.events.disconnect(self._on_camera)
        self._controller.grid.changed.disconnect(self._on_panels)
        for widget in (self.cover, self.divider):
            if widget is not None:
                widget.deleteLater()
        if self.strip is not None:
            self.strip.let_go()
        self.cover = self.divider = self.strip = None
