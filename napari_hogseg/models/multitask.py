"""The multi-task network: one trunk, and regression heads that exist for training only.

Owns the switch between training and evaluation. Layers are the trunk's and the heads'; weights on disk are
`runs`'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor, nn

from napari_hogseg.features.grid import HogGrid
from napari_hogseg.features.hog import HogParams
from napari_hogseg.io.errors import InputError
from napari_hogseg.models.heads import OFFICIAL_INPUT_PX, HeadKind, build_heads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_hogseg.models.trunk import Trunk


class MultiTaskOutput(NamedTuple):
    """What a training step sees.

    Attributes
    ----------
    logits : list of (B, C, H, W) float32 Tensor
        Fused logits first, then the side outputs at input size: 7 for U2-Net, 1 for U-Net.
    hog : list of (B, D) float32 Tensor
        One predicted descriptor per tap: 6 for U2-Net, 1 for U-Net, none without heads.
    """

    logits: list[Tensor]
    hog: list[Tensor]


class MultiTaskNetwork(nn.Module):
    """Segmentation trunk with HOG regression heads.

    In training mode a forward pass returns a `MultiTaskOutput`. In evaluation mode it returns the fused
    logits (B, C, H, W) alone: heads and full-size side outputs are not computed.

    Parameters
    ----------
    trunk : Trunk
        The segmentation network.
    heads : ModuleList
        One head per tap, or empty.
    head : {"grid", "official", "table1", "none"}
        The kind that `heads` are.
    hog_dim : int
        Length D of the descriptors; 0 without heads.
    """

    def __init__(self, trunk: Trunk, heads: nn.ModuleList, head: HeadKind, hog_dim: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = heads
        self.head = head
        self.hog_dim = hog_dim

    @property
    def num_classes(self) -> int:
        """Channels of the logits."""
        return self.trunk.num_classes

    @property
    def required_input_px(self) -> int | None:
        """Height and width that training crops must have, in pixels; None where any size works."""
        return OFFICIAL_INPUT_PX if self.head == "official" else None

    def forward(self, x_BCHW: Tensor) -> Tensor | MultiTaskOutput:
        """Run the network on frames (B, 3, H, W) float32 in [0, 1].

        Raises
        ------
        InputError
            In training with `official` heads, if the frames are not 256x256.
        """
        if not self.training:
            return self.trunk(x_BCHW)  # type: ignore[no-any-return]
        self._check_size(x_BCHW)
        logits, taps = self.trunk.forward_deep(x_BCHW)
        return MultiTaskOutput(logits, [head(tap) for head, tap in zip(self.heads, taps, strict=False)])

    def predict_targets(self, x_BCHW: Tensor) -> list[Tensor]:
        """Predict the heads' targets, each (B, D), in whatever mode the network is; see `forward`."""
        self._check_size(x_BCHW)
        taps = self.trunk.forward_deep(x_BCHW).taps
        return [head(tap) for head, tap in zip(self.heads, taps, strict=False)]

    def trunk_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the segmentation network, for an optimiser of its own."""
        return self.trunk.parameters()

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the regression heads, for an optimiser of their own; empty without heads."""
        return self.heads.parameters()

    def _check_size(self, x_BCHW: Tensor) -> None:
        height, width = x_BCHW.shape[-2:]
        px = self.required_input_px
        if px is not None and (height, width) != (px, px):
            raise InputError(
                f'head "official" accepts {px}x{px} crops only, these are {height}x{width}',
                where="head",
                remedy=f'Crop to {px}, or use head "grid" (any size).',
            )


def with_heads(trunk: Trunk, head: HeadKind, hog: HogParams | HogGrid | None) -> MultiTaskNetwork:
    """Give a trunk one fresh head per tap; `hog` is the heads' target, the paper's `official-504` by default.

    Raises
    ------
    InputError
        If the head's name is unknown or not for this trunk, or `hog` has no fixed length.
    """
    if hog is None:
        hog = HogParams.preset("official-504")
    if head != "none" and not trunk.tap_channels:
        raise InputError("a head needs a tap", where="taps", remedy='Name a submodule, or use head "none".')
    heads = build_heads(head, trunk.family, trunk.tap_channels, hog)
    if head == "none":
        return MultiTaskNetwork(trunk, heads, head, 0)
    grid = hog if isinstance(hog, HogGrid) else HogGrid.of(hog)
    return MultiTaskNetwork(trunk, heads, head, grid.dim)
