"""Finding and reading the files of an exchange folder, within a stated size; no format's own part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.data.scheme import SCHEME_FILE, LabelScheme
from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from napari_hogseg.data.exchange.contract import ExchangeClip, Mask

MAX_BYTES = 1 << 30
"""Largest text file that is read: masks of an hour of video are far below."""


def find_file(path: Path, patterns: tuple[str, ...], what: str) -> Path:
    """Find the one file meant by a path: the file itself, or the only match below a folder.

    Parameters
    ----------
    path : Path
    patterns : tuple of str
        Globs relative to the folder, tried in order.
    what : str
        What is looked for, for the message.

    Raises
    ------
    InputError
        If there is none, or more than one.
    """
    if path.is_file():
        return path
    for pattern in patterns:
        found = sorted(file for file in path.glob(pattern) if file.is_file() and file.name[0] != ".")
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(
                f"There are {len(found)} files here that may be {what}", where=path, remedy="Name the file."
            )
    raise InputError(
        f"There is no {what} here",
        where=path,
        remedy=f"Looked for {', '.join(patterns)}. Check path and format.",
    )


def read_text(path: Path) -> str:
    """Read a UTF-8 text; InputError if it cannot be read or is larger than MAX_BYTES."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(
                f"The file is larger than {MAX_BYTES >> 20} MiB", where=path, remedy="Export fewer frames."
            )
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise InputError(
            f"The file cannot be read: {error.strerror}", where=path, remedy="Check path and rights."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError("The file is no text", where=path, remedy="Check path and format.") from error


def find_pictures(path: Path, below: tuple[str, ...]) -> list[Path]:
    """List the PNGs of the first folder that has some: one of `below` a path, or the path itself."""
    folders = [path / name for name in below] + [path]
    for folder in folders:
        if not folder.is_dir():
            continue
        nested = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and entry.name[0] != "."]
        for place in (folder, *(nested if folder != path and len(nested) == 1 else ())):
            found = [file for file in images.list_images(place) if file.suffix.lower() == ".png"]
            if found:
                return found
    raise InputError("There are no PNG masks here", where=path, remedy="Check path and format.")


def make_id_reader(path: Path, clip: ExchangeClip) -> Callable[[npt.NDArray[np.integer], object], Mask]:
    """Make what turns a file's class ids into the clip's: by name where a `dataset.toml` names them.

    Parameters
    ----------
    path : Path
        The table lies here, or up to two folders above; without one the ids are the clip's.
    clip : ExchangeClip

    Returns
    -------
    callable
        `decode(raw, where) -> (H, W) uint8`; InputError if a value is no class id, 255 is unlabelled.
    """
    place = next((folder for folder in (path, *path.parents[:2]) if (folder / SCHEME_FILE).is_file()), None)
    if place is None:
        return clip.scheme.check_mask
    scheme = LabelScheme.read(place / SCHEME_FILE)
    values = clip.values_by_name(scheme.classes, place / SCHEME_FILE)
    return lambda raw, where: np.asarray(values[scheme.check_mask(raw, where)])
