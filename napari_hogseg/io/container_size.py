"""Whether a video file is shorter than its container says: the sign of a broken copy or a recorder that died.

Knows just enough of each container to find the declared length; reading frames is FFmpeg's part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from av.video.stream import VideoStream

_HEADER_BYTES = 4096
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def first_lost_time(stream: VideoStream, num_bytes: int) -> int | None:
    """Find the decoding time of the first packet that lies beyond the file's end by the container's table.

    Only MP4 and MOV have the table before reading; None elsewhere and for whole files.
    """
    beyond = [entry.timestamp for entry in stream.index_entries if entry.pos + entry.size > num_bytes]
    return min(beyond, default=None)


def declares_length(stream: VideoStream, path: Path) -> bool:
    """Tell whether the container says how many frames or bytes there are: whole MP4, AVI and Matroska do."""
    return stream.frames > 0 or _declared_bytes(path) > 0


def is_shorter_than_declared(path: Path) -> bool:
    """Compare an AVI's or a Matroska file's length with its header; False for formats that declare none."""
    return path.stat().st_size < _declared_bytes(path)


def _declared_bytes(path: Path) -> int:
    """Where the file should end; 0 where its container does not say."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if header[:4] == b"RIFF":
        num_bytes = int.from_bytes(header[4:8], "little")  # a recorder that died left 0 here
        return 8 + num_bytes if num_bytes else 0
    return _segment_end(header) if header[:4] == _EBML else 0


def _segment_end(header: bytes) -> int:
    """Where a Matroska file's one segment ends; 0 where it is of unknown length (a live recording)."""
    size, position = _ebml_size(header, len(_EBML))
    position += size
    if header[position : position + len(_SEGMENT)] != _SEGMENT:
        return 0
    size, position = _ebml_size(header, position + len(_SEGMENT))
    return position + size if size else 0


def _ebml_size(header: bytes, position: int) -> tuple[int, int]:
    """Read a length of 1 to 8 bytes (RFC 8794, section 4); 0 for the unknown length, and where it ends."""
    if position >= len(header) or header[position] == 0:
        return 0, len(header)
    num_bytes = 9 - header[position].bit_length()
    value = int.from_bytes(header[position : position + num_bytes], "big")
    all_ones = (1 << 7 * num_bytes) - 1
    value &= all_ones
    return (0 if value == all_ones else value), position + num_bytes
