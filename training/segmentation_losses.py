"""Segmentation losses of one output, each a scalar that leaves ignored pixels out.

Owns the five terms and the distance maps of one of them; how they are weighted and summed over the outputs
is `losses`' part.

Legend: B batch, C classes, h, w crop size, N valid pixels of the whole batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch.nn import functional

from napari_hogseg.data.scheme import IGNORE

if TYPE_CHECKING:
    import numpy.typing as npt

DICE_SMOOTHING = 1e-5
"""Added to both sides of the fraction: a class that is neither there nor predicted costs nothing."""


def valid_pixels(values_BCHW: torch.Tensor, mask_BHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gather the pixels that have a class: (N, C) of `values_BCHW` and (N,) int64 class ids."""
    valid = mask_BHW != IGNORE
    return values_BCHW.movedim(1, -1)[valid], mask_BHW[valid]


def cross_entropy(
    logits_BCHW: torch.Tensor, mask_BHW: torch.Tensor, class_weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean cross entropy, or the mean weighted by the weight of each pixel's class.

    Parameters
    ----------
    logits_BCHW : (B, C, h, w) float Tensor
    mask_BHW : (B, h, w) int64 Tensor
    class_weights : (C,) float32 Tensor, optional
    """
    # CUDA's own sum adds the pixels up in any order, so deterministic mode would refuse it.
    reduction = "none" if torch.are_deterministic_algorithms_enabled() else "sum"
    total = functional.cross_entropy(
        logits_BCHW.float(), mask_BHW, weight=class_weights, ignore_index=IGNORE, reduction=reduction
    ).sum()
    return total / _total_weight(mask_BHW, class_weights)


def focal_loss(
    logits_BCHW: torch.Tensor,
    mask_BHW: torch.Tensor,
    gamma: float,
    class_weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean of (1 - p)^gamma * (-log p), p the probability of the pixel's class; weighted as cross entropy.

    References
    ----------
    Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, equation 4 with softmax.
    """
    nll = functional.cross_entropy(logits_BCHW.float(), mask_BHW, ignore_index=IGNORE, reduction="none")
    # An ignored pixel has nll 0 there and so contributes nothing; -expm1 keeps 1 - p exact for a sure pixel.
    cost = (-torch.expm1(-nll)).pow(gamma) * nll
    if class_weights is not None:
        cost = cost * class_weights[mask_BHW.masked_fill(mask_BHW == IGNORE, 0)]
    return cost.sum() / _total_weight(mask_BHW, class_weights)


def _total_weight(mask_BHW: torch.Tensor, class_weights: torch.Tensor | None) -> torch.Tensor:
    """Sum of the valid pixels' weights; 1 where there is none, so an all-ignored batch costs 0, not NaN."""
    if class_weights is None:
        return (mask_BHW != IGNORE).sum().clamp(min=1)
    total = class_weights[mask_BHW[mask_BHW != IGNORE]].sum()
    return torch.where(total > 0, total, torch.ones_like(total))


def dice_loss(logits_BCHW: torch.Tensor, mask_BHW: torch.Tensor) -> torch.Tensor:
    """1 - mean soft Dice of all classes, each counted over the valid pixels of the whole batch.

    References
    ----------
    Milletari et al., V-Net, 3DV 2016, with plain sums for squared ones as is common since.
    """
    probability_NC, target_N = valid_pixels(logits_BCHW.float().softmax(1), mask_BHW)
    truth_NC = functional.one_hot(target_N, logits_BCHW.shape[1]).to(probability_NC.dtype)
    overlap = (probability_NC * truth_NC).sum(0)
    size = probability_NC.sum(0) + truth_NC.sum(0)
    return (1 - (2 * overlap + DICE_SMOOTHING) / (size + DICE_SMOOTHING)).mean()


def lovasz_softmax(logits_BCHW: torch.Tensor, mask_BHW: torch.Tensor) -> torch.Tensor:
    """Lovasz extension of the Jaccard loss, the mean over the classes that the batch holds.

    Notes
    -----
    With a class's errors sorted downwards, the extension weighs each with what the Jaccard loss gains when
    that pixel joins the wrong ones; sorting 16 crops of 256 px costs more than all other terms together.

    References
    ----------
    Berman et al., The Lovasz-Softmax loss, CVPR 2018, equations 8 to 11.
    """
    probability_NC, target_N = valid_pixels(logits_BCHW.float().softmax(1), mask_BHW)
    present = torch.unique(target_N).tolist()
    if not present:
        return probability_NC.sum()  # no pixel: 0, and a graph for backward
    costs = [_lovasz_of_class(probability_NC[:, c], (target_N == c).float()) for c in present]
    return torch.stack(costs).mean()


def _lovasz_of_class(probability_N: torch.Tensor, truth_N: torch.Tensor) -> torch.Tensor:
    errors, order = (truth_N - probability_N).abs().sort(descending=True)
    truth = truth_N[order]
    # With the i worst pixels wrong: what is still right of the class, and the union it is set against.
    # Counted as integers: CUDA has no deterministic sum of floats along the way.
    found = truth.long().cumsum(0)
    ranks = torch.arange(1, len(found) + 1, device=found.device)
    right = truth.sum() - found
    union = truth.sum() + (ranks - found)
    jaccard_loss = 1 - right / union
    return errors @ torch.diff(jaccard_loss, prepend=jaccard_loss.new_zeros(1))


def boundary_loss(
    logits_BCHW: torch.Tensor, mask_BHW: torch.Tensor, distance_BCHW: torch.Tensor
) -> torch.Tensor:
    """Mean of probability x signed distance over valid pixels and classes: pixels, negative when it fits.

    Parameters
    ----------
    logits_BCHW : (B, C, h, w) float Tensor
    mask_BHW : (B, h, w) int64 Tensor
    distance_BCHW : (B, C, h, w) float32 Tensor
        From `signed_distances`.

    References
    ----------
    Kervadec et al., Boundary loss for highly unbalanced segmentation, MIDL 2019, equation 5.
    """
    product = logits_BCHW.float().softmax(1) * distance_BCHW
    valid = (mask_BHW != IGNORE)[:, None]
    return (product * valid).sum() / (valid.sum().clamp(min=1) * logits_BCHW.shape[1])


def signed_distances(mask_BHW: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Distance of every pixel to the boundary of every class, negative inside.

    Parameters
    ----------
    mask_BHW : (B, h, w) int64 Tensor
    num_classes : int

    Returns
    -------
    (B, C, h, w) float32 Tensor
        Pixels, on the mask's device: outside, the distance to the nearest pixel of the class; inside, 1 less
        the distance to the nearest pixel that is not, so a boundary pixel has 0. All 0 where the crop lacks
        the class or holds nothing else, as there is no boundary then.
    """
    masks = mask_BHW.cpu().numpy()
    maps = np.stack([[_signed_distance(mask == c) for c in range(num_classes)] for mask in masks])
    return torch.from_numpy(maps).to(mask_BHW.device)


def _signed_distance(inside_HW: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    if inside_HW.all() or not inside_HW.any():
        return np.zeros(inside_HW.shape, np.float32)
    outer, inner = (_distance(side) for side in (~inside_HW, inside_HW))
    return np.where(inside_HW, 1 - inner, outer)


def _distance(side_HW: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Distance of every pixel of one side to the other side."""
    found = cv2.distanceTransform(side_HW.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # OpenCV's last bit changes from call to call; squared distances between pixels are whole numbers.
    exact: npt.NDArray[np.float32] = np.sqrt(np.rint(np.square(found, dtype=np.float64))).astype(np.float32)
    return exact
