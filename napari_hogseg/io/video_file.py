"""One video file: exact frames by number, lazily, with bounded memory.

Frame numbers follow presentation order, 0-based. Pixels stay on the coded grid: a display rotation is
applied, a sample aspect ratio is not (masks are painted on pixels), interlaced frames are not deinterlaced.
Threads share one file: its calls take turns, since a codec context must not be shared.
"""

from __future__ import annotations

import operator
import threading
from functools import partial
from typing import TYPE_CHECKING

import av
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from napari_hogseg.io.errors import InputError
from napari_hogseg.io.frame_cache import CACHE_BYTES, FrameCache, Passed
from napari_hogseg.io.video_index import VideoIndex, fit_to_frames, index_by_decoding, index_packets
from napari_hogseg.io.video_stream import STRICT_DECODING, DecodeRun, StrangePacketError, upright_rgb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

NEAR_FRAMES = 8
"""A frame this near ahead is reached by decoding on, even past a keyframe: a seek costs as much."""

KEYFRAME_TRIES = 3
"""Keyframes tried, going back, before the file is read from its start; leading pictures of an open group need
two."""

FALLBACK_RATE = 25.0
"""Frames a second where a file's times cannot be used and it states no rate."""

_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,h264,hevc,m4v,flv,asf,ogg,mxf,dv,gif"
)
_LOCAL_FILE_ONLY = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}
"""A playlist, or a file that refers to others, must not make FFmpeg open anything but the file itself."""


