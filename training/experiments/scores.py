"""What one run scored, kept beside it: counts a frame, so that any resampling can be done from the file.

Legend: N frames, C classes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.data.splits import split_samples
from napari_hogseg.inference.predictor import Predictor
from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.protocols import FrameTable, find_protocol
from napari_hogseg.runs.checkpoint import DIGESTS_FILE, read_spec
from napari_hogseg.runs.events import AuxiliaryHealth, Finished, read_events
from training.assembly import EVENTS_FILE
from training.evaluation import evaluate_by_protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_hogseg.data.layouts import DataSet, Sample
    from napari_hogseg.metrics.protocols import Protocol
    from napari_hogseg.metrics.reports import ScoreReport
    from training.experiments.grid import Grid

_COUNTS = ("hits", "truth_px", "predicted_px")


@dataclass(frozen=True)
class RunScores:
    """The scores of one run.

    Attributes
    ----------
    protocol : Protocol
    table : FrameTable
    frames, recordings : tuple of str
        Name of each frame, and the recording it is resampled with.
    truth_digest : str
        Of the true masks, in order.
    step : int
        Optimiser steps behind the scored weights.
    elapsed_s : float
        Of the run's last process.
    health : AuxiliaryHealth or None
        The auxiliary task's last health; None without one.
    """

    protocol: Protocol
    table: FrameTable
    frames: tuple[str, ...]
    recordings: tuple[str, ...]
    truth_digest: str
    step: int
    elapsed_s: float
    health: AuxiliaryHealth | None

    @property
    def numbers(self) -> dict[str, float]:
        """The protocol's numbers over all frames."""
        return self.protocol.statistic(self.table)(np.ones(len(self.frames)))


def scores_of(run: Path, grid: Grid, protocol: str, device: str) -> RunScores:
    """Score a finished run, or read what an earlier call wrote.

    Parameters
    ----------
    run : Path
        Run folder.
    grid : Grid
        Says which checkpoint and which frames.
    protocol : str
        Empty: the data set's own.
    device : str

    Raises
    ------
    InputError
        If there is no checkpoint or no frame with a mask.
    """
    path = run / f"scores-{grid.part}-{grid.checkpoint}-{protocol or 'default'}.json"
    model = checkpoint_of(run, grid.checkpoint)
    dataset, samples = _scored_frames(model, grid.part)
    made_from = {"weights_sha256": _weights_digest(model), "masks_sha256": _files_digest(samples)}
    stored = _read(path)
    if stored is None or stored.get("made_from") != made_from:
        predictor = Predictor.load(model, device)
        report = evaluate_by_protocol(predictor, dataset, samples, protocol or dataset.layout.protocol)
        told = _to_json(report, predictor.spec.step) | {"made_from": made_from}
        atomic.write_text(path, json.dumps(told, allow_nan=False))
        stored = json.loads(path.read_text("utf-8"))
    return _parse(stored, run)


def _scored_frames(model: Path, part: str) -> tuple[DataSet, tuple[Sample, ...]]:
    data = read_spec(model).data
    dataset = open_dataset(data.root, data.layout)
    samples = split_samples(dataset, data.train, data.val, data.test, split=data.split).part(part)
    if not samples:
        raise InputError(
            f"The {part} part holds no frame with a mask",
            where=dataset.root,
            remedy=f"Name groups in data.{part}, or set part in the grid.",
        )
    return dataset, samples


def _to_json(report: ScoreReport, step: int) -> dict[str, Any]:
    table = report.table
    return {
        "protocol": report.protocol.name,
        "step": step,
        "classes": list(report.scheme.classes),
        "videos": list(table.videos),
        "frames": list(report.frame_names),
        "recordings": list(report.recordings),
        **{name: getattr(table, name).tolist() for name in _COUNTS},
        "nsd": [[None if np.isnan(value) else value for value in row] for row in table.nsd.tolist()],
        "missing": table.missing.tolist(),
        "passport": report.to_json()["passport"],
    }


def _parse(stored: dict[str, Any], run: Path) -> RunScores:
    table = FrameTable(
        videos=tuple(stored["videos"]),
        **{name: np.array(stored[name], np.int64) for name in _COUNTS},
        nsd=np.array(stored["nsd"], np.float64),
        missing=np.array(stored["missing"], np.bool_),
    )
    events = list(read_events(run / EVENTS_FILE))
    health = [event for event in events if isinstance(event, AuxiliaryHealth)]
    return RunScores(
        protocol=find_protocol(stored["protocol"]),
        table=table,
        frames=tuple(stored["frames"]),
        recordings=tuple(stored["recordings"]),
        truth_digest=stored["passport"]["truth_sha256"],
        step=stored["step"],
        elapsed_s=sum(event.elapsed_s for event in events if isinstance(event, Finished)),
        health=health[-1] if health else None,
    )


def _read(path: Path) -> dict[str, Any] | None:
    """Read a stored file; None for a missing or torn one, which is then written anew."""
    try:
        stored: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return stored


def checkpoint_of(run: Path, which: str) -> Path:
    """Return the model folder that 'last' or 'best' points to."""
    pointer = run / which
    if not pointer.is_file():
        raise InputError(f"This run has no '{which}' checkpoint", where=run, remedy="Train it first.")
    return run / pointer.read_text("utf-8").strip()


def _weights_digest(model: Path) -> str:
    return hashlib.sha256((model / DIGESTS_FILE).read_bytes()).hexdigest()


def _files_digest(samples: Sequence[Sample]) -> str:
    """Digest names, sizes and times of frames and masks: a corrected mask makes stored scores stale."""
    stats = [
        (sample.sample_id, *(_stamp(path) for path in (sample.image_path, sample.mask_path)))
        for sample in samples
    ]
    return hashlib.sha256(json.dumps(stats).encode()).hexdigest()


def _stamp(path: Path | None) -> tuple[int, int] | None:
    if path is None or not path.exists():  # a frame of a video, say, whose mask tells enough
        return None
    status = path.stat()
    return status.st_size, status.st_mtime_ns
