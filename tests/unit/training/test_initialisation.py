"""Weights from a file start a new run, and only a new one; what fitted is said, the path stays here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import safetensors.torch
import torch

from napari_hogseg.io.errors import InputError
from napari_hogseg.models import U2NETP_STAGES, U2Net
from napari_hogseg.runs import weights_file
from napari_hogseg.runs.checkpoint import MODEL_FILE, export_model, load_network, resolve_model_folder
from training.assembly import assemble
from training.loop import run_task
from training.stopping import StopFlag

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hogseg.runs.config import RunConfig


def changed(config: RunConfig, section: str, **values: object) -> RunConfig:
    made = getattr(config, section)
    return config.model_copy(update={section: type(made)(**(made.model_dump() | values))})


@pytest.mark.parametrize("name", ["public.pth", "public.safetensors"])
def test_published_weights_start_a_run(config: RunConfig, tmp_path: Path, name: str) -> None:
    torch.manual_seed(7)
    public = U2Net(1, U2NETP_STAGES).state_dict()
    path = tmp_path / name
    if path.suffix == ".pth":
        # As training scripts of 2020 wrote it: the older file format, with an epoch beside the weights.
        held = {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in public.items()}}
        torch.save(held, path, _use_new_zipfile_serialization=False)  # noqa: TID251 - not ours
    else:
        safetensors.torch.save_file(public, path)
    config = changed(config, "model", network="u2netp", initial_weights=str(path))
    told: list[str] = []

    task = assemble(config, tmp_path / "run", resume=False, warn=told.append)

    state = task.network.trunk.state_dict()
    assert torch.equal(state["stage1.rebnconvin.conv_s1.weight"], public["stage1.rebnconvin.conv_s1.weight"])
    assert state["outconv.weight"].shape != public["outconv.weight"].shape
    assert told == [
        f"Initial weights from {name}: taken 784 of 798; 14 of another shape: "
        "side1.weight, side1.bias, side2.weight, ..."
    ]


def test_a_run_resumes_without_the_file_and_shares_no_path(config: RunConfig, tmp_path: Path) -> None:
    first = assemble(config, tmp_path / "first", resume=False)
    path = tmp_path / "secret" / "weights.safetensors"
    path.parent.mkdir()
    state = first.network.trunk.state_dict()
    safetensors.torch.save_file({name: value.contiguous() for name, value in state.items()}, path)
    config = changed(config, "model", initial_weights=str(path))
    config = changed(config, "train", num_steps=4, seed=5)
    run_task(assemble(config, tmp_path / "run", resume=False), StopFlag(), lambda _event: None)
    path.unlink()

    told: list[str] = []
    assert assemble(config, tmp_path / "run", resume=True, warn=told.append).step == 4
    assert told == []
    with pytest.raises(InputError, match="no such weights file"):
        assemble(config, tmp_path / "other", resume=False)
    export_model(tmp_path / "run", tmp_path / "shared", half=False)
    assert str(tmp_path) not in (tmp_path / "shared" / MODEL_FILE).read_text("utf-8")


def test_a_network_by_taps_trains_is_saved_and_loaded(config: RunConfig, tmp_path: Path) -> None:
    pytest.importorskip("monai")
    config = changed(config, "model", network="segresnet")
    config = changed(config, "train", num_steps=2, validate_every=2, checkpoint_every=2, ema=0.5)
    task = assemble(config, tmp_path / "run", resume=False)
    run_task(task, StopFlag(), lambda _event: None)
    spec, loaded, _ = load_network(tmp_path / "run")
    assert spec.model.network == "segresnet"
    assert not loaded.training
    trained = task.model.state_dict()
    assert all(torch.equal(value, trained[name]) for name, value in loaded.state_dict().items())
    frames = torch.rand(1, 3, 50, 61)
    # The run's convolutions lie channels last: the same numbers by other kernels.
    torch.testing.assert_close(loaded(frames), task.model.eval()(frames), rtol=1e-3, atol=1e-4)
    assert resolve_model_folder(tmp_path / "run").name == "step-0000002"


def test_what_is_no_weights_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"epoch": 3}, path)  # noqa: TID251 - not ours
    with pytest.raises(InputError, match="no tensors by name"):
        weights_file.read_weights_file(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="Not a weights file"):
        weights_file.read_weights_file(path)
    torch.save(RunsCode(), path)  # noqa: TID251 - not ours
    with pytest.raises(InputError, match="Not a weights file"):
        weights_file.read_weights_file(path)
    path.with_suffix(".safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match="Not a weights file"):
        weights_file.read_weights_file(path.with_suffix(".safetensors"))
    with pytest.raises(InputError, match="Not a weights file"):
        weights_file.read_weights_file(tmp_path)
    monkeypatch.setattr(weights_file, "MAX_WEIGHTS_BYTES", 10)
    with pytest.raises(InputError, match="too large"):
        weights_file.read_weights_file(path)


class RunsCode:
    """Unpickled without care, it would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code of the file was run",)
