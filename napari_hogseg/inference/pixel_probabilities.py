"""Class probabilities of single pixels of a prediction, from the small maps it was made of.

The probabilities of a whole frame are many times its size; a few of them can be had from the network's own
maps at any time, in microseconds. Needs no torch.

Axes: C classes; h, w size at the network's input.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class PixelProbabilities:
    """What is kept of a prediction to tell the probabilities of its pixels.

    Attributes
    ----------
    shape : (int, int)
        Native height and width.
    maps : tuple of (C, h, w) float16 ndarray
        Logits of each view of the frame, none of them mirrored.
    """

    shape: tuple[int, int]
    maps: tuple[npt.NDArray[np.float16], ...] = field(repr=False)

    @property
    def num_bytes(self) -> int:
        """Memory that the maps take."""
        return sum(each.nbytes for each in self.maps)

    def at(self, row: int, column: int) -> npt.NDArray[np.float64]:
        """Tell the class probabilities of one pixel, (C,) float64, to about 0.005.

        Parameters
        ----------
        row, column : int
            At native size, within the frame.
        """
        return np.mean([_softmax(self._sample(each, row, column)) for each in self.maps], axis=0)  # type: ignore[no-any-return]

    def _sample(self, map_Chw: npt.NDArray[np.float16], row: int, column: int) -> npt.NDArray[np.float64]:
        """Interpolate as the predictor does: bilinear, pixel centres at halves, held at the rim."""
        (above, below, down), (left, right, across) = (
            _neighbours(position, small, large)
            for position, small, large in zip((row, column), map_Chw.shape[1:], self.shape, strict=True)
        )
        corners = map_Chw[:, [above, above, below, below], [left, right, left, right]].astype(np.float64)
        upper = corners[:, 0] * (1 - across) + corners[:, 1] * across
        lower = corners[:, 2] * (1 - across) + corners[:, 3] * across
        return np.asarray(upper * (1 - down) + lower * down)


def _neighbours(position: int, small: int, large: int) -> tuple[int, int, float]:
    """Find the two map places that a pixel lies between, and the share of the second."""
    source = max(0.0, (position + 0.5) * small / large - 0.5)
    first = min(int(source), small - 1)
    return first, min(first + 1, small - 1), source - first


def _softmax(logits_C: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(logits_C - logits_C.max())
    return np.asarray(powers / powers.sum())
