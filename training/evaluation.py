"""Scores of a model on frames with masks, at native resolution, by both protocols."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari_hogseg.metrics.per_image import paper_per_image_miou

from napari_hogseg.metrics.confusion import confusion_matrix, iou_scores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from napari_hogseg.data.layouts import DataSet, Sample
    from napari_hogseg.data.scheme import LabelScheme
    from napari_hogseg.inference.predictor import Predictor

    Pair = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


PROTOCOL = (
    "one confusion matrix over all pixels at native resolution, ignore (255) dropped, "
    "mean over the classes that are present"
)


@dataclass(frozen=True)
class Scores:
    """Scores of a set of frames.

    Attributes
    ----------
    miou : float
        Mean over the present classes of the IoU of one confusion matrix over all pixels; ignore dropped.
    iou : dict of str to float
        Per class; NaN where the class is neither in the truth nor predicted.
    paper_per_image_miou : float
        The paper's own: mean over images of the mean over the classes in that image's truth. Not comparable
        with `miou`.
    """

    miou: float
    iou: dict[str, float]
    paper_per_image_miou: float
    num_frames: int
    num_absent: int

    def to_json(self) -> dict[str, object]:
        """Plain types; NaN becomes None."""
        return {
            "miou": _plain(self.miou),
            "iou": {name: _plain(value) for name, value in self.iou.items()},
            "paper_per_image_miou": _plain(self.paper_per_image_miou),
            "num_frames": self.num_frames,
            "num_absent_classes": self.num_absent,
            "protocol": PROTOCOL,
        }


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def score_pairs(pairs: Iterable[Pair], scheme: LabelScheme) -> Scores:
    """Score (prediction, truth) pairs of class ids, each (H, W) uint8."""
    kept = list(pairs)
    matrix = np.zeros((scheme.num_classes, scheme.num_classes), np.int64)
    for prediction, truth in kept:
        matrix += confusion_matrix(prediction, truth, scheme.num_classes)
    scores = iou_scores(matrix)
    return Scores(
        miou=float(scores.mean),
        iou=dict(zip(scheme.classes, (float(value) for value in scores.per_class), strict=True)),
        paper_per_image_miou=float(paper_per_image_miou(kept, scheme.num_classes)),
        num_frames=len(kept),
        num_absent=int(scores.num_absent),
    )


def evaluate(
    predictor: Predictor,
    dataset: DataSet,
    samples: Sequence[Sample],
    on_frame: Callable[[], None] = lambda: None,
) -> Scores:
    """Predict and score samples, one frame at a time.

    Parameters
    ----------
    predictor : Predictor
    dataset : DataSet
    samples : sequence of Sample
        Each with a mask.
    on_frame : callable
        Called after each frame, for progress.
    """

    def pairs() -> Iterable[Pair]:
        for sample in samples:
            frame, truth = dataset.read_pair(sample)
            yield predictor.predict(frame), truth
            on_frame()

    return score_pairs(pairs(), dataset.scheme)
