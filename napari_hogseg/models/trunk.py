"""What every segmentation network here offers: fused logits, and in training its side outputs and taps.

Owns the contract and the resizing that the networks share. It knows nothing of HOG or of losses.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from torch import Tensor, nn
from torch.nn import functional


class TrunkOutput(NamedTuple):
    """Everything a trunk computes on the way to its fused logits.

    Attributes
    ----------
    logits : list of (B, C, H, W) Tensor
        Fused logits first, then the side outputs (if any) at input size.
    taps : list of (B, tap_channels[i], h, w) Tensor
        Feature maps for auxiliary heads, at their own sizes.
    """

    logits: list[Tensor]
    taps: list[Tensor]


class Trunk(nn.Module, ABC):
    """A segmentation network whose inner feature maps can be tapped.

    Attributes
    ----------
    family : str
        Which official heads fit, if any.
    tap_names : tuple of str
        Names of the tapped feature maps.
    num_classes : int
        Channels of every logits tensor.
    tap_channels : tuple of int
        Channels of the tapped feature maps, in the order of `TrunkOutput.taps`.
    """

    family: ClassVar[str]
    tap_names: tuple[str, ...]
    num_classes: int
    tap_channels: tuple[int, ...]

    @abstractmethod
    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Compute the fused logits alone, (B, num_classes, H, W)."""

    @abstractmethod
    def forward_deep(self, x_BCHW: Tensor) -> TrunkOutput:
        """Compute fused logits, side outputs and taps."""


def resize_like(x_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """Resize bilinearly (half-pixel centres) to the target's height and width; a no-op where they agree."""
    size = target_BCHW.shape[-2:]
    if x_BCHW.shape[-2:] == size:
        return x_BCHW
    return functional.interpolate(x_BCHW, size=size, mode="bilinear", align_corners=False)


def pad_to_multiple(x_BCHW: Tensor, multiple: int) -> Tensor:
    """Repeat the edge on the right and at the bottom up to a multiple; a no-op where that is reached."""
    height, width = x_BCHW.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    if not (bottom or right):
        return x_BCHW
    return functional.pad(x_BCHW, (0, right, 0, bottom), mode="replicate")
