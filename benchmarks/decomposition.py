"""Error types against a plain reading of the definition with scipy, class by class, in one run.

Run ``python benchmarks/decomposition.py``. Pairs of 854x480 masks with 13 classes, from a good prediction to
a useless one; best of several repetitions in CPU time, one thread: the ratios count, milliseconds depend on
the machine. Counts that disagree end it without a table. The last line times clDice of a shaft.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np
from scipy import ndimage

from napari_hogseg.metrics import cl_dice, decompose_errors, error_type_map

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Labels = NDArray[np.uint8]
    Mask = NDArray[np.bool_]

T = TypeVar("T")

SHAPE = (480, 854)
NUM_CLASSES = 13
BOUNDARY_PX = 10  # 1 % of the diagonal
EIGHT = np.ones((3, 3), np.bool_)


def main() -> None:
    """Print one table."""
    cv2.setNumThreads(1)
    truth = segmentation(noise=0)
    print(f"{SHAPE[1]}x{SHAPE[0]}, {NUM_CLASSES} classes, boundary {BOUNDARY_PX} px, one pair, one thread")
    print(f"{'wrong pixels':<16}{'types':>10}{'map':>10}{'with scipy':>14}{'ratio':>8}")
    for noise in (0.05, 0.15, 0.3, 1.0):
        compare(segmentation(noise), truth)
    shaft = np.zeros(SHAPE, np.uint8)
    cv2.line(shaft, (20, 20), (500, 300), [1], 30)
    shaft_ms, _ = measure(lambda: cl_dice(np.roll(shaft, 5), shaft, 1))
    print(f"clDice of a shaft 30 px wide and 550 long: {shaft_ms:.1f} ms")


def compare(prediction: Labels, truth: Labels) -> None:
    """Print one line."""
    plain_ms, plain = measure(lambda: plain_counts(prediction, truth), repeat=2)
    ours_ms, ours = measure(
        lambda: decompose_errors(prediction, truth, NUM_CLASSES, boundary_px=BOUNDARY_PX).counts
    )
    map_ms, _ = measure(lambda: error_type_map(prediction, truth, boundary_px=BOUNDARY_PX))
    if not np.array_equal(plain, ours):
        raise SystemExit(f"the counts differ: {plain.tolist()} against {ours.tolist()}")
    share = f"{100 * (prediction != truth).mean():.1f} %"
    print(f"{share:<16}{ours_ms:>7.1f} ms{map_ms:>7.1f} ms{plain_ms:>11.0f} ms{plain_ms / ours_ms:>6.0f} x")


def plain_counts(prediction: Labels, truth: Labels) -> NDArray[np.int64]:
    """Wrong pixels (C, 2, 3): FN and FP by boundary, extent, segment."""
    counts = np.zeros((NUM_CLASSES, 2, 3), np.int64)
    for class_id in range(NUM_CLASSES):
        predicted, true = prediction == class_id, truth == class_id
        counts[class_id, 0] = plain_types(true, predicted)
        counts[class_id, 1] = plain_types(predicted, true)
    return counts


def plain_types(own: Mask, other: Mask) -> tuple[int, int, int]:
    """Count the types of `own` without `other`."""
    wrong, hit, neither = own & ~other, own & other, ~(own | other)
    core = wrong & near(hit) & near(neither)
    pieces, _ = ndimage.label(wrong & near(core), EIGHT)
    by_hit, by_neither = (ndimage.binary_dilation(mask, EIGHT) for mask in (hit, neither))
    between = np.intersect1d(pieces[by_hit], pieces[by_neither])
    boundary = wrong & np.isin(pieces, between[between > 0])
    objects, _ = ndimage.label(own, EIGHT)
    found = np.isin(objects, np.unique(objects[hit]))
    rest = wrong & ~boundary
    return int(boundary.sum()), int((rest & found).sum()), int((rest & ~found).sum())


def near(mask: Mask) -> Mask:
    """Pixels within the boundary's width of one in the mask."""
    if not mask.any():
        return mask
    squared = np.rint(np.square(ndimage.distance_transform_edt(~mask)))
    return np.asarray(squared <= BOUNDARY_PX**2, np.bool_)


def segmentation(noise: float) -> Labels:
    """Smooth random regions; little noise gives nearby boundaries, much gives other regions."""
    planes = np.random.default_rng(0).standard_normal((NUM_CLASSES, *SHAPE))
    planes += noise * np.random.default_rng(1).standard_normal(planes.shape)
    smooth: Labels = ndimage.gaussian_filter(planes, (0, 30, 30)).argmax(axis=0).astype(np.uint8)
    return smooth


def measure(call: Callable[[], T], repeat: int = 9) -> tuple[float, T]:
    """Best CPU time in milliseconds, and the result."""
    times_ms = []
    result = call()
    for _ in range(repeat):
        start = time.process_time()
        result = call()
        times_ms.append((time.process_time() - start) * 1e3)
    return min(times_ms), result


if __name__ == "__main__":
    main()
