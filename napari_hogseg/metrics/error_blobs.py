"""The single errors of a frame, each with what one needs to decide which to look at first.

Owns what a blob is and its measures. The error types are `decomposition`'s; who ranks and shows blobs is not
this module's part.

A blob is an 8-connected region of wrong pixels that share their true and their predicted class. A wrong pixel
is a false negative of its true class and a false positive of its predicted one; a blob is called one of the
two, so that each pixel is in one blob:

- With a `background` class, what is predicted as background is a false negative and what is background in the
  truth a false positive.
- Otherwise as `error_type_map` draws it: of the two readings the coarser (an object that is overlooked or
  invented as a whole says more than another one's wrong extent), and of two alike the false negative.

Type and, where the background does not decide, kind are those of most of the blob's pixels; where two are as
many, the coarser type, and the false negative.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import cv2
import numpy as np

from napari_hogseg.features.compiling import frozen_view
from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.confusion import as_uint8, check_same_shape, check_values
from napari_hogseg.metrics.decomposition import ErrorType, error_type_map
from napari_hogseg.metrics.regions import connected_regions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Labels = NDArray[np.uint8]  # (H, W)
    Positions = NDArray[np.intp]  # (N,), in the flattened frame

ErrorKind = Literal["false negative", "false positive"]
ErrorExtent = Literal["boundary", "extent", "segment"]

FALSE_NEGATIVE: ErrorKind = "false negative"
FALSE_POSITIVE: ErrorKind = "false positive"
TYPES: tuple[ErrorExtent, ...] = ("boundary", "extent", "segment")

_VALUES = 256  # of a uint8 mask
_CODES = len(ErrorType) + 1
#: Codes of `ErrorType` in the order in which they win a tie: coarse before fine, missed before spurious.
_BY_RANK = np.array([3, 6, 2, 5, 1, 4])
_SOBEL_GAIN = 8.0


@dataclass(frozen=True, kw_only=True)
class ErrorBlob:
    """One error.

    Attributes
    ----------
    kind : {"false negative", "false positive"}
    type : {"boundary", "extent", "segment"}
        By Bernhard et al., WACV 2024: see `decomposition`.
    true_class, predicted_class : int
        A predicted `ignore` stands for no prediction.
    area_px : int
    depth_px : float
        Largest distance from a pixel of the blob to the nearest one that is labelled correctly, between pixel
        centres; the frame's diagonal where nothing is correct.
    gradient : float
        Mean gradient of the frame under the blob's outline, in grey levels per pixel, of the colour channel
        that changes most. Low: the frame shows no edge there, and the truth itself is doubtful. NaN where the
        blob fills the frame: it has no outline.
    bbox : (int, int, int, int)
        First row, first column, and the row and column after the last.
    centroid : (float, float)
        Row and column.
    """

    kind: ErrorKind
    type: ErrorExtent
    true_class: int
    predicted_class: int
    area_px: int
    depth_px: float
    gradient: float
    bbox: tuple[int, int, int, int]
    centroid: tuple[float, float]

    def mask(self, prediction: NDArray[np.integer], truth: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Find the blob's pixels again.

        Parameters
        ----------
        prediction, truth : (H, W) int array
            Those that the blob was found with.

        Returns
        -------
        (H, W) bool array
            All False where prediction or truth have changed so that there is no such blob any more.

        Raises
        ------
        InputError
            If sizes differ.
        """
        check_same_shape(prediction, truth)
        row0, col0, row1, col1 = self.bbox
        window = (slice(row0, row1), slice(col0, col1))
        of_pair = (truth[window] == self.true_class) & (prediction[window] == self.predicted_class)
        mask = np.zeros(truth.shape, np.bool_)
        if of_pair.any():
            _, labels, boxes, _ = cv2.connectedComponentsWithStats(of_pair.view(np.uint8), connectivity=8)
            # Only one region can touch all four sides of a box: the paths of two of them would cross.
            same_box = np.all(boxes[1:, :4] == (0, 0, col1 - col0, row1 - row0), axis=1)
            mask[window] = same_box.any() and labels == 1 + int(same_box.argmax())
        return mask


