"""The frames of a data set's clip as a source: cropped and turned as the data set's layout says."""

from __future__ import annotations

import operator
import threading
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.io.errors import InputError
from napari_hogseg.io.frame_cache import FrameCache
from napari_hogseg.io.video import FOLDER_RATE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_hogseg.data.layouts import DataSet, Sample


class DataSetFrames:
    """Pictures of a data set, one size, in the order given; a `FrameSource`.

    Parameters
    ----------
    dataset : DataSet
    samples : sequence of Sample
        At least one.
    path : Path
        Their folder.

    Raises
    ------
    InputError
        If the first one cannot be read.
    """

    def __init__(self, dataset: DataSet, samples: Sequence[Sample], path: Path) -> None:
        self._dataset, self._samples, self.path = dataset, tuple(samples), path
        self.name = path.name
        self._cache = FrameCache()
        self._lock = threading.Lock()
        first = dataset.read_frame(self._samples[0])
        self.height, self.width = first.shape[:2]
        self._cache.put(0, first)

    @property
    def num_frames(self) -> int:
        """How many pictures there are."""
        return len(self._samples)

    @property
    def pts_s(self) -> npt.NDArray[np.float64]:
        """Nominal times at 25 frames a second, (T,) float64."""
        return np.arange(self.num_frames) / FOLDER_RATE

    @property
    def frame_names(self) -> list[str]:
        """The file stems; where two are equal, the sample ids."""
        stems = [sample.image_path.stem for sample in self._samples]
        if max(Counter(stems).values()) == 1:
            return stems
        return [sample.sample_id.replace("/", "_") for sample in self._samples]

    def frame(self, frame_index: int) -> npt.NDArray[np.uint8]:
        """Read a picture, (H, W, 3) uint8 RGB, read-only; InputError if it is damaged or of another size."""
        number = operator.index(frame_index)
        if not 0 <= number < self.num_frames:
            raise IndexError(f"frame {number} of {self.num_frames} in {self.path}")
        with self._lock:
            cached = self._cache.get(number)
        if cached is not None:
            return cached
        frame = self._dataset.read_frame(self._samples[number])  # outside the lock: several at once
        height, width = frame.shape[:2]
        if (height, width) != (self.height, self.width):
            raise InputError(
                f"This picture is {width}x{height}, the clip's first is {self.width}x{self.height}",
                where=self._samples[number].image_path,
                remedy="Put pictures of one size into a folder.",
            )
        with self._lock:
            return self._cache.put(number, frame)

    def close(self) -> None:
        """Nothing stays open."""
