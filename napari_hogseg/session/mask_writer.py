"""The thread that makes painted masks durable: journalled at once, committed in the order of their changes.

Knows frames by index only; what is written, and where, is the store's part.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

RETRY_S = 2.0
#: A stroke is journalled once no touch came for this long ...
LOG_AFTER_S = 0.06
#: ... and while it goes on at least this often.
LOG_AT_LEAST_S = 0.3

_LOG = logging.getLogger(__name__)


def _log_nothing(_frames: Sequence[int]) -> None:
    """Stand in for a journal."""


def _no_chore(*, hurry: bool) -> float | None:  # noqa: ARG001 - the chore's signature
    """Stand in for a chore."""
    return None


@dataclass(frozen=True)
class WriterJobs:
    """What the thread calls.

    Attributes
    ----------
    snapshot : callable
        `snapshot(frame_index) -> (H, W) uint8`, a copy of the newest mask.
    commit : callable
        `commit(frame_index, mask)`: returns only when the mask is durable; raises OSError or InputError.
    on_state : callable
        Called when a commit succeeded or failed.
    log : callable
        `log(frames)`: makes the newest masks of these frames durable in the journal, all at once; raises
        OSError or InputError. No frame is committed before.
    chore : callable
        `chore(hurry=)`: what else waits to be written; returns the seconds until it wants to be called
        again, None if only after the next touch. With hurry nothing waits.
    """

    snapshot: Callable[[int], npt.NDArray[np.uint8]]
    commit: Callable[[int, npt.NDArray[np.uint8]], None]
    on_state: Callable[[], None]
    log: Callable[[Sequence[int]], None] = _log_nothing
    chore: Callable[..., float | None] = _no_chore


@dataclass
class _Clock:
    """What is due when, in seconds of the monotonic clock."""

    dirty: dict[int, float] = field(default_factory=dict)  # frame -> first touch; a dict keeps the order
    unlogged: dict[int, tuple[float, float]] = field(default_factory=dict)  # frame -> first and last touch
    log_not_before: float = 0.0
    chore: float | None = None

    def log_due(self) -> float | None:
        """When the journal is to be written; None if there is nothing for it."""
        if not self.unlogged:
            return None
        due = min(min(first + LOG_AT_LEAST_S, last + LOG_AFTER_S) for first, last in self.unlogged.values())
        return max(due, self.log_not_before)


class MaskWriter:
    """Commits touched frames from a thread of its own, which starts with the first touch.

    Parameters
    ----------
    jobs : WriterJobs
    settle_s : float
        How long a frame waits after its first touch until its mask file is written.
    """

    def __init__(self, jobs: WriterJobs, *, settle_s: float) -> None:
        self._jobs = jobs
        self._settle_s = settle_s
        self._wake = threading.Condition()
        self._clock = _Clock()
        self._versions: dict[int, int] = {}
        self._error: InputError | None = None
        self._attempt = 0  # of the newest step
        self._failed_attempt = 0
        self._flushed_from = 0
        self._hurry = False
        self._busy = False
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def pending(self) -> tuple[int, ...]:
        """Frames whose mask file is not durable, oldest touch first."""
        with self._wake:
            return tuple(self._clock.dirty)

    @property
    def unlogged(self) -> tuple[int, ...]:
        """Frames whose last change is not durable in any form."""
        with self._wake:
            return tuple(self._clock.unlogged)

    @property
    def closed(self) -> bool:
        """Whether nothing is saved any more."""
        with self._wake:
            return self._closed

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def error(self) -> InputError | None:
        """Why the newest commit failed, None if it did not."""
        with self._wake:
            return self._error

    def touch(self, frame_index: int, *, logged: bool = False) -> None:
        """Note that a frame changed; `logged` if the journal has it already."""
        with self._wake:
            now = time.monotonic()
            self._clock.dirty.setdefault(frame_index, now)
            if not logged:
                first, _ = self._clock.unlogged.get(frame_index, (now, now))
                self._clock.unlogged[frame_index] = (first, now)
            self._versions[frame_index] = self._versions.get(frame_index, 0) + 1
            self._start()

    def ask_chore(self) -> None:
        """Have the chore called soon."""
        with self._wake:
            self._clock.chore = time.monotonic()
            self._start()

    def flush(self, timeout_s: float) -> bool:
        """Commit everything now; False where the time ran out or a commit failed."""
        deadline = time.monotonic() + timeout_s
        with self._wake:
            self._hurry, self._error = True, None
            self._clock.log_not_before = 0.0
            # What is being tried now may fail of what has just been put right: only later failures count.
            under_way = self._flushed_from = self._attempt
            self._wake.notify_all()
            while (
                (self._clock.dirty or self._clock.chore is not None or self._busy)
                and not (self._error is not None and self._failed_attempt > under_way)
                and time.monotonic() < deadline
            ):
                self._wake.wait(min(0.1, timeout_s))
            self._hurry = False
            return not self._clock.dirty

    def close(self, timeout_s: float) -> bool:
        """Flush, then end the thread."""
        saved = self.flush(timeout_s) if self._thread is not None else True
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)
        return saved

    def _start(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="hogseg-mask-writer", daemon=True)
            self._thread.start()
        self._wake.notify_all()

    # --- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            step = self._next_step()
            if step is None:
                return
            step()
            with self._wake:
                self._busy = False
                self._wake.notify_all()

    def _next_step(self) -> Callable[[], None] | None:
        """Wait for what is due: journal before mask files before chores; None when closed."""
        with self._wake:
            while not self._closed:
                now = time.monotonic()
                steps = self._steps()
                for due, step in steps:
                    if self._hurry or due <= now:
                        self._busy = True
                        self._attempt += 1
                        return step
                self._wake.wait(min((due for due, _ in steps), default=now + 3600.0) - now)
            return None

    def _steps(self) -> list[tuple[float, Callable[[], None]]]:
        clock = self._clock
        steps: list[tuple[float, Callable[[], None]]] = []
        log_due = clock.log_due()
        if log_due is not None:
            steps.append((log_due, self._log_all))
        # A frame that the journal does not have yet waits for it, those behind it do not.
        ready = [(at, i) for i, at in clock.dirty.items() if i not in clock.unlogged]
        if ready:
            touched_s, frame_index = min(ready, key=lambda item: item[0])
            steps.append((touched_s + self._settle_s, lambda: self._commit_one(frame_index)))
        if clock.chore is not None:
            steps.append((clock.chore, self._do_chore))
        return steps

    def _log_all(self) -> None:
        with self._wake:
            frames = {frame_index: self._versions[frame_index] for frame_index in self._clock.unlogged}
        try:
            self._jobs.log(tuple(frames))
        except (OSError, InputError) as error:
            self._failed(next(iter(frames)), error)
            with self._wake:
                self._clock.log_not_before = time.monotonic() + RETRY_S
            self._jobs.on_state()
            return
        with self._wake:
            for frame_index, version in frames.items():
                if self._versions[frame_index] == version:
                    del self._clock.unlogged[frame_index]
                else:  # touched again while it was written
                    _, last = self._clock.unlogged[frame_index]
                    self._clock.unlogged[frame_index] = (last, last)
            self._clock.chore = time.monotonic()

    def _commit_one(self, frame_index: int) -> None:
        with self._wake:
            version = self._versions[frame_index]
        try:
            self._jobs.commit(frame_index, self._jobs.snapshot(frame_index))
        except (OSError, InputError) as error:
            self._failed(frame_index, error)
        else:
            self._committed(frame_index, version)
        self._jobs.on_state()

    def _committed(self, frame_index: int, version: int) -> None:
        with self._wake:
            self._error = None
            # Painted again while it was written: it stays dirty, from now on, behind frames touched before.
            del self._clock.dirty[frame_index]
            if self._versions[frame_index] != version:
                self._clock.dirty[frame_index] = time.monotonic()
            self._clock.chore = time.monotonic()

    def _do_chore(self) -> None:
        with self._wake:
            self._clock.chore, hurry = None, self._hurry
        try:
            wait_s = self._jobs.chore(hurry=hurry)
        except (OSError, InputError) as error:
            _LOG.warning("writing the ledger or the state failed: %s", error)
            wait_s = RETRY_S
            if hurry:
                return  # tried: nobody waits for it at the end
        if wait_s is not None:
            with self._wake:
                due = time.monotonic() + wait_s
                self._clock.chore = due if self._clock.chore is None else min(due, self._clock.chore)

    def _failed(self, frame_index: int, error: OSError | InputError) -> None:
        _LOG.warning("saving the mask of frame %d failed: %s", frame_index, error)
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        with self._wake:
            self._failed_attempt = self._attempt
            if self._attempt > self._flushed_from:
                self._hurry = False  # the flush has its answer: no try after try until it wakes
            self._error = InputError(
                f"Corrections could not be saved: {reason}",
                where=f"frame {frame_index}",
                remedy="Free some space or check the rights; saving is tried again by itself.",
            )
            if frame_index in self._clock.dirty:
                self._clock.dirty[frame_index] = time.monotonic() + RETRY_S
