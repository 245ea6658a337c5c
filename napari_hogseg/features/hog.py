"""HOG descriptors: their parameters, the paper's presets, and the features of frames on any device.

Equal to `skimage.feature.hog(..., block_norm="L2-Hys", channel_axis=-1)` on 8-bit RGB frames (tests compare).
Owns the parameters, the resize in front and the block normalisation behind; the lookup tables are in
`tables`, the fused single-frame kernel in `live`, pictures in `drawing`.

Axes: N frames; H, W pixels; C colour channels; D features; R, S cell rows and columns; B orientation bins.

References
----------
Dalal and Triggs, Histograms of Oriented Gradients for Human Detection, CVPR 2005.
Bhattarai et al., Histogram of Oriented Gradients Meet Deep Learning, MedIA 2023, figure 5 (the five presets).
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_hogseg.features.compiling import compiled
from napari_hogseg.features.live import check_cells, check_frames, fused_histogram
from napari_hogseg.features.tables import MAX_ORIENTATIONS, gradient_table
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt
    from torch import Tensor

DEFAULT_PRESET = "official-504"
# Pixels worked on at once: about 150 MB of intermediates, whatever the batch.
CHUNK_PIXELS = 1 << 20
EPS = 1e-5
CLIP = 0.2


class HogParams(BaseModel):
    """What a HOG descriptor is made of.

    Attributes
    ----------
    orientations : int
        Bins over 180 degrees.
    cell_px : int
        Side of a cell in pixels.
    block_cells : int
        Side of a normalisation block in cells; blocks overlap, one cell apart.
    resize_rows, resize_cols : int or None
        Size (pixels) to which a frame is resized first, bicubic; both or neither.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    orientations: int = Field(ge=1, le=MAX_ORIENTATIONS, description="Orientation bins over 180 degrees")
    cell_px: int = Field(ge=1, description="Side of a cell in pixels")
    block_cells: int = Field(default=2, ge=1, description="Side of a normalisation block in cells")
    resize_rows: int | None = Field(
        default=None, ge=1, description="Rows to resize to first (empty: no resize)"
    )
    resize_cols: int | None = Field(default=None, ge=1, description="Columns to resize to first")

    @model_validator(mode="after")
    def _resize_is_whole(self) -> Self:
        if (self.resize_rows is None) != (self.resize_cols is None):
            raise ValueError("resize_rows and resize_cols go together: set both, or neither")
        if self.resize_rows is not None and self.resize_cols is not None:
            self._blocks(self.resize_rows, self.resize_cols)
        return self

    @classmethod
    def preset(cls, name: str = DEFAULT_PRESET) -> HogParams:
        """Parameters by name, such as ``official-504``; an `InputError` lists the names if there are none."""
        if name not in HOG_PRESETS:
            raise InputError(
                "There is no such HOG preset", where=name, remedy=f"Choose from {', '.join(HOG_PRESETS)}."
            )
        return HOG_PRESETS[name]

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of what the gradients are taken of, for frames of `height` x `width` pixels."""
        if self.resize_rows is None or self.resize_cols is None:
            return height, width
        return self.resize_rows, self.resize_cols

    def dim(self, height: int, width: int) -> int:
        """Length D of the descriptor of a frame of `height` x `width` pixels.

        Raises
        ------
        InputError
            The frame (after the resize) is smaller than one block.
        """
        block_rows, block_cols = self._blocks(*self.input_size(height, width))
        return block_rows * block_cols * self.block_cells**2 * self.orientations

    def _blocks(self, rows: int, cols: int) -> tuple[int, int]:
        block_rows = rows // self.cell_px - self.block_cells + 1
        block_cols = cols // self.cell_px - self.block_cells + 1
        if block_rows < 1 or block_cols < 1:
            side = self.cell_px * self.block_cells
            where = f"{rows} x {cols} pixels, one block is {side} x {side}"
            raise InputError(
                "The frame is smaller than one HOG block", where=where, remedy="Choose a smaller cell."
            )
        return block_rows, block_cols


def _official(orientations: int, cell_px: int) -> HogParams:
    return HogParams(orientations=orientations, cell_px=cell_px, resize_rows=128, resize_cols=64)


HOG_PRESETS: Mapping[str, HogParams] = MappingProxyType(
    {
        "official-504": _official(6, 16),
        "official-756": _official(9, 16),
        "official-1680": _official(4, 8),
        "official-2520": _official(6, 8),
        "official-3780": _official(9, 8),
    }
)


def hog_features(frames: npt.NDArray[np.uint8] | Tensor, params: HogParams) -> Tensor:
    """HOG descriptors of a batch of frames.

    Parameters
    ----------
    frames : (N, H, W, 3) uint8, ndarray or Tensor
        RGB frames.
    params : HogParams
        The descriptor.

    Returns
    -------
    (N, D) float32 Tensor
        On the frames' device; D is ``params.dim(H, W)``. The CPU runs the fused kernel frame by frame, which
        is some 20 times as fast there as tensor operations. Order: block row, block column, cell row, cell
        column, bin.

    Raises
    ------
    InputError
        The frames are not (N, H, W, 3) uint8, or smaller than one block.
    """
    batch = _as_batch(frames)
    dim = params.dim(batch.shape[1], batch.shape[2])
    features = torch.empty((batch.shape[0], dim), dtype=torch.float32, device=batch.device)
    if batch.device.type == "cpu":
        for row, frame in zip(features.numpy(), batch.numpy(), strict=True):
            row[:] = hog_target(frame, params)
        return features
    _features_by_tables(batch, params, features)
    return features


def cell_histograms(frames: npt.NDArray[np.uint8] | Tensor, params: HogParams) -> Tensor:
    """Un-normalised cell histograms of a batch of frames (after the parameters' resize).

    Parameters
    ----------
    frames : (N, H, W, 3) uint8, ndarray or Tensor
        RGB frames.
    params : HogParams
        `block_cells` plays no part.

    Returns
    -------
    (N, R, S, B) float32 Tensor
        On the frames' device.

    Raises
    ------
    InputError
        The frames are not (N, H, W, 3) uint8, or hold no whole cell.
    """
    batch = _as_batch(frames)
    rows, cols = params.input_size(batch.shape[1], batch.shape[2])
    check_cells(rows, cols, params.orientations, params.cell_px)
    shape = (batch.shape[0], rows // params.cell_px, cols // params.cell_px, params.orientations)
    histograms = torch.empty(shape, dtype=torch.float32, device=batch.device)
    if batch.device.type == "cpu":
        for target, frame in zip(histograms.numpy(), batch.numpy(), strict=True):
            target[:] = fused_histogram(_pil_resize(frame, rows, cols), params.orientations, params.cell_px)
        return histograms
    for part in _chunks(batch):
        histograms[part] = _histograms_by_tables(batch[part], params).float()
    return histograms


def hog_target(frame_HWC: npt.NDArray[np.uint8], params: HogParams) -> npt.NDArray[np.float32]:
    """HOG descriptor of one frame by the fused kernel: what the training loader calls for every crop.

    Parameters
    ----------
    frame_HWC : (H, W, 3) uint8
        RGB frame or crop.
    params : HogParams
        The descriptor.

    Returns
    -------
    (D,) float32
        Equal to the row of `hog_features`.

    Raises
    ------
    InputError
        The frame is not (H, W, 3) uint8, or smaller than one block.
    """
    check_frames(frame_HWC.shape, str(frame_HWC.dtype), num_axes=3)
    dim = params.dim(frame_HWC.shape[0], frame_HWC.shape[1])
    rows, cols = params.input_size(frame_HWC.shape[0], frame_HWC.shape[1])
    resized = _pil_resize(frame_HWC, rows, cols)
    target = np.empty(dim, dtype=np.float32)
    histogram = fused_histogram(resized, params.orientations, params.cell_px)
    filled = _normalise_into(histogram, params.block_cells, target)
    assert filled == dim, (filled, dim)  # noqa: S101 - an invariant: a kernel checks no bounds
    return target


def resize_frames(frames: npt.NDArray[np.uint8] | Tensor, rows: int, cols: int) -> Tensor:
    """Resize 8-bit frames as the paper does: Pillow's bicubic filter, columns first, rounded after each axis.

    Parameters
    ----------
    frames : (N, H, W, 3) uint8, ndarray or Tensor
        RGB frames.
    rows, cols : int
        The size to make, in pixels.

    Returns
    -------
    (N, rows, cols, 3) uint8 Tensor
        On the frames' device. The CPU uses Pillow itself; CUDA the same filter as two float64 products over
        Pillow's fixed-point weights, which gives the same bytes. Pillow's own result where the columns shrink
        at least as much as the rows, as they do for the paper's 64 columns of 128 rows.
    """
    batch = _as_batch(frames)
    if batch.shape[1:3] == (rows, cols):
        return batch
    if batch.device.type == "cuda":
        shrunk = batch.new_empty((batch.shape[0], rows, cols, 3))
        for part in _chunks(batch):
            shrunk[part] = _matmul_resize(batch[part], rows, cols)
        return shrunk
    resized = np.empty((batch.shape[0], rows, cols, 3), dtype=np.uint8)
    for target, frame in zip(resized, batch.cpu().numpy(), strict=True):
        target[:] = _pil_resize(frame, rows, cols)
    return torch.from_numpy(resized).to(batch.device)


def _as_batch(frames: npt.NDArray[np.uint8] | Tensor) -> Tensor:
    check_frames(tuple(frames.shape), str(frames.dtype), num_axes=4)
    if isinstance(frames, torch.Tensor):
        return frames
    # torch warns about read-only memory (memory maps, decoded frames). Nothing here writes; a copy is silent.
    writable = frames if frames.flags.writeable else frames.copy()
    return torch.from_numpy(np.ascontiguousarray(writable))


def _chunks(batch: Tensor) -> Iterator[slice]:
    step = max(1, CHUNK_PIXELS // (batch.shape[1] * batch.shape[2]))
    return (slice(start, start + step) for start in range(0, batch.shape[0], step))


def _pil_resize(frame_HWC: npt.NDArray[np.uint8], rows: int, cols: int) -> npt.NDArray[np.uint8]:
    if frame_HWC.shape[:2] == (rows, cols):
        return frame_HWC
    image = Image.fromarray(np.ascontiguousarray(frame_HWC))
    # Two calls fix the order of the passes, each of which rounds: from version 13 on, one call starts with
    # the rows where they shrink much more (python-pillow/Pillow#9549); both must give a model the same HOG.
    narrowed = image.resize((cols, image.height), resample=Image.Resampling.BICUBIC)
    return np.asarray(narrowed.resize((cols, rows), resample=Image.Resampling.BICUBIC))


# Pillow's 8-bit resampling keeps its weights as integers of this many fractional bits.
WEIGHT_BITS = 22


def _matmul_resize(frames_NHWC: Tensor, rows: int, cols: int) -> Tensor:
    """Columns first, then rows, each rounded to 8 bits."""
    device = frames_NHWC.device
    wide = torch.from_numpy(_bicubic_weights(frames_NHWC.shape[2], cols)).to(device)
    high = torch.from_numpy(_bicubic_weights(frames_NHWC.shape[1], rows)).to(device)
    narrowed = _round_to_byte(torch.einsum("nhwc,vw->nhvc", frames_NHWC.double(), wide))
    return _round_to_byte(torch.einsum("nhvc,uh->nuvc", narrowed, high)).to(torch.uint8)


def _round_to_byte(sums: Tensor) -> Tensor:
    # Integers below 2^53 are exact in float64, so this is Pillow's integer arithmetic, bit for bit.
    return sums.add_(2.0 ** (WEIGHT_BITS - 1)).mul_(2.0**-WEIGHT_BITS).floor_().clamp_(0, 255)


@lru_cache(maxsize=32)
def _bicubic_weights(old_size: int, new_size: int) -> npt.NDArray[np.float64]:
    """(new_size, old_size) whole numbers: Keys' cubic with a = -0.5, widened when shrinking, times 2^22."""
    scale = old_size / new_size
    stretch = max(scale, 1.0)
    centres = (np.arange(new_size) + 0.5) * scale
    first = np.maximum((centres - 2 * stretch + 0.5).astype(np.int64), 0)[:, None]
    stop = np.minimum((centres + 2 * stretch + 0.5).astype(np.int64), old_size)[:, None]
    pixels = np.arange(old_size)
    x = np.abs((pixels + 0.5 - centres[:, None]) / stretch)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0.0)) * ((pixels >= first) & (pixels < stop))
    fixed: npt.NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True) * 2.0**WEIGHT_BITS
    rounded: npt.NDArray[np.float64] = np.trunc(fixed + np.copysign(0.5, fixed))
    return rounded


