"""A small clip with masks, models for it, and a review of them in a real napari window."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from napari_hogseg.data.scheme import LabelScheme
from napari_hogseg.models.registry import build_network
from napari_hogseg.runs.checkpoint import ModelSpec, save_checkpoint
from napari_hogseg.runs.config import HogConfig, ModelConfig
from napari_hogseg.ui import review_controller
from napari_hogseg.ui.review_dock import ReviewDock

SCHEME = LabelScheme(
    name="eye", classes=("pupil", "iris", "tool"), colors=((0, 114, 178), (0, 158, 115), (213, 94, 0))
)
NUM_FRAMES, HEIGHT, WIDTH = 6, 96, 128


def truth_mask(frame_index):
    """A pupil that moves within an iris, a tool at the right."""
    rows, cols = np.mgrid[:HEIGHT, :WIDTH]
    mask = np.ones((HEIGHT, WIDTH), np.uint8)
    mask[(rows - 48) ** 2 + (cols - 40 - 4 * frame_index) ** 2 < 20**2] = 0
    mask[:, 112:] = 2
    return mask


def frame_pixels(frame_index):
    """The mask's picture, with a texture that names the frame."""
    picture = SCHEME.color_table()[truth_mask(frame_index)]
    picture[::8] = 20 * frame_index
    return picture


def write_clip(root, name="clip_a"):
    """Write a data set of one clip; returns the folder of its frames."""
    for kind in ("images", "masks"):
        (root / kind / name).mkdir(parents=True)
    for index in range(NUM_FRAMES):
        Image.fromarray(frame_pixels(index)).save(root / "images" / name / f"{index:04d}.png")
        Image.fromarray(truth_mask(index)).save(root / "masks" / name / f"{index:04d}.png")
    (root / "dataset.toml").write_text(SCHEME.to_toml())
    return root / "images" / name


def write_model(folder, seed=0, scheme=SCHEME, head="none"):
    """Save a run folder whose network has random weights."""
    torch.manual_seed(seed)
    network = build_network("unet-s", scheme.num_classes, head)
    spec = ModelSpec(model=ModelConfig(head=head, input_short_px=64), hog=HogConfig(), scheme=scheme)
    save_checkpoint(folder, spec, network, {}, best=True)
    return folder


@pytest.fixture
def clip_folder(tmp_path):
    return write_clip(tmp_path / "data")


@pytest.fixture
def model_folder(tmp_path):
    return write_model(tmp_path / "model")


@pytest.fixture
def review(make_napari_viewer_proxy, qtbot, tmp_path, monkeypatch):
    """The dock in a shown window; `review.wait(condition)` runs the event loop until it holds."""
    monkeypatch.setattr(review_controller, "default_sessions_root", lambda: tmp_path / "sessions")
    viewer = make_napari_viewer_proxy(show=True)
    dock = ReviewDock(viewer)
    viewer.window.add_dock_widget(dock, name="Review", area="right")
    viewer.window.resize(1280, 800)
    case = SimpleNamespace(viewer=viewer, dock=dock, controller=dock.controller)
    case.wait = lambda condition, timeout=20_000: qtbot.waitUntil(condition, timeout=timeout)
    case.open = lambda path, masks=None: open_clip(case, path, masks)
    case.load = lambda path: load_model(case, path)
    case.goto = lambda frame_index: goto(case, frame_index)
    case.layer = lambda name: viewer.layers[name]
    case.state = lambda: dock.controller.session.live.state
    yield case
    assert dock.controller.close()


def open_clip(case, path, masks=None):
    """Open a clip and wait until its first frame is on screen."""
    before = case.controller.session
    case.controller.open(path, masks)
    case.wait(lambda: case.controller.session not in (None, before))
    case.wait(lambda: case.state().shown == case.state().frame_index or case.state().frame_error)
    settle(case)


def load_model(case, path):
    """Load a model and wait until it has predicted."""
    before = case.controller.model
    case.controller.load_model(path)
    case.wait(lambda: case.controller.model is not before)
    if case.controller.session is not None:
        case.wait(lambda: case.state().predicted == case.state().frame_index)
        settle(case)


def goto(case, frame_index):
    """Step to a frame and wait until everything for it is on screen."""
    case.viewer.dims.set_current_step(0, frame_index)
    case.wait(lambda: case.state().shown == frame_index or case.state().frame_error is not None)
    settle(case)


def settle(case):
    """Wait until nothing is computed or about to be drawn."""
    session = case.controller.session
    case.wait(lambda: not session.live.computing and not case.controller.layers.updating)
    QTest.qWait(30)


def canvas_of(case):
    """The widget that napari draws on."""
    widgets = [
        widget
        for top in QApplication.topLevelWidgets()
        for widget in top.findChildren(QWidget)
        if "Canvas" in type(widget).__name__ and widget.isVisible()
    ]
    return max(widgets, key=lambda widget: widget.width() * widget.height())


def canvas_point(case, row, col, cell=(0, 0), shape=(2, 2)):
    """Where a data pixel of a cell of the grid lies on the canvas."""
    canvas = canvas_of(case)
    camera = case.viewer.scene.camera
    zoom, center = camera.zoom, camera.center
    spacing = 6
    cell_width = (canvas.width() - spacing * (shape[1] - 1)) / shape[1]
    cell_height = (canvas.height() - spacing * (shape[0] - 1)) / shape[0]
    x = cell[1] * (cell_width + spacing) + cell_width / 2 + (col - center[-1]) * zoom
    y = cell[0] * (cell_height + spacing) + cell_height / 2 + (row - center[-2]) * zoom
    return QPoint(round(x), round(y))


def hover(case, row, col, cell=(0, 0), within_px=0.5):
    """Move the mouse to a pixel of the frame until napari has it there: a view laid out anew loses it."""

    def arrived():
        QTest.mouseMove(canvas_of(case), canvas_point(case, row, col, cell=cell))
        QTest.qWait(20)
        there = case.viewer.cursor.position[-2:]
        return max(abs(there[0] - row), abs(there[1] - col)) <= within_px

    case.wait(arrived)


def drag(case, points):
    """Press, move and release the left mouse button on the canvas."""
    canvas = canvas_of(case)
    QTest.mouseMove(canvas, points[0])
    QTest.qWait(30)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, points[0])
    for point in points[1:]:
        QTest.mouseMove(canvas, point)
        QTest.qWait(20)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, points[-1])
    QTest.qWait(30)


def drag_on(widget, points, *, release=True):
    """Drag over a widget of ours; QTest alone moves without the button."""
    left, no_key = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QTest.mousePress(widget, left, no_key, points[0])
    for point in points[1:]:
        QApplication.sendEvent(widget, QMouseEvent(QEvent.Type.MouseMove, QPointF(point), left, left, no_key))
    if release:
        QTest.mouseRelease(widget, left, no_key, points[-1])
