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


_MEASURED = (
    "frame_index", "has_truth", "corrected", "miou", "boundary_f", "hog_residual", "entropy", "flicker",
)  # fmt: skip
_COLUMNS = ("frame", *_MEASURED[1:], "reviewed", "doubt")


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


class FrameTable:
    """The records of all frames as columns of numbers, changed row by row.

    At 90 000 frames (an hour of video) to build the columns anew takes a tenth of a second, too long to do
    while a survey tells of one frame after the other.
    """

    def __init__(self) -> None:
        self._records: dict[int, FrameRecord] = {}
        self._rows: dict[int, int] = {}
        self._values = np.zeros((0, len(_COLUMNS)))
        self._confusion: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self._records)

    def set_records(self, records: Iterable[FrameRecord]) -> None:
        """Begin anew."""
        self._records, self._rows, self._confusion = {}, {}, None
        self._values = np.zeros((0, len(_COLUMNS)))
        for record in records:
            self.update(record)

    def update(self, record: FrameRecord) -> None:
        """Take a new or newer record of a frame."""
        row = self._rows.setdefault(record.frame_index, len(self._rows))
        if row >= len(self._values):
            room = np.full((max(len(self._values), 64), len(_COLUMNS)), np.nan)
            self._values = np.concatenate([self._values, room])
        values = self._values[row]
        values[: len(_MEASURED)] = [_number(getattr(record, name)) for name in _MEASURED]
        old = self._records.get(record.frame_index)
        if old is None:
            values[_COLUMNS.index("reviewed")] = 0.0
        self._records[record.frame_index] = record
        self._count(None if old is None else old.confusion, sign=-1)
        self._count(record.confusion, sign=1)

    def set_value(self, key: str, frame_index: int, value: float) -> None:
        """Set what is not measured, `reviewed` or `doubt`, for a frame that has a record."""
        row = self._rows.get(frame_index)
        if row is not None:
            self._values[row, _COLUMNS.index(key)] = value

    def clear_value(self, key: str) -> None:
        """Forget what `set_value` set, for all frames."""
        self._values[:, _COLUMNS.index(key)] = math.nan

    def columns(self, pair: tuple[int, int] | None = None) -> dict[str, NDArray[np.float64]]:
        """Give the columns, each (N,), NaN where there is no number.

        Parameters
        ----------
        pair : (int, int), optional
            The true and the predicted class whose pixels the column `pixels` counts.
        """
        columns = dict(zip(_COLUMNS, self._values[: len(self._rows)].T, strict=True))
        columns["worst"] = badness(columns)
        columns["pixels"] = self._pixels(pair)
        return columns

    @property
    def confusion(self) -> NDArray[np.int64] | None:
        """Counts of all frames; None where no frame has any."""
        return self._confusion

    def _pixels(self, pair: tuple[int, int] | None) -> NDArray[np.float64]:
        pixels = np.full(len(self._rows), np.nan)
        for frame_index, row in self._rows.items() if pair is not None else ():
            matrix = self._records[frame_index].confusion
            if matrix is not None and pair is not None:
                pixels[row] = matrix[pair[0], min(pair[1], matrix.shape[1] - 1)]
        return pixels

    def _count(self, matrix: NDArray[np.int64] | None, sign: int) -> None:
        if matrix is not None:
            total = np.zeros_like(matrix) if self._confusion is None else self._confusion
            self._confusion = total + sign * matrix


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


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
