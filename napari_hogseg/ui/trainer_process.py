"""The trainer as a child process: started, listened to, stopped, and its end explained.

Owns the QProcess. What is trained is `session.jobs`' part; what is shown is the panel's.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import TYPE_CHECKING

from qtpy.QtCore import QCoreApplication, QObject, QProcess, QProcessEnvironment, QTimer, Signal

from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.checkpoint import resolve_model_folder
from napari_hogseg.runs.events import Failed, Finished, Progress, parse_event
from napari_hogseg.session.jobs import EndReport, FineTuneJob, describe_exit

if TYPE_CHECKING:
    from dataclasses import dataclass  # noqa: F401

STOP_PATIENCE_MS = 10_000
TERMINATE_PATIENCE_MS = 5_000
QUIT_PATIENCE_MS = 3_000
SILENCE_S = 20.0
HEARTBEAT_MS = 1_000
MAX_LINE_BYTES = 1 << 20
LOG_LINES = 200


class LineSplitter:
    """Cuts a stream of bytes into lines; the torn end waits for its rest.

    A line longer than `max_bytes` is none of ours: it is thrown away instead of filling the memory.
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
        self._job: FineTuneJob | None = None
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self._watch = QTimer(self, interval=HEARTBEAT_MS)
        self._watch.timeout.connect(self._look)
        self._patience = QTimer(self, singleShot=True)
        self._patience.timeout.connect(self._escalate)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.close)

    @property
    def running(self) -> bool:
        """Whether a process is there, or its end is not told yet."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return int(self._process.processId()) or None if self._process is not None else None

    def start(self, job: FineTuneJob) -> None:
        """Start the trainer; what happens then comes as signals.

        Raises
        ------
        RuntimeError
            If one is running: the caller's buttons must not allow it.
        """
        if self._process is not None:
            raise RuntimeError("a trainer is running already")
        self._job, self._last, self._step = job, None, None
        self._stopping = self._was_silent = False
        self._out, self._err = LineSplitter(), LineSplitter()
        self.log.clear()
        process = QProcess(self)
        environment = QProcessEnvironment.systemEnvironment()
        environment.insert("PYTHONUTF8", "1")
        process.setProcessEnvironment(environment)
        process.readyReadStandardOutput.connect(self._read_events)
        process.readyReadStandardError.connect(self._read_log)
        process.finished.connect(self._on_finished)
        process.errorOccurred.connect(self._on_error)
        self._process = process
        self._heard()
        self._watch.start()
        process.start(self._program, job.arguments())

    def stop(self) -> None:
        """Ask for a checkpoint and an end; insist after a while."""
        process = self._process
        if process is None or self._stopping:
            return
        self._stopping = True
        process.write(b"stop\n")
        self._patience.start(STOP_PATIENCE_MS)

    def close(self) -> None:
        """End the process because the window goes: it gets a few seconds for its checkpoint. Safe to repeat."""
        process = self._process
        if process is None:
            return
        self._stopping = True
        process.closeWriteChannel()
        process.waitForFinished(QUIT_PATIENCE_MS)

    def _escalate(self) -> None:
        process = self._process
        if process is None:
            return
        if self._patience.interval() == STOP_PATIENCE_MS:
            process.terminate()
            self._patience.start(TERMINATE_PATIENCE_MS)
        else:
            process.kill()

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
        if error == QProcess.ProcessError.FailedToStart and self._process is not None and self._job is not None:
            what = f"The trainer could not be started: {self._process.errorString()}"
            remedy = "Check the installation with `python -m training selftest`."
            self._end(EndReport(self._job.run, ok=False, what=what, remedy=remedy))

    def _on_finished(self, code: int, status: QProcess.ExitStatus) -> None:
        if self._process is None or self._job is None:
            return
        self._read_events()
        self._read_log()
        self._take_events(self._out.flush())
        self._take_log(self._err.flush())
        crashed = status == QProcess.ExitStatus.CrashExit
        # After a crash Qt gives the signal's number as the exit code (on POSIX).
        report = describe_exit(
            self._job.run,
            None if crashed else code,
            code if crashed else None,
            self._last,
            asked_to_stop=self._stopping,
        )
        self._end(report)

    def _end(self, report: EndReport) -> None:
        from dataclasses import replace

        process, self._process = self._process, None
        self._watch.stop()
        self._patience.stop()
        if process is not None:
            process.deleteLater()
        self.ended.emit(replace(report, step=self._step, model_folder=_model_in(report)))


def _model_in(report: EndReport):
    try:
        resolve_model_folder(report.run)
    except InputError:
        return None
    return report.run
