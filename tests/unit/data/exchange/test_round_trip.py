"""Every format: what was exported and read again is the same: void, empty frames, odd sizes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_hogseg.data.exchange import FORMATS, AnnotatedFrame, ExchangeClip, export_frames
from napari_hogseg.data.scheme import IGNORE, LabelScheme

NAMES = ("back & ground", 'the "tool"', "Gewebe/ä", "<d>", "e", "f")
COLORS = ((0, 0, 0), (255, 255, 255), (1, 2, 3), (255, 0, 0), (0, 255, 0), (0, 0, 255))


@st.composite
def reviews(draw):
    """A clip and some of its frames: blocks of classes, single pixels, void, frames without anything."""
    num_classes = draw(st.integers(2, len(NAMES)))
    scheme = LabelScheme(name="made up", classes=NAMES[:num_classes], colors=COLORS[:num_classes])
    height, width = draw(st.integers(1, 23)), draw(st.integers(1, 23))
    num_frames = draw(st.integers(1, 12))
    clip = ExchangeClip("a_clip", tuple(f"frame_{i:06d}" for i in range(num_frames)), height, width, scheme)
    chosen = draw(st.lists(st.integers(0, num_frames - 1), unique=True, max_size=4).map(sorted))
    values = st.sampled_from([*range(num_classes), IGNORE])
    frames = []
    for frame_index in chosen:
        kind = draw(st.sampled_from(["blocks", "noise", "one"]))
        random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        mask = clip.blank(draw(values))
        if kind == "noise":
            mask = random.choice([*range(num_classes), IGNORE], (height, width)).astype(np.uint8)
        elif kind == "blocks":
            for _ in range(4):
                top, left = random.integers(height), random.integers(width)
                mask[top : top + random.integers(1, 9), left : left + random.integers(1, 9)] = draw(values)
        frames.append(AnnotatedFrame(frame_index, mask))
    return clip, frames


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(review=reviews())
def test_what_is_read_is_what_was_written(tmp_path, form, review):
    clip, frames = review
    folder = tmp_path / "out"
    shutil.rmtree(folder, ignore_errors=True)
    assert export_frames(frames, folder, form, clip) == len(frames)
    if not frames:
        return
    found = {frame.frame_index: frame.mask for frame in form.read(folder, clip, IGNORE)}
    assert list(found) == [frame.frame_index for frame in frames]
    for frame in frames:
        assert found[frame.frame_index].dtype == np.uint8
        np.testing.assert_array_equal(found[frame.frame_index], frame.mask)


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_classes_go_by_name_where_the_ids_are_others(tmp_path, form):
    """Other tools renumber classes (CVAT 7447, 9848): names decide."""
    there = LabelScheme(name="theirs", classes=("tool", "eye"), colors=((9, 9, 9), (8, 8, 8)))
    here = LabelScheme(name="ours", classes=("sky", "eye", "tool"), colors=COLORS[:3])
    mask = np.array([[0, 1, IGNORE], [1, 1, 0]], np.uint8)
    theirs = ExchangeClip("clip", ("frame_000000", "frame_000001"), 2, 3, there)
    export_frames([AnnotatedFrame(1, mask)], tmp_path / "out", form, theirs)
    ours = ExchangeClip("other name", theirs.frame_names, 2, 3, here)
    (found,) = form.read(tmp_path / "out", ours, IGNORE)
    assert found.frame_index == 1
    np.testing.assert_array_equal(found.mask, [[2, 1, IGNORE], [1, 1, 2]])


def test_the_page_names_every_format():
    page = (Path(__file__).parents[4] / "docs" / "exchange.md").read_text("utf-8")
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert rows[1:] == list(FORMATS)
