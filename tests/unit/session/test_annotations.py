"""The annotation store: painting reaches the disk whole, the truth is never written, nothing is lost."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.data.scheme import IGNORE, LabelScheme
from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError
from napari_hogseg.session import annotations
from napari_hogseg.session.annotations import AnnotationStore, SessionIdentity, session_folder

SCHEME = LabelScheme(
    name="eye", classes=("pupil", "iris", "tool"), colors=((0, 0, 255), (0, 255, 0), (255, 0, 0))
)
NUM_FRAMES, HEIGHT, WIDTH = 5, 12, 16


def identity(**changes):
    values = {
        "source": "clip.mp4",
        "frame_names": tuple(f"frame_{i:06d}" for i in range(NUM_FRAMES)),
        "height": HEIGHT,
        "width": WIDTH,
        "scheme": SCHEME,
    }
    return SessionIdentity(**{**values, **changes})


def truth(frame_index):
    """Frames 0 to 2 have masks, 3 is broken, 4 has none."""
    if frame_index == 3:
        raise InputError("Not a picture", where="masks/frame_000003.png")
    if frame_index == 4:
        return None
    return np.full((HEIGHT, WIDTH), frame_index % SCHEME.num_classes, np.uint8)


@pytest.fixture
def make_store(tmp_path):
    stores = []

    def make(truth=truth, **options):
        store = AnnotationStore(tmp_path / "session", identity(), truth, settle_s=0.02, **options)
        stores.append(store)
        return store

    yield make
    for store in stores:
        store.close(2.0)


def stored(tmp_path, frame_index):
    return images.read_mask(tmp_path / "session" / "masks" / f"frame_{frame_index:06d}.png")


def wait_until(condition, timeout_s=5.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


class FakeSource:
    """The two attributes that an export reads."""

    name = "clip one.mp4"

    def frame(self, frame_index):
        return np.full((HEIGHT, WIDTH, 3), frame_index * 10, np.uint8)


def test_reads_truth_until_painted(make_store):
    store = make_store()
    np.testing.assert_array_equal(store.mask(2), truth(2))
    assert (store.mask(4) == IGNORE).all()
    assert store.has_mask(2)
    assert not store.has_mask(4)
    assert store.edited_frames == ()


def test_a_mask_handed_out_is_a_copy(make_store):
    store = make_store()
    store.mask(0)[:] = 2
    np.testing.assert_array_equal(store.mask(0), truth(0))


def test_paint_reaches_the_disk_by_itself(make_store, tmp_path):
    store = make_store()
    store.paint(1, np.s_[2:4, 5:9], 2)
    assert store.unsaved_frames == (1,)
    wait_until(lambda: not store.unsaved_frames)
    expected = truth(1)
    expected[2:4, 5:9] = 2
    np.testing.assert_array_equal(stored(tmp_path, 1), expected)
    assert store.edited_frames == (1,)


def test_default_settling_is_within_half_a_second(tmp_path):
    store = AnnotationStore(tmp_path / "session", identity(), truth)
    begin_s = time.monotonic()
    store.paint(0, np.s_[0, 0], 1)
    wait_until(lambda: not store.unsaved_frames)
    assert time.monotonic() - begin_s < 0.5
    store.close()


def test_a_later_session_gets_everything_back(make_store):
    first = make_store()
    first.paint(1, np.s_[0, 0], 2)
    first.paint(4, np.s_[3, 3], 0)
    assert first.close()
    second = make_store()
    assert second.edited_frames == (1, 4)
    assert second.mask(1)[0, 0] == 2
    assert second.mask(4)[3, 3] == 0
    assert second.mask(4)[0, 0] == IGNORE


def test_painting_back_to_the_truth_is_no_correction(make_store, tmp_path):
    store = make_store()
    store.paint(1, np.s_[0, 0], 2)
    assert store.flush()
    store.paint(1, np.s_[0, 0], 1)
    assert store.flush()
    assert store.edited_frames == ()
    assert list((tmp_path / "session" / "masks").iterdir()) == []
    assert store.mask(1)[0, 0] == 1


def test_an_unreadable_truth_locks_its_frame(make_store, tmp_path):
    store = make_store()
    assert "Not a picture" in str(store.problem(3))
    with pytest.raises(InputError, match="locked"):
        store.paint(3, np.s_[0, 0], 1)
    assert store.edited_frames == ()
    assert list((tmp_path / "session" / "masks").iterdir()) == []


def test_a_truth_of_another_size_locks_its_frame(make_store):
    store = make_store(truth=lambda _: np.zeros((HEIGHT, WIDTH + 1), np.uint8))
    assert "17x12" in str(store.problem(0))
    with pytest.raises(InputError, match="locked"):
        store.paint(0, np.s_[0, 0], 1)


def test_a_damaged_correction_is_never_overwritten(make_store, tmp_path):
    first = make_store()
    first.paint(1, np.s_[0, 0], 2)
    assert first.close()
    path = tmp_path / "session" / "masks" / "frame_000001.png"
    damaged = path.read_bytes()[:40]
    path.write_bytes(damaged)
    second = make_store()
    assert second.problem(1) is not None
    with pytest.raises(InputError, match="locked"):
        second.paint(1, np.s_[0, 0], 0)
    assert second.close()
    assert path.read_bytes() == damaged


def test_values_outside_the_scheme_are_refused(make_store):
    store = make_store()
    with pytest.raises(InputError, match="not classes"):
        store.paint(0, np.s_[0, 0], 7)
    assert store.edited_frames == ()
    store.paint(0, np.s_[0, 0], IGNORE)
    assert store.mask(0)[0, 0] == IGNORE


def test_a_failed_save_stays_dirty_and_is_tried_again(make_store, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_hogseg.session.mask_writer.RETRY_S", 0.05)
    store = make_store()
    masks = tmp_path / "session" / "masks"
    masks.rmdir()
    masks.write_text("a file where the folder should be")
    store.paint(0, np.s_[0, 0], 2)
    wait_until(lambda: store.save_error is not None)
    assert store.unsaved_frames == (0,)
    assert not store.flush(0.3)
    masks.unlink()
    masks.mkdir()
    wait_until(lambda: not store.unsaved_frames)
    assert store.save_error is None
    assert stored(tmp_path, 0)[0, 0] == 2


def test_changes_are_committed_in_their_order(make_store, monkeypatch):
    order = []
    write = images.write_mask
    monkeypatch.setattr(
        images, "write_mask", lambda path, *rest: (order.append(path.stem), write(path, *rest))
    )
    store = make_store()
    for frame_index in (4, 0, 2, 1):
        store.paint(frame_index, np.s_[1, 1], (frame_index + 1) % 3)
    assert store.flush()
    assert order == [f"frame_{i:06d}" for i in (4, 0, 2, 1)]


def test_nothing_can_be_painted_after_closing(make_store):
    store = make_store()
    store.close()
    with pytest.raises(InputError, match="closed"):
        store.paint(0, np.s_[0, 0], 1)


def test_unsaved_masks_never_leave_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(annotations, "CACHE_MASKS", 1)
    store = AnnotationStore(tmp_path / "session", identity(), truth, settle_s=30.0)
    for frame_index in (0, 1, 2, 4):
        store.paint(frame_index, np.s_[5, 5], (frame_index + 1) % 3)
    for frame_index in (0, 1, 2, 4):
        assert store.mask(frame_index)[5, 5] == (frame_index + 1) % 3
    assert store.close()


def test_clean_masks_are_read_again_after_leaving_the_memory(make_store, monkeypatch):
    monkeypatch.setattr(annotations, "CACHE_MASKS", 1)
    store = make_store()
    store.paint(0, np.s_[5, 5], 2)
    assert store.flush()
    for frame_index in (1, 2, 1):
        store.mask(frame_index)
    assert store.mask(0)[5, 5] == 2


@pytest.mark.parametrize(
    "change", [{"height": 13}, {"frame_names": ("a", "b")}, {"source": "other", "width": 3}]
)
def test_the_corrections_of_another_clip_are_refused(make_store, tmp_path, change):
    make_store().close()
    before = sorted(path.name for path in (tmp_path / "session").rglob("*"))
    with pytest.raises(InputError, match="another clip"):
        AnnotationStore(tmp_path / "session", identity(**change), truth)
    assert sorted(path.name for path in (tmp_path / "session").rglob("*")) == before


def test_a_moved_clip_keeps_its_corrections(make_store, tmp_path):
    store = make_store()
    store.paint(0, np.s_[0, 0], 2)
    store.close()
    moved = AnnotationStore(tmp_path / "session", identity(source="elsewhere/clip.mp4"), truth)
    assert moved.edited_frames == (0,)
    moved.close()


def test_export_is_a_data_set_that_opens(make_store, tmp_path):
    store = make_store()
    store.paint(1, np.s_[0:3, 0:3], 2)
    store.paint(4, np.s_[3, 3], 0)
    store.paint(0, np.s_[...], IGNORE)
    export = store.export_training_set(tmp_path / "export", FakeSource())
    assert export.frame_indices == (1, 4)  # frame 0 has nothing to learn from
    dataset = open_dataset(export.folder)
    assert [sample.sample_id for sample in dataset.samples] == list(export.sample_ids)
    assert dataset.scheme == SCHEME
    frame, mask = dataset.read_pair(dataset.samples[0])
    np.testing.assert_array_equal(frame, FakeSource().frame(1))
    np.testing.assert_array_equal(mask, store.mask(1))


def test_export_without_corrections_says_what_to_do(make_store, tmp_path):
    with pytest.raises(InputError, match="Paint on the mask"):
        make_store().export_training_set(tmp_path / "export", FakeSource())
    assert not (tmp_path / "export").exists()


def test_changes_are_announced(make_store):
    calls = []
    store = make_store(on_change=lambda: calls.append(threading.current_thread().name))
    store.paint(0, np.s_[0, 0], 2)
    assert store.flush()
    wait_until(lambda: len(calls) >= 2)
    assert calls[0] == threading.current_thread().name
    assert calls[-1] == "hogseg-mask-writer"


def test_many_threads_read_while_one_paints(make_store):
    store = make_store()
    failures = []

    def read():
        for _ in range(200):
            values = set(np.unique(store.mask(1)[:, 3]))
            if len(values) != 1:
                failures.append(values)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for step in range(200):
        store.paint(1, np.s_[:, 3], step % 3)
    for reader in readers:
        reader.join()
    assert failures == []


def test_session_folders_differ_by_clip_and_classes(tmp_path):
    one = session_folder(tmp_path, tmp_path / "a" / "clip.mp4", SCHEME)
    other_clip = session_folder(tmp_path, tmp_path / "b" / "clip.mp4", SCHEME)
    other = LabelScheme(name="eye", classes=("x", "y"), colors=((0, 0, 0), (1, 1, 1)))
    assert len({one, other_clip, session_folder(tmp_path, tmp_path / "a" / "clip.mp4", other)}) == 3
    assert one.name.startswith("clip-")
