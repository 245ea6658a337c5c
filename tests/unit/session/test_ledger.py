"""The ledger: each action once, with its pixels by class pair, its kind, its model and its working time."""

from __future__ import annotations

import csv
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from napari_hogseg.data.scheme import IGNORE, LabelScheme
from napari_hogseg.session import ledger as ledger_module
from napari_hogseg.session.annotations import AnnotationStore, SessionIdentity
from napari_hogseg.session.ledger import (
    ActionLog,
    ActiveTime,
    ClassChange,
    EffortCurve,
    Ledger,
    LedgerEntry,
    Proposal,
    class_changes,
    read_ledger,
)

SCHEME = LabelScheme(name="eye", classes=("a", "b", "c"), colors=((0, 0, 255), (0, 255, 0), (255, 0, 0)))
IDENTITY = SessionIdentity("clip.mp4", tuple(f"f{i}" for i in range(3)), 12, 16, SCHEME)
MODEL = Proposal(digest="ab" * 32, name="unet-s")


def truth(_frame_index):
    return np.zeros((12, 16), np.uint8)


def entry(seconds=0.0, pixels=0, frame="f1", kind="paint"):
    changes = (ClassChange(before=0, after=1, pixels=pixels),) if pixels else ()
    when = datetime(2026, 1, 1, tzinfo=UTC)
    return LedgerEntry(when=when, frame_index=1, frame=frame, kind=kind, changes=changes, seconds=seconds)


@pytest.fixture
def make_store(tmp_path):
    stores = []

    def make():
        stores.append(AnnotationStore(tmp_path / "s", IDENTITY, truth, settle_s=0.01))
        return stores[-1]

    yield make
    for store in stores:
        store.close(2.0)


def test_class_changes_against_a_count_by_hand():
    rng = np.random.default_rng(0)
    before, after = rng.choice([0, 1, 2, IGNORE], (2, 40, 30)).astype(np.uint8)
    counts = {}
    for one, other in zip(before.ravel().tolist(), after.ravel().tolist(), strict=True):
        if one != other:
            counts[one, other] = counts.get((one, other), 0) + 1
    found = class_changes(before, after)
    assert {(change.before, change.after): change.pixels for change in found} == counts
    assert [c.pixels for c in found] == sorted(counts.values(), reverse=True)
    assert class_changes(before, before) == ()


def test_pauses_are_no_working_time():
    clock = SimpleNamespace(now=100.0)
    active = ActiveTime(lambda: clock.now)
    for pause in (0.0, 10.0, 29.0, 31.0, 5.0):
        clock.now += pause
        active.tick()
    assert active.take() == pytest.approx(44.0)
    assert active.take() == 0.0


def test_touches_in_a_row_are_one_action():
    clock = SimpleNamespace(now=0.0)
    log = ActionLog(lambda: clock.now)
    copies = []

    def note(frame_index, kind="paint", proposed_by=None):
        return log.note(
            frame_index, kind, proposed_by, lambda: copies.append(1) or np.zeros((2, 2), np.uint8)
        )

    for _ in range(100):
        clock.now += 0.02
        note(1)
    assert len(copies) == 1
    assert log.ended() == []
    assert note(2)
    assert note(2, "undo")
    assert note(2, "accept", MODEL)
    clock.now += 1.5
    assert note(2, "accept", MODEL)
    ended = log.ended(hurry=True)
    assert [(action.frame_index, action.kind) for action in ended] == [
        (1, "paint"),
        (2, "paint"),
        (2, "undo"),
        (2, "accept"),
        (2, "accept"),
    ]
    assert sum(action.seconds for action in ended) == pytest.approx(clock.now - 0.02)


