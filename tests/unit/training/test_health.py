"""Auxiliary-task health on tiny runs: what it says, and that measuring leaves no trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_hogseg.runs.config import FineTuneConfig, TargetConfig
from napari_hogseg.runs.events import AuxiliaryHealth, Finished, Progress, Validated, parse_event
from training import reporting
from training.assembly import assemble
from training.finetuning import FineTuneInput, assemble_finetune
from training.health import compare_gradients, describe, score_head
from training.loop import run_task
from training.losses import multi_task_loss
from training.stopping import StopFlag

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hogseg.runs.config import RunConfig
    from napari_hogseg.runs.events import AnyEvent
    from training.loop import Task


def with_target(config: RunConfig, num_steps: int, kind: str = "hog") -> RunConfig:
    train = config.train.model_copy(update={"num_steps": num_steps, "validate_every": 4, "log_every": 1})
    return config.model_copy(update={"target": TargetConfig(kind=kind), "train": train})


def run(task: Task) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    run_task(task, StopFlag(), events.append)
    return events


def healths(events: list[AnyEvent]) -> list[AuxiliaryHealth]:
    return [event for event in events if isinstance(event, AuxiliaryHealth)]


def test_every_validation_reports_and_the_summary_keeps_the_last(config: RunConfig, tmp_path: Path) -> None:
    events = run(assemble(with_target(config, 60), tmp_path / "run", resume=False))
    found = healths(events)
    assert [h.step for h in found] == [e.step for e in events if isinstance(e, Validated)]
    end = events[-1]
    assert isinstance(end, Finished)
    assert end.health == found[-1]
    assert parse_event(end.model_dump_json()) == end
    last = found[-1]
    assert (last.target, last.part, last.num_frames, len(last.heads)) == ("hog", "val", 2, 1)
    assert last.target_variance > 1e-4
    assert last.heads[0].mse < found[0].heads[0].mse
    assert last.heads[0].r2_zero > 0.3  # it has learned what the frames have in common
    assert last.gradient_cosine is not None
    assert -1 <= last.gradient_cosine <= 1
    assert min(last.segmentation_gradient_norm, last.auxiliary_gradient_norm) > 0


def test_the_zero_control_reports_r2_0_and_says_why(config: RunConfig, tmp_path: Path) -> None:
    events = run(assemble(with_target(config, 8, "zero"), tmp_path / "run", resume=False))
    for health in healths(events):
        assert [(head.r2_mean, head.r2_zero) for head in health.heads] == [(0.0, 0.0)]
        assert health.target_variance == 0.0
        assert "all-zero control" in health.note
    assert healths(events)[-1].heads[0].mse < healths(events)[0].heads[0].mse


def test_measuring_changes_no_bit_of_the_run(config: RunConfig, tmp_path: Path) -> None:
    config = with_target(config, 8)
    with_probe = assemble(config, tmp_path / "with", resume=False)
    measured = run(with_probe)
    without = assemble(config, tmp_path / "without", resume=False)
    without.health = None
    plain = run(without)
    assert healths(measured)
    assert not healths(plain)
    losses = [[e.loss for e in events if isinstance(e, Progress)] for events in (measured, plain)]
    assert losses[0] == losses[1]
    ours, theirs = with_probe.network.state_dict(), without.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_mode_statistics_and_random_state_stay(config: RunConfig, tmp_path: Path) -> None:
    task = assemble(with_target(config, 1), tmp_path / "run", resume=False)
    assert task.health is not None
    for training in (True, False):
        task.network.train(training)
        before = {name: value.clone() for name, value in task.network.state_dict().items()}
        state = torch.get_rng_state()
        task.health.measure(task.network, task.loss, task.device, 0)
        assert task.network.training == training
        assert torch.equal(state, torch.get_rng_state())
        assert all(torch.equal(before[name], v) for name, v in task.network.state_dict().items())
        assert all(parameter.grad is None for parameter in task.network.parameters())


def test_gradients_are_those_of_the_two_losses(config: RunConfig, tmp_path: Path) -> None:
    """Norms and cosine against two whole backward passes into `.grad`."""
    task = assemble(with_target(config, 1), tmp_path / "run", resume=False)
    assert task.health is not None
    health = task.health.measure(task.network, task.loss, task.device, 0)
    items = [task.frames[0, index] for index in (0, 2)]  # two of four frames, evenly spread
    image = torch.stack([item["image"] for item in items]).float() / 255
    mask, hog = (torch.stack([item[name] for item in items]) for name in ("mask", "hog"))
    vectors = []
    for term in ("ce", "mse"):
        task.network.train().zero_grad()
        terms = multi_task_loss(task.network(image), mask, hog, task.loss)
        getattr(terms, term).backward()
        # The decoder hears nothing of HOG: the encoder and the bottleneck are what is shared.
        shared = [
            p for name, p in task.network.trunk.named_parameters() if name.startswith(("enc", "bottle"))
        ]
        vectors.append(torch.cat([p.grad.flatten().double() for p in shared]))
    norms = [float(vector.norm()) for vector in vectors]
    assert health.segmentation_gradient_norm == pytest.approx(norms[0], rel=1e-4)
    assert health.auxiliary_gradient_norm == pytest.approx(norms[1], rel=1e-4)
    assert health.gradient_cosine == pytest.approx(
        float(vectors[0] @ vectors[1]) / (norms[0] * norms[1]), abs=1e-4
    )


def test_r2_from_its_definition() -> None:
    rng = np.random.default_rng(0)
    target, prediction = rng.random((5, 3)), rng.random((5, 3))
    error = sum((p - t) ** 2 for p, t in zip(prediction.ravel(), target.ravel(), strict=True))
    mean = sum((t - target[:, d].mean()) ** 2 for row in target for d, t in enumerate(row))
    zero = sum(t**2 for t in target.ravel())
    head = score_head(torch.from_numpy(prediction), torch.from_numpy(target))
    assert head.r2_mean == pytest.approx(1 - error / mean)
    assert head.r2_zero == pytest.approx(1 - error / zero)
    assert head.mse == pytest.approx(error / 15)


def test_r2_of_a_perfect_head_of_the_mean_and_of_zero() -> None:
    target = torch.rand(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert score_head(target, target).r2_mean == 1.0
    assert score_head(target.mean(0).expand(6, 4), target).r2_mean == pytest.approx(0.0, abs=1e-12)
    assert score_head(torch.zeros(6, 4), target).r2_zero == 0.0


def test_only_parameters_that_both_reach_are_compared() -> None:
    a, b = torch.tensor([3.0, 4.0]), torch.tensor([4.0, 3.0])
    cosine, norms = compare_gradients([a, None, a], [b, b, None])
    assert (cosine, norms) == (pytest.approx(24 / 25), (5.0, 5.0))
    assert compare_gradients([a], [torch.zeros(2)]) == (None, (5.0, 0.0))


def test_a_target_that_never_changes_and_a_useless_head_are_said() -> None:
    flat = torch.full((3, 2), 0.5, dtype=torch.float64)
    head = score_head(flat, flat)
    assert (head.r2_mean, head.r2_zero) == (0.0, 1.0)
    assert "same for all" in describe("hog", 0.0, [head])
    assert "No head" in describe("hog", 0.1, [score_head(torch.zeros(2, 2), torch.eye(2))])
    assert describe("hog", 0.1, [score_head(torch.eye(2), torch.eye(2))]) == ""


def test_a_finetune_reports_and_a_run_without_the_task_does_not(config: RunConfig, tmp_path: Path) -> None:
    run(assemble(with_target(config, 2), tmp_path / "base", resume=False))
    source = FineTuneInput(tmp_path / "base", tmp_path / "data", "c:0", None)
    settings = FineTuneConfig(steps=1, batch_size=2, device="cpu", num_threads=1)
    events = run(assemble_finetune(source, settings, tmp_path / "tuned", lambda _text: None))
    assert [(health.step, health.part) for health in healths(events)] == [(0, "corrected"), (1, "corrected")]
    config = config.model_copy(update={"loss": config.loss.model_copy(update={"beta": 0.0})})
    events = run(assemble(with_target(config, 2), tmp_path / "plain", resume=False))
    assert not healths(events)
    assert isinstance(events[-1], Finished)
    assert events[-1].health is None


def test_the_terminal_shows_it(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    events = run(assemble(with_target(config, 1, "zero"), tmp_path / "run", resume=False))
    monkeypatch.setattr(reporting.console, "width", 400)
    with reporting.RunReporter() as reporter:
        for event in events:
            reporter.show(event)
    shown = capsys.readouterr().err
    assert shown.count("R2 of the heads against the mean 0.000, against zero 0.000") == 2  # step and summary
    assert "all-zero control" in shown
    assert "gradient cosine" in shown
