"""A base model trained for one step on toy frames, and a provider whose corrections are such frames."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hogseg.session.annotations import CorrectionExport
from tests.unit.data.trees import write_tree
from tests.unit.training.conftest import RECIPE

if TYPE_CHECKING:
    from napari_hogseg.io.errors import InputError


def train_base(root: Path) -> Path:
    """Train the toy recipe for one step; the run folder."""
    data = root / "data"
    data.mkdir(parents=True)
    write_tree(data, {"a": 2, "b": 2, "c": 2})
    recipe = root / "toy.toml"
    recipe.write_text(RECIPE.replace("num_steps = 8", "num_steps = 1"), "utf-8")
    run = root / "base"
    command = [sys.executable, "-P", "-m", "training", "train", str(recipe), "--data", str(data)]
    subprocess.run([*command, "--out", str(run)], check=True, capture_output=True, timeout=120)
    return run


class ToyProvider:
    """Corrections as a reviewer would have made them; `error` is raised instead of an export."""

    def __init__(self, base: Path | None, num_frames: int = 2) -> None:
        self.base = base
        self.num_frames = num_frames
        self.error: InputError | None = None

    def base_model(self) -> Path | None:
        return self.base

    def num_corrected_frames(self) -> int:
        return self.num_frames

    def export_corrections(self, folder: Path) -> CorrectionExport:
        if self.error is not None:
            raise self.error
        folder.mkdir(parents=True)
        write_tree(folder, {"clip": self.num_frames})
        indices = tuple(range(self.num_frames))
        return CorrectionExport(folder, "clip", indices, tuple(f"clip/frame_{i}" for i in indices))


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
