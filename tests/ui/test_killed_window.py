"""A window killed in the middle of a stroke: reopened, the strokes are there, on their frames."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from killed_window import LAST_FRAME, LAST_ROW, STROKES, TOOL
from qtpy.QtTest import QTest


def kill_when(word, script, *arguments):
    """Run a reviewer's script, and kill it when it says so."""
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name(script)), *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = any(line.startswith(word) for line in child.stdout)  # napari says things too
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        _, errors = child.communicate()
    assert said, errors


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_strokes_of_a_killed_window_are_back_on_their_frames(clip_folder, review, tmp_path):
    before = tmp_path / "painted.npz"
    kill_when("in a stroke", "killed_window.py", clip_folder, review.controller.sessions_root, before)
    with np.load(before) as arrays:
        painted = {int(name): arrays[name] for name in arrays.files}
    assert sorted(painted) == [frame for frame, _ in STROKES]
    review.open(clip_folder)
    QTest.qWait(600)
    session = review.controller.session
    store, num_frames = session.store, session.store.shape[0]
    assert store.read_only is None  # the lock ended with its process

    def without_corrections(frame_index):
        mask = None if session.clip.truth is None else session.clip.truth(frame_index)
        return np.full(store.shape[1:], 255, np.uint8) if mask is None else mask

    for frame_index, mask in painted.items():
        np.testing.assert_array_equal(store.mask(frame_index), mask)
        np.testing.assert_array_equal(
            review.layer("Ground truth").data[frame_index], (mask + 1).astype(np.uint8)
        )
        changed = mask != without_corrections(frame_index)
        assert changed.sum() > 20
        assert (mask[changed] == TOOL).all()
        row = dict(STROKES)[frame_index] * store.shape[1]
        assert abs(np.nonzero(changed)[0].mean() - row) < 0.1 * store.shape[1]

    # Of the stroke under way any part may be there, on its frame and nowhere else.
    for frame_index in set(range(min(num_frames, 8))) - set(painted):
        changed = store.mask(frame_index) != without_corrections(frame_index)
        assert frame_index == LAST_FRAME or not changed.any()
        rows = np.nonzero(changed)[0]
        assert not rows.size or abs(rows.mean() - LAST_ROW * store.shape[1]) < 0.1 * store.shape[1]
    assert review.state().frame_index in {LAST_FRAME, *painted}  # and where the person was
