"""Where the reviewer was comes back, by itself; the list of sessions tells what is in each."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_hogseg.data.scheme import LabelScheme
from napari_hogseg.session import records
from napari_hogseg.session.annotations import AnnotationStore, SessionIdentity
from napari_hogseg.session.session_lock import user_name
from napari_hogseg.session.state import Marks, SessionState, read_author, recent_sessions, write_author

SCHEME = LabelScheme(name="eye", classes=("a", "b"), colors=((0, 0, 255), (0, 255, 0)))
STATE = SessionState(
    clip="/videos/é.mp4",
    masks="/videos/masks",
    model="/models/m",
    frame_index=17,
    zoom=2.5,
    center=(40.0, 31.5),
    selected_class=1,
    brush_px=12,
    opacity=0.4,
    shown_panels=("truth", "hog"),
    marks=Marks(reviewed=(3,), done=((3, 1, 2, 40, 0, 0, 5, 8),)),
)


def open_store(folder):
    identity = SessionIdentity(f"{folder.name}.mp4", ("f0", "f1"), 12, 16, SCHEME)
    return AnnotationStore(folder, identity, settle_s=0.01)


def test_state_comes_back_whole(tmp_path):
    STATE.write(tmp_path)
    assert SessionState.read(tmp_path) == STATE
    SessionState().write(tmp_path)
    assert SessionState.read(tmp_path) == SessionState()


@pytest.mark.parametrize("text", ["", "frame_index = -3", "zoom = 'big'", "not toml", b"\xff\xfe"])
def test_a_state_that_cannot_be_read_is_none(tmp_path, text):
    (tmp_path / "state.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    found = SessionState.read(tmp_path)
    assert found == (SessionState() if text == "" else None)
    assert SessionState.read(tmp_path / "nowhere") is None


def test_a_later_versions_field_does_no_harm(tmp_path):
    (tmp_path / "state.toml").write_text("frame_index = 3\nlens = 'new'\n")
    assert SessionState.read(tmp_path).frame_index == 3


def test_state_is_saved_by_itself_but_not_at_every_step(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "STATE_EVERY_S", 0.2)
    writes = []
    write = SessionState.write
    monkeypatch.setattr(
        SessionState, "write", lambda state, *places: (writes.append(state), write(state, *places))
    )
    store = open_store(tmp_path / "s")
    for frame_index in range(50):
        store.remember(STATE.model_copy(update={"frame_index": frame_index}))
        time.sleep(0.01)
    deadline = time.monotonic() + 5
    while SessionState.read(tmp_path / "s") != STATE.model_copy(update={"frame_index": 49}):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert 1 < len(writes) < 10
    store.remember(STATE)
    assert store.close()
    assert SessionState.read(tmp_path / "s") == STATE


def test_recent_sessions_newest_first_with_what_is_in_them(tmp_path):
    for name in ("one", "two"):
        store = open_store(tmp_path / name)
        store.records._actions.active._seconds = 90.0
        store.paint(0, np.s_[0, 0], 1)
        assert store.close()
        time.sleep(0.02)
    store = open_store(tmp_path / "one")
    store.remember(STATE)
    store.close()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "session.toml").write_text("=")
    (tmp_path / "no session").mkdir()
    first, second = recent_sessions(tmp_path)
    assert (first.folder.name, first.clip, first.state) == ("one", STATE.clip, STATE)
    assert (second.folder.name, second.clip, second.state) == ("two", "two.mp4", None)
    assert (first.num_corrected, second.num_corrected) == (1, 1)
    assert second.minutes == pytest.approx(1.5, abs=0.01)
    assert first.when >= second.when
    assert [session.folder.name for session in recent_sessions(tmp_path, limit=1)] == ["one"]
    assert recent_sessions(tmp_path / "nowhere") == []


def test_author_is_the_users_name_until_set(tmp_path):
    root = tmp_path / "sessions"
    assert read_author(root) == user_name()
    write_author(root, 'Dr. "Å"')
    assert read_author(root) == 'Dr. "Å"'
    write_author(root, "")
    assert read_author(root) == ""
