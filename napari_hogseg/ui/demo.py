"""The demonstration: napari on the sample clip, its masks and its model, all four panels live.

`python -m napari_hogseg.ui.demo` opens a window; `--screenshot FILE` writes a picture of it and ends,
`--seconds N` closes it after a while. Owns opening, waiting and photographing; what is shown and computed is
the dock's part. Exit codes: 0 done, 1 the demonstration failed, 2 something that it needs is missing.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import sample_data
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.viewer import Viewer
    from PIL.Image import Image

    from napari_hogseg.ui.review_dock import ReviewDock

WINDOW_PX = (1440, 900)
FRAME_INDEX = 60  # both instruments are in view
TIMEOUT_S = 180.0  # the first HOG map waits for numba's compiler
SETTLE_S = 0.3
DOCK = ("napari-hogseg", "Review")
NO_EXTRA = 'napari is not installed: pip install "napari-hogseg[pyqt6]"'
NO_DISPLAY = "there is no display: set DISPLAY, or put `xvfb-run -a` in front (system package xvfb)"
QT_PACKAGES = (
    "libgl1 libglx-mesa0 libegl1 libegl-mesa0 libopengl0 libglib2.0-0 libdbus-1-3 libfontconfig1 libx11-xcb1 "
    "libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 "
    "libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libxcb-xkb1"
)
#: Qt aborts the process where it cannot start, so a child tries first.
START_QT = "import qtpy, qtpy.QtWidgets as widgets; widgets.QApplication([]); print(qtpy.API_NAME)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration and return its exit code."""
    options = _parse(arguments)
    problem, binding = check_desktop()
    if problem:
        return _say(problem, 2)
    if options.binding_check:
        print(f"{binding} starts")  # noqa: T201 - a command line
        return 0
    try:
        run(options)
    except InputError as error:
        return _say(str(error), 1)
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m napari_hogseg.ui.demo", description="napari on the sample clip"
    )
    parser.add_argument(
        "--screenshot", type=Path, metavar="FILE", help="write a picture of the window and end"
    )
    parser.add_argument("--seconds", type=float, metavar="N", help="close the window after N seconds")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument(
        "--model", type=Path, metavar="RUN", default=sample_data.model_path(), help="another model"
    )
    parser.add_argument("--binding-check", action="store_true", help="say which Qt binding starts, and end")
    return parser.parse_args(arguments)


def _say(problem: str, code: int) -> int:
    print(f"napari-hogseg demo: {problem}", file=sys.stderr)  # noqa: T201 - a command line
    return code


def check_desktop() -> tuple[str, str]:
    """Find out whether napari can open a window.

    Returns
    -------
    problem : str
        What is missing and what to install, one line; empty where nothing is.
    binding : str
        The Qt binding that started; empty where none did.
    """
    needed, bindings = ("napari", "qtpy", "magicgui", "superqt", "pyqtgraph"), ("PyQt5", "PyQt6", "PySide6")
    if not (all(map(importlib.util.find_spec, needed)) and any(map(importlib.util.find_spec, bindings))):
        return NO_EXTRA, ""
    on_x11 = sys.platform.startswith("linux") and "QT_QPA_PLATFORM" not in os.environ
    if on_x11 and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return NO_DISPLAY, ""
    command = [sys.executable, "-P", "-c", START_QT]
    child = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our interpreter
    if child.returncode == 0:
        return "", child.stdout.strip()
    lines = child.stderr.strip().splitlines() or [f"exit code {child.returncode}"]
    # A traceback names its cause last, Qt's own messages first.
    cause = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    remedy = (
        f"; on Debian and Ubuntu: apt-get install {QT_PACKAGES}" if sys.platform.startswith("linux") else ""
    )
    return f"Qt cannot start ({cause}){remedy}", ""


def run(options: argparse.Namespace) -> None:
    """Open the window; either hand it to the person or photograph it.

    Raises
    ------
    InputError
        If the model is not there, or what is to be photographed does not appear.
    """
    if not options.model.is_dir():
        raise InputError("No such model folder", where=options.model, remedy="Run `make sample-model`.")
    import torch  # noqa: F401 - on Windows it must be loaded before Qt (WinError 1114)
    import napari  # isort: skip

    viewer = napari.Viewer(title="napari-hogseg: sample clip")
    viewer.theme = options.theme
    if options.screenshot is None:
        open_review(viewer, sample_data.clip_path(), sample_data.masks_path(), options.model)
        if options.seconds is not None:
            from qtpy.QtCore import QTimer

            QTimer.singleShot(round(1000 * options.seconds), viewer.close)
        napari.run()
        return
    try:
        write_screenshot(viewer, options.model, options.screenshot)
    finally:
        viewer.close()


