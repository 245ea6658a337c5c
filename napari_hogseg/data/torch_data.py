"""Torch data sets: frames, masks and pseudo-labels, and the order in which training meets them.

A training item is asked for by `(epoch, index)`; it and its order are pure functions of
(seed, epoch, index), so a resumed run and any number of workers see the same batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from napari_hogseg.data.augment import AugmentParams, augment, resize_frame, resize_mask, sample_rng
from napari_hogseg.data.scheme import IGNORE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from napari_hogseg.data.layouts import DataSet, Sample
    from napari_hogseg.features.pseudo_labels import PseudoLabel

CACHE_BYTES = 2 * 1024**3
"""Resized frames kept decoded in a process: JPEG decoding costs more than the augmentation."""

_ORDER_INDEX = (1 << 32) - 1
"""Philox key of an epoch's order; no data set has so many frames that a sample would share it."""

_EPOCHS_PER_COPY = 1 << 24
_MAX_COPIES = 255
"""Copy and epoch share the 32 bits that a sample's Philox key has for the epoch."""


class Item(TypedDict):
    """One training crop: image (3, S, S) uint8, mask (S, S) int64, hog (D,) float32, index int."""

    image: torch.Tensor
    mask: torch.Tensor
    hog: torch.Tensor
    index: int


@dataclass(frozen=True)
class Source:
    """Samples of one data set.

    Attributes
    ----------
    dataset : DataSet
    samples : sequence of Sample
    labelled : bool
        False: no mask is read, every pixel is ignored.
    """

    dataset: DataSet
    samples: Sequence[Sample]
    labelled: bool = True


