"""`hogseg selftest`: does this installation compute what it should? Each check takes a second or so."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import imageio.v3 as imageio
import numpy as np
import skimage.feature
import torch

import sample_data
from napari_hogseg.data.layouts import PLAIN, DataSet, Layout, Sample
from napari_hogseg.data.scheme import LabelScheme
from napari_hogseg.features.hog import HOG_PRESETS, hog_features, resize_frames
from napari_hogseg.inference.predictor import Predictor, choose_device
from napari_hogseg.io import images
from napari_hogseg.io.video import open_frames
from napari_hogseg.metrics.boundary import boundary_iou, surface_dice
from napari_hogseg.metrics.confusion import confusion_matrix, iou_scores
from training import reporting
from training.evaluation import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable


HOG_TOLERANCE = 1e-6
SAMPLE_STRIDE = 12
SAMPLE_MIOU = 0.70
"""Well below what the sample model scores on its clip, well above what any damage leaves."""


class CheckFailedError(AssertionError):
    """A check found a wrong result."""


def run() -> bool:
    """Run every check, show a line each, return whether all passed."""
    passed = [_show(name, check) for name, check in CHECKS.items()]
    reporting.console.print(f"device: {choose_device()}, torch {torch.__version__}")
    reporting.console.print(f"{sum(passed)} of {len(passed)} checks passed")
    return all(passed)


def _show(name: str, check: Callable[[], str]) -> bool:
    try:
        detail = check()
    except Exception as error:  # noqa: BLE001 - whatever breaks, the other checks still tell something
        reporting.console.print(f"FAILED  {name}: {type(error).__name__}: {error}", style="red")
        return False
    reporting.console.print(f"ok      {name}: {detail}")
    return True


def _expect(value: float, wanted: float, tolerance: float, what: str) -> None:
    if not math.isclose(value, wanted, rel_tol=0.0, abs_tol=tolerance):
        raise CheckFailedError(f"{what} is {value}, not {wanted}")


def check_hog() -> str:
    """Compare all presets with scikit-image on noise over a gradient."""
    rng = np.random.default_rng(7)
    frame = (np.linspace(0, 200, 96)[:, None, None] + rng.integers(0, 55, (96, 128, 3))).astype(np.uint8)
    worst = 0.0
    for params in HOG_PRESETS.values():
        ours = hog_features(frame[None], params)[0].numpy()
        resized = resize_frames(frame[None], 128, 64)[0].numpy()
        reference = skimage.feature.hog(
            resized,
            orientations=params.orientations,
            pixels_per_cell=(params.cell_px,) * 2,
            cells_per_block=(params.block_cells,) * 2,
            channel_axis=-1,
        )
        worst = max(worst, float(np.abs(ours - reference).max()))
    _expect(worst, 0.0, HOG_TOLERANCE, "the largest difference from scikit-image")
    return f"{len(HOG_PRESETS)} presets equal scikit-image's to {worst:.1e}"


def check_metrics() -> str:
    """Compare scores of two shifted squares with values worked out by hand."""
    truth, prediction = np.zeros((2, 40, 40), np.uint8)
    truth[10:20, 10:20] = 1
    prediction[10:20, 12:22] = 1
    scores = iou_scores(confusion_matrix(prediction, truth, 2))
    _expect(float(scores.per_class[1]), 80 / 120, 1e-12, "IoU")
    # Two rings of 36 pixels; rows 10 and 19 share 8 pixels each and no columns coincide but for corners.
    _expect(boundary_iou(prediction, truth, 1, 1), 16 / 56, 1e-12, "Boundary IoU at 1 px")
    _expect(surface_dice(prediction, truth, 1, 2.0), 1.0, 1e-12, "surface Dice at 2 px")
    return "IoU, Boundary IoU and surface Dice as worked out by hand"


def check_video() -> str:
    """Write a video with B-frames, read it back in a jumbled order."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "counting.mp4"
        frames = [np.full((48, 64, 3), 4 * i + 8, np.uint8) for i in range(48)]
        imageio.imwrite(path, np.stack(frames), plugin="pyav", codec="libx264", fps=25)
        source = open_frames(path)
        order = np.random.default_rng(3).permutation(source.num_frames)
        for frame_index in order:
            level = float(source.frame(int(frame_index)).mean())
            _expect(level, 4 * frame_index + 8, 2.0, f"the grey of frame {frame_index}")
        source.close()
    return f"{len(order)} frames found exactly, in random order"


def check_sample_model() -> str:
    """Score the sample model on the sample clip; the two were made from different seeds."""
    with tempfile.TemporaryDirectory() as folder:
        scheme = LabelScheme.read(sample_data.scheme_path())
        samples = _write_sample_frames(Path(folder))
        dataset = DataSet(Path(folder), Layout(PLAIN, scheme), samples)
        scores = evaluate(Predictor.load(sample_data.model_path(), "cpu"), dataset, samples)
    if not scores.miou >= SAMPLE_MIOU:
        raise CheckFailedError(f"mIoU {scores.miou:.3f} is below {SAMPLE_MIOU}")
    return f"mIoU {scores.miou:.3f} on {scores.num_frames} frames of the sample clip"


def _write_sample_frames(folder: Path) -> tuple[Sample, ...]:
    masks = images.list_images(sample_data.masks_path())
    source = open_frames(sample_data.clip_path())
    samples = []
    for frame_index in range(0, source.num_frames, SAMPLE_STRIDE):
        path = folder / f"{frame_index:06d}.png"
        imageio.imwrite(path, source.frame(frame_index))
        samples.append(Sample(path.stem, path, masks[frame_index], "clip"))
    source.close()
    return tuple(samples)


CHECKS: dict[str, Callable[[], str]] = {
    "HOG": check_hog,
    "metrics": check_metrics,
    "video": check_video,
    "sample model": check_sample_model,
}
