"""The public data sets on miniature trees: every quirk of theirs that has led others to wrong numbers."""

from __future__ import annotations

import shutil
import zlib
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.data.splits import LeakageError, split_samples
from napari_hogseg.io.errors import InputError
from tests.miniature_trees import LAYOUT_NAMES, expected_mask, sar_frame, save, write_tree

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hogseg.data.layouts import DataSet

#: Frames and groups of each miniature tree, counted by hand.
SIZES = {
    "autolaparo": (4, 1),
    "cadis-task1": (25, 25),
    "cadis-task2": (25, 25),
    "cadis-task3": (25, 25),
    "cholecseg8k": (6, 2),
    "endovis2017-binary": (18, 18),
    "endovis2017-cropped-binary": (18, 18),
    "endovis2017-cropped-parts": (18, 18),
    "endovis2017-cropped-types": (18, 18),
    "endovis2017-parts": (18, 18),
    "endovis2017-types": (18, 18),
    "endovis2018": (3, 3),
    "fetreg2021": (18, 18),
    "kvasir-instrument": (6, 1),
    "sar-rarp50": (28, 13),
    "vocalfolds": (6, 3),
}

TASKS = ("binary", "parts", "types")


def opened(name: str, root: Path, **quirks: object) -> DataSet:
    write_tree(name, root, **quirks)
    return open_dataset(root, name)


def assert_masks(dataset: DataSet, **size: int) -> None:
    """Every frame has a mask, and its class ids are those worked out by hand."""
    for sample in dataset.samples:
        frame, mask = dataset.read_pair(sample)
        assert frame.dtype == mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, expected_mask(dataset.layout.name, **size))


@pytest.mark.parametrize("name", LAYOUT_NAMES)
def test_frames_groups_and_class_ids(tmp_path: Path, name: str) -> None:
    """With `._` files, Thumbs.db and a hidden folder in every tree."""
    dataset = opened(name, tmp_path)
    assert (len(dataset.samples), len(dataset.groups)) == SIZES[name]
    assert_masks(dataset)


@pytest.mark.parametrize(
    "name", [name for name in LAYOUT_NAMES if name not in ("kvasir-instrument", "endovis2017-binary")]
)
def test_unknown_value_is_named_with_its_file(tmp_path: Path, name: str) -> None:
    """But for the two whose tables give every grey a meaning."""
    dataset = opened(name, tmp_path)
    sample = dataset.samples[0]
    mask = cv2.imread(str(sample.mask_path), cv2.IMREAD_UNCHANGED)
    mask[:2, :2] = 77
    cv2.imwrite(str(sample.mask_path), mask)
    if name == "endovis2017-types":  # in the training tree any grey is the instrument
        assert dataset.read_mask(sample)[0, 0] > 0
        return
    with pytest.raises(InputError, match=r"77.*have no meaning in layout") as caught:
        dataset.read_mask(sample)
    assert sample.mask_path.name in str(caught.value)


@pytest.mark.parametrize("name", ["cadis-task2", "cholecseg8k", "fetreg2021", "endovis2018"])
def test_damage_of_the_first_mask(tmp_path: Path, name: str) -> None:
    for quirk, said in (
        ("wrong_size", "but its frame is"),
        ("damaged_mask", "damaged"),
        ("missing_mask", "no mask"),
    ):
        dataset = opened(name, tmp_path / quirk, **{quirk: True})
        with pytest.raises(InputError, match=said):
            dataset.read_pair(dataset.samples[0])


