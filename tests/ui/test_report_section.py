"""The section for reports and films, in a real window: files come out, are cancelled, and say why not."""

from __future__ import annotations

import re

import av
import pytest

from napari_hogseg.session.ranges import FrameRange
from napari_hogseg.ui.report_section import WHOLE_CLIP, ReportSection


@pytest.fixture
def section(review, clip_folder, model_folder):
    review.load(model_folder)
    review.open(clip_folder)
    section = ReportSection(review.controller, parent=review.dock)
    review.wait(lambda: review.dock.timeline is not None)
    section.set_timeline(review.dock.timeline)
    section.opened = True
    section.wait = lambda: review.wait(lambda: not section.busy)
    section.messages = []
    review.controller.failed.connect(section.messages.append)
    return section


def test_a_report_of_what_the_survey_measured(section, review, tmp_path):
    review.wait(lambda: len(review.dock.timeline.source.records()) == 6)
    path = tmp_path / "out" / "report.html"
    section.write_report(path)
    assert not section.report_button.isEnabled()
    section.wait()
    text = path.read_text()
    assert "measured 6 of 6 frames" in text
    assert text.count("<img ") == 24
    assert review.controller.model.predictor.digest in text
    assert path.as_uri() in section.note.text()
    assert section.report_button.isEnabled()
    assert section.messages == [""]


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_film_of_a_marked_range(section, review, tmp_path, suffix):
    review.dock.timeline.mark_range(2, 4)
    assert section.frames == FrameRange(2, 4)
    for box in section.panels.values():
        box.setChecked(True)
    path = tmp_path / f"film{suffix}"
    section.write_film(path)
    section.wait()
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3
    assert section.messages == [""]


def test_ranges_are_offered_with_the_whole_clip(section, review):
    assert [section.ranges.itemText(i) for i in range(section.ranges.count())] == [WHOLE_CLIP]
    assert section.frames == FrameRange(0, 5)
    review.dock.timeline.mark_range(1, 2)
    review.dock.timeline.mark_range(4, 5)
    offered = [section.ranges.itemText(i) for i in range(section.ranges.count())]
    assert offered == ["Marked 1 to 2", "Marked 4 to 5", WHOLE_CLIP]
    section.ranges.setCurrentIndex(1)
    section.ranges.activated.emit(1)
    assert section.frames == FrameRange(4, 5)


def test_cancelled_leaves_no_file(section, tmp_path):
    path = tmp_path / "film.mp4"
    section.write_film(path)
    section.cancel()
    section.wait()
    assert list(tmp_path.glob("*film*")) == []
    assert "Cancelled" in section.note.text()


def test_nothing_to_draw_is_said(section, tmp_path):
    for box in section.panels.values():
        box.setChecked(False)
    section.write_film(tmp_path / "film.mp4")
    section.wait()
    assert re.search("Nothing is to be drawn", section.messages[-1])
    assert section.note.text() == "Nothing was written."


def test_never_into_the_data_set(section, clip_folder):
    before = sorted(clip_folder.iterdir())
    section.write_report(clip_folder / "report.html")
    section.wait()
    assert "data set" in section.messages[-1]
    assert sorted(clip_folder.iterdir()) == before


def test_without_a_model_there_is_no_prediction_to_draw(review, clip_folder):
    section = ReportSection(review.controller, parent=review.dock)
    assert not section.report_button.isEnabled()
    review.open(clip_folder)
    assert section.mp4_button.isEnabled()
    assert not section.panels["prediction"].isEnabled()
    assert section.options.panels == ("mask",)
