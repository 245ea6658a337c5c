"""`hogseg experiment`: from a grid's name to a table, a plot and paired statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.config import to_toml
from training import reporting
from training.experiments import figures, qualitative, tables
from training.experiments.running import GridRunner, is_done, plan_slots
from training.experiments.scores import RunScores, checkpoint_of, scores_of
from training.experiments.statistics import summarise

if TYPE_CHECKING:
    from pathlib import Path

    from training.experiments.grid import Grid, GridRun
    from training.experiments.running import Failure
    from training.experiments.statistics import Results

NUM_ROWS = 4
"""Frames of a qualitative figure."""


@dataclass(frozen=True)
class Machine:
    """What the runs are computed on.

    Attributes
    ----------
    device : str
    jobs : int or None
        Runs at once; None: what the machine allows.
    num_threads : int
        Of each run; 0 divides the cores.
    """

    device: str = "auto"
    jobs: int | None = None
    num_threads: int = 0


@dataclass(frozen=True)
class Outcome:
    """What an experiment wrote."""

    results: Results
    failures: tuple[Failure, ...]
    report: str


def run_experiment(
    grid: Grid, data: Path, out: Path, machine: Machine, *, protocol: str, command: str
) -> Outcome:
    """Train what is missing, score it, and write table, plot and statistics into `out`.

    The table is written anew after every run, so an interrupted experiment has one of what is done.

    Parameters
    ----------
    grid : Grid
    data, out : Path
        Data set; the experiment's folder, which may hold an unfinished one.
    machine : Machine
    protocol : str
        Empty: the data set's own.
    command : str
        For the report.

    Raises
    ------
    InputError
        If the folder holds another experiment, or no run came to its end.
    """
    runs = list(grid.runs())
    slots = plan_slots(machine.device, machine.jobs, machine.num_threads)
    runner = GridRunner(grid, data, out, slots)
    runner.check()
    out.mkdir(parents=True, exist_ok=True)
    atomic.write_text(out / "grid.toml", to_toml(grid))
    scores: dict[GridRun, RunScores] = {}
    with reporting.counting(f"{grid.name}, {len(slots)} at once", len(runs)) as advance:

        def score(run: GridRun) -> None:
            scores[run] = scores_of(out / run.folder, grid, protocol, slots[0].device)
            advance()

        def after_run(run: GridRun) -> None:
            score(run)
            _write(summarise(grid, scores), (), out, command)

        missing = [run for run in runs if not is_done(out / run.folder)]
        for run in runs:
            if run not in missing:
                score(run)
        failures = runner.train(missing, after_run)
    in_order = {run: scores[run] for run in runs if run in scores}
    if not in_order and failures:
        raise InputError(f"Every run failed, the first so: {failures[0].what}", where=out)
    results = summarise(grid, in_order)
    report = _write(results, failures, out, command)
    _draw(results, out, slots[0].device)
    return Outcome(results, failures, report)


def _write(results: Results, failures: tuple[Failure, ...], out: Path, command: str) -> str:
    report = tables.markdown(results, failures, command)
    atomic.write_text(out / "table.md", report)
    atomic.write_text(out / "runs.csv", tables.csv_text(results))
    atomic.write_text(out / "results.json", tables.json_text(results, failures, command))
    return report


def _draw(results: Results, out: Path, device: str) -> None:
    grid = results.grid
    figures.draw(results, out / "plot.png")
    if grid.picture != "qualitative":
        return
    reference = next(arm for arm in grid.arm if arm.name == grid.reference)
    ours = grid.others[0]
    for point in grid.point:
        folders = [out / grid.run_of(arm, point, grid.seeds[0]).folder for arm in (reference, ours)]
        if all(is_done(folder) for folder in folders):
            baseline, mended = (checkpoint_of(folder, grid.checkpoint) for folder in folders)
            name = "qualitative.png" if len(grid.point) == 1 else f"qualitative-{point.name}.png"
            titles = (reference.title, ours.title)
            shown = qualitative.draw_comparison(
                (baseline, mended), titles, grid.part, NUM_ROWS, out / name, device
            )
            if not shown:
                reporting.console.print(f"{ours.title} mends nothing that can be seen: no {name}")