class Video:
    """A video file.

    Parameters
    ----------
    path : Path
    cache_bytes : int
        Bound of the decoded frames kept.

    Attributes
    ----------
    name : str
        The file's stem.
    claimed_frames : int
        What the file's header says, frames hidden by an edit list included; 0 where it says nothing.
    is_cut : bool
        The file ends before its frames do: `num_frames` counts those that can be read and numbered.
    height, width : int
        Of a frame as shown, in pixels of the coded grid.
    num_seeks : int
        Seeks and reopenings so far: reading in order needs none.

    Raises
    ------
    InputError
        If it is no regular file, no video, or nothing of it decodes.
    """

    def __init__(self, path: Path, cache_bytes: int = CACHE_BYTES) -> None:
        self.path, self.name = path, path.stem
        self.num_seeks = 0
        self._lock = threading.Lock()
        self._cache = FrameCache(cache_bytes)
        self._unreadable: set[int] = set()
        self._converter = VideoReformatter()
        self._seeks_are_sound, self._is_closed = True, False
        self._container = _open(path)
        try:
            self._read_header()
            self._index = self._make_index()
            self._number_of = {int(pts): number for number, pts in enumerate(self._index.pts)}
            self._start_over()
            self.height, self.width = self._first_shape()
            self.num_seeks = 0
        except BaseException:
            self._container.close()
            raise

    @property
    def num_frames(self) -> int:
        """How many frames can be numbered; a damaged one among them raises InputError when it is read."""
        return len(self._index.pts)

    @property
    def is_cut(self) -> bool:
        """The file ends before its frames do."""
        return self._index.is_cut

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
            If the file is damaged there, or was closed.
        """
        target = operator.index(frame_index)
        if not 0 <= target < self.num_frames:
            raise IndexError(f"frame {target} of {self.num_frames} in {self.path}")
        with self._lock:
            cached = self._cache.get(target)
            found = cached if cached is not None else self._find(target)
        if found is None:
            raise InputError(
                f"Frame {target} cannot be decoded: the file is damaged there",
                where=self.path,
                remedy="Copy the file again, or leave the frame out.",
            )
        return found

    def close(self) -> None:
        """Close the file and forget its frames; a second time does nothing."""
        with self._lock:
            self._container.close()
            self._cache.clear()
            self._is_closed = True

    def _read_header(self) -> None:
        stream = _stream(self._container)
        rate = stream.average_rate or stream.guessed_rate
        self.claimed_frames = int(stream.frames)
        self._mean_rate = float(rate) if rate else FALLBACK_RATE
        self._time_base = float(stream.time_base or 0)

    def _make_index(self) -> VideoIndex:
        index = index_packets(self._container, _stream(self._container), self.path)
        self._reopen()
        if index is not None:
            index = fit_to_frames(self._container, _stream(self._container), index)
            self._reopen()
        if index is None:
            index = index_by_decoding(self._container, _stream(self._container))
        if not len(index.pts):
            raise InputError("Not one frame of the video decodes", where=self.path, remedy="Copy it again.")
        return index

    def _first_shape(self) -> tuple[int, int]:
        """Height and width of the first frame that decodes."""
        for number, frame in self._frames:
            self._move_to(number)
            shape = self._cache.put(number, upright_rgb(frame, self._converter)).shape
            return shape[0], shape[1]
        raise InputError("Not one frame of the video decodes", where=self.path, remedy="Copy it again.")

    def _reopen(self) -> None:
        fresh = _open(self.path)  # first, so that a disk that is gone leaves the frames still in reach
        self._container.close()
        self._container = fresh
        self.num_seeks += 1

    def _start_over(self) -> None:
        """Read from the file's start: slow far into a long file, but right whatever the file."""
        self._reopen()
        self._frames = self._numbered(DecodeRun(self._container, _stream(self._container)))
        self._next_number, self._is_from_start = 0, True

    def _numbered(self, run: DecodeRun) -> Iterator[tuple[int, VideoFrame]]:
        """Give frames their numbers; what the index lacks, as what an edit list hides, is passed over."""
        for position, frame in enumerate(run):
            number = position if self._index.by_position else self._number_of.get(frame.pts)  # type: ignore[arg-type]
            if number is not None and number < self.num_frames:
                yield number, frame

    def _find(self, target: int) -> npt.NDArray[np.uint8] | None:
        """Decode on from here where that is the shorter way, else from a keyframe, at last from the start."""
        if self._is_closed:
            raise InputError("The video was closed", where=self.path)
        if self._is_near(target) and (found := self._decode_until(target)) is not None:
            return found
        if target in self._unreadable:
            return None
        for keyframe in self._keyframes_to_try(target):
            if (found := self._decode_from(keyframe, target)) is not None:
                return found
        self._start_over()
        return self._decode_until(target)

    def _is_near(self, target: int) -> bool:
        """Tell whether the target lies ahead with no keyframe between, or only just ahead."""
        ahead = target - self._next_number
        if target in self._unreadable:
            return False
        if ahead < 0 or self._index.by_position or ahead < NEAR_FRAMES:
            return ahead >= 0
        keyframe = self._index.keyframe_before(int(self._index.pts[target]))
        return keyframe is None or keyframe <= self._index.pts[self._next_number]

    def _keyframes_to_try(self, target: int) -> Iterator[int]:
        if self._index.by_position:
            return
        pts = int(self._index.pts[target])
        for steps_back in range(KEYFRAME_TRIES):
            keyframe = self._index.keyframe_before(pts, steps_back)
            if keyframe is None or not self._seeks_are_sound:
                return
            yield keyframe

    def _decode_from(self, keyframe: int, target: int) -> npt.NDArray[np.uint8] | None:
        self.num_seeks += 1
        stream = _stream(self._container)
        try:
            self._container.seek(keyframe, stream=stream, backward=True)
        except av.FFmpegError:
            return None
        self._frames = self._numbered(DecodeRun(self._container, stream, self._index.identities))
        self._next_number, self._is_from_start = 0, False
        return self._decode_until(target)

    def _decode_until(self, target: int) -> npt.NDArray[np.uint8] | None:
        """Decode on, keeping every frame on the way; None if the target is passed over."""
        try:
            for number, frame in self._frames:
                self._move_to(number)
                if number == target:
                    return self._cache.put(number, self._upright(number, frame))
                self._cache.put_passed(
                    number, Passed(partial(self._upright, number, frame), _num_bytes(frame))
                )
                if number > target:
                    return None
        except StrangePacketError:
            self._seeks_are_sound = False
            self._next_number = self.num_frames
        else:
            self._move_to(self.num_frames)
        return None

    def _move_to(self, number: int) -> None:
        """Note where decoding is; what a run from the file's start leaves out, nothing will decode."""
        if self._is_from_start:
            self._unreadable.update(range(self._next_number, number))
        self._next_number = number + 1

    def _upright(self, number: int, frame: VideoFrame) -> npt.NDArray[np.uint8]:
        pixels = upright_rgb(frame, self._converter)
        if pixels.shape[:2] != (self.height, self.width):
            raise InputError(
                f"Frame {number} is {pixels.shape[1]}x{pixels.shape[0]}, not {self.width}x{self.height}",
                where=self.path,
                remedy="Split the video where its size changes.",
            )
        return pixels


def _open(path: Path) -> InputContainer:
    _require_local_file(path)
    try:
        container = av.open(str(path.absolute()), options=_LOCAL_FILE_ONLY)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(
            "The video cannot be opened: damaged, cut off, or no video",
            where=path,
            remedy="A recording cut off before its index was written must be repaired or exported again.",
        ) from error
    if not _video_streams(container):
        container.close()
        raise InputError("The file holds no video", where=path, remedy="Choose a video file.")
    _stream(container).codec_context.options = STRICT_DECODING
    return container


def _require_local_file(path: Path) -> None:
    if not path.exists():
        raise InputError("No such file", where=path, remedy="Check the path.")
    if not path.is_file():
        raise InputError("Not a regular file", where=path, remedy="Copy the video to a disk.")
    if path.stat().st_size == 0:
        raise InputError("The file is empty", where=path, remedy="Copy it again.")


def _video_streams(container: InputContainer) -> list[VideoStream]:
    """Video streams but for the cover pictures of audio files."""
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def _stream(container: InputContainer) -> VideoStream:
    return _video_streams(container)[0]


def _num_bytes(frame: VideoFrame) -> int:
    return sum(plane.buffer_size for plane in frame.planes)
