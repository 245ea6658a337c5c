"""The fine-tune panel: a form, a button, curves and words; it runs the trainer on the reviewer's corrections.

What is corrected, and with which model, a provider tells; what is trained, the trainer's process.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import platformdirs
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QPlainTextEdit, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.config import FineTuneConfig
from napari_hogseg.runs.events import AnyEvent, Message, Progress, Started, Validated
from napari_hogseg.session.jobs import (
    CORRECTIONS,
    EndReport,
    FineTuneJob,
    describe_scores,
    new_run_folder,
)
from napari_hogseg.ui.curves import LiveCurves
from napari_hogseg.ui.forms import ConfigForm
from napari_hogseg.ui.live import LiveChannel
from napari_hogseg.ui.section import wrapped_label
from napari_hogseg.ui.trainer_process import TrainerProcess

if TYPE_CHECKING:
    from napari_hogseg.session.annotations import CorrectionExport

LOG_LINES = 500
IDLE, PREPARING, RUNNING, STOPPING = "Start fine-tune", "Preparing…", "Stop", "Stopping…"


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
        self._validations: list[Validated] = []
        self.form = ConfigForm(
            FineTuneConfig, ("steps", "learning_rate", "device"), choices={"device": ("auto", "cpu")}
        )
        self.button = QPushButton(IDLE)
        self.bar = QProgressBar()
        self.bar.setVisible(False)
        self.status = wrapped_label()
        self.problem = wrapped_label()
        self.problem.setVisible(False)
        self.curves = LiveCurves()
        self.log = QPlainTextEdit(readOnly=True)
        self.log.setMaximumBlockCount(LOG_LINES)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (
            self.form.native, self.button, self.bar, self.status, self.problem, self.curves, self.log,
        ):  # fmt: skip
            layout.addWidget(widget)
        self.trainer = TrainerProcess(self)
        self._exports = LiveChannel("exporting corrections", self)
        self._connect()
        self._refresh()

    def _connect(self) -> None:
        self.button.clicked.connect(self._on_clicked)
        self.form.changed.connect(self._refresh)
        self._exports.ready.connect(self._on_exported)
        self._exports.failed.connect(self._on_export_failed)
        self.trainer.told.connect(self._on_event)
        self.trainer.line.connect(self.log.appendPlainText)
        self.trainer.ended.connect(self._on_ended)
        self.trainer.silent.connect(self._on_silent)

    def set_provider(self, provider: Provider) -> None:
        """Say who knows the model and the corrections."""
        self._provider = provider
        self._refresh()

    def corrections_changed(self) -> None:
        """Look again at what there is to learn from."""
        self._refresh()

    def _reason(self) -> str:
        provider = self._provider
        if provider is None or provider.base_model() is None:
            return "Load a model first."
        if provider.num_corrected_frames() == 0:
            return "Correct at least one frame first."
        if self.form.problems():
            return "Mend the marked field first."
        return ""

    def _refresh(self) -> None:
        self.button.setText(self._state)
        if self._state != IDLE:
            self.button.setEnabled(self._state == RUNNING)
            return
        reason = self._reason()
        self.button.setEnabled(not reason)
        self.button.setToolTip(reason)
        if reason:
            self.status.setText(reason)

    def _set_state(self, state: str) -> None:
        self._state = state
        self.form.native.setEnabled(state == IDLE)
        self.bar.setVisible(state != IDLE)
        self._refresh()

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
            return
        config = self.form.value()
        run = new_run_folder(self.runs_root, base)
        job = FineTuneJob(base, run / CORRECTIONS, run, config.model_dump())
        self._validations.clear()
        self.curves.clear()
        self.log.clear()
        self.problem.setVisible(False)
        self.bar.setRange(0, 0)
        self.status.setText("Writing the corrected frames")
        self._set_state(PREPARING)
        self._exports.request(job, partial(_export, provider, job))

    def _on_exported(self, exported: tuple[FineTuneJob, CorrectionExport]) -> None:
        job, export = exported
        self.status.setText(f"{export.num_frames} corrected frames written; the trainer starts")
        self._set_state(RUNNING)
        self.trainer.start(job)

    def _on_export_failed(self, _job: object, error: InputError) -> None:
        self._fail(str(error))

    def _on_event(self, event: AnyEvent) -> None:
        self.curves.add(event)
        if isinstance(event, Started):
            self.bar.setRange(0, event.num_steps or 0)
        elif isinstance(event, Progress):
            self.bar.setValue(event.step)
            self.status.setText(f"Step {event.step}, {event.frames_per_s:.1f} frames/s")
        elif isinstance(event, Validated):
            self._validations.append(event)
        elif isinstance(event, Message):
            self.status.setText(event.text)

    def _on_silent(self, seconds: float) -> None:
        self.status.setText(f"No sign of life for {seconds:.0f} s" if seconds else "Training")

    def _on_ended(self, report: EndReport) -> None:
        if not report.ok:
            self._fail(f"{report.what}. {report.remedy}".strip())
        else:
            scores = describe_scores(self._validations)
            self._set_state(IDLE)
            self.status.setText(f"{report.what} at step {report.step}. {scores}".strip())
        if report.ok and report.model_folder is not None:
            self.model_ready.emit(report.model_folder)

    def _fail(self, text: str) -> None:
        self._set_state(IDLE)
        self.status.setText("")
        self.problem.setText(text)
        self.problem.setVisible(True)


def _export(provider: Provider, job: FineTuneJob) -> tuple[FineTuneJob, CorrectionExport]:
    return job, provider.export_corrections(job.data)
