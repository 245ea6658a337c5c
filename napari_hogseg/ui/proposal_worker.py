"""Proposals computed in the background: a chain of frames at a time, until it ends or is stopped.

Owns the thread and its reports; what is computed is `session.propagation`'s part.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_hogseg.session.propagation import ChainEnd, interpolate_along, propagate_along
from napari_hogseg.ui.live import LiveChannel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy as np
    import numpy.typing as npt

    from napari_hogseg.session.propagation import Carried

    Mask = npt.NDArray[np.uint8]
    Frames = Callable[[int], npt.NDArray[np.uint8]]
    Cancelled = Callable[[], bool]


class ProposalWorker(QObject):
    """Computes one chain at a time.

    Parameters
    ----------
    parent : QObject, optional

    Attributes
    ----------
    found : Signal(object)
        A Carried.
    progressed : Signal(int, int)
        Frames looked at, and all.
    ended : Signal(object, str)
        The ChainEnd where it ended before its time, else None; and what failed, else nothing.
    """

    found = Signal(object)
    progressed = Signal(int, int)
    ended = Signal(object, str)
    _advanced = Signal(object, object, int, int)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._stop = threading.Event()
        self._channel = LiveChannel("proposing masks", self)
        self._channel.ready.connect(lambda end: self.ended.emit(end, ""))
        self._channel.failed.connect(lambda _subject, error: self.ended.emit(None, str(error)))
        self._advanced.connect(self._on_advanced)

    @property
    def running(self) -> bool:
        """Whether a chain is being computed."""
        return bool(self._channel.busy)

    def propagate(self, frames: Frames, start: int, targets: Sequence[int], mask: Mask) -> None:
        """Carry a mask over frames; what was running ends."""

        def chain(cancelled: Cancelled, on_end: Callable[[ChainEnd], None]) -> Iterable[Carried]:
            return propagate_along(frames, start, targets, mask, cancelled=cancelled, on_end=on_end)

        self._start(chain, len(targets))

    def interpolate(self, frames: Frames, first: tuple[int, Mask], last: tuple[int, Mask]) -> None:
        """Fill the frames between two; what was running ends."""
        # Every frame in between is looked at from both ends.
        asked = 2 * (last[0] - first[0] - 1)

        def chain(cancelled: Cancelled, _on_end: Callable[[ChainEnd], None]) -> Iterable[Carried]:
            return interpolate_along(frames, first, last, cancelled=cancelled)

        self._start(chain, asked)

    def _start(
        self,
        chain: Callable[[Cancelled, Callable[[ChainEnd], None]], Iterable[Carried]],
        num_frames: int,
    ) -> None:
        self.stop()
        self._stop = threading.Event()  # the old thread keeps its own, which is set
        report = partial(self._advanced.emit, self._stop)
        self._channel.request(None, partial(_run, chain, num_frames, self._stop, report))

    def stop(self) -> bool:
        """End it after the frame it is at; what was found stays. False if nothing ran."""
        self._stop.set()
        if not self._channel.busy:
            return False
        self._channel.invalidate()
        return True

    def close(self) -> bool:
        """End the thread; False if it did not end in time."""
        self._stop.set()
        return bool(self._channel.close())

    def _on_advanced(
        self, run: threading.Event, carried: Carried | None, num_done: int, num_frames: int
    ) -> None:
        if run is not self._stop or run.is_set():
            return  # of another chain
        if carried is not None:
            self.found.emit(carried)
        self.progressed.emit(num_done, num_frames)


def _run(
    chain: Callable[[Cancelled, Callable[[ChainEnd], None]], Iterable[Carried]],
    num_frames: int,
    stop: threading.Event,
    report: Callable[[Carried | None, int, int], None],
) -> ChainEnd | None:
    """Walk a chain; runs in a worker."""
    num_asked = 0
    ends: list[ChainEnd] = []

    def cancelled() -> bool:
        nonlocal num_asked
        report(None, min(num_asked, num_frames), num_frames)
        num_asked += 1
        return stop.is_set()

    for carried in chain(cancelled, ends.append):
        if stop.is_set():
            break
        report(carried, min(num_asked, num_frames), num_frames)
    return ends[0] if ends else None
