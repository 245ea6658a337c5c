"""How often the sloppy-label finder names a contour that was moved on purpose, and what it costs.

    python benchmarks/sloppy_labels.py --data vocalfolds [--every 6]

On each frame one stretch of a contour that lies on a clear edge is displaced by some pixels, to one side or
the other. It counts as found if a reported stretch lies where it was moved; its rank is that among all
stretches of the frame, with whatever else the annotators drew beside an edge. Void is closed first: it would
hide the displacement.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.metrics.error_map import close_void
from napari_hogseg.metrics.sloppy_labels import ContourReport, check_contours

if TYPE_CHECKING:
    from numpy.typing import NDArray

DISPLACEMENTS_PX = (3, 5, 8)
RADIUS_PX = 30
MIN_STEP = 30
"""Grey levels between both sides of the contour, 4 px apart: a clear edge."""


def main() -> None:
    """Read the flags, move contours, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--every", type=int, default=6)
    flags = parser.parse_args()
    dataset = open_dataset(flags.data)
    rng = np.random.default_rng(0)
    ranks: dict[int, list[int]] = {displacement: [] for displacement in DISPLACEMENTS_PX}
    seconds, segments = [], []
    for sample in dataset.samples[:: flags.every]:
        frame = dataset.read_frame(sample)
        truth = np.asarray(close_void(dataset.read_mask(sample))[0], np.uint8)
        begin_s = time.perf_counter()
        segments.append(len(check_contours(truth, frame).segments))
        seconds.append(time.perf_counter() - begin_s)
        for displacement in DISPLACEMENTS_PX:
            moved = displace(truth, frame, displacement, rng)
            if moved is not None:
                mask, place = moved
                ranks[displacement].append(rank_of(check_contours(mask, frame), place))
    print(f"{len(segments)} frames, {np.median(seconds) * 1e3:.0f} ms each (median)")
    print(f"stretches reported on the masks as they are: {np.mean(segments):.1f} a frame")
    for displacement, each in ranks.items():
        rank = np.array(each)
        found, three, first = (rank > 0).mean(), ((rank > 0) & (rank <= 3)).mean(), (rank == 1).mean()
        print(f"{displacement} px: found {found:.2f}, among the first three {three:.2f}, first {first:.2f}")


def displace(
    truth: NDArray[np.uint8], frame: NDArray[np.uint8], displacement: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], tuple[int, int]] | None:
    """Move a contour of a class within a disk, across itself; None where no contour lies on a clear edge."""
    grey = frame.astype(np.float32).mean(axis=2)
    steps = []  # row, column, direction
    for axis in (0, 1):
        ahead, behind = (np.roll(grey, shift, axis) for shift in (-2, 2))
        is_edge = (truth != np.roll(truth, 1, axis)) & (np.abs(ahead - behind) > MIN_STEP)
        # Both sides of one class each, so that the contour runs across this axis.
        is_edge &= (np.roll(truth, -5, axis) == truth) & (np.roll(truth, 6, axis) == np.roll(truth, 1, axis))
        margin = RADIUS_PX + displacement
        rows, cols = np.nonzero(is_edge[margin:-margin, margin:-margin])
        steps += [(row + margin, col + margin, axis) for row, col in zip(rows, cols, strict=True)]
    if not steps:
        return None
    row, col, axis = steps[rng.integers(len(steps))]
    rows, cols = np.ogrid[: truth.shape[0], : truth.shape[1]]
    inside = (rows - row) ** 2 + (cols - col) ** 2 <= RADIUS_PX**2
    sign = 1 if rng.random() < 0.5 else -1
    return np.where(inside, np.roll(truth, sign * displacement, axis), truth), (int(row), int(col))


def rank_of(report: ContourReport, place: tuple[int, int]) -> int:
    """Rank of the first stretch most of which lies round the place, from 1; 0 where there is none."""
    for rank, segment in enumerate(report.segments, start=1):
        distance = np.hypot(*(segment.path - place).T)
        if np.mean(distance <= RADIUS_PX + 5) > 0.5:
            return rank
    return 0


if __name__ == "__main__":
    main()
