"""The journal: what was appended comes back, and of a damaged file all that is whole."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from napari_hogseg.io.errors import InputError
from napari_hogseg.session.journal import HEADER_BYTES, MAGIC, Journal, Kind, pixel_digest

SHAPE = (5, 12, 16)
CLASSES = ("pupil", "iris", "tool")


def a_mask(seed):
    return np.random.default_rng(seed).integers(0, 3, SHAPE[1:], dtype=np.uint8)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.bin"


def write(path, *frames):
    """Journal one state a frame, its seed the position; returns where each record ends."""
    journal = Journal(path, SHAPE, CLASSES)
    ends = []
    for seed, frame_index in enumerate(frames):
        journal.append([(frame_index, a_mask(seed))])
        ends.append(path.stat().st_size)
    return ends


def newest(journal):
    return {index: journal.read(history.newest) for index, history in journal.frames.items()}


def test_the_newest_state_of_each_frame_comes_back(path):
    write(path, 1, 4, 1)
    found = newest(Journal(path, SHAPE, CLASSES))
    assert sorted(found) == [1, 4]
    np.testing.assert_array_equal(found[1], a_mask(2))
    np.testing.assert_array_equal(found[4], a_mask(1))


def test_one_append_of_many_frames_is_one_sync(path, monkeypatch):
    import os

    syncs = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (syncs.append(handle), sync(handle)))
    journal = Journal(path, SHAPE, CLASSES)
    journal.append([(index, a_mask(index)) for index in range(5)])
    assert len(syncs) == 1
    assert len(newest(Journal(path, SHAPE, CLASSES))) == 5


def test_settled_frames_have_nothing_pending(path):
    journal = Journal(path, SHAPE, CLASSES)
    journal.append([(1, a_mask(0))])
    journal.append([(1, a_mask(1))])
    assert journal.frames[1].num_pending == 2
    journal.settle(1, Kind.COMMITTED)
    again = Journal(path, SHAPE, CLASSES)
    assert again.frames[1].num_pending == 0
    assert again.frames[1].settled is Kind.COMMITTED
    again.append([(1, a_mask(2))])
    assert Journal(path, SHAPE, CLASSES).frames[1].num_pending == 1


def test_cut_at_every_byte_of_the_last_record(path):
    """Fault 5."""
    _, keep, end = write(path, 1, 2, 1)
    whole = path.read_bytes()
    for cut in range(keep, end):
        path.write_bytes(whole[:cut])
        journal = Journal(path, SHAPE, CLASSES)
        found = newest(journal)
        np.testing.assert_array_equal(found[1], a_mask(0))
        np.testing.assert_array_equal(found[2], a_mask(1))
        if cut == keep:
            assert journal.damage == ()
            continue
        (damage,) = journal.damage
        assert damage.kept is not None
        assert damage.kept.read_bytes() == whole[keep:cut]
        assert (damage.frame_index == 1) == (cut - keep >= HEADER_BYTES - 4)
        assert path.read_bytes() == whole[:keep]
        assert Journal(path, SHAPE, CLASSES).damage == ()
        damage.kept.unlink()


def test_every_flipped_bit_is_found_and_costs_one_record(path):
    """Fault 6: whichever bit of the middle record flips, the records around it count, and it is named."""
    first, second, _ = write(path, 1, 2, 3)
    whole = path.read_bytes()
    for position in range(first, second):
        spoilt = bytearray(whole)
        spoilt[position] ^= 1 << position % 8
        path.write_bytes(spoilt)
        journal = Journal(path, SHAPE, CLASSES)
        assert sorted(journal.frames) == [1, 3]
        (damage,) = journal.damage
        assert damage.kept is not None
        assert damage.kept.read_bytes() == bytes(spoilt[first:second])
        assert str(first) in str(damage)
        damage.kept.unlink()


def test_later_rot_is_a_named_error(path):
    write(path, 1)
    journal = Journal(path, SHAPE, CLASSES)
    spoilt = bytearray(path.read_bytes())
    spoilt[-9] ^= 4
    path.write_bytes(spoilt)
    with pytest.raises(InputError, match=r"damaged at byte 0, frame 1"):
        journal.read(journal.frames[1].newest)


def test_a_payload_that_swells_is_bounded(path):
    """A record with a right checksum, whose few bytes would become a thousand masks."""
    journal = Journal(path, SHAPE, CLASSES)
    bomb = zlib.compress(bytes(SHAPE[1] * SHAPE[2] * 1000))
    _, data = journal._pack(Kind.PAINTED, 1, pixel_digest(a_mask(0)), bomb, 0)
    path.write_bytes(data)
    again = Journal(path, SHAPE, CLASSES)
    with pytest.raises(InputError, match="damaged"):
        again.read(again.frames[1].newest)


@pytest.mark.parametrize(
    ("shape", "classes"), [((5, 12, 17), CLASSES), (SHAPE, ("a", "b", "c")), ((1, 12, 16), CLASSES)]
)
def test_another_clips_journal_is_refused(path, shape, classes):
    write(path, 1)
    before = path.read_bytes()
    with pytest.raises(InputError, match="another clip"):
        Journal(path, shape, classes)
    assert path.read_bytes() == before


def test_reading_only_changes_nothing(path, tmp_path):
    _, keep, _ = write(path, 1, 2, 3)
    cut = path.read_bytes()[: keep + 20]
    path.write_bytes(cut)
    journal = Journal(path, SHAPE, CLASSES, read_only=True)
    assert sorted(journal.frames) == [1, 2]
    with pytest.raises(InputError, match="open elsewhere"):
        journal.append([(1, a_mask(0))])
    assert path.read_bytes() == cut
    assert [file.name for file in tmp_path.iterdir()] == ["journal.bin"]


def test_compaction_keeps_the_newest_of_corrected_frames(path):
    journal = Journal(path, SHAPE, CLASSES)
    for seed in range(40):
        journal.append([(seed % 2, a_mask(seed))])
    assert not journal.compact(least_bytes=0)  # nothing is settled: all of it may be needed
    journal.settle(0, Kind.COMMITTED)
    journal.settle(1, Kind.CLEARED)
    last = journal.frames[0].newest.sequence
    before = path.stat().st_size
    assert journal.compact(least_bytes=0)
    assert path.stat().st_size < before / 10
    again = Journal(path, SHAPE, CLASSES)
    assert list(again.frames) == [0]
    assert again.frames[0].settled is Kind.COMMITTED
    np.testing.assert_array_equal(newest(again)[0], a_mask(38))
    (record,) = again.append([(0, a_mask(1))])
    assert record.sequence > last


def test_an_append_that_fails_leaves_the_file_as_it_was(path, monkeypatch):
    import os

    write(path, 1)
    before = path.read_bytes()
    journal = Journal(path, SHAPE, CLASSES)

    def refuse(_handle):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="Input/output"):
        journal.append([(2, a_mask(1))])
    assert path.read_bytes() == before
    assert sorted(journal.frames) == [1]
    monkeypatch.undo()
    journal.append([(2, a_mask(1))])
    assert sorted(Journal(path, SHAPE, CLASSES).frames) == [1, 2]


def test_bytes_that_only_look_like_a_record_are_passed_over(path):
    first, second = write(path, 1, 2)
    data = path.read_bytes()
    path.write_bytes(data[:first] + b"\0" * 10 + MAGIC + b"\1" * HEADER_BYTES + data[first:second])
    journal = Journal(path, SHAPE, CLASSES)
    assert sorted(journal.frames) == [1, 2]
    assert sum(damage.num_bytes for damage in journal.damage) == 10 + len(MAGIC) + HEADER_BYTES
