"""The command line: flags in, exit code out. What a command does lives in its own module.

Help and results go to standard output, talk and progress to standard error.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

import napari_hogseg
from napari_hogseg.features.hog import DEFAULT_PRESET, HogParams
from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.contours import FrameEdge
from napari_hogseg.metrics.protocols import PROTOCOLS
from napari_hogseg.metrics.scoring import compare
from napari_hogseg.metrics.scoring_options import ScoringOptions
from napari_hogseg.runs.checkpoint import export_model
from napari_hogseg.runs.config import FineTuneConfig, parse_section
from training import (
    adaptation_command,
    annotation_commands,
    commands,
    data_commands,
    report_commands,
    reporting,
    score_tables,
)
from training.exits import ExitCode, classify
from training.experiments import grid_names
from training.finetuning import FineTuneInput
from training.inference_flags import (
    MirrorOption,
    OverlapOption,
    ScalesOption,
    WindowOption,
    inference_options,
)
from training.recipes import load_recipe, recipe_names

if TYPE_CHECKING:
    from napari_hogseg.metrics.reports import ScoreReport
    from napari_hogseg.runs.config import RunConfig

app = typer.Typer(
    name="hogseg",
    help="Train, evaluate and apply surgical segmentation networks with HOG pseudo-labels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data_commands.app)
app.add_typer(annotation_commands.app)
app.command()(adaptation_command.adapt)
app.command()(report_commands.report)
app.command()(report_commands.film)

DataOption = Annotated[Path, typer.Option("--data", help="Data-set folder.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="section.field=value; repeatable.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder to write to.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Also write the scores to this file.")]
CsvOption = Annotated[
    Path | None, typer.Option("--csv", help="Write classes.csv, videos.csv and frames.csv to this folder.")
]
LayoutOption = Annotated[str, typer.Option("--layout", help="Layout of the data set (`hogseg data list`).")]
ProtocolOption = Annotated[
    str, typer.Option("--protocol", help=f"{', '.join(PROTOCOLS)}; default: the data set's own.")
]
CenterlineOption = Annotated[
    list[str] | None, typer.Option("--centerline", help="Class to measure by clDice too; repeatable.")
]
EdgeOption = Annotated[
    FrameEdge,
    typer.Option("--frame-edge", help="Whether a mask has an edge where the frame ends."),
]
BandOption = Annotated[int, typer.Option("--band-px", min=1, help="Width of the Boundary IoU band.")]
ToleranceOption = Annotated[
    float | None,
    typer.Option("--tolerance-px", min=0.0, help="Of the NSD; default: the protocol's."),
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder or model folder.")]
ParentOption = Annotated[
    bool,
    typer.Option(
        "--events-stdout",
        help="For a parent process: JSON events on standard output; 'stop' or the end of its input stops.",
    ),
]

UNBOUNDED_STEPS = 1_000_000
"""Steps of a fine-tune that only its time budget ends."""


@app.command(help=f"Train a network by a recipe: {', '.join(recipe_names())}, or the path of a .toml file.")
def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Recipe name or .toml file.")],
    data: DataOption,
    out: OutOption,
    overrides: SetOption = None,
    *,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, bit for bit.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and time everything; write nothing.")
    ] = False,
    overfit_one_batch: Annotated[
        int | None,
        typer.Option(metavar="STEPS", min=2, help="Train so long on the first batch alone; write nothing."),
    ] = None,
    events_stdout: ParentOption = False,
) -> None:
    """Train a network by a recipe."""
    config = _recipe_on(recipe, data, overrides)
    if overfit_one_batch is not None:
        commands.overfit_one_batch(config, out, overfit_one_batch)
        return
    if dry_run:
        commands.dry_run(config, out)
        return
    if resume:
        config = commands.resume_config(out, config)
    _exit(commands.train(config, out, resume=resume, for_parent=events_stdout))


@app.command(name="lr-find")
def find_rate(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Recipe name or .toml file.")],
    data: DataOption,
    overrides: SetOption = None,
    first: Annotated[float, typer.Option(min=1e-12, help="Lowest learning rate.")] = 1e-6,
    last: Annotated[float, typer.Option(max=10.0, help="Highest learning rate.")] = 1.0,
    steps: Annotated[int, typer.Option(min=2, help="Steps from the lowest to the highest.")] = 100,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write rate, loss and smoothed loss of each step here.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the losses over the rates: a .png, .svg or .pdf file.")
    ] = None,
) -> None:
    """Find the learning rate at which a recipe's loss falls fastest; nothing is trained for keeps."""
    commands.find_rate(_recipe_on(recipe, data, overrides), (first, last), steps, csv_file, plot)


