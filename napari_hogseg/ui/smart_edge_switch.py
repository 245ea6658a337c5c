"""The switch of the smart edge: after each brush stroke its rim moves to the edge nearby, as its own step.

Owns when it happens and what is written; where the rim goes is `session.smart_edge`'s part.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QWidget

from napari_hogseg.session.mending import edit_between
from napari_hogseg.session.smart_edge import snap_rim
from napari_hogseg.ui.labels import to_display
from napari_hogseg.ui.live import LiveChannel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt
    from napari.layers import Labels

    from napari_hogseg.ui.review_controller import ReviewController

#: How far a rim may move, in or out.
BAND_PX = 5
ABOUT = (
    "After a brush stroke its rim moves to the strongest edge within 5 pixels, as a step of its own: Ctrl+Z"
    " brings the stroke back as it was. Off by default: on laryngeal frames it brought rims painted 3 pixels"
    " too large back by 0 to 1 pixel, shaky rims hardly, and moved right ones by up to 1."
)


@dataclass(frozen=True, eq=False)
class _Stroke:
    frame_index: int
    class_id: int
    before: npt.NDArray[np.uint8]
    after: npt.NDArray[np.uint8]


class SmartEdgeSwitch(QCheckBox):
    """Snaps the rims of strokes while it is on; off by default.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional
    """

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__("Smart edge", parent)
        self.setToolTip(ABOUT)
        self._controller = controller
        self._channel = LiveChannel("smart edge", self)
        self._channel.ready.connect(self._on_snapped)
        self._channel.failed.connect(lambda _subject, error: controller.failed.emit(str(error)))
        self._layer: Labels | None = None
        self._pending: Callable[[], None] = lambda: None
        self._turn = QTimer(self, singleShot=True, interval=0)
        self._turn.timeout.connect(lambda: self._pending())
        controller.clip_changed.connect(self._follow)
        controller.class_changed.connect(self._follow)  # a layer that is made anew tells nothing else
        controller.closing.connect(self._channel.close)

    @property
    def running(self) -> bool:
        """Whether a rim is being looked for."""
        return bool(self._channel.busy)

    def _follow(self) -> None:
        layer = self._controller.truth_layer
        if layer is not None and layer is not self._layer:
            self._channel.invalidate()
            self._layer = layer
            layer.mouse_drag_callbacks.append(self._on_drag)

    def _on_drag(self, layer: Labels, event: Any) -> Iterator[None]:  # noqa: ANN401 - napari's event
        session = self._controller.session
        class_id = self._controller.selected_class
        if session is None or class_id is None or not self.isChecked() or str(layer.mode) != "paint":
            return
        frame_index = session.live.state.frame_index
        before = session.store.mask(frame_index).copy()
        yield
        while event.type == "mouse_move":
            yield
        # In the next turn: napari ends its own stroke with this very event.
        self._pending = partial(self._snap, frame_index, class_id, before)
        self._turn.start()

    def _snap(self, frame_index: int, class_id: int, before: npt.NDArray[np.uint8]) -> None:
        session = self._controller.session
        if session is None or session.store.shape[1:] != before.shape:
            return
        stroke = _Stroke(frame_index, class_id, before, session.store.mask(frame_index).copy())
        frames = session.clip.source.frame
        self._channel.request(frame_index, lambda: (stroke, snap_stroke(frames(frame_index), stroke)))

    def _on_snapped(self, result: tuple[_Stroke, npt.NDArray[np.uint8]]) -> None:
        stroke, snapped = result
        session, layer = self._controller.session, self._controller.truth_layer
        if session is None or layer is None:
            return
        now = session.store.mask(stroke.frame_index)
        if not np.array_equal(now, stroke.after):
            return  # painted on meanwhile, or taken back
        edit = edit_between(now, snapped)
        if edit.num_pixels:
            with session.store.acting("smart edge"):
                frames = np.full(edit.num_pixels, stroke.frame_index)
                layer.data_setitem((frames, edit.rows, edit.cols), to_display(edit.values))


def snap_stroke(frame_HWC: npt.NDArray[np.uint8], stroke: _Stroke) -> npt.NDArray[np.uint8]:
    """Move the rim of a stroke; what it leaves becomes what it was before, older pixels stay. In a worker."""
    mine = stroke.after == stroke.class_id
    painted = mine & (stroke.before != stroke.class_id)
    if not painted.any():
        return stroke.after
    # The stroke alone, grown over what it touches of its class: only its own part of the rim is moved.
    rows, cols = (np.flatnonzero(painted.any(axis=axis)) for axis in (1, 0))
    margin = 4 * BAND_PX
    box = tuple(
        slice(max(int(places[0]) - margin, 0), int(places[-1]) + margin + 1) for places in (rows, cols)
    )
    region = np.zeros_like(mine)
    region[box] = snap_rim(frame_HWC[box], mine[box], BAND_PX, movable=painted[box])
    result = stroke.after.copy()
    result[box] = np.where(region[box] & ~mine[box], np.uint8(stroke.class_id), result[box])
    left = np.zeros_like(mine)
    left[box] = ~region[box] & painted[box]
    result[left] = stroke.before[left]
    return result
