"""HOG against skimage in one run: milliseconds and ratios, and the frame rate of the live display's work.

Run ``python -m benchmarks.hog`` from the project's root; ``--frames`` sets how often ours is timed (skimage:
three times). One thread throughout. Frames are drawn: flat discs under camera noise.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from skimage.feature import hog as skimage_hog

from napari_hogseg.features import live
from napari_hogseg.features.drawing import hog_picture, to_uint8, white_point
from napari_hogseg.features.hog import HogParams, hog_features, hog_target

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

SIZES = [(512, 512), (540, 960), (1080, 1920)]
PARAMS = HogParams(orientations=9, cell_px=8)


def drawn_frame(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Thirty flat shapes under noise of two grey levels."""
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[:height, :width]
    frame = np.full((height, width, 3), (150.0, 60.0, 40.0))
    for _ in range(30):
        row, col, radius = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(0.02, 0.2) * height
        frame[(rows - row) ** 2 + (cols - col) ** 2 < radius**2] = rng.uniform(0, 255, 3)
    return (frame + rng.normal(0, 2, frame.shape)).clip(0, 255).astype(np.uint8)


def median_ms(work: Callable[[], object], repeats: int) -> float:
    """Median wall time of `work`, after one call that does not count."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times))


def reference(frame: npt.NDArray[np.uint8], *, visualize: bool) -> Callable[[], object]:
    """Make the call of skimage that has the same parameters."""
    return lambda: skimage_hog(
        frame,
        orientations=PARAMS.orientations,
        pixels_per_cell=(PARAMS.cell_px, PARAMS.cell_px),
        cells_per_block=(PARAMS.block_cells, PARAMS.block_cells),
        block_norm="L2-Hys",
        channel_axis=-1,
        visualize=visualize,
    )


def compare(frame: npt.NDArray[np.uint8], repeats: int) -> None:
    """Print one line per product: ours, skimage's, the ratio."""
    histogram = live.cell_histogram(frame, PARAMS.orientations, PARAMS.cell_px)
    vector_ms = median_ms(reference(frame, visualize=False), 3)
    # skimage has neither a histogram nor a picture on its own: its time for the vector counts for the
    # histogram, and what `visualize` adds for the picture.
    picture_ms = median_ms(reference(frame, visualize=True), 3) - vector_ms
    ours: list[tuple[str, Callable[[], object], float]] = [
        ("vector", lambda: hog_target(frame, PARAMS), vector_ms),
        (
            "cell histogram",
            lambda: live.cell_histogram(frame, PARAMS.orientations, PARAMS.cell_px),
            vector_ms,
        ),
        ("picture", lambda: hog_picture(histogram, PARAMS.cell_px), picture_ms),
    ]
    size = f"{frame.shape[1]:>5} x {frame.shape[0]:<5}"
    for name, work, skimage_ms in ours:
        ms = median_ms(work, repeats)
        print(f"{size} {name:<15} {ms:9.2f} {skimage_ms:9.1f} {skimage_ms / ms:7.0f}x")


def show_frame(frame: npt.NDArray[np.uint8]) -> None:
    """Do what the display does for each frame: histogram, white, picture, 8 bits."""
    histogram = live.cell_histogram(frame, PARAMS.orientations, PARAMS.cell_px)
    to_uint8(hog_picture(histogram, PARAMS.cell_px), white_point(histogram))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=20, help="how often each of ours is timed")
    repeats = parser.parse_args().frames
    torch.set_num_threads(1)
    start = time.perf_counter()
    live.warm_up()
    print(f"warm-up (compile, or load from the cache): {time.perf_counter() - start:.2f} s\n")
    print(f"{'frame':<13} {'product':<15} {'ours ms':>9} {'skimage':>9} {'ratio':>8}")
    for height, width in SIZES:
        compare(drawn_frame(height, width), repeats)
    crops = np.stack([drawn_frame(256, 256)] * 16)
    crop_ms = median_ms(lambda: hog_features(crops, HogParams.preset()), repeats) / len(crops)
    print(f"\nofficial-504 target of a 256 x 256 crop: {crop_ms:.2f} ms")
    print("\nlive: histogram, picture and 8 bits, frames per second")
    for height, width in SIZES:
        frames_per_s = 1000 / median_ms(partial(show_frame, drawn_frame(height, width)), repeats)
        print(f"{width:>5} x {height:<5} {frames_per_s:7.0f}")


if __name__ == "__main__":
    main()
