"""One writer per session folder: a lock that dies with its process, and a note of who holds it.

The operating system's lock decides, as it ends with the process however that ends. Where a file system has
none, the note does: a process that lives on this computer, or any on another, holds the lock.
"""

from __future__ import annotations

import errno
import getpass
import json
import os
import socket
import sys
import time
import weakref
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

LOCK_FILE = "session.lock"
#: Windows locks bytes against reading too, so the byte locked lies far behind the note.
_LOCKED_BYTE = 1 << 30
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL}


@dataclass(frozen=True)
class Holder:
    """Who holds a session.

    Attributes
    ----------
    pid : int
    host, user : str
    since : str
        Local time.
    """

    pid: int
    host: str
    user: str
    since: str

    def __str__(self) -> str:
        return f"{self.user or 'somebody'} on {self.host}, process {self.pid}, since {self.since}"


class SessionLock:
    """The right to write one session folder.

    Attributes
    ----------
    reclaimed : Holder or None
        Who held it before and ended without giving it back, such as by a crash.

    Raises
    ------
    InputError
        From `take`, naming the holder.
    OSError
        If the file cannot be opened for writing.
    """

    def __init__(self, folder: Path, *, use_system_lock: bool = True) -> None:
        self.path = folder / LOCK_FILE
        self.reclaimed: Holder | None = None
        self._use_system_lock = use_system_lock
        self._end: weakref.finalize[[int], SessionLock] | None = None
        self._handle = -1

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._end is not None and self._end.alive

    def take(self) -> None:
        """Take the lock, or refuse with the holder's name."""
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            before = self._take(handle)
            note = Holder(os.getpid(), socket.gethostname(), user_name(), time.strftime("%Y-%m-%d %H:%M:%S"))
            _write_note(handle, json.dumps(asdict(note)).encode())
        except BaseException:
            os.close(handle)
            raise
        self.reclaimed, self._handle = before, handle
        # A forgotten lock ends with its object.
        self._end = weakref.finalize(self, os.close, handle)

    def _take(self, handle: int) -> Holder | None:
        locked = _lock(handle) if self._use_system_lock else False
        before = _read_note(handle)
        if locked is None or (not locked and before is not None and _lives(before)):
            raise _held_by(self.path, before)
        return before

    def release(self) -> None:
        """Give the lock back. The file stays: to remove it could take a lock that another just got."""
        if self._end is not None and self._end.alive:
            with suppress(OSError):
                _write_note(self._handle, b"")
            self._end()  # closing ends the system's lock


def user_name() -> str:
    """Name of the person as the system knows it; empty where it does not."""
    try:
        return getpass.getuser()
    except (OSError, ImportError, KeyError):  # no entry for this user, as in some containers
        return ""


def _held_by(path: Path, holder: Holder | None) -> InputError:
    who = "another window" if holder is None else str(holder)
    return InputError(
        f"This session is open elsewhere ({who}), so it is shown read-only here",
        where=path,
        remedy="Close it there and open the clip again to correct it here.",
    )


def _lock(handle: int) -> bool | None:
    """Lock without waiting: True if done, None if another has it, False where there are no such locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # not on Windows

            # Not lockf: that lock is the process's, and two windows of one process are two writers.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return False
    except OSError as error:
        return False if error.errno in _NO_LOCKS else None
    return True


def _read_note(handle: int) -> Holder | None:
    os.lseek(handle, 0, os.SEEK_SET)
    try:
        fields: dict[str, Any] = json.loads(os.read(handle, 4096))
        return Holder(int(fields["pid"]), str(fields["host"]), str(fields["user"]), str(fields["since"]))
    except (ValueError, KeyError, TypeError):
        return None


def _write_note(handle: int, note: bytes) -> None:
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, note)


def _lives(holder: Holder) -> bool:
    """Whether the holder may still write; asked only where the system has no locks."""
    if holder.host != socket.gethostname() or sys.platform == "win32":
        return True  # cannot be asked from here (and on Windows os.kill ends what it asks)
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
