"""Scores of a model on frames with masks, at native resolution, each number by its stated protocol."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.metrics.boundary import boundary_iou, surface_dice
from napari_hogseg.metrics.confusion import confusion_matrix, iou_scores
from napari_hogseg.metrics.per_image import paper_per_image_miou

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy.typing as npt

    from napari_hogseg.data.layouts import DataSet, Sample
    from napari_hogseg.data.scheme import LabelScheme
    from napari_hogseg.inference.predictor import Predictor

    Pair = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]

BOUNDARY_PX = 3
"""Width of the Boundary IoU band: absolute, below half the width of thin instruments."""

TOLERANCE_PX = 2.0
"""Tolerance of the surface Dice."""

PROTOCOLS = {
    "miou": "one confusion matrix over all pixels at native resolution, ignore (255) dropped, a pixel left "
    "unanswered is wrong, mean over the classes that are present",
    "paper_per_image_miou": "per image over the classes in its truth, then over images",
    "boundary_iou": f"inner bands of {BOUNDARY_PX} px, frame edge counted; mean over frames that hold the "
    "class in truth or prediction, then over classes",
    "surface_dice": f"pixel edges within {TOLERANCE_PX:g} px, frame edge counted; means as for boundary_iou",
}


@dataclass(frozen=True)
class Scores:
    """Scores of a set of frames; `PROTOCOLS` says how each is computed.

    Attributes
    ----------
    miou : float
        Data-set mIoU.
    iou : dict of str to float
        Per class; NaN where the class is neither in the truth nor predicted.
    paper_per_image_miou : float
        The paper's own mean. Not comparable with `miou`.
    boundary_iou, surface_dice : dict of str to float
        Per class, NaN where absent; empty where boundaries were not asked for.
    num_frames, num_absent : int
        Frames scored; classes that no frame holds.
    """

    miou: float
    iou: dict[str, float]
    paper_per_image_miou: float
    boundary_iou: dict[str, float]
    surface_dice: dict[str, float]
    num_frames: int
    num_absent: int

    def to_json(self) -> dict[str, object]:
        """Plain types; NaN becomes None."""
        tables = {name: getattr(self, name) for name in ("iou", "boundary_iou", "surface_dice")}
        return {
            "miou": _plain(self.miou),
            "paper_per_image_miou": _plain(self.paper_per_image_miou),
            **{name: {label: _plain(v) for label, v in table.items()} for name, table in tables.items()},
            "num_frames": self.num_frames,
            "num_absent_classes": self.num_absent,
            "protocols": PROTOCOLS,
        }


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def class_mean(table: dict[str, float]) -> float:
    """Mean over the classes that are present; NaN if none is."""
    present = [value for value in table.values() if not math.isnan(value)]
    return sum(present) / len(present) if present else math.nan


def score_pairs(pairs: Iterable[Pair], scheme: LabelScheme, *, boundaries: bool = False) -> Scores:
    """Score (prediction, truth) pairs of class ids, each (H, W) uint8, one at a time.

    Parameters
    ----------
    pairs : iterable
    scheme : LabelScheme
    boundaries : bool
        Also score boundaries, at some 20 ms a frame of 960x540.
    """
    num_classes = scheme.num_classes
    matrix = np.zeros((num_classes, num_classes + 1), np.int64)
    # Per frame and class: Boundary IoU and surface Dice.
    edges: list[list[tuple[float, float]]] = []
    num_frames = 0

    def watched() -> Iterator[Pair]:
        nonlocal num_frames
        for prediction, truth in pairs:
            matrix[:] += confusion_matrix(prediction, truth, num_classes, unanswered="count")
            if boundaries:
                edges.append([_edge_scores(prediction, truth, class_id) for class_id in range(num_classes)])
            num_frames += 1
            yield prediction, truth

    per_image = paper_per_image_miou(watched(), num_classes)
    scores = iou_scores(matrix)
    return Scores(
        miou=scores.mean,
        iou=dict(zip(scheme.classes, scores.per_class.tolist(), strict=True)),
        paper_per_image_miou=per_image,
        boundary_iou=_mean_over_frames(edges, 0, scheme),
        surface_dice=_mean_over_frames(edges, 1, scheme),
        num_frames=num_frames,
        num_absent=scores.num_absent,
    )


def _edge_scores(
    prediction: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8], class_id: int
) -> tuple[float, float]:
    return (
        boundary_iou(prediction, truth, class_id, BOUNDARY_PX),
        surface_dice(prediction, truth, class_id, TOLERANCE_PX),
    )


def _mean_over_frames(
    edges: list[list[tuple[float, float]]], which: int, scheme: LabelScheme
) -> dict[str, float]:
    if not edges:
        return {}
    table = np.array([[pair[which] for pair in frame] for frame in edges])
    counts = (~np.isnan(table)).sum(axis=0)
    sums = np.nansum(table, axis=0)
    means = (float(total / count) if count else math.nan for total, count in zip(sums, counts, strict=True))
    return dict(zip(scheme.classes, means, strict=True))


def evaluate(
    predictor: Predictor,
    dataset: DataSet,
    samples: Sequence[Sample],
    *,
    boundaries: bool = False,
    on_frame: Callable[[], None] = lambda: None,
) -> Scores:
    """Predict and score samples, one frame at a time.

    Parameters
    ----------
    predictor : Predictor
    dataset : DataSet
    samples : sequence of Sample
        Each with a mask.
    boundaries : bool
        Also score boundaries.
    on_frame : callable
        Called after each frame, for progress.
    """

    def pairs() -> Iterator[Pair]:
        for sample in samples:
            frame, truth = dataset.read_pair(sample)
            yield predictor.predict(frame), truth
            on_frame()

    return score_pairs(pairs(), dataset.scheme, boundaries=boundaries)
