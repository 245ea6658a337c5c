"""Boundary metrics against MONAI and surface-distance, in one run.

Run ``python benchmarks/metrics.py``. One pair of 960x540 masks with 8 classes; best of several repetitions in
CPU time: the ratios count, milliseconds depend on the machine. Scores that disagree end it without a table.
"""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np
import torch
from monai.metrics import compute_surface_dice
from scipy import ndimage
from surface_distance import compute_surface_dice_at_tolerance, compute_surface_distances

from napari_hogseg.metrics import boundary_errors, boundary_iou, confusion_matrix, iou_scores, surface_dice

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Mask = NDArray[np.uint8]

T = TypeVar("T")

SHAPE = (540, 960)
NUM_CLASSES = 8
TOLERANCE_PX = 2
DISTANCE_PX = 5


def main() -> None:
    """Print one table."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    warnings.simplefilter("ignore")
    truth, prediction = segmentation(sigma=40.0), segmentation(sigma=38.0)

    ours_ms, ours = measure(lambda: our_surface_dice(prediction, truth))
    monai_ms, monai = measure(lambda: monai_surface_dice(prediction, truth), repeat=3)
    length_ms, _ = measure(lambda: length_surface_dice(prediction, truth), repeat=3)
    if not np.allclose(ours, monai, atol=1e-6):
        raise SystemExit(f"surface Dice differs from MONAI's: {ours} against {monai}")

    print(f"{SHAPE[1]}x{SHAPE[0]}, {NUM_CLASSES} classes, one pair, one thread")
    row(f"surface Dice, tolerance {TOLERANCE_PX} px", ours_ms)
    row("  MONAI, pixel count (equal to 1e-6)", monai_ms, monai_ms / ours_ms)
    row("  surface-distance, contour length", length_ms, length_ms / ours_ms)
    row(f"Boundary IoU, {DISTANCE_PX} px", measure(lambda: our_boundary_iou(prediction, truth))[0])
    row("confusion IoU", measure(lambda: our_iou(prediction, truth))[0])
    row(
        f"error map, tolerance {TOLERANCE_PX} px",
        measure(lambda: boundary_errors(prediction, truth, TOLERANCE_PX))[0],
    )


def our_surface_dice(prediction: Mask, truth: Mask) -> list[float]:
    """Score every class with this package."""
    return [surface_dice(prediction, truth, class_id, TOLERANCE_PX) for class_id in range(NUM_CLASSES)]


def our_boundary_iou(prediction: Mask, truth: Mask) -> list[float]:
    """Score every class with this package."""
    return [boundary_iou(prediction, truth, class_id, DISTANCE_PX) for class_id in range(NUM_CLASSES)]


def our_iou(prediction: Mask, truth: Mask) -> float:
    """Score the pair with this package."""
    return iou_scores(confusion_matrix(prediction, truth, NUM_CLASSES)).mean


def monai_surface_dice(prediction: Mask, truth: Mask) -> list[float]:
    """Score every class with MONAI's pixel-count definition."""
    classes = np.arange(NUM_CLASSES)[:, None, None]
    pair = ((mask[None] == classes)[None].astype(np.float32) for mask in (prediction, truth))
    one_hot = [torch.from_numpy(planes) for planes in pair]
    thresholds = [float(TOLERANCE_PX)] * NUM_CLASSES
    scores: torch.Tensor = compute_surface_dice(*one_hot, thresholds, include_background=True)
    return scores[0].tolist()


def length_surface_dice(prediction: Mask, truth: Mask) -> list[float]:
    """Score every class with surface-distance: another definition, the same purpose."""
    return [
        compute_surface_dice_at_tolerance(
            compute_surface_distances(truth == class_id, prediction == class_id, (1, 1)), TOLERANCE_PX
        )
        for class_id in range(NUM_CLASSES)
    ]


def segmentation(sigma: float) -> Mask:
    """Smooth random regions; nearby `sigma` gives nearby boundaries."""
    noise = np.random.default_rng(0).standard_normal((NUM_CLASSES, *SHAPE))
    classes: Mask = ndimage.gaussian_filter(noise, (0, sigma, sigma)).argmax(axis=0).astype(np.uint8)
    return classes


def measure(call: Callable[[], T], repeat: int = 9) -> tuple[float, T]:
    """Best CPU time in milliseconds, and the result."""
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
