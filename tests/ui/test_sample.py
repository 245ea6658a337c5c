"""File > Open Sample: frames and masks of the generated clip, in a real viewer."""

from __future__ import annotations

import numpy as np

import sample_data
from napari_hogseg.data.scheme import LabelScheme
from napari_hogseg.io import images
from napari_hogseg.io.video import open_frames
from napari_hogseg.ui.labels import to_class_ids
from napari_hogseg.ui.sample import sample_labels
from napari_hogseg.ui.source_section import PLUGIN


def test_sample_opens_frames_below_their_masks(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy()
    frames, labels = viewer.open_sample(PLUGIN, "cataract")
    assert [layer.name for layer in viewer.layers] == ["clip", "Ground truth"]
    assert frames.data.shape[:3] == labels.data.shape
    viewer.dims.set_current_step(0, 60)
    source = open_frames(sample_data.clip_path())
    np.testing.assert_array_equal(frames.data[60], source.frame(60))
    scheme = LabelScheme.read(sample_data.scheme_path())
    for class_id, color in enumerate(scheme.colors):
        shown = np.round(255 * np.asarray(labels.colormap.map(np.uint8(class_id + 1))))
        assert tuple(shown.ravel()[:3]) == color
    source.close()
    frames.data.source.close()


def test_labels_are_the_mask_files_in_the_order_of_the_frames():
    labels = sample_labels()
    for frame_index in (0, 9, 10, 124):
        mask = images.read_mask(sample_data.masks_path() / f"frame_{frame_index:06d}.png")
        np.testing.assert_array_equal(to_class_ids(labels[frame_index]), mask)
