"""Lookup tables over every gradient two 8-bit values can have: orientation bin and magnitude.

An 8-bit frame has integer gradients in -255..255, so 511 x 511 entries hold every answer, each computed once
by numpy in float64 with the formula that `skimage.feature.hog` uses. Any device then gives the same bins,
also for gradients exactly on a bin edge (which occur with 4, 6, 8, 12 and 18 orientations, not with 9).

Does not touch frames: `hog` and `live` look the tables up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.features.compiling import frozen_view

if TYPE_CHECKING:
    import numpy.typing as npt

MAX_GRADIENT = 255
TABLE_SIDE = 2 * MAX_GRADIENT + 1
MAX_ORIENTATIONS = 180  # a bin per degree; bins are stored in one byte


@dataclass(frozen=True)
class GradientTable:
    """Answers for the gradient (row, column) at index ``(row + 255) * 511 + column + 255``; read-only.

    Attributes
    ----------
    bins : (511 * 511,) uint8
        Orientation bin, 0 at a horizontal gradient, counted with the angle over [0, 180) degrees.
    magnitudes : (511 * 511,) float64
        Length of the gradient, as `numpy.hypot` rounds it.
    """

    bins: npt.NDArray[np.uint8]
    magnitudes: npt.NDArray[np.float64]


@lru_cache(maxsize=32)
def gradient_table(orientations: int) -> GradientTable:
    """Build (once per number of orientations) the table of bins and magnitudes.

    Parameters
    ----------
    orientations : int
        Number of bins over 180 degrees, 1 to `MAX_ORIENTATIONS`.

    Returns
    -------
    GradientTable
        2.3 MB; the last 32 are kept.

    Notes
    -----
    Angle in degrees = ``rad2deg(arctan2(row, column)) % 180``; bin b holds the angles in
    ``[w * b, w * (b + 1))`` with ``w = 180 / orientations``, compared as float64 (as skimage 0.26 does).
    """
    values = np.arange(-MAX_GRADIENT, MAX_GRADIENT + 1, dtype=np.float64)
    rows, cols = (np.ascontiguousarray(grid).ravel() for grid in np.meshgrid(values, values, indexing="ij"))
    degrees = np.rad2deg(np.arctan2(rows, cols)) % 180
    edges = (180.0 / orientations) * np.arange(1, orientations)
    bins = np.searchsorted(edges, degrees, side="right").astype(np.uint8)
    return GradientTable(frozen_view(bins), frozen_view(np.hypot(rows, cols)))
