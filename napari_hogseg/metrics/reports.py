"""A score report: its numbers as tables, as JSON and as CSV files. Computes nothing but means over frames."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.protocols import dataset_iou, find_protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hogseg.data.scheme import LabelScheme
    from napari_hogseg.metrics.decomposition import ErrorDecomposition
    from napari_hogseg.metrics.intervals import Interval
    from napari_hogseg.metrics.protocols import FrameTable, Protocol
    from napari_hogseg.metrics.scoring_options import ScoringOptions

Cell = str | int | float
Row = dict[str, Cell]

ERROR_COLUMNS = tuple(
    f"{kind}_{extent}_px" for kind in ("missed", "spurious") for extent in ("boundary", "extent", "segment")
)


@dataclass(frozen=True)
class Difference:
    """One number of two reports compared.

    Attributes
    ----------
    effect : float
        Second minus first.
    interval : Interval
        Of the effect, over videos; NaN with one video.
    share_above_zero : float
        Share of the resamples in which the second is better.
    """

    effect: float
    interval: Interval
    share_above_zero: float


@dataclass(frozen=True)
class Comparison:
    """All numbers of two reports compared, by name; classes as `IoU/<class>`."""

    differences: Mapping[str, Difference]
    num_videos: int

    def to_json(self) -> dict[str, object]:
        """Plain types; NaN becomes None."""
        return {name: _plain(asdict(difference)) for name, difference in self.differences.items()}


@dataclass(frozen=True, eq=False)
class ScoreReport:
    """Scores of a set of frames by one protocol.

    Attributes
    ----------
    scheme : LabelScheme
    protocol : Protocol
    options : ScoringOptions
    table : FrameTable
        Counts per frame.
    frame_names : tuple of str
    recordings : tuple of str
        What each frame is resampled with: its video, or the recording that several videos were cut from.
    boundaries : mapping of str to (N, C) float64 array
        `nsd`, `hd95_px`, `boundary_iou`, `davis_f` and, where asked for, `cl_dice`.
    errors : ErrorDecomposition
        Of all frames.
    intervals : mapping of str to Interval
        Of `numbers` and of `IoU/<class>`; empty with one video.
    passport : mapping
        Definitions, versions, digests.
    notes : tuple of str
        What a reader must know.
    """

    scheme: LabelScheme
    protocol: Protocol
    options: ScoringOptions
    table: FrameTable
    frame_names: tuple[str, ...]
    recordings: tuple[str, ...]
    boundaries: Mapping[str, NDArray[np.float64]] = field(repr=False)
    errors: ErrorDecomposition = field(repr=False)
    intervals: Mapping[str, Interval]
    passport: Mapping[str, object] = field(repr=False)
    notes: tuple[str, ...]

    @cached_property
    def numbers(self) -> dict[str, float]:
        """The protocol's numbers over all frames, the one to quote first."""
        values = self.protocol.statistic(self.table)(np.ones(len(self.frame_names)))
        return {name: values[name] for name in self.protocol.quantities}

    @property
    def videos(self) -> tuple[str, ...]:
        """Video names in order."""
        return tuple(dict.fromkeys(self.table.videos))

    @property
    def iou(self) -> dict[str, float]:
        """Data-set IoU per class; NaN where absent."""
        return dict(zip(self.scheme.classes, dataset_iou(self.table).tolist(), strict=True))

    @property
    def num_absent(self) -> int:
        """Classes that no frame holds in truth or prediction."""
        return int((self.table.union_px.sum(axis=0) == 0).sum())

    def class_means(self, name: str) -> NDArray[np.float64]:
        """Mean of a boundary score over the frames that hold the class, (C,); the median for `hd95_px`."""
        return _over_frames(self.boundaries[name], name)

    def video_numbers(self, video: str) -> dict[str, float]:
        """Compute the protocol's numbers of one video."""
        chosen = np.array([one == video for one in self.table.videos], np.float64)
        values = self.protocol.statistic(self.table)(chosen)
        return {name: values[name] for name in self.protocol.quantities}

    def other_number(self, protocol: str) -> float:
        """Score the same frames by another protocol: its first number.

        Raises
        ------
        InputError
            If it measures boundaries in another way than this report did.
        """
        other = find_protocol(protocol)
        if other.measures_boundaries and other is not self.protocol:
            raise InputError(
                f"'{protocol}' measures boundaries of its own",
                remedy="Score the frames by it from the start.",
            )
        return other.statistic(self.table)(np.ones(len(self.frame_names)))[other.quantities[0]]

    # --- tables -----------------------------------------------------------------------------------

    def class_rows(self) -> list[Row]:
        """One row per class: data-set IoU and Dice, boundary scores, pixels by error type."""
        table, errors = self.table, self.errors.counts.reshape(self.scheme.num_classes, -1)
        hits, truth, predicted = (a.sum(axis=0) for a in (table.hits, table.truth_px, table.predicted_px))
        means = {name: self.class_means(name) for name in self.boundaries}
        one_sided = ((table.truth_px > 0) != (table.predicted_px > 0)).sum(axis=0)
        rows: list[Row] = []
        for class_id, name in enumerate(self.scheme.classes):
            interval = self.intervals.get(f"IoU/{name}")
            both = int(truth[class_id] + predicted[class_id])
            rows.append(
                {
                    "class": name,
                    "iou": self.iou[name],
                    "iou_low": math.nan if interval is None else interval.low,
                    "iou_high": math.nan if interval is None else interval.high,
                    "dice": 2 * int(hits[class_id]) / both if both else math.nan,
                    **{key: float(values[class_id]) for key, values in means.items()},
                    "frames_in_truth": int((table.truth_px[:, class_id] > 0).sum()),
                    "frames_missed_or_invented": int(one_sided[class_id]),
                    **dict(zip(ERROR_COLUMNS, errors[class_id].tolist(), strict=True)),
                }
            )
        return rows

    def video_rows(self) -> list[Row]:
        """One row per video: its frames, the protocol's numbers, IoU per class."""
        rows: list[Row] = []
        for video in self.videos:
            chosen = np.array([one == video for one in self.table.videos], np.float64)
            per_class = dataset_iou(self.table, chosen)
            rows.append(
                {
                    "video": video,
                    "frames": int(chosen.sum()),
                    **self.video_numbers(video),
                    **{f"iou {n}": float(v) for n, v in zip(self.scheme.classes, per_class, strict=True)},
                }
            )
        return rows

    def frame_rows(self) -> list[Row]:
        """One row per frame: what the frame scores by the protocol, and each class's scores."""
        per_frame = self.protocol.per_frame(self.table)
        columns = {"iou": self.table.iou, "dice": self.table.dice, **self.boundaries}
        rows: list[Row] = []
        for number, (video, frame) in enumerate(zip(self.table.videos, self.frame_names, strict=True)):
            row: Row = {"video": video, "frame": frame}
            row |= {name: float(values[number]) for name, values in per_frame.items()}
            for key, values in columns.items():
                cells = zip(self.scheme.classes, values[number], strict=True)
                row |= {f"{key} {label}": float(value) for label, value in cells}
            rows.append(row)
        return rows

    # --- files ------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, object]:
        """Plain types; NaN and infinity become None and 'inf'."""
        means = {name: dict(zip(self.scheme.classes, self.class_means(name).tolist(), strict=True))
                 for name in self.boundaries}  # fmt: skip
        told = {
            "protocol": self.protocol.name,
            "numbers": self.numbers,
            "intervals": {name: asdict(interval) for name, interval in self.intervals.items()},
            "iou": self.iou,
            "miou": self.other_number("dataset-miou"),
            "paper_per_image_miou": self.other_number("paper-per-image"),
            **means,
            "classes": self.class_rows(),
            "videos": self.video_rows(),
            "frames": self.frame_rows(),
            "num_frames": len(self.frame_names),
            "num_absent_classes": self.num_absent,
            "notes": list(self.notes),
            "passport": dict(self.passport),
        }
        return {name: _plain(value) for name, value in told.items()}

    def write_csv(self, folder: Path) -> tuple[Path, ...]:
        """Write classes.csv, videos.csv and frames.csv, each atomically; an absent score is empty."""
        folder.mkdir(parents=True, exist_ok=True)
        tables = {"classes": self.class_rows(), "videos": self.video_rows(), "frames": self.frame_rows()}
        paths = []
        for name, rows in tables.items():
            paths.append(folder / f"{name}.csv")
            atomic.write_text(paths[-1], _csv_text(rows))
        return tuple(paths)


def _over_frames(values: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    means = np.full(values.shape[1], np.nan)
    for class_id, column in enumerate(values.T):
        present = column[~np.isnan(column)]
        if present.size:
            means[class_id] = np.median(present) if name == "hd95_px" else present.mean()
    return means


def _csv_text(rows: Sequence[Row]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    return buffer.getvalue()


def _cell(value: Cell) -> Cell:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value
