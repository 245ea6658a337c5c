"""How fast the review is live: four panels at 512 x 512 in a real window, scrubbed through 100 frames.

    xvfb-run -a python benchmarks/live.py [--data FOLDER] [--model FOLDER] [--frames 100]

Measures (a) HOG maps and pictures a second, computed beside napari's own drawing, (b) frames and predictions
a second on screen, (c) how long our calls hold the GUI thread, and the event loop's gaps and steps a second
with and without the plugin. Without a data folder it makes frames of its own; without a model it takes a
`unet-s` with random weights, which is as fast as a trained one. Without a graphics card (b) is bound by
software drawing.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from qtpy.QtCore import QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_hogseg.data.scheme import LabelScheme
from napari_hogseg.models.registry import build_network
from napari_hogseg.runs.checkpoint import ModelSpec, save_checkpoint
from napari_hogseg.runs.config import HogConfig, ModelConfig
from napari_hogseg.ui.live import GUI_CALLS
from napari_hogseg.ui.products import HogSettings, draw_hog

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari

    from napari_hogseg.ui.review_controller import Session
    from napari_hogseg.ui.review_dock import ReviewDock

SIDE = 512
SCHEME = LabelScheme(
    name="benchmark",
    classes=("dark", "middle", "bright"),
    colors=((0, 114, 178), (0, 158, 115), (213, 94, 0)),
)


def main() -> None:
    """Measure and print one table."""
    arguments = parse_arguments()
    warnings.filterwarnings("ignore", category=FutureWarning)
    import napari  # after the arguments: `--help` needs no display

    from napari_hogseg.ui.review_dock import ReviewDock

    with tempfile.TemporaryDirectory() as scratch:
        data = arguments.data or write_clip(Path(scratch) / "data", arguments.frames)
        model = arguments.model or write_model(Path(scratch) / "model")
        viewer = napari.Viewer()
        viewer.window.resize(1280, 800)
        bare = measure_bare(viewer, arguments.frames)
        dock = ReviewDock(viewer)
        dock.controller.sessions_root = Path(scratch) / "sessions"
        viewer.window.add_dock_widget(dock, name="Review")
        dock.controller.load_model(model)
        dock.controller.open(data)
        wait(lambda: dock.controller.session is not None and dock.controller.model is not None)
        wait(lambda: dock.controller.session.live.state.scores is not None)  # type: ignore[union-attr]
        QTest.qWait(1500)
        report(bare, measure_review(viewer, dock, arguments.frames))
        dock.controller.close()
        viewer.close()


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a clip or data set instead of made-up frames")
    parser.add_argument("--model", type=Path, help="a model folder instead of random weights")
    parser.add_argument("--frames", type=int, default=100, help="frames to scrub through")
    return parser.parse_args()


def write_clip(root: Path, num_frames: int) -> Path:
    """Write frames of moving discs on noise, with masks."""
    rows, cols = np.mgrid[:SIDE, :SIDE]
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 60, (SIDE, SIDE, 3))
    for kind in ("images", "masks"):
        (root / kind / "clip").mkdir(parents=True)
    for index in range(num_frames):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[(rows - 256) ** 2 + (cols - 150 - 2 * index) ** 2 < 120**2] = 1
        mask[(rows - 100 - index) ** 2 + (cols - 300) ** 2 < 60**2] = 2
        frame = (mask[..., None] * 80 + np.roll(noise, index, 0)).astype(np.uint8)
        Image.fromarray(frame).save(root / "images" / "clip" / f"{index:04d}.jpg", quality=90)
        Image.fromarray(mask).save(root / "masks" / "clip" / f"{index:04d}.png")
    (root / "dataset.toml").write_text(SCHEME.to_toml(), "utf-8")
    return root


def write_model(folder: Path) -> Path:
    """Save a `unet-s` with random weights."""
    torch.manual_seed(0)
    spec = ModelSpec(model=ModelConfig(head="none"), hog=HogConfig(), scheme=SCHEME)
    save_checkpoint(folder, spec, build_network("unet-s", SCHEME.num_classes, "none"), {}, best=True)
    return folder


def wait(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Run the event loop until a condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the review did not get ready")
        QTest.qWait(10)


class Heartbeat:
    """Gaps between two turns of the event loop, as a timer of 0 ms sees them."""

    def __init__(self) -> None:
        self.gaps_s: list[float] = []
        self._last_s = time.perf_counter()
        self._timer = QTimer()
        self._timer.timeout.connect(self._beat)
        self._timer.start(0)

    def _beat(self) -> None:
        now_s = time.perf_counter()
        self.gaps_s.append(now_s - self._last_s)
        self._last_s = now_s

    def stop(self) -> list[float]:
        """End and return the gaps in seconds."""
        self._timer.stop()
        return self.gaps_s


def measure_bare(viewer: napari.Viewer, num_frames: int) -> dict[str, list[float]]:
    """Step napari alone through as many layers of the same size; returns durations in seconds."""
    rng = np.random.default_rng(0)
    stack = rng.integers(0, 255, (num_frames, SIDE, SIDE, 3), dtype=np.uint8)
    for index in range(4):
        viewer.add_image(stack, rgb=True, name=f"bare {index}")
        viewer.add_labels((stack[..., 0] // 100), name=f"bare labels {index}")
    viewer.canvas.grid.stride, viewer.canvas.grid.enabled = 2, True
    QTest.qWait(1000)
    beat = Heartbeat()
    laps = []
    for index in range(num_frames):
        begin_s = time.perf_counter()
        viewer.dims.set_current_step(0, index)
        QApplication.processEvents()
        laps.append(time.perf_counter() - begin_s)
    gaps = beat.stop()
    viewer.layers.clear()
    return {"step": laps, "gaps": gaps}


def measure_review(viewer: napari.Viewer, dock: ReviewDock, num_frames: int) -> dict[str, list[float]]:
    """Step as fast as frames come, then as fast as predictions come; returns durations in seconds."""
    session = dock.controller.session
    if session is None:
        raise RuntimeError("no clip is open")
    live, total = session.live, session.store.shape[0]
    laps: dict[str, list[float]] = {"frame": [], "prediction": []}
    laps["render"] = measure_rendering(viewer, session, num_frames)
    GUI_CALLS.clear()
    beat = Heartbeat()
    for product, attribute in (("frame", "shown"), ("prediction", "predicted")):
        live.forget_predictions()
        for step in range(1, num_frames + 1):
            begin_s = time.perf_counter()
            frame_index = step % total
            viewer.dims.set_current_step(0, frame_index)
            while getattr(live.state, attribute) != frame_index or dock.controller.layers.updating:
                QApplication.processEvents()
            laps[product].append(time.perf_counter() - begin_s)
    laps["gaps"] = beat.stop()
    laps["calls"] = [seconds for _, seconds in GUI_CALLS.calls]
    return laps


def measure_rendering(viewer: napari.Viewer, session: Session, num_frames: int) -> list[float]:
    """Draw HOG maps in a thread while the window plays; returns the seconds of each."""
    source, total = session.clip.source, session.store.shape[0]
    frames = [source.frame(index) for index in range(min(total, 8))]
    laps: list[float] = []

    def render() -> None:
        for index in range(3 * num_frames):
            begin_s = time.perf_counter()
            draw_hog(frames[index % len(frames)], HogSettings(), None)
            laps.append(time.perf_counter() - begin_s)

    thread = threading.Thread(target=render)
    thread.start()
    step = 0
    while thread.is_alive():
        step += 1
        viewer.dims.set_current_step(0, step % total)
        QApplication.processEvents()
    return laps


def report(bare: dict[str, list[float]], laps: dict[str, list[float]]) -> None:
    """Print the table."""
    name, longest_s = max(GUI_CALLS.calls, key=lambda call: call[1])
    ms = {key: np.array(values) * 1e3 for key, values in laps.items()}
    bare_ms = {key: np.array(values) * 1e3 for key, values in bare.items()}
    print(f"HOG map + picture  {1e3 / ms['render'].mean():6.1f} a second, computed while napari draws")
    print(f"on screen          {1e3 / ms['frame'].mean():6.1f} frames a second, all four panels live")
    print(f"                   {1e3 / ms['prediction'].mean():6.1f} predictions a second")
    print(f"                   {1e3 / bare_ms['step'].mean():6.1f} steps a second of bare napari")
    print(
        f"our GUI calls      p50 {np.percentile(ms['calls'], 50):.2f} ms, "
        f"p99 {np.percentile(ms['calls'], 99):.1f} ms, max {longest_s * 1e3:.1f} ms ({name})"
    )
    for title, gaps in (("bare napari", bare_ms["gaps"]), ("with the review", ms["gaps"])):
        busy = gaps[gaps > 1]
        print(f"event-loop gaps    {title}: p95 {np.percentile(busy, 95):.0f} ms, max {busy.max():.0f} ms")


if __name__ == "__main__":
    main()
