"""The trainer as a child: heard, stopped, killed, frozen, refused; the real one wherever it takes part."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from finetune_cases import ToyProvider, alive, train_base
from hypothesis import given
from hypothesis import strategies as st

from napari_hogseg.inference.predictor import Predictor
from napari_hogseg.runs.events import Failed, Finished, Message, Progress, Saved
from napari_hogseg.session.jobs import FineTuneJob
from napari_hogseg.ui import trainer_process
from napari_hogseg.ui.trainer_process import LineSplitter, TrainerProcess

ENDLESS = {"steps": 100_000, "batch_size": 2, "num_threads": 1, "device": "cpu"}
TIMEOUT_MS = 60_000

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return train_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def job(base, tmp_path) -> FineTuneJob:
    ToyProvider(base).export_corrections(tmp_path / "corrections")
    return FineTuneJob(base, tmp_path / "corrections", tmp_path / "run", ENDLESS)


class Script(FineTuneJob):
    """Another program in the trainer's place, to say what the real one never says."""

    def arguments(self) -> list[str]:
        return ["-c", self.options["code"]]


def script(tmp_path, code) -> Script:
    return Script(Path("base"), Path("data"), tmp_path / "run", {"code": code})


@pytest.fixture
def trainer(qtbot):
    trainer = TrainerProcess()
    trainer.events, trainer.reports, trainer.silences = [], [], []
    trainer.told.connect(trainer.events.append)
    trainer.ended.connect(trainer.reports.append)
    trainer.silent.connect(trainer.silences.append)
    yield trainer
    pid = trainer.pid
    trainer.close()
    if pid is not None and alive(pid):
        os.kill(pid, signal.SIGKILL)


def wait_for(qtbot, trainer, kind) -> None:
    qtbot.waitUntil(lambda: any(isinstance(event, kind) for event in trainer.events), timeout=TIMEOUT_MS)


def wait_for_end(qtbot, trainer, timeout_ms=TIMEOUT_MS):
    qtbot.waitUntil(lambda: bool(trainer.reports), timeout=timeout_ms)
    assert not trainer.running
    (report,) = trainer.reports
    return report


# --- lines


@given(
    lines=st.lists(st.binary(max_size=20).filter(lambda b: not set(b"\r\n") & set(b)), max_size=8),
    data=st.data(),
)
def test_lines_come_whole_however_the_stream_is_torn(lines, data) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    splitter, got = LineSplitter(), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += splitter.feed(stream[begin:end])
    assert got == lines
    assert splitter.flush() == []


def test_an_endless_line_is_thrown_away_and_the_next_one_read() -> None:
    splitter = LineSplitter(max_bytes=10)
    assert splitter.feed(b"x" * 11) == []
    assert splitter.feed(b"x" * 30) == []
    assert splitter.feed(b"xx\nnext\r\nrest") == [b"next"]
    assert splitter.flush() == [b"rest"]


def test_a_torn_event_and_foreign_words_do_no_harm(trainer, qtbot, tmp_path) -> None:
    text = json.dumps(
        {"kind": "message", "level": "info", "text": "größer", "time_s": 1.0}, ensure_ascii=False
    )
    code = f"""
import sys, time
out = {text!r}.encode()
for part in (b"some library speaks\\n", out[:-9], out[-9:] + b"\\n", out):
    sys.stdout.buffer.write(part); sys.stdout.flush(); time.sleep(0.1)
sys.stderr.write("last words")
"""
    trainer.start(script(tmp_path, code))
    report = wait_for_end(qtbot, trainer)
    assert [event.text for event in trainer.events if isinstance(event, Message)] == ["größer", "größer"]
    assert list(trainer.log) == ["last words"]
    assert not report.ok  # it never said that it finished
    assert report.exit_code == 0


# --- the real trainer


def test_stop_leaves_a_model(trainer, qtbot, job) -> None:
    trainer.start(job)
    with pytest.raises(RuntimeError, match="already"):
        trainer.start(job)
    wait_for(qtbot, trainer, Progress)
    trainer.stop()
    trainer.stop()  # impatience
    report = wait_for_end(qtbot, trainer, trainer_process.STOP_PATIENCE_MS)
    assert (report.ok, report.exit_code, report.signal_number) == (True, 0, None)
    assert report.what == "Stopped"
    finished = trainer.events[-1]
    assert isinstance(finished, Finished)
    assert report.step == finished.step > 0
    assert report.model_folder == job.run
    assert Predictor.load(job.run, "cpu").scheme.name == "toy"
    assert any("corrected mIoU" in line for line in trainer.log)


