"""The napari layers of a review: four pairs of backdrop and overlay, and the writing of new pixels into them.

New pixels are written in place: a refresh without extent, thumbnail and highlight costs a third of
`layer.data = ...`. The layer one paints on is made anew for each clip: napari's undo history must not reach
into another one.
"""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import QObject, QTimer, Signal

from napari_hogseg.ui.labels import class_colors, difference_colormap, display_colormap, error_colormap
from napari_hogseg.ui.live import on_gui_thread
from napari_hogseg.ui.looks import MaskLook
from napari_hogseg.ui.panels import Panel, PanelGrid

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from napari.layers import Layer
    from napari.utils.events import Event
    from napari.viewer import Viewer

    from napari_hogseg.data.scheme import LabelScheme
    from napari_hogseg.ui.labels import EditableMasks

TRUTH, HOG, PREDICTION, ERRORS = "truth", "hog", "prediction", "errors"
RESIDUAL, DIFFERENCE, PROPOSAL = "residual", "difference", "proposal"
#: Panels that every clip comes with; the others are made when they are asked for.
FIRST = (TRUTH, HOG, PREDICTION, ERRORS)
ORDER = [*FIRST, RESIDUAL, DIFFERENCE, PROPOSAL]
BACKDROP_NAMES = {
    TRUTH: "Frame",
    HOG: "Frame (HOG)",
    PREDICTION: "Frame (prediction)",
    ERRORS: "Frame (errors)",
    RESIDUAL: "Frame (residual)",
    DIFFERENCE: "Frame (difference)",
    PROPOSAL: "Frame (proposal)",
}
TITLES = {
    TRUTH: "Ground truth",
    HOG: "HOG map",
    PREDICTION: "Prediction",
    ERRORS: "Boundary errors",
    RESIDUAL: "HOG residual",
    DIFFERENCE: "Difference of models",
    PROPOSAL: "Unsaved proposal",
}
MAX_NAME_CHARS = 60

#: Longest run of layer updates before napari gets a turn. A 1080p layer takes about 8 ms.
TURN_S = 0.012
#: What arrives within this time is drawn together: napari draws all four panels when one of them changes.
GATHER_MS = 8
OVERLAY_OPACITY = {
    TRUTH: 0.5,
    HOG: 1.0,
    PREDICTION: 0.5,
    ERRORS: 1.0,
    RESIDUAL: 1.0,
    DIFFERENCE: 0.9,
    PROPOSAL: 0.5,
}
#: The frame behind the HOG map is dimmed: its strokes are what one looks at.
BACKDROP_OPACITY = {
    TRUTH: 1.0,
    HOG: 0.35,
    PREDICTION: 1.0,
    ERRORS: 0.6,
    RESIDUAL: 0.35,
    DIFFERENCE: 0.6,
    PROPOSAL: 1.0,
}
#: What is left of the filled masks where outlines are drawn: a stroke must be seen while it is made.
FILL_UNDER_CONTOURS = 0.12
SCALE = (1.0, 1.0)
AXIS_LABELS = ("t", "y", "x")  # a word does not fit before napari has laid out a new slider


