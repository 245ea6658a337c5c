"""The panels side by side: which layers stand in which cell of the grid, whatever the user adds.

A panel is a pair, a backdrop and an overlay. The grid puts `STRIDE` layers of the list into a cell, so one
foreign layer in between would shift every pair after it: after each change of the list the panels move to its
bottom, in their order, and foreign layers to the end, into cells of their own. What the layers show is not
this module's part.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_hogseg.ui.live import on_gui_thread

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

STRIDE = 2
#: As many rows and columns as the visible panels need; 2 x 2 for the four panels.
AUTO_SHAPE = (-1, -1)
SPACING_PX = 6


@dataclass(eq=False)
class Panel:
    """One cell of the grid.

    Attributes
    ----------
    key : str
        What the program calls it.
    backdrop, overlay : Layer
        The overlay is drawn on the backdrop; its name is the panel's title. No overlay: a clip is being
        closed.
    """

    key: str
    backdrop: Layer
    overlay: Layer | None

    @property
    def top(self) -> Layer:
        """The layer that is seen: the overlay where there is one."""
        return self.backdrop if self.overlay is None else self.overlay

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Bottom first."""
        return (self.backdrop,) if self.overlay is None else (self.backdrop, self.overlay)


class PanelGrid(QObject):
    """The panels of one viewer.

    Parameters
    ----------
    viewer : napari.Viewer
    parent : QObject, optional

    Attributes
    ----------
    closed : Signal(str)
        Key of a panel whose layer the user deleted; its other layer goes too.
    changed : Signal()
        Other panels are seen now.
    """

    closed = Signal(str)
    changed = Signal()

    def __init__(self, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._panels: dict[str, Panel] = {}
        self._order: list[str] = []
        self._hidden: set[str] = set()
        self._enlarged: str | None = None
        self._alone: str | None = None
        self._beside: tuple[str, ...] = ()
        self._busy = self._lost = False
        # Deferred to the next turn of the event loop: napari itself is still handling the change.
        self._timer = QTimer(self, singleShot=True, interval=0)
        self._timer.timeout.connect(self.reflow)
        for event in (viewer.layers.events.inserted, viewer.layers.events.reordered):
            event.connect(self._on_layers_changed)
        viewer.layers.events.removed.connect(self._on_layer_removed)
        for event in (viewer.canvas.grid.events.stride, viewer.canvas.grid.events.shape):
            event.connect(self._on_layers_changed)

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Panels in their order on screen."""
        return tuple(self._panels[key] for key in self._order if key in self._panels)

    def get(self, key: str) -> Panel | None:
        """Panel by key; None where the user deleted it."""
        return self._panels.get(key)

    def add(self, panel: Panel, order: list[str]) -> None:
        """Add a panel whose layers are in the viewer; `order` ranks all keys."""
        self._panels[panel.key] = panel
        self._order = order
        self._show_title(panel)
        self._hidden.discard(panel.key)
        self._apply_visibility()
        self._timer.start()

    def set_overlay(self, key: str, overlay: Layer | None) -> None:
        """Exchange a panel's overlay: the old layer leaves the viewer, the new one enters."""
        panel = self._panels[key]
        self._busy = True
        try:
            with self._viewer.layers.batched_update():
                self._exchange(panel, overlay)
        finally:
            self._busy = False
        self._timer.start()

    def _exchange(self, panel: Panel, overlay: Layer | None) -> None:
        layers = self._viewer.layers
        if panel.overlay is not None and panel.overlay in layers:
            layers.remove(panel.overlay)
        panel.overlay = overlay
        if overlay is not None:
            overlay.visible = panel.backdrop.visible
            # At its place at once: appended, it would stand in another panel's cell for a turn.
            layers.insert(layers.index(panel.backdrop) + 1, overlay)
            self._show_title(panel)

    def _show_title(self, panel: Panel) -> None:
        if panel.overlay is not None:
            panel.overlay.name_overlay.visible = True

    def set_visible(self, key: str, *, visible: bool) -> None:
        """Show or hide a panel; the others close the gap."""
        if visible:
            self._hidden.discard(key)
        else:
            self._hidden.add(key)
        if self._enlarged == key and not visible:
            self._enlarged = None
        self._apply_visibility()

    @property
    def enlarged(self) -> str | None:
        """Key of the panel that has the canvas for itself."""
        return self._enlarged if self._enlarged in self._panels else None

    def enlarge(self, key: str | None) -> None:
        """Give one panel the whole canvas, whatever the layout; None puts the layout back."""
        self._enlarged = key if key in self._panels else None
        self._apply_visibility()

    def is_seen(self, key: str) -> bool:
        """Whether a panel is on screen now, drawn by napari or beside or above its canvas."""
        if key not in self._panels:
            return False
        if self.enlarged is not None or self._alone is None:
            return self.is_drawn(key)
        return key == self._alone or key in self._beside

    def is_drawn(self, key: str) -> bool:
        """Whether napari draws a panel: it has a cell of the canvas."""
        only = self.enlarged or self._alone
        return self.is_shown(key) if only is None else key == only

    def is_shown(self, key: str) -> bool:
        """Whether a panel is there and not hidden, whatever is enlarged."""
        return key in self._panels and key not in self._hidden

    def present(self, alone: str | None, beside: tuple[str, ...] = ()) -> None:
        """Let napari draw one panel alone, while a layout shows others by itself; None puts the grid back."""
        self._alone, self._beside = alone, beside
        self._apply_visibility()

    @property
    def shown(self) -> tuple[Panel, ...]:
        """Panels that are not hidden, in order; one that is enlarged hides none of them here."""
        return tuple(panel for panel in self.panels if panel.key not in self._hidden)

    def panel_at(self, cell: tuple[int, int] | None) -> Panel | None:
        """Find the panel in a cell of the grid (row, column)."""
        if cell is None:
            return None
        layers = self._viewer.layers
        contents = self._viewer.canvas.grid.contents_at(cell, layers)
        return next((panel for panel in self.panels if layers.index(panel.backdrop) in contents), None)

    def _apply_visibility(self) -> None:
        for panel in self.panels:
            seen = self.is_drawn(panel.key)
            for layer in panel.layers:
                if layer.visible != seen:  # napari slices a layer anew even where nothing changes
                    layer.visible = seen
        self.changed.emit()

    def clear(self) -> None:
        """Remove all panels' layers, for another clip."""
        layers = [layer for panel in self.panels for layer in panel.layers]
        self._panels = {}
        self._busy = True
        try:
            # One by one, napari collects garbage and builds all cells anew for each layer: 0.3 s here.
            with self._viewer.layers.batched_update():
                for layer in layers:
                    if layer in self._viewer.layers:
                        self._viewer.layers.remove(layer)
        finally:
            self._busy = False

    def close(self) -> None:
        """Stop watching the viewer; the layers stay."""
        self._timer.stop()
        for emitter in (
            self._viewer.layers.events.inserted,
            self._viewer.layers.events.reordered,
            self._viewer.canvas.grid.events.stride,
            self._viewer.canvas.grid.events.shape,
        ):
            emitter.disconnect(self._on_layers_changed)
        self._viewer.layers.events.removed.disconnect(self._on_layer_removed)

    @on_gui_thread
    def reflow(self) -> None:
        """Put panels and foreign layers in order and the grid in shape."""
        if self._busy or not self._panels:
            return
        self._busy = True
        try:
            self._sort_layers()
            grid = self._viewer.canvas.grid
            grid.stride, grid.shape, grid.spacing = STRIDE, AUTO_SHAPE, SPACING_PX
        finally:
            self._busy = False
        if self._lost:  # the others may have its room now
            self._lost = False
            self._apply_visibility()

    def _sort_layers(self) -> None:
        ours = [layer for panel in self.panels for layer in panel.layers]
        layers = self._viewer.layers
        wanted = ours + [layer for layer in layers if layer not in ours]
        if wanted == list(layers):
            return
        selection, active = set(layers.selection), layers.selection.active
        for target, layer in enumerate(wanted):
            source = layers.index(layer)
            if source != target:
                layers.move(source, target)
        layers.selection = selection
        layers.selection.active = active

    def _on_layers_changed(self, _event: object = None) -> None:
        if not self._busy:
            self._timer.start()

    def _on_layer_removed(self, event: object) -> None:
        if self._busy:
            return
        removed = getattr(event, "value", None)
        for key, panel in list(self._panels.items()):
            if removed in panel.layers:
                del self._panels[key]
                partner = panel.backdrop if removed is panel.overlay else panel.overlay
                if partner is None:
                    continue
                # Not now: napari is inside its own removal, and a selection of several may hold the partner
                # too.
                QTimer.singleShot(0, partial(self._remove, partner))
                self._lost = True
                self.closed.emit(key)
        self._timer.start()

    def _remove(self, layer: Layer) -> None:
        if layer in self._viewer.layers:
            self._viewer.layers.remove(layer)
