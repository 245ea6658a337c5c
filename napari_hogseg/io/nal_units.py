"""Signs of damage in an H.264 or HEVC packet that a decoder passes over.

Both codings never have three zero bytes in a row (H.264 7.4.1, HEVC 7.4.2), and decoders take them for the
end of a picture; yet blocks of zeros are just what a broken copy leaves. Only for packets as MP4, MOV and
Matroska hold them, with lengths in front of their units; others are not judged. Does not decode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

MAX_PADDING_BYTES = 8
"""Zeros at a unit's end that some writers leave there, against the standard but harmless."""


def length_bytes(codec: VideoCodecContext) -> int:
    """Read the size of units' lengths from the configuration record (ISO/IEC 14496-15); 0 without one."""
    record = codec.extradata or b""
    position = {"h264": 4, "hevc": 21}.get(codec.name, len(record))
    if len(record) <= position or record[0] != 1:
        return 0
    return (record[position] & 3) + 1


def has_holes(packet: bytes, num_length_bytes: int, codec_name: str) -> bool:
    """Tell whether a packet's pictures hold what no encoder writes, or its lengths do not add up."""
    position = 0
    while position < len(packet):
        start = position + num_length_bytes
        position = start + int.from_bytes(packet[start - num_length_bytes : start], "big")
        if not start < position <= len(packet):
            return True
        if _is_picture(packet[start], codec_name) and _has_hole(packet[start:position]):
            return True
    return False


def _is_picture(first_byte: int, codec_name: str) -> bool:
    return 1 <= first_byte & 31 <= 5 if codec_name == "h264" else first_byte >> 1 & 63 < 32


def _has_hole(unit: bytes) -> bool:
    bare = unit.rstrip(b"\0")
    return len(unit) - len(bare) > MAX_PADDING_BYTES or b"\0\0\0" in bare
