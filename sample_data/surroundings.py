"""What lies round the eye of one clip, drawn once: skin, taped drape, wire speculum, gloved fingers.

Owns still pictures with opacity and classes. Does not move nor light them. Lengths are fractions of the frame
height unless they end in `_px`; the origin is the middle of the canvas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sample_data import textures as tx
from sample_data.classes import HAND, RETRACTORS, SKIN, TAPE

if TYPE_CHECKING:
    from sample_data.textures import CurveDistance, Field

NOTHING = 255
"""Class of the pixels of a layer through which the layer below is seen."""

SKINS = ((224, 172, 146), (206, 150, 118), (178, 120, 88), (134, 88, 64), (232, 186, 160))
DRAPES = ((96, 146, 156), (122, 164, 190), (112, 156, 134), (198, 208, 206), (74, 116, 152))
GLOVES = ((226, 214, 188), (222, 222, 216), (150, 180, 200), (204, 184, 148), (160, 194, 176))


@dataclass(frozen=True)
class Layer:
    """A picture that lies over others.

    Attributes
    ----------
    picture : (H, W, 4) float32 ndarray
        Premultiplied linear RGB and opacity.
    classes : (H, W) uint8 ndarray
        Class ids where the layer is opaque, NOTHING elsewhere.
    """

    picture: Field
    classes: npt.NDArray[np.uint8]


def build_surroundings(rng: np.random.Generator, shape: tuple[int, int], scale_px: float) -> Layer:
    """Draw lids with drape, and the speculum over them.

    Parameters
    ----------
    rng : Generator
        Decides the opening, the skin, the tape's layout and colour, and the wires.
    shape : (int, int)
        Rows and columns of the canvas.
    scale_px : float
        Pixels that make one frame height.

    Returns
    -------
    Layer
        Shade on the eye has some opacity and class NOTHING.
    """
    rows, cols = np.indices(shape, np.float32)
    x, y = (cols - shape[1] / 2) / scale_px, (rows - shape[0] / 2) / scale_px
    tilt = rng.normal(0, 0.10)
    x, y = x * np.cos(tilt) + y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt)
    half_width, half_height = rng.uniform(0.68, 0.80), rng.uniform(0.405, 0.465)
    uneven = tx.noise(rng, shape, (4, 6), 3)
    ratio = (np.abs(x / half_width) ** 2.5 + np.abs(y / half_height) ** 2.5) ** np.float32(1 / 2.5)
    # Distance to the lid margin: negative on the eye.
    lid = ((ratio - 1) * half_height + 0.010 * uneven).astype(np.float32)
    lids = _lids_and_drape(rng, lid, _drape_depth(rng, x, y, half_height, uneven), scale_px)
    wires = _speculum(rng, shape, scale_px, (half_width, half_height, tilt))
    picture = tx.blur((lids.picture * (1 - wires.picture[..., 3:]) + wires.picture).astype(np.float32), 0.5)
    return Layer(picture, np.where(wires.classes == NOTHING, lids.classes, wires.classes))


def _drape_depth(rng: np.random.Generator, x: Field, y: Field, half_height: float, uneven: Field) -> Field:
    """Distance inside the drape: the largest of some half planes whose straight edges were cut by hand."""
    depth = np.full(x.shape, -9.0, np.float32)
    turns = rng.uniform(0, 2 * np.pi) + np.arange(4) * np.pi / 2 + rng.normal(0, 0.25, 4)
    for turn in turns:
        # An edge stays off the lids, further out towards the left and right of the wide frame.
        off = np.hypot(half_height * np.sin(turn), 0.74 * np.cos(turn)) + rng.uniform(0.02, 0.10)
        depth = np.maximum(depth, x * np.cos(turn) + y * np.sin(turn) - off)
    return (depth + 0.006 * uneven).astype(np.float32)


def _lids_and_drape(rng: np.random.Generator, lid: Field, drape: Field, scale_px: float) -> Layer:
    """Skin with its wet margin round the opening, the drape over it, and their shade on the eye."""
    skin = _skin(rng, lid, scale_px)
    plastic = _plastic(rng, lid.shape, drape)
    edge = 0.7 / scale_px
    color = tx.mix(skin * (1 - 0.5 * tx.smoothstep(-0.03, 0.0, drape))[..., None], plastic,
                   tx.smoothstep(-edge, edge, drape))  # fmt: skip
    # Opaque tissue outside the margin; on the eye only the lids' shade: black of growing opacity.
    opaque = tx.smoothstep(-edge, edge, lid)
    shade = 0.62 * tx.smoothstep(-0.075, 0.0, lid) ** 2
    opacity = np.maximum(opaque, shade)
    wet = np.exp(-(((lid + 0.006) / 0.004) ** 2)) * tx.smoothstep(
        0.5, 1.6, tx.noise(rng, lid.shape, (12, 18), 3)
    )
    color = color * opaque[..., None] + (0.9 * wet)[..., None]
    classes = np.full(lid.shape, NOTHING, np.uint8)
    classes[lid >= 0] = SKIN
    classes[(lid >= 0) & (drape >= 0)] = TAPE
    return Layer(np.dstack([color, opacity]).astype(np.float32), classes)


def _skin(rng: np.random.Generator, lid: Field, scale_px: float) -> Field:
    """Skin: a red wet margin next to the eye, wrinkles along the lid, pores, stains of the disinfectant."""
    shape = lid.shape
    blotch, pores = tx.noise(rng, shape, (6, 9), 4), tx.noise(rng, shape, (shape[0] / 5, shape[1] / 5), 2)
    base = tx.linear(*SKINS[rng.integers(len(SKINS))])
    color = tx.mix(base * 0.72, base, np.clip(0.6 + 0.3 * blotch, 0, 1.2))
    stain = tx.smoothstep(0.2, 1.5, tx.noise(rng, shape, (3, 4), 3)) * rng.uniform(0.1, 0.6)
    color = tx.mix(color, tx.linear(168, 104, 40), stain)
    color = tx.mix(color, tx.linear(206, 112, 100), 0.8 * tx.smoothstep(0.045, 0.0, lid))
    phase = lid * 260 + 1.6 * tx.noise(rng, shape, (8, 12), 3)
    wrinkles = np.sin(phase) * tx.smoothstep(0.01, 0.06, lid) * np.clip(blotch, 0, 1)
    height = tx.blur((0.25 * wrinkles + 0.16 * pores + 0.5 * blotch).astype(np.float32), 0.0016 * scale_px)
    roll = np.exp(-(((lid - 0.018) / 0.016) ** 2))
    color *= (tx.relief(height, (0.5, 0.8), 2.6) * (0.92 + 0.22 * roll))[..., None]
    shine = tx.smoothstep(1.2, 2.6, pores + blotch) * tx.smoothstep(0.08, 0.0, lid)
    return (color + 0.22 * shine[..., None]).astype(np.float32)


def _plastic(rng: np.random.Generator, shape: tuple[int, ...], depth: Field) -> Field:
    """Adhesive plastic: crumpled planes, sharp folds, streaks of lamp light, a lighter cut edge."""
    size = (shape[0], shape[1])
    base = tx.linear(*DRAPES[rng.integers(len(DRAPES))])
    broad, fine = tx.noise(rng, size, (4, 6), 3), tx.noise(rng, size, (9, 12), 3)
    creases = 1 - np.abs(broad) - 0.45 * np.abs(fine)
    height = tx.blur(creases.astype(np.float32), 1.6)
    slope = tx.relief(height, (0.6, 0.8), 16.0) - 1
    color = base * (0.72 + 0.30 * slope)[..., None]
    streaks = tx.smoothstep(0.45, 0.9, slope) * tx.smoothstep(-0.2, 1.2, tx.noise(rng, size, (5, 7), 2))
    color = color + (0.85 * streaks)[..., None]
    color = color + (0.28 * np.exp(-((depth / 0.004) ** 2)))[..., None]
    return np.asarray(np.clip(color, 0.01, 3), np.float32)


def _speculum(
    rng: np.random.Generator, shape: tuple[int, int], scale_px: float, opening: tuple[float, float, float]
) -> Layer:
    """Two bent wires, each along one lid and out of the field, with the shadow they throw."""
    half_width, half_height, tilt = opening
    radius_px = rng.uniform(0.0125, 0.017) * scale_px
    mirror = rng.choice([-1.0, 1.0])
    reach = rng.uniform(0.16, 0.30)
    picture, classes = np.zeros((*shape, 4), np.float32), np.full(shape, NOTHING, np.uint8)
    for side in (-1.0, 1.0):
        deep = half_height - rng.uniform(0.012, 0.03)
        # From beyond the side of the frame along the lid, then round a corner and out over the lid.
        controls = [
            *(
                (-1.25, 0.16),
                (-0.98, 0.24),
                (-half_width * 0.80, half_height * 0.66),
                (-reach - 0.12, deep - 0.02),
            ),
            *((-reach * 0.4, deep), (reach * 0.5, deep), (reach + 0.06, deep + 0.01)),
            *((reach + 0.13, deep + 0.07), (reach + 0.10, deep + 0.17), (reach + 0.05, deep + 0.3)),
        ]
        line = tx.smooth_curve([(mirror * x, side * y) for x, y in controls], 110)
        turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]], np.float32)
        line = line @ turn * np.float32(scale_px) + np.array([shape[1] / 2, shape[0] / 2], np.float32)
        tube = tx.curve_distance(shape, line.astype(np.float32), np.full(len(line), radius_px, np.float32))
        _lay_wire(rng, tube, picture, classes, radius_px)
    return Layer(picture, classes)


def _lay_wire(
    rng: np.random.Generator,
    tube: CurveDistance,
    picture: Field,
    classes: npt.NDArray[np.uint8],
    radius_px: float,
) -> None:
    """Add one wire and its shadow to the speculum's picture, in place."""
    solid = np.asarray(np.clip((1 - np.abs(tube.offset)) * radius_px + 0.5, 0, 1), np.float32)
    fall = round(0.9 * radius_px)
    shadow = np.roll(tx.blur(solid, 0.8 * radius_px), (fall, round(0.5 * fall)), (0, 1)) * 0.55
    color = metal(tube.offset, tube.along / radius_px, rng.uniform(0, 2 * np.pi, 3).astype(np.float32))
    layer = np.dstack([color * solid[..., None], np.maximum(solid, shadow)])
    # Where the first wire already lies, neither the second's shadow nor its colour may cover it twice.
    keep = 1 - layer[..., 3:]
    picture *= keep
    picture += layer
    classes[np.abs(tube.offset) < 1] = RETRACTORS


