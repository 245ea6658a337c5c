"""A review from a script."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from review_cases import frame_pixels

from napari_hogseg.ui import review_controller
from napari_hogseg.ui.opening import open_review

SCRIPT = """
import sys
from qtpy.QtTest import QTest
from napari_hogseg.ui.opening import open_review
dock = open_review(sys.argv[1])
for _ in range(600):
    QTest.qWait(50)
    if dock.controller.session is not None and dock.controller.truth_layer is not None:
        break
dock.controller.truth_layer.fill((1, 48, 44), 3)
print("painted", dock.controller.session.store.folder)
"""


def test_a_script_opens_video_and_model(
    make_napari_viewer_proxy, qtbot, clip_folder, model_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(review_controller, "default_sessions_root", lambda: tmp_path / "sessions")
    viewer = make_napari_viewer_proxy(show=True)
    dock = open_review(str(clip_folder), model=model_folder, viewer=viewer)
    qtbot.waitUntil(
        lambda: dock.controller.session is not None and dock.controller.session.live.state.scores is not None,
        timeout=30_000,
    )
    qtbot.waitUntil(lambda: not dock.controller.layers.updating, timeout=10_000)
    np.testing.assert_array_equal(np.asarray(viewer.layers["Frame"].data), frame_pixels(0))
    assert dock.controller.close()


def test_a_path_that_is_none_is_told_in_the_dock(make_napari_viewer_proxy, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr(review_controller, "default_sessions_root", lambda: tmp_path / "sessions")
    dock = open_review(tmp_path / "nowhere.mp4", viewer=make_napari_viewer_proxy(show=True))
    qtbot.waitUntil(lambda: "nowhere.mp4" in dock.message.text(), timeout=10_000)
    assert dock.controller.close()


def test_a_script_that_ends_with_its_window_open_saves_and_does_not_crash(clip_folder, tmp_path):
    """Python deletes the window; nothing may be asked of napari then (it crashed PyQt5)."""
    homes = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data"), "APPDATA": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(clip_folder)],
        env={**os.environ, **homes, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = [line.split(" ", 1)[1] for line in done.stdout.splitlines() if line.startswith("painted ")]
    assert tmp_path in Path(folder).parents
    assert (Path(folder) / "masks" / "0001.png").is_file()