def test_each_action_is_entered_with_its_own_pixels(make_store, tmp_path):
    store = make_store()
    store.records.author = "R. Reviewer"
    store.paint(1, np.s_[0, :], 1)
    store.paint(1, np.s_[1, :], 1)
    with store.acting("accept", MODEL):
        store.paint(1, np.s_[1:3, :], 2)
    store.paint(2, np.s_[0, 0], IGNORE)
    with store.acting("undo"):
        store.paint(1, np.s_[1:3, :], 1)
        store.paint(1, np.s_[2, :], 0)
    assert store.close()
    entries, num_damaged = read_ledger(tmp_path / "s" / "ledger.jsonl")
    assert num_damaged == 0
    found = [
        (e.kind, e.frame_index, e.frame, [(c.before, c.after, c.pixels) for c in e.changes]) for e in entries
    ]
    assert found == [
        ("paint", 1, "f1", [(0, 1, 32)]),
        ("accept", 1, "f1", [(0, 2, 16), (1, 2, 16)]),
        ("erase", 2, "f2", [(0, IGNORE, 1)]),
        ("undo", 1, "f1", [(2, 0, 16), (2, 1, 16)]),
    ]
    assert [e.proposed_by for e in entries] == [None, MODEL, None, None]
    assert {e.author for e in entries} == {"R. Reviewer"}
    assert all(e.when.tzinfo is not None and e.when <= datetime.now(UTC) for e in entries)


def test_an_action_without_effect_is_none(make_store):
    store = make_store()
    store.paint(1, np.s_[0, :], 0)
    assert store.close()
    assert store.records.ledger.entries == []


def test_entries_are_durable_soon_after_the_stroke(make_store, tmp_path):
    store = make_store()
    store.paint(1, np.s_[0, :], 1)
    deadline = time.monotonic() + 5
    while not read_ledger(tmp_path / "s" / "ledger.jsonl")[0]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert store.records.effort.pixels == (16,)


def test_looking_counts_at_the_end(make_store, monkeypatch):
    store = make_store()
    now = [0.0]
    monkeypatch.setattr(store.records._actions.active, "_clock", lambda: now[0])
    for _ in range(4):
        now[0] += 20.0
        store.note_activity()
    assert store.close()
    (looked,) = store.records.ledger.entries
    assert (looked.kind, looked.frame_index, looked.seconds) == ("look", None, 60.0)


def test_a_torn_line_costs_that_line(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.add(entry(pixels=3))
    ledger.add(entry(pixels=4))
    ledger.write()
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole[:-20])
    again = Ledger(tmp_path)
    assert (len(again.entries), again.num_damaged) == (1, 1)
    again.add(entry(pixels=5))
    again.write()
    entries, num_damaged = read_ledger(ledger.path)
    assert ([e.num_pixels for e in entries], num_damaged) == ([3, 5], 1)


def test_a_failed_write_is_made_up_for(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path)
    ledger.add(entry(pixels=3))
    ledger.write()
    before = ledger.path.read_bytes()

    def full(file, data):
        file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger_module, "write_all", full)
    ledger.add(entry(pixels=4))
    with pytest.raises(OSError, match="No space"):
        ledger.write()
    assert ledger.path.read_bytes() == before
    monkeypatch.undo()
    ledger.add(entry(pixels=5))
    ledger.write()
    assert [e.num_pixels for e in read_ledger(ledger.path)[0]] == [3, 4, 5]


def test_a_full_disk_for_the_ledger_holds_no_mask_up(make_store, monkeypatch):
    def full(_file, _data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger_module, "write_all", full)
    store = make_store()
    store.paint(1, np.s_[0, :], 1)
    assert store.flush()
    monkeypatch.undo()
    assert store.close()
    assert [e.num_pixels for e in read_ledger(store.folder / "ledger.jsonl")[0]] == [16]


def test_effort_adds_up_and_undo_takes_off():
    curve = EffortCurve.of(
        [
            entry(30.0, 100, "f1"),
            entry(15.0, 40, "f1", "undo"),
            entry(60.0, 0, ""),
            entry(15.0, 10, "f2"),
        ]
    )
    assert curve.minutes == (0.5, 0.75, 1.75, 2.0)
    assert curve.pixels == (100, 60, 60, 70)
    assert curve.frames == (1, 1, 1, 2)
    rows = list(csv.reader(curve.to_csv().splitlines()))
    assert rows[0] == ["when_utc", "minutes", "corrected_pixels", "corrected_frames"]
    assert rows[-1] == ["2026-01-01T00:00:00+00:00", "2.0000", "70", "2"]
    assert EffortCurve.of([]).total_minutes == 0.0


def test_effort_csv_is_written_on_closing(make_store, tmp_path):
    store = make_store()
    store.paint(1, np.s_[0, :], 1)
    store.close()
    assert len((tmp_path / "s" / "effort.csv").read_text().splitlines()) == 2
