"""The survey fills the triage panel by itself: a model is loaded, a stroke is made, no button is pressed."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtTest import QTest
from review_cases import NUM_FRAMES, truth_mask


@pytest.fixture
def joined(review, clip_folder):
    review.open(clip_folder)
    review.panel, review.timeline = review.dock.triage, review.dock.timeline
    return review


def surveyed(case):
    case.wait(lambda: case.timeline.worker is not None and case.timeline.worker.idle)
    QTest.qWait(400)  # the tables follow a moment later


def test_loading_a_model_lists_the_frames_and_their_errors(joined, model_folder) -> None:
    assert len(joined.panel.frames.table.order) == 0
    joined.load(model_folder)
    surveyed(joined)
    joined.panel.refresh()
    survey = joined.timeline.worker.survey
    assert len(joined.panel.frames.table.order) == NUM_FRAMES
    worst = int(joined.panel.frames.columns["frame"][joined.panel.frames.table.order[0]])
    assert worst == int(np.argmin(survey.curves["miou"]))
    num_blobs = sum(len(survey.record(index).blobs) for index in range(NUM_FRAMES))
    assert num_blobs > 0
    assert len(joined.panel.queue) == num_blobs
    joined.panel.next_blob()
    frame_index, blob = joined.panel._current
    assert int(joined.viewer.dims.current_step[0]) == frame_index
    assert blob in survey.record(frame_index).blobs


def test_a_mended_frame_leaves_the_list_of_errors(joined, model_folder) -> None:
    joined.load(model_folder)
    surveyed(joined)
    joined.goto(2)
    prediction = joined.controller.session.live.predicted_class_ids
    assert (prediction != truth_mask(2)).any()
    joined.controller.session.store.paint(2, slice(None), prediction)
    joined.wait(lambda: joined.timeline.worker.survey.record(2).miou == 1.0)
    surveyed(joined)
    joined.panel.refresh()
    frames = [joined.panel.queue.frame_index(row) for row in range(len(joined.panel.queue))]
    assert 2 not in frames
    assert len(set(frames)) == NUM_FRAMES - 1
    row = int(np.flatnonzero(joined.panel.frames.columns["frame"] == 2)[0])
    assert joined.panel.frames.columns["corrected"][row] == 1


def test_strokes_leave_the_place_in_the_lists(joined, model_folder) -> None:
    """A stroke tells of its own frame, and its saving of none: filters and marks of the panel stay."""
    joined.load(model_folder)
    surveyed(joined)
    told = []
    joined.timeline.source.changed.connect(told.append)
    joined.goto(2)
    store = joined.controller.session.store
    store.paint(2, slice(None), 1)
    joined.wait(lambda: any(record is not None and record.corrected for record in told))
    assert store.flush()
    surveyed(joined)
    joined.timeline.worker.touch([2])  # as a slow disk has it: saved after it was measured
    surveyed(joined)
    assert {None if record is None else record.frame_index for record in told} == {2}
