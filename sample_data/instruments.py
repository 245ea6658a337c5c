"""Surgical instruments: tapered shafts of steel, sleeve and plastic, drawn anew for each frame.

An instrument is described along its axis: `u` is the distance from the tip, `v` the distance from the axis,
both in fractions of the frame height. Owns shapes and their shading; where the tip is, `render` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from sample_data import textures as tx
from sample_data.surroundings import metal

if TYPE_CHECKING:
    from sample_data.textures import Field

KINDS = ("phaco", "cannula", "forceps", "knife", "chopper")

STEEL, SLEEVE, PLASTIC, BLADE = range(4)


class Part(NamedTuple):
    """A stretch of an instrument from `start` to the next part's start, its radius changing linearly."""

    start: float
    radius: float
    end_radius: float
    material: int


SHAPES: dict[str, tuple[Part, ...]] = {
    "phaco": (
        Part(0.0, 0.010, 0.0125, STEEL),
        Part(0.045, 0.019, 0.025, SLEEVE),
        Part(0.24, 0.030, 0.046, SLEEVE),
        Part(0.33, 0.050, 0.052, STEEL),
        Part(0.43, 0.060, 0.075, PLASTIC),
    ),
    "cannula": (
        Part(0.0, 0.0065, 0.0075, STEEL),
        Part(0.42, 0.018, 0.026, STEEL),
        Part(0.47, 0.040, 0.044, PLASTIC),
    ),
    "forceps": (
        Part(0.0, 0.0065, 0.011, STEEL),
        Part(0.30, 0.024, 0.040, STEEL),
        Part(0.60, 0.042, 0.046, STEEL),
    ),
    "knife": (
        Part(0.0, 0.002, 0.036, BLADE),
        Part(0.075, 0.036, 0.034, BLADE),
        Part(0.14, 0.034, 0.012, BLADE),
        Part(0.17, 0.012, 0.016, STEEL),
        Part(0.36, 0.034, 0.040, PLASTIC),
    ),
    "chopper": (
        Part(0.0, 0.006, 0.008, STEEL),
        Part(0.09, 0.008, 0.016, STEEL),
        Part(0.36, 0.030, 0.036, STEEL),
    ),
}

TINTS = ((90, 150, 190), (196, 96, 60), (218, 218, 214), (110, 118, 128), (72, 132, 98), (188, 164, 72))


@dataclass(frozen=True)
class Instrument:
    """One instrument of a clip.

    Attributes
    ----------
    kind : str
        One of KINDS.
    bend : float
        How far the tip leaves the shaft's axis sideways, over the first 0.30 of its length.
    size : float
        Factor on all radii.
    tints : (4, 3) float32 ndarray
        Linear RGB by material.
    phases : (3,) float32 ndarray
        Where the mirrored light breaks up.
    """

    kind: str
    bend: float
    size: float
    tints: Field
    phases: Field

    @classmethod
    def draw(cls, rng: np.random.Generator, kind: str) -> Instrument:
        """Make an instrument of a kind, its colours, size and bend drawn."""
        curved = {"cannula": 0.09, "chopper": 0.06, "forceps": 0.03}.get(kind, 0.0)
        plastic = tx.linear(*TINTS[rng.integers(len(TINTS))])
        sleeve = tx.linear(*rng.choice([[112, 150, 186], [186, 190, 196], [196, 150, 170]]))
        tints = np.stack([tx.linear(206, 212, 222), sleeve, plastic, tx.linear(196, 202, 210)])
        return cls(
            kind,
            float(curved * rng.choice([-1, 1]) * rng.uniform(0.5, 1.2)),
            float(rng.uniform(0.85, 1.15)),
            tints,
            rng.uniform(0, 2 * np.pi, 3).astype(np.float32),
        )


class Pose(NamedTuple):
    """Where an instrument is in one frame: tip (x, y), unit vector along the shaft, opening 0 to 1."""

    tip_px: tuple[float, float]
    direction: tuple[float, float]
    opening: float


class Patch(NamedTuple):
    """A drawn instrument within `box` of the frame."""

    box: tuple[slice, slice]
    picture: Field
    """(h, w, 4) float32: premultiplied linear RGB and opacity."""
    solid: npt.NDArray[np.bool_]
    """(h, w): the pixels whose centre lies on the instrument."""


