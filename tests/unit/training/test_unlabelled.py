"""Frames without masks in `train`: they teach the HOG task and leave the segmentation losses alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from typer.testing import CliRunner

from napari_hogseg.io.errors import InputError
from napari_hogseg.models.multitask import MultiTaskOutput
from napari_hogseg.runs.config import FineTuneConfig, LossConfig
from napari_hogseg.runs.events import Message, Progress, Started, read_events
from tests.unit.training.test_loop import train, weights, with_steps
from tests.unit.training.test_recipe_options import changed
from training.assembly import assemble, open_data, read_config, write_config
from training.cli import app
from training.finetuning import FineTuneInput, assemble_finetune
from training.losses import LossTerms, multi_task_loss
from training.probing import overfit_one_batch, sweep_rates
from training.step import train_step

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hogseg.runs.config import RunConfig
    from training.loop import Task

TERMS = LossConfig(ce=1.0, dice=1.0, focal=1.0, lovasz=1.0, boundary=0.01)


@pytest.fixture
def semi(config: RunConfig, tree: Path) -> RunConfig:
    """Group a has masks, b's are not read, c is validated on; a batch of 4 holds 2 of each kind."""
    for path in (tree / "masks" / "b").iterdir():
        path.write_bytes(b"never read")
    config = changed(config, "data", train=("a",), unlabelled=("b",))
    return changed(config, "train", batch_size=4)


def forward(task: Task, images: torch.Tensor) -> MultiTaskOutput:
    made: MultiTaskOutput = task.network.train()(images.float() / 255)
    return made


def gradients(task: Task, loss: torch.Tensor) -> list[torch.Tensor | None]:
    parameters = list(task.network.parameters())
    return list(torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True))


def test_a_frame_without_a_mask_teaches_the_hog_task_alone(semi: RunConfig, tmp_path: Path) -> None:
    task = assemble(semi, tmp_path / "run", resume=False)
    batch = next(iter(task.make_loader(0)))
    alone = batch["index"] >= task.frames.num_labelled
    made = forward(task, batch["image"][alone])
    terms = multi_task_loss(made, batch["mask"][alone], batch["hog"][alone], TERMS)
    assert len(terms.extra) == 4
    assert not any(term.detach() for term in (terms.ce, terms.tasks[0], *terms.extra.values()))
    assert not any(grad.any() for grad in gradients(task, terms.tasks[0]) if grad is not None)
    whole, hog = gradients(task, terms.loss), gradients(task, terms.tasks[1])
    for both, one in zip(whole, hog, strict=True):
        assert one is None or torch.equal(both, one)
    reached = {id(p) for p, grad in zip(task.network.parameters(), hog, strict=True) if grad is not None}
    for parameters in (task.network.trunk_parameters(), task.network.head_parameters()):
        assert any(id(parameter) in reached for parameter in parameters)


def test_frames_without_masks_do_not_dilute_the_segmentation_loss(semi: RunConfig, tmp_path: Path) -> None:
    task = assemble(semi, tmp_path / "run", resume=False)
    batch = next(iter(task.make_loader(0)))
    made = forward(task, batch["image"])
    masked = batch["index"] < task.frames.num_labelled
    assert masked.tolist() == [True, True, False, False]

    def terms(rows: torch.Tensor) -> LossTerms:
        part = MultiTaskOutput([one[rows] for one in made.logits], [one[rows] for one in made.hog])
        return multi_task_loss(part, batch["mask"][rows], batch["hog"][rows], TERMS).detached()

    whole, labelled, alone = (terms(rows) for rows in (torch.ones_like(masked), masked, ~masked))
    assert float(whole.ce) == pytest.approx(float(labelled.ce), rel=1e-6)
    for name, term in labelled.extra.items():
        assert float(whole.extra[name]) == pytest.approx(float(term), rel=1e-5)
    assert float(whole.mse) == pytest.approx((float(labelled.mse) + float(alone.mse)) / 2, rel=1e-5)


