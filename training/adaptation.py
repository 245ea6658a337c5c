"""Test-time adaptation: a trained model goes on learning on an unlabelled video, by the HOG loss alone.

The trunk learns to let the heads predict the HOG of this video's frames; the segmentation follows where it
shares the trunk. Owns what may move, the residual, and when to stop; `adaptation_report` tells what moved.

**What is frozen.** The heads: their weights are all that is kept of what HOG meant in training. Free to move,
they would fit the new video from unchanged features, and the residual would fall while the trunk learned
nothing. What the HOG loss does not reach, which in every network here are the layers behind the taps, the
segmentation's output layers among them.

**Normalisation runs on the stored statistics**, never on the batch's: what is optimised is then exactly what
`predict` computes, a frame's answer hangs on no other frame, and nothing moves unless the loss moves it.
Little is lost by that: scale and shift can undo any change of a channel's mean and variance.

References
----------
Sun et al., Test-Time Training with Self-Supervision, ICML 2020: adaptation by an auxiliary task.
Wang et al., Tent: Fully Test-Time Adaptation by Entropy Minimization, ICLR 2021: scale and shift alone move.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn
from torch.nn import functional

from napari_hogseg.data.torch_data import StepSampler, Stream
from napari_hogseg.features.pseudo_labels import ZERO
from napari_hogseg.inference.predictor import choose_device
from napari_hogseg.io.errors import InputError
from napari_hogseg.io.video import open_frames
from napari_hogseg.runs.checkpoint import (
    CHECKPOINTS,
    load_network,
    read_target,
    resolve_model_folder,
    save_checkpoint,
)
from napari_hogseg.runs.config import AugmentConfig
from napari_hogseg.runs.events import Finished, Progress, Residual, Saved
from training.assembly import CONFIG_FILE, read_config, set_threads, to_device
from training.exits import NonFiniteLossError
from training.finetuning import mild_augmentation
from training.stopping import Patience
from training.targets import restore_target
from training.unlabelled_frames import Chosen, UnlabelledFrames, choose_frames

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from napari_hogseg.io.video import FrameSource
    from napari_hogseg.models.multitask import MultiTaskNetwork
    from napari_hogseg.runs.checkpoint import ModelSpec
    from napari_hogseg.runs.config import AdaptConfig, RunConfig
    from training.loop import Emit
    from training.stopping import StopFlag
    from training.unlabelled_frames import CropBatch

NORMALISATIONS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.GroupNorm,
    nn.LayerNorm,
)
LEARNING_RATES = {"norm": 1e-3, "trunk": 1e-4}


@dataclass
class Adaptation:
    """An adaptation, ready to go, and from `step` on where it stands."""

    run: Path
    base: Path
    """Model folder that it starts from; only read."""
    spec: ModelSpec
    network: MultiTaskNetwork
    """In evaluation mode; only what adapts requires gradients."""
    device: torch.device
    source: FrameSource
    chosen: Chosen
    learned: UnlabelledFrames
    held_out: UnlabelledFrames
    optimizer: torch.optim.Optimizer
    config: AdaptConfig
    target: Mapping[str, npt.NDArray[np.float32]]
    """Fitted arrays of the pseudo-label, kept with the model."""
    num_adapted: int
    """Parameters that may move."""
    patience: Patience
    step: int = 0
    best_step: int = 0
    """Step of the lowest residual; 0: the model as it was."""
    curve: list[tuple[int, float]] = field(default_factory=list)
    """(step, residual)."""


def assemble_adaptation(base: Path, video: Path, config: AdaptConfig, run: Path) -> Adaptation:
    """Load a model and the frames of a video.

    Parameters
    ----------
    base : Path
        Run folder, checkpoint or model folder.
    video : Path
        Video file or folder of pictures; closed by whoever ends the adaptation.
    config : AdaptConfig
    run : Path
        Folder for the new run; must hold nothing.

    Raises
    ------
    InputError
        If the model has no trained heads or nothing that may move, or the video cannot be used.
    """
    refuse_used_folder(run)
    set_threads(config.num_threads)
    folder = resolve_model_folder(base)
    spec, network, _ = load_network(folder)
    recipe = _recipe_of(base, folder)
    _check_heads(spec, recipe, base)
    target = restore_target(spec.target, spec.hog, read_target(folder))
    augmentation = mild_augmentation(spec) if recipe is None else recipe.augment
    still = AugmentConfig(crop_px=augmentation.crop_px, hflip=0.0, vflip=0.0, rotation=0.0)
    source = open_frames(video)
    try:
        chosen = choose_frames(source, config.frames)
        short_px = spec.model.input_short_px
        learned = UnlabelledFrames(
            source, chosen.learned, augmentation, target.label, short_px=short_px, seed=config.seed
        )
        held_out = UnlabelledFrames(source, chosen.held_out, still, target.label, short_px=short_px, seed=0)
        device = choose_device(config.device)
        network = to_device(network, device)
        moving = release(network, config.what, learned.batch([(0, 0)]), where=spec.model.network)
    except BaseException:
        source.close()
        raise
    return Adaptation(
        run=run,
        base=folder,
        spec=spec,
        network=network,
        device=device,
        source=source,
        chosen=chosen,
        learned=learned,
        held_out=held_out,
        # Without weight decay: nothing may move but what the residual asks for.
        optimizer=torch.optim.Adam(moving, lr=config.learning_rate or LEARNING_RATES[config.what]),
        config=config,
        target=target.arrays,
        num_adapted=sum(parameter.numel() for parameter in moving),
        patience=Patience(config.patience),
    )


def refuse_used_folder(run: Path) -> None:
    """Refuse a folder that holds anything: nothing is overwritten."""
    if run.is_file() or (run.is_dir() and any(run.iterdir())):
        raise InputError(
            "The folder is not empty", where=run, remedy="Choose another --out: nothing is overwritten."
        )


def _recipe_of(base: Path, folder: Path) -> RunConfig | None:
    """Read the configuration of the run that a model folder stands in; None for a model on its own."""
    run = folder.parent.parent if folder.parent.name == CHECKPOINTS else base
    return read_config(run) if (run / CONFIG_FILE).is_file() else None


def _check_heads(spec: ModelSpec, recipe: RunConfig | None, base: Path) -> None:
    reason = ""
    if spec.model.head == "none":
        reason = "The model has no HOG heads"
    elif recipe is not None and recipe.loss.beta == 0:
        reason = "The model's heads were never taught (beta = 0)"
    elif spec.target.kind == ZERO:
        reason = f"The model's heads learned nothing but zeros (target.kind '{ZERO}')"
    if reason:
        raise InputError(
            f"{reason}, so there is nothing to adapt by",
            where=base,
            remedy="Adapt a model that was trained with the HOG task.",
        )


def release(
    network: MultiTaskNetwork, what: Literal["norm", "trunk"], batch: CropBatch, where: object
) -> list[nn.Parameter]:
    """Freeze a network but for what may move, and return that.

    Parameters
    ----------
    network : MultiTaskNetwork
        Put into evaluation mode.
    what : {"norm", "trunk"}
    batch : CropBatch
        Any; it shows which parameters the HOG loss reaches.
    where : object
        The network's name, for a message.

    Raises
    ------
    InputError
        If no parameter is left.
    """
    network.eval().requires_grad_(requires_grad=False)
    candidates = list(network.trunk_parameters()) if what == "trunk" else _scales_and_shifts(network.trunk)
    for parameter in candidates:
        parameter.requires_grad = True
    reached: list[nn.Parameter] = []
    if candidates:
        loss = hog_losses(network, batch).sum()
        gradients = torch.autograd.grad(loss, candidates, allow_unused=True)
        reached = [each for each, gradient in zip(candidates, gradients, strict=True) if gradient is not None]
    network.requires_grad_(requires_grad=False)
    for parameter in reached:
        parameter.requires_grad = True
    if not reached:
        raise InputError(
            "The HOG loss reaches no normalisation layer with weights of its own",
            where=where,
            remedy="Adapt the whole trunk: --what trunk.",
        )
    return reached


def _scales_and_shifts(trunk: nn.Module) -> list[nn.Parameter]:
    layers = (module for module in trunk.modules() if isinstance(module, NORMALISATIONS))
    return [parameter for layer in layers for parameter in layer.parameters(recurse=False)]


def hog_losses(network: MultiTaskNetwork, batch: CropBatch) -> torch.Tensor:
    """Mean squared error of each head, (number of heads,), in whatever mode the network is."""
    device = next(network.parameters()).device
    x_BCHW = batch.image.to(device).float().div_(255.0).contiguous(memory_format=torch.channels_last)
    target_BD = batch.target.to(device)
    heads = network.predict_targets(x_BCHW)
    return torch.stack([functional.mse_loss(head.float(), target_BD) for head in heads])


def residual(task: Adaptation) -> float:
    """Sum of the heads' mean squared errors over the held-out frames, each in one fixed crop."""
    keys = [(0, index) for index in range(len(task.held_out))]
    total = 0.0
    with torch.no_grad():
        for first in range(0, len(keys), task.config.batch_size):
            part = keys[first : first + task.config.batch_size]
            total += float(hog_losses(task.network, task.held_out.batch(part)).sum()) * len(part)
    return total / len(keys)


