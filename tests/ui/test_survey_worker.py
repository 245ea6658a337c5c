"""The survey's thread on the sample clip: reads in order beside the live view, waits, wakes, ends."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

import sample_data
from napari_hogseg.inference.predictor import Predictor
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.annotations import AnnotationStore
from napari_hogseg.session.clips import open_clip
from napari_hogseg.session.survey import DONE
from napari_hogseg.ui.survey_worker import SurveyWorker

SAMPLE = Path(sample_data.__file__).parent


@pytest.fixture
def clip():
    clip = open_clip(SAMPLE / "clip.mp4", SAMPLE / "masks")
    yield clip
    clip.source.close()


@pytest.fixture
def make_worker(clip, tmp_path, qtbot):
    made = []
    store = AnnotationStore(tmp_path / "session", clip.identity, clip.truth)
    predictor = Predictor.load(SAMPLE / "model", "cpu")

    def make(**options):
        made.append(SurveyWorker(clip.source, store, predictor, **options))
        return made[-1]

    yield make
    for worker in made:
        assert worker.close(3.0)
    store.close(2.0)


def test_reads_in_order_with_a_decoder_of_its_own_and_waits(clip, make_worker, qtbot):
    worker = make_worker()
    worker.playhead = 3
    worker.pause(paused=True)
    worker.start()
    qtbot.wait(300)
    assert worker.survey.num_measured == 0
    worker.pause(paused=False)
    qtbot.waitUntil(lambda: worker.survey.num_measured > 3, timeout=20_000)
    worker.hold(held=True)
    qtbot.wait(300)
    survey, num_before = worker.survey, worker.survey.num_measured
    qtbot.wait(300)
    assert survey.num_measured == num_before
    assert (survey.states[3 : 3 + num_before] == DONE).all()
    assert np.isfinite(survey.curves["flicker"][3 : 3 + num_before]).all()
    assert survey._source is not clip.source
    # One seek to begin, at most: from there on frame after frame, whatever the live view does.
    clip.source.frame(0)
    worker.hold(held=False)
    qtbot.waitUntil(lambda: survey.num_measured > num_before + 3, timeout=20_000)
    assert survey._source.num_seeks <= 1
    assert np.nanmean(survey.curves["miou"]) > 0.6  # the model that comes with the clip


def test_one_after_the_other_never_two_at_a_time(make_worker, qtbot):
    first = make_worker()
    first.start()
    qtbot.waitUntil(lambda: first.survey.num_measured > 1, timeout=20_000)
    first.close(0.0)
    second = make_worker(after=first)
    second.start()
    qtbot.waitUntil(lambda: second.survey.num_done >= 2, timeout=20_000)
    assert not first.thread.is_alive()
    # What the first had measured, the second found on the disk.
    assert second.survey.num_measured < second.survey.num_done


def test_an_error_nobody_expected_is_told_and_a_damaged_frame_is_passed_over(make_worker, qtbot, monkeypatch):
    worker = make_worker()
    source = worker.survey._open_source()

    def frame(frame_index):
        if frame_index == 0:
            raise InputError("damaged")
        raise RuntimeError("no such thing")

    monkeypatch.setattr(source, "frame", frame)
    worker.survey._open_source = lambda: source
    with qtbot.waitSignal(worker.failed, timeout=10_000) as told:
        worker.start()
    assert told.args == ["RuntimeError: no such thing"]
    assert worker.survey.num_done == 1
    worker.thread.join(5)
    assert worker.thread not in threading.enumerate()
