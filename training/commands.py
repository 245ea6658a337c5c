"""What `train`, `finetune` and `evaluate` do, behind the command line's flags."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.data.splits import PARTS, split_samples
from napari_hogseg.inference.predictor import Predictor
from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.events import EventWriter, Failed, Message, Started
from training import plots, probing, reporting
from training.assembly import EVENTS_FILE, assemble, open_data, read_config, refuse_existing_run, write_config
from training.determinism import deterministic_as_asked
from training.evaluation import evaluate_by_protocol
from training.exits import ExitCode, classify
from training.finetuning import FineTuneInput, assemble_finetune, num_parameters
from training.loop import run_task
from training.schedule import learning_rate
from training.selection import select_frames
from training.step import train_step
from training.stopping import StopFlag
from training.unlabelled import describe_frames

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from napari_hogseg.data.layouts import DataSet, Sample
    from napari_hogseg.inference.options import InferenceOptions
    from napari_hogseg.metrics.reports import ScoreReport
    from napari_hogseg.metrics.scoring_options import ScoringOptions
    from napari_hogseg.runs.config import FineTuneConfig, RunConfig
    from napari_hogseg.runs.events import AnyEvent, Finished
    from training.loop import Emit, Task


@dataclass(frozen=True)
class EvaluatedFrames:
    """Which frames a model is scored on.

    Attributes
    ----------
    root : Path or None
        Data set; None: where the model was trained.
    layout : str
        Its layout; empty: the one the model was trained with.
    part : str
        'train', 'val', 'test', or a frame selection such as a group's name.
    without : str
        Frames to leave out, as `select_frames` reads them; empty: none.
    """

    root: Path | None
    layout: str = ""
    part: str = "val"
    without: str = ""


DESKTOP_NICE = 10
"""A trainer that the desktop started yields to the interface."""


@deterministic_as_asked
def train(config: RunConfig, run: Path, *, resume: bool, for_parent: bool) -> ExitCode:
    """Run `hogseg train`."""

    def prepare(warn: Callable[[str], None]) -> Task:
        task = assemble(config, run, resume=resume, warn=warn)
        if not resume:
            write_config(run, open_data(config).config)
        return task

    return _run("train", run, prepare, StopFlag(), for_parent=for_parent)


def resume_config(run: Path, given: RunConfig | None) -> RunConfig:
    """Take a run's own configuration; refuse a recipe that differs from it."""
    stored = read_config(run)
    if given is not None and given.model_copy(update={"data": stored.data}) != stored:
        raise InputError(
            "The recipe is not the one this run was started with",
            where=run,
            remedy="Resume with the same recipe and --set, or start a new run in another folder.",
        )
    return stored


def finetune(source: FineTuneInput, config: FineTuneConfig, run: Path, *, for_parent: bool) -> ExitCode:
    """Run `hogseg finetune`."""
    stop = StopFlag(config.seconds)
    return _run(
        "finetune",
        run,
        lambda warn: assemble_finetune(source, config, run, warn),
        stop,
        for_parent=for_parent,
    )


def _run(
    command: Literal["train", "finetune"],
    run: Path,
    prepare: Callable[[Callable[[str], None]], Task],
    stop: StopFlag,
    *,
    for_parent: bool,
) -> ExitCode:
    """Prepare and train, supervised."""

    def work(emit: Emit) -> Finished:
        task = prepare(lambda text: emit(Message(level="warning", text=text)))
        emit(_started(command, task, stop))
        return run_task(task, stop, emit)

    return supervise(run, work, stop, for_parent=for_parent)


def supervise(run: Path, work: Callable[[Emit], Finished], stop: StopFlag, *, for_parent: bool) -> ExitCode:
    """Listen and work; tell every outcome as an event and as an exit code."""
    if for_parent:
        _yield_to_desktop()
        stop.listen_to_parent()
    stop.listen_to_signals()
    with ExitStack() as stack:
        emit = _open_events(run, stack, for_parent=for_parent)
        try:
            end = work(emit)
        except Exception as error:
            known = classify(error)
            if known is None:
                emit(Failed(exit_code=1, what=f"{type(error).__name__}: {error}"))
                raise
            code, what, remedy = known
            emit(Failed(exit_code=int(code), what=what, remedy=remedy))
            raise
    return ExitCode.PREEMPTED if end.reason == "preempted" else ExitCode.DONE


def _open_events(run: Path, stack: ExitStack, *, for_parent: bool) -> Emit:
    """Send events to the run folder, the parent and the terminal.

    The file is made once a task stands, so a refused folder stays untouched.
    """
    reporter = stack.enter_context(reporting.RunReporter())
    writers: list[EventWriter] = []

    def emit(event: AnyEvent) -> None:
        if not writers and isinstance(event, Started):
            writers.append(stack.enter_context(EventWriter(run / EVENTS_FILE)))
        for writer in writers:
            writer.write(event)
        reporter.show(event)
        if for_parent:
            _tell_parent(event)

    return emit


