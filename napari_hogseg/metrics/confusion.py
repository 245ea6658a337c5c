"""Data-set scores from one confusion matrix: add up the matrices of all frames, then score.

Owns counting and the scores that follow from counts. Boundaries are `boundary`'s; the paper's per-image mean,
which is another number, is `per_image`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, cast

import numpy as np

from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_VALUES = 256  # of a uint8 mask


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """One score per class and their mean.

    Attributes
    ----------
    per_class : (C,) float64 array
        In [0, 1]; NaN for an absent class: one that neither truth nor prediction holds. A class that only the
        prediction holds is present and scores 0.
    mean : float
        Over the present classes, each with the same weight; NaN if there is none.
    num_present, num_absent : int
        How many classes the mean is over, and how many it leaves out.
    """

    per_class: NDArray[np.float64]
    mean: float
    num_present: int
    num_absent: int

    @classmethod
    def from_counts(cls, numerator: NDArray[np.int64], denominator: NDArray[np.int64]) -> Self:
        """Divide, both (C,) int64; a class whose denominator is 0 is absent."""
        present = denominator > 0
        per_class = np.full(denominator.shape, np.nan)
        per_class[present] = numerator[present] / denominator[present]
        return cls(
            per_class=per_class,
            mean=float(per_class[present].mean()) if present.any() else float("nan"),
            num_present=int(present.sum()),
            num_absent=int((~present).sum()),
        )


class IouScores(ClassScores):
    """Intersection over union (Jaccard)."""


class DiceScores(ClassScores):
    """Dice coefficient (F1)."""


def confusion_matrix(
    prediction: NDArray[np.integer],
    truth: NDArray[np.integer],
    num_classes: int,
    ignore: int = 255,
    *,
    unanswered: Literal["refuse", "count"] = "refuse",
) -> NDArray[np.int64]:
    """Count every pair of true and predicted class.

    Parameters
    ----------
    prediction, truth : (H, W) uint8 array
        Class ids in [0, num_classes), or `ignore`. Pixels whose truth is `ignore` count nowhere.
    num_classes : int
        C.
    ignore : int
        The value of void pixels, no class id.
    unanswered : {"refuse", "count"}
        What to do where the prediction is `ignore` and the truth is a class. A C x C matrix has no place for
        such a pixel, and to leave it out would flatter the model: it is refused, or counted in a column of
        its own, where it is wrong for its true class and for no other.

    Returns
    -------
    (C, C) int64 array, (C, C + 1) with ``unanswered="count"``
        Rows truth, columns prediction.

    Raises
    ------
    InputError
        If shapes differ or a value is neither a class nor `ignore`, void pixels included: such a value is the
        sign of a wrong file or a wrong number of classes.
    """
    check_same_shape(prediction, truth)
    classes = class_range(num_classes, ignore)
    # One histogram over all 256 x 256 pairs: no masking of pixels, and values are checked on the table.
    pairs = (as_uint8(truth, "truth").astype(np.uint16) << 8) | as_uint8(prediction, "prediction")
    table = np.bincount(pairs.ravel(), minlength=_VALUES**2).reshape(_VALUES, _VALUES)
    check_values(table.sum(axis=1), num_classes, ignore, "truth")
    check_values(table.sum(axis=0), num_classes, ignore, "prediction")
    missing = table[classes, ignore]
    if unanswered == "count":
        return np.column_stack([table[classes, classes], missing])
    if missing.any():
        raise InputError(
            f"{missing.sum()} pixels have a true class but no predicted one",
            where=f"prediction = {ignore}",
            remedy='Predict a class everywhere, or count them as wrong with unanswered="count".',
        )
    return table[classes, classes]


def iou_scores(matrix: NDArray[np.integer]) -> IouScores:
    """Intersection over union of each class.

    Parameters
    ----------
    matrix : (C, C) or (C, C + 1) int array
        Sum of `confusion_matrix` over the frames of a data set.

    Returns
    -------
    IouScores
        The mean is over present classes; see `ClassScores`.
    """
    hits, in_truth, in_prediction = _totals(matrix)
    return IouScores.from_counts(hits, in_truth + in_prediction - hits)


def dice_scores(matrix: NDArray[np.integer]) -> DiceScores:
    """Dice coefficient of each class; arguments and rules as in `iou_scores`."""
    hits, in_truth, in_prediction = _totals(matrix)
    return DiceScores.from_counts(2 * hits, in_truth + in_prediction)


def check_same_shape(prediction: NDArray[np.integer], truth: NDArray[np.integer]) -> None:
    """Refuse masks that do not lie on one pixel grid.

    Raises
    ------
    InputError
        If they are not 2-D or differ in size.
    """
    if prediction.ndim != 2 or prediction.shape != truth.shape:
        raise InputError(
            "prediction and truth differ in size",
            where=f"prediction {prediction.shape}, truth {truth.shape}",
            remedy="Score both at the size of the truth: resize the prediction by nearest neighbour.",
        )


def _totals(matrix: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    counts = np.asarray(matrix, dtype=np.int64)
    num_classes = counts.shape[0]
    return counts.diagonal(), counts.sum(axis=1), counts[:, :num_classes].sum(axis=0)


def class_range(num_classes: int, ignore: int) -> slice:
    """Slice of the class ids; refuses numbers that a uint8 mask cannot hold."""
    if not 0 < num_classes < _VALUES or not num_classes <= ignore < _VALUES:
        raise InputError(
            "classes and the ignore value do not fit into one uint8 mask",
            where=f"num_classes = {num_classes}, ignore = {ignore}",
            remedy="The ignore value is at most 255 and no class id.",
        )
    return slice(0, num_classes)


def as_uint8(mask: NDArray[np.integer], name: str) -> NDArray[np.uint8]:
    """Bring the ids to uint8; refuse ids that do not fit."""
    if mask.dtype == np.uint8:
        return cast("NDArray[np.uint8]", mask)
    if mask.size and (mask.min() < 0 or mask.max() >= _VALUES):
        raise InputError(f"the {name} holds values outside 0 to 255", where=f"{mask.min()} to {mask.max()}")
    return mask.astype(np.uint8)


def check_values(counts: NDArray[np.integer | np.bool_], num_classes: int, ignore: int, name: str) -> None:
    """Refuse a mask whose pixel counts, (256,) by value, hold one that is neither a class nor `ignore`."""
    foreign = np.flatnonzero(counts)
    foreign = foreign[(foreign >= num_classes) & (foreign != ignore)]
    if foreign.size:
        raise InputError(
            f"the {name} holds values that are no class of {num_classes}",
            where=", ".join(str(value) for value in foreign[:8]),
            remedy=f"Class ids run from 0 to {num_classes - 1}, {ignore} is void: check their number.",
        )
