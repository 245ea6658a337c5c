"""Cell histograms of one frame, fast enough for every frame of a video: one fused pass over an 8-bit frame.

Owns the kernel that the interface and the training loader share. Block normalisation is in `hog`, pictures
are in `drawing`, threads are the caller's: the kernel runs on the calling thread with the GIL released. Needs
no torch.

Axes: H, W pixels; C colour channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.features.compiling import compiled, frozen_view, inlined
from napari_hogseg.features.drawing import hog_picture, to_uint8, white_point
from napari_hogseg.features.tables import MAX_GRADIENT, MAX_ORIENTATIONS, TABLE_SIDE, gradient_table
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

FLOAT_REMEDY = (
    "Give uint8 values 0 to 255: orientation bins are exact on integers only, and scaling to [0, 1] in "
    "float32 moves gradients across bin edges."
)


def cell_histogram(
    frame_HWC: npt.NDArray[np.uint8], orientations: int, cell_px: int
) -> npt.NDArray[np.float32]:
    """Un-normalised orientation histogram of every whole cell of a frame.

    Parameters
    ----------
    frame_HWC : (H, W, 3) uint8
        RGB frame; of the three channels each pixel votes with its steepest.
    orientations : int
        Bins over 180 degrees, 1 to 180.
    cell_px : int
        Side of a cell in pixels; rows and columns beyond the last whole cell do not vote.

    Returns
    -------
    (H // cell_px, W // cell_px, orientations) float32
        Sum of gradient magnitudes (grey levels) per bin, divided by the cell's area: what
        `skimage.feature.hog` computes before it normalises blocks.

    Raises
    ------
    InputError
        The frame is not (H, W, 3) uint8, holds no whole cell, or a number is out of range.
    """
    check_frames(frame_HWC.shape, str(frame_HWC.dtype), num_axes=3)
    check_cells(frame_HWC.shape[0], frame_HWC.shape[1], orientations, cell_px)
    return fused_histogram(frame_HWC, orientations, cell_px).astype(np.float32)


def warm_up() -> None:
    """Compile what the live display runs (or load it from numba's cache): seconds once, then milliseconds.

    Call it on a worker thread at start, so that no frame waits for the compiler on the interface's thread.
    """
    histogram = cell_histogram(np.zeros((4, 4, 3), dtype=np.uint8), 1, 2)
    to_uint8(hog_picture(histogram, 2), white_point(histogram))


def fused_histogram(
    frame_HWC: npt.NDArray[np.uint8], orientations: int, cell_px: int
) -> npt.NDArray[np.float64]:
    """`cell_histogram` in float64 and without checks."""
    table = gradient_table(orientations)
    num_rows, num_cols = frame_HWC.shape[0] // cell_px, frame_HWC.shape[1] // cell_px
    histogram = np.zeros((num_rows, num_cols, orientations))
    lines = frozen_view(frame_HWC.reshape(frame_HWC.shape[0], -1))
    _vote(lines, table.bins, table.magnitudes, cell_px, histogram)
    return histogram


def check_frames(shape: tuple[int, ...], dtype: str, *, num_axes: int) -> None:
    """Refuse frames that are not 8-bit RGB with `num_axes` axes (4 with the batch, 3 without)."""
    if dtype.removeprefix("torch.") != "uint8":
        raise InputError(
            f"HOG needs 8-bit frames, not {dtype}", where=f"shape {tuple(shape)}", remedy=FLOAT_REMEDY
        )
    if len(shape) != num_axes or shape[-1] != 3:
        axes = "(N, H, W, 3)" if num_axes == 4 else "(H, W, 3)"
        raise InputError(f"HOG needs RGB frames of shape {axes}", where=f"shape {tuple(shape)}")
    if 0 in shape[-3:]:
        raise InputError("HOG needs frames with pixels", where=f"shape {tuple(shape)}")


def check_cells(height: int, width: int, orientations: int, cell_px: int) -> None:
    """Refuse numbers out of range and frames without one whole cell."""
    if not 1 <= orientations <= MAX_ORIENTATIONS:
        raise InputError(f"Orientations must be 1 to {MAX_ORIENTATIONS}", where=orientations)
    if not 1 <= cell_px <= min(height, width):
        where = f"cell_px {cell_px}, frame {height} x {width}"
        raise InputError("The frame holds no whole cell", where=where, remedy="Choose a smaller cell.")


@compiled
def _vote(
    lines: npt.NDArray[np.uint8],
    bins: npt.NDArray[np.uint8],
    magnitudes: npt.NDArray[np.float64],
    cell_px: int,
    histogram: npt.NDArray[np.float64],
) -> None:
    """Add every pixel's vote to its cell of `histogram` (zeros on entry), then divide by the cell's area."""
    # `lines` (H, W * 3). The buffers take their size from it, not from width * 3: LLVM then knows that the
    # loops over a line stay inside them and vectorises, which is twice as fast.
    height, num_values = lines.shape
    width = num_values // 3
    entries, squares = np.empty(num_values, np.int32), np.empty(num_values, np.int32)
    steepest, lengths = np.empty(width, np.int32), np.empty(width, np.float64)
    num_rows, num_cols, _ = histogram.shape
    for row in range(num_rows * cell_px):
        # The first and last row have no vertical gradient, as in skimage.
        step = 1 if 0 < row < height - 1 else 0
        _differentiate(lines[row - step], lines[row], lines[row + step], entries, squares)
        _select_channels(entries, squares, steepest, lengths)
        col = 0
        for cell_col in range(num_cols):
            cell = histogram[row // cell_px, cell_col]
            for _ in range(cell_px):
                entry = steepest[col]
                if entry < 0:
                    entry = _longest(entries, magnitudes, 3 * col)
                # Unsigned: numba then leaves out its handling of negative indices.
                cell[bins[np.uint32(entry)]] += lengths[col]
                col += 1
    histogram /= cell_px * cell_px


# The next two are inlined because LLVM vectorises them only where it sees that the buffers do not overlap:
# twice as fast for the whole frame.
@inlined
def _differentiate(
    above: npt.NDArray[np.uint8],
    here: npt.NDArray[np.uint8],
    below: npt.NDArray[np.uint8],
    entries: npt.NDArray[np.int32],
    squares: npt.NDArray[np.int32],
) -> None:
    """Table index and squared length of every channel's gradient along one row of the frame."""
    size = here.size
    for i in range(size):
        vertical = np.int32(below[i]) - np.int32(above[i])
        squares[i] = vertical * vertical
        entries[i] = (vertical + MAX_GRADIENT) * TABLE_SIDE + MAX_GRADIENT
    for i in range(3, size - 3):
        horizontal = np.int32(here[i + 3]) - np.int32(here[i - 3])
        squares[i] += horizontal * horizontal
        entries[i] += horizontal


@inlined
def _select_channels(
    entries: npt.NDArray[np.int32],
    squares: npt.NDArray[np.int32],
    steepest: npt.NDArray[np.int32],
    lengths: npt.NDArray[np.float64],
) -> None:
    """Table index and length of each pixel's steepest channel; the index negative where channels tie."""
    for col in range(steepest.size):
        i = 3 * col
        square = max(squares[i], squares[i + 1])
        entry = entries[i + 1] if squares[i + 1] > squares[i] else entries[i]
        # Integers in place of booleans keep the loop free of branches.
        tie_2 = (np.int32(1) if squares[i + 1] == squares[i] else np.int32(0)) * (entries[i + 1] - entries[i])
        tie_3 = (np.int32(1) if squares[i + 2] == square else np.int32(0)) * (entries[i + 2] - entry)
        entry = entries[i + 2] if squares[i + 2] > square else entry
        steepest[col] = -entry if (tie_2 | tie_3) != 0 else entry
        lengths[col] = np.sqrt(np.float64(max(square, squares[i + 2])))


@compiled
def _longest(entries: npt.NDArray[np.int32], magnitudes: npt.NDArray[np.float64], start: int) -> int:
    """Settle a tie as skimage does: the longest as hypot rounds it, which can tell equal squares apart."""
    best = entries[start]
    for i in (start + 1, start + 2):
        if magnitudes[entries[i]] > magnitudes[best]:
            best = entries[i]
    return int(best)
