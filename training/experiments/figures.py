"""The plot of an experiment: curves along an axis, or one mark an arm and task, every seed shown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from training.experiments.statistics import Cell, Results

#: Okabe and Ito's palette, which colour-blind readers tell apart (jfly.uni-koeln.de/color).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX"
DPI = 150
SPREAD = 0.6
"""Width that the arms of one task share, in distances between tasks."""


def draw(results: Results, path: Path) -> None:
    """Draw an experiment into a PNG, PDF or SVG file, by its suffix.

    Means with Student's 95 % intervals over seeds; each seed is a small dot.
    """
    grid = results.grid
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    if grid.axis:
        _draw_curves(results, axes)
        axes.set_xlabel(grid.axis)
    else:
        _draw_tasks(results, axes)
    axes.set_ylabel(f"{results.quantity} ({results.protocol})")
    axes.set_title(grid.title)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if grid.axis or len(grid.point) > 1:
        axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI)


def _draw_curves(results: Results, axes: Axes) -> None:
    points = sorted(results.grid.point, key=lambda point: point.x or 0.0)
    axes.set_xticks([point.x or 0.0 for point in points])
    for number, arm in enumerate(results.grid.arm):
        drawn = [(point.x or 0.0, cell) for point in points if (cell := results.cell(arm, point)) is not None]
        if not drawn:
            continue
        color = COLORS[number % len(COLORS)]
        places = [x for x, _ in drawn]
        marker = "" if arm.constant else MARKERS[number % len(MARKERS)]
        line = "--" if arm.constant else "-"
        axes.plot(places, [c.mean for _, c in drawn], line, marker=marker, label=arm.title, color=color)
        low, high = zip(*((_low(cell), _high(cell)) for _, cell in drawn), strict=True)
        axes.fill_between(places, low, high, alpha=0.15, linewidth=0, color=color)
        if not arm.constant:
            for x, cell in drawn:
                values = list(cell.by_seed.values())
                axes.plot([x] * len(values), values, ".", alpha=0.5, markersize=4, color=color)


def _draw_tasks(results: Results, axes: Axes) -> None:
    grid = results.grid
    alone = len(grid.point) == 1
    step = SPREAD / max(1, len(grid.arm))
    for number, arm in enumerate(grid.arm):
        color = COLORS[number % len(COLORS)]
        for place, point in enumerate(grid.point):
            cell = results.cell(arm, point)
            if cell is None:
                continue
            x = number if alone else place + (number - (len(grid.arm) - 1) / 2) * step
            label = arm.title if place == 0 else None
            error = [[cell.mean - _low(cell)], [_high(cell) - cell.mean]]
            marker = MARKERS[number % len(MARKERS)]
            axes.errorbar([x], [cell.mean], yerr=error, fmt=marker, capsize=4, label=label, color=color)
            values = list(cell.by_seed.values())
            axes.plot([x + step / 4] * len(values), values, ".", alpha=0.5, markersize=4, color=color)
    titles = [arm.title for arm in grid.arm] if alone else [point.title for point in grid.point]
    axes.set_xticks(range(len(titles)), titles)
    axes.margins(x=0.1)


def _low(cell: Cell) -> float:
    return cell.mean if math.isnan(cell.interval.low) else cell.interval.low


def _high(cell: Cell) -> float:
    return cell.mean if math.isnan(cell.interval.high) else cell.interval.high
