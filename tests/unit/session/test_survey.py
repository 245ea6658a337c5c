"""The survey: what it measures, in which order, and that no kept record is believed without its mask."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from survey_cases import (
    DAMAGED,
    HEIGHT,
    NUM_FRAMES,
    WIDTH,
    Frames,
    finish,
    make_store,
    make_survey,
    pixels,
    truth,
)

from napari_hogseg.metrics.confusion import confusion_matrix, iou_scores
from napari_hogseg.metrics.surfaces import boundary_scores
from napari_hogseg.session.survey import DONE, KEPT, UNREADABLE, mask_digest
from napari_hogseg.session.survey_file import SurveyFile

ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(tmp_path):
    store = make_store(tmp_path / "session")
    yield store
    store.close(2.0)


def the_file(store):
    (path,) = (store.folder / "survey").glob("*.jsonl")
    return path


def resumed(store, **options):
    """A second survey of the same clip; returns it and the frames it reads to its end."""
    frames = Frames()
    survey = make_survey(store, frames, **options)
    finish(survey)
    survey.close()
    return survey, sorted(set(frames.read))


def test_measures_every_frame(store):
    frames = Frames()
    survey = make_survey(store, frames)
    assert not survey.complete
    finish(survey)
    assert survey.complete
    assert survey.states[DAMAGED] == UNREADABLE
    record = survey.record(4)
    prediction, mask = pixels(4)[..., 0], truth(4)
    assert record.miou == pytest.approx(iou_scores(confusion_matrix(prediction, mask, 3)).mean, rel=1e-6)
    np.testing.assert_array_equal(record.confusion, confusion_matrix(prediction, mask, 3))
    expected = np.nanmean(boundary_scores(prediction, mask, 3, parts=("davis_f",)).davis_f)
    assert record.boundary_f == pytest.approx(expected, rel=1e-6)
    assert record.hog_residual == pytest.approx(pixels(4)[..., 1].mean(), rel=1e-6)
    assert record.entropy == pytest.approx(pixels(4)[..., 2].mean() / 2, rel=1e-6)
    assert record.flicker == pytest.approx((pixels(3)[..., 0] != prediction).mean(), rel=1e-6)
    assert math.isnan(survey.record(0).flicker)
    assert math.isnan(survey.record(DAMAGED + 1).flicker)  # nothing is known of the frame before
    odd = survey.record(5)
    assert (odd.has_truth, odd.confusion, odd.mask_digest) == (False, None, "")
    assert math.isnan(odd.miou)
    np.testing.assert_array_equal(np.isnan(survey.curves["miou"]), np.arange(NUM_FRAMES) % 2 == 1)
    assert survey.has_truth.tolist() == [i % 2 == 0 for i in range(NUM_FRAMES)]
    survey.close()
    assert frames.closed


def test_order_starts_at_the_playhead_and_follows_it(store):
    frames = Frames()
    survey = make_survey(store, frames)
    assert [survey.step(8) for _ in range(2)] == [8, 9]
    assert [survey.step(2) for _ in range(2)] == [2, 3]
    assert frames.read == [8, DAMAGED, 9, 2, 1, 3]  # two runs, each with the frame before it, else in order
    survey.touch([9, 5])
    assert [survey.step(2) for _ in range(3)] == [9, 5, 6]
    assert frames.read[6:] == [5, 4, 6]  # 9 was up to date
    assert finish(survey, 2) == [7, 10, 11, 0, 1, 4]
    survey.close()


def test_resumes_without_reading_a_frame_again(store):
    first = make_survey(store)
    finish(first)
    first.close()
    second = make_survey(store)
    assert (second.states == KEPT).sum() == NUM_FRAMES - 1
    assert math.isnan(second.record(4).miou)  # not believed yet
    assert math.isnan(second.curves["miou"][4])
    assert second.record(4).entropy == first.record(4).entropy
    second.close()
    third, read = resumed(store)
    assert read == [DAMAGED]  # tried again
    for old, new in zip(first.records(), third.records(), strict=True):
        for name in ("frame_index", "has_truth", "miou", "boundary_f", "flicker", "mask_digest"):
            np.testing.assert_equal(getattr(new, name), getattr(old, name))
        np.testing.assert_array_equal(new.confusion, old.confusion)
    _, read = resumed(store, digest="b" * 64)
    assert len(read) == NUM_FRAMES  # another model


def test_a_mask_that_changed_makes_its_record_stale(store, tmp_path):
    first = make_survey(store)
    finish(first)
    store.paint(2, np.s_[:], np.ones((HEIGHT, WIDTH), np.uint8))
    store.paint(5, np.s_[:8], np.zeros((8, WIDTH), np.uint8))
    first.touch([2, 4, 5])
    assert [first.step(0) for _ in range(3)] == [2, 4, 5]
    first.close()
    corrected = first.record(2)
    assert corrected.corrected
    assert corrected.confusion[1].sum() == HEIGHT * WIDTH
    assert first.record(5).has_truth
    assert first.record(5).flicker == pytest.approx((pixels(4) != pixels(5))[..., 0].mean(), rel=1e-6)
    # Behind the survey's back: painted while none ran, and a data set's own file replaced.
    store.paint(4, np.s_[:], np.zeros((HEIGHT, WIDTH), np.uint8))
    store.close(2.0)
    moved = make_store(tmp_path / "session", lambda i: truth(i if i != 8 else 6))
    second, read = resumed(moved)
    assert read == [4, DAMAGED, 8]
    assert second.record(4).confusion[0].sum() == HEIGHT * WIDTH
    assert second.record(8).mask_digest != first.record(8).mask_digest
    assert second.record(2).corrected
    moved.close(2.0)


def test_a_killed_survey_loses_nothing_it_had_written(tmp_path):
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("survey_cases.py")), str(tmp_path / "session")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with child:
        while int(child.stdout.readline()) < 4:
            pass
        child.send_signal(signal.SIGKILL)
    store = make_store(tmp_path / "session")
    survey = make_survey(store)
    assert (survey.states[:4] == KEPT).all()
    assert (survey.states == KEPT).sum() <= 6
    finish(survey)
    assert survey.complete
    survey.close()
    store.close(2.0)


@pytest.mark.parametrize("damage", ["cut", "flipped", "garbage"])
def test_damaged_lines_cost_their_own_frames_only(store, damage):
    survey = make_survey(store)
    finish(survey)
    survey.close()
    path = the_file(store)
    lines = path.read_bytes().splitlines(keepends=True)
    lost = [json.loads(line[9:])["frame"] for line in (lines[-1], lines[3])]
    if damage == "cut":
        path.write_bytes(b"".join(lines)[:-20])
        lost = lost[:1]
    elif damage == "flipped":
        lines[3] = lines[3].replace(b'"entropy":0', b'"entropy":7')
        lines[-1] = lines[-1].replace(b'"entropy":0', b'"entropy":7')
        path.write_bytes(b"".join(lines))
    else:
        path.write_bytes(b"".join(lines[:-1]) + b"\x00\xff" * 40)
        lost = lost[:1]
    again = make_survey(store)
    assert [i for i in range(NUM_FRAMES) if again.states[i] != KEPT] == sorted([*lost, DAMAGED])
    finish(again)
    again.close()
    _, read = resumed(store)  # what was appended after the damage is whole
    assert read == [DAMAGED]  # tried again


def test_a_file_about_something_else_is_begun_anew(store):
    path = store.folder / "survey" / f"{'a' * 16}.jsonl"
    path.parent.mkdir()
    path.write_bytes(b"not ours\n")
    _, read = resumed(store)
    assert len(read) == NUM_FRAMES
    assert len(path.read_bytes().splitlines()) == NUM_FRAMES  # its header, and all but the damaged frame


def test_superseded_lines_are_written_out_once_they_are_many(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_hogseg.session.survey_file.MAX_SUPERSEDED", 10)
    path = tmp_path / "file.jsonl"
    for expected in (0, 1, 1):
        file = SurveyFile(path, {"model": "m"})
        tables = list(file.load())
        assert len(tables) == expected
        assert all(table == {"frame": 3, "value": 19} for table in tables)
        for value in range(20):
            file.append({"frame": 3, "value": value})
        file.close()
    assert len(path.read_bytes().splitlines()) == 1 + 1 + 20


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_stops_the_keeping_not_the_survey(store):
    survey = make_survey(store)
    survey._file.close()
    with Path("/dev/full").open("wb", buffering=0) as full:
        survey._file._file = full
        finish(survey)
    assert survey.complete
    assert survey.disk_error is not None


@dataclass(frozen=True)
class Blob:
    area_px: int
    bbox: tuple[int, int]


class Blobs:
    """As the error blobs do it."""

    def find(self, frame_HWC, prediction, truth):
        assert frame_HWC.shape == (*truth.shape, 3)
        return [Blob(int((prediction != truth).sum()), (0, 4))]

    def to_table(self, blob):
        return {"area_px": blob.area_px, "bbox": list(blob.bbox)}

    def from_table(self, table):
        return Blob(table["area_px"], tuple(table["bbox"]))


def test_blobs_are_found_kept_and_read_back(store):
    first = make_survey(store, blobs=Blobs())
    finish(first)
    first.close()
    expected = (Blob(int((pixels(6)[..., 0] != truth(6)).sum()), (0, 4)),)
    assert first.record(6).blobs == expected
    second, _ = resumed(store, blobs=Blobs())
    assert second.states[6] == DONE
    assert second.record(6).blobs == expected
    assert second.record(5).blobs == ()


def test_a_model_of_other_classes_is_not_scored(store):
    survey = make_survey(store)
    survey._model = type(survey._model)("c", ("cat", "dog"), survey._model.read)
    finish(survey)
    assert np.isnan(survey.curves["miou"]).all()
    assert survey.record(4).has_truth
    assert not np.isnan(survey.record(4).entropy)
    survey.close()


def test_going_through_the_clip_leaves_the_masks_in_memory_alone(store):
    store.paint(2, np.s_[0, 0], 1)
    held = dict(store._cache)
    survey = make_survey(store)
    finish(survey)
    survey.close()
    assert store._cache.keys() == held.keys()
    assert survey.record(2).mask_digest == mask_digest(store.mask(2))


def test_a_session_that_another_program_has_open_is_read_not_written(store):
    first = make_survey(store)
    [first.step(0) for _ in range(3)]
    path = the_file(store)
    path.write_bytes(path.read_bytes() + b"half a li")  # as while the other one writes
    before = path.read_bytes()
    guest = make_store(store.folder)
    assert guest.read_only is not None
    survey = make_survey(guest)
    assert (survey.states[:3] == KEPT).all()
    finish(survey)
    survey.close()
    assert survey.complete
    assert survey.disk_error is None
    assert path.read_bytes() == before
    guest.close(2.0)
    first.close()
