"""U-Net with batch normalisation, for frames of any size.

Source: Ronneberger et al., MICCAI 2015, with padded convolutions. Owns the network only: initial weights are
PyTorch's defaults, heads and losses live elsewhere.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_hogseg.models.trunk import Trunk, TrunkOutput, pad_to_multiple, resize_like

_STRIDE = 16  # four poolings


class UNet(Trunk):
    """Four-level U-Net.

    Parameters
    ----------
    num_classes : int
        Output channels.
    width : int
        Channels of the first level; every level below has twice as many. 64 is the paper's.
    upsampling : {"transposed", "bilinear"}
        "transposed" has a bottleneck of 16 * width channels (the tap of the HOG head); "bilinear" has half of
        that.

    Notes
    -----
    Frames whose height or width is no multiple of 16 are padded on the right and at the bottom by repeating
    the edge, and the logits are cropped back.
    """

    family: ClassVar[str] = "unet"
    tap_names: tuple[str, ...] = ("bottleneck",)

    def __init__(
        self, num_classes: int, width: int = 64, upsampling: Literal["transposed", "bilinear"] = "transposed"
    ) -> None:
        super().__init__()
        bottleneck = width * (16 if upsampling == "transposed" else 8)
        levels = (width, 2 * width, 4 * width, 8 * width)
        self.num_classes = num_classes
        self.tap_channels = (bottleneck,)
        self.encoder = nn.ModuleList(
            _conv_pair(c_in, c_out, c_out) for c_in, c_out in zip((3, *levels), levels, strict=False)
        )
        self.bottleneck = _conv_pair(levels[-1], bottleneck, bottleneck)
        up = _TransposedUp if upsampling == "transposed" else _BilinearUp
        self.decoder = nn.ModuleList(up(channels, last=channels == width) for channels in reversed(levels))
        self.classifier = nn.Conv2d(width, num_classes, kernel_size=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Compute logits (B, num_classes, H, W) for frames (B, 3, H, W) in [0, 1]."""
        return self.forward_deep(x_BCHW).logits[0]

    def forward_deep(self, x_BCHW: Tensor) -> TrunkOutput:
        """Compute logits and the bottleneck map; a U-Net has no side outputs."""
        height, width = x_BCHW.shape[-2:]
        x = pad_to_multiple(x_BCHW, _STRIDE)
        skips: list[Tensor] = []
        for level in self.encoder:
            x = level(x)
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        tap = x = self.bottleneck(x)
        for level, skip in zip(self.decoder, reversed(skips), strict=True):
            x = level(x, skip)
        return TrunkOutput([self.classifier(x)[..., :height, :width]], [tap])


class _TransposedUp(nn.Module):
    """Learned upsampling from 2 * channels, joined with the skip connection."""

    def __init__(self, channels: int, *, last: bool) -> None:  # noqa: ARG002 - same form as _BilinearUp
        super().__init__()
        self.up = nn.ConvTranspose2d(2 * channels, channels, kernel_size=2, stride=2)
        self.convs = _conv_pair(2 * channels, channels, channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.convs(torch.cat([skip, self.up(x)], dim=1))  # type: ignore[no-any-return]


class _BilinearUp(nn.Module):
    """Bilinear upsampling; channels halve in the convolutions, but not in the last level."""

    def __init__(self, channels: int, *, last: bool) -> None:
        super().__init__()
        self.convs = _conv_pair(2 * channels, channels, channels if last else channels // 2)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.convs(torch.cat([skip, resize_like(x, skip)], dim=1))  # type: ignore[no-any-return]


def _conv_pair(c_in: int, c_mid: int, c_out: int) -> nn.Sequential:
    # The bias is redundant before a batch norm; it is kept so that the parameter count is the paper's.
    return nn.Sequential(
        nn.Conv2d(c_in, c_mid, kernel_size=3, padding=1),
        nn.BatchNorm2d(c_mid),
        nn.ReLU(inplace=True),
        nn.Conv2d(c_mid, c_out, kernel_size=3, padding=1),
        nn.BatchNorm2d(c_out),
        nn.ReLU(inplace=True),
    )
