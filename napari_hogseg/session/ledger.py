"""The ledger of a session: who corrected what, when, in how much working time, and on whose proposal.

Owns `ledger.jsonl` (append-only, one action a line) and the effort curve made from it. What is one action is
told here; masks are `annotations`' part.

Working time: the pauses between two signs of activity (a touch of the brush, a change of frame) are added up;
a pause longer than `IDLE_S` counts as none, for then nobody worked.
"""

from __future__ import annotations

import csv
import io
import os
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_hogseg.io import atomic
from napari_hogseg.session.journal import write_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import numpy.typing as npt

    Mask = npt.NDArray[np.uint8]

LEDGER_FILE = "ledger.jsonl"
EFFORT_FILE = "effort.csv"
IDLE_S = 30.0
#: Touches of one frame in one kind belong to one action until this long after the last.
ACTION_S = 1.0
PAINT, ERASE, RESTORED, LOOK = "paint", "erase", "restored", "look"
#: Actions that take others back: what they change is no new correction.
TAKES_BACK = frozenset({"undo"})


class Proposal(BaseModel):
    """The model that had proposed what a person took over.

    Attributes
    ----------
    digest, name : str
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    name: str


class ClassChange(BaseModel):
    """How many pixels of a frame went from one class to another.

    Attributes
    ----------
    before, after : int
        Class ids, 255 for unlabelled.
    pixels : int
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    before: int = Field(ge=0, le=255)
    after: int = Field(ge=0, le=255)
    pixels: int = Field(gt=0)


class LedgerEntry(BaseModel):
    """One action: a line of the ledger.

    Attributes
    ----------
    when : datetime
        Its end, UTC.
    frame_index : int or None
    frame : str
        Name of the frame; empty where the action was on none.
    kind : str
        'paint', 'erase', or what the caller named: 'fill', 'accept', 'propagate', 'undo', 'redo', ...;
        'restored' for what a session that was killed had not entered; 'look' for time without a correction.
    changes : tuple of ClassChange
        From before the action to after it.
    proposed_by : Proposal or None
    author : str
    seconds : float
        Working time since the entry before.
    sequence : int
        The newest journal record that the action is in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: datetime
    frame_index: int | None
    frame: str
    kind: str
    changes: tuple[ClassChange, ...] = ()
    proposed_by: Proposal | None = None
    author: str = ""
    seconds: float = Field(default=0.0, ge=0.0)
    sequence: int = 0

    @property
    def num_pixels(self) -> int:
        """Pixels that changed."""
        return sum(change.pixels for change in self.changes)


def class_changes(before_HW: Mask, after_HW: Mask) -> tuple[ClassChange, ...]:
    """Count the changed pixels by pair of classes, largest first.

    Parameters
    ----------
    before_HW, after_HW : (H, W) uint8 ndarray
    """
    changed = before_HW != after_HW
    pairs = before_HW[changed].astype(np.intp) * 256 + after_HW[changed]
    counts = np.bincount(pairs)
    found = np.flatnonzero(counts)
    found = found[np.argsort(-counts[found], kind="stable")]
    return tuple(
        ClassChange(before=int(pair) // 256, after=int(pair) % 256, pixels=int(counts[pair]))
        for pair in found
    )


class ActiveTime:
    """A stopwatch that does not count pauses.

    Parameters
    ----------
    clock : callable
        Seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: float | None = None
        self._seconds = 0.0

    def tick(self) -> None:
        """Note a sign of activity."""
        now = self._clock()
        if self._last is not None and now - self._last <= IDLE_S:
            self._seconds += now - self._last
        self._last = now

    def take(self) -> float:
        """Hand over the seconds since the last call."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds


@dataclass
class _Action:
    frame_index: int
    kind: str
    proposed_by: Proposal | None
    before: Mask
    last_s: float
    when: datetime
    seconds: float = 0.0
    after: Mask | None = None


class ActionLog:
    """Tells actions apart as they happen: cheap for the painting thread, counted in another.

    Parameters
    ----------
    clock : callable
        Seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._ended: deque[_Action] = deque()
        self._open: _Action | None = None
        self.active = ActiveTime(clock)

    def note(
        self, frame_index: int, kind: str, proposed_by: Proposal | None, copy_before: Callable[[], Mask]
    ) -> bool:
        """Note that a frame is about to be changed; True if that begins a new action.

        `copy_before` gives the frame's mask as it is now; called only where an action begins.
        """
        with self._lock:
            self.active.tick()
            now, current = self._clock(), self._open
            if (
                current is not None
                and (current.frame_index, current.kind, current.proposed_by)
                == (frame_index, kind, proposed_by)
                and now - current.last_s <= ACTION_S
            ):
                current.last_s, current.when = now, datetime.now(UTC)
                return False
            before = copy_before()
            self._end_open()
            for action in self._ended:  # what follows on the same frame must not be counted to them
                if action.frame_index == frame_index and action.after is None:
                    action.after = before
            self._open = _Action(frame_index, kind, proposed_by, before, now, datetime.now(UTC))
            return True

    def tick(self) -> None:
        """Note activity that changes nothing, such as another frame."""
        with self._lock:
            self.active.tick()

    def ended(self, *, hurry: bool = False) -> list[_Action]:
        """Take the actions that are over; with hurry the one under way is over too."""
        with self._lock:
            if self._open is not None and (hurry or self._clock() - self._open.last_s > ACTION_S):
                self._end_open()
            ended = list(self._ended)
            self._ended.clear()
            return ended

    @property
    def next_end_s(self) -> float | None:
        """Seconds until the action under way is over; None if there is none."""
        with self._lock:
            return None if self._open is None else max(0.0, self._open.last_s + ACTION_S - self._clock())

    def _end_open(self) -> None:
        if self._open is not None:
            self._open.seconds = self.active.take()
            self._ended.append(self._open)
            self._open = None


