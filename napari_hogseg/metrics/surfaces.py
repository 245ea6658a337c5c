"""Boundary scores of all classes of one frame at once: NSD, HD95, Boundary IoU and the DAVIS F measure.

Owns the definitions' arithmetic and their policies: what an absent, a missed or an invented class scores, and
whether the frame edge is a boundary. Boundaries come from `contours`, distances from `distances`; all scores
share them. One class alone is `boundary`'s; means over frames and protocols are others'.

Void: pixels whose truth is `ignore` are taken out of prediction and truth before anything is measured, as in
`boundary`. Both end where void begins, also with the frame edge ignored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from napari_hogseg.features.compiling import frozen_view
from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.confusion import as_uint8, check_same_shape, check_values, class_range
from napari_hogseg.metrics.contours import (
    NO_LABEL,
    FrameEdge,
    contour_corners,
    edge_pixels,
    half_pixel_contours,
    inner_bands,
    with_border,
)
from napari_hogseg.metrics.distances import NOWHERE, squared_distances
from napari_hogseg.metrics.label_scans import band_sizes, values_held

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from numpy.typing import NDArray

    from napari_hogseg.metrics.contours import ClassPoints
    from napari_hogseg.metrics.label_scans import Labels

    Scores = NDArray[np.float64]  # (C,)

Part = Literal["nsd", "nsd_contour", "hd95_px", "boundary_iou", "davis_f"]

#: What `boundary_scores` computes unless told.
DEFAULT_PARTS: tuple[Part, ...] = ("nsd", "hd95_px", "boundary_iou", "davis_f")

_QUANTILE = 0.95
_DAVIS_SHARE = 0.008  # of the frame's diagonal
_ROUNDING = 1e-9  # sqrt(2) squared is more than 2


@dataclass(frozen=True, kw_only=True)
class BoundaryScores:
    """Boundary scores of one frame, one entry per class.

    In all of them a class that neither mask holds is NaN, and one that only one mask holds is as wrong as can
    be: 0, and infinity for `hd95_px`. A class that both hold, but without any boundary to measure (it fills
    the frame, whose edge is no boundary), is NaN; so is every score that was not asked for.

    Attributes
    ----------
    nsd : (C,) float64 array
        Normalised surface distance by pixel count: the share of both masks' edge pixels (those with a
        4-neighbour outside) within the tolerance of the other mask's. MONAI's ``compute_surface_dice``.
    nsd_contour : (C,) float64 array
        The same by contour length: points are the corners between pixels, each stands for the length that the
        contour has round it. DeepMind's ``compute_surface_dice_at_tolerance``. Other numbers than `nsd`.
    hd95_px : (C,) float64 array
        The larger of two 95 % quantiles, in pixels: of the distances from the predicted edge pixels to the
        nearest true one, and back; linear between ranks. MONAI's ``compute_hausdorff_distance`` with
        ``percentile=95``, but for missed and invented classes, which are infinite here and dropped there.
    boundary_iou : (C,) float64 array
        Intersection over union of the inner bands, which are `band_px` wide by chessboard distance.
    davis_f : (C,) float64 array
        F measure of the DAVIS benchmark: precision and recall of half-pixel contours that lie in a disk round
        the other's, whose radius is 0.8 % of the diagonal, rounded up. The frame edge is never a contour, as
        published. Not as published: a class in neither mask is NaN, not 1; a class in one mask only is 0,
        even where it fills the frame and has no contour.
    in_truth, in_prediction : (C,) bool array
        Which classes have a pixel outside of void.

    References
    ----------
    Nikolov et al., "Clinically applicable segmentation of head and neck anatomy", JMIR 2021 (NSD).
    Cheng et al., "Boundary IoU", CVPR 2021.
    Perazzi et al., "A benchmark dataset and evaluation methodology for video object segmentation", CVPR 2016
    (DAVIS F).
    """

    nsd: Scores
    nsd_contour: Scores
    hd95_px: Scores
    boundary_iou: Scores
    davis_f: Scores
    in_truth: NDArray[np.bool_]
    in_prediction: NDArray[np.bool_]


@dataclass(frozen=True)
class _Pair:
    """Label images without void, and the classes whose boundaries can be compared."""

    prediction: Labels
    truth: Labels
    num_classes: int
    in_both: NDArray[np.intp]


def boundary_scores(
    prediction: NDArray[np.integer],
    truth: NDArray[np.integer],
    num_classes: int,
    *,
    tolerance_px: float = 2.0,
    band_px: int = 3,
    frame_edge: FrameEdge = "counted",
    ignore: int = 255,
    parts: Collection[Part] = DEFAULT_PARTS,
) -> BoundaryScores:
    """Score the boundaries of every class.

    Parameters
    ----------
    prediction, truth : (H, W) int array
        Class ids in [0, num_classes), or `ignore`. A prediction of `ignore` is no class.
    num_classes : int
        C.
    tolerance_px : float
        Of `nsd` and `nsd_contour`: the largest Euclidean distance that is still right.
    band_px : int
        Width of the bands of `boundary_iou`, at least 1. Choose it below `thin_structure_limit_px`.
    frame_edge : {"counted", "ignored"}
        Whether a mask that is cut off by the frame has a boundary there (in `davis_f` it never has).
        "counted" is what MONAI, DeepMind and the Boundary IoU do; with it an organ that is cut off on three
        sides scores high, however wrong its one free side is.
    ignore : int
        Void value of the truth.
    parts : collection of {"nsd", "nsd_contour", "hd95_px", "boundary_iou", "davis_f"}
        What to compute; the others are NaN. Without `hd95_px` no distance above the tolerance is searched.

    Returns
    -------
    BoundaryScores
        Its attributes state each definition.

    Raises
    ------
    InputError
        If sizes differ, a value is neither a class nor `ignore`, or a parameter is out of range.
    """
    _check_parameters(tolerance_px, band_px, frame_edge, parts)
    pair, in_prediction, in_truth = _label_pair(prediction, truth, num_classes, ignore)
    scores = {part: np.full(num_classes, np.nan) for part in get_args(Part)}
    for part in parts:
        scores[part][in_truth ^ in_prediction] = np.inf if part == "hd95_px" else 0.0
    for comparison in _comparisons(tolerance_px, frame_edge, math.hypot(*truth.shape)):
        wanted = {part: measure for part, measure in comparison.measures.items() if part in parts}
        for class_id, there, back in comparison.distances(pair, wanted):
            for part, measure in wanted.items():
                scores[part][class_id] = measure(there, back)
    if "boundary_iou" in parts:
        scores["boundary_iou"][pair.in_both] = _band_overlap(pair, band_px, frame_edge)
    return BoundaryScores(**scores, in_truth=in_truth, in_prediction=in_prediction)


@dataclass(frozen=True)
class _Directed:
    """From each boundary point of one mask to the nearest of the other: squared distance and length, (N,)."""

    squared: NDArray[np.int64]
    lengths: Scores

    def within(self, reach_px: float) -> float:
        """Length of the boundary that has the other's nearby."""
        return float(self.lengths[self.squared <= _largest_square(reach_px)].sum())

    def total(self) -> float:
        """Length of the whole boundary."""
        return float(self.lengths.sum())