@posix_only
def test_a_kill_is_told_within_two_seconds_and_another_start_works(trainer, qtbot, job, tmp_path) -> None:
    trainer.start(job)
    wait_for(qtbot, trainer, Progress)
    began_s = time.monotonic()
    os.kill(trainer.pid, signal.SIGKILL)
    report = wait_for_end(qtbot, trainer, 2_000)
    assert time.monotonic() - began_s < 2
    assert "killed (signal 9" in report.what
    assert (report.ok, report.signal_number, report.model_folder) == (False, 9, None)
    trainer.reports.clear()
    trainer.start(FineTuneJob(job.base, job.data, tmp_path / "second", {**ENDLESS, "steps": 2}))
    assert wait_for_end(qtbot, trainer).ok


def test_refused_input_comes_with_its_remedy(trainer, qtbot, job, tmp_path) -> None:
    trainer.start(FineTuneJob(tmp_path / "no model", job.data, job.run, ENDLESS))
    report = wait_for_end(qtbot, trainer)
    assert (report.ok, report.exit_code) == (False, 2)
    assert "No such folder" in report.what
    assert "no model" in report.what
    assert "Choose a run folder" in report.remedy
    assert isinstance(trainer.events[-1], Failed)


def test_a_flag_it_does_not_know_is_a_refusal_without_an_event(trainer, qtbot, job) -> None:
    trainer.start(FineTuneJob(job.base, job.data, job.run, {"colour": "red"}))
    report = wait_for_end(qtbot, trainer)
    assert report.exit_code == 2
    assert "exit code 2" in report.what
    assert any("--colour" in line for line in trainer.log)


def test_the_window_goes_and_the_trainer_ends(trainer, qtbot, job) -> None:
    trainer.start(job)
    wait_for(qtbot, trainer, Progress)
    pid = trainer.pid
    trainer.close()
    trainer.close()
    qtbot.waitUntil(lambda: not alive(pid), timeout=5_000)
    assert trainer.reports == []  # nobody is there to hear it
    assert Predictor.load(job.run, "cpu").scheme.name == "toy"


@posix_only
def test_a_frozen_trainer_is_noticed_and_ended(qtbot, job, monkeypatch) -> None:
    monkeypatch.setattr(trainer_process, "SILENCE_S", 0.6)
    monkeypatch.setattr(trainer_process, "HEARTBEAT_MS", 100)
    monkeypatch.setattr(trainer_process, "STOP_PATIENCE_MS", 200)
    monkeypatch.setattr(trainer_process, "TERMINATE_PATIENCE_MS", 200)
    trainer, silences, reports = TrainerProcess(), [], []
    trainer.silent.connect(silences.append)
    trainer.ended.connect(reports.append)
    with qtbot.waitSignal(trainer.told, timeout=TIMEOUT_MS):
        trainer.start(job)
    os.kill(trainer.pid, signal.SIGSTOP)
    silences.clear()
    qtbot.waitUntil(lambda: bool(silences) and silences[-1] >= 0.6, timeout=5_000)
    os.kill(trainer.pid, signal.SIGCONT)
    qtbot.waitUntil(lambda: silences[-1] == 0.0, timeout=10_000)
    os.kill(trainer.pid, signal.SIGSTOP)
    trainer.stop()
    qtbot.waitUntil(lambda: bool(reports), timeout=5_000)
    assert reports[0].signal_number == signal.SIGKILL
    assert "did not answer to Stop" in reports[0].remedy


def test_a_program_that_is_not_there(qtbot, job) -> None:
    trainer, reports = TrainerProcess(program="/nowhere/python"), []
    trainer.ended.connect(reports.append)
    trainer.start(job)
    qtbot.waitUntil(lambda: bool(reports), timeout=5_000)
    assert "could not be started" in reports[0].what
    assert "selftest" in reports[0].remedy
    assert not trainer.running


def test_events_come_in_order(trainer, qtbot, job) -> None:
    trainer.start(FineTuneJob(job.base, job.data, job.run, {**ENDLESS, "steps": 3}))
    report = wait_for_end(qtbot, trainer)
    kinds = [event.kind for event in trainer.events]
    assert kinds[0] == "started"
    assert kinds[-1] == "finished"
    # The start is scored before the first step: the dock shows what a fine-tune began with.
    assert kinds.index("validated") < kinds.index("progress") < kinds.index("saved")
    assert [event.step for event in trainer.events if isinstance(event, Saved)] == [3]
    assert (report.ok, report.step, report.what) == (True, 3, "Fine-tune finished")
