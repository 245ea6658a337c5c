"""The demonstration as `make demo` runs it: a picture of all four panels, or one line on what is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import sample_data
from napari_hogseg.data.scheme import LabelScheme
from napari_hogseg.io.errors import InputError
from napari_hogseg.ui import demo

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

CORRECT_RGB = (0, 158, 115)  # of the error legend
INSTRUMENT = 7

needs_napari = pytest.mark.skipif(
    importlib.util.find_spec("napari") is None, reason="napari is not installed"
)


def run_demo(*arguments: object, program: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["-P", "-m", "napari_hogseg.ui.demo"] if not program else ["-P", "-c", program]
    return subprocess.run(
        [*on_display(environment), sys.executable, *command, *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def on_display(environment: dict[str, str]) -> list[str]:
    if os.environ.get("DISPLAY") or environment or not sys.platform.startswith("linux"):
        return []
    if shutil.which("xvfb-run") is None:
        pytest.skip("napari's canvas needs a display, and xvfb-run is not installed")
    return ["xvfb-run", "-a", "-s", "-screen 0 1920x1200x24"]


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """What the demonstration itself says, among napari's warnings."""
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("napari-hogseg demo: ")]
    return line


def share(picture: npt.NDArray[np.uint8], rgb: tuple[int, ...], within: int = 3) -> float:
    """Share of the pixels of this colour."""
    return float((np.abs(picture.astype(int) - rgb) <= within).all(axis=-1).mean())


@needs_napari
@pytest.mark.slow
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_screenshot_shows_all_four_panels(tmp_path: Path, theme: str) -> None:
    path = tmp_path / "new" / "demo.png"
    done = run_demo("--screenshot", path, "--theme", theme)
    assert done.returncode == 0, done.stderr
    window = np.asarray(Image.open(path))
    assert window.shape[:2] == demo.WINDOW_PX[::-1]
    # The canvas lies between layer list and dock, above the timeline; the panels in its quarters.
    (left, right), (upper, lower) = (slice(356, 700), slice(714, 1058)), (slice(40, 362), slice(385, 707))
    truth, hog = window[upper, left], window[upper, right]
    prediction, errors = window[lower, left], window[lower, right]
    for panel in (truth, hog, prediction, errors):
        assert panel.std() > 20, "an empty panel"
    assert share(errors, CORRECT_RGB) > 0.005
    assert share(truth, CORRECT_RGB) == share(prediction, CORRECT_RGB) == 0
    # The map is grey strokes on a dimmed frame.
    assert np.ptp(hog.astype(int), axis=-1)[hog.max(axis=-1) > 200].mean() < 30
    # Prediction and ground truth are coloured alike; the other two are not.
    np.testing.assert_allclose(prediction.mean((0, 1)), truth.mean((0, 1)), atol=5)
    assert np.abs(errors.mean((0, 1)) - truth.mean((0, 1))).max() > 20
    assert window[60:600, 1110:].std() > 20, "the dock"


@needs_napari
@pytest.mark.slow
def test_the_window_closes_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    done = run_demo("--seconds", 3)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_the_frame_of_the_picture_holds_an_instrument() -> None:
    scheme = LabelScheme.read(sample_data.scheme_path())
    assert scheme.classes[INSTRUMENT] == "Instrument"
    mask = np.asarray(Image.open(sample_data.masks_path() / f"frame_{demo.FRAME_INDEX:06d}.png"))
    assert (mask == INSTRUMENT).mean() > 0.02


@needs_napari
def test_a_binding_that_starts_is_named() -> None:
    done = run_demo("--binding-check")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] in {"PyQt5", "PyQt6", "PySide6"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a display")
@needs_napari
def test_without_a_display_one_line_says_so() -> None:
    done = run_demo(DISPLAY="", WAYLAND_DISPLAY="")
    assert done.returncode == 2
    assert "xvfb-run" in one_line(done)


@needs_napari
def test_where_qt_cannot_start_its_packages_are_named() -> None:
    done = run_demo(QT_QPA_PLATFORM="none-such")
    assert done.returncode == 2
    line = one_line(done)
    assert "none-such" in line
    assert not sys.platform.startswith("linux") or "libxcb-cursor0" in line


def test_without_the_extra_one_line_says_how_to_install_it() -> None:
    program = (
        "import sys; sys.modules['napari'] = None\nfrom napari_hogseg.ui import demo; sys.exit(demo.main([]))"
    )
    done = run_demo(program=program, DISPLAY="")
    assert done.returncode == 2
    assert one_line(done).endswith('pip install "napari-hogseg[pyqt6]"')


@needs_napari
@pytest.mark.slow
def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    done = run_demo("--screenshot", tmp_path / "demo.png", "--model", tmp_path)
    assert done.returncode == 1, done.stderr
    assert str(tmp_path) in one_line(done)
    assert not (tmp_path / "demo.png").exists()


def test_a_model_that_is_not_there_is_told_before_a_window_opens(tmp_path: Path) -> None:
    options = Namespace(model=tmp_path / "none-such", screenshot=None, theme="dark")
    with pytest.raises(InputError, match=r"none-such.*make sample-model"):
        demo.run(options)
