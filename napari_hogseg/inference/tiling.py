"""A network applied in overlapping windows, their outputs blended.

The blend is MONAI's (`monai.inferers.sliding_window_inference`): raw outputs, weights Gaussian (sigma an
eighth of the window, never below 0.001) or constant. Where the frame is smaller than the window, the window
shrinks; MONAI pads with zeros there.

Legend: B batch, C channels, H, W the input's size, h, w the window's.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

Blend = Literal["gaussian", "constant"]

SIGMA_SHARE = 0.125
LEAST_WEIGHT = 1e-3
#: Windows a forward pass takes at once: bounds the memory, whatever the frame's size.
WINDOWS_AT_ONCE = 4


def predict_in_windows(
    network: Callable[[torch.Tensor], torch.Tensor],
    x_CHW: torch.Tensor,
    window_px: int,
    overlap: float,
    blend: Blend = "gaussian",
) -> torch.Tensor:
    """Apply a network to a frame in windows.

    Parameters
    ----------
    network : callable
        (B, 3, h, w) float32 to (B, C, h, w) float32.
    x_CHW : (3, H, W) float32 Tensor
    window_px : int
        Side of a window.
    overlap : float
        Share of a window that the next one covers, 0 to below 1.
    blend : {"gaussian", "constant"}
        Weights of a window's pixels.

    Returns
    -------
    (C, H, W) float32 Tensor
        On the input's device.
    """
    height, width = x_CHW.shape[1:]
    size = min(window_px, height), min(window_px, width)
    weights_hw = (gaussian_weights(*size) if blend == "gaussian" else torch.ones(size)).to(x_CHW.device)
    corners = list(product(starts(height, size[0], overlap), starts(width, size[1], overlap)))
    total: torch.Tensor | None = None
    covered = torch.zeros((height, width), device=x_CHW.device)
    for begin in range(0, len(corners), WINDOWS_AT_ONCE):
        batch = corners[begin : begin + WINDOWS_AT_ONCE]
        places = [(slice(row, row + size[0]), slice(column, column + size[1])) for row, column in batch]
        outputs = network(torch.stack([x_CHW[:, rows, columns] for rows, columns in places])).float()
        if total is None:
            total = torch.zeros((outputs.shape[1], height, width), device=x_CHW.device)
        for (rows, columns), output in zip(places, outputs, strict=True):
            total[:, rows, columns] += output * weights_hw
            covered[rows, columns] += weights_hw
    assert total is not None  # noqa: S101 - there is a window at 0, 0
    return total / covered


def starts(length: int, window: int, overlap: float) -> list[int]:
    """First pixels of the windows along one side: evenly spaced, the last one flush with the end."""
    step = max(1, int(window * (1 - overlap)))
    return [min(first, length - window) for first in range(0, max(1, length - window + step), step)]


def gaussian_weights(height: int, width: int) -> torch.Tensor:
    """Weights of a window's pixels, (height, width) float32: 1 at the centre, never below `LEAST_WEIGHT`."""
    sides = []
    for length in (height, width):
        offset = torch.arange(length, dtype=torch.float32) - (length - 1) / 2
        sides.append(torch.exp(-(offset**2) / (2 * (SIGMA_SHARE * length) ** 2)))
    weights: torch.Tensor = sides[0][:, None] * sides[1][None, :]
    return weights.clamp(min=max(float(weights.min()), LEAST_WEIGHT))
