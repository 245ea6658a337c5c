"""What a session writes besides masks: the ledger, the effort curve, where the reviewer was.

Called from the painting thread to note things, from the writer thread to count and write them.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from napari_hogseg.session.journal import Kind
from napari_hogseg.session.ledger import (
    LOOK,
    RESTORED,
    ActionLog,
    EffortCurve,
    Ledger,
    LedgerEntry,
    class_changes,
)
from napari_hogseg.session.state import SessionState

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from napari_hogseg.session.journal import Record
    from napari_hogseg.session.ledger import Proposal
    from napari_hogseg.session.opening import OpenFolder

    Mask = npt.NDArray[np.uint8]

STATE_EVERY_S = 2.0


class SessionRecords:
    """Ledger, effort and state of one open session folder.

    Parameters
    ----------
    disk : OpenFolder
    snapshot : callable
        `snapshot(frame_index) -> (H, W) uint8`, the newest mask.
    truth : callable
        `truth(frame_index) -> (H, W) uint8` without corrections, None where that cannot be told.

    Attributes
    ----------
    author : str
        Signs the entries from now on.
    ledger : Ledger
    last_state : SessionState or None
        Where the reviewer was when the session was open last.
    """

    def __init__(
        self, disk: OpenFolder, snapshot: Callable[[int], Mask], truth: Callable[[int], Mask | None]
    ) -> None:
        self._disk, self._snapshot, self._truth = disk, snapshot, truth
        self._folder = disk.masks.folder
        self.author = ""
        self.ledger = Ledger(self._folder, read_only=disk.read_only is not None)
        self._actions = ActionLog()
        self._lock = threading.Lock()
        self._state: SessionState | None = None
        self.last_state = SessionState.read(self._folder)
        self._written_state: SessionState | None = None
        self._state_written_s = -STATE_EVERY_S
        self._carried_s = 0.0
        self._overdue = [] if disk.read_only is not None else self._find_overdue()

    # --- from any thread --------------------------------------------------------------------------

    @property
    def has_overdue(self) -> bool:
        """Whether the session before was killed before it entered all its actions."""
        return bool(self._overdue)

    @property
    def effort(self) -> EffortCurve:
        """Corrections against working time so far, written or not."""
        return EffortCurve.of(tuple(self.ledger.entries))

    def note(
        self, frame_index: int, kind: str, proposed_by: Proposal | None, copy_before: Callable[[], Mask]
    ) -> None:
        """Note that a frame is about to be changed."""
        self._actions.note(frame_index, kind, proposed_by, copy_before)

    def tick(self) -> None:
        """Note activity."""
        self._actions.tick()

    def remember(self, state: SessionState) -> bool:
        """Keep a state to write; False if it is the one kept already."""
        with self._lock:
            changed = state != self._state
            self._state = state
            return changed

    # --- from the writer thread -------------------------------------------------------------------

    def chore(self, *, hurry: bool) -> float | None:
        """Enter the actions that are over and write what is due; seconds until there is more to do.

        Raises
        ------
        OSError
            If the disk refuses: all is written with a later call.
        """
        self._enter_overdue()
        for action in self._actions.ended(hurry=hurry):
            after = self._snapshot(action.frame_index) if action.after is None else action.after
            changes = class_changes(action.before, after)
            seconds, self._carried_s = action.seconds + self._carried_s, 0.0
            if not changes:
                self._carried_s = seconds
                continue
            self.ledger.add(
                LedgerEntry(
                    when=action.when,
                    frame_index=action.frame_index,
                    frame=self._disk.identity.frame_names[action.frame_index],
                    kind=action.kind,
                    changes=changes,
                    proposed_by=action.proposed_by,
                    author=self.author,
                    seconds=round(seconds, 3),
                    sequence=self._sequence(action.frame_index),
                )
            )
        self.ledger.write()
        waits = (self._write_state(hurry=hurry), self._actions.next_end_s)
        return min((wait_s for wait_s in waits if wait_s is not None), default=None)

    def close(self) -> None:
        """Enter the time that was only looked, and write the effort curve.

        Raises
        ------
        OSError
            If the disk refuses.
        """
        seconds = self._carried_s + self._actions.active.take()
        self._carried_s = 0.0
        if seconds >= 1.0:
            self.ledger.add(
                LedgerEntry(
                    when=datetime.now(UTC),
                    frame_index=None,
                    frame="",
                    kind=LOOK,
                    author=self.author,
                    seconds=round(seconds, 3),
                )
            )
        self.ledger.write()
        self.ledger.write_effort()

    # --- inside -----------------------------------------------------------------------------------

    def _write_state(self, *, hurry: bool) -> float | None:
        with self._lock:
            state = self._state
            if state is None or state == self._written_state:
                return None
            wait_s = self._state_written_s + STATE_EVERY_S - time.monotonic()
            if wait_s > 0 and not hurry:
                return wait_s
            self._state_written_s = time.monotonic()
        state.write(self._folder, self._written_state)
        with self._lock:
            self._written_state = state
        return None

    def _sequence(self, frame_index: int) -> int:
        history = self._disk.masks.journal.frames.get(frame_index)
        return 0 if history is None else history.newest.sequence

    def _find_overdue(self) -> list[tuple[Record | None, Record]]:
        """Find journalled strokes that no entry tells of, each with the state before them."""
        entered: dict[int, int] = {}
        for entry in self.ledger.entries:
            if entry.frame_index is not None:
                entered[entry.frame_index] = max(entry.sequence, entered.get(entry.frame_index, 0))
        self._disk.masks.journal.reserve(max(entered.values(), default=0))
        found: list[tuple[Record | None, Record]] = []
        for frame_index, history in self._disk.masks.journal.frames.items():
            last = entered.get(frame_index, 0)
            if history.newest.kind is Kind.PAINTED and history.newest.sequence > last:
                before = [r for r in history.states if r.sequence <= last or r.kind is Kind.ADOPTED]
                found.append((before[-1] if before else None, history.newest))
        return found

    def _enter_overdue(self) -> None:
        while self._overdue:
            before_record, record = self._overdue.pop()
            journal = self._disk.masks.journal
            before = self._truth(record.frame_index) if before_record is None else journal.read(before_record)
            changes = () if before is None else class_changes(before, journal.read(record))
            self.ledger.add(
                LedgerEntry(
                    when=datetime.fromtimestamp(record.time_s, UTC),
                    frame_index=record.frame_index,
                    frame=self._disk.identity.frame_names[record.frame_index],
                    kind=RESTORED,
                    changes=changes,
                    author=self.author,
                    sequence=record.sequence,
                )
            )
