"""A review from a script."""

from __future__ import annotations

import numpy as np
from review_cases import frame_pixels

from napari_hogseg.ui import review_controller
from napari_hogseg.ui.opening import open_review


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
