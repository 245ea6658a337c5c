"""One optimiser step: forward, backward and update on a batch.

Owns precision, the batch's parts, clipping and the running mean of the weights; which batch, and what follows
a step, is `loop`'s part.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch

from napari_hogseg.io.errors import InputError
from training.exits import NonFiniteLossError
from training.losses import LossTerms, multi_task_loss
from training.weighting import Losses, Pass

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_hogseg.models.multitask import MultiTaskNetwork
    from napari_hogseg.runs.config import PrecisionName
    from training.loop import Task

    Batch = dict[str, torch.Tensor]

EMA_START = 10
"""The mean's decay is at most (1 + step) / (10 + step): the random first weights are soon forgotten."""


class Precision:
    """Number format of the forward pass, and the loss scaling that 16-bit floats need.

    Parameters
    ----------
    name : {"float32", "bf16", "fp16"}
    device : torch.device

    Raises
    ------
    InputError
        If the device cannot: 'fp16' needs CUDA, 'bf16' a CPU or a CUDA device that has it.
    """

    def __init__(self, name: PrecisionName, device: torch.device) -> None:
        if not _can(name, device):
            raise InputError(
                f"{device} cannot train in {name}",
                where="train.precision",
                remedy="Set train.precision = 'float32', or 'bf16' on a CPU, or choose another device.",
            )
        self._dtype = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]
        self._device = device
        # Off, each of its calls hands on what it is given: float32 runs the same arithmetic as without it.
        self.scaler = torch.amp.GradScaler("cuda", enabled=name == "fp16")

    def autocast(self) -> torch.autocast:
        """Context of a forward pass."""
        is_on = self._dtype != torch.float32
        return torch.autocast(self._device.type, self._dtype, enabled=is_on)


def _can(name: PrecisionName, device: torch.device) -> bool:
    if name == "fp16":
        return device.type == "cuda"
    if name == "bf16":
        return device.type == "cpu" or (device.type == "cuda" and torch.cuda.is_bf16_supported())
    return True


class WeightAverage:
    """Exponential running mean of a network's weights and of its normalisation's statistics.

    Parameters
    ----------
    network : MultiTaskNetwork
        Copied.
    decay : float
        Share of the mean that a step leaves.

    Attributes
    ----------
    network : MultiTaskNetwork
        The mean, in evaluation mode.
    """

    def __init__(self, network: MultiTaskNetwork, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: MultiTaskNetwork, step: int) -> None:
        """Take in the weights after `step` steps."""
        decay = min(self._decay, (1 + step) / (EMA_START + step))
        pairs = zip(self.network.state_dict().values(), network.state_dict().values(), strict=True)
        for mean, now in pairs:
            if mean.is_floating_point():
                mean.lerp_(now, 1 - decay)
            else:
                mean.copy_(now)


def train_step(task: Task, batch: Batch, rate: float) -> LossTerms:
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
        Detached scalars, the mean of the batch's parts.

    Raises
    ------
    NonFiniteLossError
        Before the update, so the weights stay finite.
    """
    for group in task.optimizer.param_groups:
        group["lr"] = rate
    task.optimizer.zero_grad(set_to_none=True)
    terms = [_backward(task, part) for part in _parts(batch, task.accumulate)]
    scaler = task.precision.scaler
    if task.schedule.clip_norm > 0:
        scaler.unscale_(task.optimizer)
        torch.nn.utils.clip_grad_norm_(task.network.parameters(), task.schedule.clip_norm)
    scaler.step(task.optimizer)
    scaler.update()
    if task.ema is not None:
        task.ema.update(task.network, task.step + 1)
    return _mean(terms)


def _parts(batch: Batch, num_parts: int) -> Iterator[Batch]:
    """Divide a batch; a step is then whole or not done, so every checkpoint falls between two batches."""
    chunks = {name: values.chunk(num_parts) for name, values in batch.items()}
    for number in range(num_parts):
        yield {name: chunk[number] for name, chunk in chunks.items()}


def _backward(task: Task, part: Batch) -> LossTerms:
    image, mask, hog = (part[name].to(task.device, non_blocking=True) for name in ("image", "mask", "hog"))
    # Channels last: a fifth faster on CPUs, and what tensor cores want.
    x_BCHW = image.float().div_(255.0).contiguous(memory_format=torch.channels_last)
    with task.precision.autocast():
        output = task.network(x_BCHW)
    terms = multi_task_loss(output, mask, hog, task.loss, task.class_weights)
    if not torch.isfinite(terms.loss):
        raise NonFiniteLossError(task.step, [task.frames.sample_id(int(i)) for i in part["index"]])

    def scaled(loss: torch.Tensor) -> torch.Tensor:
        return task.precision.scaler.scale(loss / task.accumulate)

    if task.weighting is None:
        scaled(terms.loss).backward()  # type: ignore[no-untyped-call]
        return terms.detached()
    task.weighting.backward(Losses(*terms.tasks), Pass(scaled, task.step))
    terms = terms.detached()
    return terms._replace(extra=terms.extra | task.weighting.told())


def _mean(parts: list[LossTerms]) -> LossTerms:
    def mean(values: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.stack(list(values)).mean()

    extra = {name: mean([part.extra[name] for part in parts]) for name in parts[0].extra}
    loss, ce, mse = zip(*(part[:3] for part in parts), strict=True)
    return LossTerms(mean(loss), mean(ce), mean(mse), extra)


def step_state(task: Task) -> dict[str, Any]:
    """Collect what a resume needs besides the model; the weights too where their mean is the model."""
    state: dict[str, Any] = {
        "optimizer": task.optimizer.state_dict(),
        "scaler": task.precision.scaler.state_dict(),
    }
    if task.weighting is not None:
        state["weighting"] = task.weighting.state_dict()
    return state if task.ema is None else state | {"weights": task.network.state_dict()}
