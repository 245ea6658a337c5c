"""Frames by number, whatever they come from: a video file, a folder of pictures, one picture.

Decoding a video file is `video_file`'s part, reading a picture `images`'.
"""

from __future__ import annotations

import hashlib
import operator
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError
from napari_hogseg.io.frame_cache import FrameCache
from napari_hogseg.io.video_file import Video

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

__all__ = ["FrameSource", "ImageFolder", "LazyFrames", "Pictures", "Video", "frame_digest", "open_frames"]

FOLDER_RATE = 25.0
"""Nominal frames a second of an image folder."""


class FrameSource(Protocol):
    """Frames by number. Safe to call from several threads."""

    @property
    def name(self) -> str:
        """Name for display."""

    @property
    def path(self) -> Path:
        """The file or folder."""

    @property
    def num_frames(self) -> int:
        """How many frames can be read."""

    @property
    def height(self) -> int:
        """Rows of a frame."""

    @property
    def width(self) -> int:
        """Columns of a frame."""

    @property
    def pts_s(self) -> npt.NDArray[np.float64]:
        """Presentation time of each frame in seconds, (T,) float64."""

    @property
    def frame_names(self) -> list[str]:
        """A file stem for each frame."""

    def frame(self, frame_index: int) -> npt.NDArray[np.uint8]:
        """Read a frame, (H, W, 3) uint8 RGB, read-only."""

    def close(self) -> None:
        """Release the file."""


class Pictures:
    """Frames of one size that are read one by one, and kept while there is room; a `FrameSource`.

    Parameters
    ----------
    path : Path
        Their folder.
    names : list of str
        A file stem for each.
    size : tuple of int
        Height and width of all.
    read : callable
        `read(frame_index) -> (H, W, 3) uint8`; may be called from several threads at once.
    where : callable
        `where(frame_index) -> Path`, for messages.
    """

    def __init__(
        self,
        path: Path,
        names: list[str],
        size: tuple[int, int],
        read: Callable[[int], npt.NDArray[np.uint8]],
        where: Callable[[int], Path],
    ) -> None:
        self.path, self.name, self.frame_names = path, path.name, names
        self.height, self.width = size
        self._read, self._where = read, where
        self._cache = FrameCache()
        self._lock = threading.Lock()

    @property
    def num_frames(self) -> int:
        """How many pictures there are."""
        return len(self.frame_names)

    @property
    def pts_s(self) -> npt.NDArray[np.float64]:
        """Nominal times at 25 frames a second, (T,) float64."""
        return np.arange(self.num_frames) / FOLDER_RATE

    def frame(self, frame_index: int) -> npt.NDArray[np.uint8]:
        """Read a picture, (H, W, 3) uint8 RGB, read-only; InputError if it is damaged or of another size."""
        number = operator.index(frame_index)
        if not 0 <= number < self.num_frames:
            raise IndexError(f"frame {number} of {self.num_frames} in {self.path}")
        with self._lock:
            cached = self._cache.get(number)
        if cached is not None:
            return cached
        frame = self._read(number)  # outside the lock: several pictures may be decoded at once
        height, width = frame.shape[:2]
        if (height, width) != (self.height, self.width):
            raise InputError(
                f"This picture is {width}x{height}, the others are {self.width}x{self.height}",
                where=self._where(number),
                remedy="Put pictures of one size into a folder.",
            )
        with self._lock:
            return self._cache.put(number, frame)

    def close(self) -> None:
        """Nothing stays open."""


class ImageFolder(Pictures):
    """Pictures of one size, in natural order of their names.

    Parameters
    ----------
    paths : sequence of Path
        At least one.
    folder : Path

    Raises
    ------
    InputError
        If their sizes differ, by their headers.
    """

    def __init__(self, paths: Sequence[Path], folder: Path) -> None:
        paths = tuple(paths)
        super().__init__(
            folder,
            [path.stem for path in paths],
            _common_size(paths, folder),
            read=lambda number: images.read_image(paths[number]),
            where=paths.__getitem__,
        )


def _common_size(paths: Sequence[Path], folder: Path) -> tuple[int, int]:
    """Height and width of all pictures, from their headers alone."""
    sizes = {path: images.image_size(path) for path in paths}
    common = sizes[paths[0]]
    odd = [f"{path.name} ({size[1]}x{size[0]})" for path, size in sizes.items() if size != common]
    if odd:
        more = f" and {len(odd) - 5} more" if len(odd) > 5 else ""
        first = f"{paths[0].name} is {common[1]}x{common[0]}"
        raise InputError(
            f"The pictures differ in size: {first}, but {', '.join(odd[:5])}{more}",
            where=folder,
            remedy="Put pictures of one size into a folder.",
        )
    return common


class LazyFrames:
    """A source as an array of shape (T, H, W, 3) uint8 that reads what is asked for: what napari needs.

    Parameters
    ----------
    source : FrameSource
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, source: FrameSource) -> None:
        self.source = source

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(T, H, W, 3)."""
        return (self.source.num_frames, self.source.height, self.source.width, 3)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.source.num_frames

    def __getitem__(self, key: Any) -> npt.NDArray[np.uint8]:  # noqa: ANN401 - what numpy indexing takes
        """Read frames as numpy's basic indexing would, or with an array of integers or booleans first.

        An index array reads each frame whole and applies the other indices to it.
        """
        first, *rest = _whole_key(key if isinstance(key, tuple) else (key,))
        numbers = np.arange(len(self))[first]
        within = tuple(rest)
        if np.ndim(numbers) == 0:
            frame: npt.NDArray[np.uint8] = self.source.frame(int(numbers))[within]
            return frame
        if numbers.size == 0:
            one = np.empty(self.shape[1:], np.uint8)[within]
            return np.empty((*numbers.shape, *one.shape), np.uint8)
        frames = np.stack([self.source.frame(number)[within] for number in numbers.ravel().tolist()])
        return frames.reshape(*numbers.shape, *frames.shape[1:])


def _whole_key(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Write a leading ellipsis, or a key of nothing, out as the slices it stands for."""
    if not key:
        return (slice(None),)
    if key[0] is not Ellipsis:
        return key
    num_left_out = LazyFrames.ndim - sum(index is not None for index in key[1:])
    return (slice(None),) * num_left_out + key[1:] if num_left_out > 0 else key[1:]


def open_frames(path: Path | str) -> FrameSource:
    """Open a video file, a folder of pictures, or one picture.

    Raises
    ------
    InputError
        If it cannot be read, or a folder holds no pictures or pictures of several sizes.
    """
    path = Path(path)
    if path.is_dir():
        paths = images.list_images(path)
        if not paths:
            raise InputError(
                "The folder holds no pictures", where=path, remedy="Choose a folder of JPEG or PNG files."
            )
        return ImageFolder(paths, path)
    if path.suffix.lower() in images.IMAGE_SUFFIXES:
        return ImageFolder([path], path)
    return Video(path)


def frame_digest(frame_HWC: npt.NDArray[np.uint8]) -> str:
    """SHA-256 of a frame's size and pixels: the same in interface, training and export."""
    header = f"{frame_HWC.shape}:{frame_HWC.dtype}:".encode()
    return hashlib.sha256(header + np.ascontiguousarray(frame_HWC).tobytes()).hexdigest()
