"""Finding the places that one model mends, on masks where they are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.data.scheme import IGNORE, LabelScheme
from training.experiments.qualitative import Place, Row, draw_rows, mended_places

if TYPE_CHECKING:
    from pathlib import Path


def masks() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth with two tools; the baseline misses both, ours finds the larger and breaks a corner."""
    truth = np.zeros((100, 120), np.uint8)
    truth[10:40, 20:60] = 1
    truth[70:80, 90:100] = 1
    baseline = np.zeros_like(truth)
    ours = np.zeros_like(truth)
    ours[10:40, 20:60] = 1
    ours[90:, :10] = 1
    return truth, baseline, ours


def test_the_mended_tool_is_the_only_place() -> None:
    assert mended_places(*masks()) == (Place(30 * 40, (10, 20, 40, 60)),)


def test_ignored_pixels_and_ragged_edges_are_no_place() -> None:
    truth, baseline, ours = masks()
    truth[10:40, 20:60] = IGNORE
    truth[50, 50], ours[50, 50] = 1, 1  # one pixel in 12,000
    assert mended_places(truth, baseline, ours) == ()


def test_places_come_largest_first_and_near_ones_are_one() -> None:
    truth = np.zeros((100, 120), np.uint8)
    truth[0:10, 0:10] = truth[0:10, 12:20] = 1  # two pixels apart
    truth[60:80, 60:80] = 1
    places = mended_places(truth, np.zeros_like(truth), truth)
    assert [place.area_px for place in places] == [400, 180]
    assert places[1].box == (0, 0, 10, 20)


def test_the_figure_boxes_failure_red_and_mend_green(tmp_path: Path) -> None:
    truth, baseline, ours = masks()
    frame = np.full((*truth.shape, 3), 128, np.uint8)
    row = Row("c/0", frame, truth, baseline, ours, mended_places(truth, baseline, ours), 1200, 100)
    scheme = LabelScheme(name="toy", classes=("background", "tool"), colors=((0, 0, 0), (255, 255, 0)))
    draw_rows([row], scheme, ("baseline", "ours"), tmp_path / "figure.svg")
    text = (tmp_path / "figure.svg").read_text("utf-8")
    assert text.count("stroke: #e00000") == 1
    assert text.count("stroke: #00b000") == 1
    assert "<!-- mends 1,200 px, breaks 100 px -->" in text
