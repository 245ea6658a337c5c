"""Centreline Dice of one class in one frame: whether a thin structure is found along its whole length.

Dice asks how much area is right; a shaft that is broken in two costs it a few pixels. Here the centre lines
are compared with the masks, so length counts, and width does not. Scores of area are `confusion`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from napari_hogseg.metrics.confusion import check_same_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray


def cl_dice(
    prediction: NDArray[np.integer], truth: NDArray[np.integer], class_id: int, ignore: int = 255
) -> float:
    """Harmonic mean of the parts of each mask's centre line that lie inside the other mask (clDice).

    Topology precision is the share of the prediction's centre line inside the true mask, topology sensitivity
    the share of the truth's inside the predicted mask. Both count pixels of the 8-connected skeleton of
    `skimage.morphology.skeletonize` (Zhang and Suen): what is beyond the frame is outside of the mask, and a
    compact shape has a centre line of a few pixels, whose score says little.

    Parameters
    ----------
    prediction, truth : (H, W) int array
        Class ids.
    class_id : int
        The class to score: a thin one, such as an instrument's shaft, a vessel or a suture.
    ignore : int
        Void value of the truth. Void is taken out of both masks before their centre lines are drawn.

    Returns
    -------
    float
        In [0, 1]; NaN if both masks are empty, 0 if one is or if neither line meets the other mask.

    Raises
    ------
    InputError
        If sizes differ.

    References
    ----------
    Shit et al., "clDice - a Novel Topology-Preserving Loss Function for Tubular Structure Segmentation", CVPR
    2021, section 3 (the measure, not the differentiable loss, whose soft skeleton is another one).
    """
    check_same_shape(prediction, truth)
    void = truth == ignore
    predicted, true = (prediction == class_id) & ~void, (truth == class_id) & ~void
    line_predicted, line_true = _centre_line(predicted), _centre_line(true)
    if line_predicted.size == 0 or line_true.size == 0:
        return float("nan") if line_predicted.size == line_true.size else 0.0
    precision = float(true.ravel()[line_predicted].mean())
    sensitivity = float(predicted.ravel()[line_true].mean())
    if precision + sensitivity == 0:
        return 0.0
    return 2 * precision * sensitivity / (precision + sensitivity)


def _centre_line(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Positions of the skeleton's pixels in the flattened mask; thinning a crop gives the same ones."""
    from skimage.morphology import skeletonize  # takes longer to import than all of the metrics

    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if width == 0:
        return np.empty(0, np.intp)
    rows, cols = np.nonzero(skeletonize(mask[y : y + height, x : x + width]))
    return np.ravel_multi_index((rows + y, cols + x), mask.shape)
