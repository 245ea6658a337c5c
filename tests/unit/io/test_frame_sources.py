"""Sources by number and as an array (numpy's indexing is the reference); folders, threads, bounds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from napari_hogseg.io.errors import InputError
from napari_hogseg.io.frame_cache import FrameCache, Passed
from napari_hogseg.io.images import list_images
from napari_hogseg.io.video import ImageFolder, LazyFrames, Video, frame_digest, open_frames

from .made_videos import HEIGHT, WIDTH, number_in, picture, write_video

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (7, 4, 5, 3)
FRAME_BYTES = HEIGHT * WIDTH * 3


@pytest.fixture(scope="module")
def stack() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, SHAPE, dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, stack: np.ndarray) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    for number, frame in enumerate(stack):
        Image.fromarray(frame).save(root / f"frame_{number + 5}.png")  # 5 to 11: by name, 10 comes before 5
    return root


@pytest.fixture(scope="module")
def lazy(folder: Path) -> LazyFrames:
    return LazyFrames(open_frames(folder))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", num_frames=48)


def test_what_napari_asks_of_an_array(lazy: LazyFrames, stack: np.ndarray) -> None:
    assert (lazy.shape, lazy.ndim, lazy.size, len(lazy)) == (SHAPE, 4, stack.size, 7)
    assert lazy.dtype == np.uint8
    np.testing.assert_array_equal(np.stack(list(lazy)), stack)


@given(key=hnp.basic_indices(SHAPE, allow_newaxis=False))
@settings(deadline=None)
def test_basic_indexing_is_numpy_s(lazy: LazyFrames, stack: np.ndarray, key: object) -> None:
    got = lazy[key]
    np.testing.assert_array_equal(got, stack[key])  # type: ignore[index]
    assert np.shape(got) == np.shape(stack[key])  # type: ignore[index]


@given(key=hnp.integer_array_indices((7,), result_shape=hnp.array_shapes(max_dims=2, max_side=4)))
@settings(deadline=None)
def test_integer_arrays_choose_frames(lazy: LazyFrames, stack: np.ndarray, key: tuple[np.ndarray]) -> None:
    for indices in (key[0], key[0].tolist(), (key[0], slice(1, 3))):
        np.testing.assert_array_equal(lazy[indices], stack[indices])


@given(chosen=hnp.arrays(np.bool_, 7))
@settings(deadline=None)
def test_booleans_choose_frames(lazy: LazyFrames, stack: np.ndarray, chosen: np.ndarray) -> None:
    np.testing.assert_array_equal(lazy[chosen], stack[chosen])


@pytest.mark.parametrize("key", [7, -8, (7, 0), [0, 7], (0, 4)])
def test_indices_outside_are_refused(lazy: LazyFrames, key: object) -> None:
    with pytest.raises(IndexError):
        lazy[key]


class CountedFolder(ImageFolder):
    """Notes which frames were asked for."""

    def frame(self, frame_index: int) -> np.ndarray:
        self.asked = [*getattr(self, "asked", []), frame_index]
        return super().frame(frame_index)


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        (-1, [6]),
        ((3, slice(1, 2)), [3]),
        (slice(5, None, -2), [5, 3, 1]),
        ((..., 2, 0, 0, 0), [2]),
        (slice(0, 0), []),
    ],
)
def test_only_what_is_asked_for_is_read(folder: Path, key: object, asked: list[int]) -> None:
    source = CountedFolder(list_images(folder), folder)
    LazyFrames(source)[key]
    assert getattr(source, "asked", []) == asked


def test_folder_and_single_picture(folder: Path, stack: np.ndarray) -> None:
    source = open_frames(folder)
    assert source.frame_names == [f"frame_{number}" for number in range(5, 12)]
    assert (source.name, source.path) == (folder.name, folder)
    np.testing.assert_allclose(np.diff(source.pts_s), 1 / 25)
    one = open_frames(str(folder / "frame_6.png"))
    assert one.num_frames == 1
    np.testing.assert_array_equal(one.frame(0), stack[1])
    for opened in (source, one):
        opened.close()


def test_a_folder_of_several_sizes_names_the_odd_ones(tmp_path: Path, stack: np.ndarray) -> None:
    for number, frame in enumerate((stack[0], stack[1][:, :4], stack[2], stack[3][:2])):
        Image.fromarray(np.ascontiguousarray(frame)).save(tmp_path / f"{number}.png")
    with pytest.raises(InputError, match=r"differ in size.*1\.png \(4x4\), 3\.png \(5x2\)") as raised:
        open_frames(tmp_path)
    assert raised.value.where == tmp_path


def test_folders_that_hold_nothing_to_show(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="no pictures"):
        open_frames(tmp_path)
    with pytest.raises(InputError, match="No such file"):
        open_frames(tmp_path / "missing")


def test_a_picture_damaged_after_opening_is_named(tmp_path: Path, stack: np.ndarray) -> None:
    for number in (0, 1):
        Image.fromarray(stack[number]).save(tmp_path / f"{number}.png")
    source = open_frames(tmp_path)
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:60])
    np.testing.assert_array_equal(source.frame(0), stack[0])
    with pytest.raises(InputError, match=r"1\.png"):
        source.frame(1)


def test_frames_cannot_be_painted_on_by_accident(clip: Path, folder: Path) -> None:
    for path in (clip, folder):
        source = open_frames(path)
        with pytest.raises(ValueError, match="read-only"):
            source.frame(0)[:] = 0
        source.close()


@pytest.mark.parametrize("cache_bytes", [0, 5 * FRAME_BYTES])
def test_threads_get_the_frames_they_ask_for(clip: Path, cache_bytes: int) -> None:
    """The prefetcher, the panels and an export read one source at once, each in an order of its own."""
    source = Video(clip, cache_bytes)

    def read(seed: int) -> list[tuple[int, int]]:
        order = np.random.default_rng(seed).permutation(48)[:24].tolist()
        return [(number, number_in(source.frame(number))) for number in order]

    with ThreadPoolExecutor(6) as pool:
        seen = [pair for pairs in pool.map(read, range(6)) for pair in pairs]
    assert [found for _, found in seen] == [asked for asked, _ in seen]
    source.close()


def test_digests_tell_frames_and_shapes_apart(clip: Path) -> None:
    first, second = Video(clip), Video(clip, cache_bytes=0)
    digests = [frame_digest(first.frame(number)) for number in range(48)]
    assert len(set(digests)) == 48
    assert [frame_digest(second.frame(number)) for number in reversed(range(48))] == digests[::-1]
    flat = picture(3)
    assert frame_digest(flat) != frame_digest(flat.reshape(WIDTH, HEIGHT, 3))
    assert frame_digest(np.asfortranarray(flat)) == frame_digest(flat)
    for source in (first, second):
        source.close()


@given(
    asked=st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=40),
    max_frames=st.integers(0, 6),
)
@settings(deadline=None)
def test_the_cache_stays_within_its_bytes(asked: list[tuple[int, bool]], max_frames: int) -> None:
    cache = FrameCache(max_frames * 30)
    for number, is_passed in asked:
        frame = np.full((2, 5, 3), number, np.uint8)
        if is_passed:
            cache.put_passed(number, Passed(frame.copy, 15))
        else:
            cache.put(number, frame)
        assert cache.num_bytes <= max(max_frames * 30, 30)  # one frame is kept at least
        assert cache.num_bytes == sum(kept.nbytes for kept in cache._frames.values())
        kept = cache.get(number)
        assert kept is not None
        assert (kept == number).all()
    cache.clear()
    assert (len(cache), cache.num_bytes) == (0, 0)


def test_the_least_recently_used_frame_goes_first() -> None:
    cache = FrameCache(90)
    for number in range(3):
        cache.put(number, np.full((2, 5, 3), number, np.uint8))
    assert cache.get(0) is not None
    cache.put(3, np.zeros((2, 5, 3), np.uint8))
    assert [cache.get(number) is not None for number in range(4)] == [True, False, True, True]
