"""`hogseg experiment` on toy data, with real trainings: finished, gone on with, changed, stopped, drawn."""

from __future__ import annotations

import csv
import json
import time
from typing import TYPE_CHECKING

import imageio.v3 as imageio
import numpy as np
import pytest

from napari_hogseg.io import images
from napari_hogseg.runs.events import Finished, Validated, read_events
from tests.command_line import COMMAND

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from subprocess import CompletedProcess, Popen

    Hogseg = Callable[..., CompletedProcess[str]]

GRID = """
title = "Toy targets"
recipe = "toy.toml"
reference = "none"
seeds = [0, 1]
{extra}

[[arm]]
name = "none"
set = {{ "loss.beta" = 0.0 }}

[[arm]]
name = "zero"
set = {{ "target.kind" = "zero" }}
"""


@pytest.fixture
def grid(toy: Path) -> Path:
    path = toy / "grid.toml"
    path.write_text(GRID.format(extra=""), "utf-8")
    return path


def arguments(*more: str) -> list[str]:
    return ["experiment", "grid.toml", "--data", "data", "--out", "exp", "--device", "cpu", *more]


def test_from_grid_to_table(hogseg: Hogseg, toy: Path, grid: Path) -> None:
    done = hogseg(*arguments("--jobs", "2", "--num-threads", "1", "--seed", "0"))
    assert done.returncode == 0, done.stderr
    assert "# Toy targets" in done.stdout
    out = toy / "exp"
    rows = {(row["arm"], row["seed"]): row for row in read_runs(out)}
    assert set(rows) == {("none", "0"), ("zero", "0")}
    for (arm, seed), row in rows.items():
        events = list(read_events(out / "runs" / "all" / arm / f"seed-{seed}" / "events.jsonl"))
        last = [event for event in events if isinstance(event, Validated)][-1]
        # The table scores the last checkpoint: what the run itself measured after its last step.
        assert float(row["mIoU"]) == pytest.approx(last.miou, abs=1e-6)
    told = json.loads((out / "results.json").read_text("utf-8"))
    zero = next(cell for cell in told["cells"] if cell["arm"] == "zero")
    assert (zero["r2_mean"], zero["r2_zero"]) == (0.0, 0.0)
    assert any("no variance" in note for note in zero["notes"]), "the report says why R2 is 0"
    assert imageio.imread(out / "plot.png").std() > 0

    # A second call trains nothing again; the other seed is added to what is there.
    before = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("events.jsonl")}
    done = hogseg(*arguments("--arm", "zero"))
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "(n = 2)" in done.stdout

    # A corrected mask: the stored scores are stale, the runs are not.
    mask = next((toy / "data" / "masks" / "c").glob("*.png"))
    images.write_mask(mask, 1 - np.minimum(images.read_mask(mask), 1).astype(np.uint8))
    done = hogseg(*arguments("--seed", "0"))
    assert done.returncode == 0, done.stderr
    corrected = {(row["arm"], row["seed"]): row for row in read_runs(out)}
    assert all(corrected[key]["mIoU"] != rows[key]["mIoU"] for key in rows)
    assert {path: path.stat().st_mtime_ns for path in before} == before

    # Another recipe in the same folder is refused before anything is trained.
    done = hogseg(*arguments("--set", "train.num_steps=4"))
    assert done.returncode == 2
    assert "train.num_steps differ" in done.stderr


def test_a_failing_arm_leaves_the_others(hogseg: Hogseg, toy: Path, grid: Path) -> None:
    one_weight = '"loss.class_weighting" = "explicit", "loss.class_weights" = [1.0]'
    grid.write_text(grid.read_text("utf-8").replace('"target.kind" = "zero"', one_weight), "utf-8")
    done = hogseg(*arguments("--seed", "0"))
    assert done.returncode == 1
    assert "| none | 0." in done.stdout
    assert "| zero | not run |" in done.stdout
    assert "1 weights for 3 classes" in done.stdout


def test_an_interrupted_experiment_goes_on(
    hogseg: Hogseg, start_hogseg: Callable[..., Popen[str]], toy: Path, grid: Path
) -> None:
    long_run = (
        "--set",
        "train.num_steps=150",
        "--set",
        "train.validate_every=150",
        "--seed",
        "0",
        "--arm",
        "none",
        "--jobs",
        "1",
    )
    child = start_hogseg(*arguments(*long_run))
    folder = toy / "exp" / "runs" / "all" / "none" / "seed-0"
    until(lambda: (folder / "last").exists())
    child.kill()  # as the cluster's scheduler does: no word to the trainer, only the end of its input
    until(lambda: any(isinstance(event, Finished) for event in read_events(folder / "events.jsonl")))
    stopped = [event for event in read_events(folder / "events.jsonl") if isinstance(event, Finished)][-1]
    assert stopped.reason == "preempted"
    assert stopped.step < 150
    done = hogseg(*arguments(*long_run))
    assert done.returncode == 0, done.stderr
    ends = [event for event in read_events(folder / "events.jsonl") if isinstance(event, Finished)]
    assert [end.step for end in ends] == [stopped.step, 150]


def test_qualitative_draws_boxes(hogseg: Hogseg, toy: Path, grid: Path) -> None:
    # Nothing learned against something learned: there must be something that the second mends.
    text = GRID.format(extra='picture = "qualitative"').replace('"loss.beta" = 0.0', '"train.num_steps" = 1')
    grid.write_text(text.replace('"target.kind" = "zero"', '"train.num_steps" = 120'), "utf-8")
    done = hogseg(*arguments("--seed", "0", "--set", "loss.beta=0", "--set", "train.validate_every=120"))
    assert done.returncode == 0, done.stderr
    picture = imageio.imread(toy / "exp" / "qualitative.png")[..., :3].astype(int)
    red, green = ((abs(picture - color).sum(axis=2) < 40).sum() for color in ((224, 0, 0), (0, 176, 0)))
    assert red > 0
    assert green > 0


def read_runs(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((out / "runs.csv").read_text("utf-8").splitlines()))


def until(condition: Callable[[], bool], timeout_s: float = 120.0) -> None:
    """Wait for what another process does."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, f"{COMMAND} took longer than {timeout_s} s"
        time.sleep(0.05)
