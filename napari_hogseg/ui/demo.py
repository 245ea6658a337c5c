"""The demonstration: napari on the sample clip, its masks and its model, all four panels live.

`python -m napari_hogseg.ui.demo` opens a window; `--screenshot FILE` writes a picture of it and ends. What is
shown and computed is the dock's part. Exit codes: 0 done, 1 the demonstration failed, 2 something is missing.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import sample_data
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.viewer import Viewer

    from napari_hogseg.ui.review_dock import ReviewDock

WINDOW_PX = (1440, 900)
FRAME_INDEX = 60
TIMEOUT_S = 120.0
EXTRA = 'napari is not installed: pip install "napari-hogseg[pyqt6]"'
QT_PACKAGES = (
    "libegl1 libgl1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 "
    "libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libdbus-1-3"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration; returns the exit code."""
    options = _parse(arguments)
    problem = missing_extra() or missing_qt()
    if problem:
        print(f"napari-hogseg demo: {problem}", file=sys.stderr)  # noqa: T201 - a command line
        return 2
    try:
        return _run(options)
    except InputError as error:
        print(f"napari-hogseg demo: {error}", file=sys.stderr)  # noqa: T201 - a command line
        return 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m napari_hogseg.ui.demo", description=__doc__)
    parser.add_argument("--screenshot", type=Path, metavar="FILE", help="write a picture of the window; end")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("--model", type=Path, default=sample_data.model_path(), help="model or run folder")
    parser.add_argument("--frame", type=int, default=FRAME_INDEX, help="frame to start on")
    return parser.parse_args(arguments)


def missing_extra() -> str:
    """Say how to install napari and a Qt binding where they are not; else empty."""
    needed = ("napari", "qtpy", "magicgui", "superqt", "pyqtgraph")
    bindings = ("PyQt5", "PyQt6", "PySide6")
    complete = all(map(importlib.util.find_spec, needed)) and any(map(importlib.util.find_spec, bindings))
    return "" if complete else EXTRA


def missing_qt() -> str:
    """Say which system packages Qt lacks, by starting it in a child: Qt aborts where it cannot start."""
    program = "from qtpy.QtWidgets import QApplication; QApplication([])"
    child = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter
    if child.returncode == 0:
        return ""
    lines = [line for line in child.stderr.splitlines() if line.strip()]
    cause = lines[0].strip() if lines else f"exit code {child.returncode}"
    return f"Qt cannot start ({cause}). On Debian and Ubuntu: apt-get install {QT_PACKAGES}"


def _run(options: argparse.Namespace) -> int:
    import napari

    viewer = napari.Viewer(title="napari-hogseg", show=True)
    viewer.theme = options.theme
    dock = open_review(viewer, options.model)
    if options.screenshot is None:
        napari.run()
        return 0
    write_screenshot(viewer, dock, options.frame, options.screenshot)
    viewer.close()
    return 0


def open_review(viewer: Viewer, model: Path) -> ReviewDock:
    """Open the dock on the sample clip, its masks and a model; all in the background."""
    from napari_hogseg.ui.review_dock import ReviewDock

    dock = ReviewDock(viewer)
    viewer.window.add_dock_widget(dock, name="Review", area="right")
    viewer.window.resize(*WINDOW_PX)
    dock.controller.open(sample_data.clip_path(), sample_data.masks_path())
    dock.controller.load_model(model)
    return dock


def write_screenshot(viewer: Viewer, dock: ReviewDock, frame_index: int, path: Path) -> None:
    """Wait until everything about a frame is shown, and write the window as a PNG.

    Raises
    ------
    InputError
        If something fails or is not shown in time.
    """
    from PIL import Image

    wait_until(dock, lambda: dock.controller.session is not None, "The sample clip was not opened")
    viewer.dims.set_current_step(0, frame_index)
    wait_until(dock, lambda: all_shown(dock, frame_index), "Frame, HOG, prediction and errors were not shown")
    settle(0.5)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(viewer.screenshot(canvas_only=False, flash=False)).convert("RGB").save(path)


def all_shown(dock: ReviewDock, frame_index: int) -> bool:
    """Whether frame, HOG map, prediction and errors of a frame are in the panels."""
    session, layers = dock.controller.session, dock.controller.layers
    if session is None:
        return False
    state = session.live.state
    is_shown = state.shown == state.predicted == frame_index and state.scores is not None
    return is_shown and not session.live.computing and not layers.updating


def wait_until(dock: ReviewDock, condition: Callable[[], bool], otherwise: str) -> None:
    """Run the event loop until a condition holds.

    Raises
    ------
    InputError
        If it does not within `TIMEOUT_S`, or the dock reports an error meanwhile.
    """
    problems: list[str] = []
    dock.controller.failed.connect(problems.append)
    deadline_s = time.monotonic() + TIMEOUT_S
    try:
        while not condition():
            if any(problems):
                raise InputError(f"{otherwise}: {next(filter(None, problems))}")
            if time.monotonic() > deadline_s:
                raise InputError(f"{otherwise} within {TIMEOUT_S:.0f} s", where=dock.status.text())
            settle(0.02)
    finally:
        dock.controller.failed.disconnect(problems.append)


def settle(seconds: float) -> None:
    """Run the event loop for a moment."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec_() if hasattr(loop, "exec_") else loop.exec()


if __name__ == "__main__":
    sys.exit(main())
