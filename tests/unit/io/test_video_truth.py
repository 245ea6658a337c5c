"""Real surgical video: each frame read is the source picture that the table beside the videos names.

The nearest of all 122 source pictures by squared pixel error, at 128x128: neighbours differ by much more than
coding and scaling do.
"""

from __future__ import annotations

import csv
from functools import lru_cache

import cv2
import numpy as np
import pytest

from napari_hogseg.io import images
from napari_hogseg.io.video import open_frames

SIDE = 128
# file: (frames shown, row of the table that frame 0 shows)
FILES = {
    "vf_seq7_cfr25_bframes_longgop.mp4": (122, 0),
    "vf_seq7_vfr_bframes.mp4": (122, 0),
    "vf_cut_copy_editlist.mp4": (109, 13),
    "vf_fragmented_nomoovindex.mp4": (61, 0),
    "vf_live_nocues_noduration.mkv": (61, 0),
    "vf_ntsc2997_rotate90.mp4": (61, 0),
    "vf_odd511x477_yuv444.mp4": (61, 0),
    "vf_mpeg4_bframes.avi": (61, 0),
}


def small(frame: np.ndarray) -> np.ndarray:
    return cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()


@lru_cache(maxsize=8)
def sources(folder, num_quarters=0, first_row=0, row_step=1) -> tuple[list[str], np.ndarray]:
    paths = images.list_images(folder)
    pictures = [np.rot90(images.read_image(path), num_quarters)[first_row::row_step] for path in paths]
    return [path.stem for path in paths], np.stack([small(picture) for picture in pictures])


def nearest(frame: np.ndarray, known: tuple[list[str], np.ndarray]) -> str:
    stems, pictures = known
    return stems[int(((pictures - small(frame)) ** 2).mean(1).argmin())]


@pytest.fixture(scope="module")
def truth(shared_data) -> list[str]:
    with (shared_data / "videos" / "truth_seq7.csv").open() as file:
        return [row["source_png"].rsplit("/", 1)[1].removesuffix(".png") for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def folder(shared_data):
    return shared_data / "vocalfolds" / "images" / "patient2_seq7"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("order", ["in order", "at random"])
def test_every_frame_is_the_one_the_table_names(shared_data, folder, truth, name, order) -> None:
    num_frames, first_row = FILES[name]
    source = open_frames(shared_data / "videos" / name)
    assert source.num_frames == num_frames
    known = sources(folder, num_quarters=1 if "rotate90" in name else 0)
    assert len(known[0]) == 122
    numbers = range(num_frames) if order == "in order" else np.random.default_rng(3).permutation(num_frames)
    wrong = {int(i) for i in numbers if nearest(source.frame(int(i)), known) != truth[first_row + i]}
    assert not wrong
    if order == "in order":
        assert source.num_seeks == 0
    source.close()


def test_interlaced_frames_hold_two_pictures_on_the_coded_grid(shared_data, folder, truth) -> None:
    """Each field is a picture of its own; deinterlacing or the 4:3 pixels would mix or move rows."""
    source = open_frames(shared_data / "videos" / "vf_interlaced_sar4x3.mp4")
    assert (source.num_frames, source.height, source.width) == (30, 512, 512)
    for field in (0, 1):
        known = sources(folder, first_row=field, row_step=2)
        seen = [nearest(source.frame(i)[field::2], known) for i in range(30)]
        assert seen == truth[field:60:2]
    source.close()


def test_sizes_and_rotation(shared_data) -> None:
    shapes = {"vf_ntsc2997_rotate90.mp4": (360, 480), "vf_odd511x477_yuv444.mp4": (477, 511)}
    for name, shape in shapes.items():
        source = open_frames(shared_data / "videos" / name)
        assert (source.height, source.width) == shape
        source.close()


def test_variable_rate_times_are_the_table_s(shared_data) -> None:
    with (shared_data / "videos" / "truth_seq7.csv").open() as file:
        times = [float(row["vfr_pts_s"]) for row in csv.DictReader(file)]
    source = open_frames(shared_data / "videos" / "vf_seq7_vfr_bframes.mp4")
    np.testing.assert_allclose(source.pts_s, times, atol=1e-3)
    source.close()


def test_a_truncated_file_gives_what_it_has(shared_data, folder, truth) -> None:
    source = open_frames(shared_data / "videos" / "vf_truncated_faststart.mp4")
    assert source.claimed_frames == 122
    assert source.is_cut
    assert 70 <= source.num_frames < 80
    known = sources(folder)
    shown = [nearest(source.frame(i), known) for i in reversed(range(source.num_frames))]
    assert shown[::-1] == truth[: source.num_frames]
    source.close()


def test_a_folder_reads_its_pictures_in_order(folder) -> None:
    source = open_frames(folder)
    assert source.num_frames == 122
    assert source.frame_names == [path.stem for path in images.list_images(folder)]
    np.testing.assert_array_equal(source.frame(5), images.read_image(images.list_images(folder)[5]))
    source.close()
