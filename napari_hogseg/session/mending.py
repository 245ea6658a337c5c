"""Taking over what a model says, where a person says so: a class, a region, one wrong blob.

Pure functions from two masks to the pixels to set. They change nothing themselves: painting, and with it undo
and saving, is the caller's part. No Qt, no torch.

Legend: masks are (H, W) uint8 class ids; 255 is ignore: in the truth "unlabelled", in a prediction
"no answer".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from skimage.draw import polygon2mask
from skimage.measure import label

from napari_hogseg.data.scheme import IGNORE

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Edit:
    """Pixels of one frame and what they become; every one of them changes.

    Attributes
    ----------
    rows, cols : (N,) int64 ndarray
    values : (N,) uint8 ndarray
        Class ids.
    """

    rows: npt.NDArray[np.int64]
    cols: npt.NDArray[np.int64]
    values: npt.NDArray[np.uint8]

    @property
    def num_pixels(self) -> int:
        """How many pixels change; 0: there is nothing to do."""
        return int(self.rows.size)

    def applied(self, mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Make the mask that it leads to."""
        changed = mask.copy()
        changed[self.rows, self.cols] = self.values
        return changed


def edit_between(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> Edit:
    """Make the edit that turns one mask into another."""
    rows, cols = np.nonzero(before != after)
    return Edit(rows, cols, after[rows, cols])


def accept_everywhere(
    truth: npt.NDArray[np.uint8], prediction: npt.NDArray[np.uint8], *, fill_unlabelled: bool = True
) -> Edit:
    """Take over all of a prediction; see `accept_region` for the rules."""
    return accept_region(truth, prediction, np.ones(truth.shape, bool), fill_unlabelled=fill_unlabelled)


def accept_region(
    truth: npt.NDArray[np.uint8],
    prediction: npt.NDArray[np.uint8],
    region: npt.NDArray[np.bool_],
    *,
    fill_unlabelled: bool = True,
) -> Edit:
    """Take over the prediction inside a region.

    Parameters
    ----------
    truth, prediction : (H, W) uint8 ndarray
    region : (H, W) bool ndarray
        As from `polygon_region`.
    fill_unlabelled : bool
        Whether unlabelled pixels are set too. False leaves a void strip between two classes void.

    Returns
    -------
    Edit
        Never sets a pixel to ignore: where the prediction has no answer, the person's stays.
    """
    wanted = region & (truth != prediction) & (prediction != IGNORE)
    if not fill_unlabelled:
        wanted &= truth != IGNORE
    rows, cols = np.nonzero(wanted)
    return Edit(rows, cols, prediction[rows, cols])


def accept_class(
    truth: npt.NDArray[np.uint8],
    prediction: npt.NDArray[np.uint8],
    class_id: int,
    *,
    fill_unlabelled: bool = True,
) -> Edit:
    """Make one class lie where the prediction has it, and nowhere else.

    Pixels that leave the class take the predicted class of their place. Other classes change only where this
    one comes or goes. Parameters as for `accept_region`.
    """
    return accept_region(
        truth,
        prediction,
        (truth == class_id) | (prediction == class_id),
        fill_unlabelled=fill_unlabelled,
    )


def accept_blob(truth: npt.NDArray[np.uint8], prediction: npt.NDArray[np.uint8], row: int, col: int) -> Edit:
    """Take over the one wrong region under a pixel.

    The region is 8-connected and of one pair (true class, predicted class); unlabelled is a class here, as
    the person points at it. Nothing where both agree, where the prediction has no answer, or outside the
    frame.
    """
    height, width = truth.shape
    if not (0 <= row < height and 0 <= col < width):
        return _nothing()
    ours, theirs = truth[row, col], prediction[row, col]
    if ours == theirs or theirs == IGNORE:
        return _nothing()
    components = label((truth == ours) & (prediction == theirs), connectivity=2)
    rows, cols = np.nonzero(components == components[row, col])
    return Edit(rows, cols, np.full(rows.size, theirs, np.uint8))


def polygon_region(shape: tuple[int, int], corners: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Mark the pixels in a polygon of (N, 2) (row, col) corners; by parity where it crosses itself."""
    if len(corners) < 3:
        return np.zeros(shape, bool)
    return np.asarray(polygon2mask(shape, corners), bool)


def _nothing() -> Edit:
    none = np.zeros(0, np.int64)
    return Edit(none, none, np.zeros(0, np.uint8))
