"""Pictures of the short trials before a run. Experiments have their own, `experiments.figures`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from training.probing import RateTrial

FORMATS = (".png", ".svg", ".pdf")
DPI = 150
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#8C8C8C"
"""The first two of Okabe and Ito's palette, which colour-blind readers tell apart."""
HEADROOM = 0.4
"""Of the way down, shown above it: where the loss blows up it leaves the picture and does not flatten it."""


def refuse_format(path: Path) -> None:
    """Refuse a picture that cannot be written, before the work that it would show.

    Raises
    ------
    InputError
        If the suffix is none of `FORMATS`.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(
            f"No picture is written as '{path.suffix}'", where=path, remedy=f"Choose {', '.join(FORMATS)}."
        )


def draw_rates(trials: Sequence[RateTrial], rate: float | None, path: Path, title: str = "") -> None:
    """Draw a sweep of learning rates: loss over the rate's logarithm, the suggested rate marked.

    Parameters
    ----------
    trials : sequence of RateTrial
    rate : float or None
        Where the smoothed loss falls fastest; None where it never does.
    path : Path
        PNG, SVG or PDF by its suffix.
    title : str

    Raises
    ------
    InputError
        If the suffix is another one, or there is nothing to draw.
    """
    refuse_format(path)
    if not trials:
        raise InputError(
            "The sweep ended before its first loss", where=path, remedy="Start it at a lower --first."
        )
    rates, losses, smoothed = np.array(trials).T
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot(xscale="log", xlabel="learning rate", ylabel="loss", title=title)
    axes.plot(rates, losses, color=GREY, linewidth=0.8, alpha=0.7, label="of each step")
    axes.plot(rates, smoothed, color=BLUE, linewidth=2, label="smoothed")
    axes.set_ylim(*_limits(losses, smoothed))
    if rate is not None:
        axes.axvline(rate, color=ORANGE, linestyle="--", linewidth=1)
        height = float(np.interp(np.log(rate), np.log(rates), smoothed))
        axes.plot([rate], [height], "o", color=ORANGE, label=f"falls fastest: {rate:.1e}")
    axes.xaxis.set_major_locator(LogLocator(numticks=12))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI)


def _limits(losses: npt.NDArray[np.float64], smoothed: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Range of losses to show: every low one, and high ones as far as the way down has them."""
    both = np.concatenate([losses, smoothed])
    low = float(both.min())
    way_down = float(smoothed[: int(smoothed.argmin()) + 1].max()) - low
    high = min(float(both.max()), low + (1 + HEADROOM) * way_down)
    margin = max(0.05 * (high - low), 1e-6 * abs(low), 1e-12)
    return low - margin, high + margin
