"""The trainer as a child process: started, listened to, stopped, and its end explained.

Owns the QProcess. What is trained is the part of `session.jobs`; what is shown is the panel's.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QCoreApplication, QObject, QProcess, QProcessEnvironment, QTimer, Signal

from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.checkpoint import resolve_model_folder
from napari_hogseg.runs.events import Failed, Finished, Progress, parse_event
from napari_hogseg.session.jobs import EndReport, FineTuneJob, describe_exit

if TYPE_CHECKING:
    from pathlib import Path

STOP_PATIENCE_MS = 10_000
"""After Stop: one step, one validation and one checkpoint fit in; then the signals begin."""

TERMINATE_PATIENCE_MS = 5_000
QUIT_PATIENCE_MS = 3_000
SILENCE_S = 20.0
HEARTBEAT_MS = 1_000
MAX_LINE_BYTES = 1 << 20
LOG_LINES = 200
LOG_COLUMNS = 160

_LEFT_BEHIND: list[QProcess] = []
"""Trainers still writing their checkpoint when the window went: a QProcess kills its child when it dies."""


class LineSplitter:
    """Cuts a stream of bytes into lines; the torn end waits for its rest.

    Parameters
    ----------
    max_bytes : int
        A longer line is none of ours: it is thrown away instead of filling the memory.
    """

    def __init__(self, max_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._rest = b""
        self._skipping = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Add bytes; return the lines that are whole now, without their ends."""
        *lines, rest = (self._rest + chunk).split(b"\n")
        if lines and self._skipping:
            del lines[0]
            self._skipping = False
        if len(rest) > self._max_bytes:
            rest, self._skipping = b"", True
        self._rest = rest
        return [line.rstrip(b"\r") for line in lines]

    def flush(self) -> list[bytes]:
        """Return what is left as the last line."""
        rest, self._rest = self._rest, b""
        return [rest] if rest and not self._skipping else []


