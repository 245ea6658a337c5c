"""Regression heads: from a tapped feature map to a HOG descriptor.

Owns their layers. The descriptor and its geometry are `napari_hogseg.features`'; the loss is the training's.

Kinds
-----
grid
    The default. Keeps HOG's own geometry: features are averaged over HOG's cells, and a convolution of the
    block's size slides over them as HOG's blocks do. Any input size; about 3 M parameters on U2-Net.
official
    The layers of the paper's released code: 256x256 input only, about 55 M parameters on U2-Net.
table1
    The paper's Table 1, which gives the same convolutions, poolings and the 504 outputs, but no input size.
    Built as `official` with an average pooling to the linear layer's fixed map in between: the same function
    (and the same state_dict) at 256x256, and any other size is accepted.
none
    No heads: plain segmentation.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from napari_hogseg.features.grid import HogGrid
from napari_hogseg.io.errors import InputError
from napari_hogseg.models.pooling import pool_to_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hogseg.features.hog import HogParams

HeadKind = Literal["grid", "official", "table1", "none"]
HEAD_KINDS: tuple[HeadKind, ...] = ("grid", "official", "table1", "none")

#: Height and width in pixels of the only crop that the `official` heads accept.
OFFICIAL_INPUT_PX = 256


class _Stage(NamedTuple):
    """3x3 convolution to `channels`, ReLU, then max pooling by `pool` (1: none)."""

    channels: int
    pool: int = 1


#: For each tap, finest first: its stages. All end in 256 channels.
_OFFICIAL_STAGES: dict[str, tuple[tuple[_Stage, ...], ...]] = {
    "u2net": (
        (_Stage(128, 4), _Stage(256, 4), _Stage(256, 2)),
        (_Stage(256, 4), _Stage(256, 4)),
        (_Stage(256, 4), _Stage(256, 2)),
        (_Stage(256, 4),),
        (_Stage(256, 2),),
        (_Stage(256),),
    ),
    "unet": ((_Stage(512, 2), _Stage(256, 2)),),
}
#: Rows (= columns) of the map that the linear layer sees, for a 256x256 input.
_OFFICIAL_MAP_CELLS = {"u2net": 8, "unet": 4}

_MIN_HIDDEN, _MAX_HIDDEN = 16, 160


class GridHead(nn.Module):
    """Head with the geometry of HOG: (B, c_in, h, w) of any size to (B, D) in skimage's order.

    Features are averaged over each cell (replicated where the map is coarser than the cells), then a
    convolution of block_cells x block_cells without padding gives one value vector per block, as HOG's
    overlapping blocks do.

    Parameters
    ----------
    c_in : int
        Channels of the tap. The hidden width is half of it, between 16 and 160: a head stays small beside its
        network.
    grid : HogGrid
        Geometry of the descriptor.
    """

    def __init__(self, c_in: int, grid: HogGrid) -> None:
        super().__init__()
        hidden = min(max(c_in // 2, _MIN_HIDDEN), _MAX_HIDDEN)
        self.cell_shape = (grid.cell_rows, grid.cell_cols)
        self.orient = nn.Conv2d(c_in, hidden, kernel_size=3, padding=1)
        # On the cells, where it costs nothing: HOG is contrast-normalised too, and regresses faster this way.
        self.norm = nn.BatchNorm2d(hidden)
        self.mix = nn.Conv2d(hidden, hidden, kernel_size=3, padding=1)
        self.block = nn.Conv2d(hidden, hidden, kernel_size=grid.block_cells)
        self.values = nn.Conv2d(hidden, grid.block_values, kernel_size=1)

    def forward(self, tap_BCHW: Tensor) -> Tensor:
        """Predict descriptors (B, D)."""
        x = functional.relu(self.orient(tap_BCHW), inplace=True)
        x = self.norm(pool_to_cells(x, self.cell_shape))
        x = functional.relu(self.mix(x), inplace=True)
        x = functional.relu(self.block(x), inplace=True)
        # (B, values, block row, block col) -> (B, block row, block col, values): skimage's order.
        return self.values(x).permute(0, 2, 3, 1).flatten(1)  # type: ignore[no-any-return]


class StageHead(nn.Module):
    """Head of the released code: convolutions and poolings to a fixed map, then one linear layer.

    Parameters
    ----------
    c_in : int
        Channels of the tap.
    stages : sequence of stages
        Convolution and pooling steps.
    map_cells : int
        Rows and columns of the map that is flattened.
    dim : int
        Length D of the descriptor.
    pool_to_map : bool
        Average-pool whatever the stages leave to that map (`table1`); else the map must have that size
        (`official`).
    """

    def __init__(
        self, c_in: int, stages: Sequence[_Stage], map_cells: int, dim: int, *, pool_to_map: bool
    ) -> None:
        super().__init__()
        widths = [c_in, *(stage.channels for stage in stages)]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, kernel_size=3, padding=1) for a, b in pairwise(widths))
        self.pools = tuple(stage.pool for stage in stages)
        self.map_cells, self.pool_to_map = map_cells, pool_to_map
        self.linear = nn.Linear(widths[-1] * map_cells**2, dim)

    def forward(self, tap_BCHW: Tensor) -> Tensor:
        """Predict descriptors (B, D)."""
        x = tap_BCHW
        for conv, pool in zip(self.convs, self.pools, strict=True):
            x = functional.relu(conv(x), inplace=True)
            if pool > 1:
                x = functional.max_pool2d(x, pool, ceil_mode=True)
        if self.pool_to_map:
            x = pool_to_cells(x, (self.map_cells, self.map_cells))
        return self.linear(x.flatten(1))  # type: ignore[no-any-return]


def build_heads(
    kind: HeadKind, family: str, tap_channels: Sequence[int], hog: HogParams | HogGrid
) -> nn.ModuleList:
    """Build one head per tap (none for `kind="none"`).

    Parameters
    ----------
    kind : {"grid", "official", "table1", "none"}
        See the module's docstring.
    family : {"u2net", "unet", "tapped"}
        Which network's official layers; "tapped" has none.
    tap_channels : sequence of int
        Channels of each tap, finest first.
    hog : HogParams or HogGrid
        The target, or the geometry of any pseudo-label; it gives D.

    Raises
    ------
    InputError
        If `kind` is unknown or not defined for this family, or the descriptor's length would depend on the
        frame.
    """
    if kind not in HEAD_KINDS:
        raise InputError(
            f"unknown head {kind!r}", where="head", remedy=f"Choose one of {', '.join(HEAD_KINDS)}."
        )
    if kind == "none":
        return nn.ModuleList()
    grid = hog if isinstance(hog, HogGrid) else HogGrid.of(hog)
    if kind == "grid":
        return nn.ModuleList(GridHead(channels, grid) for channels in tap_channels)
    if family not in _OFFICIAL_STAGES:
        raise InputError(
            f"head {kind!r} is defined for the paper's networks only, not for an architecture by taps",
            where="head",
            remedy='Choose head "grid", or a U-Net or U2-Net.',
        )
    cells = _OFFICIAL_MAP_CELLS[family]
    return nn.ModuleList(
        StageHead(channels, stages, cells, grid.dim, pool_to_map=kind == "table1")
        for channels, stages in zip(tap_channels, _OFFICIAL_STAGES[family], strict=True)
    )
