"""Where the strip goes and what its panels show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_hogseg.ui.painted_panels import PanelWindow
from napari_hogseg.ui.strip_plan import MAX_SHARE, plan_strip, seen_part

SIDES = st.floats(200, 3000, allow_subnormal=False)


@given(SIDES, SIDES, st.integers(60, 2000), st.integers(60, 2000), st.integers(1, 6))
def test_panels_lie_in_the_strip_and_apart(height, width, rows, columns, num_panels):
    plan = plan_strip((height, width), (rows, columns), num_panels)
    assert len(plan.cells) == num_panels
    along, whole = (height, width) if plan.side == "right" else (width, height)
    assert plan.across_px <= MAX_SHARE * whole + 13  # the gaps
    for number, (left, top, w, h) in enumerate(plan.cells):
        assert w > 0 < h
        across_end, along_end = (left + w, top + h) if plan.side == "right" else (top + h, left + w)
        assert across_end <= plan.across_px + 1e-6
        assert along_end <= along + 1e-6
        for other in plan.cells[number + 1 :]:
            assert (
                left + w <= other[0]
                or other[0] + other[2] <= left
                or (top + h <= other[1] or other[1] + other[3] <= top)
            )


@pytest.mark.parametrize(
    ("room", "frame", "side"),
    [
        ((580, 530), (256, 458), "below"),
        ((400, 1200), (256, 300), "right"),
        ((900, 900), (1080, 1920), "below"),
    ],
)
def test_the_strip_goes_where_room_is_left(room, frame, side):
    for num_panels in range(3, 7):
        assert plan_strip(room, frame, num_panels).side == side


def test_a_small_panel_shows_what_the_canvas_shows_of_the_frame():
    whole = seen_part((300, 600), (49.5, 99.5), 1.0, (100, 200))
    assert whole == ((49.5, 99.5), (100, 200))
    assert seen_part((300, 600), (49.5, 99.5), 10.0, (100, 200)) == ((49.5, 99.5), (30, 60))
    middle, size = seen_part((300, 600), (-0.5, 99.5), 10.0, (100, 200))  # the upper half is off the frame
    assert (middle, size) == ((7.0, 99.5), (15, 60))
    away = seen_part((300, 600), (-500.0, 99.5), 10.0, (100, 200))
    assert away == ((-500.0, 99.5), (30, 60))


def test_places_and_points_are_each_others_inverse():
    window = PanelWindow((10.0, 20.0, 100.0, 50.0), (60.0, 45.0), (7.0, 9.0), 2.5)
    assert window.place(60.0, 45.0) == (7.0, 9.0)
    assert window.point(*window.place(31.0, 22.0)) == pytest.approx((31.0, 22.0))
    assert window.contains(10.0, 20.0)
    assert not window.contains(110.0, 30.0)