@dataclass(frozen=True)
class _Comparison:
    """Scores of one kind of boundary points.

    Attributes
    ----------
    find_points : callable
        From a label image with border, and the number of classes.
    frame_edge : {"counted", "ignored"}
        Of the border.
    reach_px : float
        Largest distance that matters, but for `hd95_px`.
    measures : dict
        What each part makes of the distances there and back.
    """

    find_points: Callable[[Labels, int], ClassPoints]
    frame_edge: FrameEdge
    reach_px: float
    measures: dict[Part, Callable[[_Directed, _Directed], float]]

    def distances(self, pair: _Pair, wanted: Collection[Part]) -> Iterator[tuple[int, _Directed, _Directed]]:
        """Each class in both masks: from prediction to truth, and back. Nothing if nothing is wanted."""
        if not wanted:
            return
        ceiling = NOWHERE if "hd95_px" in wanted else _largest_square(self.reach_px) + 1
        predicted, true = (
            self.find_points(with_border(labels, self.frame_edge), pair.num_classes)
            for labels in (pair.prediction, pair.truth)
        )
        for class_id in map(int, pair.in_both):
            one, other = predicted.points(class_id), true.points(class_id)
            there = _Directed(squared_distances(one, other, ceiling), predicted.lengths_of(class_id))
            back = _Directed(squared_distances(other, one, ceiling), true.lengths_of(class_id))
            yield class_id, there, back


