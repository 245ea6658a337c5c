"""Frames of a video file or an image folder: lazily, exactly, with bounded memory.

Frame numbers follow presentation order, 0-based. Pixels stay on the coded grid: a rotation is applied,
a sample aspect ratio is not (masks are painted on pixels), interlaced frames are not deinterlaced.
The desktop's threads share one source: its calls take turns, since a codec context must not be shared.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import av
import numpy as np

from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError
from napari_hogseg.io.video_index import (
    VideoIndex,
    index_by_decoding,
    index_packets,
    mean_rate,
    readable_frames,
    rotation_deg,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    from av.container import InputContainer
    from av.video.frame import VideoFrame

CACHE_BYTES = 256 * 1024**2
"""Decoded frames kept per source: 40 at 1080p, 325 at 512x512, so that stepping back inside a GOP is free."""

MAX_FORWARD_FRAMES = 48
"""A target this near ahead is reached by decoding on; further away a seek is cheaper."""

FOLDER_RATE = 25.0
"""Nominal frames a second of an image folder."""

_LOCAL_FILES_ONLY = {"protocol_whitelist": "file"}
"""No playlist or network format may make FFmpeg open anything but the file itself."""


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


class _FrameCache:
    """The least recently used frames go first once the bytes are used up."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self.num_bytes = max_bytes, 0
        self._frames: OrderedDict[int, npt.NDArray[np.uint8]] = OrderedDict()

    def get(self, frame_index: int) -> npt.NDArray[np.uint8] | None:
        frame = self._frames.get(frame_index)
        if frame is not None:
            self._frames.move_to_end(frame_index)
        return frame

    def put(self, frame_index: int, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        frame.flags.writeable = False
        if frame_index not in self._frames:
            self._frames[frame_index] = frame
            self.num_bytes += frame.nbytes
        while self.num_bytes > self._max_bytes and len(self._frames) > 1:
            self.num_bytes -= self._frames.popitem(last=False)[1].nbytes
        return frame


class Video:
    """A video file.

    Parameters
    ----------
    path : Path
    cache_bytes : int
        Bound of the decoded frames kept.

    Attributes
    ----------
    claimed_frames : int
        What the file's header says; 0 where it says nothing. More than `num_frames` for a file cut short.
    num_seeks : int
        Seeks and reopenings so far: reading in order needs none.

    Raises
    ------
    InputError
        If it is no regular file, no video, or nothing of it decodes.
    """

    def __init__(self, path: Path, cache_bytes: int = CACHE_BYTES) -> None:
        self.path, self.name = path, path.stem
        self._lock = threading.Lock()
        self._cache = _FrameCache(cache_bytes)
        self.num_seeks = 0
        self._container = self._open()
        stream = self._container.streams.video[0]
        self.claimed_frames = int(stream.frames)
        self._time_base = float(stream.time_base) if stream.time_base else 0.0
        self._mean_rate = mean_rate(stream)
        self._index = self._make_index()
        self._number_of = {int(pts): number for number, pts in enumerate(self._index.pts)}
        self._restart()
        first = self.frame(0)
        self.height, self.width = first.shape[:2]

    @property
    def num_frames(self) -> int:
        """How many frames decode."""
        return len(self._index.pts)

    @property
    def pts_s(self) -> npt.NDArray[np.float64]:
        """Presentation times in seconds from the first frame on, (T,) float64."""
        if self._index.by_position:
            return self._index.pts / self._mean_rate
        times: npt.NDArray[np.float64] = (self._index.pts - self._index.pts[0]) * self._time_base
        return times

    @property
    def frame_names(self) -> list[str]:
        """`frame_000000`, `frame_000001`, ..."""
        return [f"frame_{number:06d}" for number in range(self.num_frames)]

    def frame(self, frame_index: int) -> npt.NDArray[np.uint8]:
        """Read a frame.

        Parameters
        ----------
        frame_index : int
            0 to num_frames - 1, in presentation order.

        Returns
        -------
        (H, W, 3) uint8 ndarray
            RGB, read-only.

        Raises
        ------
        IndexError
            If there is no such number.
        InputError
            If the file is damaged there.
        """
        _check_number(frame_index, self.num_frames, self.path)
        with self._lock:
            cached = self._cache.get(frame_index)
            return cached if cached is not None else self._decode(frame_index)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._container.close()

    def _open(self) -> InputContainer:
        if not self.path.is_file():
            raise InputError("No such file", where=self.path, remedy="Check the path.")
        if self.path.stat().st_size == 0:
            raise InputError("The file is empty", where=self.path, remedy="Copy it again.")
        remedy = (
            "A recording that was cut off before its index was written must be repaired or exported again."
        )
        try:
            container = av.open(str(self.path), options=_LOCAL_FILES_ONLY)
        except (av.FFmpegError, ValueError) as error:
            raise InputError(
                "The video cannot be opened: damaged, cut off, or no video", where=self.path, remedy=remedy
            ) from error
        if not container.streams.video:
            container.close()
            raise InputError("The file holds no video", where=self.path)
        return container

    def _make_index(self) -> VideoIndex:
        index = index_packets(self._container, self._container.streams.video[0])
        self._reopen()
        if index is None:
            index = index_by_decoding(self._container, self._container.streams.video[0])
        elif self.claimed_frames > len(index.pts):
            # The header promises more than there is: the last packets may be cut as well.
            index = readable_frames(self._container, self._container.streams.video[0], index)
        if not len(index.pts):
            raise InputError("Not one frame of the video decodes", where=self.path, remedy="Copy it again.")
        self._reopen()
        return index

    def _reopen(self) -> None:
        self._container.close()
        self._container = self._open()

    def _restart(self) -> None:
        self._frames = self._numbered(self._container)
        self._next_number = 0

    def _numbered(self, container: InputContainer) -> Iterator[tuple[int, VideoFrame]]:
        """Yield decoded frames with their numbers; what the index does not hold is passed over."""
        for position, frame in enumerate(container.decode(video=0)):
            if self._index.by_position:
                number: int | None = position
            else:
                number = None if frame.pts is None else self._number_of.get(frame.pts)
            if number is not None and number < self.num_frames:
                yield number, frame

    def _decode(self, target: int) -> npt.NDArray[np.uint8]:
        """Decode on from here where the target is near ahead, else from a keyframe before it."""
        near = 0 <= target - self._next_number < MAX_FORWARD_FRAMES
        if near and (found := self._decode_until(target)) is not None:
            return found
        if not self._index.by_position:
            pts = int(self._index.pts[target])
            for steps_back in range(2):
                keyframe = self._index.keyframe_before(pts, steps_back)
                if keyframe is not None and (found := self._decode_from(keyframe, target)) is not None:
                    return found
        self._reopen()
        self.num_seeks += 1
        self._restart()
        found = self._decode_until(target)
        if found is None:
            raise InputError(
                f"Frame {target} cannot be decoded: the file is damaged there",
                where=self.path,
                remedy="Copy it again.",
            )
        return found

    def _decode_from(self, keyframe: int, target: int) -> npt.NDArray[np.uint8] | None:
        self.num_seeks += 1
        stream = self._container.streams.video[0]
        try:
            self._container.seek(keyframe, stream=stream, backward=True)
        except av.FFmpegError:
            return None
        self._frames = self._numbered(self._container)
        return self._decode_until(target)

    def _decode_until(self, target: int) -> npt.NDArray[np.uint8] | None:
        """Decode on, keeping every frame on the way; None if the target is passed over or broken."""
        try:
            for number, frame in self._frames:
                self._next_number = number + 1
                if number > target:
                    return None
                # A frame decoded without its references, as after a seek into an open GOP, is marked corrupt.
                if not frame.is_corrupt:
                    pixels = self._cache.put(number, _to_rgb(frame))
                    if number == target:
                        return pixels
        except av.FFmpegError:
            pass
        self._next_number = self.num_frames
        return None


class ImageFolder:
    """Pictures of one size, in natural order of their names.

    Parameters
    ----------
    paths : sequence of Path
        At least one.
    folder : Path
    """

    def __init__(self, paths: Sequence[Path], folder: Path) -> None:
        self._paths, self.path, self.name = tuple(paths), folder, folder.name
        self._cache = _FrameCache(CACHE_BYTES)
        self._lock = threading.Lock()
        self.height, self.width = self._common_size()

    def _common_size(self) -> tuple[int, int]:
        """Height and width of all pictures, from their headers alone."""
        sizes = {path: images.image_size(path) for path in self._paths}
        common = sizes[self._paths[0]]
        odd = [f"{path.name} ({size[1]}x{size[0]})" for path, size in sizes.items() if size != common]
        if odd:
            more = f" and {len(odd) - 5} more" if len(odd) > 5 else ""
            first = f"{self._paths[0].name} is {common[1]}x{common[0]}"
            raise InputError(
                f"The pictures differ in size: {first}, but {', '.join(odd[:5])}{more}",
                where=self.path,
                remedy="Put pictures of one size into a folder.",
            )
        return common

    @property
    def num_frames(self) -> int:
        """How many pictures there are."""
        return len(self._paths)

    @property
    def pts_s(self) -> npt.NDArray[np.float64]:
        """Nominal times at 25 frames a second, (T,) float64."""
        return np.arange(self.num_frames) / FOLDER_RATE

    @property
    def frame_names(self) -> list[str]:
        """The file stems."""
        return [path.stem for path in self._paths]

    def frame(self, frame_index: int) -> npt.NDArray[np.uint8]:
        """Read a picture, (H, W, 3) uint8 RGB, read-only; InputError if it is damaged."""
        _check_number(frame_index, self.num_frames, self.path)
        with self._lock:
            cached = self._cache.get(frame_index)
            if cached is not None:
                return cached
            return self._cache.put(frame_index, images.read_image(self._paths[frame_index]))

    def close(self) -> None:
        """Nothing stays open."""


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
        first, *rest = key if isinstance(key, tuple) else (key,)
        if first is Ellipsis:
            first, rest = slice(None), [Ellipsis, *rest]
        numbers = np.arange(len(self))[first]
        if np.ndim(numbers) == 0:
            frame: npt.NDArray[np.uint8] = self.source.frame(int(numbers))[tuple(rest)]
            return frame
        if not len(numbers):
            return np.empty((0, *self.shape[1:]), np.uint8)[(slice(None), *rest)]
        return np.stack([self.source.frame(int(number))[tuple(rest)] for number in numbers])


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


def _to_rgb(frame: VideoFrame) -> npt.NDArray[np.uint8]:
    pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, rotation_deg(frame) // 90))


def _check_number(frame_index: int, num_frames: int, path: Path) -> None:
    if not 0 <= frame_index < num_frames:
        raise IndexError(f"frame {frame_index} of {num_frames} in {path}")
