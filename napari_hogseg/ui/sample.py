"""The sample clip for File > Open Sample: generated frames and their exact masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import sample_data
from napari_hogseg.data.scheme import LabelScheme
from napari_hogseg.io import images
from napari_hogseg.ui.labels import display_colormap, to_display
from napari_hogseg.ui.reader import MASKS_KEY, SOURCE_KEY, frames_layer

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_hogseg.ui.reader import LayerData


def open_sample() -> list[LayerData]:
    """Give the sample clip's layers to napari.

    Returns
    -------
    list of layer data
        Frames, (T, H, W, 3) uint8 read lazily, and display labels, (T, H, W) uint8.

    Raises
    ------
    InputError
        If a file of the sample is damaged.
    """
    scheme = LabelScheme.read(sample_data.scheme_path())
    frames, about, kind = frames_layer(sample_data.clip_path())
    about["metadata"][MASKS_KEY] = str(sample_data.masks_path())
    labels = {
        "name": "Ground truth",
        "colormap": display_colormap(scheme),
        "opacity": 0.5,
        "metadata": {SOURCE_KEY: str(sample_data.clip_path())},
    }
    return [(frames, about, kind), (sample_labels(), labels, "labels")]


def sample_labels() -> npt.NDArray[np.uint8]:
    """Read all masks of the sample clip as display labels, (T, H, W) uint8; 18 MB."""
    masks = images.list_images(sample_data.masks_path())
    return np.stack([to_display(images.read_mask(path).astype(np.uint8)) for path in masks])