def metal(offset: Field, along: Field, phases: Field) -> Field:
    """Shade a polished steel tube: bands that mirror a dark room, the lamp and the red tissue below.

    Parameters
    ----------
    offset : (H, W) float32 ndarray
        Place across the tube, -1 to 1.
    along : (H, W) float32 ndarray
        Place along it, in radii.
    phases : (3,) float32 ndarray
        Where the light breaks up, radians.

    Returns
    -------
    (H, W, 3) float32 ndarray
    """
    place = offset + 0.10 * np.sin(along * 0.11 + phases[0])
    lamp = np.exp(-(((place + 0.34) / 0.13) ** 2)) * (1.0 + 0.45 * np.sin(along * 0.23 + phases[1]))
    second = 0.34 * np.exp(-(((place - 0.48) / 0.10) ** 2)) * (1.0 + 0.5 * np.sin(along * 0.17 + phases[2]))
    body = 0.06 + 0.20 * np.exp(-(((place + 0.2) / 0.5) ** 2))
    grey = np.float32(1) * (body + 1.1 * lamp + second)
    steel = tx.linear(206, 212, 222)
    mirrored = 0.10 * np.clip(np.abs(offset) - 0.5, 0, 1)
    tissue = tx.linear(240, 150, 120)
    return np.asarray(grey[..., None] * steel + mirrored[..., None] * tissue, np.float32)


