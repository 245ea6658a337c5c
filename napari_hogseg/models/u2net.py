"""U2-Net and its small sibling U2-Net-P: a U-Net whose every stage is a U-Net itself.

Source: Qin et al., "U2-Net: Going deeper with nested U-structure", Pattern Recognition 2020 (stage table:
Figure 5 and Table 1 there). Names of parameters are those of the weights its authors publish, so that these
load by name (`napari_hogseg.models.initial_weights`). Initial weights are PyTorch's defaults; logits are raw,
without a sigmoid.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_hogseg.models.trunk import Trunk, TrunkOutput, resize_like


class StageWidths(NamedTuple):
    """Channels of one residual U-block: its input, its inner convolutions, its output."""

    c_in: int
    c_mid: int
    c_out: int


#: Depth of each encoder stage's block (decoder stages mirror the first five); None is the dilated block
#: without pooling.
ENCODER_DEPTHS: tuple[int | None, ...] = (7, 6, 5, 4, None, None)

U2NET_STAGES: dict[str, StageWidths] = {
    "stage1": StageWidths(3, 32, 64),
    "stage2": StageWidths(64, 32, 128),
    "stage3": StageWidths(128, 64, 256),
    "stage4": StageWidths(256, 128, 512),
    "stage5": StageWidths(512, 256, 512),
    "stage6": StageWidths(512, 256, 512),
    "stage5d": StageWidths(1024, 256, 512),
    "stage4d": StageWidths(1024, 128, 256),
    "stage3d": StageWidths(512, 64, 128),
    "stage2d": StageWidths(256, 32, 64),
    "stage1d": StageWidths(128, 16, 64),
}
U2NETP_STAGES: dict[str, StageWidths] = {
    "stage1": StageWidths(3, 16, 64),
    **{f"stage{i}": StageWidths(64, 16, 64) for i in range(2, 7)},
    **{f"stage{i}d": StageWidths(128, 16, 64) for i in range(5, 0, -1)},
}


class U2Net(Trunk):
    """Nested U-Net with six side outputs that are fused by a 1x1 convolution.

    Parameters
    ----------
    num_classes : int
        Channels of the logits.
    stages : dict of str to StageWidths
        `U2NET_STAGES` (44 M parameters) or `U2NETP_STAGES` (1.1 M).

    Notes
    -----
    Any input size works: pooling rounds up and every upsampling takes the size of the map it meets. The taps
    are the decoder's stage maps hx1d..hx5d and the bottleneck hx6, finest first.
    """

    family: ClassVar[str] = "u2net"
    tap_names: tuple[str, ...] = ("hx1d", "hx2d", "hx3d", "hx4d", "hx5d", "hx6")
    stage6: DilatedBlock

    def __init__(self, num_classes: int, stages: dict[str, StageWidths] = U2NET_STAGES) -> None:
        super().__init__()
        self.num_classes = num_classes
        for name, widths in stages.items():
            depth = ENCODER_DEPTHS[int(name[5]) - 1]
            self.add_module(name, DilatedBlock(widths) if depth is None else PooledBlock(depth, widths))
        tapped = [f"stage{i}d" for i in range(1, 6)] + ["stage6"]
        self.tap_channels = tuple(stages[name].c_out for name in tapped)
        for i, channels in enumerate(self.tap_channels, start=1):
            self.add_module(f"side{i}", nn.Conv2d(channels, num_classes, kernel_size=3, padding=1))
        self.outconv = nn.Conv2d(6 * num_classes, num_classes, kernel_size=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Compute fused logits (B, num_classes, H, W) for frames (B, 3, H, W) in [0, 1].

        All six sides feed the fusion. Because it is a 1x1 convolution, each side is weighted at its own
        resolution before it is upsampled, and the six full-size side logits of `forward_deep` are never made.
        """
        sides = self._sides(self._taps(x_BCHW))
        weights = torch.split(self.outconv.weight, self.num_classes, dim=1)
        fused = functional.conv2d(sides[0], weights[0], self.outconv.bias)
        for side, weight in zip(sides[1:], weights[1:], strict=True):
            fused = fused + resize_like(functional.conv2d(side, weight), fused)
        return fused

    def forward_deep(self, x_BCHW: Tensor) -> TrunkOutput:
        """Compute fused logits, the six side logits at input size (finest first) and the six taps."""
        taps = self._taps(x_BCHW)
        sides = [resize_like(side, x_BCHW) for side in self._sides(taps)]
        return TrunkOutput([self.outconv(torch.cat(sides, dim=1)), *sides], taps)

    def _sides(self, taps: list[Tensor]) -> list[Tensor]:
        return [getattr(self, f"side{i}")(tap) for i, tap in enumerate(taps, start=1)]

    def _taps(self, x: Tensor) -> list[Tensor]:
        skips: list[Tensor] = []
        for i in range(1, 6):
            skips.append(getattr(self, f"stage{i}")(x))
            x = _halve(skips[-1])
        taps = [self.stage6(x)]
        for i in range(5, 0, -1):
            skip = skips[i - 1]
            taps.append(getattr(self, f"stage{i}d")(torch.cat([resize_like(taps[-1], skip), skip], dim=1)))
        return [*reversed(taps[1:]), taps[0]]


