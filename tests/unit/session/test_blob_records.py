"""Error blobs through the survey and the disk: the same blobs, specks left out, numbers that do not exist."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from napari_hogseg.metrics.error_blobs import find_error_blobs
from napari_hogseg.session import blob_records
from napari_hogseg.session.blob_records import ErrorBlobs
from napari_hogseg.session.survey import DONE
from tests.unit.data.trees import SCHEME
from tests.unit.session.survey_cases import Frames, finish, make_store, make_survey, pixels, truth


@pytest.fixture
def store(tmp_path):
    store = make_store(tmp_path / "session")
    yield store
    store.close(2.0)


def test_the_survey_keeps_the_blobs_of_each_frame(store) -> None:
    codec = ErrorBlobs.of(store.scheme)
    first = make_survey(store, blobs=codec)
    finish(first)
    first.close()
    frames = Frames()
    second = make_survey(store, frames, blobs=codec)
    finish(second)
    assert set(frames.read) <= {7}  # nothing but the damaged frame was read again
    frame = pixels(6)
    expected = find_error_blobs(frame[..., 0], truth(6), frame, num_classes=3, boundary_px=3.0, min_area_px=1)
    assert len(expected) > 5
    assert second.states[6] == DONE
    for kept, made in zip(second.record(6).blobs, expected, strict=True):
        assert (kept.kind, kept.type, kept.bbox) == (made.kind, made.type, made.bbox)
        assert (kept.true_class, kept.predicted_class) == (made.true_class, made.predicted_class)
        assert kept.area_px == made.area_px
        assert kept.depth_px == pytest.approx(made.depth_px, abs=1e-3)
        assert kept.centroid == pytest.approx(made.centroid, abs=1e-2)
        assert kept.mask(frame[..., 0], truth(6)).sum() == made.area_px
    second.close()


def test_records_without_blobs_are_not_taken_for_records_of_none(store) -> None:
    plain = make_survey(store)
    finish(plain)
    plain.close()
    survey = make_survey(store, blobs=ErrorBlobs.of(store.scheme))
    assert survey.num_done == 0
    finish(survey)
    assert survey.record(6).blobs
    survey.close()


def test_a_blob_that_fills_the_frame_has_no_gradient_on_disk_either() -> None:
    codec = ErrorBlobs.of(SCHEME)
    truth = np.zeros((20, 20), np.uint8)
    (blob,) = codec.find(np.zeros((20, 20, 3), np.uint8), truth + np.uint8(1), truth)
    assert math.isnan(blob.gradient)
    assert blob.kind == "false positive"  # of the class named background
    back = codec.from_table(json.loads(json.dumps(codec.to_table(blob), allow_nan=False)))
    assert math.isnan(back.gradient)
    assert (back.bbox, back.centroid) == ((0, 0, 20, 20), (9.5, 9.5))


def test_specks_and_the_smallest_of_many_are_left_out(monkeypatch) -> None:
    truth = np.zeros((200, 200), np.uint8)
    prediction = truth.copy()
    for number in range(6):
        prediction[10 : 10 + 4 * (number + 1), 30 * number : 30 * number + 4] = 1
    prediction[150, 150] = 1
    frame = np.zeros((200, 200, 3), np.uint8)
    monkeypatch.setattr(blob_records, "MAX_BLOBS", 3)
    assert [blob.area_px for blob in ErrorBlobs(3).find(frame, prediction, truth)] == [96, 80, 64]
    monkeypatch.setattr(blob_records, "MAX_BLOBS", 99)
    assert [blob.area_px for blob in ErrorBlobs(3).find(frame, prediction, truth)][-1] == 16
