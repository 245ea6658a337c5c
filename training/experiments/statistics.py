"""What the runs of a grid say together: means over seeds, and each arm against the reference in pairs.

Two sources of chance are kept apart. Over seeds: Student's interval of the paired differences (same seed,
same frames), which tells whether another seed would say the same. Over recordings: a bootstrap that draws
whole recordings, the seeds averaged, which tells whether other videos would; one recording gives none.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scipy import stats

from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.intervals import (
    LEVEL,
    NUM_RESAMPLES,
    Interval,
    percentile_interval,
    resample,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from training.experiments.grid import Arm, Grid, GridRun, Point
    from training.experiments.scores import RunScores

NO_INTERVAL = Interval(math.nan, math.nan)


@dataclass(frozen=True)
class Effect:
    """An arm minus the reference.

    Attributes
    ----------
    mean : float
    over_seeds : Interval
        NaN with fewer than two seeds in both arms.
    over_recordings : Interval
        NaN with fewer than two recordings.
    num_seeds, num_recordings : int
    """

    mean: float
    over_seeds: Interval
    over_recordings: Interval
    num_seeds: int
    num_recordings: int


@dataclass(frozen=True)
class Cell:
    """An arm at a point.

    Attributes
    ----------
    arm, point : str
    by_seed : dict of int to float
        The protocol's first number.
    interval : Interval
        Student's, of the mean over seeds; NaN with one.
    effect : Effect or None
        None for the reference, and where no seed stands in both arms.
    r2_mean, r2_zero : float
        Of the heads, mean over heads and seeds; NaN without an auxiliary task.
    gradient_cosine : float
        Mean over seeds; NaN where it is not defined.
    notes : tuple of str
        What the health reports said.
    """

    arm: str
    point: str
    by_seed: Mapping[int, float]
    interval: Interval
    effect: Effect | None
    r2_mean: float
    r2_zero: float
    gradient_cosine: float
    notes: tuple[str, ...]

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return statistics.fmean(self.by_seed.values())

    @property
    def deviation(self) -> float:
        """Standard deviation over seeds; NaN with one."""
        return statistics.stdev(self.by_seed.values()) if len(self.by_seed) > 1 else math.nan


@dataclass(frozen=True)
class Results:
    """All cells of a grid that have a run, and the quantity they hold."""

    grid: Grid
    quantity: str
    protocol: str
    cells: tuple[Cell, ...]
    scores: Mapping[GridRun, RunScores]

    def cell(self, arm: Arm, point: Point) -> Cell | None:
        """Find a cell; None where no run of it is done."""
        return next((c for c in self.cells if (c.arm, c.point) == (arm.name, point.name)), None)


def summarise(grid: Grid, scores: Mapping[GridRun, RunScores]) -> Results:
    """Average and compare the runs that are done.

    Raises
    ------
    InputError
        If no run is done, or runs of one point were not scored on the same masks.
    """
    if not scores:
        raise InputError("No run of this experiment is done", where=grid.name, remedy="See its log files.")
    protocol = next(iter(scores.values())).protocol
    cells: list[Cell] = []
    for point in grid.point:
        by_arm = {arm.name: _of_cell(grid, scores, arm, point) for arm in grid.arm}
        _check_same_truth(point, [one for runs in by_arm.values() for one in runs.values()])
        cells += [
            _cell(arm, point, runs, {} if arm.name == grid.reference else by_arm[grid.reference])
            for arm in grid.arm
            if (runs := by_arm[arm.name])
        ]
    return Results(grid, protocol.quantities[0], protocol.name, tuple(cells), scores)


def _of_cell(grid: Grid, scores: Mapping[GridRun, RunScores], arm: Arm, point: Point) -> dict[int, RunScores]:
    runs = {seed: grid.run_of(arm, point, seed) for seed in grid.seeds}
    return {seed: scores[run] for seed, run in runs.items() if run in scores}


def _check_same_truth(point: Point, runs: Sequence[RunScores]) -> None:
    if len({(one.truth_digest, one.frames, one.protocol.name) for one in runs}) > 1:
        raise InputError(
            "Runs were scored on different frames or masks, so they cannot be compared",
            where=f"point {point.name}",
            remedy="The data set changed between runs: start the experiment in another --out.",
        )


def _cell(arm: Arm, point: Point, runs: Mapping[int, RunScores], reference: Mapping[int, RunScores]) -> Cell:
    by_seed = {seed: first_number(one) for seed, one in runs.items()}
    healths = [one.health for one in runs.values() if one.health is not None]
    cosines = [health.gradient_cosine for health in healths if health.gradient_cosine is not None]
    heads = [head for health in healths for head in health.heads]
    return Cell(
        arm=arm.name,
        point=point.name,
        by_seed=by_seed,
        interval=student_interval(list(by_seed.values())),
        effect=paired_effect(runs, reference),
        r2_mean=_mean([head.r2_mean for head in heads]),
        r2_zero=_mean([head.r2_zero for head in heads]),
        gradient_cosine=_mean(cosines),
        notes=tuple(dict.fromkeys(health.note for health in healths if health.note)),
    )


def first_number(scores: RunScores) -> float:
    """Return the number that the protocol quotes first."""
    return scores.numbers[scores.protocol.quantities[0]]


def student_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Student's interval of a mean; NaN with fewer than two values."""
    if len(values) < 2:
        return NO_INTERVAL
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values)
    middle = statistics.fmean(values)
    return Interval(float(middle - half), float(middle + half))


def paired_effect(
    runs: Mapping[int, RunScores], reference: Mapping[int, RunScores], *, seed: int = 0
) -> Effect | None:
    """Compare two arms on the seeds that both have: mean difference and its two intervals.

    Parameters
    ----------
    runs, reference : mapping of int to RunScores
        By seed, scored on the same frames.
    seed : int
        Of the bootstrap.
    """
    seeds = sorted(set(runs) & set(reference))
    if not seeds:
        return None
    differences = [first_number(runs[one]) - first_number(reference[one]) for one in seeds]
    recordings = runs[seeds[0]].recordings
    num_recordings = len(set(recordings))
    return Effect(
        mean=statistics.fmean(differences),
        over_seeds=student_interval(differences),
        over_recordings=(
            _bootstrap([(runs[one], reference[one]) for one in seeds], recordings, seed)
            if num_recordings > 1
            else NO_INTERVAL
        ),
        num_seeds=len(seeds),
        num_recordings=num_recordings,
    )


def _bootstrap(
    pairs: Sequence[tuple[RunScores, RunScores]], recordings: Sequence[str], seed: int
) -> Interval:
    quantity = pairs[0][0].protocol.quantities[0]
    measures = [
        (ours.protocol.statistic(ours.table), theirs.protocol.statistic(theirs.table))
        for ours, theirs in pairs
    ]

    def difference(weights: NDArray[np.float64]) -> dict[str, float]:
        values = [ours(weights)[quantity] - theirs(weights)[quantity] for ours, theirs in measures]
        return {"difference": statistics.fmean(values)}

    drawn = resample(difference, recordings, num_resamples=NUM_RESAMPLES, seed=seed)
    return percentile_interval(drawn["difference"])


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return statistics.fmean(finite) if finite else math.nan
