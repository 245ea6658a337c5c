"""Score reports in the terminal: classes, videos, two compared. The whole tables are in JSON and CSV."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType

    from napari_hogseg.metrics.intervals import Interval
    from napari_hogseg.metrics.reports import Comparison, ScoreReport

MAX_VIDEOS = 30
"""Videos shown; all of them are in videos.csv."""

ABSENT = "-"


def show_report(title: str, report: ScoreReport) -> Group:
    """Lay a report out: what was measured and how, the numbers, classes, videos, notes."""
    num_frames, num_videos = len(report.frame_names), len(report.videos)
    absent = f", {_counted(report.num_absent, 'class', 'classes')} absent" if report.num_absent else ""
    frames = f"{_counted(num_frames, 'frame')} of {_counted(num_videos, 'video')}{absent}"
    parts: list[RenderableType] = [
        Text(f"{title}: {frames}, by {report.protocol.name}", style="bold"),
        numbers_table(report),
        class_table(report),
    ]
    if num_videos > 1:
        parts.append(video_table(report))
    parts.append(Text(_legend(report), style="dim"))
    parts += [Text(note, style="yellow") for note in report.notes]
    return Group(*parts)


def _legend(report: ScoreReport) -> str:
    passport = report.passport
    return (
        f"{report.protocol.name}: {report.protocol.formula}.\n"
        f"NSD at {passport['tolerance_px']:g} px, BIoU: Boundary IoU, band of {passport['band_px']} px, "
        f"frame edge {passport['frame_edge']}; F: DAVIS; HD95 in pixels, median; missed: frames in which "
        f"only one mask has the class; {ABSENT}: absent."
    )


def numbers_table(report: ScoreReport) -> Table:
    """Lay out the protocol's numbers with their intervals over videos."""
    columns = ["score", *(["95 % over videos"] if report.intervals else [])]
    table = _table("", columns)
    for name, value in report.numbers.items():
        _add(table, name, _number(value, 4), _interval(report.intervals.get(name)))
    return table


def class_table(report: ScoreReport) -> Table:
    """One row per class; pixel counts and error types are in classes.csv."""
    columns = {
        "IoU": "iou",
        **({"95 %": ""} if report.intervals else {}),
        "Dice": "dice",
        "NSD": "nsd",
        "BIoU": "boundary_iou",
        "F": "davis_f",
        "HD95": "hd95_px",
        **({"clDice": "cl_dice"} if "cl_dice" in report.boundaries else {}),
        "missed": "frames_missed_or_invented",
    }
    table = _table("class", columns)
    for row in report.class_rows():
        interval = _interval(report.intervals.get(f"IoU/{row['class']}"))
        cells = (
            _number(row[key], 1 if key == "hd95_px" else 3) if key else interval for key in columns.values()
        )
        _add(table, str(row["class"]), *cells)
    return table


def video_table(report: ScoreReport) -> Table:
    """One row per video, the first thirty."""
    rows = report.video_rows()
    table = _table("video", ["frames", *report.protocol.quantities])
    for row in rows[:MAX_VIDEOS]:
        scores = (_number(row[name], 4) for name in report.protocol.quantities)
        _add(table, str(row["video"]), str(row["frames"]), *scores)
    if len(rows) > MAX_VIDEOS:
        table.caption = f"{len(rows) - MAX_VIDEOS} more videos: --csv has all."
    return table


def show_comparison(titles: Sequence[str], reports: Sequence[ScoreReport], comparison: Comparison) -> Group:
    """Lay two reports out side by side: each number, the difference, its interval over videos."""
    sampled = comparison.num_videos > 1
    more = ["95 %", "better in"] if sampled else []
    table = _table("", ["first", "second", "difference", *more])
    for name, difference in comparison.differences.items():
        label = name.removeprefix("IoU/")
        values = [r.iou[label] if name.startswith("IoU/") else r.numbers[name] for r in reports]
        effect, share = difference.effect, difference.share_above_zero
        _add(
            table,
            f"IoU {label}" if name.startswith("IoU/") else name,
            *(_number(value, 4) for value in values),
            ABSENT if math.isnan(effect) else f"{effect:+.4f}",
            _interval(difference.interval),
            "" if math.isnan(share) else f"{share:.0%}",
        )
    pairs = (
        f"in pairs over {comparison.num_videos} videos" if sampled else "on one video, so without interval"
    )
    return Group(Text(f"{titles[0]} (first) and {titles[1]} (second), {pairs}", style="bold"), table)


def _table(first: str, others: Iterable[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _add(table: Table, *cells: str) -> None:
    """Add a row; cells of columns that were left out are dropped."""
    table.add_row(*cells[: len(table.columns)])


def _counted(number: int, noun: str, plural: str = "") -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {plural or f'{noun}s'}"


def _number(value: str | float, digits: int) -> str:
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return ABSENT
    return "inf" if math.isinf(value) else f"{value:.{digits}f}"


def _interval(interval: Interval | None) -> str:
    if interval is None or math.isnan(interval.low):
        return ""
    return f"{interval.low:.3f}, {interval.high:.3f}"
