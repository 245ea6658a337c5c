"""What kind of error every wrong pixel is: boundary, extent or segment, missed or spurious.

Owns the error types, their counts and what the counts say about IoU, after Bernhard et al. (WACV 2024). The
searches behind it are `regions`'. Which boundaries are found is another question: `error_map`'s.

The definition, for one class, with TP, FP, FN and TN as in a confusion matrix of class and not class:

segment
    A pixel of an 8-connected region of the predicted class that holds no TP: the object is not there. For FN,
    a region of the true class that holds no TP: the object is overlooked.
extent
    A pixel of a region that does hold a TP: the object is found, its extent is wrong.
boundary
    Whatever the region, the wrong pixels along a boundary that is only displaced. Core pixels have a TP and a
    TN within `boundary_px`. The pixels of the same error within `boundary_px` of a core pixel are added. Of
    what results, each 8-connected piece stays that touches both a TP and a TN (8 neighbours): it fills the
    gap between the two boundaries. The other pieces go back to extent or segment.

Each wrong pixel is an FN of its true class and an FP of its predicted class, and gets one type as either.

Decisions, where more than one reading is possible:

- Distance is Euclidean, between pixel centres, and at most `boundary_px`. The evaluation that the authors
  published rounds each distance to whole pixels first: ``boundary_px=d + 0.5`` is its width ``d``. (Its
  default is 1 % of the frame's diagonal.)
- The frame's end is neither TP nor TN: no boundary.
- Void (truth `ignore`) is never counted. It belongs to no class in the truth, while a prediction there stays
  what it is, so that it carries a region or a boundary across the void; that is how the published evaluation
  treats it. With both masks cut out, as for boundary scores, every error beyond a strip of void, which
  annotators leave between most structures, would be cut off from the object that it belongs to: a prediction
  moved by two pixels would read as an invented object. What is predicted on void can thus change an error's
  type, never the number of errors.
- A prediction of `ignore` on a labelled pixel belongs to no class: an FN of the true class, an FP of none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from napari_hogseg.features.compiling import compiled, frozen_view
from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics import regions
from napari_hogseg.metrics.confusion import as_uint8, check_same_shape, confusion_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hogseg.metrics.regions import Labels, Regions

_BOUNDARY, _EXTENT, _SEGMENT = 1, 2, 3
_NUM_TYPES = 3


class ErrorType(IntEnum):
    """Codes of `error_type_map`; 0 is no error.

    FN are pixels of the class that the prediction lacks, FP pixels that it has and the truth lacks.
    """

    FN_BOUNDARY = 1
    FN_EXTENT = 2
    FN_SEGMENT = 3
    FP_BOUNDARY = 4
    FP_EXTENT = 5
    FP_SEGMENT = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class ErrorDecomposition:
    """Wrong pixels of every class by type. Add the decompositions of all frames, then read the shares.

    Attributes
    ----------
    counts : (C, 2, 3) int64 array
        Wrong pixels: class, then false negatives and false positives, then boundary, extent and segment. The
        sum over the last two axes is FN + FP of `confusion_matrix`.
    hits : (C,) int64 array
        True positives.
    boundary_px : float
        The distance that they were found with.
    """

    counts: NDArray[np.int64]
    hits: NDArray[np.int64]
    boundary_px: float

    @classmethod
    def empty(cls, num_classes: int, *, boundary_px: float) -> Self:
        """Make the decomposition of no frame: where a sum begins."""
        counts = np.zeros((num_classes, 2, _NUM_TYPES), np.int64)
        return cls(counts=counts, hits=np.zeros(num_classes, np.int64), boundary_px=boundary_px)

    def __add__(self, other: Self) -> Self:
        """Both together.

        Raises
        ------
        InputError
            If they differ in classes or in `boundary_px`.
        """
        if self.counts.shape != other.counts.shape or self.boundary_px != other.boundary_px:
            raise InputError(
                "these error decompositions do not add up: classes or boundary width differ",
                where=f"{len(self.hits)} classes at {self.boundary_px} px, "
                f"{len(other.hits)} at {other.boundary_px} px",
                remedy="Decompose all frames with the same classes and the same boundary_px.",
            )
        return type(self)(
            counts=self.counts + other.counts, hits=self.hits + other.hits, boundary_px=self.boundary_px
        )

    @property
    def iou(self) -> NDArray[np.float64]:
        """IoU of each class, (C,); NaN for a class in neither mask."""
        return _ratio(self.hits, self.union)

    @property
    def union(self) -> NDArray[np.int64]:
        """Pixels of each class in either mask, (C,)."""
        return np.asarray(self.hits + self.counts.sum(axis=(1, 2)), np.int64)

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of each type in the wrong pixels of its class, (C, 2, 3); NaN for a class without error."""
        return _ratio(self.counts, self.counts.sum(axis=(1, 2), keepdims=True))

    @property
    def iou_loss(self) -> NDArray[np.float64]:
        """What each type takes from IoU, (C, 2, 3): its pixels over the union (the paper's error over union).

        With `iou` the six add up to 1. NaN for a class in neither mask.
        """
        return _ratio(self.counts, self.union[:, None, None])

    @property
    def mean_iou_loss(self) -> NDArray[np.float64]:
        """Mean of `iou_loss` over the classes in either mask, (2, 3): with the mean IoU it adds up to 1."""
        present = self.union > 0
        if not present.any():
            return np.full((2, _NUM_TYPES), np.nan)
        return np.asarray(self.iou_loss[present].mean(axis=0), np.float64)

    @property
    def renormalised_loss(self) -> NDArray[np.float64]:
        """What each type would take from IoU if all coarser ones were put right, (C, 3), FN and FP together.

        Boundary errors over TP and boundary errors, extent errors over these and extent errors, segment
        errors over the union: a class full of overlooked objects does not hide how well the found ones are
        drawn. NaN where nothing is left to divide by.
        """
        by_type = self.counts.sum(axis=1)
        return _ratio(by_type, self.hits[:, None] + np.cumsum(by_type, axis=1))


