"""The errors of all frames as one queue: which are open, which a person has seen, which are gone.

Owns the state of each blob and its identity while frames are measured anew. Knows no widget.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.metrics.error_blobs import FALSE_NEGATIVE, FALSE_POSITIVE, TYPES, ErrorBlob

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_hogseg.ui.triage_records import FrameRecord

KINDS = (FALSE_NEGATIVE, FALSE_POSITIVE)

_FIELDS = (
    "frame", "worst", "kind", "type", "true", "predicted", "area", "depth", "gradient", "state", "number",
)  # fmt: skip
_STATE = _FIELDS.index("state")


@dataclass(frozen=True)
class ErrorLimits:
    """Which errors are large enough to be listed.

    Attributes
    ----------
    min_area_px : int
    min_depth_px : float
        Of the largest distance within the error to a pixel that is right.
    """

    min_area_px: int = 20
    min_depth_px: float = 0.0

    def passing(self, columns: dict[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
        """Tell which rows of a `BlobQueue`'s columns are large enough, (N,)."""
        large = columns["area"] >= self.min_area_px
        return np.asarray(large & (columns["depth"] >= self.min_depth_px), np.bool_)

    def describe(self, num_hidden: int, num_all: int) -> str:
        """Say how many errors are hidden and by what; empty where none is."""
        if not num_hidden:
            return ""
        limits = [f"size < {self.min_area_px} px"] if self.min_area_px > 1 else []
        limits += [f"depth < {self.min_depth_px:.1f} px"] if self.min_depth_px > 0 else []
        errors = "error" if num_all == 1 else "errors"
        return f"{num_hidden:,} of {num_all:,} {errors} hidden by {' or '.join(limits)}"


class State(IntEnum):
    """What became of a blob."""

    OPEN = 0
    SEEN = 1
    MENDED = 2


#: A blob that was measured anew is the same one if their boxes overlap by this much.
_SAME_BOX = 0.5


@dataclass(eq=False)
class _Frame:
    """A frame's blobs; rows of `values` are `_FIELDS`."""

    blobs: list[ErrorBlob]
    values: NDArray[np.float64]


