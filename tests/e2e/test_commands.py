"""Every command, end to end, on toy data: what it prints, what it writes, how it exits."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import imageio.v3 as imageio
import numpy as np
import pytest

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.io import images
from napari_hogseg.io.video import open_frames
from napari_hogseg.runs.checkpoint import read_spec
from napari_hogseg.runs.events import Finished, Progress, Started, Validated, parse_event, read_events
from tests.unit.data.trees import toy_pair

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from subprocess import CompletedProcess

    Hogseg = Callable[..., CompletedProcess[str]]


@pytest.fixture
def run_folder(hogseg: Hogseg, toy: Path) -> Path:
    done = hogseg("train", "toy.toml", "--data", "data", "--out", "run")
    assert done.returncode == 0, done.stderr
    return toy / "run"


def test_train_then_evaluate_then_score(hogseg: Hogseg, toy: Path, run_folder: Path) -> None:
    kinds = [type(event) for event in read_events(run_folder / "events.jsonl")]
    assert kinds[0] is Started
    assert kinds[-1] is Finished
    assert kinds.count(Progress) == 4
    assert kinds.count(Validated) == 2
    written = {path.name for path in run_folder.iterdir()}
    assert {"config.toml", "events.jsonl", "best", "last", "checkpoints"} <= written

    done = hogseg("evaluate", "run", "--data", "data", "--split", "val", "--json", "out/scores.json")
    assert done.returncode == 0, done.stderr
    scores = json.loads((toy / "out" / "scores.json").read_text("utf-8"))
    validated = [e for e in read_events(run_folder / "events.jsonl") if isinstance(e, Validated)]
    assert scores["miou"] == pytest.approx(max(event.miou for event in validated), abs=1e-6)
    assert "NSD" in done.stdout
    assert "one mask" in done.stdout

    # The same numbers by way of files: predict a folder, score the PNGs.
    assert hogseg("predict", "run", "data/images/c", "--out", "predicted").returncode == 0
    done = hogseg("score", "predicted/masks", "data/masks/c", "--classes", "3", "--json", "score.json")
    assert done.returncode == 0, done.stderr
    by_files = json.loads((toy / "score.json").read_text("utf-8"))
    assert by_files["miou"] == pytest.approx(scores["miou"])
    assert list(by_files["iou"]) == ["background", "tool", "tissue"]

    # Against the data set by its layout, two folders compared, tables as CSV.
    predicted = toy / "by_sample" / "c"
    predicted.mkdir(parents=True)
    for path in (toy / "predicted" / "masks").glob("*.png"):
        shutil.copy(path, predicted / path.name)
    done = hogseg(
        *("score", "by_sample", "data", "--layout", "folders", "--frames", "c", "--against", "by_sample"),
        *("--csv", "tables", "--json", "both.json", "--centerline", "tool"),
    )
    assert done.returncode == 0, done.stderr
    both = json.loads((toy / "both.json").read_text("utf-8"))
    assert both["miou"] == pytest.approx(scores["miou"])
    assert both["comparison"]["mIoU"]["effect"] == 0.0
    assert both["passport"]["layout"] == "folders"
    assert {path.name for path in (toy / "tables").glob("*.csv")} == {
        "classes.csv",
        "videos.csv",
        "frames.csv",
    }
    assert (toy / "tables" / "against" / "frames.csv").is_file()


def test_tensorboard_gets_a_run_and_a_folder_of_runs(hogseg: Hogseg, toy: Path, run_folder: Path) -> None:
    for source, name in (("run", "run"), (".", f"{toy.name}/run")):
        done = hogseg("tensorboard", source, "--out", "logs", "--follow" if source == "run" else "--out=logs")
        assert done.returncode == 0, done.stderr
        assert "runs: 1. Look at them: tensorboard --logdir logs" in done.stderr
        (written,) = (toy / "logs" / name).iterdir()
        assert written.stat().st_size > 1000


def test_resume_goes_on_and_refuses_another_recipe(hogseg: Hogseg, toy: Path, run_folder: Path) -> None:
    done = hogseg("train", "toy.toml", "--data", "data", "--out", "run")
    assert done.returncode == 2
    assert "already holds a run" in done.stderr
    resume = ("train", "toy.toml", "--data", "data", "--out", "run", "--resume")
    done = hogseg(*resume, "--set", "train.num_steps=99")
    assert done.returncode == 2
    assert "not the one this run was started with" in done.stderr
    assert hogseg(*resume).returncode == 0
    assert read_spec(run_folder / (run_folder / "last").read_text().strip()).step == 8


def test_dry_run_writes_nothing(hogseg: Hogseg, toy: Path) -> None:
    done = hogseg("train", "toy.toml", "--data", "data", "--out", "run", "--dry-run")
    assert done.returncode == 0
    assert "4 training frames, 2 watched" in done.stderr
    assert not (toy / "run").exists()


def test_trials_before_a_run_write_nothing_but_what_is_asked_for(hogseg: Hogseg, toy: Path) -> None:
    done = hogseg("train", "toy.toml", "--data", "data", "--out", "run", "--overfit-one-batch", 3)
    assert done.returncode == 0, done.stderr
    assert "in 3 steps" in done.stderr
    done = hogseg(
        "lr-find", "toy.toml", "--data", "data", "--steps", 4, "--csv", "rates.csv", "--plot", "a.png"
    )
    assert done.returncode == 0, done.stderr
    assert (toy / "rates.csv").read_text().splitlines()[0] == "rate,loss,smoothed"
    assert len((toy / "rates.csv").read_text().splitlines()) == 5
    assert imageio.imread(toy / "a.png").std() > 1
    assert not (toy / "run").exists()


def test_finetune_and_its_events(hogseg: Hogseg, toy: Path, run_folder: Path) -> None:
    done = hogseg(
        *("finetune", run_folder, "--data", "data", "--frames", "c:1", "--out", "tuned", "--steps", 4),
        *("--batch-size", 2, "--validate-every", 2, "--events-stdout"),
    )
    # End of standard input counts as the parent's death; subprocess gives none, so it may end early.
    assert done.returncode in (0, 5), done.stderr
    events = [parse_event(line) for line in done.stdout.splitlines()]
    assert None not in events
    assert events == list(read_events(toy / "tuned" / "events.jsonl"))
    assert isinstance(events[0], Started)
    assert events[0].num_train_frames == 1 + 4
    assert (toy / "tuned" / "last").is_file()


def test_finetune_for_seconds(hogseg: Hogseg, toy: Path, run_folder: Path) -> None:
    done = hogseg("finetune", run_folder, "--data", "data", "--frames", "c:0", "--seconds", 2)
    assert done.returncode == 0, done.stderr
    end = list(read_events(toy / "run-finetuned-1" / "events.jsonl"))[-1]
    assert isinstance(end, Finished)
    assert end.reason == "time"


def test_predict_video(hogseg: Hogseg, toy: Path, run_folder: Path) -> None:
    frames = np.stack([toy_pair(seed)[0] for seed in range(6)])
    imageio.imwrite(toy / "clip.mp4", frames, plugin="pyav", codec="libx264", fps=10)
    done = hogseg("predict", run_folder, "clip.mp4", "--out", "predicted")
    assert done.returncode == 0, done.stderr
    masks = images.list_images(toy / "predicted" / "masks")
    assert [path.stem for path in masks] == [f"frame_{number:06d}" for number in range(6)]
    assert images.read_mask(masks[0]).shape == frames.shape[1:3]
    overlay = open_frames(toy / "predicted" / "overlay.mp4")
    assert (overlay.num_frames, overlay.height, overlay.width) == (6, 48, 64)
    assert overlay.pts_s[1] == pytest.approx(0.1, abs=1e-3)
    overlay.close()
    done = hogseg("predict", run_folder, "clip.mp4", "--out", "predicted")
    assert done.returncode == 2
    assert "nothing is overwritten" in done.stderr


def test_hog_pictures(hogseg: Hogseg, toy: Path) -> None:
    done = hogseg("hog", "data/images/a", "--out", "drawn", "--preset", "official-3780")
    assert done.returncode == 0, done.stderr
    picture = imageio.imread(toy / "drawn" / "hog" / "frame_0.png")
    assert picture.shape == (48, 64)
    assert picture.std() > 5
    assert (toy / "drawn" / "hog.mp4").stat().st_size > 0


def test_export_can_be_loaded_and_tells_no_paths(hogseg: Hogseg, toy: Path, run_folder: Path) -> None:
    done = hogseg("export", run_folder, "--out", "model", "--half")
    assert done.returncode == 0, done.stderr
    assert str(toy) not in (toy / "model" / "model.toml").read_text("utf-8")
    full = next((run_folder / "checkpoints").rglob("weights.safetensors")).stat().st_size
    assert (toy / "model" / "weights.safetensors").stat().st_size < 0.55 * full
    assert hogseg("evaluate", "model", "--data", "data", "--split", "c").returncode == 0
    views = ("--tta", "--scales", "1,1.25", "--window-px", "32", "--json", "views.json")
    assert hogseg("evaluate", "model", "--data", "data", "--split", "c", *views).returncode == 0
    told = json.loads((toy / "views.json").read_text("utf-8"))
    seen = "windows of 32 px, overlap 0.5, mirrored too, scales 1, 1.25"
    assert told["passport"]["inference"] == seen
    assert f"Not the plain prediction: {seen}." in told["notes"]
    assert open_dataset(toy / "data").scheme == read_spec(toy / "model").scheme


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train", "nope", "--data", "data", "--out", "x"), "No recipe is called 'nope'"),
        (("train", "toy.toml", "--data", "nowhere", "--out", "x"), "No such folder"),
        (("train", "toy.toml", "--data", "data", "--out", "x", "--set", "train.sead=1"), "train.sead"),
        (("train", "toy.toml", "--data", "data", "--out", "x", "--set", "train.device=tpu9"), "tpu9"),
        (("evaluate", "nowhere"), "No such folder"),
        (("evaluate", "data"), "No model here"),
        (("predict", "data", "data/images/a", "--out", "x"), "No model here"),
        (("evaluate", "data", "--window-px", "8"), "32 pixels or more [--window-px]"),
        (("hog", "toy.toml", "--out", "x"), "cannot be opened"),
        (("hog", "data", "--out", "x"), "holds no pictures"),
        (("score", "data/masks/a", "nowhere", "--classes", "3"), "No such folder"),
        (("score", "data/masks/a", "data/masks/a"), "Give --classes or --layout"),
        (("score", "data/masks/a", "data", "--layout", "folders", "--classes", "3"), "The layout says"),
        (("score", "data/masks/a", "data/masks/a", "--classes", "3", "--frames", "a"), "Name its --layout"),
        (
            ("score", "data/masks/a", "data/masks/a", "--classes", "3", "--protocol", "x"),
            "Known: dataset-miou",
        ),
        (("score", "data/masks/a", "data", "--layout", "cadis-task2"), "No frame lies here"),
    ],
)
def test_bad_input_gets_one_message_and_exit_2(
    hogseg: Hogseg, toy: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = hogseg(*arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (toy / "x").exists()


VIEW_FLAGS = {"--window-px", "--overlap", "--tta", "--scales"}
SCORING_FLAGS = {
    *("--protocol", "--against", "--centerline", "--frame-edge", "--band-px", "--tolerance-px"),
    *("--json", "--csv"),
}


def test_options_are_frozen(hogseg: Hogseg) -> None:
    """Scripts rely on these words; a change here belongs into the CHANGELOG."""
    expected = {
        "train": {
            *("--data", "--out", "--set", "--resume", "--dry-run", "--overfit-one-batch", "--events-stdout"),
        },
        "lr-find": {"--data", "--set", "--first", "--last", "--steps", "--csv", "--plot"},
        "finetune": {
            *(
                "--data",
                "--frames",
                "--out",
                "--seconds",
                "--steps",
                "--learning-rate",
                "--batch-size",
                "--replay",
            ),
            *(
                "--replay",
                "--replay-data",
                "--validate-every",
                "--seed",
                "--num-threads",
                "--layout",
                "--device",
            ),
            "--events-stdout",
        },
        "adapt": {
            *("--video", "--out", "--what", "--frames", "--steps", "--validate-every", "--patience"),
            *("--learning-rate", "--batch-size", "--seed", "--num-threads", "--device", "--events-stdout"),
        },
        "evaluate": {"--data", "--split", "--without", "--layout", "--device", *VIEW_FLAGS, *SCORING_FLAGS},
        "experiment": {
            *("--data", "--out", "--recipe", "--seed", "--arm", "--set", "--protocol", "--jobs"),
            *("--num-threads", "--device"),
        },
        "tensorboard": {"--out", "--follow"},
        "predict": {"--out", "--device", *VIEW_FLAGS},
        "hog": {"--out", "--preset"},
        "score": {"--classes", "--layout", "--frames", *SCORING_FLAGS},
        "export": {"--out", "--half"},
        "selftest": set(),
        "demo": {"--screenshot"},
        "data list": set(),
        "data check": {"--layout", "--quick", "--json"},
        "data download": {"--out", "--mirror"},
        "annotations export": {"--format", "--out", "--frames", "--clip", "--masks", "--pictures"},
        "report": {"--out", "--model", "--worst", "--clip", "--masks", "--device"},
        "film": {
            *("--out", "--first", "--last", "--panel", "--style", "--width-px", "--model", "--clip"),
            *("--masks", "--device"),
        },
        "annotations import": {"--format", "--rest", "--clip", "--masks", "--erase"},
    }
    from typer.main import get_command

    from training.cli import app

    commands = dict(get_command(app).commands)
    for group in ("data", "annotations"):
        commands |= {f"{group} {name}": command for name, command in commands.pop(group).commands.items()}
    found = {
        name: {word for param in command.params for word in param.opts if word.startswith("--")}
        for name, command in commands.items()
    }
    assert found == expected
    assert hogseg("--version").stdout.startswith("napari-hogseg ")


def test_selftest_passes(hogseg: Hogseg) -> None:
    done = hogseg("selftest")
    assert done.returncode == 0, done.stderr
    assert "4 of 4 checks passed" in done.stderr
