"""Marked ranges: touching ones become one, files come back as they were, strange ones are refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_hogseg.io.errors import InputError
from napari_hogseg.session.ranges import (
    RANGES_FILE,
    FrameRange,
    add_range,
    read_ranges,
    without_range_at,
    write_ranges,
)

ENDS = st.tuples(st.integers(0, 40), st.integers(0, 40))


@given(st.lists(ENDS, max_size=8))
def test_ranges_hold_the_frames_that_were_marked_and_stay_apart(ends):
    ranges, marked = (), set()
    for one, other in ends:
        ranges = add_range(ranges, one, other)
        marked |= set(range(min(one, other), max(one, other) + 1))
    assert {i for i in range(41) if any(i in each for each in ranges)} == marked
    assert sum(map(len, ranges)) == len(marked)
    assert all(a.last + 1 < b.first for a, b in pairwise(ranges))


def test_round_trip_and_removal(tmp_path):
    assert read_ranges(tmp_path, 50) == ()
    ranges = add_range(add_range((), 30, 20), 3, 5)
    write_ranges(tmp_path, ranges)
    assert read_ranges(tmp_path, 50) == (FrameRange(3, 5), FrameRange(20, 30))
    assert read_ranges(tmp_path, 25) == (FrameRange(3, 5),)
    assert without_range_at(ranges, 4) == (FrameRange(20, 30),)


@pytest.mark.parametrize("text", ["", "[]", '{"ranges": [[1]]}', '{"ranges": [["a", 2]]}'])
def test_a_damaged_file_is_told_of(tmp_path, text):
    (tmp_path / RANGES_FILE).write_text(text)
    with pytest.raises(InputError, match="cannot be read"):
        read_ranges(tmp_path, 50)
