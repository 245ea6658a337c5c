"""Training the runs of a grid: each a `hogseg train` of its own, several at once, resumable run by run.

Owns the child processes and where their runs lie. What a run's numbers say is `scores`' and `statistics`'
part.
"""

from __future__ import annotations

import itertools
import queue
import subprocess
import sys
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.checkpoint import LAST
from napari_hogseg.runs.config import to_toml
from napari_hogseg.runs.events import Failed, Finished, read_events
from training.assembly import CONFIG_FILE, EVENTS_FILE, available_threads, read_config
from training.exits import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from napari_hogseg.runs.config import RunConfig
    from training.experiments.grid import Grid, GridRun

MIN_THREADS = 2
"""Threads a run gets before the machine's cores are shared among more runs."""

_RESOLVED: dict[str, object] = {"data.layout": "auto", "data.train": ()}
"""Fields that a run resolves as it starts, with the value that leaves them to it."""

STOP_TIMEOUT_S = 120.0
"""A stopped run ends its step and writes a checkpoint within this time, or is killed."""


@dataclass(frozen=True)
class Slot:
    """Where one run at a time is trained."""

    device: str
    num_threads: int


@dataclass(frozen=True)
class Failure:
    """A run that ended in an error."""

    run: GridRun
    what: str


def plan_slots(device: str, jobs: int | None, num_threads: int) -> tuple[Slot, ...]:
    """Divide the machine: a run on each GPU, or as many on the CPU as get two threads each.

    Parameters
    ----------
    device : str
        'auto' takes every GPU there is; a named device is shared by all jobs.
    jobs : int or None
        Runs at once; None: as said above.
    num_threads : int
        Torch threads of each; 0 divides the cores.
    """
    num_gpus = torch.cuda.device_count() if device == "auto" else 0
    num_cores = available_threads()
    shares_cpu = device in ("auto", "cpu") and not num_gpus
    count = jobs or num_gpus or (max(1, num_cores // MIN_THREADS) if shares_cpu else 1)
    threads = num_threads or max(1, num_cores // count)
    devices = [f"cuda:{number}" for number in range(num_gpus)] or [device]
    return tuple(Slot(name, threads) for name in itertools.islice(itertools.cycle(devices), count))


def is_done(folder: Path) -> bool:
    """Whether a run's last process ended by itself, with all its steps."""
    ends = [e for e in read_events(folder / EVENTS_FILE) if isinstance(e, (Finished, Failed))]
    return bool(ends) and isinstance(ends[-1], Finished) and ends[-1].reason in ("done", "no-improvement")


def check_run(folder: Path, config: RunConfig) -> None:
    """Refuse a run folder that was trained with another recipe than the grid asks for.

    Raises
    ------
    InputError
        Naming the fields that differ.
    """
    if not (folder / CONFIG_FILE).is_file():
        return
    asked, stored = (_fields(one) for one in (config, read_config(folder)))
    for name, open_value in _RESOLVED.items():
        if asked[name] == open_value:  # left to the program, which wrote down what it found
            del asked[name]
    differing = sorted(name for name in asked if asked[name] != stored.get(name))
    if differing:
        raise InputError(
            f"This run was trained with another recipe: {', '.join(differing)} differ",
            where=folder,
            remedy="Choose another --out for the changed experiment, or remove this run's folder.",
        )


def _fields(config: RunConfig) -> dict[str, object]:
    """List the fields that make a run what it is: not where its data lies, nor what it was computed on."""
    sections = config.model_dump(
        exclude={"recipe": True, "data": {"root"}, "train": {"device", "num_threads"}}
    )
    return {
        f"{section}.{name}": value for section, fields in sections.items() for name, value in fields.items()
    }


class GridRunner:
    """Trains the runs of a grid in child processes.

    Parameters
    ----------
    grid : Grid
    data : Path
        Data set.
    out : Path
        The experiment's folder.
    slots : iterable of Slot
    """

    def __init__(self, grid: Grid, data: Path, out: Path, slots: Iterable[Slot]) -> None:
        self._grid, self._data, self._out = grid, data, out
        self._free: queue.SimpleQueue[Slot] = queue.SimpleQueue()
        self._num_slots = 0
        for slot in slots:
            self._free.put(slot)
            self._num_slots += 1
        self._stops = threading.Event()
        self._children: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()

    def check(self) -> None:
        """Refuse a folder that holds runs by other recipes; nothing is written.

        Raises
        ------
        InputError
            Naming the run and the fields that differ.
        """
        for run in self._grid.runs():
            check_run(self._out / run.folder, self._grid.config(run, self._data))

    def train(self, runs: Iterable[GridRun], after_run: Callable[[GridRun], None]) -> tuple[Failure, ...]:
        """Train runs, going on where they were stopped.

        Parameters
        ----------
        runs : iterable of GridRun
            None of them done.
        after_run : callable
            Called with each run once it is done; in this thread.

        Returns
        -------
        tuple of Failure
            Runs that failed; the others went on.

        Raises
        ------
        KeyboardInterrupt
            After every running child has written its checkpoint.
        """
        failures: list[Failure] = []
        with ThreadPoolExecutor(self._num_slots) as pool:
            waiting = {pool.submit(self._train_one, run): run for run in runs}
            try:
                while waiting:
                    # Short waits: a signal reaches Python's main thread between them, on Windows too.
                    done, _ = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                    for future in done:
                        self._collect(waiting.pop(future), future, failures, after_run)
            except BaseException:
                self._stop()
                for future in waiting:
                    future.cancel()
                raise
        return tuple(failures)

    def _collect(
        self,
        run: GridRun,
        future: Future[str | None],
        failures: list[Failure],
        after_run: Callable[[GridRun], None],
    ) -> None:
        what = future.result()
        if what is None:
            after_run(run)
        else:
            failures.append(Failure(run, what))

    def _train_one(self, run: GridRun) -> str | None:
        """Train one run; returns what went wrong."""
        folder = self._out / run.folder
        slot = self._free.get()
        try:
            return None if self._stops.is_set() else self._run_child(run, folder, slot)
        finally:
            self._free.put(slot)

    def _run_child(self, run: GridRun, folder: Path, slot: Slot) -> str | None:
        command = [sys.executable, "-P", "-m", "training", "train", *self._arguments(run, folder, slot)]
        log = folder.with_suffix(".log")
        with log.open("ab") as output:
            said_before = output.tell()  # an earlier process's error is none of this one's
            # Its input stays open as long as we live: a run never outlives the experiment.
            child = subprocess.Popen(  # noqa: S603 - our own module, our own interpreter
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=output
            )
            with self._lock:
                self._children.add(child)
                if self._stops.is_set() and child.stdin is not None:
                    child.stdin.close()
            code = child.wait()
        with self._lock:
            self._children.discard(child)
        if child.stdin is not None:
            child.stdin.close()
        return None if code == ExitCode.DONE and is_done(folder) else _failure_of(log, said_before, code)

    def _arguments(self, run: GridRun, folder: Path, slot: Slot) -> list[str]:
        goes_on = (folder / LAST).exists()
        recipe = folder / CONFIG_FILE if goes_on else folder.with_suffix(".toml")
        if not goes_on:
            folder.parent.mkdir(parents=True, exist_ok=True)
            config = self._grid.config(run, self._data)
            train = config.train.model_copy(update={"device": slot.device, "num_threads": slot.num_threads})
            atomic.write_text(recipe, to_toml(config.model_copy(update={"train": train})))
            self._set_aside(folder)
        flags = ["--data", str(self._data), "--out", str(folder), "--events-stdout"]
        return [str(recipe), *flags, *(["--resume"] if goes_on else [])]

    def _set_aside(self, folder: Path) -> None:
        """Make room for a new start where a run broke off before its first checkpoint: nothing is lost."""
        if folder.exists():
            number = next(n for n in itertools.count(1) if not folder.with_suffix(f".broken-{n}").exists())
            folder.rename(folder.with_suffix(f".broken-{number}"))

    def _stop(self) -> None:
        """Ask every child to end with a checkpoint, and wait for it."""
        self._stops.set()
        with self._lock:
            children = list(self._children)
            for child in children:
                if child.stdin is not None:
                    child.stdin.close()
        for child in children:
            try:
                child.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                child.kill()


def _failure_of(log: Path, start: int, code: int) -> str:
    """Find the error in what a process wrote to its log from the byte `start` on."""
    said = log.read_bytes()[start:].decode("utf-8", errors="replace").rpartition("error: ")
    # From the last error on, remedy included; the terminal's line breaks mean nothing here.
    reason = " ".join(said[2].split()) if said[1] else "it said no reason"
    return f"{reason} (exit code {code}, {log})"
