"""What of many frames fits into few columns, against plain loops; zooming and moving within the clip."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_hogseg.ui.timeline_view import MIN_SPAN_FRAMES, TimelineView, largest, time_text


def some_values(num_frames, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.random(num_frames).astype(np.float32)
    values[rng.random(num_frames) < 0.4] = np.nan
    return values


@given(st.integers(20, 400), st.floats(0, 0.5, allow_subnormal=False), st.floats(0.5, 1), st.integers(3, 40))
def test_columns_hold_what_lies_in_them(num_frames, begin, end, num_columns):
    view = TimelineView(num_frames, begin * num_frames, max(end * num_frames, begin * num_frames + 1))
    if not view.is_dense(num_columns):
        return
    values, flags = some_values(num_frames), np.random.default_rng(1).random(num_frames) < 0.1
    low, high = view.column_extremes(values, num_columns)
    means, runs = view.column_means(values, num_columns), view.runs(flags, num_columns)
    for column in range(num_columns):
        edges = view.first + np.array([column, column + 1]) * (view.span / num_columns)
        frames = slice(int(np.floor(edges[0])), max(int(np.floor(edges[1])), int(np.floor(edges[0])) + 1))
        known = values[frames][np.isfinite(values[frames])]
        expected = (known.min(), known.max(), known.mean()) if known.size else (np.nan,) * 3
        np.testing.assert_allclose((low[column], high[column], means[column]), expected, rtol=1e-5)
        assert any(a <= column < b for a, b in runs) == flags[frames].any()


def test_a_sparse_view_shows_every_frame_and_one_beyond_each_edge():
    view = TimelineView(100, 10.5, 20.5)
    middles, values = view.points(np.arange(100, dtype=np.float32), 200)
    assert values.tolist() == list(range(9, 22))
    assert middles[values == 11] == pytest.approx((11.5 - 10.5) * 20)
    flags = np.zeros(100, bool)
    flags[[5, 10, 12, 13, 50]] = True
    np.testing.assert_allclose(view.runs(flags, 200), [[0, 10], [30, 70]])


@given(
    st.integers(1, 5000),
    st.lists(st.tuples(st.floats(0.1, 10), st.floats(0, 1, allow_subnormal=False)), max_size=6),
)
def test_zooming_stays_within_the_clip_and_keeps_the_place(num_frames, zooms):
    view = TimelineView.whole(num_frames)
    for factor, where in zooms:
        about = view.first + where * view.span
        view = view.zoomed(factor, about)
        assert -1e-6 <= view.first < view.end <= num_frames + 1e-6
        assert view.span >= min(MIN_SPAN_FRAMES, num_frames) - 1e-6
        assert view.first - 1e-6 <= about <= view.end + 1e-6
        assert view.frame_at(view.x_of(int(about) + 0.5, 700), 700) == min(int(about), num_frames - 1)


def test_following_moves_only_when_it_must():
    view = TimelineView(1000, 100, 200)
    assert view.following(150) is view
    assert view.following(199) is view
    assert view.following(200).end == pytest.approx(211)
    assert view.following(40).first == pytest.approx(30)
    assert view.following(999).end == 1000
    assert view.panned(5000).end == 1000
    assert TimelineView.whole(5).is_whole


def test_ticks_are_round_and_far_enough_apart():
    assert TimelineView(26, 0, 26).ticks(1000, 70) == list(range(0, 26, 2))
    assert TimelineView(90_000, 0, 90_000).ticks(1000, 70)[:3] == [0, 10_000, 20_000]
    assert TimelineView(3, 0, 3).ticks(1000, 70) == [0, 1, 2]


def test_words():
    assert [time_text(s) for s in (0, 4.364, 59.999, 3723.5)] == [
        "0:00.00",
        "0:04.36",
        "1:00.00",
        "1:02:03.50",
    ]
    assert largest(np.array([np.nan, 2, 1], np.float32)) == 2
    assert np.isnan(largest(np.full(3, np.nan, np.float32)))
