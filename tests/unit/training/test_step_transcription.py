"""One optimiser step against the paper's equation written out in plain torch, with two Adams as it has them.

The transcription takes nothing from `training`: cross entropy from log-probabilities, MSE from squares,
and the optimisers from torch.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import pytest
import torch

from tests.unit.training.test_recipe_options import changed
from training.assembly import assemble
from training.step import train_step

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hogseg.models.multitask import MultiTaskNetwork
    from napari_hogseg.runs.config import RunConfig

RATE, DECAY = 2e-4, 1e-7
TOLERANCE = 1e-6
CLEAR = 1e-6
"""Adam's first step is the rate times g / (|g| + 1e-8): above this gradient it is all of the rate."""

CASES = {
    # network, head, side of the crop, outputs, heads
    "unet": ("unet", "grid", 64, 1, 1),
    "unet-s-official": ("unet-s", "official", 256, 1, 1),
    "u2net": ("u2net", "grid", 64, 7, 6),
    "u2netp": ("u2netp", "grid", 64, 7, 6),
}


class Told(NamedTuple):
    loss: float
    ce: float
    mse: float


def transcribed_step(network: MultiTaskNetwork, batch: dict[str, torch.Tensor]) -> tuple[Told, int, int]:
    """L = sum of CE over the outputs + sum of MSE over the heads; one Adam for the net, one for the heads."""
    optimizers = [
        torch.optim.Adam(part.parameters(), lr=RATE, betas=(0.9, 0.999), weight_decay=DECAY)
        for part in (network.trunk, network.heads)
    ]
    logits, predictions = network(batch["image"].float() / 255)
    is_valid = batch["mask"] != 255
    label = batch["mask"].masked_fill(~is_valid, 0)
    ce = mse = torch.zeros(())
    for scores in logits:
        log_probability = torch.log_softmax(scores, dim=1).gather(1, label[:, None])[:, 0]
        ce = ce - log_probability[is_valid].sum() / is_valid.sum()
    for prediction in predictions:
        mse = mse + ((prediction - batch["hog"]) ** 2).sum() / prediction.numel()
    for optimizer in optimizers:
        optimizer.zero_grad()
    (ce + mse).backward()
    for optimizer in optimizers:
        optimizer.step()
    return Told((ce + mse).item(), ce.item(), mse.item()), len(logits), len(predictions)


@pytest.mark.parametrize("case", sorted(CASES))
def test_a_step_is_the_papers(config: RunConfig, tmp_path: Path, case: str) -> None:
    name, head, px, num_outputs, num_heads = CASES[case]
    config = changed(config, "model", network=name, head=head, input_short_px=px)
    config = changed(config, "augment", crop_px=px)
    config = changed(config, "optimizer", learning_rate=RATE, weight_decay=DECAY)
    task = assemble(config, tmp_path / "run", resume=False)
    batch = next(iter(task.make_loader(0)))
    batch["mask"][0, :9] = 255
    network = copy.deepcopy(task.network).train()
    before = {name: value.detach().clone() for name, value in network.named_parameters()}

    expected, outputs, heads = transcribed_step(network, batch)
    task.network.train()
    terms = train_step(task, batch, RATE)

    assert (outputs, heads) == (num_outputs, num_heads)
    assert (float(terms.loss), float(terms.ce), float(terms.mse)) == pytest.approx(expected, rel=1e-6)
    pairs = zip(task.network.named_parameters(), network.parameters(), strict=True)
    for (parameter_name, ours), theirs in pairs:
        assert float((ours - theirs).detach().abs().max()) <= TOLERANCE, parameter_name
        moved = (ours.detach() - before[parameter_name]).abs()
        has_gradient = theirs.grad.abs() > CLEAR
        assert not has_gradient.any() or float(moved[has_gradient].min()) > 0.9 * RATE
    for ours, theirs in zip(task.network.buffers(), network.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE)


def test_a_wrong_weight_of_a_task_would_be_seen(config: RunConfig, tmp_path: Path) -> None:
    config = changed(changed(config, "optimizer", learning_rate=RATE), "loss", beta=1.1)
    task = assemble(config, tmp_path / "run", resume=False)
    batch = next(iter(task.make_loader(0)))
    network = copy.deepcopy(task.network).train()
    transcribed_step(network, batch)
    task.network.train()
    train_step(task, batch, RATE)
    pairs = zip(task.network.trunk_parameters(), network.trunk_parameters(), strict=True)
    assert max(float((a - b).detach().abs().max()) for a, b in pairs) > 10 * TOLERANCE
