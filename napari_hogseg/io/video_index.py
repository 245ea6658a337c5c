"""The presentation times of a video's frames: which frame is number i, and where decoding may start.

Made from packets alone (no decoding) where every packet tells its time once and the first frames decode at
just these times; else by decoding the file once. Frame numbers follow presentation order, 0-based; what an
edit list hides is left out. Does not open files and keeps no frames.
"""

from __future__ import annotations

import bisect
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import av
import numpy as np

from napari_hogseg.io.container_size import declares_length, first_lost_time, is_shorter_than_declared
from napari_hogseg.io.video_stream import DecodeRun, PacketIdentity, packet_identity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

NUM_TRIED_FRAMES = 16
"""Decoded when a file is opened, to see whether its packets' times are those of its frames: longer than any
reordering (16 frames in H.264 and HEVC), 20 ms at 512x512."""


MIN_FRAMES_FOR_GAP = 4
"""Fewer tell no rate."""


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
    identities : mapping of int to PacketIdentity
        By presentation time, what its packet looks like: after a seek some formats tell other times.
    is_cut : bool
        The file ends before its frames do.
    """

    pts: npt.NDArray[np.int64]
    keyframes: tuple[int, ...]
    by_position: bool = False
    identities: Mapping[int, PacketIdentity] = field(default_factory=dict)
    is_cut: bool = False

    def keyframe_before(self, pts: int, steps_back: int = 0) -> int | None:
        """Greatest keyframe at or before `pts`, or `steps_back` keyframes earlier; None before the first."""
        position = bisect.bisect_right(self.keyframes, pts) - 1 - steps_back
        return self.keyframes[position] if position >= 0 else None


def index_packets(container: InputContainer, stream: VideoStream, path: Path) -> VideoIndex | None:
    """Read the index from packets; None where a packet lacks its time or two share one.

    Parameters
    ----------
    container, stream
        At the file's start.
    path : Path
        The file itself, to see whether it was cut off.
    """
    lost_by_table = first_lost_time(stream, path.stat().st_size)
    packets, lost_from = _whole_packets(container, stream)
    if lost_by_table is not None:
        lost_from = lost_by_table
    elif lost_from is None and is_shorter_than_declared(path):
        lost_from = _lost_from(packets, None)
    elif lost_from is None and not declares_length(stream, path):
        lost_from = _gap_at_end(packets)
    shown = [packet for packet in packets if not packet.is_discard]
    if not shown or any(packet.pts is None for packet in packets):
        return None
    # Decoding order differs from presentation order: what is lost would have been shown at its decoding time
    # or later, so frames from there on cannot be numbered. Losing two good ones beats numbering them wrongly.
    pts = sorted(packet.pts for packet in shown if lost_from is None or packet.pts < lost_from)
    if len(set(pts)) != len(pts):
        return None
    keyframes = {
        packet.pts for packet in packets if packet.is_keyframe
    }  # a hidden one starts a decode as well
    return VideoIndex(
        np.array(pts, np.int64),
        tuple(sorted(keyframes)),
        identities={packet.pts: packet.identity for packet in shown},
        is_cut=lost_from is not None,
    )


@dataclass(frozen=True)
class _Seen:
    """What the index needs of a packet, without its data."""

    pts: int
    dts: int | None
    is_keyframe: bool
    is_discard: bool
    identity: PacketIdentity


def _whole_packets(container: InputContainer, stream: VideoStream) -> tuple[list[_Seen], int | None]:
    """Return the packets up to a break, and the decoding time from which on packets are lost (or None)."""
    packets: list[_Seen] = []
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue  # the empty packet that flushes the decoder
            if packet.is_corrupt:
                return packets, _lost_from(packets, packet)
            packets.append(_seen(packet))
    except av.FFmpegError:
        return packets, _lost_from(packets, None)
    return packets, None


def _seen(packet: Packet[VideoStream]) -> _Seen:
    pts: int = packet.pts  # type: ignore[assignment]  # index_packets looks at None
    return _Seen(pts, packet.dts, packet.is_keyframe, packet.is_discard, packet_identity(packet))


def _lost_from(packets: list[_Seen], broken: Packet[VideoStream] | None) -> int:
    if broken is not None and broken.dts is not None:
        return broken.dts
    times = [packet.dts for packet in packets if packet.dts is not None]
    return max(times) + 1 if times else 0


def _gap_at_end(packets: list[_Seen]) -> int | None:
    """Presentation time of the first gap among the last frames, those whose order the end left open.

    A stream that tells no length may have been cut at any packet; at a constant rate the missing ones show.
    """
    shown = sorted(packet.pts for packet in packets if packet.pts is not None and not packet.is_discard)
    if len(shown) < MIN_FRAMES_FOR_GAP:
        return None
    gaps = np.diff(shown)
    last_sure = _lost_from(packets, None) - 1
    for earlier, gap in zip(shown, gaps, strict=False):
        if earlier >= last_sure and gap > 1.5 * np.median(gaps):
            return earlier + 1
    return None


def fit_to_frames(container: InputContainer, stream: VideoStream, index: VideoIndex) -> VideoIndex | None:
    """Compare the index with the first frames decoded; None where the file's times cannot be trusted.

    Pictures ahead of the first keyframe, as where a recording was cut out of a longer one, do not decode and
    are taken out of the index.
    """
    frames = list(itertools.islice(DecodeRun(container, stream), NUM_TRIED_FRAMES))
    decoded = [frame.pts for frame in frames if frame.pts is not None]
    if len(decoded) != len(frames) or decoded != sorted(set(decoded)):
        return None
    if any(pts not in index.identities for pts in decoded):
        return None
    if not decoded:
        return index  # damaged at its start: which frames decode is found when they are read
    first_keyframe = index.keyframes[0] if index.keyframes else decoded[0]
    leading = {pts for pts in index.pts.tolist() if pts < first_keyframe} - set(decoded)
    if _has_packet_table(container) and next(iter(index.identities)) != first_keyframe:
        leading = (
            set()
        )  # such a file starts with a keyframe: it is damaged there, and its frames keep their numbers
    kept = [pts for pts in index.pts.tolist() if pts not in leading]
    return VideoIndex(
        np.array(kept, np.int64), index.keyframes, identities=index.identities, is_cut=index.is_cut
    )


def _has_packet_table(container: InputContainer) -> bool:
    """Whether a muxer wrote the file from its start, rather than a recorder joining a running stream."""
    return bool({"mp4", "matroska", "avi"} & set(container.format.name.split(",")))


def index_by_decoding(container: InputContainer, stream: VideoStream) -> VideoIndex:
    """Count the frames by decoding all of them; going back then starts from the beginning."""
    count = sum(1 for _ in DecodeRun(container, stream))
    return VideoIndex(np.arange(count, dtype=np.int64), (), by_position=True)
