"""Curves as SVG text that needs nothing else: sharp in print, small, read out by screen readers.

Owns axes, lines and their thinning. What is drawn, and on which page, is `report_page`'s part.

Legend: T points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

WIDTH, HEIGHT = 720, 150
LEFT, RIGHT, TOP, BOTTOM = 58, 10, 10, 34
NUM_TICKS = 5
#: Said with each element: a style sheet of the page does not reach everywhere an SVG is drawn.
TEXT = 'font-size="11" fill="#4a5563"'


@dataclass(frozen=True, eq=False)
class Plot:
    """One curve with its axes.

    Attributes
    ----------
    title : str
        For screen readers.
    x, y : (T,) float ndarray
        Ascending x; NaN in y leaves a gap.
    x_label : str
    low, high : float or None
        Ends of the vertical axis; None where the values say.
    color : str
    marks : sequence of float
        Places on the horizontal axis with a tick above it.
    """

    title: str
    x: npt.NDArray[np.floating]
    y: npt.NDArray[np.floating]
    x_label: str
    low: float | None = None
    high: float | None = None
    color: str = "#0072b2"
    marks: Sequence[float] = ()

    def to_svg(self) -> str:
        """Draw it; a note instead of a curve where there are no values."""
        present = self.y[~np.isnan(self.y)]
        if not present.size:
            return f'<p class="none">{escape(self.title)}: nothing measured.</p>'
        low = float(present.min()) if self.low is None else self.low
        high = float(present.max()) if self.high is None else self.high
        high = high if high > low else low + 1.0
        spans = (float(self.x[0]), max(float(self.x[-1]), float(self.x[0]) + 1e-9), low, high)
        about = f"{self.title}: {present.min():.3g} to {present.max():.3g}, mean {present.mean():.3g}"
        return "".join(
            [
                f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(about)}">',
                f"<title>{escape(about)}</title>",
                *self._axes(spans),
                *self._lines(spans),
                "</svg>",
            ]
        )

    def _axes(self, spans: tuple[float, float, float, float]) -> Iterator[str]:
        first, last, low, high = spans
        bottom = HEIGHT - BOTTOM
        for value in ticks(low, high, 3):
            y = _place(value, low, high, bottom, TOP)
            yield f'<path fill="none" stroke="#dfe4ea" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
            yield f'<text {TEXT} x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
        for value in ticks(first, last, NUM_TICKS):
            x = _place(value, first, last, LEFT, WIDTH - RIGHT)
            yield f'<path fill="none" stroke="#4a5563" d="M{x:.1f} {bottom}v4"/>'
            yield f'<text {TEXT} x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{value:g}</text>'
        yield f'<path fill="none" stroke="#4a5563" d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}"/>'
        label = escape(self.x_label)
        yield f'<text {TEXT} x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">{label}</text>'
        for value in self.marks:
            x = _place(value, first, last, LEFT, WIDTH - RIGHT)
            yield f'<path fill="#b88700" d="M{x:.1f} {bottom}l-3 -6h6z"/>'

    def _lines(self, spans: tuple[float, float, float, float]) -> Iterator[str]:
        first, last, low, high = spans
        x = _place(self.x.astype(float), first, last, LEFT, WIDTH - RIGHT)
        y = _place(self.y.astype(float), low, high, HEIGHT - BOTTOM, TOP)
        for run_x, run_y in _runs(x, y):
            points = " ".join(f"{px:.1f},{py:.1f}" for px, py in zip(run_x, run_y, strict=True))
            if len(run_x) == 1:
                yield f'<circle cx="{run_x[0]:.1f}" cy="{run_y[0]:.1f}" r="1.8" fill="{self.color}"/>'
            else:
                yield f'<polyline points="{points}" fill="none" stroke="{self.color}" stroke-width="1.3"/>'


def ticks(low: float, high: float, num: int) -> list[float]:
    """Choose round numbers from low to high, about so many; at least one.

    Parameters
    ----------
    low, high : float
        high above low.
    num : int
    """
    raw = (high - low) / max(1, num - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    found = [
        round(step * i, 12) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]
    return found or [low]


def _place(value, low: float, high: float, begin: float, end: float):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - a number or an array of them
    return begin + (value - low) / (high - low) * (end - begin)


def _runs(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Split at gaps; of a run that is denser than the page keep each column's lowest and highest point."""
    present = np.flatnonzero(~np.isnan(y))
    for run in np.split(present, np.flatnonzero(np.diff(present) > 1) + 1):
        if not run.size:
            continue
        if run.size > 2 * WIDTH:
            columns = np.split(run, np.flatnonzero(np.diff(x[run].astype(int))) + 1)
            ends = {int(column[pick(y[column])]) for column in columns for pick in (np.argmin, np.argmax)}
            run = np.array(sorted(ends | {int(run[0]), int(run[-1])}))
        yield x[run], y[run]
