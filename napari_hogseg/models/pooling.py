"""Average pooling to a fixed map, in the form that the process asks for. Nothing else is pooled here."""

from __future__ import annotations

import torch
from torch.nn import functional


def pool_to_cells(x_BCHW: torch.Tensor, cells: tuple[int, int]) -> torch.Tensor:
    """Average a map over cells that divide it as evenly as whole pixels allow, overlapping where they must.

    Parameters
    ----------
    x_BCHW : (B, C, H, W) float Tensor
    cells : (int, int)
        Rows and columns.

    Returns
    -------
    (B, C, rows, columns) float Tensor
        As `torch.nn.functional.adaptive_avg_pool2d`, which has no deterministic gradient on CUDA: where
        deterministic algorithms are asked for, the same means are two products with matrices.
    """
    if not torch.are_deterministic_algorithms_enabled():
        return functional.adaptive_avg_pool2d(x_BCHW, cells)
    rows, columns = (_averaging(size, num, x_BCHW) for size, num in zip(x_BCHW.shape[2:], cells, strict=True))
    return rows @ x_BCHW @ columns.T


def _averaging(size: int, num_cells: int, like: torch.Tensor) -> torch.Tensor:
    """Matrix (cells, size) that averages `size` pixels into cells, of the type and device of `like`."""
    cell = torch.arange(num_cells, device=like.device)[:, None]
    pixel = torch.arange(size, device=like.device)
    first, end = cell * size // num_cells, -(-(cell + 1) * size // num_cells)
    inside = (pixel >= first) & (pixel < end)
    return (inside / (end - first)).to(like.dtype)
