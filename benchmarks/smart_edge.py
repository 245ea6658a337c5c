"""What the smart edge does to strokes on real frames: how far rims are from the annotated ones, off and on.

    python -m benchmarks.smart_edge --data vocalfolds [--every 6] [--seed 0] [--close-void]

A stroke is the largest region of a class in one frame, painted in three ways: with a *shaky* rim that strays
by 2 pixels (standard deviation, smooth along the rim), *grown* by 3 pixels all round, and *right*, as
annotated: there anything that moves is harm. Distances are those of points along the stroke's rim, four a
pixel, to the annotated rim; points near the frame's edge count nowhere. All points of a class and a clip are
taken together, so large regions count more. The annotators left a strip of void between classes, and the edge
of the picture may lie within it: `--close-void` gives each of its pixels to the nearer class first.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.spatial import cKDTree
from skimage.measure import find_contours, label

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.metrics.error_map import close_void
from napari_hogseg.session.smart_edge import snap_rim

if TYPE_CHECKING:
    import numpy.typing as npt

    Region = npt.NDArray[np.bool_]
    Points = npt.NDArray[np.float64]

#: As the switch in the dock has it.
BAND_PX = 5
GROWN_PX, SHAKY_PX, SHAKY_SIGMA_PX = 3.0, 2.0, 8.0
MIN_AREA_PX = 400
POINTS_A_PX = 4
CASES = ("shaky", "grown", "right")


def main() -> None:
    """Read the flags, paint, snap, print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--every", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--close-void", action="store_true")
    flags = parser.parse_args()
    cv2.setNumThreads(1)
    dataset = open_dataset(flags.data)
    rng = np.random.default_rng(flags.seed)
    found: dict[tuple[str, str, str], list[tuple[Points, Points]]] = defaultdict(list)
    seconds = []
    for sample in dataset.samples[:: flags.every]:
        frame, mask = dataset.read_frame(sample), dataset.read_mask(sample)
        if flags.close_void:
            mask = np.asarray(close_void(mask)[0], np.uint8)
        for class_id, name in enumerate(dataset.layout.scheme.classes):
            truth = largest_region(mask == class_id)
            if truth.sum() < MIN_AREA_PX or truth.all():
                continue
            for case in CASES:
                painted = paint(truth, case, rng)
                begin_s = time.perf_counter()
                snapped = snap_rim(frame, painted, BAND_PX)
                seconds.append(time.perf_counter() - begin_s)
                off, on = (rim_distances(region, truth) for region in (painted, snapped))
                found[sample.group, name, case].append((off, on))
    print(f"{len(seconds)} strokes, {np.median(seconds):.2f} s each (median), {max(seconds):.1f} s at most")
    for group in sorted({group for group, _, _ in found}):
        print_table(group, {key[1:]: pairs for key, pairs in found.items() if key[0] == group})


def print_table(group: str, found: dict[tuple[str, str], list[tuple[Points, Points]]]) -> None:
    """Print one clip: median and 95th percentile of the distances, off -> on."""
    print(f"\n| {group} | strokes | " + " | ".join(f"{case} | 95 %" for case in CASES) + " |")
    print("|---|---|" + "---|---|" * len(CASES))
    for name in dict.fromkeys(name for name, _ in found):
        cells = []
        for case in CASES:
            off, on = (np.concatenate(each) for each in zip(*found[name, case], strict=True))
            cells += [f"{np.percentile(off, p):.2f} -> {np.percentile(on, p):.2f}" for p in (50, 95)]
        print(f"| {name} | {len(found[name, CASES[0]])} | " + " | ".join(cells) + " |")


def largest_region(region: Region) -> Region:
    """Keep the largest 8-connected part."""
    parts = label(region, connectivity=2)
    counts = np.bincount(parts.ravel())
    counts[0] = 0
    return np.asarray((parts == counts.argmax()) & region)


def paint(truth: Region, case: str, rng: np.random.Generator) -> Region:
    """Paint a region as a hand might."""
    if case == "right":
        return truth.copy()
    depth = distance_transform_edt(truth) - distance_transform_edt(~truth)
    if case == "grown":
        return np.asarray(depth > -GROWN_PX - 0.5)
    stray = gaussian_filter(rng.standard_normal(truth.shape), SHAKY_SIGMA_PX)
    return np.asarray(depth + SHAKY_PX * stray / stray.std() > 0)


def rim_distances(region: Region, truth: Region) -> Points:
    """Distance of points along a region's rim to the annotated rim, in pixels."""
    rim = rim_points(region)
    inner = np.all((rim > BAND_PX) & (rim < np.array(region.shape) - 1 - BAND_PX), axis=1)
    return np.asarray(cKDTree(rim_points(truth)).query(rim[inner])[0])


def rim_points(region: Region) -> Points:
    """Points along all outlines, evenly spaced."""
    points = [np.zeros((0, 2))]
    for outline in find_contours(region.astype(np.float64), 0.5):
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(outline, axis=0).T))])
        wanted = np.linspace(0, along[-1], max(round(along[-1] * POINTS_A_PX), 2), endpoint=False)
        points.append(np.stack([np.interp(wanted, along, outline[:, axis]) for axis in (0, 1)], axis=1))
    return np.concatenate(points)


if __name__ == "__main__":
    main()
