"""Curves: nothing measured is lost to the eye, nothing piles up, a restart shows the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QPainter, QPixmap, QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMenu
from review_cases import settle

from napari_hogseg.runs.events import EventWriter, Message, Progress, Validated
from napari_hogseg.ui.curves import CE, EMPTY_TEXT, MSE, LiveCurves, Series


def progress(step, ce=1.0, mse=0.5):
    return Progress(
        step=step, num_steps=9, loss=ce + mse, ce=ce, mse=mse, lr=0.1, frames_per_s=1, eta_s=None, elapsed_s=1
    )


def validated(step, miou, part="corrected"):
    return Validated(step=step, part=part, miou=miou, iou={}, num_frames=1)


@pytest.fixture
def curves(qtbot):
    curves = LiveCurves()
    qtbot.addWidget(curves)
    curves.show()
    return curves


def drawn(curves, name):
    x, y = curves._curves[name].getData()
    return list(x), list(y)


@given(num_points=st.integers(1, 300))
def test_a_series_stays_small_and_keeps_the_mean(num_points) -> None:
    series = Series(max_points=16)
    for step in range(num_points):
        series.add(step, 2.0 * step)
    assert len(series.x) < 16
    assert series.newest == 2.0 * (num_points - 1)
    np.testing.assert_allclose(series.y, 2.0 * np.array(series.x))
    # Pairs are averaged, so the points stand for the first of the steps without a gap.
    stride = 1 if len(series.x) < 2 else round(series.x[1] - series.x[0])
    if series.x:
        np.testing.assert_allclose(np.mean(series.x), (stride * len(series.x) - 1) / 2)


def test_empty_says_so(curves) -> None:
    assert curves.empty.isVisible()
    assert curves.empty.text() == EMPTY_TEXT
    assert not curves.loss.isVisible()


def test_events_become_curves(curves, qtbot) -> None:
    curves.add(progress(1, ce=2.0, mse=0.25))
    curves.add(progress(2, ce=1.0, mse=0.125))
    curves.add(validated(2, 0.75))
    curves.add(validated(2, 0.5, "guard"))
    curves.add(Message(level="info", text="no measurement"))
    qtbot.waitUntil(lambda: curves.loss.isVisible(), timeout=2_000)
    assert drawn(curves, CE) == ([1, 2], [2.0, 1.0])
    assert drawn(curves, MSE) == ([1, 2], [0.25, 0.125])
    assert drawn(curves, "corrected") == ([2], [0.75])
    assert drawn(curves, "guard") == ([2], [0.5])
    assert not curves.empty.isVisible()
    assert "CE 1" in curves.loss_legend.text()
    assert "guard 0.5" in curves.miou_legend.text()
    assert curves.miou.axes["bottom"].labelText == "step"


def test_a_network_without_heads_has_no_hog_curve(curves) -> None:
    curves.add(progress(1, mse=0.0))
    curves._draw()
    assert set(curves.series) == {CE}
    assert "HOG" not in curves.loss_legend.text()


def test_a_burst_is_drawn_once(curves, qtbot) -> None:
    curves.add(progress(0))
    qtbot.waitUntil(lambda: curves.loss.isVisible(), timeout=2_000)
    draws = []
    curves._curves[CE].sigPlotChanged.connect(lambda _curve: draws.append(1))
    for step in range(1, 400):
        curves.add(progress(step))
    assert draws == []  # drawing waits for the event loop
    qtbot.waitUntil(lambda: len(drawn(curves, CE)[0]) == 400, timeout=2_000)
    assert len(draws) == 1


def test_clear_takes_the_curves_away(curves) -> None:
    curves.add(progress(1))
    curves.add(validated(1, 0.5))
    curves._draw()
    curves.clear()
    assert curves._curves == {}
    assert curves.empty.isVisible()
    curves.add(progress(7))
    curves._draw()
    assert drawn(curves, CE)[0] == [7]


def test_a_file_of_events_gives_the_same_curves(curves, tmp_path) -> None:
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as writer:
        for step in range(1, 6):
            writer.write(progress(step, ce=1 / step))
        writer.write(validated(5, 0.5))
    with path.open("a") as file:
        file.write('{"kind": "progress", "st')  # a power cut
    curves.add(progress(99))
    curves.load(path)
    assert drawn(curves, CE) == ([1, 2, 3, 4, 5], [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    assert drawn(curves, "corrected") == ([5], [0.5])


@pytest.mark.parametrize("color", ["#f0f1f2", "#201e1f"])
def test_axes_take_the_colour_of_the_text(curves, color) -> None:
    curves.setStyleSheet(f"QWidget {{ color: {color}; }}")
    axis = curves.miou.axes["left"]
    assert axis.textPen().color().name() == color
    assert axis.pen().color().name() == color


def test_each_loss_has_its_own_scale_over_the_same_steps(curves, qtbot) -> None:
    for step in (0, 50, 100):
        curves.add(progress(step, ce=100.0 + step, mse=0.001 + step * 1e-5))
    left, right = curves.loss.views
    qtbot.waitUntil(lambda: left.viewRange()[1][1] > 150 and right.viewRange()[1][1] < 1, timeout=2_000)
    assert left.viewRange()[0][1] >= 100
    np.testing.assert_allclose(left.viewRange()[0], right.viewRange()[0], atol=5)


def test_the_scores_before_the_first_step_are_in_view(curves, qtbot) -> None:
    curves.add(validated(0, 0.5))
    for step in (40, 60, 80):
        curves.add(progress(step))
    curves._draw()
    for plot in (curves.loss, curves.miou):
        view = plot.views[0]
        qtbot.waitUntil(lambda view=view: view.viewRange()[0][1] >= 80, timeout=2_000)
        assert view.viewRange()[0][0] <= 0


@pytest.mark.parametrize(
    ("ce", "mse"), [(0.011, 1e-4), (0.12, 2.7e-3), (0.5, 0.035), (2.3, 0.4), (25.0, 3.0)]
)
@pytest.mark.parametrize("spread", [0.1, 1.0])
def test_every_scale_has_numbers(curves, qtbot, ce, mse, spread) -> None:
    for step in range(4):
        curves.add(progress(step, ce * (1 + spread * step / 3), mse * (1 + spread * step / 3)))
    curves.resize(300, 400)
    curves._draw()
    qtbot.waitUntil(lambda: curves.loss.views[1].viewRange()[1][1] < 3 * mse, timeout=2_000)
    for side in ("left", "right"):
        assert len(numbers_at(curves.loss.axes[side])) >= 2


def numbers_at(axis) -> list[str]:
    """What is written at an axis."""
    picture = QPixmap(1, 1)
    painter = QPainter(picture)
    _line, _ticks, texts = axis.generateDrawSpecs(painter)
    painter.end()
    return [text for _rect, _flags, text in texts]


def test_no_menu_outlives_the_dock(qtbot) -> None:
    before = set(QApplication.topLevelWidgets())
    curves = LiveCurves()
    qtbot.addWidget(curves)
    curves.add(progress(1))
    curves.add(validated(1, 0.5))
    curves._draw()
    made = set(QApplication.topLevelWidgets()) - before
    assert curves in made
    assert not [widget for widget in made if isinstance(widget, QMenu)]


def test_the_wheel_is_left_to_the_dock(curves, qtbot) -> None:
    for step in range(9):
        curves.add(progress(step))
    qtbot.waitUntil(lambda: curves.loss.isVisible(), timeout=2_000)
    before = curves.loss.views[0].viewRange()
    event = QWheelEvent(
        QPointF(50, 50), QPointF(50, 50), QPoint(0, 0), QPoint(0, 120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(curves.loss.viewport(), event)
    assert not event.isAccepted()
    assert curves.loss.views[0].viewRange() == before


def test_a_fine_tunes_curves_come_into_sight_once_with_stop_above_them(review, clip_folder, model_folder):
    review.open(clip_folder)
    review.load(model_folder)
    dock = review.dock
    section, panel = dock.finetune_section, dock.finetune
    for other in (dock.tools, dock.mending, dock.carrying, dock.show_section, dock.scores, dock.legend):
        other.opened = False
    section.opened = True
    settle(review)

    def in_sight(widget):
        return not widget.visibleRegion().isEmpty() and widget.visibleRegion().boundingRect() == widget.rect()

    assert not in_sight(panel.curves)
    panel.curves.add(validated(0, 0.5))
    panel.curves.add(progress(1))
    review.wait(lambda: in_sight(panel.curves.miou) and in_sight(panel.button))
    dock._scroll.verticalScrollBar().setValue(0)
    panel.curves.add(progress(2))
    QTest.qWait(400)
    assert not in_sight(panel.curves.miou)  # whoever scrolled away is left there