@app.command()
def finetune(  # noqa: PLR0913 - every field of FineTuneConfig is a flag
    base: RunArgument,
    data: DataOption,
    frames: Annotated[
        str, typer.Option(help="all, GROUP:2,7,12 (0-based), or a file of sample ids.")
    ] = "all",
    out: Annotated[Path | None, typer.Option(help="Run folder; default: beside RUN.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Time budget.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps at most.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Frames in a step.")] = None,
    replay: Annotated[float | None, typer.Option(help="Share of each batch that replays old frames.")] = None,
    replay_data: Annotated[Path | None, typer.Option(help="Data set the model was trained on.")] = None,
    validate_every: Annotated[int | None, typer.Option(help="Steps between two validations.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of order and augmentation.")] = None,
    num_threads: Annotated[int | None, typer.Option(help="Torch threads; 0: all.")] = None,
    layout: Annotated[str, typer.Option(help="Layout of --data.")] = "auto",
    device: DeviceOption = "auto",
    *,
    events_stdout: ParentOption = False,
) -> None:
    """Teach a model some corrected frames, replaying old ones against forgetting."""
    if seconds is not None and steps is None:
        steps = UNBOUNDED_STEPS
    given: dict[str, Any] = {
        "steps": steps,
        "seconds": seconds,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "replay": replay,
        "validate_every": validate_every,
        "seed": seed,
        "num_threads": num_threads,
        "device": device,
    }
    config = parse_section(FineTuneConfig, {k: v for k, v in given.items() if v is not None}, "finetune")
    source = FineTuneInput(base, data, frames, replay_data, layout)
    run = out or _free_sibling(base)
    reporting.console.print(f"run folder: {run}")
    _exit(commands.finetune(source, config, run, for_parent=events_stdout))


@app.command()
def evaluate(  # noqa: PLR0913 - each is a flag
    model: RunArgument,
    data: Annotated[
        Path | None, typer.Option("--data", help="Data set; default: where it was trained.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="train, val, test, or frames such as GROUP or GROUP:0-9.")
    ] = "val",
    without: Annotated[str, typer.Option(help="Frames to leave out, written as for --split.")] = "",
    layout: LayoutOption = "",
    protocol: ProtocolOption = "",
    against: Annotated[
        Path | None, typer.Option(help="A second run: compared with the first, in pairs over videos.")
    ] = None,
    centerline: CenterlineOption = None,
    frame_edge: EdgeOption = "counted",
    band_px: BandOption = 3,
    tolerance_px: ToleranceOption = None,
    window_px: WindowOption = 0,
    overlap: OverlapOption = 0.5,
    tta: MirrorOption = False,  # noqa: FBT002 - a flag
    scales: ScalesOption = "1",
    device: DeviceOption = "auto",
    json_file: JsonOption = None,
    csv_folder: CsvOption = None,
) -> None:
    """Score a model on frames with masks, at native resolution."""
    options = _scoring_options(centerline, frame_edge, band_px, tolerance_px)
    frames = commands.EvaluatedFrames(data, layout, split, without)
    models = [model] if against is None else [model, against]
    inference = inference_options(window_px, overlap, scales, flip=tta)
    reports = [commands.evaluate_model(path, frames, protocol, options, device, inference) for path in models]
    _show_reports([f"{path.name} on {split}" for path in models], reports, json_file, csv_folder)


@app.command(
    help=f"Run an experiment, arms x seeds, and write its table, plot and paired statistics: "
    f"{', '.join(grid_names())}, or the path of a .toml file."
)
def experiment(  # noqa: PLR0913 - each is a flag
    name: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Experiment name or .toml file.")],
    data: DataOption,
    out: OutOption,
    recipe: Annotated[str | None, typer.Option(help="Recipe of all runs in place of the grid's.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="In place of the grid's seeds; repeatable.")] = None,
    arm: Annotated[list[str] | None, typer.Option(help="Only these and the reference; repeatable.")] = None,
    overrides: SetOption = None,
    protocol: ProtocolOption = "",
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Runs at once; default: one a GPU, or one for two cores.")
    ] = None,
    num_threads: Annotated[int, typer.Option(min=0, help="Torch threads of a run; 0 divides the cores.")] = 0,
    device: DeviceOption = "auto",
) -> None:
    """Run an experiment; a second call goes on where the first was stopped."""
    from training.experiments.command import Machine, run_experiment
    from training.experiments.grid import changed, load_grid

    grid = changed(
        load_grid(name), recipe=recipe, seeds=seed or (), arms=arm or (), overrides=overrides or ()
    )
    machine = Machine(device, jobs, num_threads)
    command = shlex.join(["hogseg", *sys.argv[1:]])
    outcome = run_experiment(grid, data, out, machine, protocol=protocol, command=command)
    typer.echo(outcome.report)
    reporting.console.print(f"table.md, runs.csv, results.json, plot.png: {out}")
    if outcome.failures:
        raise typer.Exit(1)


@app.command()
def tensorboard(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders, or folders that hold some.")
    ],
    out: OutOption,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until all runs have finished, or Ctrl-C.")
    ] = False,
) -> None:
    """Write the events of runs for TensorBoard (needs the track extra); called again, they are replaced."""
    from training.tensorboard import write_runs

    count = write_runs(runs, out, follow=follow, tell=reporting.console.print)
    reporting.console.print(f"runs: {count}. Look at them: tensorboard --logdir {shlex.quote(str(out))}")


