"""Films: read back with PyAV, times and pixels against the frames they were made of."""

from __future__ import annotations

import av
import numpy as np
import pytest
from report_cases import MODEL, Source
from survey_cases import DAMAGED, NUM_FRAMES, SCHEME, make_store

from napari_hogseg.io.errors import InputError
from napari_hogseg.session import overlays
from napari_hogseg.session.film import PANELS, FilmOptions, write_film
from napari_hogseg.session.film_file import FilmFile
from napari_hogseg.session.ranges import FrameRange
from napari_hogseg.session.review_report import CancelledError, Progress

#: Uneven times, as of a clip of variable rate, and the last frame's end.
TIMES_S = np.array([0.0, 0.04, 0.08, 0.4, 0.52, 0.55])
LAST_S = 0.25


def decode(path):
    """Pictures, their times, and the film's duration, in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        times_s = [float(frame.pts * frame.time_base) for frame in frames]
        return [frame.to_ndarray(format="rgb24") for frame in frames], times_s, container.duration / 1e6


def gray(level):
    return np.full((32, 48, 3), level, np.uint8)


@pytest.fixture
def store(tmp_path):
    store = make_store(tmp_path / "session")
    yield store
    store.close()


@pytest.fixture
def source(tmp_path):
    source = Source(tmp_path)
    source.pts_s = np.cumsum(np.tile([0.04, 0.2, 0.05], NUM_FRAMES // 3))
    return source


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_times_and_duration_are_the_clips(tmp_path, suffix):
    path = tmp_path / f"film{suffix}"
    with FilmFile(path, (32, 48), TIMES_S + 7.0, LAST_S) as film:
        for number in range(len(TIMES_S)):
            film.add(number, gray(40 * number))
    pictures, times_s, duration_s = decode(path)
    np.testing.assert_allclose(times_s, TIMES_S, atol=0.0051)
    assert duration_s == pytest.approx(0.55 + LAST_S, abs=0.0051)
    levels = [picture.mean() for picture in pictures]
    np.testing.assert_allclose(levels, 40 * np.arange(6), atol=4)


def test_a_gif_leaves_out_what_comes_too_fast(tmp_path):
    path = tmp_path / "film.gif"
    times_s = np.arange(12) / 120
    with FilmFile(path, (32, 48), times_s, 1 / 120) as film:
        for number in filter(film.wants, range(12)):
            film.add(number, gray(20 * number))
    _, found_s, duration_s = decode(path)
    assert film.num_written == len(found_s) == 5
    assert min(np.diff(found_s)) >= 0.0199
    assert duration_s == pytest.approx(0.1, abs=0.0051)


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_film_of_all_panels(tmp_path, store, source, suffix):
    path, told = tmp_path / "out" / f"film{suffix}", []
    options = FilmOptions(PANELS, "fill")
    progress = Progress(tell=lambda done, of: told.append((done, of)))
    assert write_film(path, store, source, FrameRange(2, 5), options, MODEL, progress=progress) == 4
    pictures, times_s, duration_s = decode(path)
    assert all(side % 2 == 0 for side in pictures[0].shape[:2])
    np.testing.assert_allclose(times_s, source.pts_s[2:6] - source.pts_s[2], atol=0.0051)
    assert duration_s == pytest.approx(source.pts_s[6] - source.pts_s[2], abs=0.0051)
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert source.read == [2, 3, 4, 5]


def test_the_panels_show_what_they_say(tmp_path, store, source):
    """Frame 2 has a mask: its fill is there, and the caption's line is not empty."""
    path = tmp_path / "film.gif"
    write_film(path, store, source, FrameRange(2, 2), FilmOptions(("frame", "mask"), "fill"))
    (picture,), _, _ = decode(path)
    frame_HWC = source.frame(2)
    expected = overlays.draw_mask(frame_HWC, store.peek(2), SCHEME, "fill")
    rows, cols = frame_HWC.shape[:2]
    for number, panel in enumerate((frame_HWC, expected)):
        shown = picture[20 : 20 + rows, number * cols : (number + 1) * cols]
        assert np.abs(shown.astype(int) - panel).mean() < 8
    assert picture[-20:].max() > 150


def test_outlines_lie_on_the_borders_of_classes():
    mask = np.zeros((20, 20), np.uint8)
    mask[:, 10:], mask[15:, :5] = 1, 255
    drawn = overlays.draw_mask(np.full((20, 20, 3), 9, np.uint8), mask, SCHEME)
    assert (drawn[:10, 8:10] == SCHEME.colors[0]).all()
    assert (drawn[:10, 10:12] == SCHEME.colors[1]).all()
    assert (drawn[:10, :8] == 9).all()
    assert (drawn[15:, :5] == 9).all()


def test_shrinking_keeps_every_error():
    truth = np.zeros((400, 400), np.uint8)
    prediction = truth.copy()
    prediction[100:140, 200:240] = 1
    drawn = overlays.draw_errors(np.zeros((400, 400, 3), np.uint8), prediction, truth, (40, 40))
    assert (drawn[10, 20:24] == overlays.ERROR_COLORS[2][1]).all()


@pytest.mark.parametrize(
    ("frames", "options", "model", "what"),
    [
        (FrameRange(3, NUM_FRAMES), FilmOptions(), None, "not all in the clip"),
        (FrameRange(0, 1), FilmOptions(("errors",)), None, "No model"),
        (FrameRange(0, 1), FilmOptions(()), None, "Nothing is to be drawn"),
        (FrameRange(DAMAGED - 1, DAMAGED), FilmOptions(), None, "damaged"),
    ],
)
def test_what_cannot_be_filmed_leaves_no_file(tmp_path, store, source, frames, options, model, what):
    out = tmp_path / "out"
    with pytest.raises(InputError, match=what):
        write_film(out / "film.mp4", store, source, frames, options, model)
    assert not out.exists() or list(out.iterdir()) == []


def test_cancelled_leaves_the_earlier_film(tmp_path, store, source):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"earlier")
    calls = iter([False, False, True])
    with pytest.raises(CancelledError):
        write_film(path, store, source, FrameRange(0, 5), progress=Progress(is_cancelled=lambda: next(calls)))
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.glob(".*.tmp")) == []


def test_another_suffix_is_refused(tmp_path, store, source):
    with pytest.raises(InputError, match="Not a film"):
        write_film(tmp_path / "film.avi", store, source, FrameRange(0, 1))
