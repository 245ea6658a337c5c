"""Which boundary pixels have a partner nearby: the search that surface Dice and the error map share.

Boundaries come as label images: a class id at boundary pixels, `NO_CLASS` elsewhere, within a margin that
keeps every offset inside the array. Exact integer geometry, no distance transform.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_CLASS = -1


def margin_px(tolerance_px: float) -> int:
    """Width of the empty margin that `split_by_partner` needs around a label image."""
    return int(tolerance_px) + 1


def with_margin(
    values: NDArray[np.integer], boundary: NDArray[np.bool_], tolerance_px: float
) -> NDArray[np.int16]:
    """Label image (H + 2m, W + 2m) of the values at boundary pixels, with the margin m."""
    margin = margin_px(tolerance_px)
    height, width = boundary.shape
    labels = np.full((height + 2 * margin, width + 2 * margin), NO_CLASS, np.int16)
    inner = labels[margin:-margin, margin:-margin]
    inner[boundary] = values[boundary]
    return labels


def split_by_partner(
    labels: NDArray[np.int16], others: NDArray[np.int16], tolerance_px: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Flat positions of the boundary pixels without, and with, one of their class in `others` nearby.

    Nearest offsets come first and matched pixels drop out, so good predictions cost little.

    Parameters
    ----------
    labels, others : (H, W) int16 array
        Label images of one size, from `with_margin`.
    tolerance_px : float
        Largest Euclidean distance between pixel centres.
    """
    positions = np.flatnonzero(labels != NO_CLASS)
    classes = labels.ravel()[positions]
    flat = others.ravel()
    matched = [positions[:0]]
    for offset in _disk_offsets(tolerance_px, labels.shape[1]):
        hit = flat[positions + offset] == classes
        matched.append(positions[hit])
        positions, classes = positions[~hit], classes[~hit]
        if positions.size == 0:
            break
    return positions, np.concatenate(matched)


def _disk_offsets(radius: float, row_stride: int) -> NDArray[np.intp]:
    """Flat offsets of all pixels within the radius, nearest first."""
    reach = int(radius)
    rows, cols = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    squared = rows**2 + cols**2
    inside = squared <= radius**2 + 1e-9  # sqrt(2) squared is more than 2
    order = np.argsort(squared[inside], kind="stable")
    offsets: NDArray[np.intp] = (rows[inside] * row_stride + cols[inside])[order]
    return offsets
