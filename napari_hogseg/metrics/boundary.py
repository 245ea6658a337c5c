"""Boundary scores of one class in one frame: Boundary IoU and surface Dice, both in pixels.

A boundary score says nothing without its definition: the distance, whether the frame edge is a boundary, and
what an empty mask scores. Each function states all three. All classes of a frame at once, and more scores,
are `surfaces`'; colouring the errors is `error_map`'s.

Void: pixels whose truth is `ignore` are taken out of both masks before anything is measured. Both masks then
end where void begins, so a boundary that the annotator left open counts as right, wherever in the void it
runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.confusion import check_same_shape
from napari_hogseg.metrics.matching import split_by_partner, with_margin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Mask = NDArray[np.uint8]  # 0 and 1

#: Above this tolerance a distance transform of the crop is cheaper than searching a disk around edge pixels.
_LARGEST_SEARCH_PX = 10

_SQUARE = np.ones((3, 3), np.uint8)
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def boundary_iou(
    prediction: NDArray[np.integer],
    truth: NDArray[np.integer],
    class_id: int,
    distance_px: int,
    ignore: int = 255,
) -> float:
    """Intersection over union of the inner bands of predicted and true mask.

    The band is the mask without its `distance_px`-fold 3x3 erosion: all pixels whose chessboard distance to
    the outside is at most `distance_px`. The frame edge counts as outside.

    Parameters
    ----------
    prediction, truth : (H, W) int array
        Class ids.
    class_id : int
        The class to score.
    distance_px : int
        Width of the band in pixels, at least 1. Choose it below `thin_structure_limit_px` of the true masks:
        for thinner structures the band is the whole mask, and the score is plain IoU. (The published 2 % of
        the image diagonal is 20 px at 854x480, where an instrument shaft is 10 to 30 px wide.)
    ignore : int
        Void value of the truth.

    Returns
    -------
    float
        In [0, 1]; NaN if both masks are empty, 0 if one is.

    Raises
    ------
    InputError
        If sizes differ or `distance_px` is below 1.

    References
    ----------
    Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", CVPR 2021.
    """
    if distance_px < 1:
        raise InputError("a boundary band is at least one pixel wide", where=f"distance_px = {distance_px}")
    masks = _cropped_masks(prediction, truth, class_id, ignore)
    if masks is None:
        return float("nan")
    band_a, band_b = (_inner_band(mask, distance_px) for mask in masks)
    union = np.count_nonzero(band_a | band_b)
    return np.count_nonzero(band_a & band_b) / union


def surface_dice(
    prediction: NDArray[np.integer],
    truth: NDArray[np.integer],
    class_id: int,
    tolerance_px: float,
    frame_edge: Literal["counted", "ignored"] = "counted",
    ignore: int = 255,
) -> float:
    """Share of edge pixels of both masks that lie within a tolerance of the other mask's edge (NSD).

    Edge pixels are the mask's pixels with a 4-neighbour outside of it. Every edge pixel counts once: this is
    the pixel-count definition (MONAI's with ``use_subvoxels=False``), not the contour-length one of
    DeepMind's surface-distance, which gives other numbers.

    Parameters
    ----------
    prediction, truth : (H, W) int array
        Class ids.
    class_id : int
        The class to score.
    tolerance_px : float
        Largest Euclidean distance between pixel centres that is still right, in pixels.
    frame_edge : {"counted", "ignored"}
        "counted": what lies beyond the frame is outside of the mask, so a mask that is cut off by it has an
        edge there (MONAI's way). "ignored": only a neighbour inside the frame makes an edge. Void is outside
        with either. An organ that is cut off on three sides by the frame scores high with "counted"
        however wrong its one free side is.
    ignore : int
        Void value of the truth.

    Returns
    -------
    float
        In [0, 1]. NaN if both masks are empty (or, with "ignored", both fill the frame: nothing to measure);
        0 if one is empty.

    Raises
    ------
    InputError
        If sizes differ or the tolerance is negative.

    References
    ----------
    Nikolov et al., "Clinically applicable segmentation of head and neck anatomy", JMIR 2021.
    """
    if tolerance_px < 0:
        raise InputError("a tolerance cannot be negative", where=f"tolerance_px = {tolerance_px}")
    masks = _cropped_masks(prediction, truth, class_id, ignore)
    if masks is None:
        return float("nan")
    edge_a, edge_b = (_edge_pixels(mask, frame_edge) for mask in masks)
    num_edge = np.count_nonzero(edge_a) + np.count_nonzero(edge_b)
    if num_edge == 0:  # "ignored" only: no mask ends inside the frame
        return float("nan") if masks[0].any() == masks[1].any() else 0.0
    return (_num_near(edge_a, edge_b, tolerance_px) + _num_near(edge_b, edge_a, tolerance_px)) / num_edge


def thin_structure_limit_px(masks: Iterable[NDArray[np.bool_ | np.integer]]) -> float:
    """Half the median width of the structures in some masks: keep `boundary_iou`'s `distance_px` below it.

    The half width is the chessboard distance to the outside (the frame edge included) along the ridge of each
    mask: the number of 3x3 erosions after which a pixel of the medial line is gone.

    Parameters
    ----------
    masks : iterable of (H, W) array
        One class in several frames; non-zero is inside.

    Returns
    -------
    float
        In pixels; NaN if all masks are empty.
    """
    ridges = [_ridge_distances(np.asarray(mask) != 0) for mask in masks]
    distances = np.concatenate(ridges) if ridges else np.empty(0)
    return float(np.median(distances)) if distances.size else float("nan")


def _cropped_masks(
    prediction: NDArray[np.integer], truth: NDArray[np.integer], class_id: int, ignore: int
) -> tuple[Mask, Mask] | None:
    """Crop predicted and true mask to both plus one pixel; None if both are empty.

    The margin is cut where the frame ends: where a mask meets the crop's border, that is the frame edge.
    """
    check_same_shape(prediction, truth)
    void = truth == ignore
    inside_a, inside_b = (prediction == class_id) & ~void, (truth == class_id) & ~void
    x, y, width, height = cv2.boundingRect((inside_a | inside_b).view(np.uint8))
    if width == 0:
        return None
    crop = (slice(max(y - 1, 0), y + height + 1), slice(max(x - 1, 0), x + width + 1))
    return inside_a[crop].view(np.uint8), inside_b[crop].view(np.uint8)


def _inner_band(mask: Mask, distance_px: int) -> Mask:
    inner = cv2.erode(mask, _SQUARE, iterations=distance_px, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return mask ^ inner.astype(np.uint8, copy=False)


def _edge_pixels(mask: Mask, frame_edge: Literal["counted", "ignored"]) -> Mask:
    beyond = 0 if frame_edge == "counted" else 1
    inner = cv2.erode(mask, _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=beyond)
    return mask & (1 - inner.astype(np.uint8, copy=False))


def _num_near(edge: Mask, other: Mask, tolerance_px: float) -> int:
    """Count the pixels of `edge` within the tolerance of a pixel of `other`."""
    if tolerance_px > _LARGEST_SEARCH_PX:
        return _num_near_by_transform(edge, other, tolerance_px)
    labels, others = (with_margin(mask, mask.view(bool), tolerance_px) for mask in (edge, other))
    _, near = split_by_partner(labels, others, tolerance_px)
    return near.size


def _num_near_by_transform(edge: Mask, other: Mask, tolerance_px: float) -> int:
    if not other.any():
        return 0  # the transform below would return finite nonsense
    distance = cv2.distanceTransform(1 - other, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[edge.view(bool)]
    # OpenCV is off by up to 1.5e-5. Squared distances are integers: round before comparing.
    return int(np.count_nonzero(np.rint(np.square(distance, dtype=np.float64)) <= tolerance_px**2 + 1e-9))


def _ridge_distances(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    padded = np.pad(inside, 1).view(np.uint8)
    distance = cv2.distanceTransform(padded, cv2.DIST_C, 3)
    ridge = (padded > 0) & (distance >= cv2.dilate(distance, _SQUARE))
    return np.asarray(distance[ridge], np.float32)
