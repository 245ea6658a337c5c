"""The training loop: one function that reads from top to bottom, for `train` and `finetune` alike.

What it trains on is put together in `assembly`; here is only the order of things. Everything that decides
a step is a pure function of (seed, step), so weights, optimiser and the step number are all a resume needs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from napari_hogseg.inference.predictor import Predictor
from napari_hogseg.runs.checkpoint import save_checkpoint
from napari_hogseg.runs.events import AnyEvent, Finished, Progress, Saved, Validated
from training.evaluation import evaluate
from training.exits import NonFiniteLossError
from training.losses import LossTerms, multi_task_loss
from training.schedule import learning_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from torch.utils.data import DataLoader

    from napari_hogseg.data.layouts import DataSet, Sample
    from napari_hogseg.data.torch_data import FrameDataset
    from napari_hogseg.models.multitask import MultiTaskNetwork
    from napari_hogseg.runs.checkpoint import ModelSpec
    from napari_hogseg.runs.config import LossConfig, OptimizerConfig
    from training.health import HealthProbe
    from training.stopping import StopFlag

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
    """A run, ready to go. `step` and `best_miou` move; all else stays."""

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
    schedule: OptimizerConfig
    num_steps: int
    validate_every: int
    checkpoint_every: int
    log_every: int
    validate_first: bool = False
    """Score before the first step: a fine-tune starts from something."""
    step: int = 0
    best_miou: float | None = None
    last_miou: float | None = field(default=None)
    target: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    """Fitted arrays of the pseudo-label, kept with every checkpoint."""
    health: HealthProbe | None = None
    """Measures the auxiliary task with every validation; None without one."""


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
    if task.validate_first and task.step == 0:
        validate(task, emit)
    stop.start_clock()
    meter = _Meter(task, stop)
    task.network.train()
    if task.step < task.num_steps:
        for batch in task.make_loader(task.step):
            progress = max(task.step / task.num_steps, stop.time_share)
            rate = learning_rate(task.schedule, task.step, progress)
            terms = train_step(task, batch, rate)
            task.step += 1
            meter.add(terms, len(batch["index"]))

            ends = stop.reason is not None or task.step == task.num_steps
            if task.step % task.log_every == 0 or ends:
                emit(meter.progress(rate))
            is_best = False
            # A pre-empted process has seconds to live: the checkpoint comes first, scores do not matter.
            if (task.step % task.validate_every == 0 or ends) and stop.reason != "preempted":
                is_best = validate(task, emit)
                meter.restart()
            if is_best or ends or task.step % task.checkpoint_every == 0:
                save(task, emit, best=is_best)
            if ends:
                break
    end = Finished(
        step=task.step,
        reason=stop.reason or "done",
        best_miou=task.best_miou,
        elapsed_s=stop.elapsed_s,
        health=None if task.health is None else task.health.last,
    )
    emit(end)
    return end


def train_step(task: Task, batch: dict[str, torch.Tensor], rate: float) -> LossTerms:
    """Forward, backward and update on one batch.

    Parameters
    ----------
    task : Task
    batch : dict
        image (B, 3, S, S) uint8, mask (B, S, S) int64, hog (B, D) float32, index (B,) int64.
    rate : float
        Learning rate of this step.

    Returns
    -------
    LossTerms
        Detached scalars.
    """
    image, mask, hog = (batch[name].to(task.device, non_blocking=True) for name in ("image", "mask", "hog"))
    # Channels last: a fifth faster on CPUs, and what tensor cores want.
    x_BCHW = image.float().div_(255.0).contiguous(memory_format=torch.channels_last)
    terms = multi_task_loss(task.network(x_BCHW), mask, hog, task.loss)
    if not torch.isfinite(terms.loss):
        raise NonFiniteLossError(task.step, [task.frames.sample_id(int(i)) for i in batch["index"]])
    for group in task.optimizer.param_groups:
        group["lr"] = rate
    task.optimizer.zero_grad(set_to_none=True)
    terms.loss.backward()  # type: ignore[no-untyped-call]
    task.optimizer.step()
    return LossTerms(*(term.detach() for term in terms))


def validate(task: Task, emit: Emit) -> bool:
    """Score the watched frames; return whether the selecting ones improved."""
    predictor = Predictor(task.network, task.spec, task.device, name="live", digest="")
    improved = False
    for watched in task.watched:
        scores = evaluate(predictor, watched.dataset, watched.samples)
        best = False
        if watched.selects:
            best = improved = task.best_miou is None or scores.miou > task.best_miou
            task.last_miou = scores.miou
            task.best_miou = scores.miou if best else task.best_miou
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
    return improved


def save(task: Task, emit: Emit, *, best: bool) -> None:
    """Write a checkpoint and say so once it is durable."""
    spec = task.spec.model_copy(update={"step": task.step, "miou": task.last_miou})
    resume = {"step": task.step, "best_miou": task.best_miou, "optimizer": task.optimizer.state_dict()}
    folder = save_checkpoint(task.run, spec, task.network, resume, best=best, target=task.target)
    emit(Saved(step=task.step, folder=folder.relative_to(task.run).as_posix(), best=best))


class _Meter:
    """Averages the loss terms between two progress events, and the speed of training alone."""

    def __init__(self, task: Task, stop: StopFlag) -> None:
        self._task, self._stop = task, stop
        self._sums = [0.0, 0.0, 0.0]
        self._num_steps = self._num_frames = 0
        self._started_s = time.monotonic()
        self._first_step = task.step

    def add(self, terms: LossTerms, num_frames: int) -> None:
        self._sums = [total + float(term) for total, term in zip(self._sums, terms, strict=True)]
        self._num_steps += 1
        self._num_frames += num_frames

    def progress(self, rate: float) -> Progress:
        elapsed_s = max(time.monotonic() - self._started_s, 1e-9)
        loss, ce, mse = (total / self._num_steps for total in self._sums)
        event = Progress(
            step=self._task.step,
            num_steps=None if self._stop.seconds else self._task.num_steps,
            loss=loss,
            ce=ce,
            mse=mse,
            lr=rate,
            frames_per_s=self._num_frames / elapsed_s,
            eta_s=self._eta_s(),
            elapsed_s=self._stop.elapsed_s,
        )
        self.restart()
        return event

    def restart(self) -> None:
        self._sums = [0.0, 0.0, 0.0]
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
