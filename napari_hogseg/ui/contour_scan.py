"""A check of all masks' contours in the background: frame by frame, until it is stopped.

Owns the thread and its reports; what a doubtful contour is, is `metrics.sloppy_labels`' part.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.sloppy_labels import check_contours
from napari_hogseg.ui.live import LiveChannel

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_hogseg.io.video import FrameSource
    from napari_hogseg.session.annotations import AnnotationStore

#: The pause after each frame: what is on screen comes first.
PAUSE_S = 0.005


class ContourScan(QObject):
    """Checks the contours of all frames that have a mask.

    Parameters
    ----------
    parent : QObject, optional

    Attributes
    ----------
    checked : Signal(int, object)
        A frame and its ContourReport.
    progressed : Signal(int, int)
        Frames done, and all.
    ended : Signal(str)
        Why it ended before its time; empty where it did not.
    """

    checked = Signal(int, object)
    progressed = Signal(int, int)
    ended = Signal(str)
    _advanced = Signal(object, int, int, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._stop = threading.Event()
        self._channel = LiveChannel("checking the masks", self)
        self._channel.ready.connect(lambda: self.ended.emit(""))
        self._channel.failed.connect(lambda _subject, error: self.ended.emit(str(error)))
        self._advanced.connect(self._on_advanced)

    @property
    def running(self) -> bool:
        """Whether frames are being checked."""
        return bool(self._channel.busy)

    def start(self, source: FrameSource, store: AnnotationStore) -> None:
        """Check all frames of a clip; what was running ends."""
        self.stop()
        self._stop = threading.Event()  # the old thread keeps its own, which is set
        report = partial(self._advanced.emit, self._stop)
        self._channel.request(None, partial(_scan, source, store, self._stop, report))

    def stop(self) -> None:
        """End it after the frame it is at; what was checked stays."""
        self._stop.set()
        if self._channel.busy:
            self._channel.invalidate()
            self.ended.emit("Stopped.")

    def close(self) -> bool:
        """End the thread; False if it did not end in time."""
        self._stop.set()
        return bool(self._channel.close())

    def _on_advanced(self, run: threading.Event, frame_index: int, num_frames: int, report: object) -> None:
        if run is not self._stop or run.is_set():
            return  # of another clip
        if report is not None:
            self.checked.emit(frame_index, report)
        self.progressed.emit(frame_index + 1, num_frames)


def _scan(
    source: FrameSource,
    store: AnnotationStore,
    stop: threading.Event,
    report: Callable[[int, int, object], None],
) -> None:
    """Check frame after frame; runs in a worker. A frame that cannot be read is passed over."""
    num_frames = store.shape[0]
    for frame_index in range(num_frames):
        found = None
        try:
            mask = store.mask(frame_index)
            if (mask != IGNORE).any():
                found = check_contours(mask, source.frame(frame_index), ignore=IGNORE)
        except InputError:
            found = None  # the frame panel says what is wrong with it
        if stop.wait(PAUSE_S):
            return
        report(frame_index, num_frames, found)
