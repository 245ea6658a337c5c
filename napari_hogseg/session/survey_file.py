"""What a survey found out, kept in the session folder: one line a frame, each with its own checksum.

Append-only, so that a kill costs at most the frame it fell into. A line that is damaged, at the end or
anywhere else, is dropped and its frame computed anew; nothing in here is of value in itself. Whether a record
still fits its mask is `survey`'s part.

A line is the CRC-32 of the JSON as 8 hexadecimal digits, a space, and the JSON. The first says which model
and which clip the records are of; of several records of a frame the last one counts.
"""

from __future__ import annotations

import json
import math
import os
import time
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hogseg.io import atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt

FORMAT = 1
SYNC_EVERY_S = 5.0
#: Superseded lines that a file may hold before it is written anew.
MAX_SUPERSEDED = 1_000
#: Lines parsed between two breaths: Python code in this thread holds up the window.
LINES_AT_A_TIME = 200
MEASURES = ("miou", "boundary_f", "hog_residual", "entropy", "flicker")


@dataclass(frozen=True, eq=False, slots=True)
class SurveyRecord:
    """One frame, measured; NaN where there is nothing to measure.

    Attributes
    ----------
    frame_index : int
    has_truth : bool
        Whether the frame has a mask with at least one labelled pixel.
    corrected : bool
        Whether a person has changed it.
    miou, boundary_f : float
        Against the mask: mean IoU and mean DAVIS F over the classes that either holds, in [0, 1].
    hog_residual : float
        Sum over the heads of the mean squared error against the pseudo-label; no mask is needed.
    entropy : float
        Mean entropy of the class probabilities, in nats over log C: 0 certain, 1 without a clue.
    flicker : float
        Share of pixels that the model gives another class than on the frame before. What moves in the picture
        counts as well: nothing compensates for motion.
    confusion : (C, C) int64 ndarray or None
        Pixels by class, rows truth, columns prediction.
    blobs : tuple
        What the survey's `find_blobs` found.
    mask_digest : str
        Of the mask it was compared with; empty where there was none.
    """

    frame_index: int
    has_truth: bool
    corrected: bool
    miou: float
    boundary_f: float
    hog_residual: float
    entropy: float
    flicker: float
    confusion: npt.NDArray[np.int64] | None = field(repr=False)
    blobs: tuple[Any, ...] = field(repr=False)
    mask_digest: str


def to_line(table: dict[str, Any]) -> bytes:
    """Write a table as one line."""
    body = json.dumps(table, separators=(",", ":"), allow_nan=False).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def from_line(line: bytes) -> dict[str, Any] | None:
    """Read a line; None where it is not what was written."""
    checksum, _, body = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(body):
        return None
    table = json.loads(body)
    return table if isinstance(table, dict) else None


def record_to_table(
    record: SurveyRecord, blob_to_table: Callable[[Any], dict[str, Any]] = dict
) -> dict[str, Any]:
    """Write a record as plain values; of the confusion only the cells that are not empty."""
    table: dict[str, Any] = {"frame": record.frame_index, "mask": record.mask_digest}
    table |= {"has_truth": record.has_truth, "corrected": record.corrected}
    for name in MEASURES:
        value = getattr(record, name)
        table[name] = None if math.isnan(value) else value
    if record.confusion is not None:
        cells = np.argwhere(record.confusion)
        table["confusion"] = [
            len(record.confusion),
            [[*c, int(record.confusion[*c])] for c in cells.tolist()],
        ]
    if record.blobs:
        table["blobs"] = [blob_to_table(blob) for blob in record.blobs]
    return table


def record_from_table(
    table: dict[str, Any], blob_from_table: Callable[[dict[str, Any]], Any] = dict
) -> SurveyRecord:
    """Read a record back."""
    confusion = None
    if "confusion" in table:
        num_classes, cells = table["confusion"]
        confusion = np.zeros((num_classes, num_classes), np.int64)
        for row, col, count in cells:
            confusion[row, col] = count
    measures = {name: math.nan if table[name] is None else float(table[name]) for name in MEASURES}
    return SurveyRecord(
        frame_index=int(table["frame"]),
        has_truth=bool(table["has_truth"]),
        corrected=bool(table["corrected"]),
        **measures,
        confusion=confusion,
        blobs=tuple(blob_from_table(blob) for blob in table.get("blobs", ())),
        mask_digest=str(table["mask"]),
    )


class SurveyFile:
    """One model's records of one clip.

    Parameters
    ----------
    path : Path
    about : dict
        Plain values that say what the records are of. A file about something else is begun anew.
    read_only : bool
        Take what is there and write nothing: the session is another program's, or its folder is locked.
    """

    def __init__(self, path: Path, about: dict[str, Any], *, read_only: bool = False) -> None:
        self.path, self._about = path, {"format": FORMAT, **about}
        self._read_only = read_only
        self._file: Any = None
        self._synced_s = time.monotonic()

    def load(self) -> Iterator[dict[str, Any]]:
        """Yield the tables that are kept, the last of each frame; afterwards the file can be appended to.

        Raises
        ------
        OSError
            If the folder cannot be written.
        """
        lines, good_bytes, num_lines = self._read()
        if not self._read_only:
            self._open(lines, good_bytes, num_lines)
        for number, line in enumerate(lines.values()):
            if number % LINES_AT_A_TIME == 0:
                time.sleep(0.001)
            table = from_line(line)
            if table is not None:
                yield table

    def append(self, table: dict[str, Any]) -> None:
        """Add a table; it outlives a kill at once, a power cut in seconds. OSError if the disk refuses."""
        if self._file is None:
            return
        self._file.write(to_line(table))
        if time.monotonic() - self._synced_s > SYNC_EVERY_S:
            self.sync()

    def sync(self) -> None:
        """Make what was appended durable."""
        if self._file is not None:
            os.fsync(self._file.fileno())
        self._synced_s = time.monotonic()

    def close(self) -> None:
        """Close the file; safe to call twice."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _open(self, lines: dict[int, bytes], good_bytes: int, num_lines: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if good_bytes == 0 or num_lines - len(lines) > MAX_SUPERSEDED:
            atomic.write_bytes(self.path, to_line(self._about) + b"".join(lines.values()))
        elif self.path.stat().st_size > good_bytes:
            os.truncate(self.path, good_bytes)  # half a line: what is appended would be glued to it
        # Unbuffered, so that a kill loses nothing that was written.
        self._file = self.path.open("ab", buffering=0)

    def _read(self) -> tuple[dict[int, bytes], int, int]:
        """Lines by frame, the bytes up to the last whole line's end (0: begin anew), and their number."""
        lines: dict[int, bytes] = {}
        good_bytes = position = num_lines = 0
        try:
            with self.path.open("rb") as file:
                first = file.readline()
                if from_line(first) != self._about:
                    return {}, 0, 0
                good_bytes = position = len(first)
                for line in file:
                    position += len(line)
                    table = from_line(line)
                    if table is None:
                        continue
                    num_lines += 1
                    if num_lines % LINES_AT_A_TIME == 0:
                        time.sleep(0.001)
                    lines[int(table["frame"])] = line
                    good_bytes = position
        except FileNotFoundError:
            return {}, 0, 0
        return lines, good_bytes, num_lines
