"""Adaptation to a video without masks: what moves, what never does, when it ends."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from napari_hogseg.data.scheme import LabelScheme
from napari_hogseg.inference.predictor import Predictor
from napari_hogseg.io.errors import InputError
from napari_hogseg.models.registry import build_network
from napari_hogseg.runs.checkpoint import ModelSpec, load_network, resolve_model_folder, save_checkpoint
from napari_hogseg.runs.config import AdaptConfig, HogConfig, ModelConfig, TargetConfig
from training import adaptation
from training.adaptation import assemble_adaptation, hog_losses, residual, run_adaptation
from training.adaptation_command import adapt_model
from training.adaptation_report import report_adaptation
from training.exits import ExitCode, NonFiniteLossError
from training.stopping import StopFlag

SCHEME = LabelScheme(name="two", classes=("a", "b"), colors=((0, 0, 0), (99, 9, 9)))


@pytest.fixture
def video(tmp_path):
    folder = tmp_path / "video"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for index in range(10):
        coarse = generator.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((96, 72)).save(folder / f"{index:04d}.png")
    return folder


def write_model(folder, head="grid", kind="hog"):
    torch.manual_seed(0)
    spec = ModelSpec(
        model=ModelConfig(head=head, input_short_px=64),
        hog=HogConfig(),
        scheme=SCHEME,
        target=TargetConfig(kind=kind),
    )
    save_checkpoint(folder, spec, build_network("unet-s", 2, head, spec.hog.params), {}, best=True)
    return folder


@pytest.fixture
def base(tmp_path):
    return write_model(tmp_path / "base")


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def config(**fields):
    small = {"steps": 6, "validate_every": 2, "batch_size": 2, "num_threads": 1, "device": "cpu"}
    return AdaptConfig(**small | fields)


def adapted(base, video, run, **fields):
    """Assemble and run; returns the task, its end and the events."""
    events = []
    task = assemble_adaptation(base, video, config(**fields), run)
    end = run_adaptation(task, StopFlag(), events.append)
    return task, end, events


@pytest.mark.parametrize("what", ["norm", "trunk"])
def test_the_residual_falls_the_heads_stay_and_the_base_is_only_read(base, video, tmp_path, what):
    before = digests(base)
    task, end, _ = adapted(base, video, tmp_path / "out", what=what)
    report = report_adaptation(task, end)
    task.source.close()
    assert digests(base) == before
    assert report.residual_after < report.residual_before
    assert report.residual_after == min(value for _, value in report.curve)
    _, old, _ = load_network(resolve_model_folder(base))
    _, new, _ = load_network(resolve_model_folder(tmp_path / "out"))
    moved = {name for name, value in old.state_dict().items() if not value.equal(new.state_dict()[name])}
    assert moved
    assert not any(name.startswith("heads") for name in moved)
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert not any(name.endswith(statistics) for name in moved)
    if what == "norm":
        assert all(old.get_parameter(name).ndim == 1 for name in moved)
    assert 0 <= report.changed_pixels <= 1


def test_the_residual_is_the_heads_squared_error_on_the_held_out_frames(base, video, tmp_path):
    task = assemble_adaptation(base, video, config(), tmp_path / "out")
    expected = []
    for index in range(len(task.held_out)):
        batch = task.held_out.batch([(0, index)])
        with torch.no_grad():
            heads = task.network.predict_targets(batch.image.float() / 255.0)
        expected.append(sum(float(functional.mse_loss(head, batch.target)) for head in heads))
    task.source.close()
    assert not set(task.chosen.learned) & set(task.chosen.held_out)
    assert residual(task) == pytest.approx(np.mean(expected), rel=1e-5)


def test_where_nothing_is_gained_no_model_is_written(base, video, tmp_path):
    code = adapt_model(
        base, video, config(learning_rate=1e-30, patience=2), tmp_path / "out", for_parent=False
    )
    assert code == ExitCode.DONE
    told = json.loads((tmp_path / "out" / "adapted.json").read_text("utf-8"))
    assert told["model"] is None
    assert told["best_step"] == 0
    assert told["residual_after"] == told["residual_before"]
    assert told["stop_reason"] == "no-improvement"
    assert not list((tmp_path / "out").rglob("weights.safetensors"))


def test_a_stop_ends_after_the_step_with_a_whole_model(base, video, tmp_path):
    stop, events = StopFlag(), []
    task = assemble_adaptation(base, video, config(steps=50, validate_every=1), tmp_path / "out")

    def emit(event):
        events.append(event)
        if sum(event.kind == "saved" for event in events) == 1:
            stop.ask("stopped")

    end = run_adaptation(task, stop, emit)
    task.source.close()
    assert end.reason == "stopped"
    assert end.step < 50
    predictor = Predictor.load(tmp_path / "out", "cpu")
    assert predictor.predict(np.zeros((72, 96, 3), np.uint8)).shape == (72, 96)


def test_a_loss_that_is_not_finite_is_refused_before_the_update(base, video, tmp_path, monkeypatch):
    task = assemble_adaptation(base, video, config(), tmp_path / "out")
    before = {name: value.clone() for name, value in task.network.state_dict().items()}

    def broken(network, batch):
        losses = hog_losses(network, batch)
        return losses * float("nan") if losses.requires_grad else losses

    monkeypatch.setattr(adaptation, "hog_losses", broken)
    with pytest.raises(NonFiniteLossError):
        run_adaptation(task, StopFlag(), lambda _event: None)
    task.source.close()
    assert all(value.equal(before[name]) for name, value in task.network.state_dict().items())


@pytest.mark.parametrize(
    ("head", "kind", "said"), [("none", "hog", "no HOG heads"), ("grid", "zero", "nothing but zeros")]
)
def test_a_model_with_nothing_to_adapt_by_is_refused(video, tmp_path, head, kind, said):
    folder = write_model(tmp_path / "other", head, kind)
    with pytest.raises(InputError, match=said):
        assemble_adaptation(folder, video, config(), tmp_path / "out")


def test_a_used_folder_and_a_missing_video_are_refused(base, video, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        assemble_adaptation(base, video, config(), tmp_path / "out")
    with pytest.raises(InputError):
        assemble_adaptation(base, tmp_path / "nowhere.mp4", config(), tmp_path / "new")
    assert not (tmp_path / "new").exists()