class TestCadis:
    @pytest.mark.parametrize("nested", ["segmentation", "CaDISv2", "CaDISv2/segmentation"])
    def test_nested_roots(self, tmp_path: Path, nested: str) -> None:
        assert_masks(opened("cadis-task2", tmp_path, nested=nested, videos=(1, 25)))

    def test_folder_is_padded_and_file_name_is_not(self, tmp_path: Path) -> None:
        sample = opened("cadis-task1", tmp_path, videos=(5,)).samples[0]
        assert sample.group == "Video05"
        assert sample.image_path.name == "Video5_frame000000.png"

    def test_rare_instruments_are_ignored_not_classes_17_and_25(self, tmp_path: Path) -> None:
        write_tree("cadis-task2", tmp_path, videos=(1,))
        ignored = {}
        for task in (1, 2, 3):
            dataset = open_dataset(tmp_path, f"cadis-task{task}")
            ids = dataset.read_mask(dataset.samples[0])
            assert ids[ids != 255].max() == dataset.scheme.num_classes - 1
            ignored[task] = int((ids == 255).sum()) // (48 * 2)  # stripes of 48 x 2, one per raw class
        assert ignored == {1: 0, 2: 7, 3: 11}

    def test_official_split(self, tmp_path: Path) -> None:
        split = split_samples(opened("cadis-task3", tmp_path), split="official")
        groups = {part: {sample.group for sample in split.part(part)} for part in ("train", "val", "test")}
        assert groups["val"] == {"Video05", "Video07", "Video16"}
        assert groups["test"] == {"Video02", "Video12", "Video22"}
        assert len(groups["train"]) == 19

    def test_official_split_of_half_a_copy_is_refused(self, tmp_path: Path) -> None:
        dataset = opened("cadis-task3", tmp_path, videos=range(1, 13))
        with pytest.raises(InputError, match="groups that are not here: Video16, Video22"):
            split_samples(dataset, split="official")

    def test_two_copies_in_one_root_are_refused(self, tmp_path: Path) -> None:
        write_tree("cadis-task1", tmp_path, videos=(1,), leftovers=False)
        shutil.copytree(tmp_path / "Video01", tmp_path / "CaDISv2" / "Video01")
        with pytest.raises(InputError, match="Two files are the frame Video01/Video1_frame000000"):
            open_dataset(tmp_path, "cadis-task1")