def find_error_blobs(
    prediction: NDArray[np.integer],
    truth: NDArray[np.integer],
    frame_HWC: NDArray[np.uint8],
    *,
    num_classes: int,
    ignore: int = 255,
    boundary_px: float,
    min_area_px: int,
    background: int | None = None,
) -> tuple[ErrorBlob, ...]:
    """Find the single errors of a frame.

    Parameters
    ----------
    prediction, truth : (H, W) int array
        Class ids in [0, num_classes), or `ignore`.
    frame_HWC : (H, W, 3) uint8 array
        RGB.
    num_classes : int
        C.
    ignore : int
        Void value. Where the truth is void nothing is wrong, and nothing is correct either.
    boundary_px : float
        As in `decompose_errors`.
    min_area_px : int
        Smallest blob, in pixels, at least 1.
    background : int, optional
        The class that is no object; None where there is no such class.

    Returns
    -------
    tuple of ErrorBlob
        Largest first; of equal ones the upper left one first.

    Raises
    ------
    InputError
        If sizes differ, a value is neither a class nor `ignore`, or one of the pixel options is below 1.
    """
    predicted, true = _checked(prediction, truth, num_classes, ignore, frame_HWC)
    if min_area_px < 1:
        raise InputError("a blob has one pixel at least", where=f"min_area_px = {min_area_px}")
    blobs = _find_regions(predicted, true, ignore, min_area_px)
    if not blobs.num:
        return ()
    types = error_type_map(predicted, true, boundary_px=boundary_px, ignore=ignore)
    found = _measured(blobs, predicted, true, types, frame_HWC, ignore=ignore, background=background)
    return tuple(sorted(found, key=lambda blob: -blob.area_px))  # stable: equal ones stay in reading order


def _measured(
    blobs: _Blobs,
    predicted: Labels,
    true: Labels,
    types: Labels,
    frame_HWC: NDArray[np.uint8],
    *,
    ignore: int,
    background: int | None,
) -> list[ErrorBlob]:
    at, of = blobs.positions, blobs.numbers
    rows, cols = np.divmod(at, true.shape[1])
    areas = np.bincount(of)
    first = at[_starts(blobs)]
    codes = _majority(types.ravel()[at], of, blobs.num).tolist()
    columns = (
        areas.tolist(),
        _depths(predicted, true, ignore, blobs).tolist(),
        _gradients(frame_HWC, blobs, rows, cols).tolist(),
        map(tuple, _boxes(rows, cols, blobs).tolist()),
        zip((np.bincount(of, rows) / areas).tolist(), (np.bincount(of, cols) / areas).tolist(), strict=True),
    )
    pairs = zip(true.ravel()[first].tolist(), predicted.ravel()[first].tolist(), strict=True)
    return [
        ErrorBlob(
            kind=_kind(pair, code, background),
            type=TYPES[(code - 1) % len(TYPES)],
            true_class=pair[0],
            predicted_class=pair[1],
            area_px=area,
            depth_px=depth,
            gradient=gradient,
            bbox=box,
            centroid=centroid,
        )
        for pair, code, area, depth, gradient, box, centroid in zip(pairs, codes, *columns, strict=True)
    ]


class _Blobs(NamedTuple):
    """Pixels of all blobs, sorted by blob and then by position."""

    positions: Positions
    numbers: NDArray[np.intp]  # (N,), the blob of each position
    numbered: NDArray[np.int32]  # (H, W), the blob of each pixel, -1 elsewhere
    num: int


def _checked(
    prediction: NDArray[np.integer],
    truth: NDArray[np.integer],
    num_classes: int,
    ignore: int,
    frame_HWC: NDArray[np.uint8],
) -> tuple[Labels, Labels]:
    check_same_shape(prediction, truth)
    if frame_HWC.shape != (*truth.shape, 3) or frame_HWC.dtype != np.uint8:
        raise InputError(
            "the frame does not fit the masks",
            where=f"frame {frame_HWC.shape} {frame_HWC.dtype}, masks {truth.shape}",
            remedy="Give the RGB frame, uint8, at the size of the masks.",
        )
    masks = as_uint8(prediction, "prediction"), as_uint8(truth, "truth")
    for mask, name in zip(masks, ("prediction", "truth"), strict=True):
        check_values(np.bincount(mask.ravel(), minlength=_VALUES), num_classes, ignore, name)
    return masks


