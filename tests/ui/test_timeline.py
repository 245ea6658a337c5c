"""The timeline in a real window: it surveys, follows, goes where it is clicked, and keeps what is marked."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch
from napari.utils import progress
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QColor, QContextMenuEvent, QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMenu
from review_cases import NUM_FRAMES, SCHEME, open_clip, truth_mask, write_clip, write_model

from napari_hogseg.models.registry import build_network
from napari_hogseg.runs.checkpoint import ModelSpec, save_checkpoint
from napari_hogseg.runs.config import HogConfig, ModelConfig
from napari_hogseg.session.ranges import FrameRange, read_ranges
from napari_hogseg.session.survey import KEPT
from napari_hogseg.ui.timeline import NO_CLIP, NO_MODEL, Timeline
from napari_hogseg.ui.timeline_canvas import TimelineCanvas
from napari_hogseg.ui.timeline_painting import Curve, Strip

LEFT, NONE, SHIFT = (
    Qt.MouseButton.LeftButton,
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ShiftModifier,
)


@pytest.fixture
def headed_model(tmp_path):
    """A run folder of a network with regression heads."""
    torch.manual_seed(3)
    spec = ModelSpec(model=ModelConfig(input_short_px=64, network="unet-s"), hog=HogConfig(), scheme=SCHEME)
    network = build_network("unet-s", SCHEME.num_classes, "grid")
    save_checkpoint(tmp_path / "headed", spec, network, {}, best=True)
    return tmp_path / "headed"


@pytest.fixture
def case(review):
    review.dock._open_companions()  # before the first clip, to see the timeline empty
    review.timeline = review.dock.timeline
    review.canvas = review.timeline.canvas
    review.survey = lambda: review.timeline.worker.survey
    review.frame = lambda: int(review.viewer.dims.current_step[0])
    QTest.qWait(50)
    return review


def surveyed(case):
    """Wait until the survey has nothing left to do and the timeline says so."""
    case.wait(lambda: case.timeline.worker is not None and case.timeline.worker.idle)
    case.wait(lambda: case.timeline.status.text().startswith(f"{NUM_FRAMES} of {NUM_FRAMES}"))


def place(case, frame_index, y=60):
    return QPoint(round(case.canvas.x_of(frame_index + 0.5)), y)


def drag(case, frames, modifier=NONE):
    QTest.mousePress(case.canvas, LEFT, modifier, place(case, frames[0]))
    for frame_index in frames:
        QTest.mouseMove(case.canvas, place(case, frame_index))
        QTest.qWait(20)
    QTest.mouseRelease(case.canvas, LEFT, modifier, place(case, frames[-1]))


def scroll(case, frame_index, notches):
    at = QPointF(place(case, frame_index))
    event = QWheelEvent(
        at,
        QPointF(case.canvas.mapToGlobal(at.toPoint())),
        QPoint(),
        QPoint(0, 120 * notches),
        Qt.MouseButton.NoButton,
        NONE,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(case.canvas, event)


def color_at(case, frame_index, y):
    picture = case.canvas.grab().toImage()
    ratio = picture.devicePixelRatioF()
    at = place(case, frame_index, y)
    return picture.pixelColor(round(at.x() * ratio), round(y * ratio)).getRgb()[:3]


def test_says_what_to_do_while_there_is_nothing(case, clip_folder):
    assert case.canvas.message == NO_CLIP
    assert not case.timeline.pause.isEnabled()
    case.open(clip_folder)
    assert case.canvas.message == NO_MODEL
    assert case.timeline.canvas.view.num_frames == NUM_FRAMES
    assert color_at(case, 3, 7) == (86, 180, 233)  # every frame has a mask
    assert case.timeline.minimumSizeHint().height() <= 120
    case.viewer.theme = "dark"
    dark = color_at(case, 3, 60)
    case.viewer.theme = "light"
    assert sum(color_at(case, 3, 60)) > sum(dark) + 200


def test_surveys_what_the_live_view_shows(case, clip_folder, headed_model):
    heard = []
    case.timeline.source.changed.connect(heard.append)
    case.open(clip_folder)
    case.load(headed_model)
    assert case.canvas.message == ""
    surveyed(case)
    for frame_index in (0, 4):
        case.goto(frame_index)
        record = case.survey().record(frame_index)
        assert record.miou == pytest.approx(case.state().scores.mean_iou, rel=1e-6)
        assert record.hog_residual > 0
        assert record.confusion.sum() == truth_mask(0).size
    assert [record.frame_index for record in case.timeline.source.records()] == list(range(NUM_FRAMES))
    assert {record.frame_index for record in heard if record is not None} == set(range(NUM_FRAMES))
    assert "mIoU" in case.timeline._describe(4)
    assert "flicker" in case.timeline._describe(4)
    assert "flicker" not in case.timeline._describe(0)
    with_curve = case.canvas.grab().toImage()
    case.timeline.boxes["miou"].click()
    assert case.canvas.grab().toImage() != with_curve
    # The other model has no heads, and records of its own.
    case.load(write_model(headed_model.parent / "headless", seed=5))
    surveyed(case)
    assert np.isnan(case.survey().curves["hog_residual"]).all()
    assert len(list(case.controller.session.store.folder.glob("survey/*.jsonl"))) == 2


def test_mouse_and_keys_go_to_frames(case, clip_folder):
    case.open(clip_folder)
    QTest.mouseClick(case.canvas, LEFT, NONE, place(case, 4))
    assert case.frame() == 4
    drag(case, [1, 2, 3])
    assert case.frame() == 3
    drag(case, [0], NONE)
    QTest.mouseClick(case.canvas, LEFT, NONE, QPoint(case.canvas.width() - 1, 50))
    assert case.frame() == NUM_FRAMES - 1
    case.canvas.setFocus()
    for key, expected in (
        (Qt.Key.Key_Home, 0),
        (Qt.Key.Key_Left, 0),
        (Qt.Key.Key_Right, 1),
        (Qt.Key.Key_End, NUM_FRAMES - 1),
        (Qt.Key.Key_PageUp, NUM_FRAMES - 2),
    ):
        QTest.keyClick(case.canvas, key)
        assert case.frame() == expected
    case.goto(2)
    assert case.canvas.playhead == 2  # and it follows the slider
    QTest.mouseMove(case.canvas, place(case, 5))
    QTest.qWait(30)
    assert case.timeline._describe(case.canvas.frame_at(case.canvas._hovered)).startswith("frame 5")


def test_wheel_zooms_about_the_pointer(case, tmp_path):
    folder = write_clip(tmp_path / "data")
    for index in range(NUM_FRAMES, 40):
        (folder / f"{index:04d}.png").write_bytes((folder / "0000.png").read_bytes())
    case.open(folder)
    assert case.canvas.view.is_whole
    x = place(case, 30).x()
    scroll(case, 30, 3)
    assert case.canvas.view.span == pytest.approx(40 * 0.8**3, rel=1e-3)
    assert abs(place(case, 30).x() - x) < 3
    QTest.mouseClick(case.canvas, LEFT, NONE, place(case, 35))
    assert case.frame() == 35
    case.goto(0)
    assert case.canvas.view.first == 0  # the playhead stays in sight
    QTest.keyClick(case.canvas, Qt.Key.Key_0)
    assert case.canvas.view.is_whole


def test_ranges_are_marked_by_mouse_and_keys_and_kept(case, clip_folder, tmp_path):
    case.open(clip_folder)
    folder = case.controller.session.store.folder
    drag(case, [4, 3, 2], SHIFT)
    assert case.timeline.ranges == (FrameRange(2, 4),)
    assert read_ranges(folder, NUM_FRAMES) == (FrameRange(2, 4),)
    assert case.frame() == 0  # marking goes nowhere
    QTest.keyClick(case.canvas, Qt.Key.Key_I)
    QTest.keyClick(case.canvas, Qt.Key.Key_O)
    assert case.timeline.ranges == (FrameRange(0, 0), FrameRange(2, 4))
    at = place(case, 3)
    reason = QContextMenuEvent.Reason.Mouse
    QApplication.sendEvent(case.canvas, QContextMenuEvent(reason, at, case.canvas.mapToGlobal(at)))
    (menu,) = case.canvas.findChildren(QMenu)
    actions = {action.text(): action for action in menu.actions()}
    assert not actions["Show the whole clip (0)"].isEnabled()
    actions["Remove this range"].trigger()
    menu.close()
    assert case.timeline.ranges == (FrameRange(0, 0),)
    drag(case, [2, 4], SHIFT)
    case.goto(3)
    QTest.keyClick(case.canvas, Qt.Key.Key_Delete)
    assert case.timeline.ranges == (FrameRange(0, 0),)
    open_clip(case, write_clip(tmp_path / "other", "clip_b"))
    assert case.timeline.ranges == ()
    open_clip(case, clip_folder)
    assert case.timeline.ranges == (FrameRange(0, 0),)


def true_pixels(case, frame_index, class_id):
    confusion = case.survey().record(frame_index).confusion
    return 0 if confusion is None else confusion[class_id].sum()


def test_painting_a_frame_surveys_it_again(case, clip_folder, headed_model):
    case.open(clip_folder)
    case.load(headed_model)
    surveyed(case)
    before = case.survey().record(2)
    assert not before.corrected
    case.goto(2)
    store = case.controller.session.store
    for value in (0, 1):  # the second stroke is on a frame that is corrected already
        store.paint(2, np.s_[:], np.full_like(truth_mask(2), value))
        case.wait(lambda value=value: true_pixels(case, 2, value) == truth_mask(2).size)
    assert case.survey().record(2).corrected
    assert case.survey().record(2).flicker == before.flicker
    case.wait(lambda: color_at(case, 2, 18) != color_at(case, 4, 18))  # the strip of corrections


def test_pause_progress_and_resume_after_the_end(case, clip_folder, headed_model):
    case.open(clip_folder)
    case.timeline.pause.setChecked(True)
    case.load(headed_model)
    QTest.qWait(700)
    assert case.survey().num_measured == 0
    assert "paused" in case.timeline.status.text()
    begun, shown = set(progress._all_instances), set()
    case.timeline._tick.setInterval(5)
    case.timeline._tick.timeout.connect(
        lambda: shown.update(each.desc for each in set(progress._all_instances) - begun)
    )
    case.timeline.pause.click()
    surveyed(case)
    assert shown == {"Surveying the clip"}
    case.wait(lambda: set(progress._all_instances) == begun)
    assert not case.timeline.pause.isEnabled()
    open_clip(case, clip_folder)  # the same clip again: nothing is computed
    surveyed(case)
    assert case.survey().num_measured == 0


def test_ends_within_a_second_in_the_middle_of_a_frame(case, clip_folder, tmp_path):
    torch.manual_seed(0)
    spec = ModelSpec(model=ModelConfig(input_short_px=448, network="u2netp"), hog=HogConfig(), scheme=SCHEME)
    network = build_network("u2netp", SCHEME.num_classes, "grid")
    save_checkpoint(tmp_path / "large", spec, network, {}, best=True)
    case.open(clip_folder)
    case.controller.load_model(tmp_path / "large")
    case.wait(lambda: case.timeline.worker is not None)
    worker = case.timeline.worker
    case.wait(lambda: worker.survey._source is not None)
    begin_s = time.monotonic()
    case.timeline.close_survey()
    assert time.monotonic() - begin_s < 1.5
    worker.thread.join(3)
    assert not worker.thread.is_alive()
    assert worker.survey.num_done < NUM_FRAMES
    case.wait(lambda: not case.controller.session.live.computing, 60_000)


def test_another_model_takes_over_and_no_thread_is_left(case, clip_folder, headed_model, tmp_path):
    case.open(clip_folder)
    case.load(headed_model)
    first = case.timeline.worker
    case.load(write_model(tmp_path / "second", seed=7))
    assert case.timeline.worker is not first
    surveyed(case)
    case.wait(lambda: not first.thread.is_alive())
    assert sum(thread.name == "hogseg survey" for thread in threading.enumerate()) == 1
    # One that is deleted ends its own.
    other = Timeline(case.controller)
    thread = other.worker.thread
    case.wait(thread.is_alive)
    other.deleteLater()
    case.wait(lambda: not thread.is_alive())
    case.viewer.theme = "light"
    case.goto(3)


def test_kept_records_show_at_once_and_count_after_a_look_at_the_mask(case, clip_folder, headed_model):
    case.open(clip_folder)
    case.load(headed_model)
    surveyed(case)
    case.timeline.pause.setChecked(True)
    open_clip(case, clip_folder)
    case.wait(lambda: (case.survey().states == KEPT).all())
    assert np.isnan(case.survey().curves["miou"]).all()
    assert not np.isnan(case.survey().curves["entropy"]).any()
    case.timeline.pause.click()
    surveyed(case)
    assert not np.isnan(case.survey().curves["miou"]).any()


def test_an_hour_is_painted_between_two_frames(qtbot):
    num_frames = 90_000
    canvas = TimelineCanvas(str)
    qtbot.addWidget(canvas)
    canvas.resize(1600, 110)
    canvas.set_num_frames(num_frames)
    values = np.random.default_rng(0).random(num_frames).astype(np.float32)
    values[30_000:50_000] = np.nan
    values[40_000] = 0.5
    color = QColor(250, 60, 10)
    strips = tuple(Strip(name, color, values > 0.999) for name in ("masks", "corrected", "surveyed"))
    canvas.set_content(strips, (Curve(color, values),) * 5)
    canvas.show()
    took_s = []
    for _ in range(9):
        canvas.redraw()
        begin_s = time.perf_counter()
        canvas.grab()
        took_s.append(time.perf_counter() - begin_s)
    # 8 ms on an idle core of two; the rest is for what else the machine does.
    assert np.median(took_s) < 0.08
    picture = canvas.grab().toImage()

    def is_painted(frame_index):
        x = round(canvas.x_of(frame_index + 0.5))
        rows = range(canvas.height() - 60, canvas.height() - 15)
        return any(
            picture.pixelColor(x + dx, y).red() > picture.pixelColor(x + dx, y).green() + 20
            for dx in (-1, 0, 1)
            for y in rows
        )

    assert [is_painted(i) for i in (10_000, 35_000, 45_000, 70_000)] == [True, False, False, True]
    assert is_painted(40_000)  # one frame among 20 000 that are not measured