@app.command()
def predict(
    model: RunArgument,
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Video file or folder of images.")],
    out: OutOption,
    window_px: WindowOption = 0,
    overlap: OverlapOption = 0.5,
    tta: MirrorOption = False,  # noqa: FBT002 - a flag
    scales: ScalesOption = "1",
    device: DeviceOption = "auto",
) -> None:
    """Segment a video or folder: index PNGs and an overlay video."""
    from training import prediction

    inference = inference_options(window_px, overlap, scales, flip=tta)
    count = prediction.predict(model, source, out, device, inference)
    reporting.console.print(f"{count} frames: {out / 'masks'} and {out / 'overlay.mp4'}")


@app.command()
def hog(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Video file or folder of images.")],
    out: OutOption,
    preset: Annotated[str, typer.Option(help="HOG preset: its orientations and cell size.")] = DEFAULT_PRESET,
) -> None:
    """Draw the HOG of every frame of a video or folder."""
    from training import prediction

    params = HogParams.preset(preset)
    count = prediction.draw_hog(source, out, params.orientations, params.cell_px)
    reporting.console.print(f"{count} frames: {out / 'hog'} and {out / 'hog.mp4'}")


@app.command()
def score(  # noqa: PLR0913 - each is a flag
    prediction: Annotated[Path, typer.Argument(metavar="PRED_DIR", help="Folder of predicted index PNGs.")],
    truth: Annotated[
        Path, typer.Argument(metavar="TRUTH_DIR", help="Folder of true index PNGs; a data set with --layout.")
    ],
    classes: Annotated[
        int | None, typer.Option(min=2, max=255, help="Number of classes, where no --layout says so.")
    ] = None,
    layout: LayoutOption = "",
    frames: Annotated[str, typer.Option(help="Frames of the data set: all, GROUP, GROUP:0-9.")] = "all",
    protocol: ProtocolOption = "",
    against: Annotated[
        Path | None, typer.Option(help="A second PRED_DIR: compared with the first, in pairs over videos.")
    ] = None,
    centerline: CenterlineOption = None,
    frame_edge: EdgeOption = "counted",
    band_px: BandOption = 3,
    tolerance_px: ToleranceOption = None,
    json_file: JsonOption = None,
    csv_folder: CsvOption = None,
) -> None:
    """Score a folder of masks against another, or against a data set."""
    from training import scoring

    options = _scoring_options(centerline, frame_edge, band_px, tolerance_px)
    if layout and classes is not None:
        raise InputError(
            "The layout says how many classes there are", where="--classes", remedy="Leave it out."
        )
    if frames != "all" and not layout:
        raise InputError("Frames are chosen in a data set", where="--frames", remedy="Name its --layout.")
    if layout:
        masks = scoring.truth_dataset(truth, layout, frames)
    elif classes is not None:
        masks = scoring.truth_folder(truth, prediction, classes)
    else:
        raise InputError(
            "How many classes there are is not said", where="--classes", remedy="Give --classes or --layout."
        )
    folders = [prediction] if against is None else [prediction, against]
    reports = []
    for folder in folders:
        with reporting.counting(f"scoring {folder.name}", len(masks.masks)) as advance:
            reports.append(scoring.score_folder(folder, masks, protocol, options, advance))
    _show_reports([folder.name for folder in folders], reports, json_file, csv_folder)


