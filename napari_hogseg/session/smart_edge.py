"""Smart edge: the rim of a stroke snaps to the strongest gradient nearby.

A live-wire (Mortensen & Barrett, "Intelligent scissors", SIGGRAPH 1995) in the band round the painted
outline: the band is unrolled along the outline into a strip, positions along the rim down and offsets from it
across, and the cheapest path from its first row to its last is the new rim. Unrolled, the path must go once
round, and the two rims of a thin stroke cannot be mistaken for each other, as in the picture itself they
would. Owns the geometry only; when to snap, and the painting, are `ui`'s part. No Qt, no torch.

Legend: L positions along an outline, one a pixel; K offsets across it, outward positive; points (row, col).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d, map_coordinates
from skimage.draw import polygon2mask
from skimage.graph import route_through_array
from skimage.measure import find_contours

if TYPE_CHECKING:
    import numpy.typing as npt

    Region = npt.NDArray[np.bool_]
    Points = npt.NDArray[np.float64]

#: Offsets a pixel; the rim is found to a third of a pixel.
STEPS_A_PX = 3
#: Grey levels a pixel: a gradient below is texture or noise, and no reason to leave the painted rim.
NOISE_GRADIENT = 4.0
#: What an offset of the whole band costs, against 1 for a place without any edge. Of two edges of the same
#: strength the nearer one is taken. Lower, and rims on tissue run off to folds and reflections nearby.
DISTANCE_COST = 0.8
SMOOTH_PX = 1.0
#: The outline's direction is taken from a smoothed copy: normals of a pixel staircase point anywhere.
NORMAL_SIGMA_PX = 3.0
MIN_OUTLINE_PX = 8
FORBIDDEN = 1e4


def snap_rim(
    frame_HWC: npt.NDArray[np.uint8],
    painted: Region,
    band_px: int,
    movable: Region | None = None,
) -> Region:
    """Move the rim of a painted region to the strongest edge within a band.

    Parameters
    ----------
    frame_HWC : (H, W, 3) uint8 ndarray
    painted : (H, W) bool ndarray
    band_px : int
        How far the rim may move, in or out.
    movable : (H, W) bool ndarray, optional
        Only the rim within a pixel and a half of these pixels moves; all of it where not given. Rims on the
        frame's edge never do.

    Returns
    -------
    (H, W) bool ndarray
        Differs from `painted` only within `band_px` of its rim. Without an edge in reach it is `painted`.
    """
    if band_px <= 0 or not painted.any():
        return painted.copy()
    window = _window(painted, band_px + 3 * int(NORMAL_SIGMA_PX), painted.shape)
    part = painted[window]
    free = np.ones(part.shape, bool) if movable is None else movable[window]
    free = _dilated(free, 1) & _off_the_edge(painted.shape)[window]
    strength = _edge_strength(frame_HWC[window])
    snapped = np.zeros(part.shape, bool)
    for outline in find_contours(np.pad(part, 1).astype(np.float64), 0.5):
        snapped ^= polygon2mask(part.shape, _snap_outline(outline - 1, part, strength, free, band_px))
    in_band = _distance_to_rim(part) <= band_px
    result = painted.copy()
    result[window] = np.where(in_band, snapped, part)
    return result


def _snap_outline(
    outline: Points, part: Region, strength: npt.NDArray[np.float64], free: Region, band_px: int
) -> Points:
    """Shift one closed outline to the cheapest path in its band; back as it came where there is no edge."""
    points = _evenly(outline)
    if len(points) < MIN_OUTLINE_PX:
        return outline
    normals = _normals(points, part)
    offsets = np.linspace(-band_px, band_px, 2 * band_px * STEPS_A_PX + 1)
    places = points[:, None] + offsets[None, :, None] * normals[:, None]
    found = map_coordinates(strength, np.moveaxis(places, 2, 0), order=1, mode="nearest")
    if found.max() < NOISE_GRADIENT:
        return outline
    cost = _strip_cost(found, offsets, band_px)
    cost[_beyond_the_middle(places, part, offsets)] = FORBIDDEN
    held = ~free[tuple(_nearest_pixels(points, part.shape))]
    cost[held] = FORBIDDEN
    cost[held, len(offsets) // 2] = 1.0
    shift = offsets[_cheapest_round(cost)]
    if not shift.any():
        return outline
    return points + shift[:, None] * normals


def _strip_cost(
    found: npt.NDArray[np.float64], offsets: npt.NDArray[np.float64], band_px: int
) -> npt.NDArray[np.float64]:
    """Price the rim's passing at each place of the strip: low on edges, higher away from the stroke."""
    sure = np.clip(found - NOISE_GRADIENT, 0, None)
    # The strongest edge on each normal counts as one: a rim may be sharp here and faint there.
    best = np.maximum(sure.max(axis=1, keepdims=True), NOISE_GRADIENT)
    return np.asarray(1.02 - sure / best + DISTANCE_COST * np.abs(offsets) / band_px)


