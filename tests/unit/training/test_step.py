"""The engine's options: each against its definition, and each resumed bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.checkpoint import load_checkpoint, load_network
from napari_hogseg.runs.events import Finished, Saved, Validated
from tests.unit.training.test_loop import train, weights, with_steps
from tests.unit.training.test_recipe_options import changed
from training.assembly import assemble
from training.loop import run_task, save
from training.step import Precision, WeightAverage, train_step
from training.stopping import Patience, StopFlag

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hogseg.models.multitask import MultiTaskNetwork
    from napari_hogseg.runs.config import RunConfig
    from napari_hogseg.runs.events import AnyEvent

CPU = torch.device("cpu")
RATE = 1e-3


def without_normalisation(network: MultiTaskNetwork) -> None:
    """Fix its statistics: parts of a batch would have other ones than the whole."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()


@pytest.mark.parametrize("parts", [2, 4])
def test_parts_of_a_batch_sum_to_its_gradient(config: RunConfig, tmp_path: Path, parts: int) -> None:
    config = changed(config, "train", batch_size=4, num_steps=1)
    gradients, losses = [], []
    for accumulate in (1, parts):
        task = assemble(changed(config, "train", accumulate=accumulate), tmp_path / "run", resume=False)
        task.network.train()
        without_normalisation(task.network)
        batch = next(iter(task.make_loader(0)))
        batch["mask"][batch["mask"] == 255] = 0  # equal parts: the mean of their means is the mean
        losses.append(float(train_step(task, batch, 0.0).loss))
        gradients.append([p.grad for p in task.network.parameters() if p.grad is not None])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for whole, summed in zip(*gradients, strict=True):
        torch.testing.assert_close(summed, whole, rtol=1e-3, atol=1e-5)


def test_the_gradient_is_clipped_to_its_norm(config: RunConfig, tmp_path: Path) -> None:
    def gradient(clip_norm: float) -> torch.Tensor:
        task = assemble(changed(config, "optimizer", clip_norm=clip_norm), tmp_path / "run", resume=False)
        task.network.train()
        train_step(task, next(iter(task.make_loader(0))), RATE)
        return torch.cat([p.grad.ravel() for p in task.network.parameters() if p.grad is not None])

    free, clipped = gradient(0.0), gradient(0.1)
    assert float(free.norm()) > 0.2
    assert float(clipped.norm()) == pytest.approx(0.1, rel=1e-3)
    torch.testing.assert_close(clipped, free * (0.1 / free.norm()), rtol=1e-3, atol=1e-7)


def test_the_mean_of_the_weights_is_the_recursion(config: RunConfig, tmp_path: Path) -> None:
    task = assemble(changed(config, "train", ema=0.3, num_steps=5), tmp_path / "run", resume=False)
    task.network.train()
    names = ("trunk.", "running_mean")  # weights and statistics alike
    mean = {k: v.double().clone() for k, v in task.network.state_dict().items() if any(n in k for n in names)}
    for batch in task.make_loader(0):
        train_step(task, batch, RATE)
        task.step += 1
        decay = min(0.3, (1 + task.step) / (10 + task.step))
        now = task.network.state_dict()
        mean = {k: decay * v + (1 - decay) * now[k].double() for k, v in mean.items()}
    found = task.model.state_dict()
    for name, expected in mean.items():
        if found[name].is_floating_point():
            torch.testing.assert_close(found[name].double(), expected, rtol=1e-5, atol=1e-6)
        else:
            assert found[name] == task.network.state_dict()[name]


def test_the_mean_is_what_is_saved_and_scored(config: RunConfig, tmp_path: Path) -> None:
    task = assemble(changed(config, "train", ema=0.9, num_steps=4), tmp_path / "run", resume=False)
    events: list[AnyEvent] = []
    run_task(task, StopFlag(), events.append)
    saved = load_network(tmp_path / "run")[1].state_dict()
    assert all(torch.equal(saved[name], value) for name, value in task.model.state_dict().items())
    raw = load_checkpoint(tmp_path / "run").resume["weights"]
    assert all(torch.equal(raw[name], value) for name, value in task.network.state_dict().items())
    assert any(not torch.equal(raw[name], value) for name, value in saved.items())


OPTIONS = {
    "ema": {"train": {"ema": 0.8}},
    "parts": {"train": {"batch_size": 4, "accumulate": 2}},
    "repeats": {"train": {"sampling": "repeat-factor", "repeat_threshold": 1.0, "batch_size": 3}},
    "bf16": {"train": {"precision": "bf16"}},
    "all": {
        "train": {"ema": 0.8, "batch_size": 4, "accumulate": 2, "patience": 50},
        "optimizer": {"clip_norm": 0.5, "schedule": "cosine", "warm_up": 0.3},
        "loss": {"dice": 1.0, "lovasz": 0.5, "class_weighting": "median-frequency"},
    },
}


