"""Boundary metrics against MONAI and surface-distance, in one run.

Run ``python benchmarks/metrics.py``. One pair of masks with 8 classes, at 960x540 and 1920x1080: smooth
regions that share the frame, and thin tools on a background, which the peers crop to. Best of several
repetitions in CPU time: the ratios count, milliseconds depend on the machine. Ours includes Boundary IoU,
which the peers do not compute. Scores that disagree end the run without a table.
"""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from scipy import ndimage
from surface_distance import (
    compute_robust_hausdorff,
    compute_surface_dice_at_tolerance,
    compute_surface_distances,
)

from napari_hogseg.metrics import (
    BoundaryScores,
    boundary_errors,
    boundary_iou,
    boundary_scores,
    confusion_matrix,
    iou_scores,
    surface_dice,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Mask = NDArray[np.uint8]
    Scores = NDArray[np.float64]  # (NUM_CLASSES,)

T = TypeVar("T")

NUM_CLASSES = 8
TOLERANCE_PX = 2
BAND_PX = 5
SHAPES = (540, 960), (1080, 1920)


def main() -> None:
    """Print one table per scene and size."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    warnings.simplefilter("ignore")
    for shape in SHAPES:
        compare(
            "smooth regions", regions(shape, sigma_px=shape[0] / 13.5), regions(shape, sigma_px=shape[0] / 14)
        )
        compare("thin tools", tools(shape, shift_px=3), tools(shape, shift_px=0))


def compare(scene: str, prediction: Mask, truth: Mask) -> None:
    """Measure one pair; refuse scores that are not the peers'."""
    ours_ms, ours = measure(lambda: our_scores(prediction, truth), repeat=15)
    monai_ms, (nsd, hd95) = measure(lambda: monai_scores(prediction, truth), repeat=3)
    lengths_ms, nsd_contour = measure(lambda: surface_distance_scores(prediction, truth), repeat=3)
    contour_ms, contour = measure(
        lambda: boundary_scores(prediction, truth, NUM_CLASSES, parts=["nsd_contour"])
    )
    check("NSD by pixel count", ours.nsd, nsd)
    check("HD95", ours.hd95_px, hd95)
    check("NSD by contour length", contour.nsd_contour, nsd_contour)

    height, width = truth.shape
    print(f"\n{scene}, {width}x{height}, {NUM_CLASSES} classes, one pair, one thread")
    row("NSD + HD95 + Boundary IoU, all classes", ours_ms)
    row("  MONAI, NSD + HD95", monai_ms, monai_ms / ours_ms)
    row("  surface-distance, NSD + HD95", lengths_ms, lengths_ms / ours_ms)
    row("NSD by contour length, all classes", contour_ms)
    for name, call in (
        ("DAVIS F, all classes", lambda: boundary_scores(prediction, truth, NUM_CLASSES, parts=["davis_f"])),
        ("surface Dice, class by class", lambda: our_surface_dice(prediction, truth)),
        ("Boundary IoU, class by class", lambda: our_boundary_iou(prediction, truth)),
        ("confusion IoU", lambda: iou_scores(confusion_matrix(prediction, truth, NUM_CLASSES))),
        ("error map", lambda: boundary_errors(prediction, truth, TOLERANCE_PX)),
    ):
        row(name, measure(call)[0])


def our_scores(prediction: Mask, truth: Mask) -> BoundaryScores:
    """Score the pair with this package."""
    return boundary_scores(
        prediction,
        truth,
        NUM_CLASSES,
        tolerance_px=TOLERANCE_PX,
        band_px=BAND_PX,
        parts=("nsd", "hd95_px", "boundary_iou"),
    )


def our_surface_dice(prediction: Mask, truth: Mask) -> list[float]:
    """Score every class with this package, one at a time."""
    return [surface_dice(prediction, truth, class_id, TOLERANCE_PX) for class_id in range(NUM_CLASSES)]


def our_boundary_iou(prediction: Mask, truth: Mask) -> list[float]:
    """Score every class with this package, one at a time."""
    return [boundary_iou(prediction, truth, class_id, BAND_PX) for class_id in range(NUM_CLASSES)]


def monai_scores(prediction: Mask, truth: Mask) -> tuple[Scores, Scores]:
    """NSD by pixel count and HD95."""
    classes = np.arange(NUM_CLASSES)[:, None, None]
    pair = ((mask[None] == classes)[None].astype(np.float32) for mask in (prediction, truth))
    one_hot = [torch.from_numpy(planes) for planes in pair]
    thresholds = [float(TOLERANCE_PX)] * NUM_CLASSES
    nsd = compute_surface_dice(*one_hot, thresholds, include_background=True)
    hd95 = compute_hausdorff_distance(*one_hot, include_background=True, percentile=95)
    return nsd[0].numpy(), hd95[0].numpy()


def surface_distance_scores(prediction: Mask, truth: Mask) -> Scores:
    """NSD by contour length; its HD95, weighted by length, is computed and dropped."""
    scores = []
    for class_id in range(NUM_CLASSES):
        distances = compute_surface_distances(truth == class_id, prediction == class_id, (1, 1))
        compute_robust_hausdorff(distances, 95)
        scores.append(compute_surface_dice_at_tolerance(distances, TOLERANCE_PX))
    return np.array(scores)


def check(name: str, ours: Scores, theirs: Scores) -> None:
    """End the run if two ways to the same number part."""
    if not np.allclose(ours, theirs, rtol=1e-5, atol=1e-6):
        raise SystemExit(f"{name} differs: {ours} against {theirs}")


def regions(shape: tuple[int, int], sigma_px: float) -> Mask:
    """Smooth random regions; nearby `sigma_px` gives nearby boundaries."""
    noise = np.random.default_rng(0).standard_normal((NUM_CLASSES, *shape))
    classes: Mask = ndimage.gaussian_filter(noise, (0, sigma_px, sigma_px)).argmax(axis=0).astype(np.uint8)
    return classes


def tools(shape: tuple[int, int], shift_px: int) -> Mask:
    """One thin bar of each class on a background."""
    rng = np.random.default_rng(1)
    mask = np.zeros(shape, np.uint8)
    for class_id in range(1, NUM_CLASSES):
        center = rng.uniform(0.15, 0.85, 2) * shape[::-1] + shift_px
        size = shape[1] * 0.2, shape[1] * 0.025
        corners = cv2.boxPoints((center.tolist(), size, rng.uniform(0, 180)))
        cv2.fillPoly(mask, [corners.astype(np.int32)], class_id)
    return mask


def measure(call: Callable[[], T], repeat: int = 9) -> tuple[float, T]:
    """Best CPU time in milliseconds after a first call, and the result."""
    result = call()
    times_ms = []
    for _ in range(repeat):
        start = time.process_time()
        result = call()
        times_ms.append((time.process_time() - start) * 1e3)
    return min(times_ms), result


def row(name: str, time_ms: float, ratio: float | None = None) -> None:
    """Print a line: name, milliseconds, and how many times ours that is."""
    print(f"{name:<42}{time_ms:>10.1f} ms" + ("" if ratio is None else f"{ratio:>8.1f} x"))


if __name__ == "__main__":
    main()
