"""Decoding a video stream from where its container stands, giving only frames that decoded without an error.

FFmpeg covers damage up: it fills a broken picture from its neighbours and lets later pictures refer to it.
Here an error ends the group of pictures, and decoding starts afresh at the next keyframe. Damage that leaves
a valid stream cannot be seen. Does not know frame numbers.
"""

from __future__ import annotations

import errno
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias, cast

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer

from napari_hogseg.io.nal_units import has_holes, length_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter
    from av.video.stream import VideoStream

PacketIdentity: TypeAlias = tuple[int, int]
"""Size and check value of a packet's first bytes."""

STRICT_DECODING = {"err_detect": "crccheck+bitstream+buffer+explode"}
"""An error is reported instead of covered up."""

_IDENTITY_BYTES = 64


class StrangePacketError(Exception):
    """After a seek the file tells other times than when read from its start."""


def packet_identity(packet: Packet[VideoStream]) -> PacketIdentity:
    """Tell a packet from its neighbours; positions would be simpler, but some formats do not give them."""
    return packet.size, zlib.crc32(memoryview(packet)[:_IDENTITY_BYTES])


class DecodeRun:
    """The frames from here on, in presentation order.

    Parameters
    ----------
    container, stream
        At the file's start or just after a seek; the decoder's memory is empty.
    expected : mapping of int to PacketIdentity, optional
        After a seek: packets by presentation time. One that looks different raises StrangePacketError.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        expected: Mapping[int, PacketIdentity] | None = None,
    ) -> None:
        self._packets, self._stream = container.demux(stream), stream
        self._expected = expected
        self._num_length_bytes = length_bytes(stream.codec_context)
        self._awaits_keyframe = expected is not None
        self._start_pts: int | None = None

    def __iter__(self) -> Iterator[VideoFrame]:
        while True:
            try:
                packet = next(self._packets, None)
            except av.FFmpegError:
                return  # the file breaks off here
            if packet is None:
                return
            if packet.size == 0 or self._is_wanted(packet):
                yield from self._decode(packet)

    def _is_wanted(self, packet: Packet[VideoStream]) -> bool:
        self._check(packet)
        if packet.is_corrupt:
            self._awaits_keyframe = True
        elif packet.is_keyframe and (self._awaits_keyframe or self._start_pts is None):
            self._awaits_keyframe, self._start_pts = False, packet.pts
        return not self._awaits_keyframe

    def _check(self, packet: Packet[VideoStream]) -> None:
        if self._expected is None or packet.is_discard or packet.is_corrupt:
            return
        if packet.pts is None or self._expected.get(packet.pts) != packet_identity(packet):
            raise StrangePacketError

    def _decode(self, packet: Packet[VideoStream]) -> Iterator[VideoFrame]:
        try:
            self._require_no_holes(packet)
            frames = packet.decode()
        except av.FFmpegError:
            if self._is_leading(packet.pts):
                return
            # The broken picture itself may be among those held back.
            frames = [frame for frame in self._drain() if frame.pts is None or frame.pts != packet.pts]
            self._awaits_keyframe = True
        for frame in frames:
            if not frame.is_corrupt:  # the mark of a picture with errors, or without those it refers to
                yield frame
            elif not self._is_leading(frame.pts):
                self._drain()  # pictures that refer to this one bear no mark
                self._awaits_keyframe = True
                return

    def _require_no_holes(self, packet: Packet[VideoStream]) -> None:
        codec_name = self._stream.codec_context.name
        if self._num_length_bytes and has_holes(bytes(packet), self._num_length_bytes, codec_name):
            raise av.InvalidDataError(errno.EINVAL, "a hole in the packet")

    def _is_leading(self, pts: int | None) -> bool:
        """Tell pictures shown before the keyframe that decoding began at: nothing after it refers to them."""
        return self._start_pts is not None and pts is not None and pts < self._start_pts

    def _drain(self) -> list[VideoFrame]:
        """Frames decoded before the error and held back for their order are good."""
        frames: list[VideoFrame] = []
        with suppress(av.FFmpegError):
            frames = self._stream.codec_context.decode(None)
        self._stream.codec_context.flush_buffers()
        return frames


def upright_rgb(frame: VideoFrame, converter: VideoReformatter) -> npt.NDArray[np.uint8]:
    """Return a frame as (H, W, 3) uint8 RGB, turned and mirrored as the file asks a player to.

    Pixels stay on the coded grid: no sample aspect ratio is applied, nothing is deinterlaced.

    Parameters
    ----------
    frame : VideoFrame
    converter : VideoReformatter
        One for all frames of a video, used by one thread at a time; a frame that converts itself makes one
        of its own each time.
    """
    pixels = converter.reformat(frame, format="rgb24").to_ndarray()
    matrix = _display_matrix(frame)
    if matrix is None:
        return np.ascontiguousarray(pixels)
    (a, b), (c, d) = matrix
    # Column p, row q go to column a p + c q, row b p + d q (ISO/IEC 14496-12, 6.2.2).
    if a == 0 and d == 0:
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _display_matrix(frame: VideoFrame) -> npt.NDArray[np.int32] | None:
    """Return the linear part of the display matrix; None where there is none."""
    # frame.side_data and the frame would refer to each other: hundreds of decoded pictures would then wait
    # for the cycle collector.
    data = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]  # its stub lacks __init__
    if data is None:
        return None
    return np.frombuffer(cast("bytes", data), np.int32).reshape(3, 3)[:2, :2]  # any buffer will do
