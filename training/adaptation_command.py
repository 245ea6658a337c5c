"""`hogseg adapt`: its flags, and the order of things behind them."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path  # noqa: TC003 - typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from napari_hogseg.runs.config import AdaptConfig, parse_section
from napari_hogseg.runs.events import Message, Started
from training.adaptation import assemble_adaptation, run_adaptation
from training.adaptation_report import report_adaptation, show_adaptation
from training.commands import supervise
from training.finetuning import num_parameters
from training.stopping import StopFlag

if TYPE_CHECKING:
    from napari_hogseg.runs.events import Finished
    from training.adaptation import Adaptation
    from training.adaptation_report import AdaptReport
    from training.exits import ExitCode
    from training.loop import Emit


def adapt(  # noqa: PLR0913 - every field of AdaptConfig is a flag
    base: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder or model folder; only read.")],
    video: Annotated[Path, typer.Option(help="Video file or folder of images; no masks are read.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    what: Annotated[str | None, typer.Option(help="What may move: norm (default) or trunk.")] = None,
    frames: Annotated[int | None, typer.Option(help="Frames taken, spread evenly.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps at most.")] = None,
    validate_every: Annotated[int | None, typer.Option(help="Steps between two residuals.")] = None,
    patience: Annotated[int | None, typer.Option(help="Residuals without a new lowest that end it.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Constant learning rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Frames in a step.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of order and augmentation.")] = None,
    num_threads: Annotated[int | None, typer.Option(help="Torch threads; 0: all.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    *,
    events_stdout: Annotated[
        bool, typer.Option("--events-stdout", help="For a parent process, as in `hogseg train`.")
    ] = False,
) -> None:
    """Adapt a model to a video without masks, by the HOG loss alone, as long as its residual falls."""
    given: dict[str, Any] = {
        "what": what,
        "frames": frames,
        "steps": steps,
        "validate_every": validate_every,
        "patience": patience,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "seed": seed,
        "num_threads": num_threads,
        "device": device,
    }
    config = parse_section(AdaptConfig, {k: v for k, v in given.items() if v is not None}, "adapt")
    code = adapt_model(base, video, config, out, for_parent=events_stdout)
    if code:
        raise typer.Exit(int(code))


def adapt_model(base: Path, video: Path, config: AdaptConfig, run: Path, *, for_parent: bool) -> ExitCode:
    """Run `hogseg adapt`."""
    reports: list[AdaptReport] = []
    stop = StopFlag()

    def work(emit: Emit) -> Finished:
        task = assemble_adaptation(base, video, config, run)
        with closing(task.source):
            emit(_started(task))
            end = run_adaptation(task, stop, emit)
            reports.append(report_adaptation(task, end))
        if not reports[0].has_gained:
            emit(Message(level="info", text="Nothing was gained: no model is written, the old one stands."))
        emit(end)
        return end

    code = supervise(run, work, stop, for_parent=for_parent)
    if not for_parent:
        Console(highlight=False).print(show_adaptation(reports[0]))
    return code


def _started(task: Adaptation) -> Started:
    return Started(
        pid=os.getpid(),
        command="adapt",
        device=str(task.device),
        num_steps=task.config.steps,
        num_train_frames=len(task.learned),
        num_val_frames=len(task.held_out),
        num_parameters=num_parameters(task.network),
    )
