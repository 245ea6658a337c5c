"""Scoring many frames by a protocol: one frame at a time in, a report out.

What a protocol computes is `protocols`' part, how a report reads and is written `reports`'. Void is treated
as in `confusion` and `surfaces`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.boundary import thin_structure_limit_px
from napari_hogseg.metrics.centerline import cl_dice
from napari_hogseg.metrics.confusion import confusion_matrix
from napari_hogseg.metrics.decomposition import ErrorDecomposition, decompose_errors
from napari_hogseg.metrics.intervals import (
    LEVEL,
    Interval,
    bootstrap_intervals,
    percentile_interval,
    resample,
)
from napari_hogseg.metrics.passport import MasksDigest, versions
from napari_hogseg.metrics.protocols import DEFAULT, FrameTable, dataset_iou, find_protocol
from napari_hogseg.metrics.reports import Comparison, Difference, ScoreReport
from napari_hogseg.metrics.scoring_options import ScoringOptions
from napari_hogseg.metrics.surfaces import BoundaryScores, Part, boundary_scores

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_hogseg.data.scheme import LabelScheme

MAX_THIN_FRAMES = 20
"""Frames per class in which the width of its structures is measured."""

PARTS: tuple[Part, ...] = ("nsd", "hd95_px", "boundary_iou", "davis_f")


@dataclass(frozen=True, eq=False)
class _Frame:
    video: str
    name: str
    matrix: NDArray[np.int64]
    boundaries: BoundaryScores
    errors: ErrorDecomposition
    centerline: NDArray[np.float64]
    missing: bool


class Scorer:
    """Takes frames one at a time and reports on all of them.

    Parameters
    ----------
    scheme : LabelScheme
        Its class ids are what the masks hold.
    protocol : str
        A name in `protocols.PROTOCOLS`.
    options : ScoringOptions, optional
    layout : str
        Where truth and classes come from, for the passport.
    same_recording : iterable of frozenset of str
        Videos that were cut from one recording: they are resampled together.

    Raises
    ------
    InputError
        If no such protocol or class exists.
    """

    def __init__(
        self,
        scheme: LabelScheme,
        protocol: str = DEFAULT,
        options: ScoringOptions | None = None,
        layout: str = "",
        same_recording: Iterable[frozenset[str]] = (),
    ) -> None:
        self.scheme, self.protocol = scheme, find_protocol(protocol)
        self.options, self._layout = options or ScoringOptions(), layout
        self._recordings = {video: "+".join(sorted(videos)) for videos in same_recording for video in videos}
        unknown = sorted(set(self.options.centerline) - set(scheme.classes))
        if unknown:
            raise InputError(
                f"No such class: {', '.join(unknown)}",
                where="centerline",
                remedy=f"Classes: {', '.join(scheme.classes)}.",
            )
        fixed = self.protocol.measures_boundaries
        if fixed and (
            self.tolerance_px != self.protocol.tolerance_px or self.options.frame_edge != "counted"
        ):
            raise InputError(
                f"'{self.protocol.name}' measures at {self.protocol.tolerance_px:g} px, frame edge counted",
                where="tolerance_px, frame_edge",
                remedy="Leave both as they are, or score by another protocol.",
            )
        self._frames: list[_Frame] = []
        self._truth, self._predictions = MasksDigest(), MasksDigest()
        self._half_widths: list[list[float]] = [[] for _ in scheme.classes]

    @property
    def tolerance_px(self) -> float:
        """Tolerance of the surface Dice."""
        given = self.options.tolerance_px
        return self.protocol.tolerance_px if given is None else given

    def add(
        self,
        video: str,
        frame: str,
        prediction: NDArray[np.uint8] | None,
        truth: NDArray[np.uint8],
    ) -> None:
        """Score a frame.

        Parameters
        ----------
        video, frame : str
            Names; frames of one video are resampled together.
        prediction : (H, W) uint8 array or None
            Class ids, or ignore for no answer, which is wrong. None: there is no file, which only some
            protocols score.
        truth : (H, W) uint8 array
            Class ids, or ignore.

        Raises
        ------
        InputError
            If sizes differ, a value is no class, or the protocol scores no missing predictions.
        """
        if prediction is None:
            if not self.protocol.missing_is_zero:
                raise InputError(
                    f"Protocol '{self.protocol.name}' scores no missing predictions", where=f"{video}/{frame}"
                )
            answer = np.full_like(truth, IGNORE)
        else:
            answer = prediction
        # A missing file is part of what was predicted: it must not leave the digest as it is without it.
        self._predictions.add(np.empty((0, 0), np.uint8) if prediction is None else prediction)
        self._truth.add(truth)
        self._measure_widths(truth)
        self._frames.append(self._score(video, frame, answer, truth, missing=prediction is None))

    def _score(
        self,
        video: str,
        frame: str,
        prediction: NDArray[np.uint8],
        truth: NDArray[np.uint8],
        *,
        missing: bool,
    ) -> _Frame:
        num_classes, options = self.scheme.num_classes, self.options
        centerline = np.full(num_classes, np.nan)
        for name in options.centerline:
            class_id = self.scheme.classes.index(name)
            centerline[class_id] = cl_dice(prediction, truth, class_id)
        boundaries = boundary_scores(
            prediction,
            truth,
            num_classes,
            tolerance_px=self.tolerance_px,
            band_px=options.band_px,
            frame_edge=options.frame_edge,
            parts=PARTS,
        )
        return _Frame(
            video,
            frame,
            confusion_matrix(prediction, truth, num_classes, unanswered="count"),
            boundaries,
            decompose_errors(prediction, truth, num_classes, boundary_px=options.boundary_px),
            centerline,
            missing,
        )

    def _measure_widths(self, truth: NDArray[np.uint8]) -> None:
        present = np.bincount(truth.ravel(), minlength=256)
        for class_id, widths in enumerate(self._half_widths):
            if present[class_id] and len(widths) < MAX_THIN_FRAMES:
                widths.append(thin_structure_limit_px([truth == class_id]))

    def report(self) -> ScoreReport:
        """Score all frames together.

        Raises
        ------
        InputError
            If there is no frame.
        """
        if not self._frames:
            raise InputError("There is no frame to score", remedy="Name frames that have a mask.")
        table, arrays = self._table(), self._arrays()
        recordings = tuple(self._recordings.get(video, video) for video in table.videos)
        statistic = self.protocol.statistic(table)
        intervals = bootstrap_intervals(
            lambda weights: {**statistic(weights), **_class_iou(self.scheme, table, weights)},
            recordings,
            num_resamples=self.options.num_resamples,
            seed=self.options.seed,
        )
        errors = ErrorDecomposition.empty(self.scheme.num_classes, boundary_px=self.options.boundary_px)
        for frame in self._frames:
            errors = errors + frame.errors
        return ScoreReport(
            scheme=self.scheme,
            protocol=self.protocol,
            options=self.options,
            table=table,
            frame_names=tuple(frame.name for frame in self._frames),
            recordings=recordings,
            boundaries=arrays,
            errors=errors,
            intervals=intervals,
            passport=self._passport(len(set(recordings))),
            notes=tuple(self._notes(recordings)),
        )

    def _table(self) -> FrameTable:
        num_classes = self.scheme.num_classes
        matrices = np.stack([frame.matrix for frame in self._frames])
        return FrameTable(
            videos=tuple(frame.video for frame in self._frames),
            hits=matrices[:, range(num_classes), range(num_classes)],
            truth_px=matrices.sum(axis=2),
            predicted_px=matrices[:, :, :num_classes].sum(axis=1),
            nsd=np.stack([frame.boundaries.nsd for frame in self._frames]),
            missing=np.array([frame.missing for frame in self._frames]),
        )

    def _arrays(self) -> dict[str, NDArray[np.float64]]:
        """Boundary scores by name, (N, C) each."""
        arrays: dict[str, NDArray[np.float64]] = {
            part: np.stack([getattr(frame.boundaries, part) for frame in self._frames]) for part in PARTS
        }
        if self.options.centerline:
            arrays["cl_dice"] = np.stack([frame.centerline for frame in self._frames])
        return arrays

    def _passport(self, num_recordings: int) -> dict[str, object]:
        protocol, options = self.protocol, self.options
        return {
            "protocol": protocol.name,
            "formula": protocol.formula,
            "empty": protocol.empty,
            "source": protocol.source,
            "tolerance_px": self.tolerance_px,
            "nsd_definition": "edge pixels, each counted once",
            "band_px": options.band_px,
            "boundary_error_px": options.boundary_px,
            "frame_edge": options.frame_edge,
            "hd95": "larger of two 95 % quantiles, infinite for a missed or invented class; median of frames",
            "boundary_means": "over the frames that hold the class in truth or prediction",
            "ignore": IGNORE,
            "layout": self._layout or None,
            "num_frames": len(self._frames),
            "num_videos": len({frame.video for frame in self._frames}),
            "bootstrap": {
                "over": "videos, those of one recording together",
                "num_drawn": num_recordings,
                "level": LEVEL,
                "num_resamples": options.num_resamples,
                "seed": options.seed,
            },
            "truth_sha256": str(self._truth),
            "prediction_sha256": str(self._predictions),
            "versions": versions(),
        }

    def _notes(self, recordings: tuple[str, ...]) -> Iterable[str]:
        if len(set(recordings)) < 2:
            yield "One recording: there is no interval, for one says nothing about others."
        joined = sorted({name for name in recordings if "+" in name and name in self._recordings.values()})
        if joined:
            yield f"Resampled together, as cut from one recording: {', '.join(joined)}."
        missing = [frame.name for frame in self._frames if frame.missing]
        if missing:
            names = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
            yield f"No prediction for {len(missing)} frames, which score 0: {names}."
        thin = [
            f"{name} ({np.median(widths):.3g} px)"
            for name, widths in zip(self.scheme.classes, self._half_widths, strict=True)
            if widths and self.options.band_px >= np.median(widths)
        ]
        if thin:
            yield (
                f"A Boundary IoU band of {self.options.band_px} px is as wide as half the structures of "
                f"{', '.join(thin)}, in the median: it tends to plain IoU. Choose a narrower one (--band-px)."
            )


def score_frame(
    prediction: NDArray[np.uint8], truth: NDArray[np.uint8], num_classes: int, protocol: str = DEFAULT
) -> dict[str, float]:
    """Score one frame by a protocol, as its row in a report; NaN where it has nothing to score.

    Parameters
    ----------
    prediction, truth : (H, W) uint8 array
        Class ids, or ignore.
    num_classes : int
    protocol : str
    """
    chosen = find_protocol(protocol)
    matrix = confusion_matrix(prediction, truth, num_classes, unanswered="count")
    nsd = np.full(num_classes, np.nan)
    if chosen.measures_boundaries:
        only: tuple[Part, ...] = ("nsd",)
        nsd = boundary_scores(
            prediction, truth, num_classes, tolerance_px=chosen.tolerance_px, parts=only
        ).nsd
    table = FrameTable(
        videos=("",),
        hits=matrix.diagonal()[None],
        truth_px=matrix.sum(axis=1)[None],
        predicted_px=matrix[:, :num_classes].sum(axis=0)[None],
        nsd=nsd[None],
        missing=np.zeros(1, np.bool_),
    )
    return {name: float(values[0]) for name, values in chosen.per_frame(table).items()}


def compare(a: ScoreReport, b: ScoreReport) -> Comparison:
    """Compare two reports on the same frames: b minus a, resampled over videos in pairs.

    Parameters
    ----------
    a, b : ScoreReport
        By one protocol.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        If protocol, classes, frames or their truth differ.
    """
    _check_comparable(a, b)
    statistics = [report.protocol.statistic(report.table) for report in (a, b)]

    def difference(weights: NDArray[np.float64]) -> dict[str, float]:
        one, other = (
            {**statistic(weights), **_class_iou(a.scheme, report.table, weights)}
            for statistic, report in zip(statistics, (a, b), strict=True)
        )
        return {name: other[name] - one[name] for name in one}

    whole = difference(np.ones(len(a.table.videos)))
    if len(set(a.recordings)) < 2:
        return Comparison(
            {name: Difference(effect, Interval(np.nan, np.nan), np.nan) for name, effect in whole.items()}, 1
        )
    options = a.options
    drawn = resample(difference, a.recordings, num_resamples=options.num_resamples, seed=options.seed)
    return Comparison(
        {
            name: Difference(effect, percentile_interval(drawn[name]), _share_above_zero(drawn[name]))
            for name, effect in whole.items()
        },
        len(set(a.recordings)),
    )


def _check_comparable(a: ScoreReport, b: ScoreReport) -> None:
    frames = [tuple(zip(report.table.videos, report.frame_names, strict=True)) for report in (a, b)]
    for what, same in (
        ("protocols", a.protocol.name == b.protocol.name),
        ("classes", a.scheme.classes == b.scheme.classes),
        ("frames", frames[0] == frames[1]),
        ("truths", a.passport["truth_sha256"] == b.passport["truth_sha256"]),
        ("tolerances", a.passport["tolerance_px"] == b.passport["tolerance_px"]),
    ):
        if not same:
            raise InputError(
                f"The {what} of the two differ", remedy="Score both on the same frames and masks."
            )


def _share_above_zero(values: NDArray[np.float64]) -> float:
    present = values[~np.isnan(values)]
    return float((present > 0).mean()) if present.size else float("nan")


def _class_iou(scheme: LabelScheme, table: FrameTable, weights: NDArray[np.float64]) -> dict[str, float]:
    values = dataset_iou(table, weights)
    return {f"IoU/{name}": float(value) for name, value in zip(scheme.classes, values, strict=True)}
