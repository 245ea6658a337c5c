"""How the literature turns per-frame counts into the numbers it quotes: one protocol per way.

A protocol fixes which classes count, what absent and empty classes score, and in which order one averages.
The same predictions score differently by each: never compare numbers of two protocols. Counting pixels is
`confusion`'s part, boundaries `surfaces`', gathering frames and intervals `scoring`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.intervals import video_numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_hogseg.metrics.intervals import Statistic

    PerFrame = NDArray[np.float64]  # (N,) or (N, C), NaN where there is nothing to score

DEFAULT = "dataset-miou"


@dataclass(frozen=True, eq=False)
class FrameTable:
    """What protocols need of N frames and C classes.

    Attributes
    ----------
    videos : tuple of str
        The video of each frame.
    hits, truth_px, predicted_px : (N, C) int64 array
        Pixels that are right, that the truth holds, that the prediction holds; void pixels are in none.
    nsd : (N, C) float64 array
        Surface Dice at the protocol's tolerance; NaN where both masks lack the class.
    missing : (N,) bool array
        Frames without a prediction file.
    """

    videos: tuple[str, ...]
    hits: NDArray[np.int64]
    truth_px: NDArray[np.int64]
    predicted_px: NDArray[np.int64]
    nsd: NDArray[np.float64]
    missing: NDArray[np.bool_]

    @cached_property
    def union_px(self) -> NDArray[np.int64]:
        """Pixels that either mask holds, (N, C)."""
        return self.truth_px + self.predicted_px - self.hits

    @cached_property
    def iou(self) -> PerFrame:
        """IoU per frame and class, (N, C); NaN where neither mask holds the class."""
        return _ratio(self.hits, self.union_px)

    @cached_property
    def dice(self) -> PerFrame:
        """Dice per frame and class, (N, C); NaN where neither mask holds the class."""
        return _ratio(2 * self.hits, self.truth_px + self.predicted_px)

    @cached_property
    def video_numbers(self) -> NDArray[np.intp]:
        """Number of each frame's video, (N,)."""
        return video_numbers(self.videos)


@dataclass(frozen=True)
class Protocol:
    """One way of scoring.

    Attributes
    ----------
    name : str
        What `--protocol` and a layout table call it.
    title : str
        One line for people.
    formula : str
        What is computed, in words.
    empty : str
        What classes score that one or both masks lack.
    source : str
        Where it is published.
    quantities : tuple of str
        The numbers it gives, the one to quote first.
    per_frame : callable
        `per_frame(table) -> dict of str to (N,) float64`: what one frame scores.
    statistic : callable
        `statistic(table) -> (weights -> dict of str to float)`: the numbers over frames with weights.
    tolerance_px : float
        Of its surface Dice; 2 where it fixes none.
    background : bool
        Whether class 0 counts.
    measures_boundaries : bool
        Whether its numbers depend on the tolerance, and on the frame edge, which is then counted.
    missing_is_zero : bool
        Whether a frame without a prediction file scores 0; otherwise it is refused.
    """

    name: str
    title: str
    formula: str
    empty: str
    source: str
    quantities: tuple[str, ...]
    per_frame: Callable[[FrameTable], dict[str, PerFrame]]
    statistic: Callable[[FrameTable], Statistic]
    tolerance_px: float = 2.0
    background: bool = True
    measures_boundaries: bool = False
    missing_is_zero: bool = False


def find_protocol(name: str) -> Protocol:
    """Return a protocol by name; InputError lists the names."""
    if name not in PROTOCOLS:
        raise InputError(
            f"Unknown protocol '{name}'", where="--protocol", remedy=f"Known: {', '.join(PROTOCOLS)}."
        )
    return PROTOCOLS[name]


# --- one confusion matrix over the data set


def _dataset_statistic(table: FrameTable) -> Statistic:
    def statistic(weights: NDArray[np.float64]) -> dict[str, float]:
        return {"mIoU": _mean(dataset_iou(table, weights))}

    return statistic