@app.command()
def export(
    model: RunArgument,
    out: OutOption,
    *,
    half: Annotated[bool, typer.Option("--half", help="Store 16-bit floats: half the size.")] = False,
) -> None:
    """Write the model of a run as a folder to share, without resume state."""
    spec = export_model(model, out, half=half)
    reporting.console.print(f"{spec.model.network}, {spec.step} steps: {out}")


@app.command()
def selftest() -> None:
    """Check this installation: HOG, metrics, video and model against stored results."""
    from training import selftest as checks

    if not checks.run():
        raise typer.Exit(1)


@app.command()
def demo(
    screenshot: Annotated[Path | None, typer.Option(help="Write a picture of the window and exit.")] = None,
) -> None:
    """Open napari on the sample clip (needs the napari extra)."""
    # A process of its own: the command line itself knows no Qt.
    command = [sys.executable, "-P", "-m", "napari_hogseg.ui.demo"]
    if screenshot is not None:
        command += ["--screenshot", str(screenshot)]
    raise typer.Exit(subprocess.call(command))  # noqa: S603 - our own module, our own interpreter


def _version(*, value: bool) -> None:
    if value:
        typer.echo(f"napari-hogseg {napari_hogseg.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=lambda value: _version(value=value), is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    pass


def _scoring_options(
    centerline: list[str] | None, frame_edge: FrameEdge, band_px: int, tolerance_px: float | None
) -> ScoringOptions:
    return ScoringOptions(
        centerline=tuple(centerline or ()), frame_edge=frame_edge, band_px=band_px, tolerance_px=tolerance_px
    )


def _show_reports(
    titles: list[str], reports: list[ScoreReport], json_file: Path | None, csv_folder: Path | None
) -> None:
    """Print reports, and the comparison of two; write what was asked for."""
    stdout = Console(highlight=False)
    for title, report in zip(titles, reports, strict=True):
        stdout.print(score_tables.show_report(title, report))
    told = reports[0].to_json()
    if len(reports) > 1:
        comparison = compare(*reports)
        stdout.print(score_tables.show_comparison(titles, reports, comparison))
        told |= {"against": reports[1].to_json(), "comparison": comparison.to_json()}
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(json_file, json.dumps(told, indent=2, allow_nan=False) + "\n")
    if csv_folder is not None:
        for report, folder in zip(reports, (csv_folder, csv_folder / "against"), strict=False):
            report.write_csv(folder)


def _recipe_on(recipe: str, data: Path, overrides: list[str] | None) -> RunConfig:
    config = load_recipe(recipe, overrides or ())
    return config.model_copy(update={"data": config.data.model_copy(update={"root": str(data.resolve())})})


def _free_sibling(base: Path) -> Path:
    for number in range(1, 10_000):
        run = base.resolve().with_name(f"{base.resolve().name}-finetuned-{number}")
        if not run.exists():
            return run
    raise InputError(
        "Ten thousand fine-tunes stand beside this run", where=base, remedy="Name one with --out."
    )


def _exit(code: ExitCode) -> None:
    if code:
        raise typer.Exit(int(code))


def main() -> None:
    """Run the command line; every error a person can mend ends in one message and its exit code."""
    try:
        app()
    except Exception as error:
        known = classify(error)
        if known is None:
            raise
        code, what, remedy = known
        reporting.console.print(f"error: {what}", style="red")
        if remedy:
            reporting.console.print(remedy)
        raise SystemExit(int(code)) from (error if os.environ.get("HOGSEG_DEBUG") else None)
    finally:
        _let_go_of_broken_pipes()


def _let_go_of_broken_pipes() -> None:
    """Send what nobody reads any more to nowhere: Python would end with 120 in place of our exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
