"""Playback: frames go on and a slow model leaves some out; nobody need be there, so it is no work."""

from __future__ import annotations

import time

import numpy as np
from napari.qt import QtViewer
from PIL import Image
from qtpy.QtTest import QTest
from review_cases import canvas_of, frame_pixels, settle

from napari_hogseg.inference.predictor import Predictor

NUM_PLAYED = 36
NUM_PICTURES = 6
FPS = 12
NOTED_MS = 700
#: A network asked for every frame would need 9 s more than the 3 s that the clip takes.
SLOW_S = 0.33


class Slow:
    """A real model that takes its time, and counts."""

    def __init__(self, predictor):
        self._predictor, self.num_predicted = predictor, 0

    def __getattr__(self, name):
        return getattr(self._predictor, name)

    def predict_with_probabilities(self, frame_HWC):
        self.num_predicted += 1
        time.sleep(SLOW_S)
        return self._predictor.predict_with_probabilities(frame_HWC)


def player_of(review):
    """napari's slider with its play button."""
    widget = canvas_of(review)
    while not isinstance(widget, QtViewer):
        widget = widget.parentWidget()
    return widget.dims


def test_playback_drops_predictions_and_does_not_stall(review, tmp_path, model_folder):
    clip = tmp_path / "clip"
    clip.mkdir()
    for index in range(NUM_PLAYED):
        Image.fromarray(frame_pixels(index % NUM_PICTURES)).save(clip / f"{index:04d}.png")
    review.open(clip)
    live, dims, player = review.controller.session.live, review.viewer.dims, player_of(review)
    model = Slow(Predictor.load(model_folder))
    live.set_predictor(model)
    review.wait(lambda: live.state.predicted == 0)
    visited = []
    dims.events.current_step.connect(lambda: visited.append(int(dims.current_step[0])))
    model.num_predicted, start = 0, time.perf_counter()
    player.play(0, FPS, loop_mode="once")
    review.wait(lambda: dims.current_step[0] == NUM_PLAYED - 1)
    took_s, predicted_on_the_way = time.perf_counter() - start, model.num_predicted
    review.wait(lambda: not player.is_playing)
    assert 1 <= predicted_on_the_way < NUM_PLAYED / 2
    assert took_s < NUM_PLAYED * SLOW_S * 0.75  # napari itself leaves frames out where drawing is slow
    assert visited == sorted(visited)
    review.wait(lambda: live.state.predicted == NUM_PLAYED - 1)
    settle(review)
    expected = frame_pixels((NUM_PLAYED - 1) % NUM_PICTURES)
    for name in ("Frame", "Frame (HOG)", "Frame (prediction)", "Frame (errors)"):
        np.testing.assert_array_equal(review.layer(name).data, expected)


def test_playback_alone_is_no_work(review, clip_folder):
    review.open(clip_folder)
    player = player_of(review)
    active = review.controller.session.store.records._actions.active
    review.goto(1)
    review.wait(lambda: active._last is not None)
    QTest.qWait(NOTED_MS)  # what the step made known is noted by now
    before, seen = active._last, set()
    player.play(0, 2)  # slow: each frame rests long enough to be noted
    review.wait(lambda: seen.add(review.viewer.dims.current_step[0]) or len(seen) >= 4)
    QTest.qWait(NOTED_MS)
    assert active._last == before
    player.stop()
    review.wait(lambda: not player.is_playing)
    review.goto((review.viewer.dims.current_step[0] + 2) % NUM_PICTURES)
    review.wait(lambda: active._last > before)
