"""Checking data sets: the counts by hand, every kind of problem planted in real trees and found."""

from __future__ import annotations

import json
import shutil
import threading
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_hogseg.data.check_report import Kind
from napari_hogseg.data.checking import check_dataset
from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError
from tests import miniature_trees
from tests.unit.data.trees import write_tree

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hogseg.data.check_report import CheckReport


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "toy", {"a": 4, "b": 3})


def only(report: CheckReport, kind: Kind) -> str:
    """The one problem of a kind, as a line."""
    (problem,) = report.of_kind(kind)
    return f"{problem.where}: {problem.what}. {problem.remedy}"


def test_a_clean_tree_is_counted_as_by_hand(tree: Path) -> None:
    told = []
    report = check_dataset(tree, on_frame=lambda done, total: told.append((done, total)))
    assert report.problems == ()
    assert (report.layout, report.protocol) == ("folders", "dataset-miou")
    assert (report.num_frames, report.num_masks, report.num_groups) == (7, 7, 2)
    assert (report.num_frames_read, report.num_masks_read) == (7, 7)
    assert report.sizes == {"64x48": 7}
    assert told == [(count, 7) for count in range(1, 8)]
    masks = [np.asarray(Image.open(path)) for path in sorted((tree / "masks").rglob("*.png"))]
    for row, value in zip(report.classes, (0, 1, 2, IGNORE), strict=True):
        assert row.num_pixels == sum(int((mask == value).sum()) for mask in masks)
        assert row.num_frames == sum(bool((mask == value).any()) for mask in masks)
    assert sum(row.share for row in report.classes) == pytest.approx(1)


@pytest.mark.parametrize("name", miniature_trees.LAYOUT_NAMES)
def test_every_public_set_passes_with_its_classes_and_splits(tmp_path: Path, name: str) -> None:
    miniature_trees.write_tree(name, tmp_path)
    report = check_dataset(tmp_path, name)
    assert report.errors == ()
    assert {problem.kind for problem in report.notes} <= {Kind.MAC_FILE, Kind.ABSENT_CLASS}
    assert report.num_masks_read == report.num_masks == report.num_frames > 0
    dataset = open_dataset(tmp_path, name)
    counts = Counter()
    for sample in dataset.samples:
        values, pixels = np.unique(dataset.read_mask(sample), return_counts=True)
        counts.update(dict(zip(values.tolist(), pixels.tolist(), strict=True)))
    ids = [*range(dataset.scheme.num_classes), IGNORE]
    assert [row.num_pixels for row in report.classes] == [counts[class_id] for class_id in ids]
    assert [row.name for row in report.splits] == list(dataset.layout.splits)
    assert all(not row.unusable and row.num_frames["train"] > 0 for row in report.splits)
    json.dumps(report.to_json())


def test_the_official_split_of_cadis_is_counted(tmp_path: Path) -> None:
    miniature_trees.write_tree("cadis-task2", tmp_path)
    (official,) = check_dataset(tmp_path, "cadis-task2").splits
    assert official.num_frames == {"train": 19, "val": 3, "test": 3}


def test_tasks_that_share_a_tree_are_told_and_one_is_checked(tmp_path: Path) -> None:
    miniature_trees.write_tree("cadis-task3", tmp_path)
    report = check_dataset(tmp_path)
    assert report.layout == "cadis-task1"
    assert "cadis-task1, cadis-task2, cadis-task3" in only(report, Kind.SEVERAL_LAYOUTS)
    assert "--layout" in only(report, Kind.SEVERAL_LAYOUTS)
    assert {item.name for item in report.candidates} == {"cadis-task1", "cadis-task2", "cadis-task3"}
    assert all("25 frames in 25 groups" in item.evidence[0] for item in report.candidates)
    assert report.errors == ()


def test_part_of_a_set_is_no_error_but_its_split_cannot_be_used(tmp_path: Path) -> None:
    miniature_trees.write_tree("cadis-task1", tmp_path, videos=(1, 5))
    report = check_dataset(tmp_path, "cadis-task1")
    assert report.errors == ()
    assert "Video02" in only(report, Kind.SPLIT_UNUSABLE)
    assert "Complete the data set" in only(report, Kind.SPLIT_UNUSABLE)
    assert report.splits[0].num_frames == {}


