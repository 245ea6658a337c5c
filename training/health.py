"""Auxiliary-task health: whether the target has something to teach, is learned, and helps the trunk.

Measured with every validation, on crops that stay the same all run. Owns the measurement and leaves no trace:
weights, running statistics and random streams are as before it.

Axes: B crops, D values of the pseudo-label.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch.func import functional_call
from torch.utils.data import default_collate

from napari_hogseg.data.torch_data import FrameDataset, Source
from napari_hogseg.features.pseudo_labels import ZERO
from napari_hogseg.runs.config import AugmentConfig
from napari_hogseg.runs.events import AuxiliaryHealth, HeadHealth
from training.losses import multi_task_loss
from training.targets import spread_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hogseg.models.multitask import MultiTaskNetwork
    from napari_hogseg.runs.config import LossConfig
    from training.loop import Task

MAX_WATCHED = 16
"""Watched frames that R2 is taken over: a fraction of what a validation scores."""

MAX_PROBE = 4
"""Training crops whose gradients are compared: two backward passes at each validation."""

NO_VARIANCE = 1e-12
"""Mean square below which a reference leaves nothing to explain."""

ZERO_NOTE = (
    "R2 is 0 because the target is the all-zero control: it has no variance, so there is nothing the heads "
    "could learn (casting HOG to integers, as the paper's released code does, gives these very zeros)"
)
CONSTANT_NOTE = (
    "R2 against the mean is 0 because the target is the same for all of these frames: it explains all"
)
USELESS_NOTE = "No head predicts the target better than its mean over these frames"


@dataclass
class HealthProbe:
    """What is looked at, and the last answer.

    Attributes
    ----------
    target : str
        Kind of the label.
    part : str
        Name of the watched frames.
    watched, trained : FrameDataset
        Frames for R2, un-augmented, and for gradients, as training sees them.
    num_probe : int
        Crops of the gradients' batch.
    """

    target: str
    part: str
    watched: FrameDataset
    trained: FrameDataset
    num_probe: int
    last: AuxiliaryHealth | None = field(default=None)

    def measure(
        self, network: MultiTaskNetwork, loss: LossConfig, device: torch.device, step: int
    ) -> AuxiliaryHealth:
        """Measure the auxiliary task; the network's mode, weights and statistics stay as they are."""
        was_training = network.training
        try:
            predictions, targets = self._predict(network.eval(), device)
            cosine, norms = self._gradients(network.train(), loss, device)
        finally:
            network.train(was_training)
        heads = tuple(score_head(prediction, targets) for prediction in predictions)
        variance = float(targets.var(dim=0, correction=0).mean())
        self.last = AuxiliaryHealth(
            step=step,
            target=self.target,
            part=self.part,
            num_frames=len(targets),
            target_variance=variance,
            heads=heads,
            gradient_cosine=cosine,
            segmentation_gradient_norm=norms[0],
            auxiliary_gradient_norm=norms[1],
            note=describe(self.target, variance, heads),
        )
        return self.last

    def _predict(
        self, network: MultiTaskNetwork, device: torch.device
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Predictions (B, D) of each head and targets (B, D), float64 on the CPU, frame by frame."""
        rows: list[list[torch.Tensor]] = []
        targets = []
        num_watched = min(MAX_WATCHED, len(self.watched))
        with torch.no_grad():
            for key in spread_keys(len(self.watched), num_watched):
                item = self.watched[key]
                x_BCHW = _input(item["image"][None], device)
                rows.append([head.double().cpu() for head in network.predict_targets(x_BCHW)])
                targets.append(item["hog"].double())
        return [torch.cat(head) for head in zip(*rows, strict=True)], torch.stack(targets)

    def _gradients(
        self, network: MultiTaskNetwork, loss: LossConfig, device: torch.device
    ) -> tuple[float | None, tuple[float, float]]:
        """Cosine and norms of the two tasks' gradients on the trunk's parameters that both of them reach."""
        keys = spread_keys(self.trained.num_labelled, self.num_probe)  # two tasks: both need masks
        batch = default_collate([self.trained[key] for key in keys])
        # Copies take the batch norms' updates, and a dropout's draws are taken back.
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            output = functional_call(network, buffers, (_input(batch["image"], device),))
        terms = multi_task_loss(output, batch["mask"].to(device), batch["hog"].to(device), loss)
        trunk = [parameter for parameter in network.trunk_parameters() if parameter.requires_grad]
        segmentation = torch.autograd.grad(terms.ce, trunk, retain_graph=True, allow_unused=True)
        auxiliary = torch.autograd.grad(terms.mse, trunk, allow_unused=True)
        return compare_gradients(segmentation, auxiliary)


def make_probe(task: Task, augment: AugmentConfig, batch_size: int) -> HealthProbe | None:
    """Make the probe of a run; None where there is no auxiliary task, or no frame to watch.

    Parameters
    ----------
    task : Task
        Its first watched frames are looked at, in crops of the training's size.
    augment : AugmentConfig
    batch_size : int
    """
    label = task.frames.label
    if label is None or not task.watched or task.loss.beta == 0:
        return None
    watched = task.watched[0]
    still = AugmentConfig(crop_px=augment.crop_px, hflip=0.0, vflip=0.0, rotation=0.0)
    frames = FrameDataset(
        [Source(watched.dataset, watched.samples)],
        still,
        label,
        short_px=task.spec.model.input_short_px,
        seed=0,
        cache_bytes=task.frames.cache_bytes,
    )
    return HealthProbe(label.name, watched.part, frames, task.frames, min(MAX_PROBE, batch_size))


def score_head(prediction_BD: torch.Tensor, target_BD: torch.Tensor) -> HeadHealth:
    """Compare a head with two answers that need no network: the frames' mean, and zero.

    Parameters
    ----------
    prediction_BD, target_BD : (B, D) float64 Tensor

    Returns
    -------
    HeadHealth
        R2 pooled over all values; 0 where the reference leaves nothing to explain.
    """
    error = float((prediction_BD - target_BD).square().mean())
    about_mean = float((target_BD - target_BD.mean(dim=0)).square().mean())
    about_zero = float(target_BD.square().mean())
    r2_mean, r2_zero = (
        1.0 - error / reference if reference > NO_VARIANCE else 0.0 for reference in (about_mean, about_zero)
    )
    return HeadHealth(r2_mean=r2_mean, r2_zero=r2_zero, mse=error)


def compare_gradients(
    first: Sequence[torch.Tensor | None], second: Sequence[torch.Tensor | None]
) -> tuple[float | None, tuple[float, float]]:
    """Cosine between two gradients and their norms, over the parameters that both reach.

    Returns
    -------
    cosine : float or None
        None where either is zero.
    norms : (float, float)
    """
    pairs = [
        (a.double(), b.double())
        for a, b in zip(first, second, strict=True)
        if a is not None and b is not None
    ]
    dot = sum(float((a * b).sum()) for a, b in pairs)
    norms = tuple(sum(float(pair[i].square().sum()) for pair in pairs) ** 0.5 for i in (0, 1))
    cosine = dot / (norms[0] * norms[1]) if norms[0] and norms[1] else None
    return cosine, (norms[0], norms[1])


def describe(target: str, variance: float, heads: Sequence[HeadHealth]) -> str:
    """Say what a person should know about the numbers; empty where they speak for themselves."""
    if target == ZERO:
        return ZERO_NOTE
    if variance <= NO_VARIANCE:
        return CONSTANT_NOTE
    if all(head.r2_mean <= 0 for head in heads):
        return USELESS_NOTE
    return ""


def _input(image_BCHW: torch.Tensor, device: torch.device) -> torch.Tensor:
    return image_BCHW.to(device).float().div_(255.0).contiguous(memory_format=torch.channels_last)
