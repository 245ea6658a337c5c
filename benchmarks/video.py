"""Reading video by frame number against imageio's PyAV plugin in one run: milliseconds, ratios, wrong frames.

Run ``python -m benchmarks.video`` from the project's root. The clips are made on the spot (512x512, H.264,
three B-frames); each frame carries its own number in stripes, so that a wrong one is seen. The readers take
single frames by number from an open file, as a desktop asks for them; every round opens the file anew, and
the readers take turns in it, so that what else the machine does slows all of them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import av
import imageio
import imageio.v3 as iio
import numpy as np

from napari_hogseg.io.video import Video

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import numpy.typing as npt

    ReadFrame: TypeAlias = Callable[[int], npt.NDArray[np.uint8]]

SIDE_PX, STAMP_PX, NUM_BITS = 512, 32, 16
DARK, BRIGHT = 60, 200
CLOCK = Fraction(1, 1000)


@dataclass(frozen=True)
class Clip:
    """A made video: frames between keyframes, and whether gaps between frames are uneven."""

    name: str
    gop: int
    is_uneven: bool = False


CLIPS = [
    Clip("constant rate, GOP 30", 30),
    Clip("constant rate, GOP 250", 250),
    Clip("variable rate, GOP 30", 30, is_uneven=True),
]


def drawn_frame(number: int, tissue: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Tissue that drifts two pixels a frame, under sixteen stripes that spell the number."""
    frame = np.ascontiguousarray(np.roll(tissue, 2 * number, axis=1))
    bits = (number >> np.arange(NUM_BITS)) & 1
    frame[:STAMP_PX] = np.repeat(np.where(bits, BRIGHT, DARK), SIDE_PX // NUM_BITS)[None, :, None]
    return frame


def number_in(frame: npt.NDArray[np.uint8]) -> int:
    """Read the stripes back."""
    stripes = frame[:STAMP_PX].reshape(STAMP_PX, NUM_BITS, -1, 3).mean((0, 2, 3))
    return int(((stripes > (DARK + BRIGHT) / 2) << np.arange(NUM_BITS)).sum())


def write_clip(path: Path, clip: Clip, num_frames: int) -> None:
    """Encode the clip; where it is uneven, gaps of 20 to 106 ms."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 220, (SIDE_PX // 16, SIDE_PX // 16, 3))
    noise = rng.normal(0, 4, (SIDE_PX, SIDE_PX, 3))
    tissue = (coarse.repeat(16, 0).repeat(16, 1) + noise).clip(0, 255).astype(np.uint8)
    gaps_ms = 20 + np.arange(num_frames) * 37 % 87 if clip.is_uneven else np.full(num_frames, 40)
    times_ms = np.concatenate([[0], np.cumsum(gaps_ms)[:-1]])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        stream.width = stream.height = SIDE_PX
        stream.pix_fmt, stream.gop_size = "yuv420p", clip.gop
        stream.codec_context.max_b_frames, stream.codec_context.time_base = 3, CLOCK
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(drawn_frame(number, tissue))
            frame.pts, frame.time_base = int(times_ms[number]), CLOCK
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@contextmanager
def ours(path: Path) -> Iterator[ReadFrame]:
    """Open with the project's reader, its cache included: it is part of what a desktop gets."""
    video = Video(path)
    yield video.frame
    video.close()


@contextmanager
def ours_uncached(path: Path) -> Iterator[ReadFrame]:
    """Open with the project's reader, which then decodes every frame anew."""
    video = Video(path, cache_bytes=0)
    yield video.frame
    video.close()


@contextmanager
def imageio_pyav(path: Path) -> Iterator[ReadFrame]:
    """Open with imageio's plugin."""
    with iio.imopen(path, "r", plugin="pyav") as file:
        yield lambda number: file.read(index=number)


def is_right(read: ReadFrame, number: int) -> bool:
    """Tell whether the frame read is the one asked for; what the peer cannot find is wrong as well."""
    try:
        return number_in(read(number)) == number
    except (StopIteration, IndexError, av.FFmpegError):
        return False


READERS = {"imageio": imageio_pyav, "ours": ours, "ours, no cache": ours_uncached}


def one_round(
    open_file: Callable[[Path], AbstractContextManager[ReadFrame]], path: Path, order: Sequence[int]
) -> tuple[float, float, int]:
    """Milliseconds to open, milliseconds a frame, and how many frames were wrong."""
    start = time.perf_counter()
    with open_file(path) as read:
        opened = time.perf_counter()
        num_wrong = sum(not is_right(read, number) for number in order)
        read_ms = 1000 * (time.perf_counter() - opened) / len(order)
    return 1000 * (opened - start), read_ms, num_wrong


def print_clip(path: Path, clip: Clip, num_frames: int, num_rounds: int) -> None:
    """One line for each order and reader."""
    orders = {
        "in order": list(range(num_frames)),
        "at random": np.random.default_rng(1).permutation(num_frames)[: num_frames // 2].tolist(),
    }
    for name, order in orders.items():
        rounds = [[one_round(reader, path, order) for reader in READERS.values()] for _ in range(num_rounds)]
        medians = np.median(rounds, axis=0)
        for label, (open_ms, read_ms, num_wrong) in zip(READERS, medians, strict=True):
            print(
                f"{clip.name:24}{name:11}{label:16}{open_ms:8.1f}{read_ms:9.2f}"
                f"{medians[0, 1] / read_ms:8.1f}{num_wrong:7.0f} of {len(order)}"
            )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(
        f"PyAV {av.__version__}, imageio {imageio.__version__}; milliseconds, medians of {arguments.rounds}"
    )
    print(f"{'clip':24}{'order':11}{'reader':16}{'to open':>8}{'a frame':>9}{'ratio':>8}  wrong frames")
    with tempfile.TemporaryDirectory() as folder:
        for number, clip in enumerate(CLIPS):
            path = Path(folder) / f"{number}.mp4"
            write_clip(path, clip, arguments.frames)
            print_clip(path, clip, arguments.frames, arguments.rounds)


if __name__ == "__main__":
    main()
