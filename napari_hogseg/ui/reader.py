"""Videos and image folders for File > Open and drag and drop, read frame by frame.

napari's own reader holds a whole video in memory; this one only an index. Pairing frames with masks is the
review's part, not the reader's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from napari.utils.notifications import show_error

from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError
from napari_hogseg.io.video import LazyFrames, open_frames
from napari_hogseg.session.identity import SESSION_FILE

LayerData: TypeAlias = tuple[Any, ...]
PathOrPaths: TypeAlias = str | Path | Sequence[str | Path]

VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".avi", ".mov", ".m4v", ".webm", ".mpg", ".mpeg", ".ts", ".wmv"})
#: Key of a layer's metadata that holds the path of the frames it shows or belongs to.
SOURCE_KEY = "hogseg_source"
#: Key of a frames layer's metadata that holds the folder of their masks, where one is known.
MASKS_KEY = "hogseg_masks"
#: napari's sign for "the reader dealt with it, there is nothing to show".
NOTHING: list[LayerData] = [(None,)]


def napari_get_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[LayerData]] | None:
    """Tell whether this reader opens a path.

    Parameters
    ----------
    path : str, Path or sequence of them
        A video file, or a folder in which images lie; several are opened as a layer each. Or the folder of
        a review's session.

    Returns
    -------
    callable or None
        `read(path) -> list of layer data`; None for anything else.
    """
    return read_frames if all(_is_ours(one) for one in _paths(path)) else None


def read_frames(path: PathOrPaths) -> list[LayerData]:
    """Read videos and image folders into layers that load a frame when it is shown.

    A session folder is gone back to in the review, and gives no layer of its own.
    What cannot be read becomes a napari error notification; the rest is opened.
    """
    layers = []
    for one in _paths(path):
        if _is_session(one):
            from napari_hogseg.ui.commands import go_back_to  # the whole review, which itself opens layers

            go_back_to(one)
            continue
        try:
            layers.append(frames_layer(one))
        except InputError as error:
            show_error(str(error))
    return layers or NOTHING


def frames_layer(path: Path) -> LayerData:
    """Open one video or image folder as napari layer data.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    frames = LazyFrames(open_frames(path))
    about = {
        "name": path.stem if path.is_file() else path.name,
        "rgb": True,
        "contrast_limits": (0, 255),  # else napari looks for them in the frames
        "metadata": {SOURCE_KEY: str(path)},
    }
    return frames, about, "image"


def _paths(path: PathOrPaths) -> list[Path]:
    return [Path(path)] if isinstance(path, (str, Path)) else [Path(one) for one in path]


def _is_ours(path: Path) -> bool:
    if path.is_dir():
        return _is_session(path) or _holds_images(path)
    return path.suffix.lower() in VIDEO_SUFFIXES


def _is_session(path: Path) -> bool:
    return (path / SESSION_FILE).is_file()


def _holds_images(folder: Path) -> bool:
    try:
        return bool(images.list_images(folder))
    except InputError:  # not readable: not for us to report, napari asks every reader
        return False
