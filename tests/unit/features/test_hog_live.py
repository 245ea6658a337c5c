"""The fused kernel: skimage's histogram, off the GIL, and ready before the first frame."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hog_reference import drawn_frame, read_real_frames
from skimage.feature import _hoghistogram

from napari_hogseg.features import drawing, live
from napari_hogseg.features.live import cell_histogram
from napari_hogseg.io.errors import InputError


def skimage_histogram(frame, orientations: int, cell_px: int) -> np.ndarray:
    """skimage's voting, fed with gradients taken here."""
    values = frame.astype(np.float64)
    rows, cols = np.zeros_like(values), np.zeros_like(values)
    rows[1:-1], cols[:, 1:-1] = values[2:] - values[:-2], values[:, 2:] - values[:, :-2]
    steepest = np.hypot(rows, cols).argmax(axis=2)[..., None]
    rows, cols = (np.take_along_axis(x, steepest, axis=2)[..., 0] for x in (rows, cols))
    height, width = rows.shape
    histogram = np.zeros((height // cell_px, width // cell_px, orientations))
    _hoghistogram.hog_histograms(
        cols,
        rows,
        cell_px,
        cell_px,
        width,
        height,
        width // cell_px,
        height // cell_px,
        orientations,
        histogram,
    )
    return histogram


@pytest.mark.parametrize(("orientations", "cell_px"), [(9, 8), (6, 16), (4, 5), (1, 3), (18, 7)])
def test_histogram_equals_skimages_on_real_frames(shared_data, orientations: int, cell_px: int) -> None:
    for frame in read_real_frames(shared_data):
        histogram = cell_histogram(frame, orientations, cell_px)
        assert histogram.dtype == np.float32
        np.testing.assert_allclose(
            histogram, skimage_histogram(frame, orientations, cell_px), rtol=2e-6, atol=1e-5
        )


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2), (3, 40), (33, 47)])
def test_small_and_odd_frames(size) -> None:
    frame = drawn_frame(*size)
    for cell_px in range(1, min(size) + 1):
        histogram = cell_histogram(frame, 6, cell_px)
        np.testing.assert_allclose(histogram, skimage_histogram(frame, 6, cell_px), rtol=2e-6, atol=1e-5)


def test_a_ramp_fills_one_bin_with_its_slope() -> None:
    ramp = np.broadcast_to((4 * np.arange(48, dtype=np.uint8))[None, :, None], (48, 48, 3))
    inner = cell_histogram(ramp, 9, 8)[:, 1:-1]
    assert np.all(inner[..., 0] == 8.0)  # two pixels apart, undivided
    assert not inner[..., 1:].any()


def test_layout_of_the_memory_does_not_matter_and_compiles_nothing_more() -> None:
    frame = drawn_frame(40, 56)
    expected = cell_histogram(frame, 9, 8)
    num_compiled = len(live._vote.signatures)
    flipped = np.ascontiguousarray(frame[:, ::-1])[:, ::-1]
    read_only = frame.copy()
    read_only.flags.writeable = False
    for same in (flipped, np.asfortranarray(frame), read_only):
        np.testing.assert_array_equal(cell_histogram(same, 9, 8), expected)
    assert len(live._vote.signatures) == num_compiled == 1


@pytest.mark.parametrize(
    ("frame", "orientations", "cell_px", "message"),
    [
        (np.zeros((8, 8, 3), dtype=np.float64), 9, 8, "8-bit"),
        (np.zeros((8, 8), dtype=np.uint8), 9, 8, r"\(H, W, 3\)"),
        (np.zeros((8, 7, 3), dtype=np.uint8), 9, 8, "no whole cell"),
        (np.zeros((8, 8, 3), dtype=np.uint8), 9, 0, "no whole cell"),
        (np.zeros((8, 8, 3), dtype=np.uint8), 0, 8, "1 to 180"),
        (np.zeros((8, 8, 3), dtype=np.uint8), 181, 8, "1 to 180"),
    ],
)
def test_what_has_no_histogram_is_refused(frame, orientations, cell_px, message) -> None:
    with pytest.raises(InputError, match=message):
        cell_histogram(frame, orientations, cell_px)


def test_warm_up_compiles_everything_the_display_runs() -> None:
    live.warm_up()
    kernels = [live._vote, drawing._draw, drawing._quantise]
    before = [len(kernel.signatures) for kernel in kernels]
    histogram = cell_histogram(drawn_frame(40, 56), 9, 8)
    drawing.to_uint8(drawing.hog_picture(histogram, 8), drawing.white_point(histogram))
    assert [len(kernel.signatures) for kernel in kernels] == before == [1, 1, 1]


def test_other_threads_run_while_the_kernel_runs() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (2160, 3840, 3), dtype=np.uint8)
    live.warm_up()
    done = threading.Event()

    def compute() -> None:
        for _ in range(8):
            live.fused_histogram(frame, 9, 8)
        done.set()

    worker = threading.Thread(target=compute)
    start = time.perf_counter()
    worker.start()
    num_turns = 0
    while not done.is_set():
        time.sleep(0.001)
        num_turns += 1
    worker.join()
    elapsed_ms = 1000 * (time.perf_counter() - start)
    # With the GIL held, this thread would get about one turn per call: eight.
    assert num_turns > 24, (num_turns, elapsed_ms)


def test_the_display_needs_neither_torch_nor_a_writable_disk(tmp_path) -> None:
    """In a process of its own, where numba finds no folder for its cache."""
    program = (
        "import sys, numba.core.caching as caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "from napari_hogseg.features import live\n"
        "live.warm_up()\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120, cwd=tmp_path)