class TrainerProcess(QObject):
    """One trainer at a time.

    Parameters
    ----------
    parent : QObject, optional
    program : str, optional
        Interpreter; this one where not given.

    Attributes
    ----------
    told : Signal(object)
        Each event of `napari_hogseg.runs.events`.
    line : Signal(str)
        Each line of its standard error.
    ended : Signal(object)
        An EndReport, once for each start.
    silent : Signal(float)
        Seconds without a sign of life, each second from SILENCE_S on; 0 when it speaks again.
    """

    told = Signal(object)
    line = Signal(str)
    ended = Signal(object)
    silent = Signal(float)

    def __init__(self, parent: QObject | None = None, program: str | None = None) -> None:
        super().__init__(parent)
        self._program = program or sys.executable
        self._process: QProcess | None = None
        self._stopping = self._was_silent = False
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self._watch = QTimer(self, interval=HEARTBEAT_MS)
        self._watch.timeout.connect(self._look)
        self._patience = QTimer(self, singleShot=True)
        self._patience.timeout.connect(self._insist)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.close)

    @property
    def running(self) -> bool:
        """Whether a process is there whose end is not told yet."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return None if self._process is None else int(self._process.processId()) or None

    def start(self, job: FineTuneJob) -> None:
        """Start the trainer; what happens then comes as signals.

        Raises
        ------
        RuntimeError
            If one is running: the caller's buttons must not allow it.
        """
        if self._process is not None:
            raise RuntimeError("a trainer is running already")
        self._job = job
        self._last: Finished | Failed | None = None
        self._step: int | None = None
        self._stopping = self._was_silent = self._terminated = False
        self._out, self._err = LineSplitter(), LineSplitter()
        self.log.clear()
        self._process = self._make_process()
        self._heard()
        self._watch.start()
        self._process.start(self._program, job.arguments())

    def _make_process(self) -> QProcess:
        process = QProcess()
        environment = QProcessEnvironment.systemEnvironment()
        environment.insert("PYTHONUTF8", "1")
        environment.insert("COLUMNS", str(LOG_COLUMNS))  # its log lines are not to be broken at 80
        process.setProcessEnvironment(environment)
        process.readyReadStandardOutput.connect(self._read_events)
        process.readyReadStandardError.connect(self._read_log)
        process.finished.connect(self._on_finished)
        process.errorOccurred.connect(self._on_error)
        return process

    def stop(self) -> None:
        """Ask for a checkpoint and an end; insist after a while."""
        process = self._process
        if process is None or self._stopping:
            return
        self._stopping = True
        process.write(b"stop\n")
        self._patience.start(STOP_PATIENCE_MS)

    def close(self) -> None:
        """End the trainer as the window goes: it has a few seconds for its checkpoint. Safe to repeat."""
        process, self._process = self._process, None
        if process is None:
            return
        self._watch.stop()
        self._patience.stop()
        self.blockSignals(True)  # noqa: FBT003 - Qt's signature
        process.closeWriteChannel()  # the trainer takes the end of its input for our death, and stops
        if not process.waitForFinished(QUIT_PATIENCE_MS):
            process.blockSignals(True)  # noqa: FBT003
            _LEFT_BEHIND.append(process)

    def _insist(self) -> None:
        process = self._process
        if process is None:
            return
        if self._terminated:
            process.kill()
            return
        self._terminated = True
        process.terminate()
        self._patience.start(TERMINATE_PATIENCE_MS)

    def _heard(self) -> None:
        self._heard_s = time.monotonic()
        if self._was_silent:
            self._was_silent = False
            self.silent.emit(0.0)

    def _look(self) -> None:
        silence_s = time.monotonic() - self._heard_s
        if silence_s >= SILENCE_S:
            self._was_silent = True
            self.silent.emit(silence_s)

    def _read_events(self) -> None:
        if self._process is not None:
            self._take_events(self._out.feed(bytes(self._process.readAllStandardOutput())))

    def _take_events(self, lines: list[bytes]) -> None:
        self._heard()
        for line in lines:
            event = parse_event(line)
            if event is None:
                continue
            if isinstance(event, (Finished, Failed)):
                self._last = event
            if isinstance(event, (Finished, Progress)):
                self._step = event.step
            self.told.emit(event)

    def _read_log(self) -> None:
        if self._process is not None:
            self._take_log(self._err.feed(bytes(self._process.readAllStandardError())))

    def _take_log(self, lines: list[bytes]) -> None:
        self._heard()
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip()
            if text:
                self.log.append(text)
                self.line.emit(text)

    def _on_error(self, error: QProcess.ProcessError) -> None:
        # All other errors are followed by `finished`.
        if error == QProcess.ProcessError.FailedToStart and self._process is not None:
            what = f"The trainer could not be started: {self._process.errorString()}"
            remedy = "Check the installation with `python -m training selftest`."
            self._end(EndReport(self._job.run, ok=False, what=what, remedy=remedy))

    def _on_finished(self, code: int, status: QProcess.ExitStatus) -> None:
        if self._process is None:
            return
        self._read_events()
        self._read_log()
        self._take_events(self._out.flush())
        self._take_log(self._err.flush())
        killed = status == QProcess.ExitStatus.CrashExit  # then Qt gives the signal's number as the code
        self._end(
            describe_exit(
                self._job.run,
                exit_code=None if killed else code,
                signal_number=code if killed else None,
                last=self._last,
                asked_to_stop=self._stopping,
            )
        )

    def _end(self, report: EndReport) -> None:
        process, self._process = self._process, None
        self._watch.stop()
        self._patience.stop()
        if process is not None:
            process.deleteLater()
        self.ended.emit(replace(report, step=self._step, model_folder=_run_with_model(report.run)))


def _run_with_model(run: Path) -> Path | None:
    try:
        resolve_model_folder(run)
    except InputError:
        return None
    return run
