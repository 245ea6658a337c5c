"""The multi-task loss, the paper's equation 1, with its terms apart.

Legend: B batch, C classes, h, w crop size, D length of the HOG target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

from napari_hogseg.data.scheme import IGNORE

if TYPE_CHECKING:
    from napari_hogseg.models.multitask import MultiTaskOutput
    from napari_hogseg.runs.config import LossConfig


class LossTerms(NamedTuple):
    """The loss and what it is made of; `ce` and `mse` are sums before their weights."""

    loss: torch.Tensor
    ce: torch.Tensor
    mse: torch.Tensor


def multi_task_loss(
    output: MultiTaskOutput, mask: torch.Tensor, hog: torch.Tensor, config: LossConfig
) -> LossTerms:
    """Compute L = alpha * sum of CE over all outputs + beta * sum of MSE over all heads.

    Parameters
    ----------
    output : MultiTaskOutput
        Logits (B, C, h, w) of every side, HOG predictions (B, D) of every head.
    mask : (B, h, w) int64 Tensor
        Class ids; ignore is left out of the mean.
    hog : (B, D) float32 Tensor
        Not read when beta is 0.
    config : LossConfig

    Returns
    -------
    LossTerms
        Scalars. A crop without a single valid pixel contributes 0, not NaN.

    References
    ----------
    Bhattarai et al., Histogram of Oriented Gradients Meet Deep Learning, MedIA 2023, equation 1.
    """
    num_valid = (mask != IGNORE).sum().clamp(min=1)
    ce = sum(
        (
            functional.cross_entropy(logits.float(), mask, ignore_index=IGNORE, reduction="sum") / num_valid
            for logits in output.logits
        ),
        torch.zeros((), device=mask.device),
    )
    mse = torch.zeros((), device=mask.device)
    if config.beta > 0:
        mse = sum((functional.mse_loss(head.float(), hog) for head in output.hog), mse)
    return LossTerms(config.alpha * ce + config.beta * mse, ce, mse)
