"""The loop on real networks and files: it learns, stops, resumes bit for bit and refuses bad losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from napari_hogseg.inference.predictor import Predictor
from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.checkpoint import load_network, read_spec, resolve_model_folder
from napari_hogseg.runs.config import FineTuneConfig
from napari_hogseg.runs.events import Finished, Progress, Saved, Validated
from training.assembly import assemble
from training.evaluation import evaluate
from training.exits import NonFiniteLossError
from training.finetuning import FineTuneInput, assemble_finetune
from training.loop import run_task
from training.stopping import StopFlag

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hogseg.runs.config import RunConfig
    from napari_hogseg.runs.events import AnyEvent


def with_steps(config: RunConfig, num_steps: int, **train: object) -> RunConfig:
    section = config.train.model_copy(update={"num_steps": num_steps, **train})
    return config.model_copy(update={"train": section})


def train(
    config: RunConfig, run: Path, stop_at: int | None = None, *, resume: bool = False
) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    stop = StopFlag()
    task = assemble(config, run, resume=resume)

    def emit(event: AnyEvent) -> None:
        events.append(event)
        if isinstance(event, Progress) and stop_at is not None and event.step >= stop_at:
            stop.ask("stopped")

    run_task(task, stop, emit)
    return events


def weights(run: Path) -> dict[str, torch.Tensor]:
    last = run / (run / "last").read_text().strip()
    return load_network(last)[1].state_dict()


def test_a_run_learns_and_leaves_its_files(config: RunConfig, tmp_path: Path) -> None:
    events = train(with_steps(config, 40, validate_every=20), tmp_path / "run")
    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[-1].loss < 0.7 * progress[0].loss
    assert progress[0].loss == pytest.approx(progress[0].ce + progress[0].mse, rel=1e-5)
    assert progress[0].mse > 1e-3  # a target of zeros would fall to nothing at once
    validated = [event for event in events if isinstance(event, Validated)]
    assert [event.step for event in validated] == [20, 40]
    assert isinstance(events[-1], Finished)
    assert events[-1].best_miou == max(event.miou for event in validated)
    spec = read_spec(resolve_model_folder(tmp_path / "run"))
    assert spec.miou == pytest.approx(events[-1].best_miou)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_resume_equals_the_uninterrupted_run_bit_for_bit(
    config: RunConfig, tmp_path: Path, num_workers: int
) -> None:
    config = with_steps(
        config, 10, validate_every=100, checkpoint_every=100, log_every=1, num_workers=num_workers
    )
    train(config, tmp_path / "whole")
    train(config, tmp_path / "parts", stop_at=3)  # in the middle of an epoch of two steps
    train(config, tmp_path / "parts", stop_at=7, resume=True)
    train(config, tmp_path / "parts", resume=True)
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_stop_falls_between_two_steps_and_leaves_a_checkpoint(config: RunConfig, tmp_path: Path) -> None:
    events = train(with_steps(config, 50), tmp_path / "run", stop_at=6)
    assert isinstance(events[-1], Finished)
    assert (events[-1].reason, events[-1].step) == ("stopped", 7)  # asked for after step 6 was counted
    assert [event.step for event in events if isinstance(event, Saved)][-1] == 7


def test_nothing_is_trained_over(config: RunConfig, tmp_path: Path) -> None:
    train(with_steps(config, 2), tmp_path / "run")
    with pytest.raises(InputError, match="already holds a run"):
        assemble(config, tmp_path / "run", resume=False)
    with pytest.raises(InputError, match="no intact checkpoint"):
        assemble(config, tmp_path / "other", resume=True)


def test_a_non_finite_loss_stops_before_the_update(config: RunConfig, tmp_path: Path) -> None:
    task = assemble(config, tmp_path / "run", resume=False)
    with torch.no_grad():
        next(task.network.trunk_parameters()).fill_(float("nan"))
    before = {name: tensor.clone() for name, tensor in task.network.named_parameters()}
    with pytest.raises(
        NonFiniteLossError, match=r"step 0; frames of the batch: [ab]/frame_\d, [ab]/frame_\d"
    ):
        run_task(task, StopFlag(), lambda _event: None)
    for name, tensor in task.network.named_parameters():
        assert torch.equal(tensor.nan_to_num(), before[name].nan_to_num())


def test_the_time_budget_ends_a_run(config: RunConfig, tmp_path: Path) -> None:
    task = assemble(with_steps(config, 100_000), tmp_path / "run", resume=False)
    end = run_task(task, StopFlag(seconds=1.0), lambda _event: None)
    assert end.reason == "time"
    assert 1.0 <= end.elapsed_s < 30.0


def test_beta_0_trains_masks_alone(config: RunConfig, tmp_path: Path) -> None:
    config = config.model_copy(update={"loss": config.loss.model_copy(update={"beta": 0.0})})
    events = train(with_steps(config, 2), tmp_path / "run")
    assert all(event.mse == 0.0 for event in events if isinstance(event, Progress))


def test_finetune_learns_the_corrected_frames_and_replays_the_old(config: RunConfig, tmp_path: Path) -> None:
    train(with_steps(config, 30), tmp_path / "base")
    source = FineTuneInput(tmp_path / "base", tmp_path / "data", "c:0", None)
    warnings: list[str] = []
    settings = FineTuneConfig(
        steps=30, batch_size=4, learning_rate=2e-3, validate_every=15, device="cpu", num_threads=1
    )
    task = assemble_finetune(source, settings, tmp_path / "tuned", warnings.append)
    assert not warnings
    assert [watched.part for watched in task.watched] == ["corrected", "guard"]
    before = {
        w.part: evaluate(Predictor.load(tmp_path / "base"), w.dataset, w.samples).miou for w in task.watched
    }
    run_task(task, StopFlag(), lambda _event: None)
    tuned = Predictor.load(tmp_path / "tuned")
    after = {w.part: evaluate(tuned, w.dataset, w.samples).miou for w in task.watched}
    assert after["corrected"] > before["corrected"]
    assert tuned.digest != Predictor.load(tmp_path / "base").digest


def test_finetune_without_old_frames_warns(config: RunConfig, tmp_path: Path) -> None:
    from tests.unit.data.trees import write_tree

    train(with_steps(config, 1), tmp_path / "base")
    (tmp_path / "data").rename(tmp_path / "moved")
    corrections = (
        write_tree(tmp_path / "corrections", {"clip": 1})
        if (tmp_path / "corrections").mkdir() is None
        else None
    )
    warnings: list[str] = []
    source = FineTuneInput(tmp_path / "base", corrections, "all", None)
    assemble_finetune(source, FineTuneConfig(steps=1), tmp_path / "tuned", warnings.append)
    assert "may forget" in warnings[0]
    source = FineTuneInput(tmp_path / "base", corrections, "all", tmp_path / "moved")
    warnings.clear()
    task = assemble_finetune(source, FineTuneConfig(steps=1), tmp_path / "tuned", warnings.append)
    assert not warnings
    assert len(task.frames) == 1 + 4
