"""The fine-tune panel: a form, a button, curves and words; it runs the trainer on the reviewer's corrections.

What is corrected, and with which model, a provider tells; the training itself is a process of its own.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import platformdirs
from qtpy.QtCore import Signal
from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import QLabel, QPlainTextEdit, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.config import FineTuneConfig
from napari_hogseg.runs.events import AnyEvent, Message, Progress, Started, Validated
from napari_hogseg.session.jobs import (
    CORRECTIONS,
    EndReport,
    FineTuneJob,
    describe_scores,
    format_duration,
    new_run_folder,
)
from napari_hogseg.ui.curves import LiveCurves
from napari_hogseg.ui.forms import ConfigForm
from napari_hogseg.ui.live import LiveChannel
from napari_hogseg.ui.section import FolderRow, Section, wrapped_label
from napari_hogseg.ui.trainer_process import TrainerProcess

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent

    from napari_hogseg.session.annotations import CorrectionExport

FIELDS = ("steps", "learning_rate", "batch_size", "replay", "device")
LOG_LINES = 500
LOG_HEIGHT_PX = 140
IDLE, PREPARING, RUNNING, STOPPING = "Start fine-tune", "Preparing…", "Stop", "Stopping…"
PROBLEM_STYLE = (
    "QLabel { background: rgba(213, 94, 0, 45); border-left: 4px solid rgb(213, 94, 0); padding: 6px; }"
)
WARNING_STYLE = (
    "QLabel { background: rgba(230, 159, 0, 35); border-left: 4px solid rgb(230, 159, 0); padding: 6px; }"
)


class Provider(Protocol):
    """Who knows the model and the corrections."""

    def base_model(self) -> Path | None:
        """Folder of the model in use."""

    def num_corrected_frames(self) -> int:
        """Frames with corrections."""

    def export_corrections(self, folder: Path) -> CorrectionExport:
        """Write the corrected frames as a data set; called in a worker thread."""


def default_runs_root() -> Path:
    """Where fine-tunes are kept: the user's data folder."""
    return Path(platformdirs.user_data_dir("napari-hogseg", appauthor=False)) / "fine-tunes"