class TestEndoVis2017:
    @pytest.mark.parametrize("task", TASKS)
    @pytest.mark.parametrize("nested_gt", ["gt", "ground_truth"])
    def test_nested_ground_truth_of_the_test(self, tmp_path: Path, task: str, nested_gt: str) -> None:
        dataset = opened(f"endovis2017-{task}", tmp_path, nested_gt=nested_gt, training=(1,), test=(1, 9))
        groups = ("instrument_dataset_1", "test_instrument_dataset_1", "test_instrument_dataset_9")
        assert dataset.groups == groups
        assert_masks(dataset)

    @pytest.mark.parametrize("task", TASKS)
    def test_frames_and_ground_truth_handed_out_apart(self, tmp_path: Path, task: str) -> None:
        dataset = opened(
            f"endovis2017-{task}", tmp_path, apart=True, nested_gt="gt", training=(2,), test=(2, 10)
        )
        assert [sample.tree for sample in dataset.samples] == ["training", "test", "test"]
        assert_masks(dataset)

    @pytest.mark.parametrize("task", TASKS)
    def test_crop_of_whole_frames(self, tmp_path: Path, task: str) -> None:
        """1920x1080 is cut at (320, 28) to 1280x1024, frame and mask; 80x64 in the other tests is not."""
        dataset = opened(f"endovis2017-{task}", tmp_path, full_size=True, training=(1,), test=(9,))
        assert_masks(dataset, height=1024, width=1280)
        whole = cv2.imread(str(dataset.samples[0].image_path))[..., ::-1]
        np.testing.assert_array_equal(
            dataset.read_frame(dataset.samples[0]), whole[28 : 28 + 1024, 320 : 320 + 1280]
        )

    def test_folder_spellings_and_three_channels(self, tmp_path: Path) -> None:
        """Sequences 1 to 3 take the spellings in turn, each with grey and three-channel files."""
        dataset = opened("endovis2017-types", tmp_path, training=(1, 2, 3), test=())
        folders = {path.parent.name for sample in dataset.samples for path in sample.layer_paths}
        assert {"bipolar forceps", "Prograsp_Forceps", "VESSEL_SEALER"} <= folders
        assert {"Large_Needle_Driver_Left_labels", "Large_Needle_Driver_Right_labels"} <= folders
        shapes = {
            cv2.imread(str(path), cv2.IMREAD_UNCHANGED).ndim
            for sample in dataset.samples
            for path in sample.layer_paths
        }
        assert shapes == {2, 3}
        assert_masks(dataset)

    def test_left_and_right_of_one_instrument(self, tmp_path: Path) -> None:
        write_tree("endovis2017-types", tmp_path, training=(3,), test=(), leftovers=False)
        folder = next(tmp_path.rglob("Left_Prograsp_Forceps_labels"))
        right = np.zeros((64, 80), np.uint8)
        right[:5, :5] = 10  # over the background
        save(folder.with_name("Right_Prograsp_Forceps_labels") / "frame000.png", right)
        dataset = open_dataset(tmp_path, "endovis2017-types")
        expected = expected_mask("endovis2017-types").copy()
        expected[:5, :5] = 2
        np.testing.assert_array_equal(dataset.read_mask(dataset.samples[0]), expected)

    def test_an_instrument_nobody_knows_is_an_error(self, tmp_path: Path) -> None:
        write_tree("endovis2017-types", tmp_path, training=(3,), test=(), leftovers=False)
        next(tmp_path.rglob("Left_Prograsp_Forceps_labels")).rename(
            next(tmp_path.rglob("ground_truth")) / "Stapler_labels"
        )
        dataset = open_dataset(tmp_path, "endovis2017-types")
        with pytest.raises(InputError, match="'Stapler_labels' is no instrument"):
            dataset.read_mask(dataset.samples[0])

    def test_a_file_missing_in_one_instrument_folder_is_an_error(self, tmp_path: Path) -> None:
        write_tree("endovis2017-types", tmp_path, training=(1,), test=(), leftovers=False)
        path = next(tmp_path.rglob("Vessel_Sealer_labels/frame000.png"))
        path.rename(path.with_name("frame001.png"))
        dataset = open_dataset(tmp_path, "endovis2017-types")
        with pytest.raises(InputError, match="No such file") as caught:
            dataset.read_mask(dataset.samples[0])
        assert path.parent.name in str(caught.value)

    @pytest.mark.parametrize("fold", range(4))
    def test_folds_validate_within_videos_1_to_8(self, tmp_path: Path, fold: int) -> None:
        split = split_samples(opened("endovis2017-parts", tmp_path), split=f"fold-{fold}")
        held_out = [{1, 3}, {2, 5}, {4, 8}, {6, 7}][fold]
        assert {sample.group for sample in split.val} == {f"instrument_dataset_{k}" for k in held_out}
        assert len(split.train) == 6
        assert {sample.group for sample in split.test} == {
            "test_instrument_dataset_9",
            "test_instrument_dataset_10",
        }

    def test_folds_need_no_test_data(self, tmp_path: Path) -> None:
        split = split_samples(opened("endovis2017-binary", tmp_path, test=()), split="fold-0")
        assert [len(split.part(part)) for part in ("train", "val", "test")] == [6, 2, 0]

    def test_test_videos_neither_train_nor_select(self, tmp_path: Path) -> None:
        dataset = opened("endovis2017-binary", tmp_path)
        with pytest.raises(LeakageError, match="test_instrument_dataset_9 may only be tested on"):
            split_samples(dataset, val=["test_instrument_dataset_9"])
        assert {sample.group for sample in split_samples(dataset).train} == {
            f"instrument_dataset_{k}" for k in range(1, 9)
        }

    def test_continuations_are_one_recording_and_the_official_split_says_so(self, tmp_path: Path) -> None:
        dataset = opened("endovis2017-binary", tmp_path)
        with pytest.raises(LeakageError, match="one recording"):
            split_samples(dataset, test=["test_instrument_dataset_3"])
        official = split_samples(dataset, split="official")
        assert [len(official.part(part)) for part in ("train", "val", "test")] == [8, 0, 10]
        assert "same recordings" in official.caution
        assert len(split_samples(dataset, split="unseen").test) == 2

    def test_cropped_test_opened_alone_is_not_taken_for_training(self, tmp_path: Path) -> None:
        write_tree("endovis2017-cropped-parts", tmp_path)
        dataset = open_dataset(tmp_path / "cropped_test", "endovis2017-cropped-parts")
        assert all(group.startswith("test_") for group in dataset.groups)
        assert open_dataset(tmp_path / "cropped_train", "endovis2017-cropped-parts").groups == tuple(
            f"instrument_dataset_{k}" for k in range(1, 9)
        )

    def test_a_copy_in_a_folder_named_data_is_not_taken_for_the_test(self, tmp_path: Path) -> None:
        write_tree("endovis2017-cropped-parts", tmp_path)
        (tmp_path / "cropped_train").rename(tmp_path / "data")
        dataset = open_dataset(tmp_path, "endovis2017-cropped-parts")
        assert dataset.groups[0] == "instrument_dataset_1"
        assert len(dataset.groups) == 18

    def test_factors_of_the_cropped_variant(self, tmp_path: Path) -> None:
        raw = {}
        for task in TASKS:
            dataset = opened(f"endovis2017-cropped-{task}", tmp_path / task)
            raw[task] = set(np.unique(cv2.imread(str(dataset.samples[0].mask_path), cv2.IMREAD_UNCHANGED)))
        assert raw == {"binary": {0, 255}, "parts": {0, 85, 170, 255}, "types": set(range(0, 225, 32))}

    def test_coding_of_the_official_test(self, tmp_path: Path) -> None:
        dataset = opened("endovis2017-parts", tmp_path, training=(), test=(9,))
        raw = cv2.imread(str(dataset.samples[0].mask_path), cv2.IMREAD_UNCHANGED)
        ids = dataset.read_mask(dataset.samples[0])
        meaning = {30: "shaft", 100: "wrist", 255: "claspers", 200: "probe", 0: "background"}
        assert {int(v): dataset.scheme.classes[ids[raw == v][0]] for v in np.unique(raw)} == meaning