def decompose_errors(
    prediction: NDArray[np.integer],
    truth: NDArray[np.integer],
    num_classes: int,
    *,
    boundary_px: float,
    ignore: int = 255,
) -> ErrorDecomposition:
    """Count the wrong pixels of each class by error type, as defined above.

    Parameters
    ----------
    prediction, truth : (H, W) int array
        Class ids in [0, num_classes), or `ignore`.
    num_classes : int
        C.
    boundary_px : float
        How far from its place a boundary may lie for the error to be a boundary error, in pixels, at least 1.
    ignore : int
        Void value.

    Returns
    -------
    ErrorDecomposition
        Of this frame; ``+`` adds frames.

    Raises
    ------
    InputError
        If sizes differ, `boundary_px` is below 1 or a value is neither a class nor `ignore`.

    References
    ----------
    Bernhard, Amoroso, Kindermann, Baraldi, Cucchiara, Tresp and Schubert, "What's Outside the Intersection?
    Fine-grained Error Analysis for Semantic Segmentation Beyond IoU", WACV 2024 (error types, error over
    union, its renormalisation). The rules are those of the evaluation that the authors published with it.
    """
    # Also the check of all values.
    matrix = confusion_matrix(prediction, truth, num_classes, ignore, unanswered="count")
    sides = _classified(prediction, truth, boundary_px, ignore)
    counts = np.stack([_counted(side, num_classes) for side in sides], axis=1)
    return ErrorDecomposition(counts=counts, hits=matrix.diagonal().copy(), boundary_px=float(boundary_px))


def error_type_map(
    prediction: NDArray[np.integer],
    truth: NDArray[np.integer],
    class_id: int | None = None,
    *,
    boundary_px: float,
    ignore: int = 255,
) -> NDArray[np.uint8]:
    """Draw the error types: one code per wrong pixel.

    Parameters
    ----------
    prediction, truth : (H, W) int array
        Class ids, any number of classes.
    class_id : int, optional
        The class to draw. None draws all: of the two types of a pixel, as FN of its true and as FP of its
        predicted class, the coarser (segment before extent before boundary), and of two alike the FN. An
        overlooked object then shows as FN segment, an invented one as FP segment, whatever the background is.
    boundary_px : float
        As in `decompose_errors`.
    ignore : int
        Void value; no code there.

    Returns
    -------
    (H, W) uint8 array
        0 or an `ErrorType`.

    Raises
    ------
    InputError
        If sizes differ or `boundary_px` is below 1.
    """
    missed, spurious = _classified(prediction, truth, boundary_px, ignore)
    if class_id is None:
        as_missed = missed.types >= spurious.types
        return np.where(as_missed, missed.types, spurious.types + np.uint8(_NUM_TYPES))
    codes = np.where(missed.labels == class_id, missed.types, np.uint8(0))
    is_spurious = (spurious.labels == class_id) & (spurious.types > 0)
    codes[is_spurious] = spurious.types[is_spurious] + np.uint8(_NUM_TYPES)
    return codes


