"""Faults of a review session: a stroke is there, or it was never said to be saved."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("resource", reason="limits and signals of POSIX")

from tests.command_line import environment
from tests.faults.session_child import open_store, stroke, truth

ROOT = Path(__file__).parents[2]


@pytest.fixture
def start():
    children = []

    def begin(action, folder):
        command = [sys.executable, "-m", "tests.faults.session_child", action, str(folder)]
        child = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        children.append(child)
        return child

    yield begin
    for child in children:
        child.kill()
        child.communicate()


@pytest.fixture
def reopen():
    stores = []

    def again(folder, **options):
        stores.append(open_store(folder, **options))
        return stores[-1]

    yield again
    for store in stores:
        store.close(5.0)


def kill_after(child, seconds):
    assert child.stdout.readline().strip() == "painted", child.stderr.read()
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    child.wait()


def test_a_stroke_survives_kill_9_one_second_later(start, reopen, tmp_path):
    """Promise 1, fault 1; the mask file is never written here, so the journal alone can have it."""
    kill_after(start("one_stroke", tmp_path / "s"), 1.0)
    assert not list((tmp_path / "s" / "masks").iterdir())
    store = reopen(tmp_path / "s")
    np.testing.assert_array_equal(store.mask(1), stroke(1))
    assert store.edited_frames == (1,)
    assert store.restored.num_strokes == 1
    assert any("Restored 1 stroke on 1 frame from 20" in text for text in store.messages)
    assert store.flush()
    assert (tmp_path / "s" / "masks" / "f1.png").exists()
    (entry,) = store.records.ledger.entries  # entered by the killed process in the last moment, or now
    assert entry.kind in ("paint", "restored")
    assert entry.num_pixels == int((truth(1) != stroke(1)).sum())
    store.close()
    quiet = reopen(tmp_path / "s")
    assert quiet.restored is None
    assert quiet.messages == ()
    assert quiet.flush()
    assert len(quiet.records.ledger.entries) == 1


def test_the_recovered_state_is_the_undone_one(start, reopen, tmp_path):
    """Fault 3: stroke, another frame, undo, kill."""
    kill_after(start("undone", tmp_path / "s"), 1.0)
    store = reopen(tmp_path / "s")
    np.testing.assert_array_equal(store.mask(1), truth(1))
    np.testing.assert_array_equal(store.mask(2), stroke(2))
    assert store.flush()
    assert store.edited_frames == (2,)


def test_killed_at_every_disk_operation_it_is_old_or_new(start, reopen, tmp_path):
    """Fault 4: before each write (or half through it), sync, rename and removal."""
    child = start("die_everywhere", tmp_path)
    out, err = child.communicate(timeout=300)
    assert out.startswith("points "), err
    num_points = int(out.split()[1])
    assert num_points > 20
    states = {1: [truth(1), stroke(1), stroke(2)], 2: [truth(2), stroke(3)]}
    reached = {1: [], 2: []}
    for point in range(num_points):
        store = reopen(tmp_path / str(point), settle_s=0.01)
        assert store.read_only is None
        assert store.flush()
        assert store.conflicts == ()
        for frame_index, allowed in states.items():
            assert store.problem(frame_index) is None
            found = store.mask(frame_index)
            which = [i for i, mask in enumerate(allowed) if np.array_equal(found, mask)]
            assert which, (point, frame_index)
            reached[frame_index].append(which[0])
        store.close()
        left = [file.name for file in (tmp_path / str(point)).rglob("*.tmp")]
        assert left == [], point
    assert reached[1] == sorted(reached[1])  # never back to an older state than the point before had
    assert set(reached[1]) == {0, 1, 2}


def test_a_full_disk_keeps_the_old_file_and_a_retry_works(start, reopen, tmp_path):
    """Fault 7, by the limit on file sizes."""
    out, err = start("full_disk", tmp_path / "s").communicate(timeout=60)
    lines = out.splitlines()
    assert lines[0] == "flushed False", err
    assert "could not be saved: File too large" in lines[1]
    assert lines[2:] == ["unsaved (1,)", "old file intact True", "retry True"]
    store = reopen(tmp_path / "s")
    assert store.messages == ()
    np.testing.assert_array_equal(store.mask(1), stroke(1))


def test_a_read_only_folder_is_said_at_once(start):
    """Fault 9."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        out, err = start("read_only_folder", folder).communicate(timeout=60)
        lines = out.splitlines()
        assert len(lines) == 2, err
        assert "Permission denied" in lines[0]
        assert lines[1].startswith("refused")
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_sync_that_fails_is_never_saved(reopen, tmp_path, monkeypatch):
    """Fault 9."""
    store = reopen(tmp_path / "s", settle_s=0.01)

    def refuse(_handle):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    store.paint(1, np.s_[0, 0], 2)
    assert not store.flush(2.0)
    assert "Input/output error" in str(store.save_error)
    assert store.unsaved_frames == (1,)
    monkeypatch.undo()
    assert store.flush()
    assert store.save_error is None


def test_the_second_instance_reads_only_until_the_first_is_gone(start, reopen, tmp_path):
    """Fault 10: and a lock whose holder was killed is taken over."""
    first = start("hold", tmp_path / "s")
    assert first.stdout.readline().strip() == "writing", first.stderr.read()
    second = reopen(tmp_path / "s")
    assert f"process {first.pid}" in str(second.read_only)
    with pytest.raises(Exception, match="open elsewhere"):
        second.paint(1, np.s_[0, 0], 2)
    np.testing.assert_array_equal(second.mask(1), truth(1))
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "s").rglob("*")}
    second.close()
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "s").rglob("*")} == before
    first.send_signal(signal.SIGKILL)
    first.wait()
    third = reopen(tmp_path / "s")
    assert third.read_only is None
    third.paint(1, np.s_[0, 0], 2)
    assert third.flush()