class TestCholecSeg8k:
    @pytest.mark.parametrize("num_channels", [1, 3, 4])
    def test_watershed_masks_of_any_depth(self, tmp_path: Path, num_channels: int) -> None:
        dataset = opened("cholecseg8k", tmp_path, num_channels=num_channels)
        assert all(sample.mask_path.name.endswith("_watershed_mask.png") for sample in dataset.samples)
        assert_masks(dataset)

    def test_group_is_the_video_not_the_clip(self, tmp_path: Path) -> None:
        dataset = opened("cholecseg8k", tmp_path)
        assert dataset.groups == ("video01", "video12")
        assert dataset.samples[0].sample_id == "video01/video01_00080/frame_80_endo"
        assert sum(sample.group == "video01" for sample in dataset.samples) == 4


class TestFetReg:
    @pytest.mark.parametrize("fold", range(6))
    def test_six_folds(self, tmp_path: Path, fold: int) -> None:
        videos = [(1, 6, 16), (2, 11, 18), (4, 19, 23), (3, 5, 14), (7, 8, 22), (9, 13, 17)][fold]
        split = split_samples(opened("fetreg2021", tmp_path), split=f"fold-{fold}")
        assert {sample.group for sample in split.val} == {f"Video{video:03d}" for video in videos}
        assert len(split.train) == 15

    def test_nested_root(self, tmp_path: Path) -> None:
        assert_masks(opened("fetreg2021", tmp_path, nested="FetReg2021_Task1_Segmentation"))


