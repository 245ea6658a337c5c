"""Short trials before a run, from the recipe it would have: can it learn at all, and how fast may it.

Owns the two trials; nothing is written and the run folder stays untouched.
"""

from __future__ import annotations

import math
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from training.assembly import assemble, refuse_existing_run
from training.exits import NonFiniteLossError
from training.step import train_step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_hogseg.runs.config import RunConfig
    from training.losses import LossTerms

SMOOTHING = 0.9
"""Of the running mean of the losses: single batches differ more than neighbouring rates do."""
DIVERGED = 4.0
"""The sweep ends where the loss is this many times its best: from there on it only costs time."""


def overfit_one_batch(
    config: RunConfig, run: Path, num_steps: int, on_step: Callable[[], None] = lambda: None
) -> tuple[LossTerms, LossTerms]:
    """Train on the first batch alone, at the peak learning rate.

    A recipe that cannot learn even one batch has a defect in data, targets or rates, not too little time.

    Parameters
    ----------
    config : RunConfig
    run : Path
        Where the run would go; must hold none.
    num_steps : int
        At least 2.
    on_step : callable
        Called after each, for progress.

    Returns
    -------
    LossTerms, LossTerms
        Of the first and of the last step.
    """
    refuse_existing_run(run)
    task = assemble(config, run, resume=False)
    task.network.train()
    batch = next(iter(task.make_loader(0)))
    terms = []
    for _ in range(num_steps):
        terms.append(train_step(task, batch, config.optimizer.learning_rate))
        task.step += 1
        on_step()
    return terms[0], terms[-1]


class RateTrial(NamedTuple):
    """One step of a sweep: its rate, its loss, and the running mean of the losses up to it."""

    rate: float
    loss: float
    smoothed: float


def sweep_rates(
    config: RunConfig,
    rates: tuple[float, float],
    num_steps: int,
    on_step: Callable[[], None] = lambda: None,
) -> list[RateTrial]:
    """Train once while the learning rate grows geometrically from `rates[0]` to `rates[1]`.

    Parameters
    ----------
    config : RunConfig
        Its own rate and schedule are not used.
    rates : (float, float)
    num_steps : int
        At least 2.
    on_step : callable

    Returns
    -------
    list of RateTrial
        Up to where the loss diverged.

    References
    ----------
    Smith, Cyclical Learning Rates for Training Neural Networks, WACV 2017, section 3.3; smoothing and end as
    practice has them since.
    """
    first, last = rates
    train = config.train.model_copy(update={"num_steps": num_steps})
    with tempfile.TemporaryDirectory() as nowhere:  # a task has a folder; this one writes nothing to it
        task = assemble(config.model_copy(update={"train": train}), Path(nowhere), resume=False)
    task.network.train()
    trials: list[RateTrial] = []
    mean = 0.0
    for batch in task.make_loader(0):
        rate = first * (last / first) ** (task.step / (num_steps - 1))
        try:
            loss = float(train_step(task, batch, rate).loss)
        except NonFiniteLossError:
            break
        task.step += 1
        on_step()
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        trials.append(RateTrial(rate, loss, mean / (1 - SMOOTHING**task.step)))
        if trials[-1].smoothed > DIVERGED * min(trial.smoothed for trial in trials):
            break
    return trials


def steepest_rate(trials: Sequence[RateTrial]) -> float | None:
    """Find the rate at which the smoothed loss falls fastest; None where it never falls.

    Only the way down to the minimum counts.
    """
    lowest = min(range(len(trials)), key=lambda number: trials[number].smoothed, default=0)
    slopes = [
        ((after.smoothed - before.smoothed) / math.log(after.rate / before.rate), before.rate)
        for before, after in pairwise(trials[: lowest + 1])
    ]
    slope, rate = min(slopes, default=(0.0, 0.0))
    return rate if slope < 0 else None
