"""Keeps the panels fitted to their cells until a person zooms: a dock that grows must not crop them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, QTimer

from napari_hogseg.ui.live import on_gui_thread

if TYPE_CHECKING:
    from napari.viewer import Viewer

MARGIN = 0.02
#: napari lays out its grid's cells some turns after it was told; before that it fits one view of the canvas.
SETTLE_MS = 100
#: Share of a cell that what is looked at leaves free on each side, and what is seen of it at least.
BOX_MARGIN, MIN_SEEN_PX = 0.2, 64
_SAME = 1e-3


class FittedView(QObject):
    """The camera of a viewer, fitted anew whenever its canvas changes and nobody has moved it.

    Parameters
    ----------
    viewer : napari.Viewer
    parent : QObject, optional
    """

    def __init__(self, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._fitted: tuple[float, ...] | None = None
        self._timer = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._timer.timeout.connect(self._fit)
        viewer.canvas.events.size.connect(self.keep)

    def fit(self) -> None:
        """Fit soon, whatever the person looks at: another clip is on screen."""
        self._fitted = None
        self._timer.start()

    def keep(self, _event: object = None) -> None:
        """Fit soon if the view is as the last fit left it: cells have another size now."""
        if self._fitted is not None and self._untouched():
            self._timer.start()

    def show_box(self, box: tuple[int, int, int, int], shape: tuple[int, int]) -> None:
        """Zoom all panels to a box of a frame.

        Parameters
        ----------
        box : (int, int, int, int)
            First row, first column, and the row and column after the last.
        shape : (int, int)
            Rows and columns of the frame: at its rim the box is moved aside, not half of the cell left empty.
        """
        self._timer.stop()  # a person went there: no fit may take it away
        row0, col0, row1, col1 = box
        seen = np.maximum((row1 - row0, col1 - col0), MIN_SEEN_PX * (1 - 2 * BOX_MARGIN))
        cell = np.asarray(self._viewer.canvas.viewbox_size(self._viewer.layers))
        camera = self._viewer.scene.camera
        zoom = float((1 - 2 * BOX_MARGIN) * (cell / seen).min())
        free = np.minimum(cell / zoom, shape) / 2
        center = np.clip(((row0 + row1) / 2, (col0 + col1) / 2), free, shape - free)
        camera.center = tuple((center - 0.5).tolist())  # pixel centres are whole numbers
        camera.zoom = zoom

    @property
    def place(self) -> tuple[float, tuple[float, float]] | None:
        """Zoom, and row and column at the middle, where a person chose them; None while all is fitted."""
        if self._timer.isActive() or self._untouched():
            return None
        camera = self._viewer.scene.camera
        return float(camera.zoom), (float(camera.center[-2]), float(camera.center[-1]))

    def show_place(self, zoom: float, center: tuple[float, float]) -> None:
        """Look again where `place` was."""
        self._timer.stop()
        self._fitted = None
        self._viewer.scene.camera.center = center
        self._viewer.scene.camera.zoom = zoom

    def close(self) -> None:
        """Let go of the viewer."""
        self._timer.stop()
        self._viewer.canvas.events.size.disconnect(self.keep)

    @on_gui_thread
    def _fit(self) -> None:
        if self._fitted is not None and not self._untouched():
            return  # moved in the meantime
        self._viewer.reset_view(margin=MARGIN)
        self._fitted = self._state()

    def _untouched(self) -> bool:
        return self._fitted is not None and np.allclose(self._state(), self._fitted, rtol=_SAME)

    def _state(self) -> tuple[float, ...]:
        camera = self._viewer.scene.camera
        return (camera.zoom, *camera.center)