class TestKvasir:
    def test_split_by_lists(self, tmp_path: Path) -> None:
        split = split_samples(opened("kvasir-instrument", tmp_path), split="official")
        assert [sample.sample_id[-1] for sample in split.train] == list("abcd")
        assert [sample.sample_id[-1] for sample in split.test] == list("ef")
        assert split.val == ()
        assert "patient" in split.caution

    def test_lists_with_suffixes_and_windows_line_ends(self, tmp_path: Path) -> None:
        dataset = opened("kvasir-instrument", tmp_path)
        lines = (tmp_path / "train.txt").read_text("utf-8").split()
        (tmp_path / "train.txt").write_bytes("".join(f"{line}.jpg\r\n" for line in lines).encode())
        assert len(split_samples(dataset, split="official").train) == 4

    @pytest.mark.parametrize(
        ("text", "error", "said"),
        [
            ("ckcu9jucf00083b5ytpqoue7a", LeakageError, "stands in both train and test"),
            ("ckcu0000000000000000000zz", InputError, "1 frames of the list are not here"),
        ],
    )
    def test_bad_lists(self, tmp_path: Path, text: str, error: type[InputError], said: str) -> None:
        dataset = opened("kvasir-instrument", tmp_path)
        (tmp_path / "test.txt").write_text(text, "utf-8")
        with pytest.raises(error, match=said):
            split_samples(dataset, split="official")

    def test_missing_list(self, tmp_path: Path) -> None:
        dataset = opened("kvasir-instrument", tmp_path)
        (tmp_path / "test.txt").unlink()
        with pytest.raises(InputError, match=r"list test\.txt is missing"):
            split_samples(dataset, split="official")

    def test_greys_at_edges_are_halved(self, tmp_path: Path) -> None:
        assert_masks(opened("kvasir-instrument", tmp_path, blurred=True))


class TestSarRarp50:
    def test_frame_is_the_one_the_mask_is_numbered_after(self, tmp_path: Path) -> None:
        dataset = opened("sar-rarp50", tmp_path, videos=("video_1",))
        assert [sample.frame_index for sample in dataset.samples] == [0, 60]
        assert [sample.sample_id for sample in dataset.samples] == ["video_1/000000000", "video_1/000000060"]
        for sample in reversed(dataset.samples):
            expected = sar_frame(sample.frame_index, zlib.crc32(b"video_1"))
            np.testing.assert_array_equal(dataset.read_frame(sample), expected)

    def test_frames_that_were_written_out(self, tmp_path: Path) -> None:
        dataset = opened("sar-rarp50", tmp_path, videos=("video_1", "video_2"), written_out=True)
        assert all(sample.frame_index is None for sample in dataset.samples)
        assert_masks(dataset)

    def test_parts_of_a_video_are_one_group(self, tmp_path: Path) -> None:
        dataset = opened("sar-rarp50", tmp_path, videos=("video_11_1", "video_11_2"))
        assert dataset.groups == ("video_11",)
        assert len({sample.sample_id for sample in dataset.samples}) == 4

    def test_mask_past_the_videos_end(self, tmp_path: Path) -> None:
        dataset = opened("sar-rarp50", tmp_path, videos=("video_1",), past_end=True)
        with pytest.raises(InputError, match="mask for frame 120, but the video has 61 frames"):
            dataset.read_pair(dataset.samples[-1])

    def test_official_split(self, tmp_path: Path) -> None:
        split = split_samples(opened("sar-rarp50", tmp_path, written_out=True), split="official")
        assert {sample.group for sample in split.test} == {f"video_{k}" for k in range(41, 51)}


def test_autolaparo_is_one_group_and_says_why(tmp_path: Path) -> None:
    dataset = opened("autolaparo", tmp_path)
    assert dataset.groups == ("all",)
    assert "one group" in dataset.layout.table.note


def test_vocalfolds_as_published(tmp_path: Path) -> None:
    dataset = opened("vocalfolds", tmp_path, published=True)
    assert dataset.groups == ("patient2_seq5", "patient2_seq6", "patient2_seq7")
    assert dataset.samples[0].sample_id == "patient2_seq5/0001_l"
    assert_masks(dataset)


class TestEndoVis2018:
    def test_without_its_release_folder(self, tmp_path: Path) -> None:
        dataset = opened("endovis2018", tmp_path, nested="")
        assert dataset.groups == ("seq_1", "seq_2", "seq_10")
        assert_masks(dataset)

    def test_test_sequences_are_numbered_from_1_again(self, tmp_path: Path) -> None:
        write_tree("endovis2018", tmp_path)
        write_tree("endovis2018", tmp_path, nested="test_data", leftovers=False)
        dataset = open_dataset(tmp_path, "endovis2018")
        assert dataset.groups == ("seq_1", "seq_2", "seq_10", "test_seq_1", "test_seq_2", "test_seq_10")
        assert_masks(dataset)
