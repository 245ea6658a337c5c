"""Pictures of cell histograms: skimage's lines per orientation, and an 8-bit version with steady contrast.

Owns what a person sees of HOG. Computes no gradients: `live` and `hog` make the histograms.

Axes: R, S cell rows and columns; B orientation bins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.features.compiling import compiled, frozen_view
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

WHITE_PERCENTILE = 99.0
# A new frame keeps the white of the one before until its own is this many times smaller or larger.
WHITE_TOLERANCE = 1.5
# One grey level per pixel: frames flatter than the camera's own noise stay dark instead of being blown up.
LOWEST_WHITE = 1.0


def hog_picture(histogram_RSB: npt.NDArray[np.float32], cell_px: int) -> npt.NDArray[np.float32]:
    """Draw a cell histogram as skimage does: in each cell a line per bin, as bright as the bin is full.

    Parameters
    ----------
    histogram_RSB : (R, S, B) float32
        Un-normalised cell histogram (`live.cell_histogram`).
    cell_px : int
        Side of a cell in pixels, 2 or more.

    Returns
    -------
    (R * cell_px, S * cell_px) float32
        The picture of ``skimage.feature.hog(..., visualize=True)`` without the margin that holds no whole
        cell. Lines lie along the edge, perpendicular to its gradient.

    Raises
    ------
    InputError
        The cell is too small to draw a line in, or the histogram does not have three axes.
    """
    if cell_px < 2:
        raise InputError("A HOG picture needs cells of 2 pixels or more", where=cell_px)
    if histogram_RSB.ndim != 3:
        raise InputError("A cell histogram has three axes", where=f"shape {histogram_RSB.shape}")
    num_rows, num_cols, orientations = histogram_RSB.shape
    # Half a line per bin, along the edge: rows by the cosine, columns by the sine.
    angles = np.pi * (np.arange(orientations) + 0.5) / orientations
    radius = cell_px // 2 - 1
    picture = np.zeros((num_rows * cell_px, num_cols * cell_px), dtype=np.float32)
    histogram = frozen_view(histogram_RSB.astype(np.float32, copy=False))
    _draw(histogram, radius * np.cos(angles), radius * np.sin(angles), cell_px, picture)
    return picture


def white_point(histogram_RSB: npt.NDArray[np.float32], previous: float | None = None) -> float:
    """Cell value to show as white, steady from frame to frame.

    The 99th percentile, over the cells with any gradient, of the strongest bin: a few specular highlights do
    not darken the rest. `previous` is kept while the new value is within a factor of 1.5, so that a video
    does not flicker, and replaced at once when the scene changes.

    Parameters
    ----------
    histogram_RSB : (R, S, B) float32
        Un-normalised cell histogram.
    previous : float, optional
        White of the frame shown before.

    Returns
    -------
    float
        In the histogram's unit (grey levels), at least 1.
    """
    strongest = histogram_RSB.max(axis=2)
    strongest = strongest[strongest > 0]
    measured = float(np.percentile(strongest, WHITE_PERCENTILE)) if strongest.size else LOWEST_WHITE
    measured = max(measured, LOWEST_WHITE)
    if previous is not None and previous / WHITE_TOLERANCE <= measured <= previous * WHITE_TOLERANCE:
        return previous
    return measured


def to_uint8(picture: npt.NDArray[np.float32], white: float) -> npt.NDArray[np.uint8]:
    """Picture for display: ``255 * sqrt(picture / white)``, rounded, everything from `white` up at 255.

    Parameters
    ----------
    picture : (H, W) float32
        What `hog_picture` drew, values of 0 and more.
    white : float
        Value shown as white (`white_point`), above 0. The square root lets faint tissue edges be seen beside
        instruments, which are ten times as steep.

    Returns
    -------
    (H, W) uint8

    Raises
    ------
    InputError
        `white` is not above 0.
    """
    if not white > 0:
        raise InputError("The white of a HOG picture must be above 0", where=white)
    shown = np.empty(picture.shape, dtype=np.uint8)
    _quantise(frozen_view(picture.astype(np.float32, copy=False)), np.float32(1.0 / white), shown)
    return shown


def orientation_picture(
    histogram_RSB: npt.NDArray[np.float32], cell_px: int, white: float
) -> npt.NDArray[np.uint8]:
    """Picture of the dominant orientation of each cell as hue, its agreement as saturation.

    The bins are added as vectors of twice their angle, so that 0 and 180 degrees are one orientation (the
    circular mean of axial data; Fisher 1993, Statistical Analysis of Circular Data).

    Parameters
    ----------
    histogram_RSB : (R, S, B) float32
        Un-normalised cell histogram (`live.cell_histogram`).
    cell_px : int
        Side of a cell, pixels.
    white : float
        Value of the strongest bin that is drawn at full brightness (`white_point`).

    Returns
    -------
    (R * cell_px, S * cell_px, 3) uint8
        RGB. The hue is the edge's orientation, as the lines of `hog_picture` show it: red horizontal, cyan
        vertical.
    """
    orientation_rad, agreement = dominant_orientation(histogram_RSB)
    energy = np.sqrt(np.clip(histogram_RSB.max(axis=2) / white, 0, 1))
    # The edge is perpendicular to the gradient that the bins count.
    hue = np.mod(orientation_rad + np.pi / 2, np.pi) / np.pi
    cells = _hsv_to_rgb(hue, agreement, energy)
    picture: npt.NDArray[np.uint8] = np.repeat(np.repeat(cells, cell_px, axis=0), cell_px, axis=1)
    return picture


def dominant_orientation(
    histogram_RSB: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Find the gradient's dominant orientation in each cell.

    Returns
    -------
    (R, S) float64, (R, S) float64
        Orientation of the gradient in radians, 0 to pi, and how well the bins agree, 0 to 1; both 0 in a cell
        without gradient.
    """
    orientations = histogram_RSB.shape[2]
    doubled = 2 * np.pi * (np.arange(orientations) + 0.5) / orientations
    east, north = histogram_RSB @ np.cos(doubled), histogram_RSB @ np.sin(doubled)
    total = histogram_RSB.sum(axis=2)
    agreement = np.hypot(east, north) / np.where(total > 0, total, 1)
    return np.where(total > 0, np.mod(np.arctan2(north, east), 2 * np.pi) / 2, 0.0), agreement