class ReviewLayers(QObject):
    """The layers of a review in one viewer.

    Made at the first clip and kept for the next ones, but for the layer one paints on. napari takes 50 to 300
    ms to add or remove a layer, so `open` makes one in each turn of the event loop.

    Parameters
    ----------
    viewer : napari.Viewer
    grid : PanelGrid
    parent : QObject, optional

    Attributes
    ----------
    opened : Signal()
        All panels stand.
    renamed : Signal(str)
        Key of a panel that has another name now.
    """

    opened = Signal()
    renamed = Signal(str)

    def __init__(self, viewer: Viewer, grid: PanelGrid, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._grid = viewer, grid
        self._masks: EditableMasks | None = None
        self._error_colormap, self._difference_colormap = error_colormap(), difference_colormap()
        self._colormap = self._error_colormap
        self._scheme: LabelScheme | None = None
        self.look = MaskLook()
        self._size = (1, 1)
        self._opacity = dict(OVERLAY_OPACITY)
        self._titles = dict(TITLES)
        self._updates: dict[int, Callable[[], None]] = {}
        self._turn = QTimer(self, singleShot=True, interval=GATHER_MS)
        self._turn.timeout.connect(self._run_updates)
        self._steps: deque[Callable[[], None]] = deque()
        self._step = QTimer(self, singleShot=True, interval=0)
        self._step.timeout.connect(self._run_step)

    def title_of(self, key: str) -> str:
        """Name of a panel, as a person reads it."""
        return self._titles[key]

    @property
    def names(self) -> dict[str, str]:
        """Names that a person gave, by the panel's key."""
        return {key: title for key, title in self._titles.items() if title != TITLES[key]}

    def rename(self, key: str, name: str) -> None:
        """Give a panel another name; an empty one gives back the first."""
        name = " ".join(name.split())[:MAX_NAME_CHARS] or TITLES[key]
        panel = self._grid.get(key)
        if panel is None or panel.overlay is None:
            self._take_name(key, name)
        elif panel.overlay.name != name:
            panel.overlay.name = name  # napari adds a number to a name that is taken

    def _take_name(self, key: str, name: str) -> None:
        if name != self._titles[key]:
            self._titles[key] = name
            self.renamed.emit(key)

    def _on_name(self, key: str, event: Event) -> None:
        """Follow a name given in napari's layer list or by a script; not one of a layer that has gone."""
        panel = self._grid.get(key)
        if panel is not None and panel.overlay is event.source:
            self._take_name(key, panel.overlay.name)

    @property
    def truth(self) -> Labels | None:
        """The layer that is painted on; None where the user deleted it."""
        panel = self._grid.get(TRUTH)
        return None if panel is None else panel.overlay

    @property
    def updating(self) -> bool:
        """Whether pixels wait to be shown or panels to stand."""
        return bool(self._updates or self._steps)

    def open(self, masks: EditableMasks, scheme: LabelScheme) -> None:
        """Stand up all panels for a clip; `opened` follows."""
        self._masks, self._scheme, self._size = masks, scheme, masks.shape[1:]
        self._colormap = display_colormap(scheme, self.look)
        self._updates.clear()
        wanted = [key for key in ORDER if key in FIRST or self._grid.get(key) is not None]
        self._steps = deque([partial(self._open_panel, key) for key in wanted])
        self._steps.append(self._finish)
        self._step.start()

    def close_truth(self) -> None:
        """Take the layer one paints on away: its undo history must not reach the next clip."""
        panel = self._grid.get(TRUTH)
        if panel is not None:
            self._grid.set_overlay(TRUTH, None)
        for key in ORDER:
            self.blank(key)

    def _run_step(self) -> None:
        self._steps.popleft()()
        if self._steps:
            self._step.start()

    def _finish(self) -> None:
        self._viewer.dims.axis_labels = AXIS_LABELS
        # Frames are dimmed by their opacity: on a light theme's canvas they would fade to white instead.
        self._viewer.canvas.background_color_override = "black"
        self.opened.emit()

    def _open_panel(self, key: str) -> None:
        panel = self._grid.get(key)
        if panel is None:
            # First the backdrop; the overlay, and with it the panel, in the next turn.
            backdrop = self._make_backdrop(key)
            self._viewer.add_layer(backdrop)
            self._steps.appendleft(partial(self._complete, key, backdrop))
        elif key == TRUTH:
            self._fit(panel.backdrop, (*self._size, 3))
            self._grid.set_overlay(key, self._make_overlay(key))
        else:
            self._fit(panel.backdrop, (*self._size, 3))
            self._fit(panel.top, self._size)
            if key in (PREDICTION, PROPOSAL):
                panel.top.colormap = self._colormap

    def _complete(self, key: str, backdrop: Layer) -> None:
        overlay = self._make_overlay(key)
        self._viewer.add_layer(overlay)
        self._grid.add(Panel(key, backdrop, overlay), ORDER)

    def _fit(self, layer: Layer, shape: tuple[int, ...]) -> None:
        if layer.data.shape != shape:
            layer.data = np.zeros(shape, np.uint8)

    def make(self, key: str) -> None:
        """Make one panel anew that the user deleted."""
        backdrop = self._make_backdrop(key)
        self._viewer.add_layer(backdrop)
        self._complete(key, backdrop)

    def _make_backdrop(self, key: str) -> Layer:
        pixels = np.zeros((*self._size, 3), np.uint8)
        return Image(pixels, name=BACKDROP_NAMES[key], rgb=True, scale=SCALE, opacity=BACKDROP_OPACITY[key])

    def _make_overlay(self, key: str) -> Layer:
        layer = self._make_pixels(key)
        layer.events.name.connect(partial(self._on_name, key))
        return layer

    def _make_pixels(self, key: str) -> Layer:
        shared: dict[str, Any] = {"name": self._titles[key], "opacity": self._opacity[key]}
        if key == TRUTH:
            layer = Labels(self._masks, colormap=self._colormap, scale=(1.0, *SCALE), **shared)
            layer.brush_size = max(5, min(self._size) // 40)
            return layer
        blank = np.zeros(self._size, np.uint8)
        if key in (HOG, RESIDUAL):
            colormap = "gray" if key == HOG else "inferno"
            return Image(
                blank, scale=SCALE, contrast_limits=(0, 255), colormap=colormap, blending="additive", **shared
            )
        own = {ERRORS: self._error_colormap, DIFFERENCE: self._difference_colormap}
        layer = Labels(blank, colormap=own.get(key, self._colormap), scale=SCALE, **shared)
        layer.editable = False  # a stroke there would be lost with the next frame
        return layer

    def set_look(self, look: MaskLook) -> None:
        """Draw ground truth and prediction alike, so that they compare; outlines are the frames' pixels."""
        recolor = (look.palette, look.hidden) != (self.look.palette, self.look.hidden)
        self.look = look
        if recolor and self._scheme is not None:
            self._colormap = display_colormap(self._scheme, look)
        for key in (TRUTH, PREDICTION, PROPOSAL):
            outlined = look.contours and key != PROPOSAL  # nobody draws outlines of proposals
            self._opacity[key] = FILL_UNDER_CONTOURS if outlined else look.opacity
            panel = self._grid.get(key)
            if panel is not None:
                panel.top.opacity = self._opacity[key]
                if recolor and isinstance(panel.top, Labels):
                    panel.top.colormap = self._colormap

    @property
    def outline_colors(self) -> npt.NDArray[np.float32] | None:
        """RGBA by class id to draw outlines with, (256, 4); None where areas are filled."""
        if self._scheme is None or not self.look.contours:
            return None
        return class_colors(self._scheme, self.look)

    def is_seen(self, key: str) -> bool:
        """Whether a panel is on screen: only then its pixels are worth computing."""
        return self._grid.is_seen(key)

    def show(
        self, key: str, backdrop: npt.NDArray[np.uint8] | None, overlay: npt.NDArray[np.uint8] | None
    ) -> None:
        """Show pixels in a panel soon; what waited for the same layer is forgotten.

        Parameters
        ----------
        key : str
        backdrop : (H, W, 3) uint8 ndarray or None
            None leaves what is there.
        overlay : (H, W) uint8 ndarray or None
            None empties it. The ground truth's overlay is the editable layer: it is sliced by napari alone.
        """
        panel = self._grid.get(key)
        if panel is None:
            return
        if backdrop is not None:
            self._later(panel.backdrop, backdrop)
        if key != TRUTH:
            self._later(panel.top, 0 if overlay is None else overlay)

    def show_hog(self, frame: npt.NDArray[np.uint8], hog_map: npt.NDArray[np.uint8] | None) -> None:
        """Show a HOG map; one in colour, (H, W, 3), takes the frame's place behind the map's layer."""
        panel = self._grid.get(HOG)
        if panel is None:
            return
        in_color = hog_map is not None and hog_map.ndim == 3
        panel.backdrop.opacity = 1.0 if in_color else BACKDROP_OPACITY[HOG]
        self.show(HOG, hog_map if in_color else frame, None if in_color else hog_map)

    def blank(self, key: str) -> None:
        """Empty a panel: there is no frame to show."""
        panel = self._grid.get(key)
        if panel is not None:
            self._later(panel.backdrop, 0)
            if key != TRUTH:
                self._later(panel.top, 0)

    def _later(self, layer: Layer, pixels: npt.NDArray[np.uint8] | int) -> None:
        def write() -> None:
            layer.data[...] = pixels
            layer.refresh(extent=False, thumbnail=False, highlight=False)

        self._updates[id(layer)] = write
        self._turn.start()

    @on_gui_thread
    def _run_updates(self) -> None:
        """Write for a moment, then give napari a turn; what fits into one turn is drawn once."""
        begin_s = time.perf_counter()
        while self._updates and time.perf_counter() - begin_s < TURN_S:
            self._updates.pop(next(iter(self._updates)))()
        if self._updates:
            self._turn.start()

    def close(self) -> None:
        """Remove the layers."""
        self._turn.stop()
        self._step.stop()
        self._updates.clear()
        self._steps.clear()
        self._grid.clear()
        self._viewer.canvas.background_color_override = None
