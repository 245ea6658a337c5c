"""Checkpoints: digests, pointers, damage, pruning, and the refusal of what is not ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch

from napari_hogseg.io.errors import InputError
from napari_hogseg.runs import checkpoint as cp
from napari_hogseg.runs.config import HogConfig, ModelConfig
from tests.unit.data.trees import SCHEME

if TYPE_CHECKING:
    from pathlib import Path

SPEC = cp.ModelSpec(model=ModelConfig(network="unet-s", input_short_px=64), hog=HogConfig(), scheme=SCHEME)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return cp.network_of(SPEC)


def save(run: Path, network: torch.nn.Module, step: int, *, best: bool = False) -> Path:
    spec = SPEC.model_copy(update={"step": step})
    return cp.save_checkpoint(run, spec, network, {"step": step, "moment": torch.ones(3)}, best=best)


def test_round_trip(tmp_path: Path, network: torch.nn.Module) -> None:
    save(tmp_path, network, 7, best=True)
    spec, loaded, digest = cp.load_network(tmp_path)
    assert spec.step == 7
    assert len(digest) == 64
    assert not loaded.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    resumed = cp.load_checkpoint(tmp_path)
    assert resumed.resume["step"] == 7
    assert torch.equal(resumed.resume["moment"], torch.ones(3))


def test_best_and_last_are_kept_apart_and_old_ones_pruned(tmp_path: Path, network: torch.nn.Module) -> None:
    save(tmp_path, network, 1, best=True)
    for step in (2, 3, 4, 5):
        save(tmp_path, network, step)
    assert [f.name for f in cp.checkpoint_folders(tmp_path)] == [
        "step-0000001",
        "step-0000004",
        "step-0000005",
    ]
    assert cp.resolve_model_folder(tmp_path).name == "step-0000001"
    (tmp_path / "best").unlink()
    assert cp.resolve_model_folder(tmp_path).name == "step-0000005"


@pytest.mark.parametrize("name", [cp.WEIGHTS_FILE, cp.MODEL_FILE, cp.RESUME_FILE])
def test_one_flipped_bit_is_found(tmp_path: Path, network: torch.nn.Module, name: str) -> None:
    folder = save(tmp_path, network, 1, best=True)
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(InputError, match="SHA-256") as caught:
        cp.load_network(tmp_path)
    assert name in str(caught.value)


def test_resume_falls_back_to_the_checkpoint_before_and_says_so(
    tmp_path: Path, network: torch.nn.Module
) -> None:
    save(tmp_path, network, 1)
    newest = save(tmp_path, network, 2)
    (newest / cp.RESUME_FILE).write_bytes(b"cut")
    found = cp.load_checkpoint(tmp_path)
    assert found.folder.name == "step-0000001"
    assert len(found.skipped) == 1
    assert "step-0000002" in found.skipped[0]


def test_resume_without_any_intact_checkpoint_is_an_error(tmp_path: Path, network: torch.nn.Module) -> None:
    with pytest.raises(InputError, match="no intact checkpoint"):
        cp.load_checkpoint(tmp_path)
    folder = save(tmp_path, network, 2)
    (folder / cp.WEIGHTS_FILE).unlink()
    with pytest.raises(InputError, match="missing"):
        cp.load_checkpoint(tmp_path)


def test_what_a_killed_process_left_is_swept(tmp_path: Path, network: torch.nn.Module) -> None:
    leftover = tmp_path / cp.CHECKPOINTS / "step-0000001.tmp"
    leftover.mkdir(parents=True)
    (leftover / "weights.safetensors").write_bytes(b"half")
    assert cp.checkpoint_folders(tmp_path) == []
    save(tmp_path, network, 2)
    assert not leftover.exists()


def test_a_damaged_checkpoint_of_the_same_step_is_written_anew(
    tmp_path: Path, network: torch.nn.Module
) -> None:
    folder = save(tmp_path, network, 3)
    (folder / cp.WEIGHTS_FILE).write_bytes(b"damaged")
    cp.verify_digests(save(tmp_path, network, 3))


def test_weights_of_another_network_are_refused(tmp_path: Path, network: torch.nn.Module) -> None:
    folder = save(tmp_path, network, 1, best=True)
    other = SPEC.model_copy(
        update={"scheme": SCHEME.model_copy(update={"classes": ("a", "b"), "colors": ((0, 0, 0),) * 2})}
    )
    text = cp.to_toml(other)
    (folder / cp.MODEL_FILE).write_text(text, "utf-8")
    digests = json.loads((folder / cp.DIGESTS_FILE).read_text())
    digests[cp.MODEL_FILE] = cp.atomic.sha256_bytes(text.encode())
    (folder / cp.DIGESTS_FILE).write_text(json.dumps(digests))
    with pytest.raises(InputError, match="not of this network"):
        cp.load_network(tmp_path)


def test_a_checkpoint_runs_no_code(tmp_path: Path, network: torch.nn.Module) -> None:
    """A resume file that would call something is refused by weights_only."""
    folder = save(tmp_path, network, 1)
    trap = tmp_path / "trap"

    class Malicious:
        def __reduce__(self) -> tuple[object, ...]:
            return (trap.touch, ())

    torch.save({"step": 1, "optimizer": Malicious()}, folder / cp.RESUME_FILE)  # noqa: TID251 - the attack itself
    digests = json.loads((folder / cp.DIGESTS_FILE).read_text())
    digests[cp.RESUME_FILE] = cp.atomic.sha256_file(folder / cp.RESUME_FILE)
    (folder / cp.DIGESTS_FILE).write_text(json.dumps(digests))
    with pytest.raises(InputError, match="no intact checkpoint"):
        cp.load_checkpoint(tmp_path)
    assert not trap.exists()


@pytest.mark.parametrize("content", [None, "../../outside"])
def test_no_model_here(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "best").write_text(content, "utf-8")
    with pytest.raises(InputError, match="No model here"):
        cp.resolve_model_folder(tmp_path)
    with pytest.raises(InputError, match="No such folder"):
        cp.resolve_model_folder(tmp_path / "none")


def test_a_full_disk_leaves_the_earlier_checkpoint(
    tmp_path: Path, network: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, network, 1, best=True)

    def refuse(_partial: Path, _final: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cp.atomic, "publish_folder", refuse)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path, network, 2)
    assert cp.load_checkpoint(tmp_path).folder.name == "step-0000001"
    assert not list((tmp_path / cp.CHECKPOINTS).glob("*.tmp"))