def energy_picture(histogram_RSB: npt.NDArray[np.float32], cell_px: int) -> npt.NDArray[np.float32]:
    """Picture of the gradient's energy: each cell as bright as its strongest bin.

    Returns
    -------
    (R * cell_px, S * cell_px) float32
        In the histogram's unit, for `to_uint8`.
    """
    strongest = histogram_RSB.max(axis=2)
    return np.repeat(np.repeat(strongest, cell_px, axis=0), cell_px, axis=1)


def _hsv_to_rgb(
    hue: npt.NDArray[np.float64], saturation: npt.NDArray[np.float64], value: npt.NDArray[np.float64]
) -> npt.NDArray[np.uint8]:
    channels = []
    for shift in (5, 3, 1):  # red, green, blue: the closed form of the six-sided cone
        k = np.mod(shift + 6 * hue, 6)
        channels.append(value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1))
    rgb: npt.NDArray[np.uint8] = np.rint(255 * np.stack(channels, axis=-1)).astype(np.uint8)
    return rgb


@compiled
def _draw(
    histogram: npt.NDArray[np.float32],
    down: npt.NDArray[np.float64],
    across: npt.NDArray[np.float64],
    cell_px: int,
    picture: npt.NDArray[np.float32],
) -> None:
    num_rows, num_cols, orientations = histogram.shape
    for cell_row in range(num_rows):
        row = cell_row * cell_px + cell_px // 2
        for cell_col in range(num_cols):
            col = cell_col * cell_px + cell_px // 2
            for i in range(orientations):
                # Cut towards zero at the pixel's place in the picture, not in the cell: where an end falls
                # between two pixels by a rounding error, skimage draws the first cells unlike the rest.
                row_0, col_0 = int(row - down[i]), int(col + across[i])
                row_1, col_1 = int(row + down[i]), int(col - across[i])
                _add_line(picture, row_0, col_0, row_1, col_1, histogram[cell_row, cell_col, i])


@compiled
def _add_line(
    picture: npt.NDArray[np.float32], row_0: int, col_0: int, row_1: int, col_1: int, brightness: np.float32
) -> None:
    """Bresenham's line, both ends included; a step aside is taken as soon as the error reaches one half."""
    num_rows, num_cols = abs(row_1 - row_0), abs(col_1 - col_0)
    row_step, col_step = 1 if row_1 > row_0 else -1, 1 if col_1 > col_0 else -1
    long, short = max(num_rows, num_cols), min(num_rows, num_cols)
    steep = num_rows > num_cols
    row, col, error = row_0, col_0, 2 * short - long
    for _ in range(long):
        picture[row, col] += brightness
        aside = error >= 0
        if steep or aside:
            row += row_step
        if aside or not steep:
            col += col_step
        error += 2 * short - (2 * long if aside else 0)
    picture[row_1, col_1] += brightness


@compiled
def _quantise(picture: npt.NDArray[np.float32], per_white: np.float32, shown: npt.NDArray[np.uint8]) -> None:
    height, width = picture.shape
    for row in range(height):
        for col in range(width):
            part = np.sqrt(min(max(picture[row, col] * per_white, np.float32(0)), np.float32(1)))
            shown[row, col] = np.uint8(part * np.float32(255) + np.float32(0.5))
