"""What TensorBoard reads is what the events say: every number once, of resumed and live runs too."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.events import EventWriter, Failed, Finished, Message, Progress, Started, Validated
from tests.unit.training.test_loop import train, with_steps
from training.assembly import write_config
from training.tensorboard import MESSAGES, SCORE, write_runs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from napari_hogseg.runs.config import RunConfig
    from napari_hogseg.runs.events import AnyEvent

Points = dict[str, list[tuple[int, float]]]


def add_events(run: Path, events: Iterable[AnyEvent]) -> None:
    with EventWriter(run / "events.jsonl") as writer:
        for event in events:
            writer.write(event)


def started(first_step: int) -> Started:
    return Started(
        pid=1,
        command="train",
        device="cpu",
        num_steps=9,
        first_step=first_step,
        num_train_frames=4,
        num_val_frames=2,
        num_parameters=10,
    )


def progress(step: int, loss: float) -> Progress:
    return Progress(
        step=step,
        num_steps=9,
        loss=loss,
        ce=loss / 2,
        mse=0.5,
        lr=1e-3,
        frames_per_s=3.0,
        eta_s=None,
        elapsed_s=1.0,
    )


def done(step: int) -> Finished:
    return Finished(step=step, reason="done", best_miou=None, elapsed_s=2.0)


def read_back(folder: Path) -> EventAccumulator:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    # Unpurged: it must hold without a reader that forgives repeated steps.
    files = list(folder.iterdir())
    assert len(files) == 1, files
    return EventAccumulator(str(folder), size_guidance={"scalars": 0}, purge_orphaned_data=False).Reload()


def points(folder: Path) -> Points:
    read = read_back(folder)
    return {tag: [(p.step, p.value) for p in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def losses(folder: Path) -> list[tuple[int, float]]:
    return points(folder)["loss/loss"]


def said(folder: Path) -> list[str]:
    return [
        item.tensor_proto.string_val[0].decode()
        for item in read_back(folder).Tensors(f"{MESSAGES}/text_summary")
    ]


def by_the_lines(run: Path) -> Points:
    """The expected points, from the JSON text itself."""
    expected: Points = {}
    for line in (run / "events.jsonl").read_text("utf-8").splitlines():
        event = json.loads(line)
        found: dict[str, float | None] = {}
        if event["kind"] == "progress":
            found |= {f"loss/{name}": event[name] for name in ("loss", "ce", "mse")}
            found |= {"loss/dice": event["extra"]["dice"]}
            found |= {f"weight/{name}": event["extra"][f"weight_{name}"] for name in ("segmentation", "hog")}
            found |= {f"training/{name}": event[name] for name in ("lr", "frames_per_s")}
        elif event["kind"] == "validated":
            found |= {f"val/iou/{name}": iou for name, iou in event["iou"].items()} | {SCORE: event["miou"]}
        elif event["kind"] == "health":
            names = ("target_variance", "gradient_cosine", "segmentation_gradient_norm")
            found |= {f"health/{name}": event[name] for name in (*names, "auxiliary_gradient_norm")}
            (head,) = event["heads"]
            found |= {f"health/{name}/head_0": value for name, value in head.items()}
        for tag, value in found.items():
            if value is not None:
                expected.setdefault(tag, []).append((event["step"], pytest.approx(value, rel=1e-6)))
    return expected


def test_tensorboard_reads_every_number_of_a_real_run_once(config: RunConfig, tmp_path: Path) -> None:
    loss = config.loss.model_copy(update={"dice": 0.5, "weighting": "uncertainty"})
    config = with_steps(config.model_copy(update={"loss": loss}), 4, validate_every=2)
    run, out = tmp_path / "run", tmp_path / "logs"
    events = train(config, run)
    write_config(run, config)
    add_events(run, [started(0), *events])
    for _ in range(2):  # again: the same points, not twice as many
        assert write_runs([run], out) == 1
        assert points(out / "run") == by_the_lines(run)
    assert said(out / "run")[0] == "step 0: train on cpu from step 0: 4 frames, 2 watched, 10 parameters"
    assert said(out / "run")[-1] == "step 4: finished: done"
    assert [point.wall_time for point in read_back(out / "run").Scalars(SCORE)] == [
        event.time_s for event in events if isinstance(event, Validated)
    ]


def test_the_recipe_is_comparable_and_names_no_folder_of_the_data(config: RunConfig, tmp_path: Path) -> None:
    from tensorboard.plugins.hparams import plugin_data_pb2

    write_config(tmp_path / "run", config)
    add_events(tmp_path / "run", [started(0), progress(2, 1.0), done(2)])
    write_runs([tmp_path / "run"], tmp_path / "logs")
    content = (
        read_back(tmp_path / "logs" / "run")
        .SummaryMetadata("_hparams_/session_start_info")
        .plugin_data.content
    )
    told = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert told["optimizer.learning_rate"].number_value == 3e-3
    assert told["model.network"].string_value == "unet-s"
    assert told["data.train"].string_value == "['a', 'b']"
    assert "data.root" not in told
    assert str(tmp_path).encode() not in content


def test_steps_that_a_resumed_run_takes_again_are_shown_once(tmp_path: Path) -> None:
    run = tmp_path / "run"
    crashed = [
        started(0),
        progress(2, 9.0),
        progress(4, 8.0),
        progress(6, 7.0),
        Message(level="info", text="so"),
    ]
    add_events(run, crashed)
    with (run / "events.jsonl").open("a") as file:
        file.write('{"kind":"progress","st')  # power cut
    add_events(run, [started(4), progress(5, 3.0), progress(6, 2.0), done(6)])
    write_runs([run], tmp_path / "logs")
    assert losses(tmp_path / "logs" / "run") == [(2, 9.0), (4, 8.0), (5, 3.0), (6, 2.0)]
    assert said(tmp_path / "logs" / "run")[1:] == [
        "step 6: info: so",
        "step 4: train on cpu from step 4: 4 frames, 2 watched, 10 parameters",
        "step 6: finished: done",
    ]


def test_follow_writes_as_the_run_goes_on_is_resumed_and_finishes(tmp_path: Path) -> None:
    run, folder = tmp_path / "run", tmp_path / "logs" / "run"
    add_events(run, [started(0), progress(2, 9.0)])
    seen: list[list[tuple[int, float]]] = []
    later: list[list[AnyEvent]] = [
        [progress(4, 8.0)],
        [],
        [progress(6, 7.0)],
        [started(4), progress(5, 3.0)],  # killed, and resumed from the checkpoint at step 4
        [progress(6, 2.0), done(6)],
    ]

    def wait() -> None:
        seen.append(losses(folder))
        add_events(run, later.pop(0))

    write_runs([run], tmp_path / "logs", follow=True, wait=wait)
    seen.append(losses(folder))
    start = [(2, 9.0), (4, 8.0)]
    assert seen == [
        start[:1],
        start,
        start,
        [*start, (6, 7.0)],
        [*start, (5, 3.0)],
        [*start, (5, 3.0), (6, 2.0)],
    ]


def test_follow_waits_for_the_rest_of_a_line_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    run, folder = tmp_path / "run", tmp_path / "logs" / "run"
    add_events(run, [started(0)])
    line = progress(2, 9.0).model_dump_json() + "\n"
    halves = [line[:30], line[30:]]

    def wait() -> None:
        if not halves:
            raise KeyboardInterrupt
        with (run / "events.jsonl").open("a") as file:
            file.write(halves.pop(0))

    assert write_runs([run], tmp_path / "logs", follow=True, wait=wait) == 1
    assert losses(folder) == [(2, 9.0)]


def test_a_folder_of_runs_keeps_its_order_and_gets_more_while_it_is_followed(tmp_path: Path) -> None:
    runs, out = tmp_path / "experiment", tmp_path / "logs"
    add_events(runs / "hog" / "seed-0", [started(0), progress(2, 1.0), done(2)])
    told: list[str] = []

    def wait() -> None:
        if len(told) == 2:
            raise KeyboardInterrupt
        failed = Failed(exit_code=4, what="The loss is not finite.", remedy="Lower it.")
        add_events(runs / "none" / "seed-0", [started(0), progress(2, 2.0), failed])

    assert write_runs([runs], out, follow=True, tell=told.append, wait=wait) == 2
    assert losses(out / "experiment" / "hog" / "seed-0") == [(2, 1.0)]
    assert losses(out / "experiment" / "none" / "seed-0") == [(2, 2.0)]
    assert (
        said(out / "experiment" / "none" / "seed-0")[-1]
        == "step 2: failed: The loss is not finite. Lower it."
    )


def test_what_is_no_run_has_one_name_or_another_owner_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "logs"
    (tmp_path / "empty").mkdir()
    for source in ("nowhere", "empty"):
        with pytest.raises(InputError, match=r"No such folder|No run here"):
            write_runs([tmp_path / source], out)
    for arm in ("a", "b"):
        add_events(tmp_path / arm / "seed-0", [started(0)])
    with pytest.raises(InputError, match="both be called 'seed-0'"):
        write_runs([tmp_path / "a" / "seed-0", tmp_path / "b" / "seed-0"], out)
    assert not out.exists()
    (out / "seed-0").mkdir(parents=True)
    other = out / "seed-0" / "events.out.tfevents.1.host.1.0"
    other.write_bytes(b"theirs")
    with pytest.raises(InputError, match="another program"):
        write_runs([tmp_path / "a" / "seed-0"], out)
    assert other.read_bytes() == b"theirs"


def test_without_tensorboard_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match="not installed") as refused:
        write_runs([tmp_path], tmp_path / "logs")
    assert 'pip install "napari-hogseg[track]"' in refused.value.remedy
