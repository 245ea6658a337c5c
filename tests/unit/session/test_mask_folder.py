"""A mask file that is not ours any more is found, the person chooses, and neither version is lost."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from napari_hogseg.data.scheme import LabelScheme
from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.annotations import AnnotationStore, SessionIdentity
from napari_hogseg.session.session_lock import SessionLock

SCHEME = LabelScheme(name="eye", classes=("a", "b", "c"), colors=((0, 0, 255), (0, 255, 0), (255, 0, 0)))
IDENTITY = SessionIdentity("clip.mp4", tuple(f"f{i}" for i in range(3)), 12, 16, SCHEME)
OURS, THEIRS = np.full((12, 16), 1, np.uint8), np.full((12, 16), 2, np.uint8)


def truth(_frame_index):
    return np.zeros((12, 16), np.uint8)


@pytest.fixture
def make_store(tmp_path):
    stores = []

    def make():
        stores.append(AnnotationStore(tmp_path / "s", IDENTITY, truth, settle_s=0.01))
        return stores[-1]

    yield make
    for store in stores:
        store.close(2.0)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "s" / "masks" / "f1.png"


@pytest.fixture
def painted(make_store):
    """A closed session in which frame 1 was painted."""
    store = make_store()
    store.paint(1, np.s_[...], OURS)
    assert store.close()


def change(path):
    images.write_mask(path, THEIRS, SCHEME.colors)


def remove(path):
    path.unlink()


def flip_a_bit(path):
    """Within the pixels, the PNG's own checksums made right again: only our digest can tell."""
    mask = np.array(Image.open(path))
    mask[3, 4] ^= 2
    images.write_mask(path, mask, SCHEME.colors)


def truncate(path):
    path.write_bytes(path.read_bytes()[:50])


@pytest.mark.parametrize(
    ("spoil", "how"),
    [(change, "changed"), (remove, "removed"), (flip_a_bit, "damaged"), (truncate, "damaged")],
)
def test_our_version_stays_in_reach(painted, make_store, file, tmp_path, spoil, how):
    """Faults 6 and 11: named, locked, and mended by a choice; theirs is set aside as it was."""
    spoil(file)
    theirs = file.read_bytes() if file.exists() else None
    store = make_store()
    assert how in str(store.problem(1)) or "changed" in str(store.problem(1))
    assert [conflict.frame_index for conflict in store.conflicts] == [1]
    np.testing.assert_array_equal(store.mask(1), OURS)
    with pytest.raises(InputError, match="locked until you choose"):
        store.paint(1, np.s_[0, 0], 0)
    store.resolve_conflict(1, "ours")
    assert store.conflicts == ()
    assert store.problem(1) is None
    np.testing.assert_array_equal(images.read_mask(file), OURS)
    if theirs is not None:
        assert (tmp_path / "s" / "set-aside" / "f1.theirs.png").read_bytes() == theirs
    store.paint(1, np.s_[0, 0], 0)
    assert store.close()
    assert make_store().mask(1)[0, 0] == 0


def test_the_version_on_disk_may_be_kept(painted, make_store, file, tmp_path):
    change(file)
    store = make_store()
    store.mask(1)
    store.resolve_conflict(1, "theirs")
    np.testing.assert_array_equal(store.mask(1), THEIRS)
    np.testing.assert_array_equal(images.read_mask(tmp_path / "s" / "set-aside" / "f1.ours.png"), OURS)
    assert store.close()
    again = make_store()
    np.testing.assert_array_equal(again.mask(1), THEIRS)
    assert again.conflicts == ()


def test_a_removal_may_be_kept(painted, make_store, file):
    remove(file)
    store = make_store()
    store.mask(1)
    store.resolve_conflict(1, "theirs")
    np.testing.assert_array_equal(store.mask(1), truth(1))
    assert store.edited_frames == ()
    assert store.close()
    assert make_store().edited_frames == ()


def test_what_cannot_be_read_cannot_be_kept(painted, make_store, file):
    truncate(file)
    damaged = file.read_bytes()
    store = make_store()
    store.mask(1)
    with pytest.raises(InputError):
        store.resolve_conflict(1, "theirs")
    assert file.read_bytes() == damaged
    assert len(store.conflicts) == 1


def test_a_change_while_the_clip_is_open_is_not_overwritten(make_store, file):
    store = make_store()
    store.paint(1, np.s_[...], OURS)
    assert store.flush()
    change(file)
    store.paint(1, np.s_[0, :], 0)
    assert store.flush()
    np.testing.assert_array_equal(images.read_mask(file), THEIRS)
    (conflict,) = store.conflicts
    assert conflict.how == "changed"
    assert store.mask(1)[0, 0] == 0  # ours, the newest stroke included
    store.resolve_conflict(1, "ours")
    assert images.read_mask(file)[0, 0] == 0


def test_the_same_pixels_in_another_packing_are_no_change(painted, make_store, file):
    Image.open(file).save(file, compress_level=0)
    store = make_store()
    np.testing.assert_array_equal(store.mask(1), OURS)
    assert store.conflicts == ()


def test_masks_of_a_session_without_a_journal_are_taken_over(make_store, file, tmp_path):
    make_store().close()
    change(file)
    store = make_store()
    np.testing.assert_array_equal(store.mask(1), THEIRS)
    assert store.edited_frames == (1,)
    store.paint(1, np.s_[0, 0], 0)
    assert store.flush()
    assert store.conflicts == ()
    assert store.close()
    (entry,) = make_store().records.ledger.entries
    assert entry.num_pixels == 1


def test_many_frames_are_durable_before_the_first_mask_file(tmp_path):
    """What a propagation over a range leaves behind if it is killed a moment later."""
    store = AnnotationStore(tmp_path / "s", IDENTITY, truth, settle_s=600)
    for frame_index in range(3):
        store.paint(frame_index, np.s_[...], OURS)
    while store.unlogged_frames:
        pass
    assert store.unsaved_frames == (0, 1, 2)
    journal = (tmp_path / "s" / "journal.bin").read_bytes()
    assert store.close()
    other = tmp_path / "other"
    other.mkdir()
    (other / "journal.bin").write_bytes(journal)
    killed = AnnotationStore(other, IDENTITY, truth)
    assert killed.restored.frame_indices == (0, 1, 2)
    np.testing.assert_array_equal(killed.mask(2), OURS)
    assert killed.close()
    assert len(list((other / "masks").iterdir())) == 3


@pytest.mark.skipif(os.name == "nt", reason="asks for a process by its number")
def test_without_system_locks_the_note_decides(tmp_path):
    first = SessionLock(tmp_path, use_system_lock=False)
    first.take()
    with pytest.raises(InputError, match=f"process {os.getpid()}"):
        SessionLock(tmp_path, use_system_lock=False).take()
    first.release()
    again = SessionLock(tmp_path, use_system_lock=False)
    again.take()
    assert again.reclaimed is None
    note = again.path.read_text()
    again.release()
    dead = note.replace(f'"pid": {os.getpid()}', '"pid": 4194999')  # above the largest there can be
    again.path.write_text(dead)
    last = SessionLock(tmp_path, use_system_lock=False)
    last.take()
    assert last.reclaimed.pid == 4194999
    last.release()
    again.path.write_text(dead.replace('"host": "', '"host": "another-'))
    with pytest.raises(InputError, match="another-"):
        SessionLock(tmp_path, use_system_lock=False).take()


def test_a_forgotten_lock_ends_with_its_object(tmp_path):
    SessionLock(tmp_path).take()
    SessionLock(tmp_path).take()
