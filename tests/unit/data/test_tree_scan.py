"""Finding files by a table: links, wrappers, copies, order; and frames that are read out of videos."""

from __future__ import annotations

import gc
import os
import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_hogseg.data import tree_scan
from napari_hogseg.data.layout_table import packaged_tables
from napari_hogseg.data.tree_scan import find_files, find_samples, list_files, natural_key
from napari_hogseg.data.video_frames import OpenVideos
from napari_hogseg.io.errors import InputError
from napari_hogseg.io.video import open_frames
from tests.miniature_trees import expected_mask, sar_frame, save, write_sar_video, write_tree

if TYPE_CHECKING:
    from pathlib import Path

FETREG = packaged_tables()["fetreg2021"]


def test_hidden_files_and_leftovers_are_not_listed(tmp_path: Path) -> None:
    write_tree("autolaparo", tmp_path)
    (tmp_path / "__MACOSX" / "imgs").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "imgs" / "1.jpg").write_bytes(b"")
    listing = list_files(tmp_path)
    assert set(listing.files) == {"", "imgs", "masks"}
    assert listing.num_files == 8


def test_links_are_followed_and_a_circle_ends(tmp_path: Path) -> None:
    write_tree("fetreg2021", tmp_path / "disk", leftovers=False)
    root = tmp_path / "root"
    root.mkdir()
    try:
        (root / "Video001").symlink_to(tmp_path / "disk" / "Video001")
        (root / "Video001" / "images" / "back").symlink_to(root)
    except OSError:
        pytest.skip("links need rights here")
    samples = find_samples(list_files(root), FETREG)
    assert [sample.sample_id for sample in samples] == ["Video001/Video001_frame00100"]
    assert samples[0].image_path.is_relative_to(root)  # as the user named it, not where the link points


def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    write_tree("fetreg2021", tmp_path, leftovers=False)
    locked = tmp_path / "Video001" / "images"
    locked.chmod(0)
    if os.access(locked, os.R_OK):
        locked.chmod(0o755)
        pytest.skip("rights bind neither root nor Windows")
    with pytest.raises(InputError, match="may not be read"):
        list_files(tmp_path)
    locked.chmod(0o755)


def test_a_folder_with_too_many_files_for_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree("fetreg2021", tmp_path)
    monkeypatch.setattr(tree_scan, "MAX_FILES", 20)
    with pytest.raises(InputError, match="More than 20 files"):
        list_files(tmp_path)


def test_of_two_copies_of_a_mask_the_nearer_is_taken(tmp_path: Path) -> None:
    mask = expected_mask("fetreg2021")
    for wrapper in ("train_a", "train_b"):
        save(tmp_path / wrapper / "Video001/labels/Video001_frame00001.png", mask)
    save(tmp_path / "train_b/Video001/images/Video001_frame00001.png", np.dstack([mask] * 3))
    (sample,) = find_samples(list_files(tmp_path), FETREG)
    assert "train_b" in sample.mask_path.parts


def test_a_file_of_the_set_is_found_below_its_wrapper(tmp_path: Path) -> None:
    write_tree("kvasir-instrument", tmp_path / "kvasir-instrument")
    (path,) = find_files(list_files(tmp_path), packaged_tables()["kvasir-instrument"], "train.txt")
    assert path == tmp_path / "kvasir-instrument" / "train.txt"


def test_natural_order_folder_by_folder() -> None:
    names = ["b/1", "a/frame_10", "a/frame_2", "a10/1", "a2/1", "A/frame_3"]
    assert sorted(names, key=natural_key) == [
        "a/frame_2",
        "A/frame_3",
        "a/frame_10",
        "a2/1",
        "a10/1",
        "b/1",
    ]


def test_few_videos_stay_open(tmp_path: Path) -> None:
    paths = [tmp_path / f"{seed}.avi" for seed in range(3)]
    for seed, path in enumerate(paths):
        write_sar_video(path, seed)
    videos = OpenVideos(max_open=2)
    for frame_index in (60, 3):
        for seed, path in enumerate(paths):
            np.testing.assert_array_equal(videos.frame(path, frame_index), sar_frame(frame_index, seed))
            assert len(videos) <= 2
    with pytest.raises(InputError, match="mask for frame 61, but the video has 61"):
        videos.frame(paths[0], 61)
    videos.close()
    assert len(videos) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_process_opens_its_videos_anew(tmp_path: Path) -> None:
    """Two processes on one file handle would move each other's position.

    Nor may the child free a decoder of its parent's, here one in a circle of garbage: that never returns.
    """
    path = tmp_path / "1.avi"
    write_sar_video(path, 1)
    videos = OpenVideos()
    videos.frame(path, 0)
    circle: list[object] = [open_frames(path)]
    circle[0].frame(0)
    circle.append(circle)
    del circle
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)  # ends the child, should it wait for ever
        gc.collect()
        right = len(videos) == 0 and np.array_equal(videos.frame(path, 40), sar_frame(40, 1))
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(videos.frame(path, 7), sar_frame(7, 1))
    videos.close()