class Ledger:
    """The ledger's file.

    Parameters
    ----------
    folder : Path
        Session folder.
    read_only : bool

    Attributes
    ----------
    entries : list of LedgerEntry
    num_damaged : int
        Lines that are no entries; they stay in the file.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.path, self.read_only = folder / LEDGER_FILE, read_only
        self.entries, self.num_damaged = read_ledger(self.path)
        self._waiting: list[LedgerEntry] = []
        self._lock = threading.Lock()

    def last_sequence(self, frame_index: int) -> int:
        """Newest journal record of a frame that is entered; 0 if none is."""
        return max((e.sequence for e in self.entries if e.frame_index == frame_index), default=0)

    def add(self, entry: LedgerEntry) -> None:
        """Enter an action; it is written with the next `write`."""
        with self._lock:
            self._waiting.append(entry)
            self.entries.append(entry)

    def write(self) -> None:
        """Make what was entered durable.

        Raises
        ------
        OSError
            If the disk refuses: the file is as before, and the entries are written with the next call.
        """
        with self._lock:
            if not self._waiting or self.read_only:
                return
            data = "".join(entry.model_dump_json() + "\n" for entry in self._waiting).encode()
            with self.path.open("ab", buffering=0) as file:
                _append_durably(file, data)
            self._waiting.clear()

    def write_effort(self) -> None:
        """Write the effort curve beside the ledger, for spreadsheets."""
        if not self.read_only and self.entries:
            atomic.write_text(self.path.with_name(EFFORT_FILE), EffortCurve.of(self.entries).to_csv())


def _append_durably(file: IO[bytes], data: bytes) -> None:
    end = file.seek(0, os.SEEK_END)
    try:
        if end and not _ends_with_newline(file.name):
            file.write(b"\n")  # a torn line of a killed process must not swallow our first
        write_all(file, data)
        os.fsync(file.fileno())
    except OSError:
        with suppress(OSError):
            file.truncate(end)
        raise


def _ends_with_newline(name: str) -> bool:
    with open(name, "rb") as file:  # noqa: PTH123 - the name of an open file
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def read_ledger(path: Path) -> tuple[list[LedgerEntry], int]:
    """Read a ledger's entries in their order, and the number of lines that are none."""
    entries: list[LedgerEntry] = []
    num_damaged = 0
    if path.is_file():
        with path.open("rb") as file:
            for line in file:
                try:
                    entries.append(LedgerEntry.model_validate_json(line))
                except ValidationError:
                    num_damaged += bool(line.strip())
    return entries, num_damaged


@dataclass(frozen=True)
class EffortCurve:
    """Corrections against working time, one point an action.

    Attributes
    ----------
    when : tuple of datetime
    minutes : tuple of float
        Working time so far.
    pixels : tuple of int
        Changed pixels so far; what an undo changes is taken off.
    frames : tuple of int
        Different frames changed so far.
    """

    when: tuple[datetime, ...]
    minutes: tuple[float, ...]
    pixels: tuple[int, ...]
    frames: tuple[int, ...]

    @classmethod
    def of(cls, entries: Iterable[LedgerEntry]) -> EffortCurve:
        """Add up entries in their order."""
        rows: list[tuple[datetime, float, int, int]] = []
        seconds, pixels, frames = 0.0, 0, set[str]()
        for entry in entries:
            seconds += entry.seconds
            sign = -1 if entry.kind in TAKES_BACK else 1
            pixels = max(0, pixels + sign * entry.num_pixels)
            if entry.changes:
                frames.add(entry.frame)
            rows.append((entry.when, seconds / 60, pixels, len(frames)))
        when, minutes, pixel_counts, frame_counts = zip(*rows, strict=True) if rows else ((), (), (), ())
        return cls(tuple(when), tuple(minutes), tuple(pixel_counts), tuple(frame_counts))

    @property
    def total_minutes(self) -> float:
        """Working time of all entries."""
        return self.minutes[-1] if self.minutes else 0.0

    def to_csv(self) -> str:
        """Write the points as a table with a heading."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["when_utc", "minutes", "corrected_pixels", "corrected_frames"])
        for when, minutes, pixels, frames in zip(
            self.when, self.minutes, self.pixels, self.frames, strict=True
        ):
            table.writerow([when.isoformat(), f"{minutes:.4f}", pixels, frames])
        return text.getvalue()
