"""A check of all masks' contours in the background: frame by frame, until it is stopped.

Owns the thread and its reports; what a doubtful contour is, is `metrics.sloppy_labels`' part.
"""

from __future__ import annotations

import math
import threading
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.sloppy_labels import ContourReport, check_contours
from napari_hogseg.session.survey import mask_digest
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
        self._again = LiveChannel("checking a mask again", self)
        self._again.ready.connect(self._on_again)
        # Of the masks that were checked; written by the threads, one frame at a time.
        self._digests: dict[int, str] = {}
        self._advanced.connect(self._on_advanced)

    @property
    def running(self) -> bool:
        """Whether frames are being checked."""
        return bool(self._channel.busy)

    def start(self, source: FrameSource, store: AnnotationStore) -> None:
        """Check all frames of a clip; what was running ends."""
        self.stop()
        self._stop = threading.Event()  # the old thread keeps its own, which is set
        self._digests = {}
        report = partial(self._advanced.emit, self._stop)
        self._channel.request(None, partial(_scan, source, store, self._stop, report, self._digests))

    def check_again(self, source: FrameSource, store: AnnotationStore, frame_index: int) -> None:
        """Check one frame anew if its mask is not the one that was checked; `checked` tells."""
        job = partial(_check_again, source, store, frame_index, self._digests)
        self._again.request(frame_index, job)

    def stop(self) -> None:
        """End it after the frame it is at; what was checked stays."""
        self._stop.set()
        self._again.invalidate()
        if self._channel.busy:
            self._channel.invalidate()
            self.ended.emit("Stopped.")

    def close(self) -> bool:
        """End the thread; False if it did not end in time."""
        self._stop.set()
        ended = [channel.close() for channel in (self._again, self._channel)]
        return all(ended)

    def _on_again(self, found: tuple[int, ContourReport] | None) -> None:
        if found is not None:
            self.checked.emit(*found)

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
    digests: dict[int, str],
) -> None:
    """Check frame after frame; runs in a worker. A frame that cannot be read is passed over."""
    num_frames = store.shape[0]
    for frame_index in range(num_frames):
        found = None
        try:
            found = _check(source, store, frame_index, digests)
        except InputError:
            found = None  # the frame panel says what is wrong with it
        if stop.wait(PAUSE_S):
            return
        report(frame_index, num_frames, found)


def _check(
    source: FrameSource, store: AnnotationStore, frame_index: int, digests: dict[int, str]
) -> ContourReport | None:
    """Check one frame; None where nothing is labelled."""
    mask = store.mask(frame_index)
    digests[frame_index] = mask_digest(mask)
    if not (mask != IGNORE).any():
        return None
    return check_contours(mask, source.frame(frame_index), ignore=IGNORE)


def _check_again(
    source: FrameSource, store: AnnotationStore, frame_index: int, digests: dict[int, str]
) -> tuple[int, ContourReport] | None:
    """Check a frame whose mask is another one now; None where it is not. Runs in a worker."""
    if digests.get(frame_index) == mask_digest(store.mask(frame_index)):
        return None
    report = _check(source, store, frame_index, digests)
    return frame_index, ContourReport(score=math.nan, num_judged=0, segments=()) if report is None else report