def draw_instrument(tool: Instrument, pose: Pose, shape: tuple[int, int], scale_px: float) -> Patch | None:
    """Draw an instrument in its pose.

    Parameters
    ----------
    tool : Instrument
        What to draw.
    pose : Pose
        Where.
    shape : (int, int)
        Rows and columns of the frame.
    scale_px : float
        Pixels that make one frame height.

    Returns
    -------
    Patch or None
        None where nothing of it lies within the frame.
    """
    box = _bounding_box(pose, shape, (0.11 + abs(tool.bend)) * scale_px)
    if box is None:
        return None
    rows, cols = np.indices((box[0].stop - box[0].start, box[1].stop - box[1].start), np.float32)
    dx = (cols + np.float32(box[1].start - pose.tip_px[0])) / np.float32(scale_px)
    dy = (rows + np.float32(box[0].start - pose.tip_px[1])) / np.float32(scale_px)
    u = dx * np.float32(pose.direction[0]) + dy * np.float32(pose.direction[1])
    v = dy * np.float32(pose.direction[0]) - dx * np.float32(pose.direction[1])
    # The axis bends quadratically towards the tip; the slope narrows what is measured across.
    left = np.clip(0.30 - u, 0, 0.30) / np.float32(0.30)
    v += np.float32(tool.bend) * (1 - left**2)
    slope = np.float32(2 * tool.bend / 0.30) * left
    v /= np.sqrt(1 + slope**2)
    radius, material = _profile(tool, u)
    if tool.kind == "forceps":
        v, radius = _tines(u, v, radius, pose.opening)
    offset = v / radius
    inside = np.minimum((1 - np.abs(offset)) * radius, u) * np.float32(scale_px)
    # Most of the box is empty: only pixels of the instrument are shaded.
    hit = inside > -0.5
    cover = np.clip(inside[hit] + 0.5, 0, 1)[:, None]
    picture = np.zeros((*hit.shape, 4), np.float32)
    picture[hit] = np.concatenate([_shade(tool, offset[hit], u[hit], material[hit]) * cover, cover], axis=1)
    return Patch(box, picture, inside > 0)


def _bounding_box(pose: Pose, shape: tuple[int, int], margin_px: float) -> tuple[slice, slice] | None:
    """Part of the frame that the shaft can touch."""
    far = 3.0 * max(shape)
    spans = []
    for size, tip, step in zip(shape, pose.tip_px[::-1], pose.direction[::-1], strict=True):
        low, high = sorted((tip, tip + far * step))
        spans.append(slice(int(np.clip(low - margin_px, 0, size)), int(np.clip(high + margin_px, 0, size))))
    if any(span.stop - span.start < 2 for span in spans):
        return None
    return spans[0], spans[1]


def _profile(tool: Instrument, u: Field) -> tuple[Field, npt.NDArray[np.intp]]:
    """Radius and material by distance from the tip."""
    parts = SHAPES[tool.kind]
    starts = np.array([part.start for part in parts] + [1.2], np.float32)
    which = np.clip(np.searchsorted(starts, u, side="right") - 1, 0, len(parts) - 1)
    begin = np.array([part.radius for part in parts], np.float32)[which]
    end = np.array([part.end_radius for part in parts], np.float32)[which]
    share = np.clip((u - starts[which]) / (starts[which + 1] - starts[which]), 0, 1)
    radius = (begin + (end - begin) * share) * np.float32(tool.size)
    return radius.astype(np.float32), np.array([part.material for part in parts])[which]


def _tines(u: Field, v: Field, radius: Field, opening: float) -> tuple[Field, Field]:
    """Split the first 0.33 of a forceps in two; `v` becomes the distance from the nearer tine's axis."""
    gap = (0.008 + 0.040 * opening) * np.clip(1 - u / 0.30, 0, 1) + 0.012 * np.clip((0.36 - u) / 0.06, 0, 1)
    return (np.abs(v) - gap).astype(np.float32), radius


def _shade(tool: Instrument, offset: Field, u: Field, material: npt.NDArray[np.intp]) -> Field:
    """Colour by material: mirrored bands on steel, a sheen on sleeve and plastic, two facets on a blade."""
    across = np.clip(offset, -1, 1)
    steel = metal(across, u * 90, tool.phases)
    tint = tool.tints[material]
    round_off = np.sqrt(1 - 0.92 * across**2)
    sheen = np.exp(-(((across + 0.36) / 0.16) ** 2)) * (0.30 + 0.12 * np.sin(u * 40 + tool.phases[0]))
    # Grooves for the fingers on a plastic handle.
    grooves = 1 - 0.22 * ((np.sin(u * 210) > 0.3) & (u > 0.52))
    dull = tint * (0.12 + 0.50 * round_off * grooves)[..., None] + sheen[..., None]
    facet = np.where(across < 0, 0.62, 0.20) + 0.5 * np.exp(-((across / 0.05) ** 2))
    facet = facet * (0.8 + 0.35 * np.sin(u * 45 + tool.phases[1]))
    color = np.where((material == STEEL)[..., None], steel, dull)
    return np.where((material == BLADE)[..., None], tint * facet[..., None], color).astype(np.float32)
