"""What a person sees in the terminal while a run goes on: a progress bar with ETA, and lines that stay."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from napari_hogseg.runs import events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType


class _Console(Console):
    """Goes silent when nobody reads any more: a parent's end must not cost a run its checkpoint."""

    def on_broken_pipe(self) -> None:
        """Stay alive; rich would exit."""
        self.quiet = True


console = _Console(stderr=True, highlight=False, markup=False)
"""Talk goes to standard error: standard output is for results and events."""


def format_duration(seconds: float | None) -> str:
    """Format seconds as 1:02:03 or 2:03."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def describe_health(health: events.AuxiliaryHealth) -> str:
    """Put the auxiliary task's health into one line: R2 per head, variance, gradients."""
    r2 = " ".join(f"{head.r2_mean:.3f}" for head in health.heads)
    r2_zero = " ".join(f"{head.r2_zero:.3f}" for head in health.heads)
    cosine = "none" if health.gradient_cosine is None else f"{health.gradient_cosine:+.3f}"
    norms = f"{health.segmentation_gradient_norm:.2e} (CE) {health.auxiliary_gradient_norm:.2e} (target)"
    return (
        f"step {health.step}: target {health.target} on {health.part}, "
        f"variance {health.target_variance:.2e}; R2 of the heads against the mean {r2}, "
        f"against zero {r2_zero}; gradient cosine {cosine}, norms {norms}"
    )


class RunReporter:
    """Shows the events of one run; used as a context manager."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._row = self._bar.add_task("training", total=None, state="")

    def __enter__(self) -> RunReporter:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, event: events.AnyEvent) -> None:
        """Show one event."""
        match event:
            case events.Started():
                self._started(event)
            case events.Progress():
                self._progress(event)
            case events.Validated():
                mark = "  best so far" if event.best else ""
                console.print(f"step {event.step}: {event.part} mIoU {event.miou:.4f}{mark}")
            case events.AuxiliaryHealth():
                console.print(describe_health(event))
                if event.note:
                    console.print(f"  {event.note}", style="yellow")
            case events.Residual():
                mark = "  lowest so far" if event.best else ""
                frames = f"on {event.num_frames} held-out frames"
                console.print(f"step {event.step}: HOG residual {event.residual:.6f} {frames}{mark}")
            case events.Message():
                console.print(event.text, style="yellow" if event.level == "warning" else "")
            case events.Finished():
                best = "" if event.best_miou is None else f", best mIoU {event.best_miou:.4f}"
                console.print(
                    f"{event.reason} at step {event.step} after {format_duration(event.elapsed_s)}{best}"
                )
                if event.health is not None:
                    console.print(describe_health(event.health))
            case _:
                pass

    def _started(self, event: events.Started) -> None:
        unlabelled = f"{event.num_unlabelled_frames} without masks, " if event.num_unlabelled_frames else ""
        console.print(
            f"{event.command} on {event.device}: {event.num_train_frames} frames, {unlabelled}"
            f"{event.num_val_frames} watched, {event.num_parameters:,} parameters"
        )
        self._bar.update(self._row, total=event.num_steps, completed=event.first_step)

    def _progress(self, event: events.Progress) -> None:
        state = (
            f"step {event.step}  loss {event.loss:.4f} (CE {event.ce:.4f}, HOG {event.mse:.5f})  "
            f"lr {event.lr:.1e}  {event.frames_per_s:.1f} frames/s  ETA {format_duration(event.eta_s)}"
        )
        self._bar.update(self._row, completed=event.step, state=state)
        if not console.is_terminal:
            console.print(state)


@contextmanager
def counting(label: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar over `total` frames; call what it yields after each."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        row = bar.add_task(label, total=total)
        yield lambda: bar.advance(row)
