"""Ranges of frames that a person marked, kept in the session folder as `ranges.json`. No Qt.

An export takes them; the timeline draws them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RANGES_FILE = "ranges.json"


@dataclass(frozen=True, order=True)
class FrameRange:
    """Frames from `first` to `last`, both in it."""

    first: int
    last: int

    def __contains__(self, frame_index: int) -> bool:
        return self.first <= frame_index <= self.last

    def __len__(self) -> int:
        return self.last - self.first + 1


def add_range(ranges: Iterable[FrameRange], one_end: int, other_end: int) -> tuple[FrameRange, ...]:
    """Add the frames between two ends; ranges that touch become one."""
    new = FrameRange(min(one_end, other_end), max(one_end, other_end))
    merged: list[FrameRange] = []
    for each in sorted([*ranges, new]):
        if merged and each.first <= merged[-1].last + 1:
            merged[-1] = FrameRange(merged[-1].first, max(merged[-1].last, each.last))
        else:
            merged.append(each)
    return tuple(merged)


def without_range_at(ranges: Iterable[FrameRange], frame_index: int) -> tuple[FrameRange, ...]:
    """Take out the range that holds a frame."""
    return tuple(each for each in ranges if frame_index not in each)


def read_ranges(folder: Path, num_frames: int) -> tuple[FrameRange, ...]:
    """Read the ranges of a session folder; none where none were marked.

    Parameters
    ----------
    folder : Path
        Session folder.
    num_frames : int
        Of the clip; what lies beyond is left out.

    Raises
    ------
    InputError
        If the file is not what was written.
    """
    path = folder / RANGES_FILE
    try:
        pairs = json.loads(path.read_text("utf-8"))["ranges"]
        found = [FrameRange(int(first), int(last)) for first, last in pairs]
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"The marked ranges cannot be read: {error}", where=path, remedy="Remove the file, or mend it."
        ) from error
    merged: tuple[FrameRange, ...] = ()
    for each in found:
        if 0 <= each.first <= each.last < num_frames:
            merged = add_range(merged, each.first, each.last)
    return merged


def write_ranges(folder: Path, ranges: Iterable[FrameRange]) -> None:
    """Write the ranges of a session folder, whole or not at all. OSError if the disk refuses."""
    table = {"ranges": [[each.first, each.last] for each in sorted(ranges)]}
    atomic.write_text(folder / RANGES_FILE, json.dumps(table) + "\n")
