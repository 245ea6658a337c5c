"""Trials before a run: one batch is learned by heart, and the sweep finds the rate it was made to find."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from napari_hogseg.io.errors import InputError
from tests.unit.training.test_loop import train, with_steps
from training import commands
from training.probing import DIVERGED, RateTrial, overfit_one_batch, steepest_rate, sweep_rates

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hogseg.runs.config import RunConfig


def test_one_batch_is_learned_by_heart(config: RunConfig, tmp_path: Path) -> None:
    steps: list[None] = []
    first, last = overfit_one_batch(config, tmp_path / "run", 40, lambda: steps.append(None))
    assert len(steps) == 40
    assert float(last.loss) < 0.3 * float(first.loss)
    assert not (tmp_path / "run").exists()


def test_a_trial_keeps_off_a_run(config: RunConfig, tmp_path: Path) -> None:
    train(with_steps(config, 1), tmp_path / "run")
    with pytest.raises(InputError, match="already holds a run"):
        overfit_one_batch(config, tmp_path / "run", 2)


def test_the_sweep_is_geometric_smoothed_and_ends_where_it_diverges(
    config: RunConfig, tmp_path: Path
) -> None:
    trials = sweep_rates(config, (1e-5, 1e-3), 9)
    assert [trial.rate for trial in trials] == pytest.approx([1e-5 * 10 ** (i / 4) for i in range(9)])
    for number, trial in enumerate(trials):  # the weighted mean written out
        weights = [0.9 ** (number - i) for i in range(number + 1)]
        mean = sum(w * t.loss for w, t in zip(weights, trials, strict=False)) / sum(weights)
        assert trial.smoothed == pytest.approx(mean, rel=1e-9)
    wild = sweep_rates(config, (1e-3, 1e6), 30)
    assert len(wild) < 30
    lowest = min(trial.smoothed for trial in wild)
    assert all(trial.smoothed <= DIVERGED * lowest for trial in wild[:-1])


def test_the_steepest_rate_is_the_middle_of_a_sigmoid() -> None:
    rates = [10 ** (-5 + i / 20) for i in range(101)]
    losses = [2 - 1 / (1 + math.exp(-6 * (math.log10(rate) + 3))) for rate in rates]
    trials = [RateTrial(rate, loss, loss) for rate, loss in zip(rates, losses, strict=True)]
    blown_up = [RateTrial(2.0, 9.0, 9.0), RateTrial(3.0, 0.9, 5.0)]  # a fall after the minimum is none
    assert steepest_rate([*trials, *blown_up]) == pytest.approx(1e-3, rel=0.13)
    assert steepest_rate(trials[:1]) is None
    assert steepest_rate([]) is None
    assert steepest_rate([RateTrial(r, r, r) for r in rates]) is None


def test_a_sweep_downwards_is_refused(config: RunConfig) -> None:
    with pytest.raises(InputError, match="goes upwards"):
        commands.find_rate(config, (1.0, 0.1), 5, None)
