"""Which class boundaries a prediction misses, invents or finds: one small image to lay over the frame.

Boundaries are those of `boundary.surface_dice` with ``frame_edge="ignored"``: pixels of a class with a
4-neighbour of another class inside the frame. The counts behind both agree where there is no void.

Void between two classes is a boundary that the annotator left open. Real masks have such strips between most
structures (in the vocal-fold set two sequences have hardly a boundary outside of one), so void is closed by
the nearest class, and the boundary on its medial line is found by anything that runs through the void.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.confusion import check_same_shape
from napari_hogseg.metrics.matching import margin_px, split_with_slack, with_margin

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A boundary of the truth that the prediction lacks.
MISSED = 1
#: A boundary of the prediction that the truth lacks.
SPURIOUS = 2
#: A boundary of the prediction that the truth has too.
CORRECT = 3

#: Void deeper than this (in pixels, from its rim) is an area that nobody labelled, not an open boundary.
MAX_OPEN_PX = 12

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
        Class ids, any number of classes. The frame edge is no boundary; a prediction of `ignore` belongs to
        no class. Void in the truth is closed by `close_void`: there the tolerance grows by the void's half
        width, and a predicted boundary without a partner is not judged.
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
    closed, depth = close_void(truth, ignore)
    slack = np.where(depth > MAX_OPEN_PX, 0, depth).astype(np.uint8)
    reach_px = tolerance_px + int(slack.max(initial=0))
    true = with_margin(closed, _boundary_pixels(closed, ignore) & (depth <= MAX_OPEN_PX), reach_px)
    predicted = with_margin(prediction, _boundary_pixels(prediction, ignore), reach_px)

    margin = margin_px(reach_px)
    slack, depth = np.pad(slack, margin), np.pad(depth, margin)
    missed, _ = split_with_slack(true, predicted, tolerance_px, own_slack=slack)
    spurious, correct = split_with_slack(predicted, true, tolerance_px, other_slack=slack)
    spurious = spurious[depth.ravel()[spurious] == 0]

    errors = np.zeros(true.shape, np.uint8)
    for code, where in ((CORRECT, correct), (SPURIOUS, spurious), (MISSED, missed)):
        errors.ravel()[where] = code
    return np.ascontiguousarray(errors[margin:-margin, margin:-margin])


def close_void(
    truth: NDArray[np.integer], ignore: int = 255
) -> tuple[NDArray[np.integer], NDArray[np.uint8]]:
    """Give every void pixel the class of the nearest labelled one.

    Parameters
    ----------
    truth : (H, W) int array
        Class ids and `ignore`.
    ignore : int
        Void value.

    Returns
    -------
    closed : (H, W) int array
        Without void, unless nothing is labelled.
    depth : (H, W) uint8 array
        Distance of each void pixel to the nearest labelled one in pixels, rounded (to 2 %), at most 255; 0
        elsewhere.
    """
    void = truth == ignore
    if void.all() or not void.any():
        return truth, void.astype(np.uint8) * np.uint8(255)
    distance, nearest = cv2.distanceTransformWithLabels(
        void.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # Every labelled pixel has a number of its own; a void pixel has its nearest one's.
    class_of = np.zeros(int(nearest.max()) + 1, truth.dtype)
    class_of[nearest[~void]] = truth[~void]
    closed = truth.copy()
    closed[void] = class_of[nearest[void]]
    return closed, np.rint(np.minimum(distance, 255)).astype(np.uint8)


def _boundary_pixels(mask: NDArray[np.integer], ignore: int) -> NDArray[np.bool_]:
    """Pixels of a class with a 4-neighbour of another class inside the frame."""
    boundary = np.zeros(mask.shape, np.bool_)
    for one, other in _NEIGHBOURS:
        differs = mask[one] != mask[other]
        boundary[one] |= differs
        boundary[other] |= differs
    boundary &= mask != ignore
    return boundary
