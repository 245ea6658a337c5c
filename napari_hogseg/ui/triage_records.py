"""What the triage panel knows of each frame, and how bad frames are compared with each other.

Owns the shape of a frame's record, as the panel reads it, a source that holds records in memory, and the
ranking of frames. Who measures frames is not this module's part, nor how they are shown.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np
from qtpy.QtCore import QObject, Signal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_hogseg.metrics.error_blobs import ErrorBlob


class FrameRecord(Protocol):
    """One frame, measured. A number that does not exist is None or NaN.

    Attributes
    ----------
    frame_index : int
    has_truth, corrected : bool
        Whether the frame has a mask, and whether a person has changed it.
    miou, boundary_f : float or None
        Against the mask, in [0, 1].
    hog_residual, entropy, flicker : float or None
        Without a mask: what the heads say the HOG is minus what it is, the prediction's entropy, and its
        change from frame to frame.
    confusion : (C, C) or (C, C + 1) int64 array or None
        Rows truth, columns prediction.
    blobs : sequence of ErrorBlob
    """

    @property
    def frame_index(self) -> int: ...  # noqa: D102
    @property
    def has_truth(self) -> bool: ...  # noqa: D102
    @property
    def corrected(self) -> bool: ...  # noqa: D102
    @property
    def miou(self) -> float | None: ...  # noqa: D102
    @property
    def boundary_f(self) -> float | None: ...  # noqa: D102
    @property
    def hog_residual(self) -> float | None: ...  # noqa: D102
    @property
    def entropy(self) -> float | None: ...  # noqa: D102
    @property
    def flicker(self) -> float | None: ...  # noqa: D102
    @property
    def confusion(self) -> NDArray[np.int64] | None: ...  # noqa: D102
    @property
    def blobs(self) -> Sequence[ErrorBlob]: ...  # noqa: D102


class TriageSource(Protocol):
    """Where records come from.

    Attributes
    ----------
    changed : Signal(object)
        A new or newer FrameRecord; None where all records are others now.
    """

    changed: Signal

    def records(self) -> Sequence[FrameRecord]:
        """All records, in any order."""
        ...


class InMemoryRecords(QObject):
    """A source that is told its records."""

    changed = Signal(object)

    def __init__(self, records: Iterable[FrameRecord] = (), parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._records = {record.frame_index: record for record in records}

    def records(self) -> Sequence[FrameRecord]:
        """All records, by frame."""
        return [self._records[frame_index] for frame_index in sorted(self._records)]

    def put(self, record: FrameRecord) -> None:
        """Take a frame's record, the first or a newer one."""
        self._records[record.frame_index] = record
        self.changed.emit(record)

    def clear(self) -> None:
        """Forget all records: another clip, or another model."""
        self._records.clear()
        self.changed.emit(None)


def frame_columns(records: Sequence[FrameRecord], reviewed: set[int]) -> dict[str, NDArray[np.float64]]:
    """Turn records into columns of numbers, one row a frame; NaN where there is none."""
    numbers = ("miou", "boundary_f", "hog_residual", "entropy", "flicker")
    rows = [
        (
            record.frame_index,
            record.has_truth,
            record.corrected,
            record.frame_index in reviewed,
            *(math.nan if (value := getattr(record, name)) is None else value for name in numbers),
        )
        for record in records
    ]
    table = np.array(rows, np.float64).reshape(len(rows), 4 + len(numbers))
    columns = dict(zip(("frame", "has_truth", "corrected", "reviewed", *numbers), table.T, strict=True))
    columns["worst"] = badness(columns)
    return columns


def badness(columns: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """How bad each frame is among its like, (N,) in (0, 1], 1 the worst; NaN where nothing tells.

    Frames with a score rank by their mIoU. The others, without a mask, rank by HOG residual and entropy: by
    the mean of the frame's places in both, as the two have no common unit. With one of them, by that one.
    """
    scored = ~np.isnan(columns["miou"])
    worst = _places(-columns["miou"])
    hints = np.stack(
        [_places(np.where(scored, np.nan, columns[name])) for name in ("hog_residual", "entropy")]
    )
    known = ~np.isnan(hints)
    count = known.sum(axis=0)
    mean = np.where(known, hints, 0.0).sum(axis=0) / np.maximum(count, 1)
    return np.where(scored, worst, _places(np.where(count > 0, mean, np.nan)))


def _places(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of values that are at most as large, (N,); NaN stays NaN."""
    known = values[~np.isnan(values)]
    places = np.searchsorted(np.sort(known), values, side="right") / max(known.size, 1)
    return np.where(np.isnan(values), np.nan, places)
