"""Run lengths of a binary mask, as COCO and CVAT count them. Encodes and decodes; reads no file.

Both begin with the number of zeros, which may be 0. COCO goes down the columns of the whole frame and packs
the counts into a string (T.-Y. Lin et al., `maskApi.c` of the COCO API: the difference to the count two
before, from the fourth on, five bits a character, lowest first). CVAT goes along the rows of a bounding box.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

BITS, MORE, SIGN, FIRST_CHAR = 5, 0x20, 0x10, 48


def runs_of(flat: npt.NDArray[np.bool_]) -> list[int]:
    """Count the runs of a flat mask, zeros first; empty runs only at the beginning."""
    if not flat.size:
        return []
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ends = np.concatenate(([0] if flat[0] else [], changes, [flat.size]))
    return [int(run) for run in np.diff(ends, prepend=0)]


def fill_runs(runs: Sequence[int], size: int) -> npt.NDArray[np.bool_]:
    """Make the flat mask of runs, (size,) bool; ValueError if they do not add up to it."""
    counts = np.asarray(runs, np.int64)
    if counts.ndim != 1 or (counts < 0).any() or (counts > size).any() or int(counts.sum()) != size:
        raise ValueError(f"the runs do not add up to {size} pixels")
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts)


def pack_counts(runs: Sequence[int]) -> str:
    """Write runs as COCO's string."""
    chars = []
    for place, run in enumerate(runs):
        rest = run - (runs[place - 2] if place > 2 else 0)
        while True:
            low, rest = rest & (MORE - 1), rest >> BITS
            done = rest == (-1 if low & SIGN else 0)
            chars.append(chr((low if done else low | MORE) + FIRST_CHAR))
            if done:
                break
    return "".join(chars)


def unpack_counts(text: str) -> list[int]:
    """Read COCO's string; ValueError if it is none."""
    runs: list[int] = []
    value = shift = 0
    for char in text:
        code = ord(char) - FIRST_CHAR
        if not 0 <= code < 2 * MORE or shift > 60:
            raise ValueError(f"{char!r} has no place in run lengths")
        value |= (code & (MORE - 1)) << shift
        shift += BITS
        if code & MORE:
            continue
        if code & SIGN:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the run lengths end in the middle of a number")
    return runs
