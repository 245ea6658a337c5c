"""Data sets in the window: recognised, checked, their videos opened, in both docks."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from review_cases import settle

from napari_hogseg.ui import dataset_dock, review_controller
from napari_hogseg.ui.dataset_dock import CHECK, STOP, DataSetDock
from napari_hogseg.ui.review_dock import ReviewDock
from tests.miniature_trees import expected_mask, write_tree


@pytest.fixture
def dock(make_napari_viewer_proxy, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr(review_controller, "default_sessions_root", lambda: tmp_path / "sessions")
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(1280, 800)
    _, dock = viewer.window.add_plugin_dock_widget("napari-hogseg", "Data set")
    dock.viewer = viewer
    dock.wait = lambda condition: qtbot.waitUntil(condition, timeout=20_000)
    yield dock
    dataset_dock._close(dock._stop, dock._opening, dock._checking)


def open_tree(dock, root, name, **quirks) -> None:
    write_tree(name, root, **quirks)
    dock.open(root)
    dock.wait(lambda: dock.dataset is not None)


def rows(table) -> list[list[str]]:
    return [
        [table.topLevelItem(row).text(column) for column in range(table.columnCount())]
        for row in range(table.topLevelItemCount())
    ]


def press(button) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


# --- the dock of its own


def test_a_folder_is_recognised_and_described(dock, tmp_path) -> None:
    assert isinstance(dock, DataSetDock)
    assert not dock.open_button.isEnabled()
    open_tree(dock, tmp_path / "set", "fetreg2021")
    for words in ("4 classes", "18 videos", "Scored by dataset-miou"):
        assert words in dock.about.text()
    assert dock.layouts.currentText() == "fetreg2021 (recognised)"
    assert len(rows(dock.videos)) == 18
    assert rows(dock.videos)[0][0] == "Video001"
    assert [row[0] for row in rows(dock.classes)] == ["background", "vessel", "tool", "fetus"]
    assert dock.open_button.isEnabled()


def test_tasks_on_one_tree_are_chosen_in_the_box(dock, tmp_path) -> None:
    open_tree(dock, tmp_path / "set", "cadis-task1")
    names = [dock.layouts.itemText(row) for row in range(dock.layouts.count())]
    likely = [name for name in names if name.endswith("(recognised)")]
    assert {name.split()[0] for name in likely} == {"cadis-task1", "cadis-task2", "cadis-task3"}
    before = dock.dataset
    position = dock.layouts.findData("cadis-task3")
    dock.layouts.setCurrentIndex(position)
    dock.layouts.activated.emit(position)
    dock.wait(lambda: dock.dataset is not before)
    assert dock.dataset.layout.name == "cadis-task3"
    assert "25 classes" in dock.about.text()
    parts = [row[1] for row in rows(dock.videos)]
    assert (parts.count("train"), parts.count("val"), parts.count("test")) == (19, 3, 3)


def test_a_check_counts_classes_and_names_every_problem(dock, tmp_path) -> None:
    root = tmp_path / "set"
    write_tree("vocalfolds", root)
    masks = sorted(path for path in (root / "masks").rglob("*.png") if not path.name.startswith("."))
    Image.fromarray(np.full((48, 48), 77, np.uint8)).save(masks[0])
    masks[1].write_bytes(b"not a picture")
    dock.open(root)
    dock.wait(lambda: dock.dataset is not None)
    press(dock.check_button)
    assert dock.check_button.text() == STOP
    dock.wait(lambda: dock.check_button.text() == CHECK)
    text = "\n".join(" ".join(row) for row in rows(dock.problems))
    assert "77" in text
    assert masks[1].name in text
    assert dock.tabs.currentWidget() is dock.problems
    assert "problems" in dock.status.text()
    shares = {row[0]: row[1] for row in rows(dock.classes)}
    assert shares["vocal folds"].endswith("%")


def test_a_check_can_be_stopped(dock, tmp_path) -> None:
    open_tree(dock, tmp_path / "set", "cadis-task1", num=8)
    press(dock.check_button)
    press(dock.check_button)
    dock.wait(lambda: dock.check_button.text() == CHECK)
    assert dock.status.text() == "The check was stopped." or "masks read" in dock.status.text()


def test_a_folder_that_is_no_data_set_gets_a_reason(dock, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    dock.open(tmp_path / "empty")
    dock.wait(lambda: "Not a data set" in dock.status.text())
    assert not dock.open_button.isEnabled()


def test_a_video_opens_in_the_review(dock, tmp_path) -> None:
    open_tree(dock, tmp_path / "set", "cholecseg8k")
    dock.videos.setCurrentItem(dock.videos.topLevelItem(2))
    press(dock.open_button)
    _, review = dock.viewer.window.add_plugin_dock_widget("napari-hogseg", "Review")
    assert isinstance(review, ReviewDock)
    dock.wait(lambda: review.controller.session is not None)
    session = review.controller.session
    assert session.clip.part == dock._clips[2]
    height, width = session.store.shape[1:]
    np.testing.assert_array_equal(session.store.mask(0), expected_mask("cholecseg8k", height, width))
    assert review.controller.close()


# --- the box in the review


def test_the_review_says_what_it_opened_and_changes_video_and_task(review, tmp_path) -> None:
    root = tmp_path / "set"
    write_tree("cadis-task2", root, nested="segmentation")
    review.open(root)
    box = review.dock.source.dataset
    assert box.isVisibleTo(review.dock)
    assert "25 videos" in box.about.text()
    review.wait(lambda: "No problem" in box.problems.text())
    review.wait(lambda: box.layouts.count() == 3)
    assert box.clips.itemText(1) == "Video02 (test)"
    before = review.controller.session
    box.clips.activated.emit(1)
    review.wait(lambda: review.controller.session not in (None, before))
    settle(review)
    assert review.controller.session.clip.part.group == "Video02"
    assert box.clips.currentIndex() == 1
    before = review.controller.session
    box.layouts.activated.emit(box.layouts.findData("cadis-task3"))
    review.wait(lambda: review.controller.session not in (None, before))
    settle(review)
    assert review.controller.session.clip.scheme.num_classes == 25
    assert "25 classes" in box.about.text()


def test_details_open_the_other_dock_on_the_same_folder(review, tmp_path) -> None:
    write_tree("fetreg2021", tmp_path / "set")
    review.open(tmp_path / "set")
    press(review.dock.source.dataset.details_button)
    _, dock = review.viewer.window.add_plugin_dock_widget("napari-hogseg", "Data set")
    review.wait(lambda: dock.dataset is not None)
    assert dock.dataset.root == (tmp_path / "set")
    dataset_dock._close(dock._stop, dock._opening, dock._checking)


def test_a_clip_of_no_data_set_hides_the_box(review, tmp_path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(folder / "0.png")
    review.open(folder)
    assert not review.dock.source.dataset.isVisibleTo(review.dock)
