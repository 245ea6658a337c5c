"""On which side of the large panel the strip of small ones goes, and how wide it is. Numbers, no Qt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

GAP_PX = 4.0
#: A strip is never narrower (a small panel must be recognised) nor a larger share of the room.
MIN_PX, MAX_SHARE = 84.0, 0.4
MAX_LINES = 3
Side = Literal["right", "below"]


@dataclass(frozen=True)
class StripPlan:
    """A strip beside a canvas.

    Attributes
    ----------
    side : 'right' or 'below'
    across_px : float
        Its width at the right, its height below, with the gap to the canvas.
    cells : tuple of (float, float, float, float)
        Left, top, width and height of each small panel in the strip, Qt's pixels.
    """

    side: Side
    across_px: float
    cells: tuple[tuple[float, float, float, float], ...]


def plan_strip(room_px: tuple[float, float], frame: tuple[int, int], num_panels: int) -> StripPlan:
    """Choose side and number of lines so that the frames are as large as can be, the large one above all.

    Parameters
    ----------
    room_px : (float, float)
        Height and width of canvas and strip together.
    frame : (int, int)
        Rows and columns of the frame.
    num_panels : int
        Small panels, at least 1.
    """
    plans = [
        _plan(side, lines, room_px, frame, num_panels)
        for side in ("right", "below")
        for lines in range(1, min(MAX_LINES, num_panels) + 1)
    ]
    return max(plans, key=lambda plan: _seen_px(plan, room_px, frame))


def _plan(
    side: Side, lines: int, room_px: tuple[float, float], frame: tuple[int, int], num_panels: int
) -> StripPlan:
    height, width = room_px
    along, whole = (height, width) if side == "right" else (width, height)
    a_line = math.ceil(num_panels / lines)
    long = max((along - (a_line - 1) * GAP_PX) / a_line, 1.0)
    fitting = long * (frame[1] / frame[0] if side == "right" else frame[0] / frame[1])
    most = MAX_SHARE * whole / lines - GAP_PX
    across = max(min(max(fitting, MIN_PX), most), 1.0)
    cells = []
    for number in range(num_panels):
        line, place = divmod(number, a_line)
        away, start = GAP_PX + line * (across + GAP_PX), place * (long + GAP_PX)
        cells.append((away, start, across, long) if side == "right" else (start, away, long, across))
    return StripPlan(side, lines * (across + GAP_PX), tuple(cells))


def _seen_px(plan: StripPlan, room_px: tuple[float, float], frame: tuple[int, int]) -> float:
    """Area of the screen that the frames cover, once each fits its panel; the large one counts thrice."""
    height, width = room_px
    left = (height, width - plan.across_px) if plan.side == "right" else (height - plan.across_px, width)
    areas = [min(h / frame[0], w / frame[1]) ** 2 * math.prod(frame) for _, _, w, h in plan.cells]
    return 3 * min(left[0] / frame[0], left[1] / frame[1]) ** 2 * math.prod(frame) + sum(areas)


def seen_part(
    canvas_px: tuple[float, float], center: tuple[float, float], zoom: float, frame: tuple[int, int]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Find the part of the frame that a canvas shows, for a small panel to show that and no empty margin.

    Parameters
    ----------
    canvas_px : (float, float)
        Height and width.
    center : (float, float)
        Row and column in its middle.
    zoom : float
        Canvas pixels per pixel of the frame.
    frame : (int, int)
        Rows and columns.

    Returns
    -------
    middle, size : (float, float)
        Row and column, numbers of rows and columns; of all that the canvas shows where no frame is in it.
    """
    parts = []
    for seen_px, at, length in zip(canvas_px, center, frame, strict=True):
        first, last = at - seen_px / zoom / 2, at + seen_px / zoom / 2
        inside = max(first, -0.5), min(last, length - 0.5)
        parts.append(inside if inside[0] < inside[1] else (first, last))
    (top, bottom), (left, right) = parts
    return ((top + bottom) / 2, (left + right) / 2), (bottom - top, right - left)
