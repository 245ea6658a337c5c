"""The presentation times of a video's frames: which frame is number i, and where decoding may start.

Made from packets alone (no decoding) where every packet tells its time once; else by decoding the file once.
Frame numbers follow presentation order, 0-based, with frames that an edit list hides left out.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

FALLBACK_RATE = 25
"""Frames a second where a file tells nothing."""


@dataclass(frozen=True)
class VideoIndex:
    """Times in units of the stream's time base.

    Attributes
    ----------
    pts : (T,) int64 ndarray
        Presentation times in ascending order; where `by_position`, 0, 1, 2, ...
    keyframes : tuple of int
        Ascending presentation times at which decoding may start.
    by_position : bool
        The file's times cannot be trusted: frames are counted from the start instead.
    """

    pts: npt.NDArray[np.int64]
    keyframes: tuple[int, ...]
    by_position: bool

    def keyframe_before(self, pts: int, steps_back: int = 0) -> int | None:
        """Greatest keyframe at or before `pts`, or `steps_back` keyframes earlier; None before the first."""
        position = bisect.bisect_right(self.keyframes, pts) - 1 - steps_back
        return self.keyframes[position] if position >= 0 else None


def index_packets(container: InputContainer, stream: VideoStream) -> VideoIndex | None:
    """Read the index from packets; None where a packet lacks its time or two share one."""
    pts: list[int] = []
    keyframes: list[int] = []
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue  # the empty packet that flushes the decoder
            if packet.pts is None:
                return None
            if packet.is_keyframe:
                keyframes.append(packet.pts)  # a hidden keyframe still starts a decode
            if not packet.is_discard:
                pts.append(packet.pts)
    except av.FFmpegError:
        pass  # a cut file: what came before the break is good
    if not pts or len(set(pts)) != len(pts):
        return None
    return VideoIndex(np.array(sorted(pts), np.int64), tuple(sorted(set(keyframes))), by_position=False)


def readable_frames(container: InputContainer, stream: VideoStream, index: VideoIndex) -> VideoIndex:
    """Drop the frames at the end that do not decode, by decoding the last two groups of pictures.

    A file that was cut off breaks at its end; to decode all of it would take minutes for an hour of video.
    """
    start = index.keyframe_before(int(index.pts[-1]), steps_back=1)
    if start is None:
        start = index.keyframes[0] if index.keyframes else int(index.pts[0])
    decoded: set[int] = set()
    try:
        container.seek(start, stream=stream, backward=True)
        for frame in container.decode(stream):
            if frame.pts is not None and not frame.is_corrupt:
                decoded.add(frame.pts)
    except av.FFmpegError:
        pass
    kept = [pts for pts in index.pts.tolist() if pts < start or pts in decoded]
    return VideoIndex(np.array(kept, np.int64), index.keyframes, by_position=False)


def index_by_decoding(container: InputContainer, stream: VideoStream) -> VideoIndex:
    """Count the frames by decoding all of them; random access then starts from the beginning."""
    count = 0
    try:
        for _ in container.decode(stream):
            count += 1
    except av.FFmpegError:
        pass
    return VideoIndex(np.arange(count, dtype=np.int64), (0,) if count else (), by_position=True)


def rotation_deg(frame: VideoFrame) -> int:
    """Counter-clockwise rotation in degrees that the file asks a player for, a multiple of 90."""
    return round(float(getattr(frame, "rotation", 0)) / 90) * 90 % 360


def mean_rate(stream: VideoStream) -> float:
    """Frames a second as the file states them, for files whose times cannot be used."""
    rate = stream.average_rate or stream.guessed_rate
    return float(rate) if rate else float(FALLBACK_RATE)
