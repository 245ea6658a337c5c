"""The mIoU that the HOG multi-task paper reports, under a name of its own.

It is not the data-set mIoU of `confusion.iou_scores`: never compare one with the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.metrics.confusion import confusion_matrix

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


def paper_per_image_miou(
    pairs: Iterable[tuple[NDArray[np.integer], NDArray[np.integer]]], num_classes: int, ignore: int = 255
) -> float:
    """Mean over images of the mean IoU over the classes in that image's truth, background included.

    A class that only the prediction holds costs nothing but the pixels it takes from others, and a class in
    one image of a hundred counts in that image only: the number may lie on either side of the data-set mIoU.

    Parameters
    ----------
    pairs : iterable of ((H, W) uint8 prediction, (H, W) uint8 truth)
        One per image; sizes may differ between images.
    num_classes : int
        Number of classes.
    ignore : int
        Pixels of this truth are dropped; a prediction of it elsewhere is wrong.

    Returns
    -------
    float
        In [0, 1]. Images without a valid pixel are left out; NaN if no image is left.

    Raises
    ------
    InputError
        As `confusion_matrix`.

    References
    ----------
    Bhattarai et al., "Histogram of Oriented Gradients Meet Deep Learning", Medical Image Analysis 2023, and
    the evaluation of its released code (which knows no ignore value).
    """
    per_image = [_mean_over_truth_classes(*pair, num_classes, ignore) for pair in pairs]
    valid = [score for score in per_image if not np.isnan(score)]
    return float(np.mean(valid)) if valid else float("nan")


def _mean_over_truth_classes(
    prediction: NDArray[np.integer], truth: NDArray[np.integer], num_classes: int, ignore: int
) -> float:
    matrix = confusion_matrix(prediction, truth, num_classes, ignore, unanswered="count")
    in_truth = matrix.sum(axis=1)
    present = in_truth > 0
    if not present.any():
        return float("nan")
    hits, in_prediction = matrix.diagonal(), matrix[:, :num_classes].sum(axis=0)
    union = in_truth + in_prediction - hits
    return float((hits[present] / union[present]).mean())
