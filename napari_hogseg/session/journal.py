"""The journal of a session: every state of a painted mask, appended and made durable before its mask file.

Owns one append-only file and what is read back from it. It keeps the newest state of every corrected frame
even after the mask file was written: a mask file that rots or that another program changes can thus be told
from ours, and ours is still there. When to append is `mask_writer`'s part, mask files are `mask_folder`'s.

Layout of a record: header (little endian) with a CRC-32 over header and payload, then the payload, zlib of
the (H, W) uint8 mask. A record without payload says what became of the mask file.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import threading
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import IO, TYPE_CHECKING

import numpy as np

from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

JOURNAL_FILE = "journal.bin"
MAGIC = b"HsJ\xa7"
VERSION = 1
#: magic, version, kind, 0, sequence, frame, height, width, time, classes, pixels, payload bytes
_FIELDS = struct.Struct("<4sBBHQIIId8s32sI")
_CHECKSUM = struct.Struct("<I")
HEADER_BYTES = _FIELDS.size + _CHECKSUM.size
#: Beyond this, and beyond four times what is still needed, the file is written anew without old states.
COMPACT_BYTES = 64 << 20
_LEVEL = 1  # 1080p: 5 ms and 40 KB; level 6 takes four times as long for half the size


class Kind(IntEnum):
    """What a record says of its frame."""

    PAINTED = 1
    ADOPTED = 2  # read from a mask file that had no record yet: nobody's stroke
    COMMITTED = 3  # the newest state is in the mask file
    CLEARED = 4  # the newest state equals the ground truth, so there is no mask file


@dataclass(frozen=True)
class Record:
    """Where one state of a frame stands in the journal.

    Attributes
    ----------
    kind : Kind
    sequence : int
        Rises over the whole journal, never reused within it.
    frame_index : int
    time_s : float
        Seconds since the epoch.
    pixels : bytes
        `pixel_digest` of the mask.
    offset, num_bytes : int
        Of the whole record in the file.
    """

    kind: Kind
    sequence: int
    frame_index: int
    time_s: float
    pixels: bytes
    offset: int
    num_bytes: int


@dataclass(frozen=True)
class Damage:
    """A stretch of the journal that is no valid record.

    Attributes
    ----------
    offset, num_bytes : int
    frame_index : int or None
        The frame it was about, where its header still tells.
    kept : Path or None
        The file it was put aside in.
    """

    offset: int
    num_bytes: int
    frame_index: int | None
    kept: Path | None = None

    def __str__(self) -> str:
        about = "a frame that cannot be told" if self.frame_index is None else f"frame {self.frame_index}"
        kept = "" if self.kept is None else f", kept as {self.kept.name}"
        return f"{self.num_bytes} damaged bytes at {self.offset} about {about}{kept}"


@dataclass
class FrameHistory:
    """The records of one frame: its states, oldest first, and what is known of its mask file."""

    states: list[Record]
    settled: Kind | None = None
    num_settled: int = 0

    @property
    def newest(self) -> Record:
        """The state that counts."""
        return self.states[-1]

    @property
    def num_pending(self) -> int:
        """States that were painted since the mask file was last known to be right."""
        return sum(record.kind is Kind.PAINTED for record in self.states[self.num_settled :])

    def add(self, record: Record) -> None:
        """Take the next record."""
        if record.kind in (Kind.PAINTED, Kind.ADOPTED):
            self.states.append(record)
            self.settled = None
        else:
            self.settled, self.num_settled = record.kind, len(self.states)

    def knows(self, pixels: bytes) -> bool:
        """Whether a mask of this digest was ever this frame's state here."""
        return any(record.pixels == pixels for record in self.states)


def pixel_digest(mask_HW: npt.NDArray[np.uint8]) -> bytes:
    """SHA-256 over size and pixels: equal for equal masks, however their files are packed."""
    digest = hashlib.sha256(struct.pack("<II", *mask_HW.shape))
    digest.update(np.ascontiguousarray(mask_HW).data)
    return digest.digest()


