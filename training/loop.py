"""The training loop: one function that reads from top to bottom, for `train` and `finetune` alike.

What it trains on is put together in `assembly`; here is only the order of things. Everything that decides
a step is a pure function of (seed, step), so weights, optimiser and the step number are all a resume needs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from napari_hogseg.inference.predictor import Predictor
from napari_hogseg.runs.checkpoint import save_checkpoint
from napari_hogseg.runs.events import AnyEvent, Finished, Progress, Saved, Validated
from training.evaluation import evaluate
from training.schedule import learning_rate
from training.step import Precision, WeightAverage, step_state, train_step
from training.stopping import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    import torch
    from torch.utils.data import DataLoader

    from napari_hogseg.data.layouts import DataSet, Sample
    from napari_hogseg.data.torch_data import FrameDataset
    from napari_hogseg.models.multitask import MultiTaskNetwork
    from napari_hogseg.runs.checkpoint import ModelSpec
    from napari_hogseg.runs.config import LossConfig, OptimizerConfig
    from training.health import HealthProbe
    from training.losses import LossTerms
    from training.stopping import StopFlag
    from training.weighting import TaskWeighting

    Emit = Callable[[AnyEvent], None]


@dataclass(frozen=True)
class WatchedFrames:
    """Frames that are scored every `validate_every` steps."""

    part: str
    dataset: DataSet
    samples: tuple[Sample, ...]
    selects: bool
    """Whether its mIoU decides which checkpoint is the best."""


@dataclass
class Task:
    """A run, ready to go: what it trains, how, and from `step` on where it stands."""

    run: Path
    spec: ModelSpec
    network: MultiTaskNetwork
    optimizer: torch.optim.Optimizer
    device: torch.device
    frames: FrameDataset
    make_loader: Callable[[int], DataLoader[object]]
    """First step -> batches of all further steps."""
    watched: tuple[WatchedFrames, ...]
    loss: LossConfig
    class_weights: torch.Tensor | None
    """(C,) float32, on the device."""
    schedule: OptimizerConfig
    num_steps: int
    validate_every: int
    checkpoint_every: int
    log_every: int
    precision: Precision
    accumulate: int = 1
    """Parts that a batch is worked through in."""
    validate_first: bool = False
    """Score before the first step: a fine-tune starts from something."""
    ema: WeightAverage | None = None
    patience: Patience = field(default_factory=Patience)
    step: int = 0
    best_miou: float | None = None
    last_miou: float | None = None
    owes_validation: bool = False
    """A validation was due when the process was pre-empted; the resumed one makes up for it."""
    target: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    """Fitted arrays of the pseudo-label, kept with every checkpoint."""
    health: HealthProbe | None = None
    """Measures the auxiliary task with every validation; None without one."""
    weighting: TaskWeighting | None = None
    """Balances the two tasks; None where their weights are fixed."""

    @property
    def model(self) -> MultiTaskNetwork:
        """What is scored and saved: the running mean of the weights where there is one."""
        return self.network if self.ema is None else self.ema.network


def run_task(task: Task, stop: StopFlag, emit: Emit) -> Finished:
    """Train until the steps are done or a stop is asked for; always leave a checkpoint.

    Parameters
    ----------
    task : Task
        Moved on in place.
    stop : StopFlag
    emit : callable
        Gets every event.

    Returns
    -------
    Finished
        Emitted already.

    Raises
    ------
    NonFiniteLossError
        Before the update, so the weights stay finite.
    """
    is_due = task.owes_validation or (task.validate_first and task.step == 0)
    if is_due and validate(task, emit):
        save(task, emit, best=True)
    stop.start_clock()
    meter = _Meter(task, stop)
    task.network.train()
    if task.step < task.num_steps and not task.patience.is_out:
        for batch in task.make_loader(task.step):
            progress = max(task.step / task.num_steps, stop.time_share)
            rate = learning_rate(task.schedule, task.step, progress)
            terms = train_step(task, batch, rate)
            task.step += 1
            meter.add(terms, len(batch["index"]))

            reason = stop.reason
            ends = reason is not None or task.step == task.num_steps
            if task.step % task.log_every == 0 or ends:
                emit(meter.progress(rate))
            is_best, is_due = False, task.step % task.validate_every == 0
            # A pre-empted process has seconds to live: the checkpoint comes first, scores can wait.
            task.owes_validation = is_due and reason == "preempted"
            if (is_due or ends) and reason != "preempted":
                is_best = validate(task, emit)
                ends = ends or task.patience.is_out
                meter.restart()
            if is_best or ends or task.step % task.checkpoint_every == 0:
                save(task, emit, best=is_best)
            if ends:
                break
    done: Literal["done", "no-improvement"] = "done" if task.step == task.num_steps else "no-improvement"
    end = Finished(
        step=task.step,
        reason=stop.reason or done,
        best_miou=task.best_miou,
        elapsed_s=stop.elapsed_s,
        health=None if task.health is None else task.health.last,
    )
    emit(end)
    return end


def validate(task: Task, emit: Emit) -> bool:
    """Score the watched frames; return whether the selecting ones improved."""
    predictor = Predictor(task.model, task.spec, task.device, name="live", digest="")
    improved = False
    for watched in task.watched:
        scores = evaluate(predictor, watched.dataset, watched.samples)
        best = False
        if watched.selects:
            best = improved = task.best_miou is None or scores.miou > task.best_miou
            task.last_miou = scores.miou
            task.best_miou = scores.miou if best else task.best_miou
            # A stop's own validation does not count: the run must end where it would have without the stop.
            if task.step % task.validate_every == 0:
                task.patience.count(scores.miou)
        emit(
            Validated(
                step=task.step,
                part=watched.part,
                miou=scores.miou,
                iou={name: None if value != value else value for name, value in scores.iou.items()},
                num_frames=scores.num_frames,
                best=best,
            )
        )
    if task.health is not None:
        emit(task.health.measure(task.network, task.loss, task.device, task.step))
    task.network.train()
    task.owes_validation = False
    return improved


def save(task: Task, emit: Emit, *, best: bool) -> None:
    """Write a checkpoint and say so once it is durable."""
    spec = task.spec.model_copy(update={"step": task.step, "miou": task.last_miou})
    resume = {
        "step": task.step,
        "best_miou": task.best_miou,
        "owes_validation": task.owes_validation,
        "patience": task.patience.state(),
        **step_state(task),
    }
    folder = save_checkpoint(task.run, spec, task.model, resume, best=best, target=task.target)
    emit(Saved(step=task.step, folder=folder.relative_to(task.run).as_posix(), best=best))


class _Meter:
    """Averages the loss terms between two progress events, and the speed of training alone."""

    def __init__(self, task: Task, stop: StopFlag) -> None:
        self._task, self._stop = task, stop
        self._first_step = task.step
        self.restart()

    def add(self, terms: LossTerms, num_frames: int) -> None:
        for name, term in (*zip(("loss", "ce", "mse"), terms[:3], strict=True), *terms.extra.items()):
            self._sums[name] = self._sums.get(name, 0.0) + float(term)
        self._num_steps += 1
        self._num_frames += num_frames

    def progress(self, rate: float) -> Progress:
        elapsed_s = max(time.monotonic() - self._started_s, 1e-9)
        means = {name: total / self._num_steps for name, total in self._sums.items()}
        event = Progress(
            step=self._task.step,
            num_steps=None if self._stop.seconds else self._task.num_steps,
            loss=means.pop("loss"),
            ce=means.pop("ce"),
            mse=means.pop("mse"),
            extra=means,
            lr=rate,
            frames_per_s=self._num_frames / elapsed_s,
            eta_s=self._eta_s(),
            elapsed_s=self._stop.elapsed_s,
        )
        self.restart()
        return event

    def restart(self) -> None:
        self._sums: dict[str, float] = {}
        self._num_steps = self._num_frames = 0
        self._started_s = time.monotonic()

    def _eta_s(self) -> float:
        done = self._task.step - self._first_step
        by_steps = self._stop.elapsed_s / done * (self._task.num_steps - self._task.step)
        return (
            by_steps
            if self._stop.seconds is None
            else min(by_steps, self._stop.seconds - self._stop.elapsed_s)
        )
