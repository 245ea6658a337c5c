"""Scores of a model at native resolution: cheap ones for training, whole reports by protocol."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.metrics.confusion import confusion_matrix, iou_scores
from napari_hogseg.metrics.per_image import paper_per_image_miou
from napari_hogseg.metrics.scoring import Scorer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy.typing as npt

    from napari_hogseg.data.layouts import DataSet, Sample
    from napari_hogseg.data.scheme import LabelScheme
    from napari_hogseg.inference.predictor import Predictor
    from napari_hogseg.metrics.reports import ScoreReport
    from napari_hogseg.metrics.scoring_options import ScoringOptions

    Pair = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Scores:
    """What training watches: no boundaries, a few milliseconds a frame.

    Attributes
    ----------
    miou : float
        Data-set mIoU: one confusion matrix, void dropped, an unanswered pixel is wrong.
    iou : dict of str to float
        Per class; NaN where the class is neither in the truth nor predicted.
    paper_per_image_miou : float
        The paper's own mean. Not comparable with `miou`.
    num_frames, num_absent : int
        Frames scored; classes that no frame holds.
    """

    miou: float
    iou: dict[str, float]
    paper_per_image_miou: float
    num_frames: int
    num_absent: int


def score_pairs(pairs: Iterable[Pair], scheme: LabelScheme) -> Scores:
    """Score (prediction, truth) pairs of class ids, each (H, W) uint8, one at a time."""
    num_classes = scheme.num_classes
    matrix = np.zeros((num_classes, num_classes + 1), np.int64)
    num_frames = 0

    def watched() -> Iterator[Pair]:
        nonlocal num_frames
        for prediction, truth in pairs:
            matrix[:] += confusion_matrix(prediction, truth, num_classes, unanswered="count")
            num_frames += 1
            yield prediction, truth

    per_image = paper_per_image_miou(watched(), num_classes)
    scores = iou_scores(matrix)
    return Scores(
        miou=scores.mean,
        iou=dict(zip(scheme.classes, scores.per_class.tolist(), strict=True)),
        paper_per_image_miou=per_image,
        num_frames=num_frames,
        num_absent=scores.num_absent,
    )


def evaluate(predictor: Predictor, dataset: DataSet, samples: Sequence[Sample]) -> Scores:
    """Predict and score samples that have a mask, one frame at a time."""

    def pairs() -> Iterator[Pair]:
        for sample in samples:
            frame, truth = dataset.read_pair(sample)
            yield predictor.predict(frame), truth

    return score_pairs(pairs(), dataset.scheme)


def evaluate_by_protocol(
    predictor: Predictor,
    dataset: DataSet,
    samples: Sequence[Sample],
    protocol: str,
    options: ScoringOptions | None = None,
    on_frame: Callable[[], None] = lambda: None,
) -> ScoreReport:
    """Predict and score samples by a protocol, one frame at a time.

    Parameters
    ----------
    predictor : Predictor
    dataset : DataSet
    samples : sequence of Sample
        Each with a mask.
    protocol : str
    options : ScoringOptions, optional
    on_frame : callable
        Called after each frame, for progress.
    """
    layout = dataset.layout
    scorer = Scorer(dataset.scheme, protocol, options, layout.name, layout.same_recording)
    for sample in samples:
        frame, truth = dataset.read_pair(sample)
        scorer.add(sample.group, sample.sample_id, predictor.predict(frame), truth)
        on_frame()
    report = scorer.report()
    # Part of the report: a score of averaged views is not to be taken for one of the plain network.
    seen = str(predictor.options)
    note = () if predictor.options.is_plain else (f"Not the plain prediction: {seen}.",)
    return replace(report, passport={**report.passport, "inference": seen}, notes=(*report.notes, *note))
