"""Single frames of video files for data sets whose frames were never written out as pictures.

Owns the few videos that stay open between two frames; decoding is `io.video`'s part.
"""

from __future__ import annotations

import gc
import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from napari_hogseg.io.errors import InputError
from napari_hogseg.io.video import open_frames

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from napari_hogseg.io.video import FrameSource

MAX_OPEN = 2
"""Videos kept open: each may hold 256 MiB of decoded frames."""


class OpenVideos:
    """Videos by path; the least recently used is closed once there are too many.

    A forked loader process must not read through its parent's file handles, whose positions both would move:
    it starts with none.

    Parameters
    ----------
    max_open : int
    """

    def __init__(self, max_open: int = MAX_OPEN) -> None:
        self._max_open = max_open
        self._lock = threading.Lock()
        self._sources: OrderedDict[Path, FrameSource] = OrderedDict()
        self._has_opened = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._start_afresh)

    def __len__(self) -> int:
        return len(self._sources)

    def _start_afresh(self) -> None:
        self._lock = threading.Lock()
        # Kept alive, never closed: a decoder waits for its threads to end, and a fork has left them behind.
        self._inherited, self._sources = self._sources, OrderedDict()
        if self._has_opened:
            # Nor may the collector find a decoder that was garbage before the fork: it would wait for ever.
            gc.freeze()

    def frame(self, path: Path, frame_index: int) -> npt.NDArray[np.uint8]:
        """Read a frame, (H, W, 3) uint8 RGB, read-only; InputError if the video has no such frame."""
        with self._lock:
            self._has_opened = True
            source = self._sources.pop(path, None) or open_frames(path)
            self._sources[path] = source
            while len(self._sources) > self._max_open:
                self._sources.popitem(last=False)[1].close()
            if not 0 <= frame_index < source.num_frames:
                raise InputError(
                    f"There is a mask for frame {frame_index}, but the video has {source.num_frames} frames",
                    where=path,
                    remedy="Copy the video again, or remove the mask.",
                )
            return source.frame(frame_index)

    def close(self) -> None:
        """Close all."""
        with self._lock:
            while self._sources:
                self._sources.popitem()[1].close()


VIDEOS = OpenVideos()
"""The videos of this process."""
