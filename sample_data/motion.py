"""How things move in time: wandering values, glances of the eye, comings and goings of instruments.

Pure functions of time in seconds; each object is fixed by the Generator that made it. No pictures here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


NUM_SPELLS = 40
"""Events drawn ahead for each thing, enough for about a minute and a half.

The first seconds thus do not depend on how long a clip gets.
"""


@dataclass(frozen=True)
class Wander:
    """A smooth value of zero mean: a sum of sines whose periods are not multiples of each other."""

    amplitudes: npt.NDArray[np.float64]
    rates_hz: npt.NDArray[np.float64]
    phases: npt.NDArray[np.float64]

    @classmethod
    def draw(cls, rng: np.random.Generator, amplitude: float, period_s: float) -> Wander:
        """Make a wander that stays within about `amplitude` and turns round every `period_s / 2`."""
        rates = np.array([0.45, 1.0, 1.73, 3.1]) * rng.uniform(0.85, 1.15, 4) / period_s
        return cls(amplitude * np.array([0.45, 0.35, 0.15, 0.05]), rates, rng.uniform(0, 2 * np.pi, 4))

    def at(self, time_s: float) -> float:
        """Value at a time."""
        return float(np.sum(self.amplitudes * np.sin(2 * np.pi * self.rates_hz * time_s + self.phases)))


@dataclass(frozen=True)
class Gaze:
    """Where the eye is: slow drift, breathing, and small quick glances that come back.

    Everything is in fractions of the frame height, the torsion in radians.
    """

    drift: tuple[Wander, Wander]
    torsion: Wander
    breath: Wander
    glances: tuple[tuple[float, float, float], ...]  # (time in s, right, down)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Gaze:
        """Make a gaze with a glance every two seconds or so."""
        times = np.cumsum(rng.uniform(1.2, 3.5, NUM_SPELLS))
        return cls(
            (Wander.draw(rng, 0.030, 4.0), Wander.draw(rng, 0.020, 4.5)),
            Wander.draw(rng, 0.05, 6.0),
            Wander.draw(rng, 0.006, 3.6),
            tuple((float(t), float(rng.normal(0, 0.014)), float(rng.normal(0, 0.010))) for t in times),
        )

    def shift(self, time_s: float) -> tuple[float, float]:
        """Displacement of the eye from its middle place, (right, down)."""
        right, down = self.drift[0].at(time_s), self.drift[1].at(time_s) + self.breath.at(time_s)
        for start, x, y in self.glances:
            # 80 ms there, held for a while, a slower way back: the course of a small saccade.
            away = _rise((time_s - start) / 0.08) - _rise((time_s - start - 0.7) / 0.6)
            right, down = right + x * away, down + y * away
        return right, down


@dataclass(frozen=True)
class Presence:
    """Spells during which a thing is in the field, between which it is drawn back out of it.

    Attributes
    ----------
    spells : tuple of (float, float)
        Start and end in seconds, in order, not overlapping.
    ramp_s : float
        Time that coming or going takes.
    """

    spells: tuple[tuple[float, float], ...]
    ramp_s: float

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        first_s: float,
        stay_s: tuple[float, float],
        away_s: tuple[float, float],
    ) -> Presence:
        """Come at `first_s`, then stay and be away by turns, for times drawn between the bounds given."""
        spells, start = [], first_s
        for _ in range(NUM_SPELLS):
            end = start + rng.uniform(*stay_s)
            spells.append((start, end))
            start = end + rng.uniform(*away_s)
        return cls(tuple(spells), rng.uniform(0.35, 0.6))

    def at(self, time_s: float) -> float:
        """Return 1 while in place, 0 while away, and a smooth way between."""
        value = 0.0
        for start, end in self.spells:
            value = max(value, _rise((time_s - start) / self.ramp_s) - _rise((time_s - end) / self.ramp_s))
        return value


def _rise(x: float) -> float:
    """Smooth step from 0 at 0 to 1 at 1."""
    x = min(max(x, 0.0), 1.0)
    return x * x * (3 - 2 * x)
