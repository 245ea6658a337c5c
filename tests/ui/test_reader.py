"""File > Open on videos and image folders, in a real viewer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.utils.notifications import NotificationSeverity, notification_manager
from PIL import Image
from review_cases import HEIGHT, NUM_FRAMES, WIDTH, frame_pixels

import sample_data
from napari_hogseg.io.errors import InputError
from napari_hogseg.io.video import LazyFrames, open_frames
from napari_hogseg.ui.reader import SOURCE_KEY, frames_layer, napari_get_reader, read_frames
from napari_hogseg.ui.source_section import PLUGIN


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    return make_napari_viewer_proxy()


@pytest.fixture
def notices():
    """Texts of napari's error notifications of this test."""
    seen = len(notification_manager.records)
    return lambda: [
        record.message
        for record in notification_manager.records[seen:]
        if record.severity is NotificationSeverity.ERROR
    ]


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"not a video" * 100)
    return path


def test_video_opens_as_frames_read_when_shown(viewer):
    path = sample_data.clip_path()
    (layer,) = viewer.open(path, plugin=PLUGIN)
    source = open_frames(path)
    assert isinstance(layer.data, LazyFrames)
    assert layer.rgb
    assert layer.name == "clip"
    assert layer.data.shape == (source.num_frames, source.height, source.width, 3)
    assert layer.source.reader_plugin == PLUGIN
    assert Path(layer.metadata[SOURCE_KEY]) == Path(layer.source.path) == path
    for frame_index in (0, 77, 3):
        viewer.dims.set_current_step(0, frame_index)
        np.testing.assert_array_equal(np.asarray(layer.data[frame_index]), source.frame(frame_index))
    source.close()
    layer.data.source.close()


def test_folder_opens_in_natural_order(viewer, clip_folder):
    (layer,) = viewer.open(clip_folder, plugin=PLUGIN)
    assert layer.name == clip_folder.name
    assert layer.data.shape == (NUM_FRAMES, HEIGHT, WIDTH, 3)
    for frame_index in range(NUM_FRAMES):
        np.testing.assert_array_equal(layer.data[frame_index], frame_pixels(frame_index))


def test_several_paths_give_a_layer_each(clip_folder):
    paths = [str(sample_data.clip_path()), str(clip_folder)]
    layers = napari_get_reader(paths)(paths)
    assert [about["name"] for _, about, _ in layers] == ["clip", clip_folder.name]
    layers[0][0].source.close()


@pytest.mark.parametrize("name", ["notes.txt", "picture.png", "empty", "nested"])
def test_what_is_not_ours_is_declined(tmp_path, name):
    path = tmp_path / name
    if path.suffix:
        path.write_bytes(b"")
    else:
        path.mkdir()
    if name == "nested":
        (path / "deeper").mkdir()
        Image.new("RGB", (8, 8)).save(path / "deeper" / "a.png")
    assert napari_get_reader(str(path)) is None
    assert napari_get_reader([str(sample_data.clip_path()), str(path)]) is None


def test_suffix_in_capitals_is_ours():
    assert napari_get_reader("EXPORT.MP4") is not None


def test_unreadable_file_is_a_notification_and_nothing_else(viewer, broken, notices):
    with pytest.raises(InputError) as refused:
        frames_layer(broken)
    assert viewer.open(broken, plugin=PLUGIN) == []
    assert notices() == [str(refused.value)]
    assert str(broken) in notices()[0]
    assert len(viewer.layers) == 0
    (layer,) = viewer.open(sample_data.clip_path(), plugin=PLUGIN)
    layer.data.source.close()


def test_one_unreadable_file_does_not_stop_the_others(broken, clip_folder, notices):
    layers = read_frames([str(broken), str(clip_folder)])
    assert [about["name"] for _, about, _ in layers] == [clip_folder.name]
    assert len(notices()) == 1


def test_pictures_of_two_sizes_are_named(clip_folder, notices):
    Image.new("RGB", (8, 8)).save(clip_folder / "odd.png")
    assert read_frames(str(clip_folder)) == [(None,)]
    assert "odd.png" in notices()[0]
