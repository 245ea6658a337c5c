"""A session's masks out and in: nothing painted is lost, nothing is written where data lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_hogseg.data.exchange import FORMATS, AnnotatedFrame, export_frames, find_format
from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.annotations import AnnotationStore
from napari_hogseg.session.clips import open_clip
from napari_hogseg.session.exchange import (
    StoppedError,
    exchange_clip,
    export_review,
    import_masks,
    take_back,
)
from napari_hogseg.session.exchange_command import main
from napari_hogseg.session.ledger import read_ledger
from tests.unit.data.trees import write_tree

if TYPE_CHECKING:
    from pathlib import Path

NUM_FRAMES = 5
CROSS = (np.s_[:4], 1), (np.s_[2:9, 3:5], 2)


def open_store(folder: Path, clip) -> AnnotationStore:
    return AnnotationStore(folder, clip.identity, clip.truth, settle_s=0.0)


def review(folder: Path, clip_path: Path, *strokes) -> None:
    """A closed session with these strokes: frame, place, class."""
    clip = open_clip(clip_path)
    store = open_store(folder, clip)
    for frame_index, place, class_id in strokes:
        store.paint(frame_index, place, class_id)
    assert store.close()
    clip.source.close()


@pytest.fixture
def clip(tmp_path):
    write_tree(tmp_path / "data", {"a": NUM_FRAMES})
    clip = open_clip(tmp_path / "data" / "images" / "a")
    yield clip
    clip.source.close()


@pytest.fixture
def store(tmp_path, clip):
    store = open_store(tmp_path / "session", clip)
    yield store
    assert store.close()


def masks_of(store):
    return [store.mask(frame_index) for frame_index in range(NUM_FRAMES)]


def painted(store):
    """Frame 0 corrected, 1 erased, 3 partly erased; 2 and 4 as they were."""
    store.paint(0, *CROSS[0])
    store.paint(1, np.s_[:, :], IGNORE)
    store.paint(3, np.s_[2:9, 3:5], IGNORE)
    assert store.flush()
    return masks_of(store)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("which", ["corrected", "all"])
def test_a_review_comes_back_in_another_session(tmp_path, clip, store, name, which):
    expected, form = painted(store), find_format(name)
    told = []
    report = export_review(
        store, clip, tmp_path / "out", form, which=which, on_frame=lambda *done: told.append(done)
    )
    assert report.num_frames == (3 if which == "corrected" else NUM_FRAMES)
    assert told[-1] == (report.num_frames,) * 2
    other = open_store(tmp_path / "other", clip)
    found = import_masks(other, report.folder, form, erase=True)
    assert sorted(found.changed) == [0, 1, 3]
    assert found.num_same == report.num_frames - 3
    for now, mask in zip(masks_of(other), expected, strict=True):
        np.testing.assert_array_equal(now, mask)
    assert other.close()
    entries, _ = read_ledger(tmp_path / "other" / "ledger.jsonl")
    assert [(entry.frame_index, entry.kind) for entry in entries if entry.changes] == [
        (0, "import"),
        (1, "import"),
        (3, "import"),
    ]


def test_an_import_is_taken_back_but_not_what_was_painted_since(tmp_path, clip, store):
    export_review(store, clip, tmp_path / "out", find_format("index-png"), which="all")
    before = painted(store)
    report = import_masks(store, tmp_path / "out", find_format("index-png"))
    assert sorted(report.changed) == [0, 1, 3]
    assert store.edited_frames == ()  # they are the ground truth again
    store.paint(0, 0, 2)
    since = store.mask(0)
    assert take_back(store, report) == (2, 1)
    assert store.flush()
    for frame_index, (now, mask) in enumerate(zip(masks_of(store), before, strict=True)):
        np.testing.assert_array_equal(now, since if frame_index == 0 else mask)


def test_frames_without_a_mask_in_the_file_are_left_unless_asked(tmp_path, clip, store):
    before = masks_of(store)
    frames = [AnnotatedFrame(0, np.full_like(before[0], IGNORE)), AnnotatedFrame(2, before[2] * 0 + 1)]
    exported = exchange_clip(clip.identity, "a")
    export_frames(frames, tmp_path / "out", find_format("coco"), exported)
    report = import_masks(store, tmp_path / "out", find_format("coco"))
    assert (report.empty, sorted(report.changed)) == ((0,), [2])
    np.testing.assert_array_equal(store.mask(0), before[0])
    import_masks(store, tmp_path / "out", find_format("coco"), rest=2)
    assert (store.mask(0) == 2).all()
    import_masks(store, tmp_path / "out", find_format("coco"), erase=True)
    assert (store.mask(0) == IGNORE).all()


def test_stopped_while_reading_nothing_changed_and_later_it_says_how_far(tmp_path, clip, store):
    export_review(store, clip, tmp_path / "out", find_format("index-png"), which="all")
    before = painted(store)
    with pytest.raises(StoppedError):
        import_masks(store, tmp_path / "out", find_format("index-png"), stopped=lambda: True)
    for now, mask in zip(masks_of(store), before, strict=True):
        np.testing.assert_array_equal(now, mask)
    asked = iter([False] * (NUM_FRAMES + 1) + [True])
    report = import_masks(store, tmp_path / "out", find_format("index-png"), stopped=lambda: next(asked))
    assert report.stopped
    assert sorted(report.changed) == [0]
    assert "Stopped after 1 frame." in str(report)

    def stop(*_done):
        raise StoppedError

    with pytest.raises(StoppedError):
        export_review(store, clip, tmp_path / "half", find_format("coco"), on_frame=stop)
    assert {path.name for path in tmp_path.iterdir()} == {"data", "out", "session"}


def test_what_is_painted_while_it_is_set_aside_stays(tmp_path, clip, store, monkeypatch):
    export_review(store, clip, tmp_path / "out", find_format("index-png"), which="all")
    painted(store)

    def paint_then_go_on(_done, _all, seen=[]):  # noqa: B006 - once only
        if not seen and store.folder.joinpath("set-aside").exists():
            seen.append(1)
            store.paint(3, 0, 2)

    report = import_masks(store, tmp_path / "out", find_format("index-png"), on_frame=paint_then_go_on)
    assert sorted(report.changed) == [0, 1]
    assert "painted on meanwhile" in report.locked[0]
    assert (store.mask(3)[0] == 2).all()


def test_a_frame_that_cannot_be_read_is_named_and_locked(tmp_path, clip, store):
    export_review(store, clip, tmp_path / "out", find_format("coco"), which="all")
    bad = tmp_path / "data" / "masks" / "a" / f"{clip.identity.frame_names[2]}.png"
    bad.write_bytes(b"no picture")
    other = open_store(tmp_path / "other", clip)
    report = export_review(other, clip, tmp_path / "less", find_format("coco"), which="all")
    assert (report.num_frames, len(report.left_out)) == (NUM_FRAMES - 1, 1)
    assert bad.name in str(report)
    found = import_masks(other, tmp_path / "out", find_format("coco"))
    assert len(found.locked) == 1
    assert bad.read_bytes() == b"no picture"
    assert other.close()


def test_targets_are_refused_and_nothing_is_left_of_a_failure(tmp_path, clip, store):
    form = find_format("coco")
    with pytest.raises(InputError, match="No frame was corrected"):
        export_review(store, clip, tmp_path / "out", form)
    painted(store)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    for place, what in (
        (tmp_path / "data" / "new", "not written into the data"),
        (store.folder / "masks" / "new", "not written into the data"),
        (tmp_path / "full", "holds something already"),
    ):
        with pytest.raises(InputError, match=what):
            export_review(store, clip, place, form)
        assert place == tmp_path / "full" or not place.exists()
    (tmp_path / "empty").mkdir()
    assert export_review(store, clip, tmp_path / "empty", form).num_frames == 3
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"data", "session", "full", "empty"}


def test_a_session_that_is_open_elsewhere_is_exported_but_not_imported_into(tmp_path, clip, store, capsys):
    expected = painted(store)
    session, out = str(store.folder), str(tmp_path / "out")
    assert main(["export", session, "--format", "index-png", "--out", out]) == 0
    assert "Wrote 3 frames" in capsys.readouterr().out
    found = {
        f.frame_index: f.mask
        for f in find_format("index-png").read(tmp_path / "out", exchange_clip(clip.identity, "a"), IGNORE)
    }
    assert all(np.array_equal(found[frame_index], expected[frame_index]) for frame_index in (0, 1, 3))
    assert main(["import", session, out, "--format", "index-png"]) == 2
    assert "open" in capsys.readouterr().err


def test_the_command_says_what_cannot_be(tmp_path, clip, capsys):
    session = tmp_path / "mine"
    review(session, tmp_path / "data" / "images" / "a", (0, *CROSS[0]))
    nowhere = str(tmp_path / "nowhere")
    for arguments, what in (
        (("import", session, nowhere, "--format", "coco"), "No such file"),
        (("import", session, tmp_path, "--format", "coco"), "no COCO file"),
        (("import", session, tmp_path, "--format", "coco", "--rest", "sky"), "No such class: sky"),
        (("import", tmp_path, tmp_path, "--format", "coco"), "Not a session folder"),
        (("export", session, "--format", "coco", "--out", "o", "--clip", nowhere), "nowhere"),
    ):
        assert main(list(map(str, arguments))) == 2
        assert what in capsys.readouterr().err