class Journal:
    """One journal file, opened, replayed and appended to; safe to use from several threads.

    Parameters
    ----------
    path : Path
        Made with the first append.
    shape : tuple of int
        T, H, W: what a record must fit.
    classes : sequence of str
        Class names, whose digest every record carries.
    read_only : bool
        Read what is valid and change nothing: another instance may be writing.

    Attributes
    ----------
    frames : dict of int to FrameHistory
    damage : tuple of Damage
        What was not valid when the file was opened; it was put aside in a `.bad` file first.

    Raises
    ------
    OSError
        If the disk refuses.
    InputError
        If the journal is another clip's.
    """

    def __init__(
        self, path: Path, shape: tuple[int, int, int], classes: Sequence[str], *, read_only: bool = False
    ) -> None:
        self.path, self.shape, self.read_only = path, shape, read_only
        self._classes = hashlib.sha256("\n".join(classes).encode()).digest()[:8]
        self._lock = threading.RLock()
        self._end = 0
        self._sequence = 0
        self.frames: dict[int, FrameHistory] = {}
        self.damage: tuple[Damage, ...] = ()
        if path.exists():
            self._replay()

    # --- reading ----------------------------------------------------------------------------------

    def read(self, record: Record) -> npt.NDArray[np.uint8]:
        """Read a state's mask, (H, W) uint8.

        Raises
        ------
        InputError
            If the record does not hold any more what it held when it was checked.
        """
        # Without the lock, so that nobody waits for an append: records move in `compact` only.
        with self.path.open("rb") as file:
            file.seek(record.offset)
            data = file.read(record.num_bytes)
        num_pixels = self.shape[1] * self.shape[2]
        # Bounded: a payload that swells beyond one mask is damage, not a reason to fill the memory.
        try:
            values = zlib.decompressobj().decompress(data[HEADER_BYTES:], num_pixels + 1)
        except zlib.error:
            values = b""
        mask = np.frombuffer(values, np.uint8)
        if mask.size == num_pixels:
            mask = mask.reshape(self.shape[1:]).copy()
            if pixel_digest(mask) == record.pixels:
                return mask
        raise InputError(
            f"The journal is damaged at byte {record.offset}, frame {record.frame_index}",
            where=self.path,
            remedy="Close the clip and open it again: what is whole is recovered, the rest kept aside.",
        )

    @property
    def num_bytes(self) -> int:
        """Size of the file."""
        with self._lock:
            return self._end

    def reserve(self, sequence: int) -> None:
        """Give the next records numbers above this: what others noted of earlier ones stays unambiguous."""
        with self._lock:
            self._sequence = max(self._sequence, sequence)

    # --- writing ----------------------------------------------------------------------------------

    def append(
        self, masks: Iterable[tuple[int, npt.NDArray[np.uint8]]], kind: Kind = Kind.PAINTED
    ) -> tuple[Record, ...]:
        """Add states of frames, all in one write, and return when they are durable.

        Parameters
        ----------
        masks : iterable of (frame_index, (H, W) uint8 ndarray)
        kind : Kind
            PAINTED or ADOPTED.

        Raises
        ------
        OSError
            If the disk refuses; the file is as before then.
        """
        with self._lock:
            records, data = self._encode(masks, kind)
            self._write(data, durable=kind is Kind.PAINTED)
            for record in records:
                self._take(record)
            return records

    def settle(self, frame_index: int, kind: Kind) -> None:
        """Note what became of a frame's mask file. Not synced: where the note is lost, digests tell."""
        with self._lock:
            record, data = self._pack(kind, frame_index, b"\0" * 32, b"", self._end)
            self._write(data, durable=False)
            self._take(record)

    def compact(self, *, least_bytes: int = COMPACT_BYTES) -> bool:
        """Write the file anew, without states that nobody needs, where it has grown; True if it was done.

        Only states of settled frames go, all but the newest; the old file stays until the new one is durable.
        Records from before are no use for `read` afterwards: done when the session closes.
        """
        with self._lock:
            kept = {i: h for i, h in self.frames.items() if h.settled is not Kind.CLEARED}
            needed = sum(history.newest.num_bytes for history in kept.values())
            if self.read_only or self._end < max(least_bytes, 4 * needed):
                return False
            if any(history.settled is None for history in kept.values()):
                return False
            self._rewrite([history.newest for history in kept.values()], settled=True)
            return True

    # --- inside -----------------------------------------------------------------------------------

    def _encode(
        self, masks: Iterable[tuple[int, npt.NDArray[np.uint8]]], kind: Kind
    ) -> tuple[tuple[Record, ...], bytes]:
        records, parts, offset = [], [], self._end
        for frame_index, mask in masks:
            payload = zlib.compress(np.ascontiguousarray(mask).data, _LEVEL)
            record, data = self._pack(kind, frame_index, pixel_digest(mask), payload, offset)
            records.append(record)
            parts.append(data)
            offset += len(data)
        return tuple(records), b"".join(parts)

    def _pack(
        self, kind: Kind, frame_index: int, pixels: bytes, payload: bytes, offset: int
    ) -> tuple[Record, bytes]:
        self._sequence += 1
        _, height, width = self.shape
        time_s = time.time()
        about = (self._sequence, frame_index, height, width, time_s, self._classes, pixels, len(payload))
        head = _FIELDS.pack(MAGIC, VERSION, kind, 0, *about)
        data = head + _CHECKSUM.pack(zlib.crc32(payload, zlib.crc32(head))) + payload
        return Record(kind, self._sequence, frame_index, time_s, pixels, offset, len(data)), data

    def _write(self, data: bytes, *, durable: bool) -> None:
        if self.read_only:
            raise InputError("This session is open elsewhere", where=self.path)
        # Opened anew each time, 20 us: nothing to leak, and on Windows an open file could not be replaced.
        with self.path.open("r+b" if self.path.exists() else "xb", buffering=0) as file:
            try:
                file.seek(self._end)
                write_all(file, data)
                if durable:
                    os.fsync(file.fileno())
            except OSError:
                # A half-written record would be put aside at the next start; better that there is none.
                with suppress(OSError):
                    file.truncate(self._end)
                raise
        self._end += len(data)

    def _take(self, record: Record) -> None:
        history = self.frames.get(record.frame_index)
        if history is not None:
            history.add(record)
        elif record.kind in (Kind.PAINTED, Kind.ADOPTED):
            self.frames[record.frame_index] = FrameHistory([record])

    def _replay(self) -> None:
        """Read the whole file; what is no record goes to a `.bad` file, and out of this one."""
        records: list[Record] = []
        damage: list[Damage] = []
        with self.path.open("rb") as file:
            self._end = os.fstat(file.fileno()).st_size
            if self._end:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    for found in self._scan(data):
                        (records if isinstance(found, Record) else damage).append(found)  # type: ignore[arg-type]
                    if damage and not self.read_only:
                        damage = self._put_aside(data, damage)
        self._check_ours(records)
        for record in records:
            self._take(record)
            self._sequence = max(self._sequence, record.sequence)
        self.damage = tuple(damage)
        if damage and not self.read_only:
            self._rewrite(records, settled=False)

    def _scan(self, data: mmap.mmap) -> Iterator[Record | Damage]:
        offset, end = 0, len(data)
        while offset < end:
            record = _parse(data, offset)
            if record is not None:
                yield record
                offset += record.num_bytes
                continue
            start = offset
            # Records stand alone: after a damaged one the next that is whole counts again.
            while (offset := data.find(MAGIC, offset + 1)) >= 0 and _parse(data, offset) is None:
                pass
            offset = end if offset < 0 else offset
            yield Damage(start, offset - start, self._frame_of(data[start : start + HEADER_BYTES]))

    def _frame_of(self, head: bytes) -> int | None:
        """Frame of a damaged record, if its header still makes sense."""
        if len(head) < _FIELDS.size:
            return None
        magic, _, _, _, _, frame_index, height, width, *_ = _FIELDS.unpack(head[: _FIELDS.size])
        fits = magic == MAGIC and (height, width) == self.shape[1:] and frame_index < self.shape[0]
        return int(frame_index) if fits else None

    def _put_aside(self, data: mmap.mmap, damage: list[Damage]) -> list[Damage]:
        kept = []
        for part in damage:
            bad = free_name(self.path.with_suffix(".bad"))
            atomic.write_bytes(bad, data[part.offset : part.offset + part.num_bytes])
            kept.append(Damage(part.offset, part.num_bytes, part.frame_index, bad))
        return kept

    def _check_ours(self, records: list[Record]) -> None:
        if not records:
            return
        with self.path.open("rb") as file:
            for record in records:
                file.seek(record.offset)
                fields = _FIELDS.unpack(file.read(_FIELDS.size))
                if fields[6:8] != self.shape[1:] or fields[9] != self._classes or fields[5] >= self.shape[0]:
                    raise InputError(
                        "The journal in this folder belongs to another clip or other classes",
                        where=self.path,
                        remedy="Choose another session folder; nothing was changed here.",
                    )

    def _rewrite(self, records: list[Record], *, settled: bool) -> None:
        """Replace the file by these records, each copied as it stands."""
        parts: list[bytes] = []
        moved: list[Record] = []
        offset = 0
        with self.path.open("rb") as file:
            for record in records:
                file.seek(record.offset)
                parts.append(file.read(record.num_bytes))
                moved.append(_at(record, offset))
                offset += record.num_bytes
                if settled:
                    kind = self.frames[record.frame_index].settled or Kind.COMMITTED
                    note, data = self._pack(kind, record.frame_index, b"\0" * 32, b"", offset)
                    parts.append(data)
                    moved.append(note)
                    offset += len(data)
        atomic.write_bytes(self.path, b"".join(parts))
        self._end, self.frames = offset, {}
        for record in moved:
            self._take(record)


