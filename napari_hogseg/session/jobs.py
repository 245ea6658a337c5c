"""One fine-tune as the desktop sees it: its folders, its command line, and how its end is told.

Starting and watching the process is `ui`'s part. Nothing here needs torch or Qt.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from napari_hogseg.runs.events import Failed, Finished, Validated

CORRECTIONS = "corrections"
"""Folder of the exported frames within the run folder: a run and what it learned from stay together."""

MAX_SAME_SECOND = 100
STAMP = re.compile(r"-ft-\d{8}-\d{6}(-\d+)?$")

MEANINGS = {
    1: "The trainer met an error it does not know",
    2: "The trainer refused its input",
    3: "The trainer could not write to the disk",
    4: "The loss became NaN or infinite",
    5: "The trainer was told to end by the system",
    6: "The trainer ran out of memory",
}
REMEDIES = {
    1: "The log below has its last words.",
    2: "The log below names the input.",
    3: "Free space, then start again.",
    4: "Lower the learning rate.",
    6: "Lower the batch size.",
}
REASONS = {
    "done": "Fine-tune finished",
    "stopped": "Stopped",
    "preempted": "Ended early by the system",
    "time": "Fine-tune finished, its time is up",
    "no-improvement": "Finished early: it no longer improved",
}
KILLED_REMEDY = "If nobody ended it, the system may have run out of memory: lower the batch size."


@dataclass(frozen=True)
class FineTuneJob:
    """What one fine-tune is made of.

    Attributes
    ----------
    base : Path
        Run or model folder to start from.
    data : Path
        The exported corrections, a data-set folder.
    run : Path
        Run folder to be made.
    options : mapping of str to object
        Fields of `FineTuneConfig` by name; None stands for a flag not given.
    replay_data : Path, optional
        Data set the base model was trained on; None: the trainer looks where its training found it.
    """

    base: Path
    data: Path
    run: Path
    options: Mapping[str, object]
    replay_data: Path | None = None

    def arguments(self) -> list[str]:
        """Arguments for the Python interpreter: `-P -m training finetune ...`."""
        # -P keeps the working folder off the module path: a file named torch.py there must not be imported.
        words = ["-P", "-m", "training", "finetune", str(self.base), "--data", str(self.data)]
        words += ["--out", str(self.run), "--events-stdout"]
        for name, value in {**self.options, "replay_data": self.replay_data}.items():
            if value is not None:
                words += [f"--{name.replace('_', '-')}", str(value)]
        return words


@dataclass(frozen=True)
class EndReport:
    """How a trainer process ended.

    Attributes
    ----------
    run : Path
    ok : bool
        True if it ended by itself or by request, with everything written.
    what : str
        What happened, as a sentence without its full stop.
    remedy : str
        What the person can do; empty if there is nothing to mend.
    exit_code : int or None
        None if a signal ended it or it never started.
    signal_number : int or None
    step : int or None
        Last step it told of.
    model_folder : Path or None
        The run folder, if it holds a checkpoint, after a kill too.
    """

    run: Path
    ok: bool
    what: str
    remedy: str = ""
    exit_code: int | None = None
    signal_number: int | None = None
    step: int | None = None
    model_folder: Path | None = None


def new_run_folder(root: Path, base: Path, now: datetime | None = None) -> Path:
    """Name a run folder that does not exist yet: the base model's name and the time.

    Raises
    ------
    InputError
        If every name of this second is taken.
    """
    stem = STAMP.sub("", base.name) or "model"
    name = f"{stem}-ft-{(now or datetime.now().astimezone()):%Y%m%d-%H%M%S}"
    for number in range(1, MAX_SAME_SECOND):
        folder = root / (name if number == 1 else f"{name}-{number}")
        if not folder.exists():
            return folder
    raise InputError("Too many runs began in this second", where=root, remedy="Start again.")


def describe_exit(
    run: Path,
    exit_code: int | None,
    signal_number: int | None,
    last: Finished | Failed | None,
    *,
    asked_to_stop: bool = False,
) -> EndReport:
    """Tell an end in words, from what the process said last and how it left.

    Parameters
    ----------
    run : Path
    exit_code, signal_number : int, optional
        One of them is given.
    last : Finished or Failed, optional
        Its last event of that kind.
    asked_to_stop : bool
        Whether the person had asked for a stop; an end by force is then no surprise.
    """
    if signal_number is not None:
        what = f"The trainer was killed (signal {signal_number}{_signal_name(signal_number)})"
        remedy = "It did not answer to Stop." if asked_to_stop else KILLED_REMEDY
        return EndReport(run, ok=False, what=what, remedy=remedy, signal_number=signal_number)
    code = 0 if exit_code is None else exit_code
    if last is not None and last.kind == "failed":
        return EndReport(
            run, ok=False, what=last.what, remedy=last.remedy or REMEDIES.get(code, ""), exit_code=code
        )
    if last is not None and last.kind == "finished" and code in (0, 5):
        return EndReport(run, ok=True, what=REASONS[last.reason], exit_code=code, step=last.step)
    what = MEANINGS.get(code, "The trainer ended without a word")
    return EndReport(
        run,
        ok=False,
        what=f"{what} (exit code {code})",
        remedy=REMEDIES.get(code, REMEDIES[1]),
        exit_code=code,
    )


def _signal_name(number: int) -> str:
    try:
        return f", {signal.Signals(number).name}"
    except ValueError:
        return ""


def describe_scores(validations: Iterable[Validated]) -> str:
    """Compare the first and last scores of each part.

    Returns
    -------
    str
        Such as `mIoU on corrected frames 0.77 → 0.92, guard 0.92 → 0.91 (step 50 → 300)`; empty if there
        are none.
    """
    scores: dict[str, list[float]] = {}
    steps: list[int] = []
    for event in validations:
        scores.setdefault(event.part, []).append(event.miou)
        steps.append(event.step)
    if not scores:
        return ""
    words = []
    for part in sorted(scores, key=lambda name: name != "corrected"):
        name = "corrected frames" if part == "corrected" else part
        words.append(f"{name} {_change(scores[part])}")
    span = f" (step {steps[0]} → {steps[-1]})" if steps[0] != steps[-1] else ""
    return f"mIoU on {', '.join(words)}{span}"


def _change(values: list[float]) -> str:
    return f"{values[0]:.2f} → {values[-1]:.2f}" if len(values) > 1 else f"{values[0]:.2f}"


def format_duration(seconds: float) -> str:
    """Format seconds as 1:02:03 or 2:03."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
