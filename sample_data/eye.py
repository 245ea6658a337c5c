"""The eyeball of one clip, drawn once: sclera, iris, pupil with its red reflex, and the lens inside.

Owns the still picture of the eye on a canvas larger than the frame. Does not move it (`motion`) nor light it
(`render`). Lengths are fractions of the frame height unless they end in `_px`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from sample_data import textures as tx
from sample_data.classes import CORNEA, IRIS, PUPIL

if TYPE_CHECKING:
    from sample_data.textures import Field

# Root colour, strand colour and inner zone colour (sRGB) of the irides that occur.
IRIDES: tuple[tuple[tuple[int, int, int], ...], ...] = (
    ((66, 36, 20), (132, 78, 42), (120, 62, 26)),  # brown
    ((44, 26, 18), (96, 58, 36), (84, 44, 24)),  # dark brown
    ((70, 92, 112), (150, 172, 182), (150, 122, 82)),  # blue with an amber ring
    ((66, 82, 84), (136, 152, 144), (132, 116, 84)),  # grey
    ((72, 72, 50), (140, 134, 92), (148, 96, 42)),  # green to hazel
)


@dataclass(frozen=True)
class Eye:
    """One eye, still.

    Attributes
    ----------
    picture : (H, W, 4) float32 ndarray
        Linear RGB, and the share of light that comes from the red reflex (0 outside the pupil).
    classes : (H, W) uint8 ndarray
        Pupil, iris, cornea.
    lens : (S, S, 4) float32 ndarray
        The cataract: premultiplied linear RGB and opacity; it turns and drifts within the pupil.
    bumps : (H, W) float32 ndarray
        Height of the wet surface, for glints; unit variance.
    center_px : (float, float)
        Centre of the iris on the canvas, (x, y).
    iris_px, pupil_px : float
        Mean radii.
    """

    picture: Field
    classes: npt.NDArray[np.uint8]
    lens: Field
    bumps: Field
    center_px: tuple[float, float]
    iris_px: float
    pupil_px: float


def build_eye(rng: np.random.Generator, shape: tuple[int, int], scale_px: float) -> Eye:
    """Draw an eye.

    Parameters
    ----------
    rng : Generator
        Decides the iris, the pupil, the vessels and the cataract.
    shape : (int, int)
        Rows and columns of the canvas.
    scale_px : float
        Pixels that make one frame height.

    Returns
    -------
    Eye
    """
    center = (
        shape[1] / 2 + rng.uniform(-0.07, 0.07) * scale_px,
        shape[0] / 2 + rng.uniform(-0.03, 0.03) * scale_px,
    )
    iris_px = rng.uniform(0.32, 0.385) * scale_px
    pupil_px = rng.uniform(0.56, 0.76) * iris_px
    rows, cols = np.indices(shape, np.float32)
    dx, dy = cols - center[0], rows - center[1]
    # Limbus and pupil are never quite circles: low harmonics of the angle.
    angle = np.arctan2(dy, dx)
    limbus = np.hypot(dx * rng.uniform(0.95, 0.985), dy) / (iris_px * _wobble(rng, angle, 0.006))
    pupil = np.hypot(dx, dy) / (pupil_px * _wobble(rng, angle, 0.014))
    # The rim of the pupil is ragged at the scale of single fibres.
    pupil += 0.012 * _polar(tx.noise(rng, (4, 512), (2, 70), 2, wrap=True), pupil / 4, angle)
    classes = np.full(shape, CORNEA, np.uint8)
    classes[limbus < 1] = IRIS
    classes[pupil < 1] = PUPIL
    bumps = tx.noise(rng, shape, (80, 124), 2)
    haze = tx.noise(rng, shape, (9, 14), 3)
    sclera = _sclera(rng, shape, center, iris_px, limbus)
    iris_share = np.clip((limbus * iris_px - pupil_px) / (iris_px - pupil_px), 0, 1).astype(np.float32)
    iris = _iris(rng, iris_share, angle, scale_px)
    edge = iris_px / scale_px * 60
    picture = tx.mix(iris, sclera, tx.smoothstep(0.92, 1.06, limbus + 0.012 * haze))
    red, share = _reflex(rng, pupil, angle, dx / iris_px, dy / iris_px)
    picture = tx.mix(picture, red, tx.smoothstep(1 + 0.6 / edge, 1 - 0.6 / edge, pupil))
    lens = _lens(rng, round(2.1 * pupil_px))
    return Eye(np.dstack([picture, share]), classes, lens, bumps, center, iris_px, pupil_px)


def _wobble(rng: np.random.Generator, angle: Field, size: float) -> Field:
    """Radius factor around 1 made of the second to fourth harmonic of the angle."""
    total = np.ones_like(angle)
    for harmonic in (2, 3, 4):
        total += np.float32(rng.normal(0, size / harmonic)) * np.cos(
            harmonic * angle + rng.uniform(0, 2 * np.pi)
        )
    return total.astype(np.float32)


def _polar(texture: Field, share: Field, angle: Field) -> Field:
    """Wrap a (radius, angle) texture round the centre; `share` is 0 at its first row and 1 at its last."""
    rows, cols = texture.shape
    x = (angle / np.float32(2 * np.pi) % 1) * cols
    y = np.clip(share, 0, 1) * (rows - 1)
    padded = np.concatenate([texture, texture[:, :2]], axis=1)
    wrapped = cv2.remap(padded, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
    return np.asarray(wrapped, np.float32)


def _sclera(
    rng: np.random.Generator,
    shape: tuple[int, int],
    center: tuple[float, float],
    iris_px: float,
    limbus: Field,
) -> Field:
    """White of the eye under its conjunctiva: two nets of vessels, injected patches, fat, a grey limbus."""
    white = tx.linear(*rng.choice([[232, 216, 206], [226, 214, 210], [236, 222, 200]]))
    patches = tx.noise(rng, shape, (5, 8), 4)
    color = tx.mix(white, tx.linear(222, 150, 128), np.clip(0.16 + 0.13 * patches, 0, 0.7))
    far = tx.smoothstep(1.15, 2.5, limbus)
    color = tx.mix(color, tx.linear(206, 116, 98), np.clip(far * (0.42 + 0.16 * patches), 0, 0.8))
    color = tx.mix(
        color, tx.linear(226, 190, 120), 0.3 * far * tx.smoothstep(0.4, 2.0, tx.noise(rng, shape, (4, 7)))
    )
    reach = (iris_px * 1.02, 0.72 * shape[1])
    unit = iris_px / 180
    redness = rng.uniform(0.6, 1.0)
    deep = tx.blur(tx.vessels(rng, shape, center, reach, 18, 7.0 * unit), 2.6 * unit)
    near = tx.blur(tx.vessels(rng, shape, center, reach, 20, 4.6 * unit), 0.8)
    color = tx.mix(color, tx.linear(150, 60, 72), np.clip(0.6 * redness * deep, 0, 1))
    color = tx.mix(color, tx.linear(158, 26, 26), np.clip(1.1 * redness * near, 0, 1))
    # The arcade: fine loops close to the limbus give it a red blush, then the grey of the corneal edge.
    fine = tx.vessels(rng, shape, center, (iris_px * 1.01, iris_px * 1.3), 90, 1.0 * unit)
    color = tx.mix(color, tx.linear(172, 48, 44), np.clip(0.45 * redness * tx.blur(fine, 0.6), 0, 1))
    blush = tx.smoothstep(1.22, 1.06, limbus) * np.clip(0.5 + 0.3 * patches, 0, 1)
    color = tx.mix(color, tx.linear(214, 142, 128), 0.5 * blush)
    color = tx.mix(color, tx.linear(150, 140, 136), 0.55 * tx.smoothstep(1.10, 1.0, limbus))
    folds = tx.blur(tx.noise(rng, shape, (9, 14), 4), 2.5)
    # A ball seen from the front: it turns away from the lamp towards the lids.
    ball = 1 - 0.28 * tx.smoothstep(1.0, 3.2, limbus)
    shading = tx.relief(folds, (0.5, 0.7), 1.3) * ball
    return (color * shading[..., None]).astype(np.float32)


def _fibers(rng: np.random.Generator, polar: tuple[int, int]) -> Field:
    """Radial fibres of three widths on a (radius, angle) grid, zero mean and unit variance."""
    fibers = np.zeros(polar, np.float32)
    for weight, rows, cols in ((0.9, 1.6, 70), (0.8, 2.4, 150), (0.5, 3.5, 290)):
        fibers += np.float32(weight) * (1 - np.abs(tx.noise(rng, polar, (rows, cols), 2, wrap=True)))
    # Fibres sway: each row is shifted by a smooth amount, so none is a ruled line.
    sway = 3 * tx.noise(rng, polar, (5, 24), 2, wrap=True)
    columns = ((np.arange(polar[1], dtype=np.float32) + sway) % polar[1]).astype(np.float32)
    lines = np.repeat(np.arange(polar[0], dtype=np.float32)[:, None], polar[1], axis=1)
    swayed = np.asarray(cv2.remap(fibers, columns, lines, cv2.INTER_LINEAR), np.float32)
    return np.asarray((swayed - swayed.mean()) / swayed.std(), np.float32)


def _iris(rng: np.random.Generator, share: Field, angle: Field, scale_px: float) -> Field:
    """Colour the iris; `share` is 0 at the pupil and 1 at the limbus."""
    root, strand, inner = (tx.linear(*color) for color in IRIDES[rng.integers(len(IRIDES))])
    polar = (192, 2048)
    radius = np.linspace(0, 1, polar[0], dtype=np.float32)[:, None]
    fibers = _fibers(rng, polar)
    collarette = rng.uniform(0.22, 0.4) + 0.05 * tx.noise(rng, polar, (1, 26), 2, wrap=True)[:1]
    zone = tx.smoothstep(0.06, -0.06, radius - collarette)
    ridge = np.exp(-(((radius - collarette) / 0.05) ** 2)).astype(np.float32)
    outward = np.broadcast_to(radius, polar)
    crypts = tx.smoothstep(0.9, 1.9, tx.noise(rng, polar, (3.2, 34), 2, wrap=True)) * (1 - zone)
    crypts *= tx.smoothstep(0.9, 0.7, outward)
    furrows = tx.smoothstep(0.8, 1.8, tx.noise(rng, polar, (9, 5), 1, wrap=True))
    furrows *= tx.smoothstep(0.45, 0.7, outward)
    height = 0.8 * fibers + 1.1 * ridge - 2.0 * crypts - 0.7 * furrows
    color = tx.mix(root, strand, np.clip(0.42 + 0.24 * height, 0, 1.2).astype(np.float32))
    color = tx.mix(color, inner * (0.75 + 0.35 * np.clip(fibers, -1, 2))[..., None], 0.55 * zone)
    color *= (1 - 0.55 * crypts - 0.3 * furrows)[..., None]
    dark = 1 - 0.55 * tx.smoothstep(0.74, 1.0, radius) - 0.7 * tx.smoothstep(0.075, 0.0, radius)
    color *= dark[..., None]
    planes = [_polar(np.ascontiguousarray(color[..., c]), share, angle) for c in range(3)]
    relief = tx.relief(
        tx.blur(_polar(height.astype(np.float32), share, angle), 0.002 * scale_px), (0.6, 0.8), 0.9
    )
    return (np.dstack(planes) * (0.35 + 0.65 * relief)[..., None]).astype(np.float32)


def _reflex(
    rng: np.random.Generator, pupil: Field, angle: Field, dx: Field, dy: Field
) -> tuple[Field, Field]:
    """Red reflex with the rim of the capsule opening and cortex spokes; and its share of light, 0 to 1."""
    deep, glow = (
        tx.linear(104, 26, 14),
        tx.linear(*rng.choice([[234, 112, 54], [226, 88, 50], [238, 140, 78]])),
    )
    shift = rng.normal(0, 0.16, 2)
    off = np.hypot(dx - shift[0], dy - shift[1])
    cloud = tx.noise(rng, pupil.shape, (9, 14), 4)
    color = tx.mix(deep, glow, np.clip(1.05 - 1.1 * off + 0.10 * cloud, 0, 1).astype(np.float32))
    spokes = _polar(tx.noise(rng, (64, 1024), (1.4, 22), 3, wrap=True), pupil, angle)
    veil = tx.smoothstep(0.5, 1.9, spokes) * tx.smoothstep(0.35, 0.95, pupil)
    color = tx.mix(color, tx.linear(226, 180, 150), 0.45 * veil)
    color *= (1 - 0.35 * tx.smoothstep(0.3, 1.6, -spokes) * tx.smoothstep(0.3, 0.9, pupil))[..., None]
    # The opening torn in the capsule: a thin line, light on one side and dark on the other.
    rim = rng.uniform(0.66, 0.82) * _wobble(rng, angle, 0.05)
    rim = (rim + 0.004 * tx.noise(rng, pupil.shape, (5, 8), 2)).astype(np.float32)
    line = np.exp(-(((pupil - rim) / 0.012) ** 2)) - 0.8 * np.exp(-(((pupil - rim - 0.022) / 0.014) ** 2))
    side = 0.55 + 0.45 * np.cos(angle - rng.uniform(0, 2 * np.pi))
    color *= (1 + 0.75 * line * side)[..., None]
    color *= (1 - 0.16 * tx.smoothstep(-0.01, 0.01, pupil - rim))[..., None]
    color *= (1 - 0.6 * tx.smoothstep(0.86, 1.0, pupil))[..., None]
    share = tx.smoothstep(1.0, 0.9, pupil)
    return np.clip(color, 0, 4).astype(np.float32), share


def _lens(rng: np.random.Generator, size_px: int) -> Field:
    """Draw the clouded, cracked nucleus: premultiplied colour and opacity on a square patch."""
    rows, cols = np.indices((size_px, size_px), np.float32)
    x, y = (cols / size_px - 0.5) * 2, (rows / size_px - 0.5) * 2
    angle = np.arctan2(y, x)
    cloud = tx.noise(rng, (size_px, size_px), (6, 6), 5)
    radius = np.hypot(x, y) / (rng.uniform(0.5, 0.66) * _wobble(rng, angle, 0.12)) + 0.03 * cloud
    body = tx.smoothstep(1.04, 0.86, radius)
    tint = tx.linear(*rng.choice([[214, 170, 104], [196, 132, 74], [206, 190, 160]]))
    color = tx.mix(tint * 0.55, tint, np.clip(0.5 + 0.3 * cloud, 0, 1.3).astype(np.float32))
    color *= (tx.relief(cloud, (0.6, 0.8), 2.2) * (1.1 - 0.5 * np.clip(radius, 0, 1)))[..., None]
    cracks = np.zeros_like(body)
    for turn in rng.uniform(0, np.pi, 1) + np.arange(rng.integers(1, 3)) * np.pi / 2:
        across = (
            x * np.sin(turn) - y * np.cos(turn) + 0.03 * np.sin(6 * (x * np.cos(turn) + y * np.sin(turn)))
        )
        gap = 0.022 + 0.03 * np.clip(radius, 0, 1) + 0.012 * cloud
        cracks = np.maximum(cracks, tx.smoothstep(1.3, 0.6, np.abs(across) / gap))
        color *= (1 + 0.5 * np.exp(-((np.abs(across) / gap - 1.4) ** 2) * 4))[..., None]
    opacity = np.clip(rng.uniform(0.45, 0.78) * body * (1 - 0.93 * cracks) * (0.9 + 0.12 * cloud), 0, 0.95)
    return np.dstack([color * opacity[..., None], opacity]).astype(np.float32)
