"""Frames without masks in a run: whether the recipe can use them, and how many a batch holds.

Owns the composition of a batch; which frames count as unlabelled is `napari_hogseg.data.splits`' part. Their
pixels are all ignored, so the segmentation losses neither see nor are diluted by them; the HOG loss, a mean
over frames, counts them as it counts any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hogseg.data.torch_data import Source, Stream
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_hogseg.data.layouts import DataSet
    from napari_hogseg.data.splits import Split
    from napari_hogseg.data.torch_data import FrameDataset
    from napari_hogseg.runs.config import RunConfig, TrainConfig


def training_sources(
    config: RunConfig, dataset: DataSet, split: Split, warn: Callable[[str], None]
) -> tuple[Source, ...]:
    """Gather what a run trains on: frames with masks, then those whose masks are not read.

    Parameters
    ----------
    config : RunConfig
    dataset : DataSet
    split : Split
    warn : callable
        Is told where `data.unlabelled_rest` finds no frame.

    Raises
    ------
    InputError
        If there is no HOG task that the frames without masks could teach.
    """
    if config.data.unlabelled or config.data.unlabelled_rest:
        _refuse_without_heads(config)
        if not split.unlabelled:
            warn("data.unlabelled_rest finds no frame: all have masks, and data.train_share keeps them all")
    sources = (Source(dataset, split.train), Source(dataset, split.unlabelled, labelled=False))
    return tuple(source for source in sources if source.samples)


def training_streams(
    train: TrainConfig, num_labelled: int, num_unlabelled: int, repeats: Sequence[float]
) -> tuple[Stream, ...]:
    """Divide a batch among frames with and without masks, alike in every part it is worked through in.

    Parts of one composition are what keeps `train.accumulate` a matter of memory: a part without masks would
    halve the segmentation loss of the others.

    Parameters
    ----------
    train : TrainConfig
    num_labelled, num_unlabelled : int
        Frames; without unlabelled ones the batch is all labelled.
    repeats : sequence of float
        Of the labelled frames.

    Raises
    ------
    InputError
        If a part has no room for one frame of each kind.
    """
    part = train.batch_size // train.accumulate
    if num_unlabelled and part < 2:
        raise InputError(
            f"A batch of {train.batch_size} in {train.accumulate} parts has no room for a frame with and one "
            "without a mask in each part",
            where="train.batch_size",
            remedy="Make train.batch_size at least twice train.accumulate.",
        )
    share = min(max(1, round(train.unlabelled_share * part)), part - 1) if num_unlabelled else 0
    per_batch = share * train.accumulate
    return (
        Stream(0, num_labelled, train.batch_size - per_batch, tuple(repeats)),
        Stream(num_labelled, num_unlabelled, per_batch),
    )


def describe_frames(frames: FrameDataset) -> str:
    """Count the training frames for a person."""
    num_unlabelled = len(frames) - frames.num_labelled
    labelled = f"{frames.num_labelled} training frames"
    return f"{labelled} and {num_unlabelled} without masks" if num_unlabelled else labelled


def _refuse_without_heads(config: RunConfig) -> None:
    for has_none, field, remedy in (
        (config.model.head == "none", "model.head", "Choose a head, such as model.head = 'grid'"),
        (config.loss.beta == 0, "loss.beta", "Set loss.beta above 0"),
    ):
        if has_none:
            raise InputError(
                "Frames without masks teach the HOG task alone, and this recipe has none",
                where=field,
                remedy=f"{remedy}, or leave data.unlabelled and data.unlabelled_rest out.",
            )
