"""Tiny videos whose every frame tells its own number, so that a wrong frame shows without any real data."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

HEIGHT, WIDTH = 96, 128
NUM_BITS = 8
DARK, BRIGHT = 60, 200
CLOCK = Fraction(1, 1000)


def picture(number: int) -> np.ndarray:
    """The number in eight binary stripes, under a bar that moves so that there is motion to code."""
    frame = np.full((HEIGHT, WIDTH, 3), DARK, np.uint8)
    width = WIDTH // NUM_BITS
    for bit in range(NUM_BITS):
        if number >> bit & 1:
            frame[:, bit * width : (bit + 1) * width] = BRIGHT
    top = number * 3 % (HEIGHT - 10)
    frame[top : top + 10] += 40
    return frame


def number_in(frame: np.ndarray) -> int:
    """Read the number back; medians pass over the bar and the codec's ringing."""
    grey = frame.mean(2)
    width = WIDTH // NUM_BITS
    inside = [grey[:, bit * width + 4 : (bit + 1) * width - 4] for bit in range(NUM_BITS)]
    middle = (DARK + BRIGHT) / 2
    return sum(int(np.median(stripe) > middle) << bit for bit, stripe in enumerate(inside))


def uneven_times_ms(num_frames: int) -> np.ndarray:
    """Strictly ascending times with gaps between 20 and 106 ms."""
    gaps = 20 + np.arange(num_frames) * 37 % 87
    return np.concatenate([[0], np.cumsum(gaps)[:-1]])


def write_video(
    path: Path,
    codec: str = "libx264",
    num_frames: int = 60,
    *,
    options: dict[str, str] | None = None,
    times_ms: np.ndarray | None = None,
    b_frames: int = 2,
    gop: int = 12,
    pixel_format: str = "yuv420p",
) -> Path:
    """Encode `picture(0)`, `picture(1)`, ...; the format follows the suffix."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixel_format
        stream.gop_size, stream.codec_context.max_b_frames = gop, b_frames
        stream.options = options or {}
        if times_ms is not None:
            stream.codec_context.time_base = CLOCK
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(picture(number))
            frame.pts = number if times_ms is None else int(times_ms[number])
            frame.time_base = Fraction(1, 25) if times_ms is None else CLOCK
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
