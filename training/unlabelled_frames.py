"""Frames of a video that nobody has annotated, as crops for the HOG loss alone.

Owns which frames are taken and which of them are held out. How a frame is resized and cropped is
`napari_hogseg.data.augment`'s, as for training with masks.

Axes: B crops, S side of a crop, D values of the pseudo-label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from napari_hogseg.data.augment import augment, resize_frame, sample_rng
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_hogseg.data.augment import AugmentParams
    from napari_hogseg.features.pseudo_labels import PseudoLabel
    from napari_hogseg.io.video import FrameSource

HELD_OUT_EVERY = 5
"""Every so many-th of the frames taken is never learned from; a video has at least so many frames."""


class Chosen(NamedTuple):
    """Frame numbers: those that are learned from, and those that tell when to stop."""

    learned: tuple[int, ...]
    held_out: tuple[int, ...]


class CropBatch(NamedTuple):
    """Crops (B, 3, S, S) uint8, their pseudo-labels (B, D) float32, and what the frames are called."""

    image: torch.Tensor
    target: torch.Tensor
    names: list[str]


def choose_frames(source: FrameSource, count: int) -> Chosen:
    """Choose `count` frames spread evenly over a video, or all where it has fewer.

    Raises
    ------
    InputError
        If the video is too short to hold a frame out.
    """
    if source.num_frames < HELD_OUT_EVERY:
        raise InputError(
            f"{source.num_frames} frames are too few: every {HELD_OUT_EVERY}th is held out",
            where=source.path,
            remedy=f"Give a video or folder of at least {HELD_OUT_EVERY} frames.",
        )
    count = min(count, source.num_frames)
    numbers = np.linspace(0, source.num_frames - 1, count).round().astype(int).tolist()
    middle = HELD_OUT_EVERY // 2
    held_out = tuple(numbers[middle::HELD_OUT_EVERY])
    return Chosen(tuple(number for number in numbers if number not in held_out), held_out)


class UnlabelledFrames:
    """Crops of some frames; which crop is a pure function of (seed, epoch, index).

    Parameters
    ----------
    source : FrameSource
        Read once, here: a frame that cannot be read is named before anything is learned.
    numbers : sequence of int
        Frames; kept resized to the network's input.
    params : AugmentConfig
    label : PseudoLabel
    short_px : int
        Short side of a frame at the network's input.
    seed : int
    """

    def __init__(
        self,
        source: FrameSource,
        numbers: Sequence[int],
        params: AugmentParams,
        label: PseudoLabel,
        *,
        short_px: int,
        seed: int,
    ) -> None:
        self._params, self._label, self._seed = params, label, seed
        self._frames = [resize_frame(source.frame(number), short_px) for number in numbers]
        self._names = [source.frame_names[number] for number in numbers]

    def __len__(self) -> int:
        return len(self._frames)

    def batch(self, keys: Sequence[tuple[int, int]]) -> CropBatch:
        """Make the crops of keys (epoch, index)."""
        crops_BSSC = np.stack([self._crop(*key) for key in keys])
        image = torch.from_numpy(np.ascontiguousarray(crops_BSSC.transpose(0, 3, 1, 2)))
        target = torch.from_numpy(self._label.compute(crops_BSSC))
        return CropBatch(image, target, [self._names[index] for _, index in keys])

    def _crop(self, epoch: int, index: int) -> npt.NDArray[np.uint8]:
        frame = self._frames[index]
        no_mask = np.zeros(frame.shape[:2], np.uint8)  # the one geometry serves frame and mask
        return augment(frame, no_mask, self._params, sample_rng(self._seed, epoch, index))[0]
