"""How good carried masks and fills are on real frames, and how well their expected IoU says so.

    python -m benchmarks.propagation --data vocalfolds [--held-out patient2_seq5] [--rows rows.json]

Every mask of a clip is carried 1 to 7 frames forward, over cuts too, and every frame between two masks that
are 2 to 8 frames apart is filled from both. The planes of `session.trust` are fitted by least squares on all
clips but the held-out one and judged there, beside the coefficients that the program ships. `--rows` keeps
what was measured, so that a fit can be looked at again in a second.

IoU is `metrics.confusion`'s mean over the classes that the mask or the truth holds; void counts nowhere, a
pixel that came without a class counts as wrong. Masks of one clip are no independent samples: neighbours
share their frames, so the numbers of masks say little of how sure the averages are.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from scipy.stats import spearmanr

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.metrics.confusion import confusion_matrix, iou_scores
from napari_hogseg.session.propagation import (
    MIN_CONFIDENCE,
    Carried,
    Chain,
    FlowEstimator,
    completed,
    find_step,
    mean_overlap,
    meet,
)
from napari_hogseg.session.trust import FILL_PLANE, PLANE, Step, chain_terms, fill_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Values = npt.NDArray[np.float64]

REACH = 7
GAPS = (2, 3, 4, 6, 8)
#: Flow fields of as many steps are held; a window of the clip needs twice its reach.
HELD_STEPS = 4 * (REACH + 1)


class Row(NamedTuple):
    """One mask that was made: where, from what, and how good it is.

    `distance` is the number of frames it was carried, or the gap's; `terms` are what the plane is over, empty
    where one end of a fill alone reached the frame, or none; `shipped` is what the program expects, 0 behind
    a cut, where it proposes nothing.
    """

    clip: str
    kind: str
    distance: int
    terms: tuple[float, ...]
    shipped: float
    iou: float
    copied: float


class Clip(NamedTuple):
    """Frames and masks of one group of the data set, by position."""

    name: str
    num_frames: int
    num_classes: int
    frame: Callable[[int], Pixels]
    mask: Callable[[int], Pixels]

    def iou(self, made: Pixels, index: int) -> float:
        """Score a mask."""
        counts = confusion_matrix(made, self.mask(index), self.num_classes, IGNORE, unanswered="count")
        return float(iou_scores(counts).mean)


def main() -> None:
    """Read the flags, measure, fit, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--held-out", default="patient2_seq5")
    parser.add_argument("--rows", type=Path, help="read from there if it exists, written there otherwise")
    flags = parser.parse_args()
    cv2.setNumThreads(1)
    if flags.rows is not None and flags.rows.is_file():
        rows = [Row(*each)._replace(terms=tuple(each[3])) for each in json.loads(flags.rows.read_text())]
    else:
        rows = [row for clip in clips(flags.data) for row in measured(clip)]
    if flags.rows is not None:
        flags.rows.write_text(json.dumps(rows))
    for kind, title, plane in (
        ("carried", "Carried 1 to 7 frames", PLANE),
        ("filled", "Filled between two masks", FILL_PLANE),
    ):
        mine = [row for row in rows if row.kind == kind]
        report(title, mine, plane, flags.held_out)
        by_distance(kind, mine)


def clips(root: Path) -> list[Clip]:
    """Open a data set; its groups are its clips."""
    dataset = open_dataset(root)
    found = []
    for name, members in groupby(dataset.samples, key=lambda sample: sample.group):
        samples = list(members)
        frame = lru_cache(REACH + 2)(lambda index, samples=samples: dataset.read_frame(samples[index]))
        mask = cache(lambda index, samples=samples: dataset.read_mask(samples[index]))
        found.append(Clip(name, len(samples), dataset.layout.scheme.num_classes, frame, mask))
    return found


def measured(clip: Clip) -> list[Row]:
    """Carry and fill all over one clip."""
    begin_s, estimator, rows = time.perf_counter(), FlowEstimator(), []

    @lru_cache(HELD_STEPS)
    def step(before: int, after: int) -> Step:
        return find_step(estimator, clip.frame(before), clip.frame(after))

    forward: dict[int, list[Carried]] = {}
    for start in range(clip.num_frames):
        forward.pop(start - max(GAPS) - 1, None)
        forward[start] = []
        for target, chain, made in walk(clip, step, start, range(start + 1, start + REACH + 1)):
            forward[start].append(Carried(target, made, chain.sure))
            terms = chain_terms(chain.steps, chain.rim)
            score, copied = clip.iou(made, target), clip.iou(clip.mask(start), target)
            rows.append(Row(clip.name, "carried", target - start, terms, chain.sure, score, copied))
        backward = [
            Carried(target, made, chain.sure)
            for target, chain, made in walk(clip, step, start, range(start - 1, start - REACH - 1, -1))
        ]
        rows += filled(clip, forward, start, backward)
    print(f"{clip.name}: {clip.num_frames} frames in {time.perf_counter() - begin_s:.0f} s", flush=True)
    return rows


