"""`hogseg data`: which layouts there are, what is wrong with a data set, fetching a public one."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from napari_hogseg.data.checking import check_dataset
from napari_hogseg.data.download import download as download_dataset
from napari_hogseg.data.layouts import LAYOUTS
from napari_hogseg.data.registry import table_names
from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError
from training import data_reporting, reporting
from training.exits import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERRUPTED = 130
"""What a shell calls a program that Ctrl-C ended."""

app = typer.Typer(
    name="data",
    help="Data sets: the layouts there are, checking a folder, fetching a public set.",
    no_args_is_help=True,
)


@app.command(name="list")
def list_layouts(
    names: Annotated[list[str] | None, typer.Argument(metavar="[LAYOUT]...", help="Only these.")] = None,
) -> None:
    """List the layouts: classes, splits, protocol, reference, and where frames and masks lie."""
    unknown = sorted(set(names or ()) - set(LAYOUTS))
    if unknown:
        raise InputError(f"No such layout: {', '.join(unknown)}", remedy=f"There are: {', '.join(LAYOUTS)}.")
    out = _results()
    for name in names or LAYOUTS:
        out.print(data_reporting.layout_block(LAYOUTS[name], can_be_fetched=name in table_names()))
    if not names:
        out.print(data_reporting.OWN_LAYOUTS)


@app.command()
def check(
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="Folder of the data set.")],
    layout: Annotated[str, typer.Option(help="A layout's name, or the .toml file of your own.")] = "auto",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the whole report to this file.")
    ] = None,
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Decode a few frames of each group only; count all.")
    ] = False,
) -> None:
    """Read every frame and mask and report all that is wrong; exits with 2 if something must be mended."""
    with (
        _interruptible("nothing was written"),
        data_reporting.progress(f"checking {root.name}") as on_frame,
    ):
        report = check_dataset(root, layout, quick=quick, on_frame=on_frame)
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(json_file, json.dumps(report.to_json(), indent=2) + "\n")
    out = _results()
    for part in data_reporting.report_parts(report):
        out.print(part)
    if report.errors:
        raise typer.Exit(int(ExitCode.BAD_INPUT))


@app.command(help=f"Fetch a public data set, every file verified: {', '.join(table_names())}.")
def download(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, or a download table of your own.")],
    out: Annotated[Path, typer.Option("--out", help="New or empty folder, or one begun by this command.")],
    mirror: Annotated[
        str | None, typer.Option(help="Base URL of a copy with the same paths, instead of the authors' own.")
    ] = None,
) -> None:
    """Fetch a public data set; what is there already and right is not fetched again."""
    with (
        _interruptible("files that are there are whole; the same command goes on"),
        data_reporting.progress(f"fetching {name}") as on_file,
    ):
        report = download_dataset(name, out, mirror=mirror, on_file=on_file)
    _results().print(data_reporting.download_words(report))


def _results() -> Console:
    return Console(highlight=False, markup=False)


@contextmanager
def _interruptible(state: str) -> Iterator[None]:
    """End in one line on Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        reporting.console.print(f"stopped: {state}")
        raise typer.Exit(INTERRUPTED) from None
