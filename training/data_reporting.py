"""What a person sees of `hogseg data`: layouts in blocks, a check's report in tables, a download in words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from napari_hogseg.data.check_report import Kind
from napari_hogseg.data.splits import PARTS
from napari_hogseg.data.tree_words import expected_trees
from training.reporting import console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import RenderableType

    from napari_hogseg.data.check_report import CheckReport, Problem, SplitCount
    from napari_hogseg.data.download import DownloadReport
    from napari_hogseg.data.layouts import Layout

MAX_SHOWN = 5
"""Problems of one kind that the terminal shows; the JSON file has all."""

OWN_LAYOUTS = (
    "Your own: images/ and masks/ with a dataset.toml that names the classes (layout 'folders'), or a\n"
    "layout table as a .toml file wherever a layout's name is taken: docs/datasets.md."
)


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar; call what it yields with the number done and the number of all."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    if not console.is_terminal:
        console.print(f"{label} ...")
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        row = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(row, completed=done, total=total)


def layout_block(layout: Layout, *, can_be_fetched: bool) -> RenderableType:
    """Lay out what there is to know of a layout."""
    table = layout.table
    rows = {
        "classes": f"{layout.scheme.num_classes}: {', '.join(layout.scheme.classes)}",
        "splits": ", ".join(layout.splits) or "none published: name groups",
        "protocol": layout.protocol,
        "frames": "\n".join(expected_trees(table)),
        "reference": "" if table is None else table.reference,
        "note": "" if table is None else table.note,
        "fetch": f"hogseg data download {layout.name} --out FOLDER" if can_be_fetched else "",
    }
    title = layout.name if table is None else f"{layout.name}  {table.title}"
    return _block(title, rows)


def _block(title: str, rows: dict[str, str]) -> Table:
    grid = Table(
        box=None, show_header=False, title=title, title_justify="left", title_style="bold", pad_edge=False
    )
    grid.add_column(style="dim", min_width=9)
    grid.add_column(overflow="fold")
    for label, text in rows.items():
        if text:
            grid.add_row(f"  {label}", text)
    grid.add_row()
    return grid


def report_parts(report: CheckReport) -> Iterator[RenderableType]:
    """Lay out a check's report, part by part: what it is, its pixels, its splits, its problems."""
    if report.layout:
        yield _summary(report)
        if report.num_masks_read:
            yield _class_table(report)
        if report.splits:
            yield _split_table(report.splits)
    elif report.candidates:
        yield _block(str(report.root), {"may be": _guesses(report)})
    for kind in Kind:
        if found := report.of_kind(kind):
            yield _problem_lines(kind, found)
    yield _verdict(report)


def _summary(report: CheckReport) -> Table:
    num_without = report.num_frames - report.num_masks
    num_loose = len(report.of_kind(Kind.MASK_WITHOUT_FRAME))
    read = f"{report.num_frames_read} frames and {report.num_masks_read} masks could be read"
    rows = {
        "layout": f"{report.layout}  {report.title}",
        "guess": _guesses(report),
        "protocol": report.protocol,
        "frames": f"{report.num_frames} in {report.num_groups} groups; {num_without} without mask",
        "masks": f"{report.num_masks}; {num_loose} without frame",
        "read": f"{read} (--quick: a few of each group)" if report.is_quick else read,
        "sizes": ", ".join(f"{size}: {count}" for size, count in report.sizes.items()),
        "note": report.note,
    }
    return _block(str(report.root), rows)


def _guesses(report: CheckReport) -> str:
    return "\n".join(
        f"{item.name}{'' if item.fits else ' (does not fit)'}: {'; '.join(item.evidence)}"
        for item in report.candidates
    )


def _class_table(report: CheckReport) -> Table:
    table = Table(title="classes, of the masks that were read", title_justify="left")
    table.add_column("class")
    for name in ("pixels", "share", "frames"):
        table.add_column(name, justify="right")
    for row in report.classes:
        table.add_row(row.name, f"{row.num_pixels:,}", f"{100 * row.share:.2f} %", str(row.num_frames))
    return table


def _split_table(splits: Iterable[SplitCount]) -> Table:
    table = Table(title="published splits, frames with a mask", title_justify="left")
    table.add_column("split")
    for part in PARTS:
        table.add_column(part, justify="right")
    table.add_column("remark")
    for row in splits:
        counts = [str(row.num_frames[part]) if row.num_frames else "-" for part in PARTS]
        table.add_row(row.name, *counts, "cannot be used, see below" if row.unusable else row.caution)
    return table


def _problem_lines(kind: Kind, found: tuple[Problem, ...]) -> Text:
    word, style = ("error", "red") if kind.is_error else ("note", "yellow")
    lines = [(f"{word}: {kind.value} ({len(found)})", style)]
    for problem in found[:MAX_SHOWN]:
        where = f"{problem.where}: " if problem.where else ""
        lines.append((f"  {where}{problem.what}. {problem.remedy}".rstrip(), ""))
    if len(found) > MAX_SHOWN:
        lines.append((f"  ... and {len(found) - MAX_SHOWN} more; --json FILE names all", ""))
    return Text("\n").join(Text(line, style=line_style) for line, line_style in lines)


def _verdict(report: CheckReport) -> Text:
    words = f"errors: {len(report.errors)}, notes: {len(report.notes)}"
    return Text(words, style="red" if report.errors else "green")


def download_words(report: DownloadReport) -> str:
    """Say what was fetched and how each file was verified."""
    table, total = report.table, report.num_fetched + report.num_present
    words = [
        f"{table.name}: {report.num_fetched} files fetched, {report.num_present} were there: {report.folder}",
        f"{total - report.num_by_picture} verified by SHA-256",
    ]
    if report.num_by_picture:
        words.append(
            f"{report.num_by_picture} pictures verified by what they show; their SHA-256 is recorded now"
        )
    words += [f"{table.title}: {table.covers}; {table.licence}", table.reference]
    return "\n".join(words)