class _Side(NamedTuple):
    """One side of the errors: FN, with the truth's labels, or FP, with the prediction's."""

    labels: Labels
    types: Labels  # 0, or boundary, extent, segment


def _classified(
    prediction: NDArray[np.integer], truth: NDArray[np.integer], boundary_px: float, ignore: int
) -> tuple[_Side, _Side]:
    """Types of all false negatives and of all false positives."""
    check_same_shape(prediction, truth)
    if not boundary_px >= 1:  # also true of NaN
        raise InputError("a boundary is at least one pixel wide", where=f"boundary_px = {boundary_px}")
    predicted, true = as_uint8(prediction, "prediction"), as_uint8(truth, "truth")
    # Every argument in one form: the searches are compiled once.
    predicted, true = frozen_view(predicted), frozen_view(true)
    agreed = frozen_view(np.where(predicted == true, predicted, np.uint8(ignore)))
    disk = frozen_view(regions.disk_rows(min(boundary_px, math.hypot(*true.shape))))
    return (
        _Side(true, _types(true, agreed, predicted, true, ignore, disk)),
        _Side(predicted, _types(predicted, agreed, predicted, true, ignore, disk)),
    )


def _types(
    own: Labels, agreed: Labels, predicted: Labels, true: Labels, ignore: int, disk: NDArray[np.int64]
) -> Labels:
    """Types of the errors on the side of `own`, which is `predicted` or `true`."""
    cores = regions.near_agreed_and_outside(own, agreed, predicted, true, ignore, disk)
    grown = frozen_view(regions.near_marked(own, agreed, frozen_view(cores), ignore, disk))
    pieces, num_pieces = regions.connected_regions(grown)
    is_boundary = regions.regions_between(
        frozen_view(pieces), num_pieces, grown, agreed, predicted, true, ignore
    )
    objects, num_objects = regions.connected_regions(own)
    is_found = regions.regions_holding(frozen_view(objects), num_objects, agreed, ignore)
    return _read_off(own, agreed, true, ignore, pieces, is_boundary, objects, is_found)


@compiled
def _read_off(
    own: Labels,
    agreed: Labels,
    true: Labels,
    ignore: int,
    pieces: Regions,
    is_boundary: NDArray[np.bool_],
    objects: Regions,
    is_found: NDArray[np.bool_],
) -> Labels:
    """Types of the wrong pixels that count, by the piece of boundary and the object that each belongs to."""
    types = np.zeros(own.shape, np.uint8)
    for row in range(own.shape[0]):
        for col in range(own.shape[1]):
            label = own[row, col]
            if label == ignore or agreed[row, col] == label or true[row, col] == ignore:
                continue
            if is_boundary[pieces[row, col]]:  # never where there is no piece
                types[row, col] = _BOUNDARY
            else:
                types[row, col] = _EXTENT if is_found[objects[row, col]] else _SEGMENT
    return types


def _counted(side: _Side, num_classes: int) -> NDArray[np.int64]:
    """Pixels of each class and type, (C, 3)."""
    wrong = side.types > 0
    pairs = side.labels[wrong].astype(np.intp) * _NUM_TYPES + side.types[wrong] - _BOUNDARY
    return np.bincount(pairs, minlength=num_classes * _NUM_TYPES).reshape(num_classes, _NUM_TYPES)


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Divide; NaN where the whole is 0."""
    out = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    return np.asarray(np.divide(part, whole, out=out, where=whole > 0), np.float64)