class FrameDataset(Dataset[Item]):
    """Augmented training crops of one or more data sets that share a label scheme.

    Parameters
    ----------
    sources : sequence of Source
        Indices run through them one after the other; those without labels come last.
    params : AugmentConfig
    label : PseudoLabel or None
        Target of the crops; may be set later. None (beta = 0): it is left empty and costs nothing.
    short_px : int
        Short side of a frame at the network's input.
    seed : int
    cache_bytes : int
        Bound of the resized frames and masks that this object keeps; a loader process has a copy of its own.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        params: AugmentParams,
        label: PseudoLabel | None,
        *,
        short_px: int,
        seed: int,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        kinds = [source.labelled for source in sources]
        assert kinds == sorted(kinds, reverse=True)  # noqa: S101 - `num_labelled` parts the indices
        self._entries = [(source.dataset, sample) for source in sources for sample in source.samples]
        self.num_labelled = sum(len(source.samples) for source in sources if source.labelled)
        self._params, self._short_px, self._seed = params, short_px, seed
        self.label = label
        self.cache_bytes = cache_bytes
        self._cache: dict[int, tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]] = {}
        self._cache_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def sample_id(self, index: int) -> str:
        """Name a frame in a message about it."""
        return self._entries[index][1].sample_id

    def __getitem__(self, key: tuple[int, int]) -> Item:
        epoch, index = key
        frame, mask = self._load(index)
        crop, crop_mask = augment(frame, mask, self._params, sample_rng(self._seed, epoch, index))
        target = np.zeros(0, np.float32) if self.label is None else self.label.compute(crop[None])[0]
        return {
            "image": torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1))),
            "mask": torch.from_numpy(crop_mask.astype(np.int64)),
            "hog": torch.from_numpy(target),
            "index": index,
        }

    def _load(self, index: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        if index in self._cache:
            return self._cache[index]
        dataset, sample = self._entries[index]
        if index < self.num_labelled:
            frame, mask = dataset.read_pair(sample)
            frame = resize_frame(frame, self._short_px)
            pair = (frame, resize_mask(mask, *frame.shape[:2]))
        else:
            frame = resize_frame(dataset.read_frame(sample), self._short_px)
            pair = (frame, np.full(frame.shape[:2], IGNORE, np.uint8))
        size = pair[0].nbytes + pair[1].nbytes
        if self._cache_bytes + size <= self.cache_bytes:
            self._cache[index] = pair
            self._cache_bytes += size
        return pair


@dataclass(frozen=True)
class Stream:
    """An endless shuffled walk over the indices `first .. first + count - 1`.

    Attributes
    ----------
    first, count, per_batch : int
    repeats : tuple of float
        How often an epoch meets each index on average, each at least 1; empty: all once.
    """

    first: int
    count: int
    per_batch: int
    repeats: tuple[float, ...] = ()

    def keys(self, seed: int, start: int) -> Iterator[tuple[int, int]]:
        """Yield (epoch, index) from the `start`-th draw on; every epoch is one permutation.

        The second and further copies of an index in an epoch get an epoch number of their own, far above
        any real one: another key, so another crop of the frame.
        """
        epoch, offset = self._locate(seed, start)
        while True:
            for copy, place in self._order(seed, epoch)[offset:].tolist():
                yield epoch + copy * _EPOCHS_PER_COPY, self.first + place
            epoch, offset = epoch + 1, 0

    def _locate(self, seed: int, start: int) -> tuple[int, int]:
        """Epoch of the `start`-th draw and its place there; with repeats no two epochs are of one length."""
        if not self.repeats:
            return divmod(start, self.count)
        epoch = 0
        while start >= (length := int(self._num_copies(seed, epoch).sum())):
            epoch, start = epoch + 1, start - length
        return epoch, start

    def _order(self, seed: int, epoch: int) -> npt.NDArray[np.int64]:
        """Make the draws of an epoch, (number of them, 2) int64: which copy, and of which place."""
        rng = self._rng(seed, epoch)
        if not self.repeats:
            places = rng.permutation(self.count)
            return np.column_stack([np.zeros_like(places), places])
        copies = self._num_copies(seed, epoch)
        places = np.repeat(np.arange(self.count), copies)
        copy = np.arange(len(places)) - np.repeat(np.cumsum(copies) - copies, copies)
        rng.random(self.count)  # what the rounding drew
        order = rng.permutation(len(places))
        return np.column_stack([copy, places])[order]

    def _num_copies(self, seed: int, epoch: int) -> npt.NDArray[np.int64]:
        """Round the repeats at random, up as often as their fraction says."""
        repeats = np.minimum(np.asarray(self.repeats), _MAX_COPIES)
        uniforms = self._rng(seed, epoch).random(self.count)
        num_copies: npt.NDArray[np.int64] = np.floor(repeats + uniforms).astype(np.int64)
        return num_copies

    def _rng(self, seed: int, epoch: int) -> np.random.Generator:
        return sample_rng(seed, epoch, _ORDER_INDEX - self.first)


class StepSampler(Sampler[list[tuple[int, int]]]):
    """Batches of keys for the steps `first_step .. num_steps - 1`.

    Parameters
    ----------
    streams : sequence of Stream
        Each gives `per_batch` keys to every batch: one for plain training, two for a fine-tune with replay
        or frames without masks.
    seed : int
    first_step, num_steps : int
    num_parts : int
        Equal parts a batch is worked through in; each gets its share of every stream, so it must divide them.
    """

    def __init__(
        self, streams: Sequence[Stream], *, seed: int, first_step: int, num_steps: int, num_parts: int = 1
    ) -> None:
        self._streams = [stream for stream in streams if stream.per_batch and stream.count]
        assert all(s.per_batch % num_parts == 0 for s in self._streams)  # noqa: S101 - no key may be dropped
        self._num_parts = num_parts
        self._seed, self._first_step, self._num_steps = seed, first_step, num_steps

    def __len__(self) -> int:
        return self._num_steps - self._first_step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        walks = [stream.keys(self._seed, self._first_step * stream.per_batch) for stream in self._streams]
        for _ in range(len(self)):
            yield [
                next(walk)
                for _part in range(self._num_parts)
                for stream, walk in zip(self._streams, walks, strict=True)
                for _ in range(stream.per_batch // self._num_parts)
            ]
