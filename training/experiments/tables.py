"""The results of an experiment as Markdown, CSV and JSON. Computes nothing."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING

from napari_hogseg.metrics.passport import versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_hogseg.metrics.intervals import Interval
    from training.experiments.running import Failure
    from training.experiments.statistics import Cell, Effect, Results

RUN_COLUMNS = ("point", "arm", "seed", "steps", "elapsed_s", "r2_mean", "r2_zero")


def markdown(results: Results, failures: Sequence[Failure], command: str) -> str:
    """Write the whole report: scores, paired differences, the auxiliary task, and how it was made."""
    grid = results.grid
    parts = [f"# {grid.title}", grid.about] if grid.about else [f"# {grid.title}"]
    seeds = ", ".join(map(str, grid.seeds))
    parts.append(
        f"Recipe `{grid.recipe}`, {_settings(results)}; seeds {seeds}; {grid.checkpoint} checkpoint, scored "
        f"on the {grid.part} frames: {results.quantity} by protocol `{results.protocol}`, {_frames(results)}."
    )
    parts += ["\n".join(_score_rows(results)), "\n".join(_effect_rows(results))]
    auxiliary = [cell for cell in results.cells if not math.isnan(cell.r2_zero)]
    if auxiliary:
        parts.append("\n".join(_auxiliary_rows(results, auxiliary)))
    parts += [f"- {note}" for note in dict.fromkeys(note for cell in auxiliary for note in cell.notes)]
    if failures:
        lines = [f"- {f.run.arm} at {f.run.point}, seed {f.run.seed}: {f.what}" for f in failures]
        parts.append("\n".join(["**Runs that failed, and are in no number above:**", "", *lines]))
    parts.append(f"Made by `{command}`.")
    return "\n\n".join(parts) + "\n"


def _settings(results: Results) -> str:
    fields = ", ".join(f"{name} = {value}" for name, value in results.grid.set.items())
    return fields or "as it comes"


def _frames(results: Results) -> str:
    one = next(iter(results.scores.values()))
    return f"{len(one.frames)} frames of {len(set(one.recordings))} recording(s)"


def _score_rows(results: Results) -> Iterator[str]:
    grid = results.grid
    yield (
        f"| {results.quantity}, mean ± s.d. over seeds [95 % interval] | "
        + " | ".join(point.title for point in grid.point)
        + " |"
    )
    yield "|---|" + "---|" * len(grid.point)
    for arm in grid.arm:
        cells = [results.cell(arm, point) for point in grid.point]
        yield f"| {arm.title} | " + " | ".join(_score(cell) for cell in cells) + " |"


def _score(cell: Cell | None) -> str:
    if cell is None:
        return "not run"
    if len(cell.by_seed) == 1:
        return f"{cell.mean:.3f} (n = 1)"
    spread = f"± {cell.deviation:.3f} {_brackets(cell.interval)}"
    return f"{cell.mean:.3f} {spread} (n = {len(cell.by_seed)})"


def _effect_rows(results: Results) -> Iterator[str]:
    grid = results.grid
    reference = next(arm for arm in grid.arm if arm.name == grid.reference)
    yield f"| minus {reference.title}, paired by seed | point | effect | over seeds | over recordings |"
    yield "|---|---|---|---|---|"
    for arm in grid.others:
        for point in grid.point:
            cell = results.cell(arm, point)
            if cell is not None and cell.effect is not None:
                yield f"| {arm.title} | {point.title} | {_effect(cell.effect)} |"


def _effect(effect: Effect) -> str:
    seeds = _brackets(effect.over_seeds, signed=True) or "one seed: no interval"
    recordings = _brackets(effect.over_recordings, signed=True) or "one recording: no interval"
    return f"{effect.mean:+.3f} | {seeds} | {recordings}"


def _auxiliary_rows(results: Results, cells: Sequence[Cell]) -> Iterator[str]:
    arms = {arm.name: arm.title for arm in results.grid.arm}
    points = {point.name: point.title for point in results.grid.point}
    yield "| auxiliary task | point | R2 against the mean | R2 against zero | gradient cosine |"
    yield "|---|---|---|---|---|"
    for cell in cells:
        values = " | ".join(_number(v) for v in (cell.r2_mean, cell.r2_zero, cell.gradient_cosine))
        yield f"| {arms[cell.arm]} | {points[cell.point]} | {values} |"


def _number(value: float) -> str:
    return "not defined" if math.isnan(value) else f"{value:.3f}"


def _brackets(interval: Interval, *, signed: bool = False) -> str:
    if math.isnan(interval.low):
        return ""
    sign = "+" if signed else ""
    return f"[{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"


def csv_text(results: Results) -> str:
    """Write one row a run, with every number of the protocol."""
    names = list(next(iter(results.scores.values())).numbers)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*RUN_COLUMNS, *names])
    for run, one in results.scores.items():
        heads = one.health.heads if one.health is not None else ()
        r2 = [sum(getattr(h, name) for h in heads) / len(heads) if heads else "" for name in RUN_COLUMNS[5:]]
        numbers = [one.numbers[name] for name in names]
        writer.writerow([run.point, run.arm, run.seed, one.step, f"{one.elapsed_s:.1f}", *r2, *numbers])
    return text.getvalue()


def json_text(results: Results, failures: Sequence[Failure], command: str) -> str:
    """Write everything: grid, cells, runs, failures, versions."""
    told = {
        "grid": results.grid.model_dump(mode="json"),
        "protocol": results.protocol,
        "quantity": results.quantity,
        "command": command,
        "cells": [_cell_json(cell) for cell in results.cells],
        "runs": [
            {**run.model_dump(), "step": one.step, "elapsed_s": one.elapsed_s, "numbers": _plain(one.numbers)}
            for run, one in results.scores.items()
        ],
        "failures": [{**failure.run.model_dump(), "what": failure.what} for failure in failures],
        "versions": versions(),
    }
    return json.dumps(told, indent=2, allow_nan=False) + "\n"


def _cell_json(cell: Cell) -> dict[str, object]:
    effect = cell.effect
    return {
        "arm": cell.arm,
        "point": cell.point,
        "by_seed": {str(seed): _finite(value) for seed, value in cell.by_seed.items()},
        "mean": _finite(cell.mean),
        "deviation": _finite(cell.deviation),
        "interval": _pair(cell.interval),
        "effect": None
        if effect is None
        else {
            "mean": _finite(effect.mean),
            "over_seeds": _pair(effect.over_seeds),
            "over_recordings": _pair(effect.over_recordings),
            "num_seeds": effect.num_seeds,
            "num_recordings": effect.num_recordings,
        },
        "r2_mean": _finite(cell.r2_mean),
        "r2_zero": _finite(cell.r2_zero),
        "gradient_cosine": _finite(cell.gradient_cosine),
        "notes": list(cell.notes),
    }


def _pair(interval: Interval) -> list[float] | None:
    return None if math.isnan(interval.low) else [interval.low, interval.high]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plain(numbers: dict[str, float]) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in numbers.items()}
