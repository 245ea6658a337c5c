"""The README's two tables on real surgical frames, by the project's own commands.

    python -m benchmarks.vocalfolds arms --data ROOT --out FOLDER   # beta = 0 and beta = 1, three seeds each
    python -m benchmarks.vocalfolds loop --data ROOT --out FOLDER   # five corrected frames, before and after

Runs that are finished are not run again; the table is made from the run folders. Split: train on sequences
6 and 7, validate on 5, all of one patient. The last checkpoint is scored, so no step was chosen by its score.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from napari_hogseg.runs.events import Finished, Progress, Validated, read_events

CORRECTED = "patient2_seq5:2,7,12,17,22"
EventT = TypeVar("EventT")
GUARD = "patient2_seq6"
BETAS = (0.0, 1.0)


@dataclass(frozen=True)
class Setup:
    """What every command of one table shares."""

    recipe: str
    data: Path
    out: Path
    seeds: tuple[int, ...]
    threads: int
    seconds: float

    def run_folder(self, beta: float, seed: int) -> Path:
        """Where a training run lies."""
        return self.out / f"{self.recipe}-beta{beta:g}-seed{seed}"


def hogseg(*arguments: object) -> None:
    """Run one command of the project; its talk goes to standard error."""
    subprocess.run([sys.executable, "-m", "training", *map(str, arguments)], check=True, stdout=sys.stderr)


def train(setup: Setup, beta: float, seed: int) -> None:
    """Train one arm with one seed, unless that is done."""
    run = setup.run_folder(beta, seed)
    if finished(run) is not None:
        return
    overrides = (f"loss.beta={beta}", f"train.seed={seed}", f"train.num_threads={setup.threads}")
    flags = [word for override in overrides for word in ("--set", override)]
    resume = ["--resume"] if (run / "last").exists() else []
    hogseg("train", setup.recipe, "--data", setup.data, "--out", run, *flags, *resume)


def finished(run: Path) -> Finished | None:
    """Return the event that ended a run by itself, if it did."""
    ends = [event for event in read_events(run / "events.jsonl") if isinstance(event, Finished)]
    return ends[-1] if ends and ends[-1].reason in ("done", "time") else None


def arms(setup: Setup, jobs: int) -> None:
    """Train and print the table of the two arms."""
    work = [(beta, seed) for seed in setup.seeds for beta in BETAS]
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda arm: train(setup, *arm), work))
    print(f"| {setup.recipe} | mIoU by seed | mean ± s.d. | HOG MSE at the end | minutes |")
    print("|---|---|---|---|---|")
    for beta in BETAS:
        runs = [setup.run_folder(beta, seed) for seed in setup.seeds]
        scores = [last_miou(run) for run in runs]
        mse = statistics.mean(_last(run, Progress).mse for run in runs)
        minutes = statistics.mean(_last(run, Finished).elapsed_s / 60 for run in runs)
        listed = ", ".join(f"{score:.3f}" for score in scores)
        spread = f"{statistics.mean(scores):.3f} ± {statistics.stdev(scores):.3f}"
        print(f"| beta = {beta:g} | {listed} | {spread} | {mse:.4f} | {minutes:.1f} |")


def last_miou(run: Path) -> float:
    """Return the validation mIoU after the last step."""
    return _last(run, Validated).miou


def _last(run: Path, kind: type[EventT]) -> EventT:
    return [event for event in read_events(run / "events.jsonl") if isinstance(event, kind)][-1]


def loop(setup: Setup) -> None:
    """Fine-tune on five corrected frames of sequence 5 and print the scores before and after."""
    print("| seed | other 21 frames before | after | sequence 6 before | after | steps |")
    print("|---|---|---|---|---|---|")
    for seed in setup.seeds:
        base = setup.run_folder(1.0, seed)
        # The last checkpoint: 'best' was chosen on sequence 5, which is scored here.
        base_model = base / (base / "last").read_text("utf-8").strip()
        tuned = setup.out / f"finetuned-seed{seed}"
        if finished(tuned) is None:
            hogseg(
                *("finetune", base_model, "--data", setup.data, "--frames", CORRECTED, "--out", tuned),
                *("--seconds", setup.seconds, "--seed", seed, "--num-threads", setup.threads),
            )
        scores = [
            score(model, setup, part) for part in ("patient2_seq5", GUARD) for model in (base_model, tuned)
        ]
        steps = _last(tuned, Finished).step
        print(f"| {seed} | " + " | ".join(f"{value:.3f}" for value in scores) + f" | {steps} |", flush=True)


def score(model: Path, setup: Setup, part: str) -> float:
    """Score a model on a group, the corrected frames left out."""
    without = ["--without", CORRECTED] if CORRECTED.startswith(part) else []
    path = setup.out / "score.json"
    hogseg("evaluate", model, "--data", setup.data, "--split", part, *without, "--json", path)
    return float(json.loads(path.read_text("utf-8"))["miou"])


def main() -> None:
    """Read the flags."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=("arms", "loop"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", default="vocalfolds-unet-s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="training runs at once")
    parser.add_argument("--threads", type=int, default=0, help="torch threads of each; 0: all")
    parser.add_argument("--seconds", type=float, default=120.0, help="time budget of a fine-tune")
    flags = parser.parse_args()
    setup = Setup(flags.recipe, flags.data, flags.out, tuple(flags.seeds), flags.threads, flags.seconds)
    if flags.table == "arms":
        arms(setup, flags.jobs)
    else:
        loop(setup)


if __name__ == "__main__":
    main()