def _cheapest_round(cost: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Column of the cheapest closed path on each row; the strip's last row is followed by its first."""
    num_rows = len(cost)
    half = num_rows // 2
    # Where a path that may begin anywhere passes half way round is where the closed one begins.
    anchor = _cheapest_path(cost, None)[half]
    turned = _cheapest_path(np.roll(cost, -half, axis=0), int(anchor))
    return np.roll(turned, half)


def _cheapest_path(cost: npt.NDArray[np.float64], ends: int | None) -> npt.NDArray[np.intp]:
    """Column on each row of the cheapest path from the first row to the last."""
    open_row = np.full((1, cost.shape[1]), 1e-6) if ends is None else np.full((1, cost.shape[1]), FORBIDDEN)
    column = cost.shape[1] // 2 if ends is None else ends
    if ends is not None:
        open_row[0, ends] = 1e-6
    strip = np.vstack([open_row, cost, open_row])
    path, _ = route_through_array(strip, (0, column), (len(strip) - 1, column), fully_connected=True)
    rows, columns = np.asarray(path).T
    # Where the path runs across a row, the middle of its run.
    counts = np.bincount(rows, minlength=len(strip))
    sums = np.bincount(rows, weights=columns, minlength=len(strip))
    return np.rint(sums[1:-1] / counts[1:-1]).astype(np.intp)


def _evenly(outline: Points) -> Points:
    """Points a pixel apart along a closed outline, without the repeated last one."""
    lengths = np.hypot(*np.diff(outline, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    wanted = np.linspace(0, along[-1], max(round(along[-1]), 1), endpoint=False)
    return np.stack([np.interp(wanted, along, outline[:, axis]) for axis in (0, 1)], axis=1)


def _normals(points: Points, part: Region) -> Points:
    """Make unit vectors that point out of the region."""
    smooth = gaussian_filter1d(points, NORMAL_SIGMA_PX, axis=0, mode="wrap")
    along = np.roll(smooth, -1, axis=0) - np.roll(smooth, 1, axis=0)
    across = np.stack([along[:, 1], -along[:, 0]], axis=1)
    across /= np.maximum(np.hypot(*across.T), 1e-9)[:, None]
    # One sign for the whole outline: most steps along the normal must leave the region.
    inside = part[tuple(_nearest_pixels(points + across, part.shape))]
    return -across if inside.mean() > 0.5 else across


def _beyond_the_middle(places: Points, part: Region, offsets: npt.NDArray[np.float64]) -> Region:
    """Places nearer to another part of the rim than to their own: there two strips would overlap."""
    near = map_coordinates(_distance_to_rim(part), np.moveaxis(places, 2, 0), order=1, mode="nearest")
    return np.asarray(near < np.abs(offsets) - 1.5)


def _distance_to_rim(part: Region) -> npt.NDArray[np.float64]:
    """Distance of each pixel's centre to the region's rim, which runs between pixels."""
    framed = np.pad(part, 1)
    inside, outside = (
        cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        for side in (framed, ~framed)
    )
    return np.asarray(np.where(framed, inside, outside)[1:-1, 1:-1] - 0.5, np.float64)


def _edge_strength(frame_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Gradient magnitude of the channel where it is largest, in grey levels a pixel."""
    smooth = cv2.GaussianBlur(frame_HWC.astype(np.float32), (0, 0), SMOOTH_PX)
    rows, cols = (np.gradient(smooth, axis=axis) for axis in (0, 1)) if min(smooth.shape[:2]) > 1 else (0, 0)
    return np.asarray(np.hypot(rows, cols).max(axis=2), np.float64)


def _nearest_pixels(points: Points, shape: tuple[int, ...]) -> npt.NDArray[np.intp]:
    last = np.array(shape) - 1
    return np.clip(np.rint(points), 0, last).astype(np.intp).T


def _dilated(region: Region, by_px: int) -> Region:
    kernel = np.ones((2 * by_px + 1, 2 * by_px + 1), np.uint8)
    return np.asarray(cv2.dilate(region.astype(np.uint8), kernel), bool)


def _off_the_edge(shape: tuple[int, ...]) -> Region:
    inner = np.zeros(shape, bool)
    inner[1:-1, 1:-1] = True
    return inner


def _window(region: Region, margin_px: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Cut to what matters: the region's box and a margin."""
    rows, cols = np.nonzero(region.any(axis=1))[0], np.nonzero(region.any(axis=0))[0]
    return tuple(  # type: ignore[return-value]
        slice(max(int(places[0]) - margin_px, 0), min(int(places[-1]) + margin_px + 1, size))
        for places, size in zip((rows, cols), shape, strict=True)
    )