def test_parts_of_a_batch_are_not_diluted_either(semi: RunConfig, tmp_path: Path) -> None:
    semi = changed(semi, "train", batch_size=6, unlabelled_share=0.4)
    told = []
    for accumulate in (1, 2):
        task = assemble(changed(semi, "train", accumulate=accumulate), tmp_path / "run", resume=False)
        for module in task.network.train().modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()  # parts would have other statistics than the whole
        batch = next(iter(task.make_loader(0)))
        labelled = batch["index"] < task.frames.num_labelled
        assert [int(part.sum()) for part in labelled.chunk(accumulate)] == [4 // accumulate] * accumulate
        batch["mask"][labelled] = batch["mask"][labelled] % 255  # equal parts: the mean of their means
        told.append(train_step(task, batch, 0.0))
    assert float(told[0].ce) == pytest.approx(float(told[1].ce), rel=1e-5)
    assert float(told[0].mse) == pytest.approx(float(told[1].mse), rel=1e-5)


@pytest.mark.parametrize(
    ("share", "batch_size", "accumulate", "expected"), [(0.5, 4, 1, 2), (0.01, 4, 2, 2), (0.99, 4, 1, 3)]
)
def test_a_part_has_a_frame_of_each_kind(
    semi: RunConfig, tmp_path: Path, share: float, batch_size: int, accumulate: int, expected: int
) -> None:
    semi = changed(semi, "train", unlabelled_share=share, batch_size=batch_size, accumulate=accumulate)
    task = assemble(semi, tmp_path / "run", resume=False)
    for batch in task.make_loader(0):
        unlabelled = batch["index"] >= task.frames.num_labelled
        assert int(unlabelled.sum()) == expected
        assert all(part.any() and not part.all() for part in unlabelled.chunk(accumulate))


@pytest.mark.parametrize(
    ("section", "values", "where"),
    [
        ("loss", {"beta": 0.0}, "loss.beta"),
        ("model", {"head": "none"}, "model.head"),
        ("train", {"batch_size": 4, "accumulate": 4}, "train.batch_size"),
    ],
)
def test_a_recipe_that_cannot_use_them_is_refused(
    semi: RunConfig, tmp_path: Path, section: str, values: dict[str, object], where: str
) -> None:
    with pytest.raises(InputError, match="without") as caught:
        assemble(changed(semi, section, **values), tmp_path / "run", resume=False)
    assert caught.value.where == where


def test_all_that_needs_masks_keeps_to_the_frames_that_have_them(semi: RunConfig, tmp_path: Path) -> None:
    """Weights, repeats and the gradients' crops are those of the run without the others."""
    semi = changed(semi, "loss", class_weighting="median-frequency")
    semi = changed(semi, "train", sampling="repeat-factor", repeat_threshold=1.0)
    tasks = [
        assemble(config, tmp_path / "run", resume=False)
        for config in (semi, changed(semi, "data", unlabelled=()))
    ]
    assert torch.equal(tasks[0].class_weights, tasks[1].class_weights)
    found = [task.health.measure(task.network, task.loss, task.device, 0) for task in tasks]
    assert found[0].segmentation_gradient_norm == found[1].segmentation_gradient_norm > 0
    drawn = [[batch["index"].tolist() for batch in task.make_loader(0)] for task in tasks]
    first = [index for batch in drawn[0] for index in batch[:2]]
    assert first == [index for batch in drawn[1] for index in batch][: len(first)]


def test_statistics_of_the_target_are_of_all_training_frames(semi: RunConfig, tmp_path: Path) -> None:
    semi = changed(semi, "target", standardise=True, fit_frames=8)
    frames = assemble(semi, tmp_path / "run", resume=False).frames
    values = torch.stack([frames[epoch, index]["hog"] for epoch in range(2) for index in range(4)])
    torch.testing.assert_close(values.mean(0), torch.zeros(values.shape[1]), rtol=0, atol=1e-5)
    varying = values.std(0) > 0
    assert varying.any()
    torch.testing.assert_close(values.std(0, correction=0)[varying], torch.ones(int(varying.sum())))


@pytest.mark.parametrize("kind", ["groups", "rest"])
def test_resume_equals_the_uninterrupted_run_bit_for_bit(
    semi: RunConfig, tree: Path, tmp_path: Path, kind: str
) -> None:
    if kind == "rest":  # half of a, and all of b, which is no training group unless its frames count
        for path in (tree / "masks" / "b").iterdir():
            path.unlink()
        semi = changed(semi, "data", train=(), unlabelled=(), unlabelled_rest=True, train_share=0.5)
    semi = with_steps(
        changed(semi, "train", accumulate=2), 6, validate_every=3, checkpoint_every=100, log_every=1
    )
    train(semi, tmp_path / "whole")
    train(semi, tmp_path / "parts", stop_at=2)
    write_config(tmp_path / "parts", open_data(semi).config)
    stored = read_config(tmp_path / "parts")
    assert stored.data.train == (("a", "b") if kind == "rest" else ("a",))
    events = train(stored, tmp_path / "parts", resume=True)
    assert next(event.step for event in events if isinstance(event, Progress)) == 4
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_without_any_rest_the_run_is_the_plain_one_and_says_so(config: RunConfig, tmp_path: Path) -> None:
    told: list[str] = []
    rest = changed(config, "data", unlabelled_rest=True)
    task = assemble(rest, tmp_path / "run", resume=False, warn=told.append)
    assert "unlabelled_rest finds no frame" in told[0]
    plain = assemble(config, tmp_path / "run", resume=False)
    for one, other in zip(task.make_loader(0), plain.make_loader(0), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_finetune_replays_the_frames_whose_masks_were_read(
    config: RunConfig, tree: Path, tmp_path: Path
) -> None:
    (tree / "masks" / "a" / "frame_0.png").unlink()
    (tree / "masks" / "b" / "frame_1.png").unlink()
    rest = changed(config, "data", unlabelled_rest=True, train_share=0.5)
    train(with_steps(rest, 1), tmp_path / "base")
    source = FineTuneInput(tmp_path / "base", tree, "c:0", None)
    settings = FineTuneConfig(steps=1, batch_size=2, device="cpu", num_threads=1)
    frames = assemble_finetune(source, settings, tmp_path / "tuned", lambda _text: None).frames
    named = [frames.sample_id(index) for index in range(len(frames))]
    assert named == ["c/frame_0", "a/frame_1", "b/frame_0"]


def test_trials_before_a_run(semi: RunConfig, tmp_path: Path) -> None:
    first, last = overfit_one_batch(semi, tmp_path / "run", 10)
    assert float(last.loss) < float(first.loss)
    assert len(sweep_rates(semi, (1e-5, 1e-4), 3)) == 3


def test_the_command_line_takes_groups_and_tells_their_frames(
    recipe: Path, tree: Path, tmp_path: Path
) -> None:
    words = ["train", str(recipe), "--data", str(tree), "--out", str(tmp_path / "run")]
    words += ["--set", 'data.train=["a"]', "--set", 'data.unlabelled=["b"]', "--set", "train.num_steps=2"]
    told = [CliRunner().invoke(app, [*words, *more]).output.split() for more in (["--dry-run"], [])]
    assert "2 training frames and 2 without masks, 2 watched" in " ".join(told[0])
    assert "train on cpu: 2 frames, 2 without masks, 2 watched" in " ".join(told[1])
    events = list(read_events(tmp_path / "run" / "events.jsonl"))
    assert isinstance(events[0], Started)
    assert (events[0].num_train_frames, events[0].num_unlabelled_frames) == (2, 2)
    assert not any(isinstance(event, Message) for event in events)