def write_screenshot(viewer: Viewer, model: Path, path: Path) -> None:
    """Photograph the review of the sample clip; InputError where something in it does not appear."""
    # Corrections of earlier demonstrations have no place in the picture.
    with tempfile.TemporaryDirectory(prefix="hogseg-demo-") as sessions:
        dock = open_review(viewer, sample_data.clip_path(), sample_data.masks_path(), model, Path(sessions))
        try:
            show_frame(viewer, dock, FRAME_INDEX)
            path.parent.mkdir(parents=True, exist_ok=True)
            photograph(viewer).save(path)
        finally:
            dock.controller.close()


def open_review(
    viewer: Viewer, clip: Path, masks: Path | None, model: Path, sessions_root: Path | None = None
) -> ReviewDock:
    """Open the dock, as the Plugins menu does, on a clip with a model; both load in the background.

    Parameters
    ----------
    viewer : napari.Viewer
    clip, masks, model : Path
    sessions_root : Path, optional
        Where corrections are kept; the user's own folder by default.
    """
    dock: ReviewDock
    _, dock = viewer.window.add_plugin_dock_widget(*DOCK)
    viewer.window.resize(*WINDOW_PX)
    if sessions_root is not None:
        dock.controller.sessions_root = sessions_root
    dock.controller.open(clip, masks)
    dock.controller.load_model(model)
    return dock


def show_frame(viewer: Viewer, dock: ReviewDock, frame_index: int) -> None:
    """Step to a frame and wait until frame, HOG map, prediction and errors of it are shown.

    Raises
    ------
    InputError
        If something fails or does not come in time.
    """
    wait_until(dock, lambda: dock.controller.session is not None, "The clip was not opened")
    viewer.dims.set_current_step(0, frame_index)
    shown = functools.partial(all_shown, dock, frame_index)
    wait_until(dock, shown, "Frame, HOG map, prediction and errors were not shown")
    viewer.reset_view(margin=0.02)  # the dock has grown with its table of scores


def all_shown(dock: ReviewDock, frame_index: int) -> bool:
    """Whether frame, HOG map, prediction and errors of a frame are in the panels."""
    session = dock.controller.session
    if session is None or session.live.computing or dock.controller.layers.updating:
        return False
    state = session.live.state
    return state.shown == state.predicted == frame_index and state.scores is not None


def wait_until(
    dock: ReviewDock, condition: Callable[[], bool], otherwise: str, timeout_s: float = TIMEOUT_S
) -> None:
    """Run the event loop until a condition holds.

    Raises
    ------
    InputError
        If it does not in time, or the dock reports an error meanwhile; `otherwise` says what was awaited.
    """
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if trouble := _trouble(dock):
            raise InputError(otherwise, where=trouble)
        if time.monotonic() > deadline_s:
            raise InputError(f"{otherwise} within {timeout_s:.0f} s", where=dock.status.text())
        turn(0.02)


def _trouble(dock: ReviewDock) -> str:
    """Give what the dock says that waiting will not mend; empty where nothing."""
    session = dock.controller.session
    if not dock.message.isHidden():  # not `isVisible`: a dock behind another tab has messages too
        return str(dock.message.text())
    if session is None:
        return ""
    state = session.live.state
    return str(state.frame_error or state.prediction_error or state.mask_note or "")


def turn(seconds: float) -> None:
    """Run the event loop for a moment."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(round(1000 * seconds), loop.quit)
    loop.exec()


def photograph(viewer: Viewer) -> Image:
    """Take a picture of the whole window, without napari's notifications (such as that PyQt5 is old)."""
    from PIL import Image
    from qtpy.QtWidgets import QApplication

    for widget in QApplication.allWidgets():
        if type(widget).__name__ == "NapariQtNotification":
            widget.close()
    turn(SETTLE_S)
    return Image.fromarray(viewer.screenshot(canvas_only=False, flash=False)).convert("RGB")


if __name__ == "__main__":
    sys.exit(main())
