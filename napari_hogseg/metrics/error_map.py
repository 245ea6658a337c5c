"""Which class boundaries a prediction misses, invents or finds: one small image to lay over the frame.

Boundaries are those of `boundary.surface_dice` with ``frame_edge="ignored"``: pixels of a class with a
4-neighbour of another class, inside the frame and not void. The counts behind both agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.confusion import check_same_shape
from napari_hogseg.metrics.matching import margin_px, split_by_partner, with_margin

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A boundary of the truth that the prediction lacks.
MISSED = 1
#: A boundary of the prediction that the truth lacks.
SPURIOUS = 2
#: A boundary of the prediction that the truth has too.
CORRECT = 3

# Two views of a mask, one pixel apart: rows, then columns.
_NEIGHBOURS = (
    ((slice(1, None), slice(None)), (slice(-1), slice(None))),
    ((slice(None), slice(1, None)), (slice(None), slice(-1))),
)


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
    void = truth == ignore
    predicted, true = (
        with_margin(mask, _boundary_pixels(mask, void, ignore), tolerance_px) for mask in (prediction, truth)
    )
    missed, _ = split_by_partner(true, predicted, tolerance_px)
    spurious, correct = split_by_partner(predicted, true, tolerance_px)

    errors = np.zeros(true.shape, np.uint8)
    for code, where in ((CORRECT, correct), (SPURIOUS, spurious), (MISSED, missed)):
        errors.ravel()[where] = code
    margin = margin_px(tolerance_px)
    return np.ascontiguousarray(errors[margin:-margin, margin:-margin])


def _boundary_pixels(mask: NDArray[np.integer], void: NDArray[np.bool_], ignore: int) -> NDArray[np.bool_]:
    """Pixels of a class with a 4-neighbour of another class that is inside the frame and not void."""
    boundary = np.zeros(mask.shape, np.bool_)
    for one, other in _NEIGHBOURS:
        differs = (mask[one] != mask[other]) & ~(void[one] | void[other])
        boundary[one] |= differs
        boundary[other] |= differs
    boundary &= mask != ignore
    return boundary
