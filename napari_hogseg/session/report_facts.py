"""What a review report says, found out: scores, worst frames, effort. No pictures, no page.

Legend: C classes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.metrics.confusion import iou_scores
from napari_hogseg.session.ledger import TAKES_BACK, EffortCurve

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from napari_hogseg.data.scheme import LabelScheme
    from napari_hogseg.session.ledger import LedgerEntry
    from napari_hogseg.session.survey_file import SurveyRecord

#: Worst frames are at most so many frames apart.
MAX_APART = 50
IOU_PROTOCOL = (
    "Pixels of all these frames are counted into one confusion matrix; a class's IoU is intersection over "
    "union in it, and the mean is over the classes that truth or prediction hold. Unlabelled pixels (255) "
    "are not counted."
)
BOUNDARY_PROTOCOL = (
    "Boundary F is DAVIS's contour measure, by class and frame; mean over the classes of a frame, then over "
    "frames."
)


@dataclass(frozen=True, eq=False)
class Scores:
    """A model against the masks, over the frames that were compared.

    Attributes
    ----------
    num_frames, num_corrected : int
        Frames compared, and how many of their masks a person changed.
    miou, boundary_f : float
        In [0, 1]; see `IOU_PROTOCOL` and `BOUNDARY_PROTOCOL`.
    iou : tuple of float
        By class, NaN where neither truth nor prediction hold it.
    confusion : (C, C) int64 ndarray
        Pixels, rows truth, columns prediction.
    """

    num_frames: int
    num_corrected: int
    miou: float
    boundary_f: float
    iou: tuple[float, ...]
    confusion: npt.NDArray[np.int64]


def score(records: Iterable[SurveyRecord]) -> Scores | None:
    """Add up what a survey found; None where no frame was compared with a mask."""
    compared = [record for record in records if record.confusion is not None]
    if not compared:
        return None
    matrix = np.sum([record.confusion for record in compared if record.confusion is not None], axis=0)
    scores = iou_scores(matrix)
    boundary = [record.boundary_f for record in compared if not math.isnan(record.boundary_f)]
    return Scores(
        num_frames=len(compared),
        num_corrected=sum(record.corrected for record in compared),
        miou=float(scores.mean),
        boundary_f=sum(boundary) / len(boundary) if boundary else math.nan,
        iou=tuple(float(value) for value in scores.per_class),
        confusion=matrix,
    )


@dataclass(frozen=True)
class Pick:
    """A frame that is worth a picture, and why."""

    frame_index: int
    why: str


def spacing(num_frames: int, num: int) -> int:
    """Choose how far apart worst frames are: neighbours look alike, and one of them is enough."""
    return max(1, min(MAX_APART, num_frames // (4 * max(1, num))))


def pick_worst(records: Sequence[SurveyRecord], num: int, apart: int = 1) -> tuple[Pick, ...]:
    """Pick frames with a mask by mean IoU, and where there are too few, others by HOG residual, then entropy.

    Parameters
    ----------
    records : sequence of SurveyRecord
    num : int
        At most so many.
    apart : int
        Least distance of two of them in frames: of neighbours the worst stands for all.
    """
    scored = sorted((r for r in records if not math.isnan(r.miou)), key=lambda r: r.miou)
    others = [r for r in records if math.isnan(r.miou) and not math.isnan(_doubt(r)[0])]
    others.sort(key=_doubt, reverse=True)
    picks: dict[int, Pick] = {}
    for record in (*scored, *others):
        if len(picks) >= num:
            break
        if all(abs(record.frame_index - taken) >= apart for taken in picks):
            picks[record.frame_index] = Pick(record.frame_index, _why(record))
    return tuple(picks.values())


def _why(record: SurveyRecord) -> str:
    if math.isnan(record.miou):
        residual, entropy = _or_dash(record.hog_residual), _or_dash(record.entropy)
        return f"no mask to compare with; HOG residual {residual}, entropy {entropy}"
    return f"mean IoU {record.miou:.3f}, boundary F {_or_dash(record.boundary_f)}"


def _doubt(record: SurveyRecord) -> tuple[float, float]:
    """Order frames without truth: by residual; of models without heads by entropy."""
    if math.isnan(record.hog_residual):
        return record.entropy, 0.0
    return record.hog_residual, record.entropy


def _or_dash(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


@dataclass(frozen=True)
class Share:
    """What one person, kind of action or model contributed."""

    name: str
    num_actions: int
    pixels: int
    minutes: float


@dataclass(frozen=True)
class Effort:
    """The ledger, added up.

    Attributes
    ----------
    curve : EffortCurve
    by_author, by_kind, by_model : tuple of Share
    by_class : tuple of (str, int, int)
        Name, pixels painted to the class and pixels painted away from it; what an undo takes back is taken
        off.
    """

    curve: EffortCurve
    by_author: tuple[Share, ...]
    by_kind: tuple[Share, ...]
    by_model: tuple[Share, ...]
    by_class: tuple[tuple[str, int, int], ...]


def add_up(entries: Sequence[LedgerEntry], scheme: LabelScheme) -> Effort:
    """Add up a ledger.

    Parameters
    ----------
    entries : sequence of LedgerEntry
        In their order.
    scheme : LabelScheme
        Names the classes.
    """
    gained, lost = defaultdict[int, int](int), defaultdict[int, int](int)
    for entry in entries:
        for change in entry.changes:
            # An undo's changes are those it takes back, the other way round.
            undone = entry.kind in TAKES_BACK
            before, after = (change.after, change.before) if undone else (change.before, change.after)
            pixels = -change.pixels if undone else change.pixels
            gained[after] += pixels
            lost[before] += pixels
    names = {**dict(enumerate(scheme.classes)), IGNORE: "unlabelled"}
    return Effort(
        curve=EffortCurve.of(entries),
        by_author=_shares(entries, [entry.author or "not named" for entry in entries]),
        by_kind=_shares(entries, [entry.kind for entry in entries]),
        by_model=_shares(entries, [_proposer(entry) for entry in entries]),
        by_class=tuple(
            (name, gained[class_id], lost[class_id])
            for class_id, name in names.items()
            if gained[class_id] or lost[class_id]
        ),
    )


def _proposer(entry: LedgerEntry) -> str:
    if not entry.changes:
        return ""
    by = entry.proposed_by
    return "by hand" if by is None else f"{by.name} ({by.digest[:12]})"


def _shares(entries: Sequence[LedgerEntry], names: Sequence[str]) -> tuple[Share, ...]:
    groups = defaultdict[str, list["LedgerEntry"]](list)
    for entry, name in zip(entries, names, strict=True):
        if name:
            groups[name].append(entry)
    return tuple(
        Share(
            name,
            len(group),
            sum(entry.num_pixels for entry in group),
            sum(entry.seconds for entry in group) / 60,
        )
        for name, group in sorted(groups.items(), key=lambda item: -sum(entry.seconds for entry in item[1]))
    )