class BlobQueue:
    """All error blobs, numbered through in one table whose columns are arrays.

    A blob that was seen and is not found any more when its frame is measured anew is mended; it stays in the
    queue, for the count. One that was never seen just goes.
    """

    def __init__(self) -> None:
        self._frames: dict[int, _Frame] = {}
        self._table: NDArray[np.float64] | None = None

    def set_records(self, records: Iterable[FrameRecord]) -> None:
        """Begin anew."""
        self._frames = {
            record.frame_index: _Frame(list(record.blobs), _values(record.frame_index, record.blobs))
            for record in records
            if record.blobs
        }
        self._table = None

    def update(self, record: FrameRecord) -> None:
        """Take a newer record of a frame; what a person has seen stays seen."""
        old = self._frames.get(record.frame_index)
        blobs = list(record.blobs)
        states = [State.OPEN] * len(blobs)
        for blob, state in zip(old.blobs, old.values[:, _STATE], strict=True) if old else ():
            if state == State.OPEN:
                continue
            same = [k for k, new in enumerate(record.blobs) if _same(blob, new)]
            for k in same:
                states[k] = State.SEEN
            if not same:
                blobs.append(blob)
                states.append(State.MENDED)
        values = _values(record.frame_index, blobs)
        values[:, _STATE] = states
        self._frames[record.frame_index] = _Frame(blobs, values)
        self._table = None

    def __len__(self) -> int:
        return len(self._rows())

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """Give views of the columns, each (N,) float64, by the names of `_FIELDS`."""
        return dict(zip(_FIELDS, self._rows().T, strict=True))

    def blob(self, row: int) -> ErrorBlob:
        """Look a blob up by its row."""
        values = self._rows()[row]
        return self._frames[int(values[0])].blobs[int(values[-1])]

    def frame_index(self, row: int) -> int:
        """Look the frame of a row up."""
        return int(self._rows()[row, 0])

    def state(self, row: int) -> State:
        """Tell what became of a row."""
        return State(int(self._rows()[row, _STATE]))

    def mark(self, row: int, state: State) -> None:
        """Set the state of a row."""
        values = self._rows()[row]
        values[_STATE] = state
        self._frames[int(values[0])].values[int(values[-1]), _STATE] = state

    def row_of(self, frame_index: int, blob: ErrorBlob) -> int | None:
        """Find the row of a blob, or of what became of it; None where it is gone."""
        frame = self._frames.get(frame_index)
        if frame is None:
            return None
        rows = np.flatnonzero(self._rows()[:, 0] == frame_index)
        candidates = [k for k, other in enumerate(frame.blobs) if other is blob]
        candidates += [k for k, other in enumerate(frame.blobs) if _same(blob, other)]
        return int(rows[candidates[0]]) if candidates else None

    def next_row(self, order: Sequence[int] | NDArray[np.intp], current: int | None) -> int | None:
        """Find the next open row in an order, from the current one on, then from the top; None if none is."""
        rows = np.asarray(order, np.intp)
        begin = _after(rows, current)
        ahead = np.concatenate([rows[begin:], rows[:begin]])
        waiting = ahead[self._rows()[ahead, _STATE] == State.OPEN]
        return int(waiting[0]) if waiting.size else None

    def previous_row(self, order: Sequence[int] | NDArray[np.intp], current: int | None) -> int | None:
        """Find the row before the current one that is still an error, seen or not; None at the top."""
        rows = np.asarray(order, np.intp)
        behind = rows[: max(_after(rows, current) - 1, 0)]
        behind = behind[self._rows()[behind, _STATE] != State.MENDED]
        return int(behind[-1]) if behind.size else None

    def progress(self, order: NDArray[np.intp]) -> tuple[int, int]:
        """How many of these rows are done, and of how many."""
        return int(np.count_nonzero(self._rows()[order, _STATE] != State.OPEN)), len(order)

    def _rows(self) -> NDArray[np.float64]:
        if self._table is None:
            parts = [self._frames[frame_index].values for frame_index in sorted(self._frames)]
            self._table = np.concatenate([np.zeros((0, len(_FIELDS))), *parts])
        return self._table


def severity_px(blob: ErrorBlob) -> float:
    """How bad an error is: its depth, but at most the radius of a disk of its area.

    Depth alone would put a fragment in the middle of a large error of other classes before the error itself.
    """
    return min(blob.depth_px, math.sqrt(blob.area_px / math.pi))


def _after(rows: NDArray[np.intp], current: int | None) -> int:
    """Place behind the current row; 0 where it is not among them."""
    places = np.flatnonzero(rows == (-1 if current is None else current))
    return int(places[0]) + 1 if places.size else 0


def _values(frame_index: int, blobs: Sequence[ErrorBlob]) -> NDArray[np.float64]:
    rows = [
        (
            frame_index,
            severity_px(blob),
            KINDS.index(blob.kind),
            TYPES.index(blob.type),
            blob.true_class,
            blob.predicted_class,
            blob.area_px,
            blob.depth_px,
            blob.gradient,
            State.OPEN,
            number,
        )
        for number, blob in enumerate(blobs)
    ]
    return np.array(rows, np.float64).reshape(len(rows), len(_FIELDS))


def _same(one: ErrorBlob, other: ErrorBlob) -> bool:
    """Whether two blobs of a frame are one error, measured twice."""
    if (one.true_class, one.predicted_class) != (other.true_class, other.predicted_class):
        return False
    a, b = one.bbox, other.bbox
    height, width = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if height <= 0 or width <= 0:
        return False
    common = height * width
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common >= _SAME_BOX * both and 2 * other.area_px >= one.area_px
