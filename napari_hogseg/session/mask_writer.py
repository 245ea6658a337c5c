"""The thread that makes painted masks durable: in the order of their changes, until it works.

Knows frames by index only; what is written, and where, is the store's part.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

RETRY_S = 2.0

_LOG = logging.getLogger(__name__)


class MaskWriter:
    """Commits touched frames from a thread of its own, which starts with the first touch.

    Parameters
    ----------
    snapshot : callable
        `snapshot(frame_index) -> (H, W) uint8`, a copy of the newest mask.
    commit : callable
        `commit(frame_index, mask)`: returns only when the mask is durable; raises OSError or InputError.
    on_state : callable
        Called, from this thread, when a commit succeeded or failed.
    settle_s : float
        How long a frame waits after its first touch.
    """

    def __init__(
        self,
        snapshot: Callable[[int], npt.NDArray[np.uint8]],
        commit: Callable[[int, npt.NDArray[np.uint8]], None],
        on_state: Callable[[], None],
        *,
        settle_s: float,
    ) -> None:
        self._snapshot, self._commit, self._on_state = snapshot, commit, on_state
        self._settle_s = settle_s
        self._wake = threading.Condition()
        self._dirty: dict[int, float] = {}  # frame -> when it was first touched; a dict keeps the order
        self._versions: dict[int, int] = {}
        self._error: InputError | None = None
        self._hurry = False
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def pending(self) -> tuple[int, ...]:
        """Frames that are not durable, oldest touch first."""
        with self._wake:
            return tuple(self._dirty)

    @property
    def closed(self) -> bool:
        """Whether nothing is saved any more."""
        with self._wake:
            return self._closed

    @property
    def error(self) -> InputError | None:
        """Why the newest commit failed, None if it did not."""
        with self._wake:
            return self._error

    def touch(self, frame_index: int) -> None:
        """Note that a frame changed."""
        with self._wake:
            self._dirty.setdefault(frame_index, time.monotonic())
            self._versions[frame_index] = self._versions.get(frame_index, 0) + 1
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="hogseg-mask-writer", daemon=True)
                self._thread.start()
            self._wake.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Commit everything now; False where the time ran out or a commit failed."""
        deadline = time.monotonic() + timeout_s
        with self._wake:
            self._hurry, self._error = True, None
            self._wake.notify_all()
            while self._dirty and self._error is None and time.monotonic() < deadline:
                self._wake.wait(min(0.1, timeout_s))
            self._hurry = False
            return not self._dirty

    def close(self, timeout_s: float) -> bool:
        """Flush, then end the thread."""
        saved = self.flush(timeout_s) if self._thread is not None else True
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)
        return saved

    def _run(self) -> None:
        while True:
            frame_index = self._next_frame()
            if frame_index is None:
                return
            self._commit_one(frame_index)
            self._on_state()

    def _next_frame(self) -> int | None:
        """Wait for a frame that has settled; None when closed."""
        with self._wake:
            while not self._closed:
                if self._dirty:
                    frame_index, touched_s = next(iter(self._dirty.items()))
                    wait_s = touched_s + self._settle_s - time.monotonic()
                    if wait_s <= 0 or self._hurry:
                        return frame_index
                    self._wake.wait(wait_s)
                else:
                    self._wake.wait()
            return None

    def _commit_one(self, frame_index: int) -> None:
        with self._wake:
            version = self._versions[frame_index]
        try:
            self._commit(frame_index, self._snapshot(frame_index))
        except (OSError, InputError) as error:
            self._failed(frame_index, error)
            return
        with self._wake:
            self._error = None
            # Painted again while it was written: it stays dirty, from now on, behind frames touched before.
            del self._dirty[frame_index]
            if self._versions[frame_index] != version:
                self._dirty[frame_index] = time.monotonic()
            self._wake.notify_all()

    def _failed(self, frame_index: int, error: OSError | InputError) -> None:
        _LOG.warning("saving the mask of frame %d failed: %s", frame_index, error)
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        with self._wake:
            self._error = InputError(
                f"Corrections could not be saved: {reason}",
                where=f"frame {frame_index}",
                remedy="Free some space or check the rights; saving is tried again by itself.",
            )
            self._dirty[frame_index] = time.monotonic() + RETRY_S
            self._wake.notify_all()
