"""`hogseg report` and `hogseg film`: what a review gave, to be shown to others.

The work is done by a child process, as sessions belong to the desktop's side of the house.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from training.session_child import run_on_session

COMMAND = "napari_hogseg.session.report_command"


class Panel(StrEnum):
    """What a film shows side by side."""

    FRAME = "frame"
    MASK = "mask"
    PREDICTION = "prediction"
    ERRORS = "errors"


class MaskStyle(StrEnum):
    """How masks are drawn."""

    OUTLINE = "outline"
    FILL = "fill"


SessionArgument = Annotated[Path, typer.Argument(metavar="SESSION", help="Session folder of a review.")]
ModelOption = Annotated[Path | None, typer.Option("--model", help="Run folder or model folder.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]
ClipOption = Annotated[
    Path | None, typer.Option("--clip", help="The clip, if it is not where the session saw it.")
]
MasksOption = Annotated[
    Path | None, typer.Option("--masks", help="The clip's masks, if they are not where the session saw them.")
]


def report(
    session: SessionArgument,
    out: Annotated[Path, typer.Option("--out", help="HTML file to write, self-contained.")],
    model: ModelOption = None,
    worst: Annotated[
        int | None, typer.Option("--worst", min=0, help="Worst frames shown as pictures; 12 if not given.")
    ] = None,
    clip: ClipOption = None,
    masks: MasksOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Write a review's report: scores, curves, worst frames as pictures, effort.

    With a model, frames that the review has not surveyed yet are surveyed first.
    """
    given = {"model": model, "worst": worst, "clip": clip, "masks": masks}
    run_on_session(COMMAND, "report", session, {"out": out, "device": device, **given})


def film(  # noqa: PLR0913 - a flag each
    session: SessionArgument,
    out: Annotated[Path, typer.Option("--out", help="File to write: .mp4 or .gif.")],
    first: Annotated[int, typer.Option("--first", min=0, help="First frame.")] = 0,
    last: Annotated[
        int | None, typer.Option("--last", min=0, help="Last frame; the clip's last if not given.")
    ] = None,
    panel: Annotated[
        list[Panel] | None, typer.Option("--panel", help="Repeatable, side by side; mask if not given.")
    ] = None,
    style: Annotated[MaskStyle, typer.Option("--style", help="How masks are drawn.")] = MaskStyle.OUTLINE,
    width_px: Annotated[
        int | None, typer.Option("--width-px", min=16, help="A panel is no wider; 960 if not given.")
    ] = None,
    model: ModelOption = None,
    clip: ClipOption = None,
    masks: MasksOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Write frames of a review as an annotated film, each as long on screen as in the clip."""
    given = {"first": first, "last": last, "style": style, "width-px": width_px, "model": model}
    paths = {"out": out, "device": device, "clip": clip, "masks": masks}
    panels = [f"--panel={each}" for each in panel or ()]
    run_on_session(COMMAND, "film", session, {**given, **paths}, *panels)
