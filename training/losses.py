"""The multi-task loss, the paper's equation 1, with its terms apart.

Owns how the terms are weighted and summed over the outputs; each segmentation term is `segmentation_losses`'.

Legend: B batch, C classes, h, w crop size, D length of the HOG target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

from training.segmentation_losses import (
    boundary_loss,
    cross_entropy,
    dice_loss,
    focal_loss,
    lovasz_softmax,
    signed_distances,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_hogseg.models.multitask import MultiTaskOutput
    from napari_hogseg.runs.config import LossConfig

    Term = Callable[[torch.Tensor], torch.Tensor]


class LossTerms(NamedTuple):
    """The loss and what it is made of: sums over outputs or heads, before their weights."""

    loss: torch.Tensor
    ce: torch.Tensor
    mse: torch.Tensor
    extra: dict[str, torch.Tensor]
    """Segmentation terms besides the cross entropy; those of weight 0 are not computed and not here."""
    tasks: tuple[torch.Tensor, ...] = ()
    """The loss's two parts, weighted: alpha * segmentation, beta * HOG; empty once detached."""

    def detached(self) -> LossTerms:
        """Give the same numbers without their graph."""
        extra = {name: term.detach() for name, term in self.extra.items()}
        return LossTerms(self.loss.detach(), self.ce.detach(), self.mse.detach(), extra)


def multi_task_loss(
    output: MultiTaskOutput,
    mask: torch.Tensor,
    hog: torch.Tensor,
    config: LossConfig,
    class_weights: torch.Tensor | None = None,
) -> LossTerms:
    """Compute L = alpha * sum of the segmentation loss over all outputs + beta * sum of MSE over all heads.

    The segmentation loss is the recipe's weighted sum of terms; the paper's is cross entropy alone.

    Parameters
    ----------
    output : MultiTaskOutput
        Logits (B, C, h, w) of every side, HOG predictions (B, D) of every head.
    mask : (B, h, w) int64 Tensor
        Class ids; ignore is left out of the mean.
    hog : (B, D) float32 Tensor
        Not read when beta is 0.
    config : LossConfig
    class_weights : (C,) float32 Tensor, optional
        For the cross entropy and the focal loss.

    Returns
    -------
    LossTerms
        Scalars. A crop without a single valid pixel contributes 0, not NaN.

    References
    ----------
    Bhattarai et al., Histogram of Oriented Gradients Meet Deep Learning, MedIA 2023, equation 1.
    """
    zero = torch.zeros((), device=mask.device)
    with torch.set_grad_enabled(torch.is_grad_enabled() and config.ce > 0):  # of weight 0: for the log alone
        ce = sum((cross_entropy(logits, mask, class_weights) for logits in output.logits), zero)
    terms = _extra_terms(mask, output.logits[0].shape[1], config, class_weights)
    extra = {name: sum((term(logits) for logits in output.logits), zero) for name, term in terms.items()}
    segmentation = sum((getattr(config, name) * term for name, term in extra.items()), config.ce * ce)
    mse = zero
    if config.beta > 0:
        mse = sum((functional.mse_loss(head.float(), hog) for head in output.hog), mse)
    tasks = (config.alpha * segmentation, config.beta * mse)
    return LossTerms(tasks[0] + tasks[1], ce, mse, extra, tasks)


def _extra_terms(
    mask: torch.Tensor, num_classes: int, config: LossConfig, class_weights: torch.Tensor | None
) -> dict[str, Term]:
    """Terms of the recipe by their field's name; the distance maps are made once for all outputs."""
    terms: dict[str, Term] = {}
    if config.dice > 0:
        terms["dice"] = lambda logits: dice_loss(logits, mask)
    if config.focal > 0:
        terms["focal"] = lambda logits: focal_loss(logits, mask, config.focal_gamma, class_weights)
    if config.lovasz > 0:
        terms["lovasz"] = lambda logits: lovasz_softmax(logits, mask)
    if config.boundary > 0:
        distances = signed_distances(mask, num_classes)
        terms["boundary"] = lambda logits: boundary_loss(logits, mask, distances)
    return terms
