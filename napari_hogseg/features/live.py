"""Cell histograms of one frame, fast enough for every frame of a video: one fused pass over an 8-bit frame.

Owns the kernel that the interface and the training loader share. Block normalisation is in `hog`, pictures are in
`drawing`, threads are the caller's: the kernel runs on the calling thread with the GIL released.

Axes: H, W pixels; C colour channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.features.compiling import compiled, frozen_view
from napari_hogseg.features.tables import MAX_ORIENTATIONS, gradient_table
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

FLOAT_REMEDY = (
    "Give uint8 values 0 to 255: orientation bins are exact on integers only, and scaling to [0, 1] in float32 "
    "moves gradients across bin edges."
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
        Sum of gradient magnitudes (grey levels) per bin, divided by the cell's area: what `skimage.feature.hog`
        computes before it normalises blocks.

    Raises
    ------
    InputError
        The frame is not (H, W, 3) uint8, holds no whole cell, or a number is out of range.
    """
    check_frames(frame_HWC.shape, str(frame_HWC.dtype), num_axes=3)
    check_cells(frame_HWC.shape[0], frame_HWC.shape[1], orientations, cell_px)
    return fused_histogram(frame_HWC, orientations, cell_px).astype(np.float32)


def fused_histogram(
    frame_HWC: npt.NDArray[np.uint8], orientations: int, cell_px: int
) -> npt.NDArray[np.float64]:
    """`cell_histogram` in float64 and without checks."""
    table = gradient_table(orientations)
    num_rows, num_cols = frame_HWC.shape[0] // cell_px, frame_HWC.shape[1] // cell_px
    histogram = np.zeros((num_rows, num_cols, orientations))
    _vote(frozen_view(frame_HWC), table.bins, table.magnitudes, cell_px, histogram)
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


def check_cells(height: int, width: int, orientations: int, cell_px: int) -> None:
    """Refuse numbers out of range and frames without one whole cell."""
    if not 1 <= orientations <= MAX_ORIENTATIONS:
        raise InputError(f"Orientations must be 1 to {MAX_ORIENTATIONS}", where=orientations)
    if not 1 <= cell_px <= min(height, width):
        where = f"cell_px {cell_px}, frame {height} x {width}"
        raise InputError("The frame holds no whole cell", where=where, remedy="Choose a smaller cell.")


@compiled
def _vote(
    frame_HWC: npt.NDArray[np.uint8],
    bins: npt.NDArray[np.uint8],
    magnitudes: npt.NDArray[np.float64],
    cell_px: int,
    histogram: npt.NDArray[np.float64],
) -> None:
    """Add every pixel's vote to its cell of `histogram` (zeros on entry), then divide by the cell's area."""
    height, width, _ = frame_HWC.shape
    num_rows, num_cols, orientations = histogram.shape
    for row in range(num_rows * cell_px):
        # Borders have gradient zero along their own axis only, as in skimage.
        above, below = (row - 1, row + 1) if 0 < row < height - 1 else (row, row)
        cells = histogram[row // cell_px]
        for col in range(num_cols * cell_px):
            left, right = (col - 1, col + 1) if 0 < col < width - 1 else (col, col)
            best, best_entry = np.int32(-1), np.int32(0)
            for channel in range(3):
                gr = np.int32(frame_HWC[below, col, channel]) - np.int32(frame_HWC[above, col, channel])
                gc = np.int32(frame_HWC[row, right, channel]) - np.int32(frame_HWC[row, left, channel])
                square = gr * gr + gc * gc
                entry = (gr + 255) * 511 + gc + 255
                # The first of equals wins, as in skimage; where hypot rounds two equal squares differently the
                # larger float wins there, so it must here.
                if square > best or (
                    square == best and entry != best_entry and magnitudes[entry] > magnitudes[best_entry]
                ):
                    best, best_entry = square, entry
            cells[col // cell_px, bins[best_entry]] += np.sqrt(np.float64(best))
    histogram /= cell_px * cell_px