class PooledBlock(nn.Module):
    """Residual U-block RSU-`depth`: a small U-Net with `depth - 2` poolings, dilated at the bottom."""

    rebnconvin: ConvNormReLU

    def __init__(self, depth: int, widths: StageWidths) -> None:
        super().__init__()
        self.depth = depth
        dilations = [1] * (depth - 1) + [2]
        _add_block_convs(self, widths, dilations, [1] * (depth - 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, c_in, h, w) to (B, c_out, h, w)."""
        residual = x = self.rebnconvin(x)
        skips: list[Tensor] = []
        for i in range(1, self.depth):
            x = getattr(self, f"rebnconv{i}")(x if i == 1 else _halve(x))
            skips.append(x)
        x = getattr(self, f"rebnconv{self.depth}")(x)
        for i in range(self.depth - 1, 0, -1):
            skip = skips[i - 1]
            x = getattr(self, f"rebnconv{i}d")(torch.cat([resize_like(x, skip), skip], dim=1))
        return x + residual  # type: ignore[no-any-return]


class DilatedBlock(nn.Module):
    """Residual U-block of depth 4 without pooling (RSU-4F): dilations 1, 2, 4, 8 widen the view instead."""

    rebnconvin: ConvNormReLU
    rebnconv1: ConvNormReLU
    rebnconv2: ConvNormReLU
    rebnconv3: ConvNormReLU
    rebnconv4: ConvNormReLU
    rebnconv3d: ConvNormReLU
    rebnconv2d: ConvNormReLU
    rebnconv1d: ConvNormReLU

    def __init__(self, widths: StageWidths) -> None:
        super().__init__()
        _add_block_convs(self, widths, [1, 2, 4, 8], [1, 2, 4])

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, c_in, h, w) to (B, c_out, h, w)."""
        residual = self.rebnconvin(x)
        x1 = self.rebnconv1(residual)
        x2 = self.rebnconv2(x1)
        x3 = self.rebnconv3(x2)
        x = self.rebnconv3d(torch.cat([self.rebnconv4(x3), x3], dim=1))
        x = self.rebnconv2d(torch.cat([x, x2], dim=1))
        return self.rebnconv1d(torch.cat([x, x1], dim=1)) + residual  # type: ignore[no-any-return]


class ConvNormReLU(nn.Module):
    """3x3 convolution with bias, batch normalisation, ReLU, under the public weights' names."""

    def __init__(self, c_in: int, c_out: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv_s1 = nn.Conv2d(c_in, c_out, kernel_size=3, padding=dilation, dilation=dilation)
        self.bn_s1 = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, c_in, h, w) to (B, c_out, h, w)."""
        return functional.relu(self.bn_s1(self.conv_s1(x)), inplace=True)


def _add_block_convs(block: nn.Module, widths: StageWidths, down: list[int], up: list[int]) -> None:
    """Add rebnconvin, rebnconv1..n and rebnconv(n-1)d..1d with the given dilations, outermost first."""
    c_in, c_mid, c_out = widths
    block.add_module("rebnconvin", ConvNormReLU(c_in, c_out))
    for i, dilation in enumerate(down, start=1):
        block.add_module(f"rebnconv{i}", ConvNormReLU(c_out if i == 1 else c_mid, c_mid, dilation))
    for i in range(len(up), 0, -1):
        block.add_module(f"rebnconv{i}d", ConvNormReLU(2 * c_mid, c_out if i == 1 else c_mid, up[i - 1]))


def _halve(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, kernel_size=2, stride=2, ceil_mode=True)