def build_hand(rng: np.random.Generator, size_px: int, scale_px: float) -> Layer:
    """Draw two or three gloved fingers on a square patch, pointing up from its lower edge.

    Parameters
    ----------
    rng : Generator
        Decides the glove and the fingers.
    size_px : int
        Side of the patch.
    scale_px : float
        Pixels that make one frame height.

    Returns
    -------
    Layer
        The glove; opacity 1 within its class.
    """
    shape = (size_px, size_px)
    height, cover = np.full(shape, -1.0, np.float32), np.zeros(shape, np.float32)
    base = tx.linear(*GLOVES[rng.integers(len(GLOVES))])
    num_fingers = int(rng.integers(2, 4))
    for finger in range(num_fingers):
        root_x = size_px * (0.5 + 0.19 * (finger - (num_fingers - 1) / 2) + rng.normal(0, 0.02))
        tip = (
            size_px * 0.5 + (root_x - size_px * 0.5) * 0.75,
            0.095 * scale_px + size_px * rng.uniform(0, 0.14),
        )
        knuckle = ((root_x + tip[0]) / 2 + rng.normal(0, 0.035) * size_px, size_px * rng.uniform(0.5, 0.58))
        line = tx.smooth_curve([tip, knuckle, (root_x, size_px * 1.2)], 24)
        bulge = 0.085 + 0.03 * np.linspace(0, 1, 24) + 0.006 * np.cos(np.linspace(0, 9, 24))
        tube = tx.curve_distance(shape, line, (bulge * scale_px).astype(np.float32))
        cover = np.maximum(cover, np.clip((1 - np.abs(tube.offset)) * tube.radius + 0.5, 0, 1))
        height = np.maximum(height, np.sqrt(np.clip(1 - tube.offset**2, 0, 1)) * tube.radius / scale_px * 9)
    wrinkle = 0.030 * (1 - np.abs(tx.noise(rng, shape, (14, 6), 3))) + 0.02 * tx.noise(rng, shape, (5, 5), 3)
    lit = tx.relief(tx.blur((height + wrinkle).astype(np.float32) * 10, 1.5), (0.5, 0.75), 3.2)
    rim = np.clip(height, 0, 1)
    color = base * (0.44 + 0.50 * rim + 0.42 * (lit - 1))[..., None]
    color = color + 0.5 * (tx.smoothstep(1.35, 1.8, lit) * rim)[..., None]
    classes = np.where(cover >= 0.5, HAND, NOTHING).astype(np.uint8)
    # Held above the plane of focus: soft edges.
    picture = tx.blur(np.dstack([np.clip(color, 0, 3) * cover[..., None], cover]).astype(np.float32), 3.2)
    return Layer(picture, classes)