def break_everything(tree: Path) -> None:
    """Plant one problem of every kind; the names in the test below say where."""
    frames, masks = tree / "images", tree / "masks"
    (frames / "a" / "frame_0.png").write_bytes(b"\x89PNG no more")
    half = (masks / "a" / "frame_1.png").read_bytes()
    (masks / "a" / "frame_1.png").write_bytes(half[: len(half) // 2])
    images.write_mask(masks / "a" / "frame_2.png", np.full((48, 64), 77, np.uint8))
    images.write_mask(masks / "a" / "frame_3.png", np.zeros((24, 64), np.uint8))
    (frames / "b" / "frame_0.png").unlink()
    (masks / "b" / "frame_1.png").unlink()
    (frames / "c").mkdir()
    shutil.copy(frames / "b" / "frame_2.png", frames / "a" / "frame_9.png")
    (frames / "a" / "._frame_0.png").write_bytes(b"\0\5\26\7")
    images.write_mask(masks / "b" / "frame_2.png", np.zeros((48, 64), np.uint8))


def test_every_problem_of_a_wrong_tree_stands_in_one_report(tree: Path) -> None:
    break_everything(tree)
    report = check_dataset(tree)
    assert only(report, Kind.UNREADABLE_FRAME).startswith("images/a/frame_0.png: Not a picture")
    assert only(report, Kind.UNREADABLE_MASK).startswith("masks/a/frame_1.png: The picture is damaged")
    assert only(report, Kind.UNKNOWN_VALUES).startswith("masks/a/frame_2.png: Mask values [77] are not")
    assert only(report, Kind.SIZE_MISMATCH).startswith(
        "masks/a/frame_3.png: The mask is 64x24 but its frame is 64x48"
    )
    assert only(report, Kind.MASK_WITHOUT_FRAME).startswith("masks/b/frame_0.png: ")
    assert only(report, Kind.SAME_PICTURE).startswith(
        "images/b/frame_2.png: The same picture as images/a/frame_9.png of group a"
    )
    assert only(report, Kind.EMPTY_GROUP).startswith("images/c: The folder is empty")
    assert only(report, Kind.MAC_FILE).startswith("images/a/._frame_0.png")
    without = {problem.where for problem in report.of_kind(Kind.FRAME_WITHOUT_MASK)}
    assert without == {"images/a/frame_9.png", "images/b/frame_1.png"}
    assert len(report.errors) == 6
    assert [kind for kind in Kind if report.of_kind(kind)] == list(
        dict.fromkeys(problem.kind for problem in report.problems)
    )
    assert (report.num_frames, report.num_frames_read, report.num_masks, report.num_masks_read) == (
        7,
        6,
        5,
        3,
    )


def test_the_json_holds_every_problem(tree: Path) -> None:
    break_everything(tree)
    report = check_dataset(tree)
    content = json.loads(json.dumps(report.to_json()))
    assert len(content["problems"]) == len(report.problems)
    assert content["num_errors"] == 6
    assert content["num_masks_without_frame"] == 1
    assert content["num_frames_without_mask"] == 2
    assert content["problems"][0]["kind"] == "unreadable frame"
    assert content["problems"][0]["is_error"]
    assert content["classes"][-1]["name"] == "(ignored)"


def test_a_class_that_never_occurs_is_named(tree: Path) -> None:
    for path in (tree / "masks").rglob("*.png"):
        mask = images.read_mask(path)
        images.write_mask(path, np.where(mask == 2, 0, mask).astype(np.uint8))
    report = check_dataset(tree)
    assert report.errors == ()
    assert "None of the 7 masks that were read holds 'tissue'" in only(report, Kind.ABSENT_CLASS)


def test_a_group_without_any_mask_is_told(tree: Path) -> None:
    shutil.rmtree(tree / "masks" / "b")
    report = check_dataset(tree)
    assert only(report, Kind.EMPTY_GROUP).startswith("b: No frame of this group has a mask")
    assert len(report.of_kind(Kind.FRAME_WITHOUT_MASK)) == 3
    assert report.errors == ()


def test_a_copy_saved_anew_is_found_but_black_frames_are_not(tree: Path) -> None:
    picture = Image.open(tree / "images" / "a" / "frame_0.png")
    picture.save(tree / "images" / "b" / "frame_0.png", compress_level=1, optimize=True)
    black = Image.fromarray(np.zeros((48, 64, 3), np.uint8))
    black.save(tree / "images" / "a" / "frame_3.png")
    black.save(tree / "images" / "b" / "frame_2.png")
    assert only(check_dataset(tree), Kind.SAME_PICTURE).startswith("images/b/frame_0.png")


def test_pictures_shared_within_one_recording_are_no_leak(tmp_path: Path) -> None:
    miniature_trees.write_tree("vocalfolds", tmp_path)
    frames = tmp_path / "images"
    source = sorted((frames / "patient2_seq6").glob("0*"))[0]
    target = sorted((frames / "patient2_seq7").glob("0*"))[0]
    shutil.copy(source, target)
    assert check_dataset(tmp_path, "vocalfolds").errors == ()
    shutil.copy(source, sorted((frames / "patient2_seq5").glob("0*"))[0])
    told = check_dataset(tmp_path, "vocalfolds").of_kind(Kind.SAME_PICTURE)
    assert {problem.where.split("/")[1] for problem in told} == {"patient2_seq6", "patient2_seq7"}


@pytest.mark.parametrize("name", miniature_trees.LAYOUT_NAMES)
def test_a_mask_whose_frame_is_gone_is_found_in_every_layout(tmp_path: Path, name: str) -> None:
    miniature_trees.write_tree(name, tmp_path)
    sample = open_dataset(tmp_path, name).samples[0]
    sample.image_path.unlink()
    report = check_dataset(tmp_path, name)
    root = tmp_path
    missing = {problem.where for problem in report.of_kind(Kind.MASK_WITHOUT_FRAME)}
    expected = sample.layer_paths or (sample.mask_path,)
    if name == "sar-rarp50":  # its frames are one file: with the video all its masks are left alone
        expected = tuple(sample.mask_path.parent.glob("0*.png"))
    assert missing == {path.relative_to(root).as_posix() for path in expected if path.is_file()}


@pytest.mark.parametrize("published", [False, True])
def test_both_trees_of_vocalfolds_are_checked(tmp_path: Path, published: bool) -> None:
    miniature_trees.write_tree("vocalfolds", tmp_path, published=published)
    report = check_dataset(tmp_path)
    assert report.layout == "vocalfolds"
    assert report.errors == ()


def test_an_unknown_instrument_folder_is_a_problem_of_every_frame_it_holds(tmp_path: Path) -> None:
    miniature_trees.write_tree("endovis2017-types", tmp_path, training=(1, 2), test=())
    sample = open_dataset(tmp_path, "endovis2017-types").samples[0]
    folder = sample.mask_path.parents[1] / "Laser_labels"
    folder.mkdir()
    shutil.copy(sample.mask_path, folder)
    assert "Laser_labels" in only(check_dataset(tmp_path, "endovis2017-types"), Kind.UNKNOWN_VALUES)


def test_quick_reads_a_few_of_each_group_and_counts_all(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "toy", {"a": 9, "b": 2})
    report = check_dataset(tree, quick=True)
    assert report.is_quick
    assert (report.num_frames, report.num_frames_read, report.num_masks_read) == (11, 5, 5)


def test_a_folder_that_is_no_data_set_says_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    assert "images/<group>/<name>" in only(check_dataset(tmp_path), Kind.NO_DATASET)
    told = only(check_dataset(tmp_path, "fetreg2021"), Kind.NO_DATASET)
    assert "VideoNNN/images/VideoNNN_frameN.png with VideoNNN/labels/VideoNNN_frameN.png" in told
    assert "Unknown layout" in only(check_dataset(tmp_path, "cadis"), Kind.NO_DATASET)
    with pytest.raises(InputError, match="No such folder"):
        check_dataset(tmp_path / "nowhere")


def test_a_tree_of_another_set_names_what_it_may_be(tmp_path: Path) -> None:
    miniature_trees.write_tree("fetreg2021", tmp_path)
    report = check_dataset(tmp_path, "endovis2018")
    assert report.of_kind(Kind.NO_DATASET)
    assert [item.name for item in report.candidates] == ["fetreg2021"]


def test_a_damaged_class_table_is_reported(tree: Path) -> None:
    (tree / "dataset.toml").write_text("name =")
    assert "Not a class table" in only(check_dataset(tree), Kind.NO_DATASET)


def test_an_interruption_ends_the_threads(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "toy", {"a": 12})

    def interrupt(done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_dataset(tree, on_frame=interrupt)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("check")]


def test_the_real_frames_are_clean(shared_data: Path) -> None:
    report = check_dataset(shared_data / "vocalfolds")
    assert (report.layout, report.num_masks_read, report.num_groups) == ("vocalfolds", 192, 3)
    assert report.sizes == {"512x512": 192}
    assert report.errors == ()
    assert [problem.where for problem in report.notes] == ["pathology"]
    assert sum(row.num_pixels for row in report.classes) == 192 * 512 * 512
