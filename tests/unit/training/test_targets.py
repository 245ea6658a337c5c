"""The target of a run: fitted on training crops alone, kept with the checkpoint, refused where constant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from napari_hogseg.features.hog import HogParams, hog_target
from napari_hogseg.features.pseudo_labels import BUILT_IN
from napari_hogseg.io.errors import InputError
from napari_hogseg.models.registry import build_network
from napari_hogseg.runs.checkpoint import (
    export_model,
    load_checkpoint,
    load_network,
    read_target,
    resolve_model_folder,
)
from napari_hogseg.runs.config import FineTuneConfig, HogConfig, LossConfig, TargetConfig, to_toml
from napari_hogseg.runs.events import Progress
from training.assembly import assemble
from training.finetuning import FineTuneInput, assemble_finetune
from training.loop import run_task
from training.losses import multi_task_loss
from training.stopping import StopFlag
from training.targets import MEAN, SCALE, spread_keys

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hogseg.models.heads import HeadKind
    from napari_hogseg.runs.config import RunConfig
    from napari_hogseg.runs.events import AnyEvent

# Of the recipe in conftest.py, taken before the target had a choice.
LOSSES_BEFORE = [1.2101034, 0.8858090, 0.7657592, 0.6742550, 0.6139053, 0.5820956, 0.5468575, 0.5260779]


def with_target(config: RunConfig, num_steps: int = 4, **fields: object) -> RunConfig:
    train = config.train.model_copy(update={"num_steps": num_steps, "log_every": 1})
    target = TargetConfig.model_validate({"fit_frames": 8, "modes": 2, **fields})
    return config.model_copy(update={"target": target, "train": train})


def train(
    config: RunConfig, run: Path, stop_at: int | None = None, *, resume: bool = False
) -> list[Progress]:
    events: list[AnyEvent] = []
    stop = StopFlag()

    def emit(event: AnyEvent) -> None:
        events.append(event)
        if isinstance(event, Progress) and event.step == stop_at:
            stop.ask("stopped")

    run_task(assemble(config, run, resume=resume), stop, emit)
    return [event for event in events if isinstance(event, Progress)]


def test_the_default_recipe_trains_as_before(config: RunConfig, tmp_path: Path) -> None:
    losses = [event.loss for event in train(with_target(config, 8, fit_frames=256), tmp_path / "run")]
    assert losses == pytest.approx(LOSSES_BEFORE, rel=1e-3)  # other processors round otherwise


def test_the_default_recipe_equals_a_loop_without_any_of_this_bit_for_bit(
    config: RunConfig, tmp_path: Path
) -> None:
    config = with_target(config, 8, fit_frames=256)
    events = train(config, tmp_path / "run")
    hog = HogParams.preset("official-504")
    task = assemble(config, tmp_path / "other", resume=False)
    torch.manual_seed(0)
    network = build_network("unet-s", 3, "grid", hog).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3, weight_decay=1e-7)
    for batch, event in zip(task.make_loader(0), events, strict=True):
        crops = batch["image"].permute(0, 2, 3, 1).contiguous().numpy()
        target = torch.from_numpy(np.stack([hog_target(crop, hog) for crop in crops]))
        assert torch.equal(target, batch["hog"])
        x = (batch["image"].float() / 255.0).contiguous(memory_format=torch.channels_last)
        loss = multi_task_loss(network(x), batch["mask"], target, LossConfig()).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert float(loss.detach()) == event.loss


@pytest.mark.parametrize("kind", [kind for kind in BUILT_IN if kind not in {"fisher", "hog"}])
def test_every_kind_trains_and_loads_again(kind: str, config: RunConfig, tmp_path: Path) -> None:
    events = train(with_target(config, kind=kind), tmp_path / "run")
    assert len(events) == 4
    spec, network, _ = load_network(tmp_path / "run")
    assert spec.target.kind == kind
    assert network.hog_dim == spec.target.label(spec.hog).dim


@pytest.mark.parametrize("head", ["grid", "official", "table1"])
def test_every_head_takes_its_length_from_the_label(head: HeadKind) -> None:
    for kind in BUILT_IN:
        label = TargetConfig(kind=kind, modes=2).label(HogConfig())
        with torch.device("meta"):  # shapes alone, no arithmetic
            network = build_network("unet-s" if head == "grid" else "unet", 2, head, label.grid)
            assert network(torch.empty(2, 3, 256, 256)).hog[0].shape == (2, label.dim)


def test_statistics_are_of_the_training_crops(config: RunConfig, tmp_path: Path) -> None:
    task = assemble(with_target(config, standardise=True), tmp_path / "run", resume=False)
    crops = [task.frames[key]["image"].permute(1, 2, 0).numpy() for key in spread_keys(4, 8)]
    raw = np.stack([hog_target(crop, HogParams.preset("official-504")) for crop in crops])
    np.testing.assert_allclose(task.target[MEAN], raw.mean(0), atol=1e-6)
    assert task.frames.label is not None
    standard = task.frames.label.compute(np.stack(crops))
    np.testing.assert_allclose(standard.mean(0), 0.0, atol=1e-4)
    moving = task.target[SCALE] < 1.0
    np.testing.assert_allclose(standard.std(0)[moving], 1.0, atol=1e-3)
    assert moving.mean() > 0.9


def paint_noise(path: Path) -> None:
    """Replace a frame by noise of its own: the same picture twice would be refused as a leak."""
    noise = np.random.default_rng(list(str(path).encode())).integers(0, 256, (48, 64, 3))
    Image.fromarray(noise.astype(np.uint8)).save(path)


def fitted_arrays(config: RunConfig, run: Path) -> dict[str, np.ndarray]:
    return dict(assemble(config, run, resume=False).target)


@pytest.mark.parametrize("kind", ["hog", "fisher"])
def test_validation_frames_never_reach_the_fit(
    kind: str, config: RunConfig, tree: Path, tmp_path: Path
) -> None:
    if kind == "fisher":
        pytest.importorskip("sklearn", reason="scikit-learn (extra 'fisher')")
    config = with_target(config, kind=kind, standardise=True)
    before = fitted_arrays(config, tmp_path / "run")
    for path in (tree / "images" / "c").iterdir():
        paint_noise(path)
    after = fitted_arrays(config, tmp_path / "run")
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    paint_noise(next((tree / "images" / "a").iterdir()))
    changed = fitted_arrays(config, tmp_path / "run")
    assert not any(np.array_equal(before[name], changed[name]) for name in before)


def test_a_resumed_run_keeps_the_target_it_started_with(
    config: RunConfig, tree: Path, tmp_path: Path
) -> None:
    kind = "hog"
    try:
        import sklearn  # noqa: F401
    except ImportError:
        pass
    else:
        kind = "fisher"
    config = with_target(config, 6, kind=kind, standardise=True)
    whole = train(config, tmp_path / "whole")
    train(config, tmp_path / "parts", stop_at=2)
    stored = read_target(resolve_model_folder(tmp_path / "parts"))
    # A refit would need scikit-learn and the same frames; the checkpoint needs neither.
    task = assemble(config, tmp_path / "parts", resume=True)
    assert all(np.array_equal(stored[name], task.target[name]) for name in stored)
    rest = train(config, tmp_path / "parts", resume=True)
    assert [event.loss for event in rest] == [event.loss for event in whole[-len(rest) :]]
    for path in (tree / "images" / "a").iterdir():
        paint_noise(path)
    task = assemble(config, tmp_path / "parts", resume=True)
    assert all(np.array_equal(stored[name], task.target[name]) for name in stored)


def test_a_finetune_and_an_export_keep_the_base_models_target(config: RunConfig, tmp_path: Path) -> None:
    train(with_target(config, 2, kind="lbp", standardise=True), tmp_path / "base")
    stored = load_checkpoint(tmp_path / "base").target
    export_model(tmp_path / "base", tmp_path / "shared", half=True)
    source = FineTuneInput(tmp_path / "shared", tmp_path / "data", "c:0", tmp_path / "data")
    settings = FineTuneConfig(steps=1, batch_size=2, device="cpu", num_threads=1)
    task = assemble_finetune(source, settings, tmp_path / "tuned", lambda _text: None)
    assert stored.keys() == {MEAN, SCALE}
    assert all(np.array_equal(stored[name], task.target[name]) for name in stored)
    assert task.frames[0, 0]["hog"].shape == (320,)


def test_a_lost_target_file_is_named(config: RunConfig, tmp_path: Path) -> None:
    train(with_target(config, 1, standardise=True), tmp_path / "run")
    (resolve_model_folder(tmp_path / "run") / "target.safetensors").unlink()
    with pytest.raises(InputError, match="is missing"):
        load_network(tmp_path / "run")


def flatten(tree: Path) -> None:
    """Leave no gradient in any frame; each has a grey of its own."""
    for grey, path in enumerate((tree / "images").rglob("*.png")):
        Image.fromarray(np.full((48, 64, 3), grey, np.uint8)).save(path)


def test_a_constant_target_is_refused_unless_it_is_the_control(
    config: RunConfig, tree: Path, tmp_path: Path
) -> None:
    flatten(tree)
    with pytest.raises(InputError, match=r"is constant.*kind = 'zero'") as caught:
        assemble(with_target(config, kind="hog"), tmp_path / "run", resume=False)
    assert "16 training crops" in str(caught.value)
    assert train(with_target(config, 2, kind="zero"), tmp_path / "run")


def test_a_damaged_frame_stops_a_fit_and_is_left_to_the_training_otherwise(
    config: RunConfig, tree: Path, tmp_path: Path
) -> None:
    (tree / "images" / "a" / "frame_1.png").write_bytes(b"no picture")
    assert assemble(with_target(config), tmp_path / "run", resume=False).frames.label is not None
    with pytest.raises(InputError, match=r"frame_1\.png"):
        assemble(with_target(config, standardise=True), tmp_path / "run", resume=False)


def test_beta_0_asks_nothing_of_the_target(config: RunConfig, tree: Path, tmp_path: Path) -> None:
    flatten(tree)
    config = with_target(config, 2).model_copy(update={"loss": LossConfig(beta=0.0)})
    assert all(event.mse == 0.0 for event in train(config, tmp_path / "run"))


def test_configuration_is_strict() -> None:
    with pytest.raises(ValidationError, match=r"no pseudo-label 'sift'.*gradient-magnitude"):
        TargetConfig(kind="sift")
    with pytest.raises(ValidationError, match="Extra inputs"):
        TargetConfig.model_validate({"kinds": "hog"})
    assert to_toml(TargetConfig()).startswith('kind = "hog"')


def test_keys_are_spread_over_frames_then_epochs() -> None:
    assert list(spread_keys(10, 5)) == [(0, 0), (0, 2), (0, 4), (0, 6), (0, 8)]
    assert list(spread_keys(2, 5)) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