def _tell_parent(event: AnyEvent) -> None:
    try:
        sys.stdout.write(event.model_dump_json() + "\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        # The parent died; the end of its pipe stops the run, with a checkpoint.
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open as long as the process


def _started(command: Literal["train", "finetune"], task: Task, stop: StopFlag) -> Started:
    return Started(
        pid=os.getpid(),
        command=command,
        device=str(task.device),
        num_steps=None if stop.seconds else task.num_steps,
        seconds=stop.seconds,
        first_step=task.step,
        num_train_frames=task.frames.num_labelled,
        num_unlabelled_frames=len(task.frames) - task.frames.num_labelled,
        num_val_frames=sum(len(watched.samples) for watched in task.watched),
        num_parameters=num_parameters(task.network),
    )


def _yield_to_desktop() -> None:
    if hasattr(os, "nice"):
        os.nice(DESKTOP_NICE)


@deterministic_as_asked
def dry_run(config: RunConfig, run: Path) -> None:
    """Assemble everything and time two steps; nothing is written."""
    refuse_existing_run(run)
    task = assemble(config, run, resume=False)
    rate = learning_rate(task.schedule, 0, 0.0)
    task.network.train()
    batches = iter(task.make_loader(0))
    train_step(task, next(batches), rate)  # the first step also builds kernels and reads files
    started_s = time.perf_counter()
    terms = train_step(task, next(batches), rate)
    step_s = time.perf_counter() - started_s
    watched = sum(len(w.samples) for w in task.watched)
    reporting.console.print(
        f"dry run on {task.device}: {describe_frames(task.frames)}, {watched} watched, "
        f"{num_parameters(task.network):,} parameters; CE {float(terms.ce):.4f}, HOG {float(terms.mse):.5f}\n"
        f"{step_s:.2f} s a step: about {reporting.format_duration(step_s * task.num_steps)} for "
        f"{task.num_steps:,} steps, validation not counted. Nothing was written."
    )


@deterministic_as_asked
def overfit_one_batch(config: RunConfig, run: Path, num_steps: int) -> None:
    """Run `hogseg train --overfit-one-batch`."""
    with reporting.counting("one batch", num_steps) as advance:
        first, last = probing.overfit_one_batch(config, run, num_steps, advance)
    for name, before, after in (("loss", first.loss, last.loss), ("CE", first.ce, last.ce)):
        reporting.console.print(f"{name} {float(before):.4f} -> {float(after):.4f} in {num_steps} steps")
    reporting.console.print(f"HOG {float(first.mse):.5f} -> {float(last.mse):.5f}. Nothing was written.")


@deterministic_as_asked
def find_rate(
    config: RunConfig,
    rates: tuple[float, float],
    num_steps: int,
    csv_file: Path | None = None,
    plot: Path | None = None,
) -> None:
    """Run `hogseg lr-find`."""
    if rates[0] >= rates[1]:
        raise InputError("The sweep goes upwards", where="--first", remedy="Give a --last above it.")
    if plot is not None:
        plots.refuse_format(plot)
    with reporting.counting("learning rates", num_steps) as advance:
        trials = probing.sweep_rates(config, rates, num_steps, advance)
    if csv_file is not None:
        csv_file.parent.mkdir(parents=True, exist_ok=True)
        lines = ["rate,loss,smoothed", *(",".join(f"{value:.6g}" for value in trial) for trial in trials)]
        atomic.write_text(csv_file, "\n".join(lines) + "\n")
    rate = probing.steepest_rate(trials)
    if plot is not None:
        plots.draw_rates(trials, rate, plot, config.recipe)
    end = f"swept {len(trials)} of {num_steps} steps"
    if rate is None:
        reporting.console.print(f"{end}: the loss never fell. Sweep lower rates, or more steps.")
    else:
        reporting.console.print(f"{end}: the loss falls fastest at a learning rate of {rate:.1e}")


def evaluate_model(
    model: Path,
    frames: EvaluatedFrames,
    protocol: str,
    options: ScoringOptions,
    device: str,
    inference: InferenceOptions | None = None,
) -> ScoreReport:
    """Score a model by a protocol; an empty one means the data set's own."""
    predictor = Predictor.load(model, device, inference)
    data = predictor.spec.data
    dataset = open_dataset(frames.root or data.root, frames.layout or data.layout)
    if dataset.scheme.num_classes != predictor.scheme.num_classes:
        raise InputError(
            f"The model has {predictor.scheme.num_classes} classes, the masks {dataset.scheme.num_classes}",
            where=dataset.root,
            remedy="Name the layout of the task the model was trained for (--layout).",
        )
    samples = _samples_of(dataset, predictor, frames.part)
    if frames.without:
        left_out = {sample.sample_id for sample in select_frames(dataset, frames.without)}
        samples = tuple(sample for sample in samples if sample.sample_id not in left_out)
    samples = tuple(sample for sample in samples if sample.mask_path is not None)
    if not samples:
        raise InputError(
            f"'{frames.part}' holds no frame with a mask", where=dataset.root, remedy="Name another --split."
        )
    with reporting.counting(f"evaluating {model.name}", len(samples)) as advance:
        return evaluate_by_protocol(
            predictor, dataset, samples, protocol or dataset.layout.protocol, options, on_frame=advance
        )


def _samples_of(dataset: DataSet, predictor: Predictor, part: str) -> tuple[Sample, ...]:
    if part not in PARTS:
        return select_frames(dataset, part)
    data = predictor.spec.data
    return split_samples(dataset, data.train, data.val, data.test, split=data.split).part(part)
