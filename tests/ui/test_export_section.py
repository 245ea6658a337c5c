"""Export and import from the dock: in the background, with a bar, and nothing painted is lost."""

from __future__ import annotations

import time

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog
from review_cases import NUM_FRAMES, truth_mask

from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.ui import export_section
from napari_hogseg.ui.export_section import STOPPED, ExportSection


@pytest.fixture
def case(review, clip_folder):
    """An open clip, its section docked, frame 1 corrected."""
    section = ExportSection(review.controller)
    review.viewer.window.add_dock_widget(section, name="Export and import", area="right")
    assert not section.export_button.isEnabled()
    review.open(clip_folder)
    review.section, review.store = section, review.controller.session.store
    review.store.paint(1, np.s_[:9], 2)
    assert review.store.flush()
    review.mine = review.store.mask(1)
    return review


def run(case, action, *arguments):
    """Do something and wait until it ended."""
    action(*arguments)
    assert case.section.busy
    assert case.section.cancel_button.isVisibleTo(case.section)
    case.wait(lambda: not case.section.busy)
    return case.section.note.text()


def choose(section, name):
    section.formats.setCurrentIndex(section.formats.findData(name))


def test_out_by_the_button_and_in_again_shown_and_taken_back(case, tmp_path, monkeypatch):
    section = case.section
    choose(section, "coco")
    assert "run lengths" in section.about.text()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    run(case, section.export_button.click)
    out = tmp_path / "clip_a-coco"
    assert str(out) in section.note.text()
    opened = []
    monkeypatch.setattr(export_section.QDesktopServices, "openUrl", opened.append)
    section.open_button.click()
    assert opened[0].toLocalFile() == str(out)
    run(case, section.export_button.click)  # beside it, never over it
    assert (tmp_path / "clip_a-coco-2" / "annotations" / "instances_default.json").is_file()

    case.goto(1)
    case.store.paint(1, np.s_[:], 0)
    told = []
    section.painted.connect(told.append)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(next(out.rglob("*.json"))), ""))
    text = run(case, section.import_button.click)
    assert "Imported 1 frame" in text
    assert told == [(1,)]
    np.testing.assert_array_equal(case.store.mask(1), case.mine)
    shown = case.controller.truth_layer
    case.wait(lambda: np.array_equal(np.asarray(shown.data[1]), case.mine + 1))
    assert section.back_button.isVisibleTo(section)
    assert "Frames taken back: 1." in run(case, section.back_button.click)
    assert (case.store.mask(1) == 0).all()
    assert not section.back_button.isVisibleTo(section)


def test_all_frames_with_pictures(case, tmp_path):
    section = case.section
    section.frames.setCurrentIndex(section.frames.findData("all"))
    section.pictures.setChecked(True)
    run(case, section.export_to, tmp_path / "out")
    assert len(list((tmp_path / "out" / "images" / "clip_a").glob("*.png"))) == NUM_FRAMES
    assert len(list((tmp_path / "out" / "masks" / "clip_a").glob("*.png"))) == NUM_FRAMES


def test_a_refusal_is_said_in_the_dock(case, clip_folder, tmp_path):
    section, said = case.section, []
    case.controller.failed.connect(said.append)
    run(case, section.export_to, clip_folder / "new")
    assert "not written into the data" in said[-1]
    assert "not written into the data" in section.note.text()
    assert not (clip_folder / "new").exists()
    (tmp_path / "bad").mkdir()
    run(case, section.import_from, tmp_path / "bad")
    assert "no PNG masks" in said[-1]
    assert section.import_button.isEnabled()


def test_cancel_leaves_nothing(case, tmp_path):
    section = case.section
    section.frames.setCurrentIndex(section.frames.findData("all"))
    section.export_to(tmp_path / "out")
    section.cancel_button.click()
    case.wait(lambda: not section.busy)
    # It may have ended before the button was pressed; never half of it is there.
    done = section.note.text() != STOPPED
    assert (tmp_path / "out").exists() == done
    assert not list(tmp_path.glob(".*.tmp"))


def test_cancelled_while_a_slow_one_writes(case, tmp_path, monkeypatch):
    section = case.section

    def slow(*_arguments, on_frame, **_more):
        while True:
            on_frame(1, 9)
            time.sleep(0.02)  # each is drawn: a thousand a second are a window that stands still

    monkeypatch.setattr(export_section, "export_review", slow)
    section.export_to(tmp_path / "out")
    case.wait(lambda: section.note.text() == "Frame 1 of 9")
    section.cancel_button.click()
    case.wait(lambda: not section.busy)
    assert section.note.text() == STOPPED


def test_what_no_shape_covers_becomes_the_class_one_chooses(case, tmp_path):
    section = case.section
    assert not section.rest.isEnabled()  # index PNGs say it for every pixel
    choose(section, "yolo")
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "0002.txt").write_text("0 0 0 0.5 0 0.5 1 0 1\n")
    section.rest.setCurrentIndex(section.rest.findText("tool"))
    run(case, section.import_from, folder)
    expected = np.full_like(truth_mask(2), 2)
    expected[:, :64] = 0
    np.testing.assert_array_equal(case.store.mask(2), expected)
    (folder / "0002.txt").write_text("")
    section.rest.setCurrentIndex(section.rest.findData(IGNORE))
    assert "left as they are" in run(case, section.import_from, folder)
    section.erase.setChecked(True)
    run(case, section.import_from, folder)
    assert (case.store.mask(2) == IGNORE).all()


def test_another_clip_begins_anew(case, clip_folder, tmp_path):
    run(case, case.section.export_to, tmp_path / "out")
    case.store.paint(1, np.s_[:], 0)
    run(case, case.section.import_from, tmp_path / "out")
    assert case.section.back_button.isVisibleTo(case.section)
    case.open(clip_folder)
    assert not case.section.back_button.isVisibleTo(case.section)
    assert case.section.note.text() == ""
