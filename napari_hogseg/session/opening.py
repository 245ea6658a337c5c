"""Opening a session folder: made or checked, locked, its journal replayed, and what to tell the person.

Whoever cannot have the lock may look, not write.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tomli_w

from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.identity import SESSION_FILE, check_same_clip
from napari_hogseg.session.mask_folder import MASKS, MaskFolder
from napari_hogseg.session.session_lock import SessionLock

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hogseg.session.identity import SessionIdentity


@dataclass(frozen=True, eq=False)
class OpenFolder:
    """A session folder that is open.

    Attributes
    ----------
    identity : SessionIdentity
    masks : MaskFolder
    lock : SessionLock
    read_only : InputError or None
        Why nothing may be written.
    messages : tuple of str
        For the person, once.
    """

    identity: SessionIdentity
    masks: MaskFolder
    lock: SessionLock
    read_only: InputError | None
    messages: tuple[str, ...]


def open_folder(folder: Path, identity: SessionIdentity) -> OpenFolder:
    """Open a session folder; made when missing.

    Raises
    ------
    InputError
        If it belongs to another clip or other classes, or cannot be made.
    """
    lock = SessionLock(folder)
    try:
        _make_or_check(folder, identity)
        read_only = _take(lock)
        if read_only is None:
            _sweep(folder)
        masks = MaskFolder(folder, identity, read_only=read_only is not None)
    except OSError as error:
        lock.release()
        raise InputError(
            f"Corrections cannot be kept here: {error.strerror}",
            where=folder,
            remedy="Check the folder's rights and the free space.",
        ) from error
    except BaseException:
        lock.release()
        raise
    return OpenFolder(identity, masks, lock, read_only, _messages(masks, read_only))


def _make_or_check(folder: Path, identity: SessionIdentity) -> None:
    table = identity.to_table()
    (folder / MASKS).mkdir(parents=True, exist_ok=True)
    if (folder / SESSION_FILE).exists():
        check_same_clip(folder / SESSION_FILE, table)
    else:
        atomic.write_text(folder / SESSION_FILE, tomli_w.dumps(table))


def _sweep(folder: Path) -> None:
    """Remove what a killed process had not finished writing; only its own unfinished files are named so."""
    for parent in (folder, folder / MASKS):
        for file in parent.glob(".*.tmp"):
            if re.fullmatch(r"\..+\.[0-9a-f]{16}\.tmp", file.name):
                file.unlink(missing_ok=True)


def _take(lock: SessionLock) -> InputError | None:
    try:
        lock.take()
    except InputError as error:
        return error
    except OSError as error:
        return InputError(
            f"This session is shown read-only: {error.strerror}",
            where=lock.path,
            remedy="Check the folder's rights, then open the clip again.",
        )
    return None


def _messages(masks: MaskFolder, read_only: InputError | None) -> tuple[str, ...]:
    found = [str(read_only)] if read_only is not None else []
    if masks.restored is not None:
        found.append(f"{masks.restored}.")
    if masks.journal.damage and read_only is None:  # who only looks may see a record that is being written
        parts = "; ".join(str(part) for part in masks.journal.damage)
        found.append(
            f"The journal was damaged: {parts}. All that is whole was read; look at these frames again."
        )
    return tuple(found)
