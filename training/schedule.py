"""Learning rates as a function of where the run stands: nothing to save, nothing to restore."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_hogseg.runs.config import OptimizerConfig

WARM_UP_SHARE = 0.3
START_DIVISOR = 25.0
END_DIVISOR = 1e4
"""The one-cycle defaults of Smith and Topin (2018) as torch.optim.lr_scheduler.OneCycleLR has them."""


def learning_rate(config: OptimizerConfig, step: int, progress: float) -> float:
    """Learning rate of one step.

    Parameters
    ----------
    config : OptimizerConfig
    step : int
        Steps done before this one.
    progress : float
        Share of the run that is done, 0 to 1: by steps, or by time where a time budget ends the run.

    Returns
    -------
    float
    """
    if config.schedule == "constant":
        return config.learning_rate
    if config.schedule == "step":
        return config.learning_rate * config.gamma ** (step // config.step_every)
    if config.schedule in ("poly", "cosine"):
        return _warmed_up(config, progress)
    start = config.learning_rate / START_DIVISOR
    if progress < WARM_UP_SHARE:
        return _cosine(start, config.learning_rate, progress / WARM_UP_SHARE)
    end = start / END_DIVISOR
    return _cosine(config.learning_rate, end, (progress - WARM_UP_SHARE) / (1 - WARM_UP_SHARE))


def _warmed_up(config: OptimizerConfig, progress: float) -> float:
    """Rise straight over the share `warm_up` of the run, then fall to 0 at its end."""
    if progress < config.warm_up:
        start = config.learning_rate / START_DIVISOR
        return start + (config.learning_rate - start) * progress / config.warm_up
    share = min((progress - config.warm_up) / (1 - config.warm_up), 1.0)
    if config.schedule == "cosine":
        return _cosine(config.learning_rate, 0.0, share)
    return config.learning_rate * float((1 - share) ** config.poly_power)


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * min(max(share, 0.0), 1.0)))
