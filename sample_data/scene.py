"""One clip's cast: everything a seed decides before the first frame.

Owns the still pictures and the motions of one seed. Rendering them is `render`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sample_data import textures as tx
from sample_data.eye import Eye, build_eye
from sample_data.instruments import KINDS, Instrument
from sample_data.motion import Gaze, Presence, Wander
from sample_data.surroundings import Layer, build_hand, build_surroundings

if TYPE_CHECKING:
    from sample_data.textures import Field

SUPERSAMPLING = 2
"""Linear factor between the drawn and the delivered picture."""

CANVAS_MARGIN = 0.12
"""Canvas beyond the frame on each side, in frame heights: more than eye and head ever move."""


@dataclass(frozen=True)
class Worker:
    """An instrument at work through one incision.

    Attributes
    ----------
    tool : Instrument
        What it is.
    incision : float
        Angle of the incision on the limbus, radians, clockwise from the right.
    presence : Presence
        When it is in the eye.
    stroke : tuple of (Wander, Wander)
        Movement of the tip, (along the shaft, across), in pupil radii.
    opening : Wander
        Opening of a forceps about one half.
    """

    tool: Instrument
    incision: float
    presence: Presence
    stroke: tuple[Wander, Wander]
    opening: Wander


@dataclass(frozen=True)
class Light:
    """Lamp and camera of one clip.

    Attributes
    ----------
    falloff : (H, W) float32 ndarray
        Illumination of the field at the drawn size.
    white : (3,) float32 ndarray
        Colour balance.
    spots : (N, 3) float32 ndarray
        Lamp images on the cornea: right and down of the pupil's centre and radius, in iris radii.
    lamp_bumps : (H, W) float32 ndarray
        Noise fixed to the lamp; where it meets bumps of the eye, the wet surface glints.
    exposure, focus, reflex : Wander
        Slow changes about 0.
    shadow : (float, float)
        Where shadows fall, (right, down), in frame heights.
    """

    falloff: Field
    white: Field
    spots: Field
    lamp_bumps: Field
    exposure: Wander
    focus: Wander
    reflex: Wander
    shadow: tuple[float, float]


@dataclass(frozen=True)
class Scene:
    """All that is needed to draw any frame of a clip; sizes are those of the drawn (supersampled) picture."""

    seed: int
    shape: tuple[int, int]
    scale_px: float
    eye: Eye
    surroundings: Layer
    hand: Layer
    gaze: Gaze
    lens_turn: Wander
    head: tuple[Wander, Wander]
    workers: tuple[Worker, ...]
    hand_presence: Presence
    hand_sway: tuple[Wander, Wander]
    light: Light


def build_scene(seed: int, height: int, width: int) -> Scene:
    """Draw the cast of one seed.

    Parameters
    ----------
    seed : int
        Any integer of at least 0; each gives another eye, other instruments, tape and light.
    height, width : int
        Size of the delivered frames.

    Returns
    -------
    Scene
    """
    # One stream per part: a change to one part leaves the others as they were.
    streams = [np.random.default_rng([seed, part]) for part in range(6)]
    shape = (height * SUPERSAMPLING, width * SUPERSAMPLING)
    scale_px = float(shape[0])
    margin = round(CANVAS_MARGIN * scale_px)
    canvas = (shape[0] + 2 * margin, shape[1] + 2 * margin)
    rng = streams[5]
    return Scene(
        seed=seed,
        shape=shape,
        scale_px=scale_px,
        eye=build_eye(streams[0], canvas, scale_px),
        surroundings=build_surroundings(streams[1], canvas, scale_px),
        hand=build_hand(streams[2], round(0.80 * scale_px), scale_px),
        gaze=Gaze.draw(rng),
        lens_turn=Wander.draw(rng, 0.9, 3.5),
        head=(Wander.draw(rng, 0.006, 5.0), Wander.draw(rng, 0.009, 3.8)),
        workers=_hire(streams[3]),
        hand_presence=Presence.draw(rng, rng.uniform(0.5, 1.2), (1.0, 2.0), (1.2, 2.4)),
        hand_sway=(Wander.draw(rng, 0.04, 2.0), Wander.draw(rng, 0.05, 2.6)),
        light=_build_light(streams[4], shape),
    )


def _hire(rng: np.random.Generator) -> tuple[Worker, ...]:
    """Choose two instruments and their incisions, from opposite sides of the field."""
    first = rng.uniform(-0.35, 0.75) if rng.random() < 0.5 else np.pi - rng.uniform(-0.35, 0.75)
    second = first + rng.choice([-1, 1]) * rng.uniform(1.6, 2.5)
    kinds = rng.choice(len(KINDS), 2, replace=False)
    # The main one is there from the start; the second comes and goes.
    presences = (
        Presence.draw(rng, -2.0, (3.6, 5.0), (0.3, 0.9)),
        Presence.draw(rng, rng.uniform(0.6, 1.6), (1.4, 2.6), (0.8, 1.8)),
    )
    return tuple(
        Worker(
            Instrument.draw(rng, KINDS[kind]),
            float(angle),
            presence,
            (Wander.draw(rng, 0.75, 1.7), Wander.draw(rng, 0.60, 1.3)),
            Wander.draw(rng, 0.5, 1.1),
        )
        for kind, angle, presence in zip(kinds, (first, second), presences, strict=True)
    )


def _build_light(rng: np.random.Generator, shape: tuple[int, int]) -> Light:
    """Aim the lamp, balance the camera, place the lamp's images on the cornea."""
    rows, cols = np.indices(shape, np.float32)
    x, y = cols / shape[0] - shape[1] / shape[0] / 2, rows / shape[0] - 0.5
    away = np.hypot(x - rng.normal(0, 0.06), y - rng.normal(0, 0.04))
    falloff = rng.uniform(0.80, 0.96) * (
        1 - rng.uniform(0.35, 0.62) * tx.smoothstep(0.30, 1.15, away.astype(np.float32))
    )
    middle, turn = rng.normal(0, 0.12, 2), rng.uniform(0, 2 * np.pi)
    spots = [
        [
            middle[0] + 0.16 * np.cos(turn + k * np.pi),
            middle[1] + 0.16 * np.sin(turn + k * np.pi),
            rng.uniform(0.05, 0.085),
        ]
        for k in range(2)
    ]
    spots.append([rng.normal(0, 0.3), rng.normal(0, 0.3), rng.uniform(0.02, 0.035)])
    return Light(
        falloff=falloff.astype(np.float32),
        white=np.array([rng.uniform(0.98, 1.06), 1.0, rng.uniform(0.9, 1.03)], np.float32),
        spots=np.array(spots, np.float32),
        lamp_bumps=tx.noise(rng, shape, (7, 12), 3),
        exposure=Wander.draw(rng, 0.06, 3.0),
        focus=Wander.draw(rng, 1.0, 3.4),
        reflex=Wander.draw(rng, 0.22, 2.4),
        shadow=(float(rng.uniform(-0.035, 0.035)), float(rng.uniform(0.03, 0.05))),
    )
