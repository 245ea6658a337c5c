"""Bootstrap over videos: how far a score would move with other videos of the same kind.

Frames of one video resemble each other, so whole videos are drawn, never frames. A statistic gets a weight
per frame (how often its video was drawn) and is computed anew from it: pixel counts are added up again, means
are not averaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Weights = NDArray[np.float64]  # (N,), one per frame
    Statistic = Callable[[Weights], dict[str, float]]

NUM_RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A percentile interval.

    Attributes
    ----------
    low, high : float
        NaN where no resample had a value.
    """

    low: float
    high: float


def video_numbers(videos: Sequence[str]) -> NDArray[np.intp]:
    """Give each frame the number of its video, in order of appearance: (N,)."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(video, len(numbers)) for video in videos], np.intp)


def resample(
    statistic: Statistic, videos: Sequence[str], *, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> dict[str, NDArray[np.float64]]:
    """Compute a statistic on videos drawn with replacement.

    Parameters
    ----------
    statistic : callable
        `statistic((N,) float64 weights) -> dict of str to float`.
    videos : sequence of str
        The video of each frame.
    num_resamples, seed : int

    Returns
    -------
    dict of str to (R,) float64 array
        By the statistic's names.
    """
    numbers = video_numbers(videos)
    num_videos = int(numbers.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(
        num_videos, np.full(num_videos, 1 / num_videos), size=num_resamples
    )
    values = [statistic(counts[numbers].astype(np.float64)) for counts in drawn]
    return {name: np.array([value[name] for value in values]) for name in values[0]}


def percentile_interval(values: NDArray[np.float64], level: float = LEVEL) -> Interval:
    """Cut equal tails off resampled values, (R,) float64; NaN values are left out."""
    present = values[~np.isnan(values)]
    if present.size == 0:
        return Interval(float("nan"), float("nan"))
    tail = (1 - level) / 2
    low, high = np.quantile(present, [tail, 1 - tail])
    return Interval(float(low), float(high))


def bootstrap_intervals(
    statistic: Statistic,
    videos: Sequence[str],
    *,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Interval]:
    """Percentile intervals over videos; empty where there is one video: it says nothing about others.

    References
    ----------
    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    if len(set(videos)) < 2:
        return {}
    drawn = resample(statistic, videos, num_resamples=num_resamples, seed=seed)
    return {name: percentile_interval(values, level) for name, values in drawn.items()}
