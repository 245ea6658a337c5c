"""The ledger in numbers, against sums by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from napari_hogseg.session.effort import BY_HAND, MAX_POINTS, UNSIGNED, Effort
from napari_hogseg.session.ledger import ClassChange, LedgerEntry, Proposal


def entry(frame_index, kind="paint", changes=(), seconds=30.0, author="ann", model=None):
    return LedgerEntry(
        when=datetime(2026, 1, 1, tzinfo=UTC),
        frame_index=frame_index,
        frame=f"f{frame_index}",
        kind=kind,
        changes=tuple(ClassChange(before=b, after=a, pixels=n) for b, a, n in changes),
        proposed_by=None if model is None else Proposal(digest="0", name=model),
        author=author,
        seconds=seconds,
    )


def test_sums_by_class_model_and_author():
    effort = Effort.of(
        [
            entry(0, changes=[(0, 1, 10), (2, 1, 5)]),
            entry(1, "accept", [(1, 2, 40)], model="net"),
            entry(1, "undo", [(2, 1, 15)], author=""),
            entry(0, "erase", [(1, 255, 3)], author="bob", seconds=90.0),
        ]
    )
    assert effort.by_class == ((2, 25), (1, 15), (255, 3))
    assert dict(effort.by_model) == {"net": 40, BY_HAND: 3}
    assert effort.by_author == (("bob", 1.5), ("ann", 1.0), (UNSIGNED, 0.5))
    assert (effort.minutes, effort.num_frames, effort.num_pixels) == (3.0, 2, 43)


def test_nothing_is_nothing():
    effort = Effort.of([])
    assert (effort.minutes, effort.num_frames, effort.by_class) == (0.0, 0, ())


def test_a_long_curve_is_thinned_and_keeps_its_ends():
    effort = Effort.of([entry(index, changes=[(0, 1, 1)], seconds=6.0) for index in range(4 * MAX_POINTS)])
    assert len(effort.curve.minutes) == MAX_POINTS
    assert effort.curve.frames[0] == 1
    assert effort.curve.frames[-1] == effort.num_frames == 4 * MAX_POINTS
    assert effort.minutes == pytest.approx(0.4 * MAX_POINTS)
