"""The fine-tune panel with the real trainer: what may be pressed, what is said, what comes out."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from finetune_cases import ToyProvider, alive, train_base
from qtpy.QtCore import Qt

from napari_hogseg.inference.predictor import Predictor, choose_device
from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.config import FineTuneConfig
from napari_hogseg.runs.events import Progress
from napari_hogseg.session.jobs import CORRECTIONS
from napari_hogseg.ui import finetune_panel
from napari_hogseg.ui.finetune_panel import (
    IDLE,
    PREPARING,
    RUNNING,
    STOPPING,
    FineTunePanel,
    describe_progress,
    find_devices,
)

if TYPE_CHECKING:
    from pathlib import Path

SHORT = FineTuneConfig(steps=3, batch_size=2, validate_every=1, num_threads=1, device="cpu")
ENDLESS = SHORT.model_copy(update={"steps": 100_000, "validate_every": 100_000})
TIMEOUT_MS = 60_000


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return train_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def panel(qtbot, tmp_path, base):
    panel = FineTunePanel(runs_root=tmp_path / "runs")
    panel.models = []
    panel.model_ready.connect(panel.models.append)
    panel.provider = ToyProvider(base)
    panel.set_provider(panel.provider)
    panel.form.set_value(SHORT)
    panel.resize(340, 800)
    panel.show()
    qtbot.addWidget(panel)
    yield panel
    finetune_panel._close(panel.trainer, panel._exports, panel._devices)


def press(qtbot, button) -> None:
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def wait_for(qtbot, panel, state) -> None:
    qtbot.waitUntil(lambda: panel.button.text() == state, timeout=TIMEOUT_MS)


def run_to_progress(qtbot, panel) -> None:
    """Start an endless run and wait until it has made steps."""
    panel.form.set_value(ENDLESS)
    press(qtbot, panel.button)
    qtbot.waitUntil(lambda: "Step" in panel.status.text(), timeout=TIMEOUT_MS)
    assert panel.button.text() == RUNNING


# --- what may be pressed


@pytest.mark.parametrize(
    ("model", "num_frames", "rate", "reason"),
    [
        (False, 2, "0.1", "load a model"),
        (True, 0, "0.1", "correct at least one"),
        (True, 2, "x", "mend the marked"),
    ],
)
def test_start_says_what_it_lacks(panel, base, model, num_frames, rate, reason) -> None:
    panel.provider.base, panel.provider.num_frames = base if model else None, num_frames
    panel.corrections_changed()
    panel.form.widgets["learning_rate"].value = rate
    assert not panel.button.isEnabled()
    assert panel.hint.isVisible()
    assert reason in panel.hint.text()
    panel.provider.base, panel.provider.num_frames = base, 1
    panel.corrections_changed()
    panel.form.widgets["learning_rate"].value = "0.01"
    assert panel.button.isEnabled()
    assert not panel.hint.isVisible()


def test_devices_are_found_off_the_gui_thread(panel, qtbot) -> None:
    device = panel.form.widgets["device"]
    # Not the choices: without a GPU they are the same before anything was looked for.
    qtbot.waitUntil(lambda: device.native.itemText(0) != "auto", timeout=TIMEOUT_MS)
    assert device.choices == find_devices()
    assert find_devices()[0] == "auto"
    (chosen,) = {str(choose_device("auto")), f"{choose_device('auto')}:0"} & set(find_devices())
    assert find_devices()[1] == chosen
    assert device.native.itemText(0) == f"auto: {chosen}"
    assert find_devices()[-1] == "cpu"
    assert panel.form.value().device == "cpu"  # as chosen before they were found


# --- a whole run


def test_a_run_gives_a_model_and_says_what_it_gained(panel, qtbot, base, tmp_path) -> None:
    states = []
    panel.button.clicked.connect(lambda: states.append(panel.button.text()))
    press(qtbot, panel.button)
    assert states == [PREPARING]
    assert not panel.button.isEnabled()
    assert not panel.form.native.isEnabled()
    wait_for(qtbot, panel, RUNNING)
    assert panel.button.isEnabled()
    qtbot.waitUntil(lambda: bool(panel.models), timeout=TIMEOUT_MS)
    (run,) = panel.models
    assert run.parent == tmp_path / "runs"
    assert run.name.startswith("base-ft-")
    assert (run / CORRECTIONS / "dataset.toml").is_file()
    assert Predictor.load(run, "cpu").digest != Predictor.load(base, "cpu").digest
    text = panel.status.text()
    assert text.startswith("Fine-tune finished at step 3. mIoU on corrected frames 0.")
    assert ", guard 0." in text
    assert "(step 0 → 3)" in text
    assert panel.button.text() == IDLE
    assert panel.button.isEnabled()
    assert {"CE", "HOG MSE", "corrected", "guard"} <= set(panel.curves.series)
    assert "done at step 3" in panel.log.toPlainText()
    assert not panel.problem.isVisible()
    assert not panel.bar.isVisible()


def test_stop_keeps_what_was_learned_and_warnings_are_seen(panel, qtbot, base) -> None:
    data = base.parent / "data"
    away = data.rename(data.with_name("away"))  # so that nothing can be replayed, which the trainer warns of
    try:
        run_to_progress(qtbot, panel)
        assert panel.warning.isVisible()
        assert "none are replayed" in panel.warning.text()
        assert panel.bar.maximum() == ENDLESS.steps
        assert panel.bar.value() > 0
        press(qtbot, panel.button)
        assert panel.button.text() == STOPPING
        assert not panel.button.isEnabled()
        wait_for(qtbot, panel, IDLE)
    finally:
        away.rename(data)
    assert panel.status.text().startswith("Stopped at step")
    assert Predictor.load(panel.models[0], "cpu").scheme.name == "toy"
    assert panel.warning.isVisible()


def test_replay_data_that_moved_can_be_named(panel, qtbot, base) -> None:
    data = base.parent / "data"
    away = data.rename(data.with_name("away"))
    try:
        panel.replay_data.set_folder(away)
        press(qtbot, panel.button)
        qtbot.waitUntil(lambda: bool(panel.models), timeout=TIMEOUT_MS)
    finally:
        away.rename(data)
    assert not panel.warning.isVisible()
    assert ", guard 0." in panel.status.text()
    assert panel.replay_data.label.whole_text == "away"
    press(qtbot, panel.replay_data.forget_button)
    assert panel.replay_data.folder is None
    assert panel.replay_data.label.whole_text == "where the model was trained"


# --- failures


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_killed_trainer_is_told_and_its_checkpoint_offered_and_one_may_start_again(
    panel, qtbot, base
) -> None:
    run_to_progress(qtbot, panel)
    run = panel._job.run
    shutil.copytree(base / "checkpoints", run / "checkpoints")  # as a longer run would have left it
    shutil.copy(base / "last", run / "last")
    os.kill(panel.trainer.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: panel.problem.isVisible(), timeout=2_000)
    assert "killed (signal 9" in panel.problem.text()
    assert "memory" in panel.problem.text()
    assert panel.models == []
    assert panel.log_section.opened
    press(qtbot, panel.rescue_button)
    assert panel.models == [run]
    assert not panel.rescue_button.isVisible()

    panel.form.set_value(SHORT)
    press(qtbot, panel.button)
    assert not panel.problem.isVisible()
    qtbot.waitUntil(lambda: len(panel.models) == 2, timeout=TIMEOUT_MS)
    assert panel.models[1] != run


def test_refused_input_is_shown_with_its_remedy(panel, qtbot, tmp_path) -> None:
    panel.provider.base = tmp_path / "gone"
    press(qtbot, panel.button)
    qtbot.waitUntil(lambda: panel.problem.isVisible(), timeout=TIMEOUT_MS)
    assert "No such folder" in panel.problem.text()
    assert "gone" in panel.problem.text()
    assert "Choose a run folder" in panel.problem.text()
    assert not panel.rescue_button.isVisible()
    assert panel.button.isEnabled()


def test_an_export_that_fails_is_shown(panel, qtbot) -> None:
    panel.provider.error = InputError("The disk is full", where="/data", remedy="Free space.")
    press(qtbot, panel.button)
    qtbot.waitUntil(lambda: panel.problem.isVisible(), timeout=5_000)
    for words in ("could not be written", "The disk is full", "/data", "Free space."):
        assert words in panel.problem.text()
    assert panel.button.text() == IDLE
    assert panel.button.isEnabled()
    assert panel.models == []


def test_silence_is_said_and_unsaid(panel) -> None:
    panel.trainer.silent.emit(23.4)
    assert "No sign of life" in panel.status.text()
    assert "23 s" in panel.status.text()
    panel.trainer.silent.emit(0.0)
    assert panel.status.text() == "Training"


def test_no_trainer_outlives_the_panel(qtbot, tmp_path, base) -> None:
    panel = FineTunePanel(runs_root=tmp_path / "runs")
    panel.set_provider(ToyProvider(base))
    panel.show()
    run_to_progress(qtbot, panel)
    run, pid = panel._job.run, panel.trainer.pid
    panel.deleteLater()
    del panel
    qtbot.waitUntil(lambda: not alive(pid), timeout=8_000)
    assert Predictor.load(run, "cpu").scheme.name == "toy"


def test_progress_in_words() -> None:
    event = Progress(
        step=120, num_steps=300, loss=1, ce=1, mse=1, lr=1, frames_per_s=12.34, eta_s=45.2, elapsed_s=1
    )
    assert describe_progress(event) == "Step 120 of 300, 12.3 frames/s, 0:45 left"
    endless = event.model_copy(update={"num_steps": None, "eta_s": None})
    assert describe_progress(endless) == "Step 120, 12.3 frames/s"
