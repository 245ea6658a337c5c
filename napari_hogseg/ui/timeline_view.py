"""Which frames a timeline shows, and what of them fits into its columns of pixels. Numbers only, no Qt.

Legend: T frames; P columns of pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Values = npt.NDArray[np.float32]  # (T,)
    Flags = npt.NDArray[np.bool_]  # (T,)

#: Nearest one can look.
MIN_SPAN_FRAMES = 8.0
_TICK_STEPS = (1, 2, 5)


@dataclass(frozen=True)
class TimelineView:
    """A window on a clip's frames; frame i takes the place from i to i + 1.

    Attributes
    ----------
    num_frames : int
        T.
    first, end : float
        What lies at the left and at the right edge, 0 <= first < end <= T.
    """

    num_frames: int
    first: float
    end: float

    @classmethod
    def whole(cls, num_frames: int) -> TimelineView:
        """Show all."""
        return cls(num_frames, 0.0, float(max(num_frames, 1)))

    @property
    def span(self) -> float:
        """Frames from edge to edge."""
        return self.end - self.first

    @property
    def is_whole(self) -> bool:
        """Whether all frames are seen."""
        return self.span >= self.num_frames

    def x_of(self, frame: float, width_px: float) -> float:
        """Where the left edge of a frame lies; `frame + 0.5` is its middle."""
        return (frame - self.first) / self.span * width_px

    def frame_at(self, x_px: float, width_px: float) -> int:
        """Frame under a place; the nearest one beyond the edges of the clip."""
        frame = math.floor(self.first + x_px / max(width_px, 1) * self.span)
        return min(max(frame, 0), self.num_frames - 1)

    def zoomed(self, factor: float, about: float) -> TimelineView:
        """Show `factor` times as many frames, with the place `about` staying where it is."""
        least = min(MIN_SPAN_FRAMES, float(self.num_frames))
        span = min(max(self.span * factor, least), float(max(self.num_frames, 1)))
        first = about - (about - self.first) * span / self.span
        return self._placed(first, span)

    def panned(self, frames: float) -> TimelineView:
        """Move on by so many frames, no further than the clip goes."""
        return self._placed(self.first + frames, self.span)

    def following(self, frame_index: int) -> TimelineView:
        """Move so that a frame is seen: not at all where it is."""
        if self.first <= frame_index and frame_index + 1 <= self.end:
            return self
        # A tenth of the window stays in front of it, so that stepping on does not move it every time.
        margin = 0.1 * self.span
        if frame_index < self.first:
            return self._placed(frame_index - margin, self.span)
        return self._placed(frame_index + 1 + margin - self.span, self.span)

    def _placed(self, first: float, span: float) -> TimelineView:
        first = min(max(first, 0.0), max(self.num_frames - span, 0.0))
        return replace(self, first=first, end=first + span)

    # --- what fits --------------------------------------------------------------------------------

    def is_dense(self, num_columns: int) -> bool:
        """Whether a column holds more than one frame."""
        return self.span >= num_columns

    def column_extremes(self, values: Values, num_columns: int) -> tuple[Values, Values]:
        """Smallest and largest value of each column, (P,) each; NaN where there is none. For dense views."""
        starts, part = self._columns(values, num_columns)
        return np.fmin.reduceat(part, starts), np.fmax.reduceat(part, starts)

    def column_means(self, values: Values, num_columns: int) -> Values:
        """Mean of what each column knows, (P,); NaN where that is nothing. For dense views."""
        starts, part = self._columns(values, num_columns)
        known = np.isfinite(part)
        sums = np.add.reduceat(np.where(known, part, np.float32(0)), starts, dtype=np.float64)
        counts = np.add.reduceat(known, starts, dtype=np.float64)
        means = np.full(len(starts), np.nan)
        np.divide(sums, counts, out=means, where=counts > 0)
        return means.astype(np.float32)

    def runs(self, flags: Flags, num_columns: int) -> npt.NDArray[np.float64]:
        """Where something is: begin and end of each stretch in columns, (N, 2) float64.

        In a dense view a column is set if any of its frames is.
        """
        if self.is_dense(num_columns):
            starts, part = self._columns(flags, num_columns)
            return _stretches(np.logical_or.reduceat(part, starts)).astype(np.float64)
        first, last = math.floor(self.first), min(math.ceil(self.end), self.num_frames)
        places = (_stretches(flags[first:last]) + first - self.first) / self.span * num_columns
        return np.clip(places, 0, num_columns)

    def points(self, values: Values, num_columns: int) -> tuple[npt.NDArray[np.float64], Values]:
        """Middle of each frame in columns, and its value; one frame beyond either edge. For sparse views."""
        first = max(math.floor(self.first) - 1, 0)
        last = min(math.ceil(self.end) + 1, self.num_frames)
        middles = (np.arange(first, last, dtype=np.float64) + (0.5 - self.first)) * (num_columns / self.span)
        return middles, values[first:last]

    def ticks(self, width_px: float, apart_px: float) -> list[int]:
        """Frames to write numbers at: round ones, at least `apart_px` apart."""
        least = self.span * apart_px / max(width_px, 1)
        power = 10 ** max(math.floor(math.log10(max(least, 1))), 0)
        step = next((each * power for each in _TICK_STEPS if each * power >= least), 10 * power)
        begin = math.ceil(self.first / step) * step
        return list(range(begin, min(math.ceil(self.end), self.num_frames), step))

    def _columns(self, values: npt.NDArray[np.generic], num_columns: int) -> tuple[npt.NDArray[np.intp], ...]:
        edges = np.floor(self.first + np.arange(num_columns + 1) * (self.span / num_columns)).astype(np.intp)
        begin, end = edges[0], min(edges[-1], self.num_frames)
        return np.minimum(edges[:-1], end - 1) - begin, values[begin:end]  # type: ignore[return-value]


def _stretches(flags: Flags) -> npt.NDArray[np.intp]:
    """Begin and end (exclusive) of each run of True, (N, 2)."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return steps.reshape(-1, 2)


def largest(values: Values) -> float:
    """Largest finite value; NaN where there is none."""
    return float(np.fmax.reduce(values)) if len(values) else math.nan


def time_text(seconds: float) -> str:
    """Write a time as a clock does: 0:04.36, 1:02:03.50."""
    hundredths = round(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    clock = f"{minutes}:{rest / 100:05.2f}"
    return f"{hours}:{minutes:02d}:{rest / 100:05.2f}" if hours else clock
