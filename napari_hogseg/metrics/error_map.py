"""Which class boundaries a prediction misses, invents or finds: one small image to lay over the frame.

Boundaries are those of `boundary.surface_dice` with ``frame_edge="ignored"``: pixels of a class with a
4-neighbour of another class, inside the frame and not void. The counts behind both agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.confusion import check_same_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A boundary of the truth that the prediction lacks.
MISSED = 1
#: A boundary of the prediction that the truth lacks.
SPURIOUS = 2
#: A boundary of the prediction that the truth has too.
CORRECT = 3

_NO_CLASS = -1


def boundary_errors(
    prediction: NDArray[np.integer], truth: NDArray[np.integer], tolerance_px: float, ignore: int = 255
) -> NDArray[np.uint8]:
    """Mark each class boundary as missed, spurious or correct.

    A boundary pixel belongs to the class it lies in, and is found if the other mask has a boundary pixel of
    the same class within the tolerance. Both sides of a boundary are marked, so contours are two pixels
    thick. Found boundaries are drawn where the prediction has them.

    Parameters
    ----------
    prediction, truth : (H, W) int array
        Class ids, any number of classes. Void (`ignore` in the truth) and the frame edge are no boundary; a
        prediction of `ignore` elsewhere belongs to no class.
    tolerance_px : float
        Largest Euclidean distance between pixel centres that still counts as found. The cost grows with its
        square: meant for tolerances up to about ten pixels.
    ignore : int
        Void value.

    Returns
    -------
    (H, W) uint8 array
        0, `MISSED`, `SPURIOUS` or `CORRECT`. Where two meet in one pixel the smaller number is kept: no error
        is hidden by a boundary that is right, and a confusion of classes reads as missed.

    Raises
    ------
    InputError
        If sizes differ or the tolerance is negative.
    """
    check_same_shape(prediction, truth)
    if tolerance_px < 0:
        raise InputError("a tolerance cannot be negative", where=f"tolerance_px = {tolerance_px}")
    margin = int(tolerance_px) + 1
    void = truth == ignore
    edges_predicted = _edge_classes(prediction, void, ignore, margin)
    edges_true = _edge_classes(truth, void, ignore, margin)
    missed, _ = _split_by_match(edges_true, edges_predicted, tolerance_px)
    spurious, correct = _split_by_match(edges_predicted, edges_true, tolerance_px)

    errors = np.zeros(edges_true.shape, np.uint8)
    for code, where in ((CORRECT, correct), (SPURIOUS, spurious), (MISSED, missed)):
        errors.ravel()[where] = code
    return np.ascontiguousarray(errors[margin:-margin, margin:-margin])


def _edge_classes(
    mask: NDArray[np.integer], void: NDArray[np.bool_], ignore: int, margin: int
) -> NDArray[np.int16]:
    """Class id at boundary pixels, `_NO_CLASS` elsewhere; the margin keeps offsets inside the array."""
    height, width = mask.shape
    edge = np.zeros((height, width), np.bool_)
    for one, other in (
        ((slice(1, None), slice(None)), (slice(-1), slice(None))),
        ((slice(None), slice(1, None)), (slice(None), slice(-1))),
    ):
        differs = (mask[one] != mask[other]) & ~(void[one] | void[other])
        edge[one] |= differs
        edge[other] |= differs
    edge &= mask != ignore
    classes = np.full((height + 2 * margin, width + 2 * margin), _NO_CLASS, np.int16)
    inner = classes[margin:-margin, margin:-margin]
    inner[edge] = mask[edge]
    return classes


def _split_by_match(
    edges: NDArray[np.int16], others: NDArray[np.int16], tolerance_px: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Flat positions of the boundary pixels without and with a boundary pixel of their class nearby.

    Nearest offsets come first and matched pixels drop out, so good predictions cost little.
    """
    positions = np.flatnonzero(edges != _NO_CLASS)
    matched: list[NDArray[np.intp]] = []
    flat = others.ravel()
    classes = edges.ravel()[positions]
    for offset in _disk_offsets(tolerance_px, edges.shape[1]):
        hit = flat[positions + offset] == classes
        if hit.any():
            matched.append(positions[hit])
            positions, classes = positions[~hit], classes[~hit]
        if positions.size == 0:
            break
    return positions, np.concatenate(matched) if matched else positions[:0]


def _disk_offsets(radius: float, row_stride: int) -> NDArray[np.intp]:
    """Flat offsets of all pixels within the radius, nearest first."""
    reach = int(radius)
    rows, cols = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    squared = rows**2 + cols**2
    inside = squared <= radius**2 + 1e-9
    order = np.argsort(squared[inside], kind="stable")
    offsets: NDArray[np.intp] = (rows[inside] * row_stride + cols[inside])[order]
    return offsets
