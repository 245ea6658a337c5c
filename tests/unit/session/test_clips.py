"""Opening clips: which masks belong to which frames, what they mean, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_hogseg.data.scheme import IGNORE, LabelScheme
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.clips import UNNAMED, find_dataset, open_clip, pair_masks

SCHEME = LabelScheme(name="eye", classes=("pupil", "iris"), colors=((0, 0, 255), (0, 255, 0)))
SIZE = (8, 10)


def write_frames(folder, names):
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        Image.fromarray(np.full((*SIZE, 3), number, np.uint8)).save(folder / f"{name}.png")
    return folder


def write_masks(folder, names, value=1):
    folder.mkdir(parents=True)
    for name in names:
        Image.fromarray(np.full(SIZE, value, np.uint8)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def dataset(tmp_path):
    root = tmp_path / "data"
    for clip in ("one", "two"):
        write_frames(root / "images" / clip, ["a", "b", "c"])
    write_masks(root / "masks" / "one", ["a", "c"])
    (root / "dataset.toml").write_text(SCHEME.to_toml())
    return root


def test_a_plain_folder_has_no_masks_and_unnamed_classes(tmp_path):
    clip = open_clip(write_frames(tmp_path / "clip", ["x", "y"]))
    assert clip.truth is None
    assert not clip.named
    assert clip.scheme == UNNAMED
    assert clip.identity.frame_names == ("x", "y")
    assert (clip.identity.height, clip.identity.width) == SIZE


def test_a_models_classes_replace_unnamed_ones_only(tmp_path, dataset):
    assert open_clip(write_frames(tmp_path / "clip", ["x"]), scheme=SCHEME).scheme == SCHEME
    assert open_clip(dataset, scheme=UNNAMED).scheme == SCHEME


def test_a_data_set_opens_at_its_first_clip(dataset):
    clip = open_clip(dataset)
    assert clip.source.path == dataset / "images" / "one"
    assert clip.named
    assert clip.num_masks == 2
    assert (clip.truth(0) == 1).all()
    assert clip.truth(1) is None


def test_a_clip_inside_a_data_set_brings_its_masks(dataset):
    clip = open_clip(dataset / "images" / "two")
    assert clip.source.path.name == "two"
    assert clip.scheme == SCHEME
    assert clip.num_masks == 0


def test_a_mask_folder_of_a_data_set_has_the_data_sets_meaning(tmp_path, dataset):
    frames = write_frames(tmp_path / "export", ["frame_0", "frame_1"])
    clip = open_clip(frames, dataset / "masks" / "one")
    assert clip.scheme == SCHEME
    assert (clip.truth(1) == 1).all()  # as many as frames: paired in order


def test_classes_beside_the_masks_are_read(tmp_path):
    masks = write_masks(tmp_path / "m" / "masks", ["x"])
    (tmp_path / "m" / "dataset.toml").write_text(SCHEME.to_toml())
    clip = open_clip(write_frames(tmp_path / "clip", ["x"]), masks)
    assert clip.named
    assert clip.scheme == SCHEME


def test_masks_pair_by_name_before_number(tmp_path):
    masks = write_masks(tmp_path / "masks", ["c", "x"])
    paths = sorted(masks.iterdir())
    assert pair_masks(["x", "y"], paths, masks) == {0: masks / "x.png"}


def test_masks_that_pair_in_no_way_are_refused(tmp_path):
    masks = write_masks(tmp_path / "masks", ["p", "q", "r"])
    with pytest.raises(InputError, match=r"3 PNG masks .* 2 frames.*x\.png"):
        open_clip(write_frames(tmp_path / "clip", ["x", "y"]), masks)


def test_a_value_outside_the_scheme_names_the_file(tmp_path):
    masks = write_masks(tmp_path / "masks", ["x"], value=77)
    clip = open_clip(write_frames(tmp_path / "clip", ["x"]), masks, SCHEME)
    with pytest.raises(InputError, match=r"77.*x\.png"):
        clip.truth(0)


@pytest.mark.parametrize("what", ["clip", "masks"])
def test_missing_folders_are_named(tmp_path, what):
    frames = tmp_path / "gone" if what == "clip" else write_frames(tmp_path / "clip", ["x"])
    with pytest.raises(InputError, match="gone"):
        open_clip(frames, tmp_path / "gone")


def test_a_data_set_that_cannot_be_recognised_says_why(tmp_path):
    write_frames(tmp_path / "data" / "images" / "one", ["a"])
    with pytest.raises(InputError, match=r"dataset\.toml"):
        open_clip(tmp_path / "data")
    # A folder that merely lies below one named images is still a folder of frames.
    assert open_clip(tmp_path / "data" / "images" / "one").truth is None
    assert find_dataset(tmp_path / "data" / "images" / "one", "images") is None


def test_the_real_data_set_and_its_video(shared_data):
    folder = open_clip(shared_data / "vocalfolds" / "images" / "patient2_seq7")
    video = open_clip(
        shared_data / "videos" / "vf_seq7_cfr25_bframes_longgop.mp4",
        shared_data / "vocalfolds" / "masks" / "patient2_seq7",
    )
    assert folder.source.num_frames == video.source.num_frames == folder.num_masks == video.num_masks == 122
    for frame_index in (0, 60, 121):
        np.testing.assert_array_equal(folder.truth(frame_index), video.truth(frame_index))
        assert set(np.unique(folder.truth(frame_index))) <= {0, 1, 2, 3, 4, 5, IGNORE}
        # The same pictures, but for the compression: pairing in order is right here.
        gap = np.abs(folder.source.frame(frame_index).astype(int) - video.source.frame(frame_index))
        assert gap.mean() < 10
    folder.source.close()
    video.source.close()