def free_name(path: Path) -> Path:
    """Choose a path that does not exist: this one, or with a number before its suffix."""
    number, free = 2, path
    while free.exists():
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return free


def _at(record: Record, offset: int) -> Record:
    return Record(
        record.kind,
        record.sequence,
        record.frame_index,
        record.time_s,
        record.pixels,
        offset,
        record.num_bytes,
    )


def _parse(data: mmap.mmap, offset: int) -> Record | None:
    """Read the record that begins here; None if there is no whole, valid one."""
    if len(data) - offset < HEADER_BYTES:
        return None
    head = data[offset : offset + _FIELDS.size]
    magic, version, kind, _, sequence, frame_index, _, _, time_s, _, pixels, size = _FIELDS.unpack(head)
    if magic != MAGIC or version != VERSION or kind not in set(Kind):
        return None
    start = offset + HEADER_BYTES
    if start + size > len(data):
        return None
    (expected,) = _CHECKSUM.unpack(data[start - _CHECKSUM.size : start])
    if zlib.crc32(data[start : start + size], zlib.crc32(head)) != expected:
        return None
    return Record(Kind(kind), sequence, frame_index, time_s, pixels, offset, HEADER_BYTES + size)


def write_all(file: IO[bytes], data: bytes) -> None:
    """Write to an unbuffered file, which may take less than it is given."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
