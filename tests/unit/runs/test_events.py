"""Events: what is written is read back, and a torn file costs one line at most."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from napari_hogseg.runs.events import (
    AuxiliaryHealth,
    EventWriter,
    Failed,
    Finished,
    HeadHealth,
    Message,
    Progress,
    Saved,
    Validated,
    parse_event,
    read_events,
)

if TYPE_CHECKING:
    from pathlib import Path

HEALTH = AuxiliaryHealth(
    step=3,
    target="hog",
    part="val",
    num_frames=4,
    target_variance=0.01,
    heads=(HeadHealth(r2_mean=0.1, r2_zero=0.8, mse=0.009),),
    gradient_cosine=None,
    segmentation_gradient_norm=0.08,
    auxiliary_gradient_norm=0.0,
)

EVENTS = [
    Message(level="warning", text="Übung macht\nden Meister"),
    Progress(
        step=3,
        num_steps=None,
        loss=1.5,
        ce=1.4,
        mse=0.1,
        lr=1e-3,
        frames_per_s=9.0,
        eta_s=None,
        elapsed_s=2.0,
    ),
    Validated(step=3, miou=0.5, iou={"tool": 0.5, "pathology": None}, num_frames=4),
    HEALTH,
    Saved(step=3, folder="checkpoints/step-0000003", best=True),
    Finished(step=3, reason="done", best_miou=None, elapsed_s=2.0, health=HEALTH),
    Failed(exit_code=2, what="No such folder", remedy="Check the path."),
]


def test_round_trip_to_file_and_stream(tmp_path: Path) -> None:
    stream = io.StringIO()
    with EventWriter(tmp_path / "events.jsonl", stream) as writer:
        for event in EVENTS:
            writer.write(event)
    assert list(read_events(tmp_path / "events.jsonl")) == EVENTS
    assert [parse_event(line) for line in stream.getvalue().splitlines()] == EVENTS


def test_a_torn_last_line_is_passed_over_and_does_not_swallow_the_next(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as writer:
        for event in EVENTS[:2]:
            writer.write(event)
    whole = path.read_bytes()
    for cut in range(1, 40, 7):
        path.write_bytes(whole[:-cut])
        assert list(read_events(path)) == EVENTS[: 2 if cut == 1 else 1]
        with EventWriter(path) as writer:
            writer.write(EVENTS[3])
        assert list(read_events(path))[-1] == EVENTS[3]


def test_other_output_is_no_event() -> None:
    assert parse_event("Downloading: 100%") is None
    assert parse_event('{"kind": "started"}') is None


def test_a_parent_that_died_does_not_stop_the_file(tmp_path: Path) -> None:
    stream = io.StringIO()
    with EventWriter(tmp_path / "events.jsonl", stream) as writer:
        stream.close()
        for event in EVENTS:
            writer.write(event)
    assert list(read_events(tmp_path / "events.jsonl")) == EVENTS


def test_events_of_earlier_versions_are_read() -> None:
    old = EVENTS[1].model_dump_json(exclude={"extra"})
    assert "extra" not in old
    assert parse_event(old) == EVENTS[1]


def test_a_missing_file_holds_no_events(tmp_path: Path) -> None:
    assert list(read_events(tmp_path / "events.jsonl")) == []


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError):
        Message(level="info", text="a", color="red")  # type: ignore[call-arg]
