"""Model folders and checkpoints: written so that a power cut leaves the old or the new one, never half.

A model folder is `weights.safetensors`, `model.toml` and `digests.json`; a checkpoint is a model folder
with `resume.pt` (optimiser and counters) beside it. A pseudo-label's fitted arrays stand in
`target.safetensors`. This is the only module that reads or writes them.
"""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError  # only its name: nothing is unpickled outside torch's weights_only
from typing import TYPE_CHECKING, Any

import safetensors.numpy
import safetensors.torch
import torch
from pydantic import Field

import napari_hogseg
from napari_hogseg.data.scheme import LabelScheme
from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError
from napari_hogseg.models.registry import build_network
from napari_hogseg.runs.config import (
    DataConfig,
    HogConfig,
    ModelConfig,
    Section,
    TargetConfig,
    parse_section,
    read_toml,
    to_toml,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from napari_hogseg.models.multitask import MultiTaskNetwork

WEIGHTS_FILE = "weights.safetensors"
TARGET_FILE = "target.safetensors"
MODEL_FILE = "model.toml"
RESUME_FILE = "resume.pt"
DIGESTS_FILE = "digests.json"
CHECKPOINTS = "checkpoints"
BEST, LAST = "best", "last"

NUM_KEPT = 2
"""Newest checkpoints kept besides the best: when the newest turns out damaged, one more is left."""

MAX_WEIGHTS_BYTES = 4 * 1024**3
"""Largest weights file that is read; full U2-Net with heads is 0.23 GB."""


class ModelSpec(Section):
    """Everything needed to rebuild a network and to read its output."""

    model: ModelConfig
    hog: HogConfig
    target: TargetConfig = Field(default=TargetConfig(), description="What the heads were taught.")
    scheme: LabelScheme
    step: int = Field(default=0, ge=0, description="Optimiser steps behind these weights.")
    miou: float | None = Field(default=None, description="Validation mIoU when it was saved.")
    data: DataConfig = Field(
        default=DataConfig(), description="What it was trained on; a fine-tune replays it."
    )
    version: str = Field(default=napari_hogseg.__version__, description="Version of napari-hogseg.")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint read for resuming."""

    folder: Path
    spec: ModelSpec
    weights: dict[str, torch.Tensor]
    resume: dict[str, Any]
    target: dict[str, npt.NDArray[np.float32]]
    """The pseudo-label's fitted arrays; empty where nothing is fitted."""
    skipped: tuple[str, ...]
    """Newer checkpoints that were damaged, one message each."""


def save_checkpoint(
    run: Path,
    spec: ModelSpec,
    network: torch.nn.Module,
    resume: dict[str, Any],
    *,
    best: bool,
    target: Mapping[str, npt.NDArray[np.float32]] | None = None,
) -> Path:
    """Write a checkpoint durably, check it, then let the pointers name it.

    Parameters
    ----------
    run : Path
        Run folder.
    spec : ModelSpec
    network : Module
    resume : dict
        Plain types and tensors only (it is read back with weights_only).
    best : bool
        Also move the `best` pointer.
    target : mapping, optional
        Fitted arrays of the pseudo-label.

    Returns
    -------
    Path
        The checkpoint's folder.

    Raises
    ------
    OSError
        If the disk refuses; earlier checkpoints and pointers stay as they were.
    """
    final = run / CHECKPOINTS / f"step-{spec.step:07d}"
    if not _is_intact(final):
        shutil.rmtree(final, ignore_errors=True)
        _write_folder(final, spec, network, resume, target)
        verify_digests(final)
    for pointer in (LAST, BEST) if best else (LAST,):
        atomic.write_text(run / pointer, f"{CHECKPOINTS}/{final.name}\n")
    _prune(run)
    return final


def export_model(path: Path, folder: Path, *, half: bool) -> ModelSpec:
    """Write a model folder to share: no resume state, no path of this machine.

    Parameters
    ----------
    path : Path
        As for `resolve_model_folder`.
    folder : Path
        Must not exist.
    half : bool
        Store 16-bit floats: half the size; class probabilities move in the third digit.

    Raises
    ------
    InputError
        If there is no model, or the folder exists.
    """
    if folder.exists():
        raise InputError(
            "The folder exists", where=folder, remedy="Choose another --out: nothing is overwritten."
        )
    spec, network, _ = load_network(path)
    data = spec.data.model_copy(update={"root": ""})
    model = spec.model.model_copy(update={"initial_weights": ""})
    spec = spec.model_copy(update={"data": data, "model": model})
    folder.parent.mkdir(parents=True, exist_ok=True)
    # In full: a variance of the mixture can be too small for 16 bits.
    target = read_target(resolve_model_folder(path))
    _write_folder(folder, spec, network.half() if half else network, None, target)
    return spec


def _write_folder(
    final: Path,
    spec: ModelSpec,
    network: torch.nn.Module,
    resume: dict[str, Any] | None,
    target: Mapping[str, npt.NDArray[np.float32]] | None,
) -> None:
    partial = final.with_name(final.name + ".tmp")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
        blobs = {WEIGHTS_FILE: safetensors.torch.save(weights), MODEL_FILE: to_toml(spec).encode()}
        if target:
            blobs[TARGET_FILE] = safetensors.numpy.save(dict(target))
        if resume is not None:
            buffer = io.BytesIO()
            torch.save(resume, buffer)
            blobs[RESUME_FILE] = buffer.getvalue()
        blobs[DIGESTS_FILE] = json.dumps(
            {name: atomic.sha256_bytes(data) for name, data in blobs.items()}
        ).encode()
        for name, data in blobs.items():
            (partial / name).write_bytes(data)
        atomic.publish_folder(partial, final)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def verify_digests(folder: Path) -> None:
    """Compare every file with its digest.

    Neither torch nor safetensors notices a flipped bit in the numbers.

    Raises
    ------
    InputError
        Naming the file that is missing or has changed.
    """
    try:
        digests = json.loads((folder / DIGESTS_FILE).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"Not a model folder: {DIGESTS_FILE} is missing or damaged",
            where=folder,
            remedy="Choose another one.",
        ) from error
    for name in (WEIGHTS_FILE, MODEL_FILE, *digests):
        path = folder / Path(name).name
        if not path.is_file():
            raise InputError(
                "A file of the model is missing", where=path, remedy="Copy the model folder again."
            )
        if path.stat().st_size > MAX_WEIGHTS_BYTES:
            raise InputError("The file is too large to be one of ours", where=path)
        if atomic.sha256_file(path) != digests.get(name):
            raise InputError(
                "The file is not what was saved (its SHA-256 differs)",
                where=path,
                remedy="Copy the model folder again, or use an earlier checkpoint.",
            )


def _is_intact(folder: Path) -> bool:
    try:
        verify_digests(folder)
    except InputError:
        return False
    return True


def _prune(run: Path) -> None:
    """Remove old checkpoints and what a killed process left half-written."""
    kept = {name for name in (_read_pointer(run, BEST), _read_pointer(run, LAST)) if name is not None}
    folders = checkpoint_folders(run)
    kept |= set(folders[-NUM_KEPT:])
    for folder in folders:
        if folder not in kept:
            shutil.rmtree(folder, ignore_errors=True)
    for leftover in (run / CHECKPOINTS).glob("*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


def checkpoint_folders(run: Path) -> list[Path]:
    """List the checkpoints of a run, oldest first."""
    folders = (path for path in (run / CHECKPOINTS).glob("step-*") if not path.name.endswith(".tmp"))
    return sorted(folders)


def _read_pointer(run: Path, name: str) -> Path | None:
    try:
        target = (run / name).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    # Only the name counts: a pointer cannot lead out of the run folder.
    folder = run / CHECKPOINTS / Path(target).name
    return folder if folder.is_dir() else None


def resolve_model_folder(path: Path) -> Path:
    """Find the model folder behind a path.

    Parameters
    ----------
    path : Path
        A model folder, a checkpoint, or a run folder (its best checkpoint, else its last).

    Raises
    ------
    InputError
        If there is none.
    """
    if (path / WEIGHTS_FILE).is_file():
        return path
    for pointer in (BEST, LAST):
        folder = _read_pointer(path, pointer)
        if folder is not None:
            return folder
    raise InputError(
        "No model here" if path.exists() else "No such folder",
        where=path,
        remedy=f"Choose a run folder, or a folder with {WEIGHTS_FILE} and {MODEL_FILE}.",
    )


def read_spec(folder: Path) -> ModelSpec:
    """Read the description of a model folder."""
    return parse_section(ModelSpec, read_toml(folder / MODEL_FILE), folder / MODEL_FILE)


def load_network(path: Path) -> tuple[ModelSpec, MultiTaskNetwork, str]:
    """Load a model, digest-verified; no code of the file is run.

    Parameters
    ----------
    path : Path
        As for `resolve_model_folder`.

    Returns
    -------
    spec : ModelSpec
    network : MultiTaskNetwork
        On the CPU, in evaluation mode.
    digest : str
        SHA-256 of the weights file.

    Raises
    ------
    InputError
        If a file is damaged, or the weights are not of the network that `model.toml` names.
    """
    folder = resolve_model_folder(path)
    verify_digests(folder)
    spec = read_spec(folder)
    network = network_of(spec)
    load_weights(network, _read_weights(folder), folder)
    digest = json.loads((folder / DIGESTS_FILE).read_text("utf-8"))[WEIGHTS_FILE]
    return spec, network.eval(), str(digest)


def network_of(spec: ModelSpec) -> MultiTaskNetwork:
    """Build the network a spec describes, freshly initialised."""
    # The label itself only where heads need its geometry: a package's own may not be installed here.
    grid = None if spec.model.head == "none" else spec.target.label(spec.hog).grid
    return build_network(spec.model.network, spec.scheme.num_classes, head=spec.model.head, hog=grid)


def read_target(folder: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Read the pseudo-label's fitted arrays of a model folder (verified before); none where none are kept."""
    if not (folder / TARGET_FILE).is_file():
        return {}
    try:
        arrays: dict[str, npt.NDArray[np.float32]] = safetensors.numpy.load_file(folder / TARGET_FILE)
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"Not a safetensors file: {error}", where=folder / TARGET_FILE) from error
    return arrays


def load_weights(network: torch.nn.Module, weights: dict[str, torch.Tensor], where: object) -> None:
    """Copy weights into a network; InputError where names or shapes differ."""
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"These weights are not of this network: {str(error).splitlines()[0]}",
            where=where,
            remedy="model.toml and weights.safetensors must come from one run.",
        ) from error


def _read_weights(folder: Path) -> dict[str, torch.Tensor]:
    try:
        return safetensors.torch.load_file(folder / WEIGHTS_FILE)
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"Not a safetensors file: {error}", where=folder / WEIGHTS_FILE) from error


def _read_resume(path: Path) -> dict[str, Any]:
    try:
        resume: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError) as error:
        first_line = str(error).splitlines()[0]
        raise InputError(f"Not a resume state of ours: {first_line}", where=path) from error
    return resume


def load_checkpoint(run: Path) -> Checkpoint:
    """Read the newest intact checkpoint of a run, to resume it.

    Raises
    ------
    InputError
        If the run has none: a resume never silently starts over.
    """
    skipped: list[str] = []
    for folder in reversed(checkpoint_folders(run)):
        try:
            verify_digests(folder)
            resume = _read_resume(folder / RESUME_FILE)
        except (InputError, OSError) as error:
            skipped.append(str(error))
            continue
        return Checkpoint(
            folder, read_spec(folder), _read_weights(folder), resume, read_target(folder), tuple(skipped)
        )
    raise InputError(
        "There is no intact checkpoint to resume from" + "".join(f"; {text}" for text in skipped),
        where=run,
        remedy="Start a new run in another folder.",
    )
