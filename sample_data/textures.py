"""Building blocks of the rendered tissue: noise fields, distances to curves, vessels, relief shading.

Colours are linear light, float32, 1.0 = white. Lengths are pixels of the array at hand. Nothing here knows
what an eye is, and nothing holds state: every field comes from the Generator it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

Field = npt.NDArray[np.float32]


def linear(red: float, green: float, blue: float) -> Field:
    """Return an sRGB colour (0 to 255) as linear light, `(3,) float32`, by a plain 2.2 power."""
    return (np.array([red, green, blue], np.float32) / 255.0) ** np.float32(2.2)


def smoothstep(low: float, high: float, values: Field) -> Field:
    """Rise from 0 at `low` to 1 at `high` with flat ends; falls where `low > high`."""
    x = np.clip((values - np.float32(low)) / np.float32(high - low), 0.0, 1.0).astype(np.float32)
    return np.asarray(x * x * (3 - 2 * x), np.float32)


def blur(image: Field, sigma: float) -> Field:
    """Gaussian blur of every channel; a sigma below 0.2 px returns the image itself."""
    if sigma < 0.2:
        return image
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101), np.float32)


def mix(below: Field, above: Field, weight: Field) -> Field:
    """Blend two colours or pictures by a weight per pixel.

    Parameters
    ----------
    below, above : (H, W, 3) or (3,) float32 ndarray
        Colours at weight 0 and at weight 1.
    weight : (H, W) float32 ndarray
        0 to 1.

    Returns
    -------
    (H, W, 3) float32 ndarray
    """
    w = weight[..., None]
    return (below * (1 - w) + above * w).astype(np.float32)


def noise(
    rng: np.random.Generator,
    shape: tuple[int, int],
    cells: tuple[float, float],
    octaves: int = 4,
    *,
    wrap: bool = False,
) -> Field:
    """Fractal value noise of zero mean and unit variance.

    Parameters
    ----------
    rng : Generator
        Source of the lattice values.
    shape : (int, int)
        Rows and columns of the field.
    cells : (float, float)
        Lattice cells over rows and over columns in the first octave; each further octave doubles them.
    octaves : int
        Number of octaves, each of 0.55 times the amplitude of the one before.
    wrap : bool
        Make the columns periodic (for polar pictures).

    Returns
    -------
    (rows, cols) float32 ndarray
    """
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        rows = max(2, round(cells[0] * 2**octave))
        cols = max(2, round(cells[1] * 2**octave))
        lattice = rng.standard_normal((rows, cols), np.float32)
        if wrap:
            # Four columns either side are the reach of the cubic kernel.
            lattice = np.pad(lattice, ((0, 0), (4, 4)), mode="wrap")
            margin = round(shape[1] * 4 / cols)
            layer = cv2.resize(lattice, (shape[1] + 2 * margin, shape[0]), interpolation=cv2.INTER_CUBIC)
            layer = layer[:, margin : margin + shape[1]]
        else:
            layer = cv2.resize(lattice, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
        total += np.float32(0.55**octave) * layer
    total -= total.mean()
    return np.asarray(total / max(float(total.std()), 1e-6), np.float32)


def relief(height: Field, direction: tuple[float, float], strength: float) -> Field:
    """Light a height field from the side.

    Returns
    -------
    (H, W) float32 ndarray
        A factor around 1: above it on slopes that face `direction` (right, down).
    """
    slope_right = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    slope_down = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    lit = -(direction[0] * slope_right + direction[1] * slope_down) * strength
    return np.asarray(1 + np.tanh(lit), np.float32)


class CurveDistance(NamedTuple):
    """What a pixel needs to know of the nearest curve; each `(H, W) float32`."""

    offset: Field
    """Signed distance to the centre line over the local radius; +-1 is the rim, large values are far away."""
    along: Field
    """Path length at the nearest point, pixels."""
    radius: Field
    """Radius of the tube there, pixels."""


def curve_distance(shape: tuple[int, int], points: Field, radii: Field) -> CurveDistance:
    """Measure every pixel near a tube against its centre line.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    points : (N, 2) float32 ndarray
        Centre line, (x, y) pixels.
    radii : (N,) float32 ndarray
        Radius of the tube at each point.

    Returns
    -------
    CurveDistance
        Exact within one and a half radii of the curve; an offset of 9 elsewhere.
    """
    offset = np.full(shape, 9.0, np.float32)
    along = np.zeros(shape, np.float32)
    radius = np.ones(shape, np.float32)
    length = 0.0
    for start, end, r_start, r_end in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
        step = end - start
        size = float(np.hypot(*step)) or 1e-6
        reach = 1.5 * float(max(r_start, r_end)) + 1
        low = np.maximum(np.floor(np.minimum(start, end) - reach).astype(int), 0)
        high = np.ceil(np.maximum(start, end) + reach).astype(int)
        box = np.s_[low[1] : max(high[1], 0), low[0] : max(high[0], 0)]
        rows, cols = np.indices(offset[box].shape, np.float32)
        dx, dy = cols + low[0] - start[0], rows + low[1] - start[1]
        t = np.clip((dx * step[0] + dy * step[1]) / size**2, 0, 1)
        side = np.where(dx * step[1] - dy * step[0] >= 0, 1, -1)
        r = r_start + t * (r_end - r_start)
        found = side * np.hypot(dx - t * step[0], dy - t * step[1]) / r
        nearer = np.abs(found) < np.abs(offset[box])
        offset[box] = np.where(nearer, found, offset[box])
        along[box] = np.where(nearer, length + t * size, along[box])
        radius[box] = np.where(nearer, r, radius[box])
        length += size
    return CurveDistance(offset, along, radius)


def smooth_curve(controls: Sequence[tuple[float, float]], num_points: int) -> Field:
    """Run a Catmull-Rom spline through control points.

    Returns
    -------
    (num_points, 2) float32 ndarray
        From the first control point to the last.
    """
    p = np.asarray(controls, np.float32)
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    position = np.linspace(0, len(p) - 3 - 1e-4, num_points)
    k = position.astype(int)
    t = (position - k)[:, None]
    a, b, c, d = p[k], p[k + 1], p[k + 2], p[k + 3]
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.asarray(curve, np.float32)


def vessels(
    rng: np.random.Generator,
    shape: tuple[int, int],
    center: tuple[float, float],
    radii: tuple[float, float],
    num_roots: int,
    width_px: float,
) -> Field:
    """Grow a net of branching vessels inwards from an outer circle.

    Parameters
    ----------
    rng : Generator
        Source of the wandering.
    shape : (int, int)
        Rows and columns.
    center : (float, float)
        Centre of both circles, (x, y) pixels.
    radii : (float, float)
        Radius where vessels end (inner) and where they begin (outer).
    num_roots : int
        Vessels that begin on the outer circle.
    width_px : float
        Width of a root; branches are thinner.

    Returns
    -------
    (H, W) float32 ndarray
        Opacity, 0 to 1.
    """
    canvas = np.zeros(shape, np.uint8)
    inner, outer = radii
    step = (outer - inner) / 38
    # (angle, radius, heading off the inward direction, width); branches are pushed on the same stack.
    stack = [(rng.uniform(0, 2 * np.pi), outer, rng.normal(0, 0.3), width_px) for _ in range(num_roots)]
    while stack:
        angle, radius, heading, width = stack.pop()
        path: list[tuple[float, float]] = []
        start_width = width
        stop = inner + (outer - inner) * abs(rng.normal(0, 0.16))
        curl = 0.0
        while radius > stop and width > 0.35 and len(path) < 90:
            path.append((center[0] + radius * np.cos(angle), center[1] + radius * np.sin(angle)))
            curl = 0.7 * curl + rng.normal(0, 0.17)
            heading = 0.84 * heading + curl
            radius -= step * np.cos(heading)
            angle += step * np.sin(heading) / radius
            width *= 0.985
            if rng.random() < 0.07 and len(stack) < 400:
                stack.append((angle, radius, heading + rng.choice([-0.7, 0.7]), width * 0.66))
                width *= 0.9
        _draw_vessel(canvas, path, start_width, width_px)
    return canvas.astype(np.float32) / 255.0


def _draw_vessel(
    canvas: npt.NDArray[np.uint8], path: list[tuple[float, float]], width: float, root: float
) -> None:
    """Draw one vessel that tapers and fades towards its end; 3 fractional bits keep the line smooth."""
    points = np.round(np.asarray(path) * 8).astype(np.int32)
    num_parts = min(6, len(points) // 3)
    for part in range(num_parts):
        start, end = (len(points) * k // num_parts for k in (part, part + 1))
        left = 1 - 0.75 * (part / num_parts) ** 2
        shade = int(np.clip((90 + 120 * width / root) * left, 0, 255))
        cv2.polylines(canvas, [points[start : end + 1]], isClosed=False, color=shade,
                      thickness=max(1, round(width * left)), lineType=cv2.LINE_AA, shift=3)  # fmt: skip
