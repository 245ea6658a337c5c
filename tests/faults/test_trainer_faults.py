"""Faults of a training run: whatever happens, the message is clear and the checkpoints are whole."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_hogseg.io import images
from napari_hogseg.runs.checkpoint import checkpoint_folders, load_checkpoint, verify_digests
from napari_hogseg.runs.events import Failed, Finished, parse_event, read_events
from tests.command_line import COMMAND, environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Start = Callable[..., subprocess.Popen[str]]

ENDLESS = ("--set", "train.num_steps=100000", "--set", "train.validate_every=100000")


def wait_for(condition: Callable[[], object], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def train(start: Start, *more: object) -> subprocess.Popen[str]:
    return start("train", "toy.toml", "--data", "data", "--out", "run", *more)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_a_checkpoint_and_exit_5(start_hogseg: Start, toy: Path, number: int) -> None:
    child = train(start_hogseg, *ENDLESS)
    wait_for(lambda: (toy / "run" / "last").exists())
    child.send_signal(number)
    _, talk = child.communicate(timeout=60)
    assert child.returncode == 5, talk
    end = list(read_events(toy / "run" / "events.jsonl"))[-1]
    assert isinstance(end, Finished)
    assert end.reason == "preempted"
    assert load_checkpoint(toy / "run").resume["step"] == end.step


def test_preempted_then_resumed_is_bit_exact(start_hogseg: Start, toy: Path) -> None:
    steps = ("--set", "train.num_steps=40", "--set", "train.checkpoint_every=5")
    child = train(start_hogseg, *steps)
    wait_for(lambda: (toy / "run" / "last").exists())
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=60)
    assert child.returncode in (0, 5)
    again = train(start_hogseg, *steps, "--resume")
    assert again.wait(timeout=240) == 0
    whole = start_hogseg("train", "toy.toml", "--data", "data", "--out", "whole", *steps)
    assert whole.wait(timeout=240) == 0
    ours, theirs = (load_checkpoint(toy / name).weights for name in ("run", "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize(("word", "exit_code", "reason"), [("stop\n", 0, "stopped"), (None, 5, "preempted")])
def test_the_parents_word_or_its_death_stops(
    start_hogseg: Start,
    toy: Path,
    word: str | None,
    exit_code: int,
    reason: str,
) -> None:
    child = train(start_hogseg, *ENDLESS, "--events-stdout")
    wait_for(lambda: (toy / "run" / "last").exists())
    if word is not None:
        child.stdin.write(word)
        child.stdin.flush()
    else:
        child.stdin.close()
        child.stdin = None
    out, talk = child.communicate(timeout=60)
    assert child.returncode == exit_code, talk
    end = parse_event(out.splitlines()[-1])
    assert isinstance(end, Finished)
    assert end.reason == reason


def test_a_parent_that_is_killed_leaves_no_orphan_and_a_checkpoint(start_hogseg: Start, toy: Path) -> None:
    """All three pipes break at once, as when the desktop gets SIGKILL."""
    child = train(start_hogseg, *ENDLESS, "--events-stdout")
    wait_for(lambda: (toy / "run" / "last").exists())
    pipes = (child.stdout, child.stderr, child.stdin)
    child.stdout = child.stderr = child.stdin = None
    for pipe in pipes:
        pipe.close()
    assert child.wait(timeout=30) == 5
    end = list(read_events(toy / "run" / "events.jsonl"))[-1]
    assert isinstance(end, Finished)
    assert load_checkpoint(toy / "run").resume["step"] == end.step


def test_sigkill_leaves_whole_checkpoints_and_resume_works(start_hogseg: Start, toy: Path) -> None:
    child = train(start_hogseg, *ENDLESS, "--set", "train.checkpoint_every=1")
    wait_for(lambda: len(checkpoint_folders(toy / "run")) >= 2)
    child.kill()
    child.wait()
    for folder in checkpoint_folders(toy / "run"):
        verify_digests(folder)
    again = train(start_hogseg, *ENDLESS, "--set", "train.checkpoint_every=1", "--resume")
    first = load_checkpoint(toy / "run").resume["step"]
    wait_for(lambda: load_checkpoint(toy / "run").resume["step"] > first)
    again.terminate()
    assert again.wait(timeout=60) == 5


def test_a_damaged_newest_checkpoint_is_passed_over_and_said(start_hogseg: Start, toy: Path) -> None:
    assert train(start_hogseg).wait(timeout=120) == 0
    newest = checkpoint_folders(toy / "run")[-1]
    with (newest / "weights.safetensors").open("r+b") as file:
        file.truncate(1000)
    child = train(start_hogseg, "--resume")
    _, talk = child.communicate(timeout=120)
    assert child.returncode == 0, talk
    assert newest.name in talk
    assert "SHA-256" in talk
    verify_digests(checkpoint_folders(toy / "run")[-1])


def break_mask_size(root: Path) -> None:
    images.write_mask(root / "masks" / "a" / "frame_0.png", np.zeros((9, 9), np.uint8))


def break_label(root: Path) -> None:
    images.write_mask(root / "masks" / "a" / "frame_0.png", np.full((48, 64), 77, np.uint8))


def break_picture(root: Path) -> None:
    path = root / "images" / "a" / "frame_0.png"
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (break_mask_size, "9x9 but its frame is 64x48"),
        (break_label, "[77] are not classes"),
        (break_picture, "damaged"),
    ],
)
@pytest.mark.parametrize("num_workers", [0, 1])
def test_bad_frames_are_named(
    hogseg: Start,
    toy: Path,
    damage: Callable[[Path], None],
    said: str,
    num_workers: int,
) -> None:
    damage(toy / "data")
    done = hogseg(
        *("train", "toy.toml", "--data", "data", "--out", "run", "--set", f"train.num_workers={num_workers}")
    )
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "frame_0.png" in done.stderr
    assert "Traceback" not in done.stderr
    end = list(read_events(toy / "run" / "events.jsonl"))[-1]
    assert isinstance(end, Failed)
    assert said in end.what


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_folder(hogseg: Start, toy: Path) -> None:
    (toy / "data" / "images").chmod(0)
    done = hogseg("train", "toy.toml", "--data", "data", "--out", "run")
    (toy / "data" / "images").chmod(0o755)
    assert done.returncode == 2
    assert "may not be read" in done.stderr


def test_a_full_disk_is_exit_3_and_the_earlier_checkpoint_stays(toy: Path, hogseg: Start) -> None:
    """A file-size limit stands in for the full disk: the kernel refuses the write the same way."""
    assert hogseg("train", "toy.toml", "--data", "data", "--out", "run").returncode == 0
    shutil.copytree(toy / "run", toy / "before")
    limit = 2_000_000

    def refuse_large_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    (toy / "run" / "config.toml").write_text(
        (toy / "run" / "config.toml").read_text().replace("num_steps = 8", "num_steps = 12")
    )
    (toy / "toy.toml").write_text((toy / "toy.toml").read_text().replace("num_steps = 8", "num_steps = 12"))
    done = subprocess.run(
        [*COMMAND, "train", "toy.toml", "--data", "data", "--out", "run", "--resume"],
        cwd=toy,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        preexec_fn=refuse_large_files,
    )
    assert done.returncode == 3, done.stderr
    assert "earlier checkpoints are whole" in done.stderr
    assert load_checkpoint(toy / "run").resume["step"] == 8
    assert not list((toy / "run" / "checkpoints").glob("*.tmp"))