def walk(
    clip: Clip, step: Callable[[int, int], Step], start: int, targets: range
) -> Iterator[tuple[int, Chain, Pixels]]:
    """Carry one mask along, over cuts too."""
    chain = Chain(clip.mask(start))
    for target in targets:
        if not 0 <= target < clip.num_frames:
            return
        yield target, chain, chain.advance(step(target - targets.step, target))


def filled(clip: Clip, forward: dict[int, list[Carried]], end: int, backward: list[Carried]) -> list[Row]:
    """Fill all gaps that end at one frame, as the program does: a chain ends at a cut."""
    rows = []
    for gap in (gap for gap in GAPS if gap <= end):
        begin = end - gap
        for offset in range(1, gap):
            one, other = forward[begin][offset - 1], backward[gap - offset - 1]
            nearer = clip.mask(begin if 2 * offset <= gap else end)
            copied = clip.iou(nearer, begin + offset)
            if one.confidence > 0 and other.confidence > 0:
                agreement = mean_overlap(completed(one.mask, other.mask), completed(other.mask, one.mask))
                terms = fill_terms(one.confidence, other.confidence, agreement)
                made = meet(one, other, offset / gap)
            else:
                terms, made = (), max(one, other, key=lambda each: each.confidence)
            score = clip.iou(made.mask, begin + offset)
            rows.append(Row(clip.name, "filled", gap, terms, made.confidence, score, copied))
    return rows


def report(title: str, rows: list[Row], shipped: tuple[float, ...], held_out: str) -> None:
    """Fit on all clips but one, and judge the fit and the shipped plane on each."""
    fitted_on = [row for row in rows if row.clip != held_out and row.terms]
    matrix, scores = np.array([row.terms for row in fitted_on]), np.array([row.iou for row in fitted_on])
    plane = np.linalg.lstsq(matrix, scores, rcond=None)[0]
    print(f"\n{title}; fitted on {len(fitted_on)} of {', '.join(sorted({row.clip for row in fitted_on}))}")
    print(f"fit      {np.array2string(plane, precision=2, suppress_small=True)}")
    print(f"shipped  {np.array2string(np.array(shipped), precision=2, suppress_small=True)}")
    print(
        "| clip | by | masks | reached | off | bias | Spearman | kept | their IoU | worst tenth | others' |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for clip in sorted({row.clip for row in rows}):
        mine = [row for row in rows if row.clip == clip]
        iou = np.array([row.iou for row in mine])
        by_fit = np.array([expected_by(plane, row) for row in mine])
        name = f"{clip} (held out)" if clip == held_out else clip
        for what, expected in (("fit", by_fit), ("program", np.array([row.shipped for row in mine]))):
            print(f"| {name} | {what} | {judged(expected, iou)} |")


def expected_by(plane: Values, row: Row) -> float:
    """Give what another plane expects of a mask; nothing behind a cut, as the program does."""
    if not row.terms or row.shipped == 0:
        return row.shipped
    return float(np.clip(np.dot(row.terms, plane), 0, 1))


def judged(expected: Values, iou: Values) -> str:
    """Compare expected IoU with the true one, of what is reached; what is kept, with all others."""
    kept, reached = expected >= MIN_CONFIDENCE, expected > 0
    rank = spearmanr(expected[reached], iou[reached]).statistic
    good, bad = (float(iou[part].mean()) if part.any() else np.nan for part in (kept, ~kept))
    tenth = float(np.percentile(iou[kept], 10)) if kept.any() else np.nan
    error = (expected - iou)[reached]
    off, bias = np.abs(error).mean(), error.mean()
    numbers = f"{off:.2f} | {bias:+.2f} | {rank:.2f} | {kept.sum()} | {good:.2f} | {tenth:.2f} | {bad:.2f}"
    return f"{len(iou)} | {reached.sum()} | {numbers}"


def by_distance(kind: str, rows: list[Row]) -> None:
    """Print what is gained over copying the nearer mask, by frames carried or by the gap's width."""
    print(f"\n| clip | frames | masks | {kind} | copied |")
    print("|---|---|---|---|---|")
    for clip, distance in sorted({(row.clip, row.distance) for row in rows}):
        mine = [row for row in rows if (row.clip, row.distance) == (clip, distance)]
        made, copied = (np.mean([getattr(row, name) for row in mine]) for name in ("iou", "copied"))
        print(f"| {clip} | {distance} | {len(mine)} | {made:.2f} | {copied:.2f} |")


if __name__ == "__main__":
    main()