def _comparisons(tolerance_px: float, frame_edge: FrameEdge, diagonal_px: float) -> list[_Comparison]:
    surface_dice = partial(_surface_dice, tolerance_px=tolerance_px)
    radius_px = math.ceil(_DAVIS_SHARE * diagonal_px)
    f_measure = partial(_f_measure, radius_px=radius_px)
    pixels: dict[Part, Callable[..., float]] = {"nsd": surface_dice, "hd95_px": _hausdorff95}
    return [
        _Comparison(edge_pixels, frame_edge, tolerance_px, pixels),
        _Comparison(contour_corners, frame_edge, tolerance_px, {"nsd_contour": surface_dice}),
        _Comparison(half_pixel_contours, "ignored", radius_px, {"davis_f": f_measure}),
    ]


def _surface_dice(there: _Directed, back: _Directed, tolerance_px: float) -> float:
    total = there.total() + back.total()
    return (there.within(tolerance_px) + back.within(tolerance_px)) / total if total else math.nan


def _hausdorff95(there: _Directed, back: _Directed) -> float:
    sizes = there.squared.size, back.squared.size
    if not all(sizes):
        return math.inf if any(sizes) else math.nan
    return max(_quantile_px(there.squared), _quantile_px(back.squared))


def _quantile_px(squared: NDArray[np.int64]) -> float:
    """Quantile of the distances, linear between the two nearest ranks; a root is drawn of these only."""
    rank = _QUANTILE * (squared.size - 1)
    low, high = math.floor(rank), math.ceil(rank)
    ordered = np.partition(squared, (low, high))
    low_px, high_px = math.sqrt(ordered[low]), math.sqrt(ordered[high])
    return low_px + (high_px - low_px) * (rank - low)


def _f_measure(there: _Directed, back: _Directed, radius_px: int) -> float:
    if there.squared.size == back.squared.size == 0:
        return math.nan
    if there.squared.size == 0 or back.squared.size == 0:
        return 0.0
    precision = there.within(radius_px) / there.total()
    recall = back.within(radius_px) / back.total()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _band_overlap(pair: _Pair, band_px: int, frame_edge: FrameEdge) -> Scores:
    """Intersection over union of the bands of each class in both masks; NaN without any band."""
    bands = (inner_bands(labels, band_px, frame_edge) for labels in (pair.prediction, pair.truth))
    sizes = band_sizes(pair.prediction, pair.truth, *bands)
    in_one, in_other, in_both = (counts[pair.in_both] for counts in sizes)
    union = in_one + in_other - in_both
    overlap: Scores = np.full(union.shape, np.nan)
    np.divide(in_both, union, out=overlap, where=union > 0)
    return overlap


def _largest_square(distance_px: float) -> int:
    """Largest integer, as squared distances are, that is still within the distance."""
    return math.floor(distance_px**2 + _ROUNDING)


def _label_pair(
    prediction: NDArray[np.integer], truth: NDArray[np.integer], num_classes: int, ignore: int
) -> tuple[_Pair, NDArray[np.bool_], NDArray[np.bool_]]:
    """Check the masks and take void out of both; also which classes the prediction and the truth hold."""
    check_same_shape(prediction, truth)
    classes = class_range(num_classes, ignore)
    predicted, true = (
        frozen_view(as_uint8(mask, name)) for mask, name in ((prediction, "prediction"), (truth, "truth"))
    )
    if not true.size:
        raise InputError("a mask without pixels has no boundaries", where=f"shape {true.shape}")
    held, held_true = values_held(predicted), values_held(true)
    check_values(held, num_classes, ignore, "prediction")
    check_values(held_true, num_classes, ignore, "truth")
    if held_true[ignore]:
        void = np.where(true == ignore, np.uint8(NO_LABEL), np.uint8(0))
        predicted, true = frozen_view(predicted | void), frozen_view(true | void)
        held = values_held(predicted)
    in_prediction, in_truth = held[classes], held_true[classes]
    pair = _Pair(predicted, true, num_classes, np.flatnonzero(in_prediction & in_truth))
    return pair, in_prediction, in_truth


def _check_parameters(tolerance_px: float, band_px: int, frame_edge: str, parts: Collection[str]) -> None:
    if not 0 <= tolerance_px < math.inf:
        raise InputError(
            "a tolerance is a number of pixels from 0 on", where=f"tolerance_px = {tolerance_px}"
        )
    if band_px < 1:
        raise InputError("a boundary band is at least one pixel wide", where=f"band_px = {band_px}")
    known = get_args(Part)
    wrong = ", ".join(part for part in parts if part not in known)
    if wrong:
        raise InputError(f"no such boundary score: {wrong}", remedy=f"Choose from {', '.join(known)}.")
    if frame_edge not in get_args(FrameEdge):
        raise InputError(f"no such policy for the frame edge: {frame_edge}", remedy="counted or ignored")
