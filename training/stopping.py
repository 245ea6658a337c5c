"""How a run is asked to stop: signals, a parent's word, a parent's death, a time budget.

Asking sets a flag that the loop reads after every step, so a stop always falls between two whole steps
and leaves a checkpoint.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from types import FrameType

Reason = Literal["stopped", "preempted", "time"]


class StopFlag:
    """The flag, and the time budget.

    Parameters
    ----------
    seconds : float, optional
        Time budget from now on.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self._started_s = time.monotonic()
        self._asked: Reason | None = None

    def ask(self, reason: Reason) -> None:
        """Ask for a stop; the first reason counts."""
        self._asked = self._asked or reason

    def start_clock(self) -> None:
        """Let the time budget begin now: reading the model and the first scores do not count."""
        self._started_s = time.monotonic()

    @property
    def reason(self) -> Reason | None:
        """Why to stop now, or None."""
        if self._asked is None and self.seconds is not None and self.elapsed_s >= self.seconds:
            return "time"
        return self._asked

    @property
    def elapsed_s(self) -> float:
        """Seconds since the clock started."""
        return time.monotonic() - self._started_s

    @property
    def time_share(self) -> float:
        """Share of the time budget that is used; 0 without one."""
        return 0.0 if self.seconds is None else min(1.0, self.elapsed_s / self.seconds)

    def listen_to_signals(self) -> None:
        """Let SIGTERM and Ctrl-C ask for a stop; a second Ctrl-C interrupts at once."""

        def on_signal(number: int, _frame: FrameType | None) -> None:
            self.ask("preempted")
            if number == signal.SIGINT:
                signal.signal(signal.SIGINT, signal.default_int_handler)

        signal.signal(signal.SIGTERM, on_signal)
        signal.signal(signal.SIGINT, on_signal)

    def listen_to_parent(self) -> None:
        """Let the word 'stop' on standard input, or its end (the parent died), ask for a stop."""

        def read() -> None:
            for line in sys.stdin:
                if line.strip() == "stop":
                    self.ask("stopped")
                    return
            self.ask("preempted")

        threading.Thread(target=read, name="parent", daemon=True).start()


@dataclass
class Patience:
    """Early stop: counts validations in a row that brought nothing new.

    Attributes
    ----------
    limit : int
        So many end the run; 0: none do.
    best : float
        Best mIoU of the validations counted.
    num_waited : int
        Validations since.
    """

    limit: int = 0
    best: float = float("-inf")
    num_waited: int = 0

    def count(self, miou: float) -> None:
        """Take in a validation; a NaN brings nothing new."""
        self.num_waited = 0 if miou > self.best else self.num_waited + 1
        self.best = max(self.best, miou)

    @property
    def is_out(self) -> bool:
        """Whether to stop."""
        return 0 < self.limit <= self.num_waited

    def state(self) -> dict[str, float | int]:
        """Fields as plain numbers; `Patience(**state)` has them back."""
        return asdict(self)