@pytest.mark.parametrize("option", sorted(OPTIONS))
def test_every_option_resumes_bit_for_bit(config: RunConfig, tmp_path: Path, option: str) -> None:
    for section, values in OPTIONS[option].items():
        config = changed(config, section, **values)
    config = with_steps(config, 7, validate_every=100, checkpoint_every=100, log_every=1)
    train(config, tmp_path / "whole")
    train(config, tmp_path / "parts", stop_at=2)
    train(config, tmp_path / "parts", resume=True)
    whole, parts = (weights(tmp_path / name) for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    raw = [load_checkpoint(tmp_path / name).resume.get("weights", {}) for name in ("whole", "parts")]
    assert bool(raw[0]) == (config.train.ema > 0)
    assert all(torch.equal(raw[0][name], raw[1][name]) for name in raw[0])


def test_bf16_computes_in_bf16_and_learns(config: RunConfig, tmp_path: Path) -> None:
    config = changed(config, "train", precision="bf16", num_steps=20, log_every=5)
    task = assemble(config, tmp_path / "run", resume=False)
    with task.precision.autocast():
        task.network.train()
        made = task.network(torch.rand(2, 3, 48, 48))
    assert made.logits[0].dtype == torch.bfloat16
    losses: list[float] = []
    for batch in task.make_loader(0):
        losses.append(float(train_step(task, batch, 3e-3).loss))
        task.step += 1
    assert losses[-1] < 0.7 * losses[0]
    assert all(parameter.dtype == torch.float32 for parameter in task.network.parameters())


def test_a_device_that_cannot_is_told(config: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cpu cannot train in fp16"):
        assemble(changed(config, "train", precision="fp16"), tmp_path / "run", resume=False)
    with pytest.raises(InputError, match="mps cannot train in bf16"):
        Precision("bf16", torch.device("mps"))
    assert not Precision("float32", CPU).scaler.is_enabled()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="fp16 needs a CUDA device")
def test_fp16_scales_its_loss_and_saves_the_scale(config: RunConfig, tmp_path: Path) -> None:
    config = changed(config, "train", precision="fp16", device="cuda", num_steps=4)
    train(config, tmp_path / "run")
    assert load_checkpoint(tmp_path / "run").resume["scaler"]["scale"] > 1.0


def test_patience_counts_what_brings_nothing_new() -> None:
    patience = Patience(2)
    told = []
    for miou in (0.3, 0.2, 0.4, 0.4, float("nan")):
        patience.count(miou)
        told.append((patience.num_waited, patience.is_out))
    assert told == [(0, False), (1, False), (0, False), (1, False), (2, True)]
    assert Patience(**patience.state()) == patience
    assert not Patience(0, num_waited=9).is_out


def frozen(config: RunConfig, **values: object) -> RunConfig:
    """Nothing moves but the mean of the normalisation's statistics; the mIoU soon stands still."""
    return changed(
        changed(config, "optimizer", learning_rate=1e-12),
        "train",
        **(
            {"num_steps": 40, "validate_every": 3, "patience": 2, "checkpoint_every": 100, "log_every": 1}
            | values
        ),
    )


def early_end(events: list[AnyEvent]) -> tuple[int, str]:
    end = events[-1]
    assert isinstance(end, Finished)
    return end.step, end.reason


def test_a_run_that_no_longer_improves_ends_and_a_stop_does_not_move_its_end(
    config: RunConfig, tmp_path: Path
) -> None:
    config = frozen(config)
    step, reason = early_end(train(config, tmp_path / "whole"))
    assert reason == "no-improvement"
    assert step < 40
    first = train(config, tmp_path / "parts", stop_at=3)  # its own validation, at step 4, must not count
    assert [e.step for e in first if isinstance(e, Validated)] == [3, 4]
    assert early_end(train(config, tmp_path / "parts", resume=True)) == (step, reason)
    again = train(config, tmp_path / "parts", resume=True)
    assert early_end(again) == (step, reason)
    assert not any(isinstance(event, (Validated, Saved)) for event in again)


def test_a_validation_that_a_preemption_skipped_is_made_up_for(config: RunConfig, tmp_path: Path) -> None:
    config = frozen(config, patience=0, num_steps=4, validate_every=3)
    task = assemble(config, tmp_path / "run", resume=False)
    stop = StopFlag()

    def emit(event: AnyEvent) -> None:
        if getattr(event, "step", 0) == 2:
            stop.ask("preempted")

    assert run_task(task, stop, emit).reason == "preempted"
    assert task.step == 3
    resumed = train(config, tmp_path / "run", resume=True)
    assert [e.step for e in resumed if isinstance(e, Validated)] == [3, 4]
    assert next(e for e in resumed if isinstance(e, Saved)).best


def test_early_stop_without_validation_frames_is_refused(config: RunConfig, tmp_path: Path) -> None:
    config = changed(changed(config, "data", val=()), "train", patience=2)
    with pytest.raises(InputError, match="needs frames to validate on"):
        assemble(config, tmp_path / "run", resume=False)


def test_a_checkpoint_of_an_earlier_version_resumes(config: RunConfig, tmp_path: Path) -> None:
    task = assemble(config, tmp_path / "run", resume=False)
    task.network.train()
    train_step(task, next(iter(task.make_loader(0))), RATE)
    task.step = 1
    save(task, lambda _event: None, best=False)
    folder = load_checkpoint(tmp_path / "run").folder
    from napari_hogseg.runs import checkpoint as cp

    old = {key: cp._read_resume(folder / cp.RESUME_FILE)[key] for key in ("step", "best_miou", "optimizer")}
    (folder / cp.DIGESTS_FILE).unlink()
    cp.save_checkpoint(
        tmp_path / "run", task.spec.model_copy(update={"step": 1}), task.network, old, best=False
    )
    resumed = assemble(config, tmp_path / "run", resume=True)
    assert resumed.step == 1
    assert resumed.patience == Patience(0)


def test_the_mean_leaves_the_network_alone(config: RunConfig, tmp_path: Path) -> None:
    task = assemble(config, tmp_path / "run", resume=False)
    mean = WeightAverage(task.network, 0.5)
    assert not any(parameter.requires_grad for parameter in mean.network.parameters())
    assert all(parameter.requires_grad for parameter in task.network.parameters())
    assert not mean.network.training
