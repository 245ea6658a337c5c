"""Two reviewers' sessions as one: nobody's work is lost in silence, and what they disagree on is listed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import cohen_kappa_score, jaccard_score

from napari_hogseg.data.scheme import IGNORE, LabelScheme
from napari_hogseg.io import images
from napari_hogseg.io.atomic import sha256_file
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.annotations import AnnotationStore, SessionIdentity
from napari_hogseg.session.clips import open_clip
from napari_hogseg.session.ledger import read_ledger
from napari_hogseg.session.merge import agreement, main, merge_masks, merge_sessions

SCHEME = LabelScheme(
    name="eye", classes=("pupil", "iris", "tool"), colors=((0, 0, 255), (0, 255, 0), (255, 0, 0))
)
IDENTITY = SessionIdentity("clip.mp4", tuple(f"f{i}" for i in range(6)), 12, 16, SCHEME)


def truth(frame_index):
    return None if frame_index == 5 else np.zeros((12, 16), np.uint8)


def digests(*folders):
    return {path: sha256_file(path) for folder in folders for path in folder.rglob("*") if path.is_file()}


def review(folder, *strokes, identity=IDENTITY, truth=truth):
    """A closed session with these strokes: frame, place, class."""
    store = AnnotationStore(folder, identity, truth, settle_s=0.01)
    store.records.author = folder.name
    for frame_index, place, class_id in strokes:
        store.paint(frame_index, place, class_id)
    assert store.close()
    return folder


@pytest.fixture
def pair(tmp_path):
    """Frame 0: A alone, 1: B alone, 2: both alike, 3: both, apart and across, 5: both, without truth."""
    a = review(
        tmp_path / "a",
        (0, np.s_[0, :], 1),
        (2, np.s_[1, :], 2),
        (3, np.s_[0:4, 0:4], 1),
        (3, np.s_[8, 0], 2),
        (5, np.s_[0, 0:3], 1),
    )
    b = review(
        tmp_path / "b",
        (1, np.s_[0, :], 2),
        (2, np.s_[1, :], 2),
        (3, np.s_[2:6, 2:6], 2),
        (3, np.s_[8, 0], 2),
        (3, np.s_[11, 15], IGNORE),
        (5, np.s_[0, 2:5], 2),
    )
    return a, b


def test_merge_by_the_stated_rule(pair, tmp_path):
    before = digests(*pair)
    report = merge_sessions(*pair, tmp_path / "out", IDENTITY, truth)
    assert digests(*pair) == before
    assert (report.only_a, report.only_b, report.identical) == (("f0",), ("f1",), ("f2",))
    assert report.merged == ("f3", "f5")
    assert [(c.frame, c.a, c.b, c.pixels, c.bbox) for c in report.conflicts] == [
        ("f3", "iris", "tool", 4, (2, 2, 3, 3)),
        ("f5", "iris", "tool", 1, (0, 2, 0, 2)),
    ]
    expected = np.zeros((12, 16), np.uint8)
    expected[0:4, 0:4] = 1
    expected[2:6, 2:6] = 2
    expected[2:4, 2:4] = IGNORE
    expected[8, 0] = 2
    expected[11, 15] = IGNORE
    np.testing.assert_array_equal(images.read_mask(tmp_path / "out" / "masks" / "f3.png"), expected)
    opened = AnnotationStore(tmp_path / "out", IDENTITY, truth)
    assert opened.edited_frames == (0, 1, 2, 3, 5)
    assert opened.mask(0)[0, 0] == 1
    assert opened.mask(5)[0, :5].tolist() == [1, 1, IGNORE, 2, 2]
    assert opened.problem(3) is None
    assert opened.messages == ()
    assert opened.close()
    assert json.loads((tmp_path / "out" / "merge.json").read_text())["prefer"] == "none"


@pytest.mark.parametrize(("prefer", "class_id"), [("a", 1), ("b", 2), ("none", IGNORE)])
def test_a_side_may_be_preferred(prefer, class_id):
    rng = np.random.default_rng(0)
    before, a, b = rng.choice([0, 1, 2, IGNORE], (3, 30, 40)).astype(np.uint8)
    merged, conflicting = merge_masks(a, b, before, prefer)
    for place in np.ndindex(before.shape):
        one, other, start = a[place], b[place], before[place]
        if one == other or other == start:
            expected = one
        elif one == start:
            expected = other
        else:
            expected = {"a": one, "b": other, "none": IGNORE}[prefer]
        assert merged[place] == expected
        assert conflicting[place] == (one != start and other != start and one != other)


def test_agreement_against_scikit_learn():
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 3, (2, 5000))
    b = np.where(rng.random(5000) < 0.6, a, b)
    counts = np.zeros((256, 256), np.int64)
    np.add.at(counts, (a, b), 1)
    counts[IGNORE, 1] = counts[2, IGNORE] = 700  # unlabelled by one: counts nowhere
    per_class, kappa = agreement(counts, ("x", "y", "z"))
    assert kappa == pytest.approx(cohen_kappa_score(a, b))
    for class_id, scores in enumerate(per_class):
        assert scores.iou == pytest.approx(jaccard_score(a == class_id, b == class_id))
        assert scores.kappa == pytest.approx(cohen_kappa_score(a == class_id, b == class_id))
    unused, _ = agreement(counts, ("x", "y", "z", "nowhere"))
    assert (unused[3].iou, unused[3].kappa) == (None, None)
    assert agreement(np.zeros((256, 256), np.int64), ("x", "y")) == ((), None)


def test_ledgers_are_joined_by_time(pair, tmp_path):
    merge_sessions(*pair, tmp_path / "out", IDENTITY, truth)
    entries, _ = read_ledger(tmp_path / "out" / "ledger.jsonl")
    assert {entry.author for entry in entries} == {"a", "b"}
    assert [e.when for e in entries] == sorted(e.when for e in entries)
    assert len(entries) == sum(len(read_ledger(side / "ledger.jsonl")[0]) for side in pair)


def test_strokes_that_only_the_journal_has_are_merged(pair, tmp_path):
    (pair[0] / "masks" / "f0.png").unlink()
    journal = pair[0] / "journal.bin"
    store = AnnotationStore(tmp_path / "killed", IDENTITY, truth, settle_s=600)
    store.paint(0, np.s_[0, :], 1)
    while store.unlogged_frames:
        pass
    journal.write_bytes((tmp_path / "killed" / "journal.bin").read_bytes())
    store.close()
    merge_sessions(*pair, tmp_path / "out", IDENTITY, truth)
    assert images.read_mask(tmp_path / "out" / "masks" / "f0.png")[0, 0] == 1


def test_what_is_not_mergeable_is_refused_and_leaves_nothing(pair, tmp_path):
    a, b = pair
    other = review(
        tmp_path / "other", (0, np.s_[0, :], 1), identity=SessionIdentity("x", ("f0",), 12, 16, SCHEME)
    )
    spoilt = (b / "masks" / "f3.png", np.full((12, 16), 1, np.uint8))
    for sides, out, words in [
        ((a, other), "out", "another clip"),
        ((a, tmp_path), "out", "Not a session folder"),
        ((a, b), "a", "in use"),
    ]:
        with pytest.raises(InputError, match=words):
            merge_sessions(*sides, tmp_path / out, IDENTITY, truth)
    images.write_mask(*spoilt)
    with pytest.raises(InputError, match="changed by another program"):
        merge_sessions(a, b, tmp_path / "out", IDENTITY, truth)
    assert not (tmp_path / "out").exists()
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def write_clip(root):
    """A data set of one clip."""
    for kind in ("images", "masks"):
        (root / kind / "clip_a").mkdir(parents=True)
        for index in range(3):
            shape = (12, 16, 3) if kind == "images" else (12, 16)
            picture = np.full(shape, index * 40 if kind == "images" else index, np.uint8)
            Image.fromarray(picture).save(root / kind / "clip_a" / f"{index:04d}.png")
    (root / "dataset.toml").write_text(SCHEME.to_toml())
    return root / "images" / "clip_a"


def test_the_command_merges_and_the_data_set_is_as_it_was(tmp_path, capsys):
    """Promise: a data set's own files are never written, whatever is painted, merged or exported."""
    path = write_clip(tmp_path / "data")
    before = digests(tmp_path / "data")
    clip = open_clip(path)
    for name, class_id in (("a", 1), ("b", 2)):
        store = AnnotationStore(tmp_path / name, clip.identity, clip.truth, settle_s=0.01)
        store.paint(0, np.s_[0:4, 0:4], class_id)
        store.paint(1, np.s_[...], 1)
        store.export_training_set(tmp_path / f"export-{name}", clip.source)
        assert store.close()
    folders = [str(tmp_path / name) for name in ("a", "b")]
    assert main([*folders, "--out", str(tmp_path / "out"), "--prefer", "b"]) == 0
    said = capsys.readouterr().out
    assert "0000: 16 pixels are iris to A, tool to B, rows 0-3, columns 0-3" in said
    assert images.read_mask(tmp_path / "out" / "masks" / "0000.png")[0, 0] == 2
    assert main([*folders, "--out", str(tmp_path / "out")]) == 2
    assert "in use" in capsys.readouterr().err
    clip.source.close()
    assert digests(tmp_path / "data") == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("data")) == ["data"]
