"""Writing so that a power cut leaves the old file or the new one, and digests of what was written.

Disk errors stay OSError: a full disk is not a mistake of the person's input.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CHUNK_BYTES = 1 << 20


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Parameters
    ----------
    path : Path
        The earlier file stays in place until the new one is durable.
    data : bytes

    Raises
    ------
    OSError
        If the disk refuses; the earlier file is untouched and no partial file is left.
    """
    # Not tempfile.mkstemp: its files are private, ours are for the group's other tools too.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    _sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole or not at all; line ends are kept as they are."""
    write_bytes(path, text.encode("utf-8"))


def publish_folder(partial: Path, final: Path) -> None:
    """Make a finished folder durable and give it its name.

    Parameters
    ----------
    partial : Path
        The folder as written, on the same file system as `final`.
    final : Path
        Must not exist.

    Raises
    ------
    OSError
        If the disk refuses or `final` exists.
    """
    for path in sorted(partial.rglob("*")):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    for folder in (*(path for path in partial.rglob("*") if path.is_dir()), partial):
        _sync_folder(folder)
    if final.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final))
    partial.rename(final)
    _sync_folder(final.parent)


def sha256_bytes(data: bytes) -> str:
    """SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes as 64 hexadecimal digits, read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make a rename durable. Windows cannot open folders; its rename is journalled by the file system."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
