"""The command line of a fine-tune is one the trainer takes, and every end has words."""

from __future__ import annotations

import shlex
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.config import FineTuneConfig
from napari_hogseg.runs.events import Failed, Finished, Validated
from napari_hogseg.session import jobs
from napari_hogseg.session.jobs import (
    FineTuneJob,
    describe_exit,
    describe_scores,
    format_duration,
    new_run_folder,
)

RUN = Path("runs/one")
NOW = datetime(2030, 1, 2, 3, 4, 5)


def finished(reason, step=12):
    return Finished(step=step, reason=reason, best_miou=None, elapsed_s=1.0)


def validated(step, part, miou):
    return Validated(step=step, part=part, miou=miou, iou={}, num_frames=1)


def test_every_option_is_a_flag_of_the_trainer() -> None:
    from training.cli import app

    options = FineTuneConfig(seconds=5.0).model_dump()
    words = FineTuneJob(Path("base"), Path("data"), RUN, options).arguments()
    assert words[:4] == ["-P", "-m", "training", "finetune"]
    assert set(FineTuneConfig.model_fields) == {
        word.removeprefix("--").replace("-", "_")
        for word in words
        if word.startswith("--") and word not in ("--data", "--out", "--events-stdout")
    }
    # The trainer's parser takes all of them: it gets as far as looking for the model.
    result = CliRunner().invoke(app, [*words[3:], "--layout", "nowhere"])
    assert result.exit_code != 2, shlex.join(words)
    assert isinstance(result.exception, InputError)


def test_an_option_that_is_none_is_left_out() -> None:
    words = FineTuneJob(Path("base"), Path("data"), RUN, {"seconds": None, "learning_rate": 1e-5}).arguments()
    assert "--seconds" not in words
    assert "--replay-data" not in words
    named = FineTuneJob(Path("base"), Path("data"), RUN, {}, Path("old frames")).arguments()
    assert named[-2:] == ["--replay-data", "old frames"]
    assert float(words[words.index("--learning-rate") + 1]) == 1e-5


def test_run_folders_are_named_after_the_first_model_and_never_reused(tmp_path) -> None:
    first = new_run_folder(tmp_path, Path("models/vocal"), NOW)
    assert first.name == "vocal-ft-20300102-030405"
    first.mkdir()
    second = new_run_folder(tmp_path, first, NOW)
    assert second.name == "vocal-ft-20300102-030405-2"
    second.mkdir()
    assert new_run_folder(tmp_path, second, NOW).name == "vocal-ft-20300102-030405-3"


def test_a_second_has_room_for_so_many_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(jobs, "MAX_SAME_SECOND", 2)
    new_run_folder(tmp_path, Path("m"), NOW).mkdir()
    with pytest.raises(InputError, match="Too many runs"):
        new_run_folder(tmp_path, Path("m"), NOW)


@pytest.mark.parametrize(
    ("reason", "code", "words"),
    [
        ("done", 0, "Fine-tune finished"),
        ("time", 0, "its time is up"),
        ("no-improvement", 0, "no longer improved"),
        ("stopped", 0, "Stopped"),
        ("preempted", 5, "Ended early"),
    ],
)
def test_an_end_as_it_should_be(reason, code, words) -> None:
    report = describe_exit(RUN, code, None, finished(reason))
    assert report.ok
    assert words in report.what
    assert (report.step, report.exit_code, report.remedy) == (12, code, "")


def test_a_kill_names_its_signal() -> None:
    report = describe_exit(RUN, None, 9, None)
    assert not report.ok
    assert "killed (signal 9, SIGKILL)" in report.what
    assert "memory" in report.remedy
    asked = describe_exit(RUN, None, 9, None, asked_to_stop=True)
    assert "did not answer to Stop" in asked.remedy
    assert "killed (signal 99)" in describe_exit(RUN, None, 99, None).what


def test_a_failure_says_what_the_trainer_said() -> None:
    failed = Failed(exit_code=2, what="The model is damaged [here]", remedy="Copy it again.")
    report = describe_exit(RUN, 2, None, failed)
    assert (report.ok, report.what, report.remedy) == (False, failed.what, failed.remedy)


def test_a_failure_without_a_remedy_gets_that_of_its_code() -> None:
    report = describe_exit(RUN, 6, None, Failed(exit_code=6, what="CUDA out of memory"))
    assert "batch size" in report.remedy


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 6, 77])
def test_an_end_without_a_word_still_has_words(code) -> None:
    report = describe_exit(RUN, code, None, None)
    assert not report.ok
    assert f"exit code {code}" in report.what
    assert report.remedy


def test_a_crash_after_the_last_word_is_no_success() -> None:
    assert not describe_exit(RUN, 1, None, finished("done")).ok


def test_scores_compare_first_and_last() -> None:
    events = [
        validated(50, "guard", 0.92),
        validated(50, "corrected", 0.77),
        validated(100, "corrected", 0.85),
        validated(100, "guard", 0.90),
        validated(150, "corrected", 0.92),
        validated(150, "guard", 0.91),
    ]
    assert (
        describe_scores(events) == "mIoU on corrected frames 0.77 → 0.92, guard 0.92 → 0.91 (step 50 → 150)"
    )
    assert describe_scores(events[1:2]) == "mIoU on corrected frames 0.77"
    assert describe_scores([]) == ""


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (75, "1:15"), (3723, "1:02:03"), (-3, "0:00")])
def test_durations(seconds, text) -> None:
    assert format_duration(seconds) == text