def adapt_step(task: Adaptation, keys: Sequence[tuple[int, int]]) -> float:
    """Forward, backward and update on one batch; returns its loss.

    Raises
    ------
    NonFiniteLossError
        Before the update, so the weights stay finite.
    """
    batch = task.learned.batch(keys)
    loss = hog_losses(task.network, batch).sum()
    if not torch.isfinite(loss):
        raise NonFiniteLossError(task.step, batch.names)
    task.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    task.optimizer.step()
    return float(loss.detach())


def run_adaptation(task: Adaptation, stop: StopFlag, emit: Emit) -> Finished:
    """Adapt until the residual no longer falls, the steps are done or a stop is asked for.

    Each new lowest residual is written as a whole model at once; where none is lower than the model's own,
    none is written.

    Parameters
    ----------
    task : Adaptation
        Moved on in place.
    stop : StopFlag
    emit : callable
        Gets every event but the last.

    Returns
    -------
    Finished
        Not emitted yet.

    Raises
    ------
    NonFiniteLossError
        Before the update, so the weights stay finite.
    """
    stop.start_clock()
    measure(task, emit)
    config = task.config
    streams = [Stream(0, len(task.learned), config.batch_size)]
    losses: list[float] = []
    since_s = time.monotonic()
    for keys in StepSampler(streams, seed=config.seed, first_step=0, num_steps=config.steps):
        losses.append(adapt_step(task, keys))
        task.step += 1
        ends = stop.reason is not None or task.step == config.steps
        if task.step % config.validate_every == 0 or ends:
            emit(_progress(task, losses, time.monotonic() - since_s, stop.elapsed_s))
            measure(task, emit)
            losses, since_s = [], time.monotonic()
        if ends or task.patience.is_out:
            break
    # Out of patience counts before the steps are: it says more.
    done: Literal["done", "no-improvement"] = "no-improvement" if task.patience.is_out else "done"
    return Finished(step=task.step, reason=stop.reason or done, best_miou=None, elapsed_s=stop.elapsed_s)


