"""Undo and redo that are seen: a step that lies on another frame is gone to before it is taken back.

napari keeps one history for all frames of a Labels layer. This owns the frames of each step, noted when the
step is made; the pixels, and the taking back, stay napari's.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Labels

    from napari_hogseg.session.annotations import AnnotationStore

#: As many steps as napari keeps.
MAX_STEPS = 100
#: More frames in one step than this are not listed.
MAX_LISTED = 4


class UndoGuard:
    """Wraps `undo` and `redo` of one layer, for as long as the layer lives.

    Parameters
    ----------
    layer : napari.layers.Labels
        (T, H, W), or (H, W): then there is no other frame, and nothing is changed but the ledger's words.
    store : AnnotationStore or None
        Told that what it is given now is an undo or a redo.
    on_screen : callable
        `on_screen() -> frame_index`.
    go_to : callable
        `go_to(frame_index)`.
    say : callable
        Tells the person.
    """

    def __init__(
        self,
        layer: Labels,
        store: AnnotationStore | None,
        *,
        on_screen: Callable[[], int],
        go_to: Callable[[int], None],
        say: Callable[[str], None],
    ) -> None:
        self._store, self._on_screen, self._go_to, self._say = store, on_screen, go_to, say
        self._done: deque[frozenset[int]] = deque(maxlen=MAX_STEPS)
        self._undone: deque[frozenset[int]] = deque(maxlen=MAX_STEPS)
        self._has_frames = layer.ndim > 2
        undo, redo = layer.undo, layer.redo
        layer.events.paint.connect(self._on_step)
        layer.undo = lambda: self._replay("undo", undo, self._done, self._undone)
        layer.redo = lambda: self._replay("redo", redo, self._undone, self._done)

    def _on_step(self, event: Any) -> None:  # noqa: ANN401 - napari's event, whose class is not public
        self._done.append(_frames_of(event.value) if self._has_frames else frozenset())
        self._undone.clear()

    def _replay(
        self, kind: str, act: Callable[[], None], taken: deque[frozenset[int]], kept: deque[frozenset[int]]
    ) -> None:
        """Go where the next step lies, then take it; at the end of the history nothing moves."""
        if taken:
            frames = taken.pop()
            kept.append(frames)
            self._show(kind, frames)
        if self._store is None:
            act()
            return
        with self._store.acting(kind):
            act()

    def _show(self, kind: str, frames: frozenset[int]) -> None:
        before = self._on_screen()
        if not frames or frames == {before}:
            return
        if before not in frames:
            self._go_to(min(frames))
        what = "Undone" if kind == "undo" else "Redone"
        self._say(f"{what} on {_listed(frames)}" + ("" if before in frames else f"; you were on {before}"))


def _frames_of(step: Any) -> frozenset[int]:  # noqa: ANN401 - what napari keeps of a step is its own affair
    """Frames that a step changes: of each part of it the first axis of its place, indices or a slice."""
    frames: set[int] = set()
    for part in step:
        along = part[0][0]
        if isinstance(along, slice):
            frames.update(range(along.start, along.stop))
        else:
            frames.update(int(each) for each in np.unique(along))
    return frozenset(frames)


def _listed(frames: frozenset[int]) -> str:
    if len(frames) == 1:
        return f"frame {min(frames)}"
    if len(frames) <= MAX_LISTED:
        return "frames " + ", ".join(str(each) for each in sorted(frames))
    return f"{len(frames)} frames from {min(frames)} to {max(frames)}"
