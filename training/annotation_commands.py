"""`hogseg annotations`: a review's masks out to other tools' formats, and in again.

The work is done by a child process, as sessions belong to the desktop's side of the house.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_hogseg.data.exchange import FORMATS
from training.session_child import run_on_session

COMMAND = "napari_hogseg.session.exchange_command"

FormatName = StrEnum("FormatName", {name: name for name in FORMATS})  # type: ignore[misc]


class Frames(StrEnum):
    """Which frames to export."""

    CORRECTED = "corrected"
    ALL = "all"


app = typer.Typer(
    name="annotations",
    help=f"A review's masks out and in: {', '.join(FORMATS)}.",
    no_args_is_help=True,
)
SessionArgument = Annotated[Path, typer.Argument(metavar="SESSION", help="Session folder of a review.")]
FormatOption = Annotated[FormatName, typer.Option("--format", help="How the masks are written down.")]
ClipOption = Annotated[
    Path | None, typer.Option("--clip", help="The clip, if it is not where the session saw it.")
]
MasksOption = Annotated[
    Path | None, typer.Option("--masks", help="The clip's masks, if they are not where the session saw them.")
]


@app.command(name="export")
def export_annotations(
    session: SessionArgument,
    form: FormatOption,
    out: Annotated[Path, typer.Option("--out", help="New or empty folder, outside of the data.")],
    frames: Annotated[
        Frames, typer.Option(help="Frames with a correction, or all that have a mask.")
    ] = Frames.CORRECTED,
    clip: ClipOption = None,
    masks: MasksOption = None,
    *,
    pictures: Annotated[bool, typer.Option("--pictures", help="Write the frames too.")] = False,
) -> None:
    """Write the masks of a review into a new folder; the session is only read."""
    _run("export", session, form, clip, masks, "--out", out, "--frames", frames, *_flag(pictures=pictures))


@app.command(name="import")
def import_annotations(
    session: SessionArgument,
    annotations: Annotated[Path, typer.Argument(metavar="ANNOTATIONS", help="Exported folder or its file.")],
    form: FormatOption,
    rest: Annotated[
        str, typer.Option(metavar="CLASS", help="Class of pixels that no shape covers; else unlabelled.")
    ] = "",
    clip: ClipOption = None,
    masks: MasksOption = None,
    *,
    erase: Annotated[
        bool, typer.Option("--erase", help="A frame without a labelled pixel in the file loses its mask.")
    ] = False,
) -> None:
    """Take masks over as corrections; what was there before is set aside in the session folder."""
    _run("import", session, form, clip, masks, annotations, f"--rest={rest}", *_flag(erase=erase))


def _flag(**flags: bool) -> list[str]:
    return [f"--{name}" for name, given in flags.items() if given]


def _run(
    what: str, session: Path, form: FormatName, clip: Path | None, masks: Path | None, *more: object
) -> None:
    run_on_session(COMMAND, what, session, {"format": form, "clip": clip, "masks": masks}, *more)
