"""The generator: same seed, same bytes; other seed, another eye; the command line writes what it says."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from napari_hogseg.io.errors import InputError
from napari_hogseg.io.images import read_image, read_mask
from sample_data.classes import CORNEA, IRIS, PUPIL
from sample_data.generator import generate_clip, main
from sample_data.render import render_frame
from sample_data.scene import build_scene

if TYPE_CHECKING:
    from pathlib import Path

SMALL = (96, 170)


def digest(seed: int, num_frames: int, stride: int = 7) -> str:
    total = hashlib.sha256()
    for frame, mask in generate_clip(seed, num_frames, *SMALL, stride=stride):
        total.update(frame.tobytes())
        total.update(mask.tobytes())
    return total.hexdigest()


def test_same_seed_gives_the_same_bytes() -> None:
    assert digest(3, 3) == digest(3, 3)


def test_threads_of_opencv_change_nothing() -> None:
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        alone = digest(4, 2)
        cv2.setNumThreads(2)
        assert digest(4, 2) == alone
    finally:
        cv2.setNumThreads(before)


def test_length_and_stride_do_not_change_a_moment() -> None:
    every = list(generate_clip(5, 7, *SMALL))
    third = list(generate_clip(5, 3, *SMALL, stride=3))
    for (frame, mask), (frame_again, mask_again) in zip(third, every[::3], strict=True):
        np.testing.assert_array_equal(frame, frame_again)
        np.testing.assert_array_equal(mask, mask_again)


def test_seeds_are_different_eyes() -> None:
    clips = {seed: next(generate_clip(seed, 1, *SMALL)) for seed in range(6)}
    for seed in range(5):
        (frame, mask), (other_frame, other_mask) = clips[seed], clips[seed + 1]
        assert (mask != other_mask).mean() > 0.02, f"seeds {seed} and {seed + 1} share their layout"
        assert np.abs(frame.astype(float) - other_frame).mean() > 8
    iris_colors = [frame[mask == IRIS].mean(axis=0) for frame, mask in clips.values()]
    assert np.ptp(iris_colors, axis=0).max() > 30
    pupil_sizes = [(mask == PUPIL).mean() for _, mask in clips.values()]
    assert max(pupil_sizes) > 1.2 * min(pupil_sizes)


def test_scenes_differ_in_what_is_drawn() -> None:
    scenes = [build_scene(seed, *SMALL) for seed in range(8)]
    assert len({worker.tool.kind for scene in scenes for worker in scene.workers}) >= 4
    assert len({round(scene.workers[0].incision, 3) for scene in scenes}) == 8
    assert all(scene.workers[0].tool.kind != scene.workers[1].tool.kind for scene in scenes)


def test_picture_follows_its_mask() -> None:
    frames = list(generate_clip(0, 3, *SMALL, stride=20))
    for frame, mask in frames:
        red, green, _ = (frame[mask == PUPIL].mean(axis=0)).tolist()
        assert red > 1.3 * green, "the pupil glows red"
        assert frame[mask == CORNEA].mean() > frame[mask == IRIS].mean() + 25, (
            "the iris is darker than the white"
        )
        for class_id in np.unique(mask):
            assert frame[mask == class_id].std() > 4, f"class {class_id} is a flat patch"


def test_frames_move_and_have_grain() -> None:
    (first, mask), (second, next_mask), (later, later_mask) = generate_clip(1, 3, *SMALL)
    assert (first != second).mean() > 0.3, "no sensor noise"
    assert (mask != next_mask).mean() < 0.05, "25 frames a second do not jump"
    assert later.shape == first.shape
    far = list(generate_clip(1, 2, *SMALL, stride=25))[1][1]
    assert (mask != far).mean() > (mask != later_mask).mean()


def test_a_frame_takes_well_below_a_third_of_a_second() -> None:
    # The time of this thread alone: a busy machine must not fail it, and OpenCV must not help from others.
    scene, threads, spent_s = build_scene(7, 288, 512), cv2.getNumThreads(), []
    try:
        cv2.setNumThreads(1)
        for frame_index in (44, 45, 46, 47):
            start = time.thread_time()
            render_frame(scene, frame_index)
            spent_s.append(time.thread_time() - start)
    finally:
        cv2.setNumThreads(threads)
    assert min(spent_s) < 0.3


@pytest.mark.parametrize(
    "arguments",
    [(-1, 1, 96, 128), (0, 0, 96, 128), (0, 1, 97, 128), (0, 1, 96, 20)],
    ids=["seed", "frames", "odd", "small"],
)
def test_bad_numbers_are_refused_on_the_call(arguments: tuple[int, int, int, int]) -> None:
    with pytest.raises(InputError):
        generate_clip(*arguments)


def test_command_line_writes_a_tree(tmp_path: Path) -> None:
    size = ["--height", "96", "--width", "128"]
    assert main(["--out", str(tmp_path), "--seeds", "11,12", "--frames-each", "3", *size]) == 0
    for seed in (11, 12):
        names = [f"frame_{k:06d}.png" for k in range(3)]
        for kind in ("images", "masks"):
            assert sorted(p.name for p in (tmp_path / kind / f"seed_{seed:06d}").iterdir()) == names
        for k, (frame, mask) in enumerate(generate_clip(seed, 3, 96, 128, stride=5)):
            np.testing.assert_array_equal(
                read_image(tmp_path / "images" / f"seed_{seed:06d}" / names[k]), frame
            )
            np.testing.assert_array_equal(read_mask(tmp_path / "masks" / f"seed_{seed:06d}" / names[k]), mask)
    assert (tmp_path / "dataset.toml").is_file()


def test_command_line_writes_jpeg(tmp_path: Path) -> None:
    size = ["--height", "96", "--width", "128"]
    assert main(["--out", str(tmp_path), "--seed", "3", "--frames", "1", "--images", "jpg", *size]) == 0
    with Image.open(tmp_path / "images" / "seed_000003" / "frame_000000.jpg") as picture:
        assert (picture.format, picture.size) == ("JPEG", (128, 96))


def test_command_line_writes_a_video(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "frame_000099.png").write_bytes(b"of a longer clip")
    size = ["--height", "96", "--width", "128"]
    assert main(["--out", str(tmp_path), "--video", "--seed", "2", "--frames", "5", *size]) == 0
    with av.open(str(tmp_path / "clip.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == len(list((tmp_path / "masks").iterdir())) == 5, "a stale mask was left"
    truth = [frame for frame, _ in generate_clip(2, 5, 96, 128)]
    assert np.abs(np.stack(frames).astype(float) - np.stack(truth)).mean() < 6


def test_command_line_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path), "--height", "97"]) == 2
    assert "97" in capsys.readouterr().err
