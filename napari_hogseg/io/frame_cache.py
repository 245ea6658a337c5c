"""The frames a source keeps in memory, bounded in bytes. Decoding and locking are the source's part."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

CACHE_BYTES = 256 * 1024**2
"""Per source: 40 frames at 1080p, 325 at 512x512, so that stepping back within a group of pictures costs
nothing."""


@dataclass(frozen=True)
class Passed:
    """A frame passed on the way to another: kept as decoded, turned into RGB only if it is asked for.

    Attributes
    ----------
    convert : callable
        Returns the (H, W, 3) uint8 RGB frame.
    nbytes : int
        What it holds until then; half an RGB frame for 4:2:0.
    """

    convert: Callable[[], npt.NDArray[np.uint8]]
    nbytes: int


class FrameCache:
    """Frames by number; the least recently used go first once the bytes are used up.

    Parameters
    ----------
    max_bytes : int
        One frame is kept even where it is larger.

    Attributes
    ----------
    num_bytes : int
        Bytes held now.
    """

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max_bytes, self.num_bytes = max_bytes, 0
        self._frames: OrderedDict[int, npt.NDArray[np.uint8] | Passed] = OrderedDict()

    def __len__(self) -> int:
        return len(self._frames)

    def get(self, frame_index: int) -> npt.NDArray[np.uint8] | None:
        """Return a frame, read-only, or None if it is not kept."""
        kept = self._frames.get(frame_index)
        if isinstance(kept, Passed):
            return self.put(frame_index, kept.convert())
        if kept is not None:
            self._frames.move_to_end(frame_index)
        return kept

    def put(self, frame_index: int, frame_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Keep a frame that was asked for; returns it, read-only."""
        frame_HWC.flags.writeable = False
        self._keep(frame_index, frame_HWC)
        return frame_HWC

    def put_passed(self, frame_index: int, passed: Passed) -> None:
        """Keep a frame that may be asked for next, unless it is here already."""
        if frame_index in self._frames:
            self._frames.move_to_end(frame_index)
        else:
            self._keep(frame_index, passed)

    def clear(self) -> None:
        """Forget everything."""
        self._frames.clear()
        self.num_bytes = 0

    def _keep(self, frame_index: int, kept: npt.NDArray[np.uint8] | Passed) -> None:
        earlier = self._frames.pop(frame_index, None)
        self.num_bytes += kept.nbytes - (earlier.nbytes if earlier is not None else 0)
        self._frames[frame_index] = kept
        while self.num_bytes > self._max_bytes and len(self._frames) > 1:
            self.num_bytes -= self._frames.popitem(last=False)[1].nbytes
