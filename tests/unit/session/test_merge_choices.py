"""Another's session taken into the open one: as chosen, nothing lost, and back again."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hogseg.data.scheme import IGNORE, LabelScheme
from napari_hogseg.io.atomic import sha256_file
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.annotations import AnnotationStore, SessionIdentity
from napari_hogseg.session.merge_choices import compare, take_back, take_over

SCHEME = LabelScheme(
    name="eye", classes=("pupil", "iris", "tool"), colors=((0, 0, 255), (0, 255, 0), (255, 0, 0))
)
IDENTITY = SessionIdentity("clip.mp4", tuple(f"f{i}" for i in range(5)), 12, 16, SCHEME)


def truth(frame_index):
    return None if frame_index == 4 else np.zeros((12, 16), np.uint8)


@pytest.fixture
def theirs(tmp_path):
    """Frame 0: they alone; 1: both alike; 2: both, apart and across in two ways; 4: without truth."""
    store = AnnotationStore(tmp_path / "theirs", IDENTITY, truth, settle_s=0.01)
    store.records.author = "bob"
    store.paint(0, np.s_[0, :], 1)
    store.paint(1, np.s_[1, :], 2)
    store.paint(2, np.s_[2:6, 2:6], 2)
    store.paint(2, np.s_[11, 15], IGNORE)
    store.paint(2, np.s_[10, 0:3], 1)
    store.paint(4, np.s_[0, 2:5], 2)
    assert store.close()
    return tmp_path / "theirs"


@pytest.fixture
def mine(tmp_path, theirs):
    store = AnnotationStore(tmp_path / "mine", IDENTITY, truth, settle_s=0.01)
    store.paint(1, np.s_[1, :], 2)
    store.paint(2, np.s_[0:4, 0:4], 1)
    store.paint(2, np.s_[10, 0:9], 2)
    store.paint(3, np.s_[5, 5], 1)
    store.paint(4, np.s_[0, 0:3], 1)
    yield store
    assert store.close()


def masks(store):
    return np.stack([store.mask(index) for index in range(5)])


def test_conflicts_are_listed_and_nothing_changes(mine, theirs):
    before = masks(mine)
    seen = []
    found = compare(mine, theirs, truth, lambda done, total: seen.append((done, total)) or True)
    assert [(c.frame_index, c.a, c.b, c.pixels) for c in found.conflicts] == [
        (2, "iris", "tool", 4), (2, "tool", "iris", 3), (4, "iris", "tool", 1),
    ]  # fmt: skip
    assert (found.author, found.num_frames, found.locked) == ("bob", 4, ())
    assert found.num_taken_px == 16 + 12 + 1 + 2
    assert seen == [(index, 4) for index in range(4)]
    assert np.array_equal(masks(mine), before)
    assert compare(mine, theirs, truth, lambda _done, _total: False) is None


def test_each_conflict_goes_as_chosen_and_all_of_it_goes_back(mine, theirs, tmp_path):
    files = {path: sha256_file(path) for path in theirs.rglob("*") if path.is_file()}
    before = masks(mine)
    first, second, third = compare(mine, theirs, truth).conflicts
    merged = take_over(mine, theirs, truth, {first: "theirs", second: "mine", third: "theirs"})
    after = before.copy()
    after[0, 0, :] = 1
    after[2, 2:6, 2:6] = 2  # the conflict included
    after[2, 11, 15] = IGNORE
    after[4, 0, 2:5] = 2
    assert np.array_equal(masks(mine), after)
    assert merged.frame_indices == (0, 2, 4)
    assert mine.flush()
    assert not compare(mine, theirs, truth).num_taken_px

    mine.paint(2, np.s_[2, 2], 0)  # painted since: stays
    num_pixels = take_back(mine, merged)
    expected = before.copy()
    expected[2, 2, 2] = 0
    assert np.array_equal(masks(mine), expected)
    assert num_pixels == np.count_nonzero(after != before) - 1
    assert files == {path: sha256_file(path) for path in theirs.rglob("*") if path.is_file()}
    assert mine.flush()
    assert mine.edited_frames == (1, 2, 3, 4)
    kinds = []
    mine.close()
    kinds = [entry.kind for entry in mine.records.ledger.entries]
    assert kinds.count("merge") == 3
    assert kinds.count("undo") == 3


def test_what_was_there_is_durable_before_it_is_painted_over(mine, theirs, monkeypatch):
    before = masks(mine)
    monkeypatch.setattr(mine, "paint", lambda *_: (_ for _ in ()).throw(OSError("killed here")))
    with pytest.raises(OSError, match="killed here"):
        take_over(mine, theirs, truth, {})
    kept = mine.folder / "set-aside" / "before-merge"
    again = AnnotationStore(kept, IDENTITY, truth)
    assert np.array_equal(again.mask(0), before[0])
    again.close()
    assert np.array_equal(masks(mine), before)


def test_a_merge_without_a_difference_changes_nothing(mine, theirs):
    choices = dict.fromkeys(compare(mine, theirs, truth).conflicts, "theirs")
    assert take_over(mine, theirs, truth, choices) is not None
    assert take_over(mine, theirs, truth, {}) is None


def test_what_is_not_mergeable_is_refused(mine, theirs, tmp_path):
    with pytest.raises(InputError, match="session that is open"):
        compare(mine, mine.folder, truth)
    with pytest.raises(InputError, match="Not a session folder"):
        compare(mine, tmp_path, truth)
    other = SessionIdentity("other.mp4", ("g0",), 12, 16, SCHEME)
    AnnotationStore(tmp_path / "other", other).close()
    with pytest.raises(InputError, match="another clip"):
        compare(mine, tmp_path / "other", truth)
    reader = AnnotationStore(mine.folder, IDENTITY, truth)
    with pytest.raises(InputError, match="open elsewhere"):
        take_over(reader, theirs, truth, {})
    reader.close()
