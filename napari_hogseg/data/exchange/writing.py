"""Writing masks in any format: into a new folder, whole or not at all, and never where data lie.

The formats fill an unfinished folder beside the target; it gets its name when everything is durable.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_hogseg.data.exchange.colour_png import write_picture
from napari_hogseg.data.scheme import SCHEME_FILE
from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from napari_hogseg.data.exchange.contract import AnnotatedFrame, ExchangeClip, Format


@dataclass
class _Counted:
    """Frames on their way to the format: counted, their pictures written beside."""

    frames: Iterable[AnnotatedFrame]
    beside: Callable[[int], None]
    count: int = 0

    def __iter__(self) -> Iterator[AnnotatedFrame]:
        for frame in self.frames:
            self.beside(frame.frame_index)
            yield frame
            self.count += 1


def check_target(folder: Path, protected: Iterable[Path]) -> None:
    """Refuse a folder that holds something, or that lies where nothing may be written.

    Parameters
    ----------
    folder : Path
    protected : iterable of Path
        Folders of the data set, the clip, its masks and the session.

    Raises
    ------
    InputError
    """
    place = folder.resolve()
    for root in protected:
        if place.is_relative_to(root.resolve()):
            raise InputError(
                "Annotations are not written into the data they belong to",
                where=folder,
                remedy=f"Choose a folder outside {root}.",
            )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            "This folder holds something already", where=folder, remedy="Name a new or empty folder."
        )


def export_frames(
    frames: Iterable[AnnotatedFrame],
    folder: Path,
    form: Format,
    clip: ExchangeClip,
    *,
    protected: Iterable[Path] = (),
    picture: Callable[[int], npt.NDArray[np.uint8]] | None = None,
) -> int:
    """Write masks into a new folder.

    Parameters
    ----------
    frames : iterable of AnnotatedFrame
        In any order, each once; taken one by one. What it raises ends the export, and nothing is left of it.
    folder : Path
        Must not exist or be empty.
    form : Format
    clip : ExchangeClip
    protected : iterable of Path
        Where `folder` must not lie.
    picture : callable, optional
        `picture(frame_index) -> (H, W, 3) uint8`: the frames themselves are written too.

    Returns
    -------
    int
        Number of frames written.

    Raises
    ------
    InputError
        If the folder may not be used, or the masks do not fit the format.
    OSError
        If the disk refuses; there is no folder then.
    """
    folder = folder.absolute()
    check_target(folder, protected)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}.tmp")
    unfinished.mkdir()

    def beside(frame_index: int) -> None:
        if picture is not None:
            path = unfinished / form.picture_path(clip, frame_index)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_picture(path, picture(frame_index))

    counted = _Counted(frames, beside)
    try:
        form.write(counted, unfinished, clip)
        atomic.write_text(unfinished / SCHEME_FILE, clip.scheme.to_toml())
        _publish(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return counted.count


def _publish(unfinished: Path, folder: Path) -> None:
    if folder.exists():
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # somebody else wrote there meanwhile
                raise InputError(
                    "This folder is not empty any more", where=folder, remedy="Name a new folder."
                ) from error
            raise
    if os.path.lexists(folder):
        raise InputError("Something of this name is here now", where=folder, remedy="Name a new folder.")
    atomic.publish_folder(unfinished, folder)