def _find_regions(predicted: Labels, true: Labels, ignore: int, min_area_px: int) -> _Blobs:
    """8-connected regions of equal pairs of classes that are large enough."""
    pairs = true.astype(np.uint16) << 8 | predicted
    present = np.flatnonzero(np.bincount(pairs.ravel(), minlength=_VALUES**2))
    wrong = present[(present >> 8 != present % _VALUES) & (present >> 8 != ignore)]
    numbered = np.full(true.shape, -1, np.int32)
    num = 0
    # The search takes labels of eight bits, 0 for all other pixels. One pass does unless more than 255 pairs
    # of classes occur in one frame.
    for begin in range(0, wrong.size, _VALUES - 1):
        some = wrong[begin : begin + _VALUES - 1]
        label_of = np.zeros(_VALUES**2, np.uint8)
        label_of[some] = np.arange(1, some.size + 1)
        labels = label_of[pairs]
        regions, num_regions = connected_regions(frozen_view(labels))
        areas = np.bincount(regions.ravel(), minlength=num_regions)
        kept = areas >= min_area_px
        kept[regions[labels == 0]] = False
        number_of = np.where(kept, num + np.cumsum(kept) - 1, -1).astype(np.int32)
        np.maximum(numbered, number_of[regions], out=numbered)
        num += int(kept.sum())
    return _sorted_by_blob(numbered, num)


def _sorted_by_blob(numbered: NDArray[np.int32], num: int) -> _Blobs:
    at = np.flatnonzero(numbered >= 0)
    numbers = numbered.ravel()[at]
    # numpy sorts integers of 16 bits by radix, which is five times as fast.
    keys = numbers.astype(np.uint16) if num <= np.iinfo(np.uint16).max else numbers
    order = np.argsort(keys, kind="stable")
    return _Blobs(at[order], numbers[order].astype(np.intp), numbered, num)


def _starts(blobs: _Blobs) -> Positions:
    """Where each blob begins in the list of positions."""
    return np.flatnonzero(np.diff(blobs.numbers, prepend=-1))


def _boxes(rows: Positions, cols: Positions, blobs: _Blobs) -> NDArray[np.intp]:
    """Bounding box of each blob, (K, 4)."""
    starts = _starts(blobs)
    ends = np.append(starts[1:], rows.size) - 1
    left, right = np.minimum.reduceat(cols, starts), np.maximum.reduceat(cols, starts)
    # Positions ascend within a blob, and so do rows.
    return np.column_stack([rows[starts], left, rows[ends] + 1, right + 1])


def _depths(predicted: Labels, true: Labels, ignore: int, blobs: _Blobs) -> NDArray[np.float64]:
    """Largest distance of each blob to a pixel that is right."""
    at, starts = blobs.positions, _starts(blobs)
    not_right = (predicted != true) | (true == ignore)  # in the void there is nothing to get right
    if not_right.all():  # the transform would return its largest float
        return np.full(starts.size, math.hypot(*true.shape))
    distance = cv2.distanceTransform(not_right.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    deepest = np.maximum.reduceat(distance.ravel()[at], starts).astype(np.float64)
    return np.asarray(np.sqrt(np.rint(deepest**2)))  # squares are whole: the transform's 1e-5 is rounded away


def _gradients(
    frame_HWC: NDArray[np.uint8], blobs: _Blobs, rows: Positions, cols: Positions
) -> NDArray[np.float64]:
    """Mean gradient under the outline of each blob; the frame's end is no outline."""
    around = cv2.copyMakeBorder(blobs.numbered, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    of = blobs.numbers
    inner = np.ones(of.size, np.bool_)
    for down, right in ((0, 1), (2, 1), (1, 0), (1, 2)):
        inner &= around[rows + down, cols + right] == of
    outline, of = blobs.positions[~inner], of[~inner]
    slopes = [
        cv2.Sobel(frame_HWC, cv2.CV_16S, *order).reshape(-1, 3)[outline].astype(np.float32)
        for order in ((1, 0), (0, 1))
    ]
    magnitude = np.hypot(*slopes).max(axis=1) / _SOBEL_GAIN
    length = np.bincount(of, minlength=blobs.num)
    total = np.bincount(of, magnitude, minlength=blobs.num)
    return np.asarray(np.divide(total, length, out=np.full(blobs.num, np.nan), where=length > 0))


def _majority(codes: Labels, of: NDArray[np.intp], num: int) -> NDArray[np.intp]:
    """Error type of most pixels of each blob."""
    counts = np.bincount(of * _CODES + codes, minlength=num * _CODES).reshape(num, _CODES)
    return np.asarray(_BY_RANK[np.argmax(counts[:, _BY_RANK], axis=1)], np.intp)


def _kind(pair: tuple[int, int], code: int, background: int | None) -> ErrorKind:
    if background is not None and background in pair:
        return FALSE_NEGATIVE if pair[1] == background else FALSE_POSITIVE
    return FALSE_NEGATIVE if code <= len(TYPES) else FALSE_POSITIVE