@lru_cache(maxsize=8)
def _device_table(orientations: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Bins (uint8) and magnitudes on a device; Apple's GPU has no float64 and takes float32."""
    table = gradient_table(orientations)
    dtype = torch.float32 if device.type == "mps" else torch.float64
    return (
        torch.from_numpy(table.bins.copy()).to(device),
        torch.from_numpy(table.magnitudes.copy()).to(dtype).to(device),
    )


def _features_by_tables(batch: Tensor, params: HogParams, features: Tensor) -> None:
    """Fill the rows of `features`: the way for devices where numba's kernel cannot run."""
    for part in _chunks(batch):
        features[part] = _normalise_blocks(_histograms_by_tables(batch[part], params), params.block_cells)


def _histograms_by_tables(frames_NHWC: Tensor, params: HogParams) -> Tensor:
    """(N, R, S, B) cell histograms in the table's float type."""
    rows, cols = params.input_size(frames_NHWC.shape[1], frames_NHWC.shape[2])
    bins, magnitudes = _steepest(resize_frames(frames_NHWC, rows, cols), params.orientations)
    cell = params.cell_px
    num_rows, num_cols = rows // cell, cols // cell
    bins, magnitudes = (x[:, : num_rows * cell, : num_cols * cell] for x in (bins, magnitudes))
    per_bin = []
    # A sum per bin instead of a scatter: no atomics, so a GPU gives the same bits every time.
    for orientation in range(params.orientations):
        votes = torch.where(bins == orientation, magnitudes, 0.0)
        per_bin.append(votes.reshape(-1, num_rows, cell, num_cols, cell).sum(dim=(2, 4)))
    return torch.stack(per_bin, dim=-1) / (cell * cell)


def _steepest(frames_NHWC: Tensor, orientations: int) -> tuple[Tensor, Tensor]:
    """Bin and magnitude of the steepest channel at each pixel; the first of equals wins, as in skimage."""
    table_bins, table_magnitudes = _device_table(orientations, frames_NHWC.device)
    entries = _table_entries(frames_NHWC)
    best_entry, best = entries[..., 0], table_magnitudes[entries[..., 0]]
    for channel in (1, 2):
        entry = entries[..., channel]
        magnitude = table_magnitudes[entry]
        steeper = magnitude > best
        best_entry, best = torch.where(steeper, entry, best_entry), torch.where(steeper, magnitude, best)
    return table_bins[best_entry], best


def _table_entries(frames_NHWC: Tensor) -> Tensor:
    """(N, H, W, C) int64 index of each gradient; central differences, zero at the borders."""
    values = frames_NHWC.to(torch.int32)
    entries = torch.full(values.shape, 255 * 511 + 255, dtype=torch.int64, device=values.device)
    entries[:, 1:-1] += 511 * (values[:, 2:] - values[:, :-2])
    entries[:, :, 1:-1] += values[:, :, 2:] - values[:, :, :-2]
    return entries


def _normalise_blocks(histograms_NRSB: Tensor, block_cells: int) -> Tensor:
    """(N, D): L2 norm, clip at 0.2, L2 norm again, over overlapping blocks."""
    blocks = histograms_NRSB.unfold(1, block_cells, 1).unfold(2, block_cells, 1)  # (N, R', S', B, row, col)
    blocks = blocks.permute(0, 1, 2, 4, 5, 3).flatten(3)
    blocks = blocks / torch.sqrt(blocks.square().sum(-1, keepdim=True) + EPS**2)
    blocks = blocks.clamp(max=CLIP)
    blocks = blocks / torch.sqrt(blocks.square().sum(-1, keepdim=True) + EPS**2)
    return blocks.flatten(1)


@compiled
def _normalise_into(
    histogram: npt.NDArray[np.float64], block_cells: int, target: npt.NDArray[np.float32]
) -> int:
    """`_normalise_blocks` for one frame, written into `target`; returns how many values."""
    num_rows, num_cols, orientations = histogram.shape
    block = np.empty(block_cells * block_cells * orientations)
    start = 0
    for row in range(num_rows - block_cells + 1):
        for col in range(num_cols - block_cells + 1):
            position = 0
            for block_row in range(row, row + block_cells):
                for block_col in range(col, col + block_cells):
                    for orientation in range(orientations):
                        block[position] = histogram[block_row, block_col, orientation]
                        position += 1
            _clip_unit_length(block)
            for position in range(block.size):
                target[start + position] = block[position]
            start += block.size
    return start


@compiled
def _clip_unit_length(block: npt.NDArray[np.float64]) -> None:
    """L2-Hys in place."""
    for limit in (CLIP, np.inf):
        total = 0.0
        for i in range(block.size):
            total += block[i] * block[i]
        scale = 1.0 / np.sqrt(total + EPS * EPS)  # one division per block, not per value: half the time
        for i in range(block.size):
            block[i] = min(block[i] * scale, limit)