def dataset_iou(table: FrameTable, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """IoU per class from the pixels of all frames added up, (C,); NaN where no frame holds the class."""
    weights = np.ones(len(table.videos)) if weights is None else weights
    return _ratio(weights @ table.hits, weights @ table.union_px)


def _dataset_per_frame(table: FrameTable) -> dict[str, PerFrame]:
    return {"mIoU": row_mean(table.iou)}


# --- the paper's own


def _paper_per_frame(table: FrameTable) -> dict[str, PerFrame]:
    return {"per-image mIoU": row_mean(table.iou, table.truth_px > 0)}


# --- EndoVis 2017


def _endovis_per_frame(table: FrameTable) -> dict[str, PerFrame]:
    iou, in_truth = table.iou[:, 1:], table.truth_px[:, 1:] > 0
    return {"Ch_IoU": row_mean(iou, in_truth), "ISI_IoU": row_mean(iou)}


def _endovis_statistic(table: FrameTable) -> Statistic:
    means = _mean_of_frames(_endovis_per_frame)(table)
    iou = table.iou[:, 1:]

    def statistic(weights: NDArray[np.float64]) -> dict[str, float]:
        per_class = _weighted_means(iou, weights)
        return {**means(weights), "mcIoU": _mean(per_class)}

    return statistic


# --- Kvasir-Instrument


def _kvasir_per_frame(table: FrameTable) -> dict[str, PerFrame]:
    return {"Dice": table.dice[:, 1], "IoU": table.iou[:, 1]}


# --- SAR-RARP50


def _sar_per_frame(table: FrameTable) -> dict[str, PerFrame]:
    iou = np.where(np.isnan(table.iou), 1.0, table.iou)[:, 1:].mean(axis=1)
    nsd = np.where(np.isnan(table.nsd), 1.0, table.nsd)[:, 1:].mean(axis=1)
    return {"mIoU": np.where(table.missing, 0.0, iou), "mNSD": np.where(table.missing, 0.0, nsd)}


def _sar_statistic(table: FrameTable) -> Statistic:
    numbers = table.video_numbers
    _, first, sizes = np.unique(numbers, return_index=True, return_counts=True)
    per_video = {name: np.bincount(numbers, values) / sizes for name, values in _sar_per_frame(table).items()}

    def statistic(weights: NDArray[np.float64]) -> dict[str, float]:
        # All frames of a video have one weight: the videos' means are averaged, long or short.
        drawn = weights[first]
        means = {name: _weighted_mean(values, drawn) for name, values in per_video.items()}
        return {"score": float(np.sqrt(means["mIoU"] * means["mNSD"])), **means}

    return statistic


def _sar_frame_scores(table: FrameTable) -> dict[str, PerFrame]:
    scores = _sar_per_frame(table)
    return {"score": np.sqrt(scores["mIoU"] * scores["mNSD"]), **scores}


# --- means


def row_mean(values: PerFrame, chosen: NDArray[np.bool_] | None = None) -> PerFrame:
    """Mean over each frame's classes that are chosen and not NaN, (N, C) -> (N,); NaN if there is none."""
    kept = ~np.isnan(values) if chosen is None else chosen & ~np.isnan(values)
    return _ratio(np.where(kept, values, 0.0).sum(axis=1), kept.sum(axis=1))


def _mean_of_frames(
    per_frame: Callable[[FrameTable], dict[str, PerFrame]],
) -> Callable[[FrameTable], Statistic]:
    """Make the statistic that averages what frames score; frames with nothing to score are left out."""

    def prepare(table: FrameTable) -> Statistic:
        scores = per_frame(table)
        return lambda weights: {name: _weighted_mean(values, weights) for name, values in scores.items()}

    return prepare


def _weighted_mean(values: PerFrame, weights: NDArray[np.float64]) -> float:
    return float(_weighted_means(values[:, None], weights)[0])


def _weighted_means(values: PerFrame, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    kept = ~np.isnan(values)
    return _ratio(weights @ np.where(kept, values, 0.0), weights @ kept)


def _mean(values: NDArray[np.float64]) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")


def _ratio(
    part: NDArray[np.int64] | NDArray[np.float64], whole: NDArray[np.int64] | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Divide; NaN where the whole is 0."""
    ratio = np.full(np.shape(whole), np.nan)
    return np.divide(part, whole, out=ratio, where=np.asarray(whole) > 0)


_ALL = (
    Protocol(
        name=DEFAULT,
        title="IoU per class from one confusion matrix over the data set, and its mean",
        formula="the pixels of all frames are added up per class, IoU = TP / (TP + FP + FN), then the mean "
        "over classes; pixels whose truth is ignore are dropped, a pixel left unanswered is wrong",
        empty="a class in neither truth nor prediction of any frame is absent: left out of the mean and "
        "counted; one that is only predicted scores 0",
        source="Grammatikopoulou et al., CaDIS, Medical Image Analysis 2021; Cordts et al., CVPR 2016",
        quantities=("mIoU",),
        per_frame=_dataset_per_frame,
        statistic=_dataset_statistic,
    ),
    Protocol(
        name="paper-per-image",
        title="the HOG multi-task paper's mean of means",
        formula="per image the mean IoU over the classes in its truth, background included, then over images",
        empty="a class that only the prediction holds has no term of its own; images without a labelled "
        "pixel are left out",
        source="Bhattarai et al., Medical Image Analysis 2023, and its released evaluation",
        quantities=("per-image mIoU",),
        per_frame=_paper_per_frame,
        statistic=_mean_of_frames(_paper_per_frame),
    ),
    Protocol(
        name="endovis2017",
        title="EndoVis instruments: Ch_IoU, ISI_IoU and mcIoU",
        formula="background (class 0) excluded; Ch_IoU: per frame the mean IoU over the classes in its "
        "truth, then over frames; ISI_IoU: per frame over the classes in truth or prediction, then over "
        "frames; mcIoU: per class over the frames that hold it in truth or prediction, then over classes",
        empty="frames and classes that both masks lack are left out; a prediction of nothing for a class "
        "that is there scores 0",
        source="Allan et al., arXiv:1902.06426; Gonzalez et al., ISINet, MICCAI 2020",
        quantities=("Ch_IoU", "ISI_IoU", "mcIoU"),
        per_frame=_endovis_per_frame,
        statistic=_endovis_statistic,
        background=False,
    ),
    Protocol(
        name="kvasir-instrument",
        title="Kvasir-Instrument: Dice and IoU of the instrument per image",
        formula="Dice and IoU of class 1 in each image, then the mean over images",
        empty="images that hold no instrument in truth and prediction are left out",
        source="Jha et al., Kvasir-Instrument, MMM 2021",
        quantities=("Dice", "IoU"),
        per_frame=_kvasir_per_frame,
        statistic=_mean_of_frames(_kvasir_per_frame),
        background=False,
    ),
    Protocol(
        name="sar-rarp50",
        title="SAR-RARP50: sqrt(mIoU x mNSD)",
        formula="background (class 0) excluded; per frame the mean over all other classes of IoU and of "
        "surface Dice by pixel count at 10 px, frame edge counted; then over the frames of a video, then "
        "over videos; score = sqrt(mIoU x mNSD)",
        empty="a class that both masks lack scores 1, one that only one of them lacks 0; a missing "
        "prediction file scores 0 in every class",
        source="Psychogyios et al., SAR-RARP50, arXiv:2401.00496, and its published evaluation",
        quantities=("score", "mIoU", "mNSD"),
        per_frame=_sar_frame_scores,
        statistic=_sar_statistic,
        tolerance_px=10.0,
        background=False,
        measures_boundaries=True,
        missing_is_zero=True,
    ),
)

PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in _ALL}
"""All protocols by name."""