class FineTunePanel(QWidget):
    """Fine-tune the model in use on the corrected frames.

    Parameters
    ----------
    parent : QWidget, optional
    runs_root : Path, optional
        Parent of all run folders.

    Attributes
    ----------
    model_ready : Signal(Path)
        Run folder with a new model.
    """

    model_ready = Signal(Path)

    def __init__(self, parent: QWidget | None = None, runs_root: Path | None = None) -> None:
        super().__init__(parent)
        self.runs_root = runs_root or default_runs_root()
        self._provider: Provider | None = None
        self._state = IDLE
        self._job: FineTuneJob | None = None
        self._checkpoint: Path | None = None
        self._validations: list[Validated] = []
        self._num_steps: int | None = None
        self.form = ConfigForm(FineTuneConfig, FIELDS, choices={"device": ("auto", "cpu")})
        self.replay_data = FolderRow(
            "replay data",
            "where the model was trained",
            "Data set the model was trained on: its frames are replayed against forgetting",
        )
        self.trainer = TrainerProcess()
        self._exports = LiveChannel("exporting corrections")
        self._devices = LiveChannel("looking for devices")
        self._looked_for_devices = False
        self._make_widgets()
        self._lay_out()
        self._connect()
        self._refresh()

    def _make_widgets(self) -> None:
        self.button = QPushButton(IDLE)
        self.bar = QProgressBar()
        self.hint, self.status = wrapped_label(), wrapped_label()
        self.warning, self.problem = wrapped_label(), wrapped_label()
        self.warning.setStyleSheet(WARNING_STYLE)
        self.problem.setStyleSheet(PROBLEM_STYLE)
        self.rescue_button = QPushButton("Use its last checkpoint")
        self.curves = LiveCurves()
        self.log = QPlainTextEdit(readOnly=True)
        self.log.setMaximumBlockCount(LOG_LINES)
        self.log.setFixedHeight(LOG_HEIGHT_PX)
        self.log.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.log.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.log_section = Section("Log", opened=False)
        self.log_section.body.addWidget(self.log)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        shown = (self.form.native, self.replay_data, self.button, self.hint, self.bar, self.status)
        for widget in (*shown, self.warning, self.problem, self.rescue_button, self.curves, self.log_section):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.bar.setVisible(False)
        self.rescue_button.setVisible(False)
        for label in (self.status, self.warning, self.problem):
            _say(label, "")

    def _connect(self) -> None:
        self.button.clicked.connect(self._on_clicked)
        self.rescue_button.clicked.connect(self._on_rescue)
        self.form.changed.connect(self._refresh)
        self._exports.ready.connect(self._on_exported)
        self._exports.failed.connect(self._on_export_failed)
        self._devices.ready.connect(self._on_devices)
        self.trainer.told.connect(self._on_event)
        self.trainer.line.connect(self.log.appendPlainText)
        self.trainer.ended.connect(self._on_ended)
        self.trainer.silent.connect(self._on_silent)
        # No parent and a plain callable: these must outlive the widget to end what they hold.
        self.destroyed.connect(partial(_close, self.trainer, self._exports, self._devices))

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Look for devices when first seen."""
        super().showEvent(event)
        if not self._looked_for_devices:
            self._looked_for_devices = True
            self._devices.request("devices", find_devices)

    # --- what the dock tells ----------------------------------------------------------------------

    def set_provider(self, provider: Provider) -> None:
        """Say who knows the model and the corrections."""
        self._provider = provider
        self._refresh()

    def corrections_changed(self) -> None:
        """Look again at what there is to learn from, and with what."""
        self._refresh()

    # --- start and stop ---------------------------------------------------------------------------

    def _on_clicked(self) -> None:
        if self._state == IDLE:
            self._start()
        elif self._state == RUNNING:
            self._set_state(STOPPING)
            self.trainer.stop()

    def _start(self) -> None:
        provider = self._provider
        base = None if provider is None else provider.base_model()
        if provider is None or base is None:
            self._refresh()
            return
        self._forget_last()
        try:
            run = new_run_folder(self.runs_root, base)
            options = self.form.value().model_dump()
            job = FineTuneJob(base, run / CORRECTIONS, run, options, self.replay_data.folder)
        except InputError as error:
            self._fail(str(error))
            return
        self._set_state(PREPARING)
        _say(self.status, "Writing the corrected frames")
        self._exports.request(job, partial(_export, provider, job))

    def _forget_last(self) -> None:
        self._validations.clear()
        self._checkpoint = self._num_steps = None
        self.curves.clear()
        self.log.clear()
        self.bar.setRange(0, 0)
        self.rescue_button.setVisible(False)
        for label in (self.status, self.warning, self.problem):
            _say(label, "")

    def _on_exported(self, exported: tuple[FineTuneJob, CorrectionExport]) -> None:
        job, export = exported
        self._job = job
        frames = "1 corrected frame" if export.num_frames == 1 else f"{export.num_frames} corrected frames"
        _say(self.status, f"{frames} written; the trainer starts")
        self._set_state(RUNNING)
        self.trainer.start(job)

    def _on_export_failed(self, _job: object, error: InputError) -> None:
        self._fail(f"The corrected frames could not be written. {error}")

    def _on_devices(self, devices: tuple[str, ...]) -> None:
        best = devices[1]  # the first after "auto"
        self.form.set_choices("device", devices, {"auto": f"auto: {best}"})

    # --- while it runs ----------------------------------------------------------------------------

    def _on_event(self, event: AnyEvent) -> None:
        self.curves.add(event)
        match event:
            case Started():
                self._num_steps = event.num_steps
                self.bar.setRange(0, event.num_steps or 0)
                _say(self.status, f"Training on {event.device}: {event.num_train_frames} frames")
            case Progress():
                self.bar.setValue(event.step)
                _say(self.status, describe_progress(event))
            case Validated():
                self._validations.append(event)
            case Message(level="warning"):
                self._warn(event.text)
            case _:
                pass

    def _warn(self, text: str) -> None:
        _say(self.warning, "\n".join(part for part in (self.warning.text(), text) if part))

    def _on_silent(self, seconds: float) -> None:
        text = (
            f"No sign of life from the trainer for {seconds:.0f} s. Stop ends it." if seconds else "Training"
        )
        _say(self.status, text)

    # --- the end ----------------------------------------------------------------------------------

    def _on_ended(self, report: EndReport) -> None:
        if not report.ok:
            self._fail(f"{report.what.rstrip('.')}. {report.remedy}".strip())
            self._checkpoint = report.model_folder
            self.rescue_button.setVisible(report.model_folder is not None)
            return
        scores = describe_scores(self._validations)
        at_step = "" if report.step is None else f" at step {report.step}"
        self._set_state(IDLE)
        _say(self.status, f"{report.what}{at_step}. {scores}".strip())
        if report.model_folder is not None:
            self.status.setToolTip(str(report.model_folder))
            self.model_ready.emit(report.model_folder)

    def _fail(self, text: str) -> None:
        self._set_state(IDLE)
        _say(self.status, "")
        _say(self.problem, text)
        self.log_section.opened = self.log.blockCount() > 1

    def _on_rescue(self) -> None:
        self.rescue_button.setVisible(False)
        if self._checkpoint is not None:
            self.model_ready.emit(self._checkpoint)

    # --- what may be pressed ----------------------------------------------------------------------

    def _set_state(self, state: str) -> None:
        self._state = state
        for widget in (self.form.native, self.replay_data):
            widget.setEnabled(state == IDLE)
        self.bar.setVisible(state != IDLE)
        self._refresh()

    def _refresh(self) -> None:
        reason = self._reason() if self._state == IDLE else ""
        self.button.setText(self._state)
        self.button.setEnabled(self._state == RUNNING or (self._state == IDLE and not reason))
        _say(self.hint, reason)

    def _reason(self) -> str:
        """Say why Start cannot be pressed; empty if it can."""
        provider = self._provider
        if provider is None or provider.base_model() is None:
            return "To start, load a model."
        if provider.num_corrected_frames() == 0:
            return "To start, correct at least one frame: paint on its mask."
        return "To start, mend the marked field." if self.form.problems() else ""


def describe_progress(event: Progress) -> str:
    """Say in one line how far it is: `Step 120 of 300, 12.3 frames/s, 0:45 left`."""
    of_all = "" if event.num_steps is None else f" of {event.num_steps}"
    left = "" if event.eta_s is None else f", {format_duration(event.eta_s)} left"
    return f"Step {event.step}{of_all}, {event.frames_per_s:.1f} frames/s{left}"


def find_devices() -> tuple[str, ...]:
    """List what the trainer may run on: 'auto', then its choice, then the others.

    Asks the drivers, so not on the GUI thread.
    """
    import torch

    found = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return ("auto", *found, "cpu")


def _say(label: QLabel, text: str) -> None:
    label.setText(text)
    label.setVisible(bool(text))


def _export(provider: Provider, job: FineTuneJob) -> tuple[FineTuneJob, CorrectionExport]:
    return job, provider.export_corrections(job.data)


def _close(trainer: TrainerProcess, *channels_and_object: object) -> None:
    trainer.close()
    for channel in channels_and_object:
        if isinstance(channel, LiveChannel):
            channel.close(timeout_s=0.5)
