"""Keeps what tells the probabilities of the newest predictions, within a bound of memory."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_hogseg.inference.pixel_probabilities import PixelProbabilities

MAX_BYTES = 96 * 2**20


class ProbabilityCache:
    """Least recently added first out; a prediction whose probabilities are gone keeps its classes elsewhere.

    Parameters
    ----------
    max_bytes : int
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[str, int], PixelProbabilities] = OrderedDict()
        self.num_bytes = 0

    def get(self, digest: str, frame_index: int) -> PixelProbabilities | None:
        """Probabilities of a model on a frame; None where they are not kept."""
        return self._kept.get((digest, frame_index))

    def keep(self, digest: str, frame_index: int, probabilities: PixelProbabilities) -> None:
        """Keep them as the newest; the oldest go, as many as must. The newest always stays."""
        old = self._kept.pop((digest, frame_index), None)
        self._kept[digest, frame_index] = probabilities
        self.num_bytes += probabilities.num_bytes - (0 if old is None else old.num_bytes)
        while self.num_bytes > self._max_bytes and len(self._kept) > 1:
            self.num_bytes -= self._kept.popitem(last=False)[1].num_bytes

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
        self.num_bytes = 0
