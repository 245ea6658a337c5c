"""Typed events of a run: one JSON object a line, append-only, the source of truth for every curve.

The trainer writes them to `events.jsonl` and, for a parent that listens, to its standard output.
"""

from __future__ import annotations

import io
import os
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Event(BaseModel):
    """What every event carries."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    time_s: float = Field(default_factory=time.time, description="Seconds since the epoch.")


class Started(Event):
    """The first event of a process: what will be trained, on what."""

    kind: Literal["started"] = "started"
    pid: int
    command: Literal["train", "finetune", "adapt"]
    device: str
    num_steps: int | None = Field(description="None where a time budget ends the run.")
    seconds: float | None = None
    first_step: int = 0
    num_train_frames: int = Field(description="With masks.")
    num_val_frames: int
    num_parameters: int
    num_unlabelled_frames: int = Field(default=0, description="Training frames whose masks are not read.")


class Progress(Event):
    """The loss terms of one optimiser step, averaged since the last Progress."""

    kind: Literal["progress"] = "progress"
    step: int
    num_steps: int | None
    loss: float
    ce: float = Field(description="Sum of the cross entropies over all outputs, alpha not applied.")
    extra: dict[str, float] = Field(
        default={},
        description="Sums over all outputs of the other segmentation terms that the recipe asks for.",
    )
    mse: float = Field(description="Sum of the HOG mean squared errors over all heads, beta not applied.")
    lr: float
    frames_per_s: float
    eta_s: float | None
    elapsed_s: float


class Validated(Event):
    """Scores on the validation frames: data-set confusion matrix, ignore dropped."""

    kind: Literal["validated"] = "validated"
    step: int
    part: str = Field(default="val", description="'val', or 'guard' for frames watched for forgetting.")
    miou: float
    iou: dict[str, float | None] = Field(description="Per class; None where the class is absent.")
    num_frames: int
    best: bool = False


class HeadHealth(BaseModel):
    """How well one regression head predicts its target on frames it was not trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    r2_mean: float = Field(description="1 - squared error / that of always predicting the frames' mean.")
    r2_zero: float = Field(description="1 - squared error / that of always predicting 0.")
    mse: float


class AuxiliaryHealth(Event):
    """Whether the auxiliary task has something to teach, learns it, and pulls with the segmentation."""

    kind: Literal["health"] = "health"
    step: int
    target: str = Field(description="Kind of the pseudo-label.")
    part: str = Field(description="Which watched frames: 'val', or 'corrected' in a fine-tune.")
    num_frames: int
    target_variance: float = Field(description="Over the frames, mean over the label's values.")
    heads: tuple[HeadHealth, ...]
    gradient_cosine: float | None = Field(
        description="Between the two tasks' gradients on the shared trunk; None where one is zero."
    )
    segmentation_gradient_norm: float = Field(description="On the shared trunk, alpha not applied.")
    auxiliary_gradient_norm: float = Field(description="On the shared trunk, beta not applied.")
    note: str = Field(default="", description="What a person should know about these numbers.")


class Residual(Event):
    """How well the heads predict the held-out frames of an adaptation's video."""

    kind: Literal["residual"] = "residual"
    step: int
    residual: float = Field(description="Sum of the heads' mean squared errors.")
    num_frames: int
    best: bool = Field(description="The lowest so far; the model's own, before any step, counts.")


class Saved(Event):
    """A checkpoint that is durable."""

    kind: Literal["saved"] = "saved"
    step: int
    folder: str = Field(description="Relative to the run folder.")
    best: bool


class Message(Event):
    """A line for the log."""

    kind: Literal["message"] = "message"
    level: Literal["info", "warning"]
    text: str


class Finished(Event):
    """The process ends as it should; every checkpoint named here is durable."""

    kind: Literal["finished"] = "finished"
    step: int
    reason: Literal["done", "stopped", "preempted", "time", "no-improvement"]
    best_miou: float | None
    elapsed_s: float
    health: AuxiliaryHealth | None = Field(default=None, description="The last one of the run.")


class Failed(Event):
    """The process ends because of an error."""

    kind: Literal["failed"] = "failed"
    exit_code: int
    what: str
    remedy: str = ""


AnyEvent = Annotated[
    Started | Progress | Validated | AuxiliaryHealth | Residual | Saved | Message | Finished | Failed,
    Field(discriminator="kind"),
]
_ADAPTER: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)


def parse_event(line: str | bytes) -> AnyEvent | None:
    """Parse one line: its event, or None for anything else (a half-written last line, a library's print)."""
    try:
        return _ADAPTER.validate_json(line)
    except ValidationError:
        return None


def read_events(path: Path) -> Iterator[AnyEvent]:
    """Yield all whole events of an `events.jsonl`; a torn last line (power cut) is passed over."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        for line in file:
            event = parse_event(line)
            if event is not None:
                yield event


class EventWriter:
    """Append events to a file, and to a stream where a parent listens.

    Parameters
    ----------
    path : Path
        `events.jsonl`; created when missing.
    stream : TextIO, optional
        Gets the same lines, flushed one by one.
    """

    def __init__(self, path: Path, stream: TextIO | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8", newline="\n")
        if path.stat().st_size and not _ends_with_newline(path):
            self._file.write("\n")  # a torn line of an earlier process must not swallow our first event
        self._stream = stream

    def write(self, event: AnyEvent) -> None:
        """Write one event; durable for checkpoints and ends, flushed for all others."""
        line = event.model_dump_json() + "\n"
        self._file.write(line)
        self._file.flush()
        if isinstance(event, (Saved, Finished, Failed)):
            os.fsync(self._file.fileno())
        if self._stream is not None:
            try:
                self._stream.write(line)
                self._stream.flush()
            except (BrokenPipeError, ValueError):
                self._stream = None  # the parent is gone; the file still tells all

    def close(self) -> None:
        """Close the file; the stream is the caller's."""
        self._file.close()

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(self, *_exc: Any) -> None:  # noqa: ANN401 - the protocol's own types
        self.close()


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, io.SEEK_END)
        return file.read(1) == b"\n"
