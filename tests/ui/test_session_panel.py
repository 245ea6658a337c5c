"""The session's tab, in a real window: who works, what it took, earlier sessions, merging."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from review_cases import SCHEME, frame_pixels, write_clip

from napari_hogseg.io import images
from napari_hogseg.session.annotations import AnnotationStore
from napari_hogseg.session.ledger import LEDGER_FILE, read_ledger
from napari_hogseg.session.state import read_author
from napari_hogseg.ui.effort_plot import EMPTY_TEXT
from napari_hogseg.ui.effort_section import NO_WORK


def raise_panel(review):
    panel = review.dock.session_panel
    panel.parentWidget().raise_()
    review.wait(panel.isVisible)
    return panel


def test_what_is_corrected_is_signed_and_added_up(review, clip_folder, model_folder):
    review.open(clip_folder)
    section = raise_panel(review).effort
    review.wait(lambda: section.totals.text() == NO_WORK)
    assert section.plot.empty.isVisible()
    assert section.plot.empty.text() == EMPTY_TEXT
    section.author.setFocus()
    section.author.selectAll()
    QTest.keyClicks(section.author, "Ann Other")
    QTest.keyClick(section.author, Qt.Key.Key_Return)
    review.wait(lambda: read_author(review.controller.sessions_root) == "Ann Other")

    review.layer("Ground truth").data_setitem((np.array([0, 0]), np.array([1, 2]), np.array([5, 5])), 3)
    review.wait(lambda: "1 frame, 2 pixels" in section.totals.text())
    assert section.details.text() == "Made into: tool 2"
    assert section.plot.plot.isVisible()
    assert section.plot.frames.yData.tolist() == [0, 1]

    review.load(model_folder)
    review.dock.mending.of_frame.click()
    review.wait(lambda: "Proposed by" in section.details.text())
    assert review.controller.model.predictor.name in section.details.text()
    folder = review.controller.session.store.folder
    assert review.controller.close()
    entries, _ = read_ledger(folder / LEDGER_FILE)
    assert {entry.author for entry in entries} == {"Ann Other"}
    assert [entry.kind for entry in entries[:2]] == ["paint", "accept"]


def shown_clip(review):
    return review.controller.session.path


def rows(section):
    items = [section.list.topLevelItem(row) for row in range(section.list.topLevelItemCount())]
    return [[item.text(column) for column in range(4)] for item in items]


def test_an_earlier_session_opens_where_it_was_left_and_what_is_missing_is_said(
    review, clip_folder, tmp_path
):
    review.open(clip_folder)
    review.goto(2)
    review.layer("Ground truth").data_setitem((np.array([2]), np.array([1]), np.array([5])), 3)
    gone = write_clip(tmp_path / "gone", "clip_gone")
    review.open(gone)
    section = raise_panel(review).recent
    review.wait(
        lambda: [(row[0], *row[2:]) for row in rows(section)] == [("clip_a", "1", "")]
    )  # not the open one

    section.list.setFocus()
    section.list.setCurrentItem(section.list.topLevelItem(0))
    QTest.keyClick(section.list, Qt.Key.Key_Return)
    review.wait(lambda: review.controller.session is not None and shown_clip(review) == clip_folder)
    review.wait(lambda: review.state().frame_index == 2)
    assert review.layer("Ground truth").data[2][1, 5] == 3

    gone.rename(gone.with_name("moved"))
    section.refresh()
    review.wait(lambda: [(row[0], *row[2:]) for row in rows(section)] == [("clip_gone", "0", "clip")])
    at = section.list.visualItemRect(section.list.topLevelItem(0)).center()
    QTest.mouseClick(section.list.viewport(), Qt.MouseButton.LeftButton, pos=at)
    QTest.mouseDClick(section.list.viewport(), Qt.MouseButton.LeftButton, pos=at)
    review.wait(lambda: "not where it was" in review.dock.message.text())
    assert str(gone) in review.dock.message.text()
    assert review.controller.session.path == clip_folder


def test_another_reviewers_session_is_taken_in_as_decided_and_given_back(review, clip_folder, tmp_path):
    review.open(clip_folder)
    session = review.controller.session
    theirs = AnnotationStore(tmp_path / "bob", session.clip.identity, session.clip.truth)
    theirs.records.author = "Bob"
    theirs.paint(1, np.s_[0:4, 0:4], 2)
    theirs.paint(3, np.s_[50:60, 0:10], 0)
    assert theirs.close()
    store = session.store
    store.paint(1, np.s_[2:6, 2:6], 0)
    assert store.flush()
    before = [store.mask(index) for index in range(6)]

    section = raise_panel(review).merge
    section.opened = True
    section.folder.set_folder(tmp_path / "bob")
    review.wait(lambda: section.list.topLevelItemCount() == 1)
    texts = [section.list.topLevelItem(0).text(column) for column in range(5)]
    assert texts == ["1", "pupil", "tool", "4", "?"]
    assert "Bob corrected 2 frames" in section.note.text()
    assert not section.apply_button.isEnabled()

    section.list.setFocus()
    section.list.setCurrentItem(section.list.topLevelItem(0))
    QTest.keyClick(section.list, Qt.Key.Key_Return)
    review.wait(lambda: review.state().frame_index == 1)
    review.wait(section.pictures.isVisible)
    for label, class_id in zip(section.pictures.pictures, (0, 2), strict=True):
        image = label.pixmap().toImage()
        at = round(2.5 * image.width() / 48)  # the frame's corner, 48 pixels wide
        filled = 0.55 * frame_pixels(1)[2, 2] + 0.45 * SCHEME.color_table()[class_id]
        np.testing.assert_allclose(image.pixelColor(at, at).getRgb()[:3], filled, atol=1)
    QTest.mouseClick(section.theirs_button, Qt.MouseButton.LeftButton)
    assert section.list.topLevelItem(0).text(4) == "theirs"
    QTest.mouseClick(section.apply_button, Qt.MouseButton.LeftButton)
    review.wait(lambda: section.note.text().startswith("Took over 2 frames"))
    layer = review.layer("Ground truth")
    assert (layer.data[1][0:4, 0:4] == 3).all()
    assert (layer.data[3][50:60, 0:10] == 1).all()
    kept = store.folder / "set-aside" / "before-merge" / "masks" / "0001.png"
    np.testing.assert_array_equal(images.read_mask(kept), before[1])

    QTest.mouseClick(section.back_button, Qt.MouseButton.LeftButton)
    review.wait(lambda: section.note.text().startswith("Took back"))
    for index in range(6):
        np.testing.assert_array_equal(store.mask(index), before[index])


def test_a_folder_that_is_no_session_of_this_clip_is_refused(review, clip_folder, tmp_path):
    review.open(clip_folder)
    section = raise_panel(review).merge
    section.folder.set_folder(tmp_path)
    review.wait(lambda: "Not a session folder" in review.dock.message.text())
    assert not section.apply_button.isVisible()
    section.folder.set_folder(review.controller.session.store.folder)
    review.wait(lambda: "session that is open" in review.dock.message.text())