def measure(task: Adaptation, emit: Emit) -> None:
    """Take the residual; a new lowest one is saved."""
    now = residual(task)
    is_first = not task.curve
    if is_first and not now < float("inf"):
        raise NonFiniteLossError(task.step, [task.source.frame_names[i] for i in task.chosen.held_out])
    is_best = now < -task.patience.best
    task.curve.append((task.step, now))
    task.patience.count(-now)
    emit(Residual(step=task.step, residual=now, num_frames=len(task.held_out), best=is_best))
    if is_best and not is_first:
        task.best_step = task.step
        spec = task.spec.model_copy(update={"step": task.step, "miou": None})
        folder = save_checkpoint(
            task.run, spec, task.network, {"step": task.step}, best=True, target=task.target
        )
        emit(Saved(step=task.step, folder=folder.relative_to(task.run).as_posix(), best=True))


def _progress(task: Adaptation, losses: list[float], spent_s: float, elapsed_s: float) -> Progress:
    mean = sum(losses) / len(losses)
    return Progress(
        step=task.step,
        num_steps=task.config.steps,
        loss=mean,
        ce=0.0,
        mse=mean,
        lr=task.optimizer.param_groups[0]["lr"],
        frames_per_s=len(losses) * task.config.batch_size / max(spent_s, 1e-9),
        eta_s=elapsed_s / task.step * (task.config.steps - task.step),
        elapsed_s=elapsed_s,
    )
