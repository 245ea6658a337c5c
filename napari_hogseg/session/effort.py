"""What a ledger adds up to: time, frames and pixels, by class, by model and by author. Reads nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_hogseg.session.ledger import TAKES_BACK, EffortCurve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hogseg.session.ledger import LedgerEntry

BY_HAND = "by hand"
UNSIGNED = "unsigned"
#: Points of a curve on screen; more are not told apart.
MAX_POINTS = 500


@dataclass(frozen=True)
class Effort:
    """A ledger in numbers.

    Attributes
    ----------
    curve : EffortCurve
        Thinned to `MAX_POINTS`; the last point is always there.
    minutes : float
        Working time.
    num_frames : int
        Different frames changed.
    num_pixels : int
        Changed pixels, less what was taken back.
    by_class : tuple of (int, int)
        Class id that pixels were given, 255 for unlabelled, and how many; most first.
    by_model : tuple of (str, int)
        Model that had proposed them, or `BY_HAND`, and how many; most first.
    by_author : tuple of (str, float)
        Who, or `UNSIGNED`, and the minutes; most first.
    """

    curve: EffortCurve
    minutes: float
    num_frames: int
    num_pixels: int
    by_class: tuple[tuple[int, int], ...]
    by_model: tuple[tuple[str, int], ...]
    by_author: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, entries: Sequence[LedgerEntry]) -> Effort:
        """Add up entries in their order."""
        curve = EffortCurve.of(entries)
        classes, models = Counter[int](), Counter[str]()
        seconds: dict[str, float] = {}
        for entry in entries:
            who = entry.author or UNSIGNED
            seconds[who] = seconds.get(who, 0.0) + entry.seconds
            model = BY_HAND if entry.proposed_by is None else entry.proposed_by.name
            for change in entry.changes:
                if entry.kind in TAKES_BACK:  # what it gives back had been given another class before
                    classes[change.before] -= change.pixels
                    models[model] -= change.pixels
                else:
                    classes[change.after] += change.pixels
                    models[model] += change.pixels
        return cls(
            curve=_thinned(curve),
            minutes=curve.total_minutes,
            num_frames=curve.frames[-1] if curve.frames else 0,
            num_pixels=curve.pixels[-1] if curve.pixels else 0,
            by_class=tuple((key, count) for key, count in classes.most_common() if count > 0),
            by_model=tuple((key, count) for key, count in models.most_common() if count > 0),
            by_author=tuple((who, s / 60) for who, s in sorted(seconds.items(), key=lambda item: -item[1])),
        )


def _thinned(curve: EffortCurve) -> EffortCurve:
    num_points = len(curve.minutes)
    if num_points <= MAX_POINTS:
        return curve
    kept = sorted({round(k * (num_points - 1) / (MAX_POINTS - 1)) for k in range(MAX_POINTS)})
    return EffortCurve(
        tuple(curve.when[k] for k in kept),
        tuple(curve.minutes[k] for k in kept),
        tuple(curve.pixels[k] for k in kept),
        tuple(curve.frames[k] for k in kept),
    )
