"""A video of an hour at 1080p, read by frame number: seconds to open, milliseconds a frame, memory.

Run ``python -m benchmarks.long_video`` from the project's root (``--minutes 60``; ``--video FILE`` for one of
your own). The file is made on the spot: one minute is encoded (1920x1080, H.264, 25 frames a second, GOP 250,
two B-frames) and its packets are written once a minute with shifted times, which takes seconds instead of
minutes. Each frame carries its number within the minute in stripes, so that a wrong one is seen.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import psutil  # type: ignore[import-untyped]  # comes with napari

from napari_hogseg.io.video import Video

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

HEIGHT, WIDTH, RATE, GOP = 1080, 1920, 25, 250
MINUTE = 60 * RATE
STAMP_PX, NUM_BITS = 60, 12
DARK, BRIGHT = 60, 200


def write_minute(path: Path, num_frames: int = MINUTE) -> None:
    """Encode one minute: a still texture, a block that moves, and stripes that spell the number."""
    rng = np.random.default_rng(0)
    still = rng.integers(60, 180, (HEIGHT // 40, WIDTH // 40), np.uint8).repeat(40, 0).repeat(40, 1)
    chroma = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
    options = {"preset": "ultrafast", "bf": "2", "crf": "30"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, "yuv420p", GOP
        for number in range(num_frames):
            luma = still.copy()
            bits = (number >> np.arange(NUM_BITS)) & 1
            luma[:STAMP_PX] = np.where(bits, BRIGHT, DARK).repeat(WIDTH // NUM_BITS)
            left = 4 * number % (WIDTH - 200)
            luma[500:600, left : left + 200] = 230
            frame = av.VideoFrame.from_ndarray(np.concatenate([luma, chroma]), "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_long(path: Path, num_minutes: int) -> None:
    """Write the same minute again and again, as one file."""
    minute = path.with_name("minute.mp4")
    write_minute(minute)
    with av.open(str(path), "w") as container:
        stream = None
        for number in range(num_minutes):
            with av.open(str(minute)) as source:
                template = source.streams.video[0]
                stream = stream or container.add_stream_from_template(template)
                shift = round(60 * number / (template.time_base or Fraction(1, RATE)))
                for packet in source.demux(template):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = stream
                    container.mux(packet)
    minute.unlink()


def number_in(frame_HWC: npt.NDArray[np.uint8]) -> int:
    """Read the stripes back: the frame's number within its minute."""
    stripes = frame_HWC[10 : STAMP_PX - 10].reshape(STAMP_PX - 20, NUM_BITS, -1, 3).mean((0, 2, 3))
    return int(((stripes > (DARK + BRIGHT) / 2) << np.arange(NUM_BITS)).sum())


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Attributes
    ----------
    num_frames : int
    open_s : float
    read_ms : dict of str to (N,) float64 ndarray
        By order.
    num_wrong : int
        Frames that were not those asked for.
    before_mb, opened_mb, peak_mb : float
        Resident memory; the peak is looked for after every frame.
    """

    num_frames: int
    open_s: float
    read_ms: dict[str, npt.NDArray[np.float64]]
    num_wrong: int
    before_mb: float
    opened_mb: float
    peak_mb: float


def measure(path: Path, num_random: int = 60, num_steps: int = 250, *, stamped: bool = True) -> Figures:
    """Open a video and scrub in it as a person does: anywhere, forward, backward.

    Parameters
    ----------
    path : Path
    num_random, num_steps : int
        Frames read at random places; frames read one after the other, forward and backward.
    stamped : bool
        Whether the frames carry their numbers.
    """
    before = resident_mb()
    start_s = time.perf_counter()
    video = Video(path)
    video.frame(0)
    open_s, opened = time.perf_counter() - start_s, resident_mb()
    middle = video.num_frames // 2
    orders: dict[str, Sequence[int]] = {
        "at random": np.random.default_rng(1).integers(0, video.num_frames, num_random).tolist(),
        "forward": range(middle, middle + num_steps),
        "backward": range(middle - 1, middle - 1 - num_steps, -1),
        "forward again": range(middle, middle + num_steps),
    }
    peak, num_wrong, read_ms = opened, 0, {}
    for name, order in orders.items():
        times: list[float] = []
        for number in order:
            start_s = time.perf_counter()
            frame_HWC = video.frame(number)
            times.append(1000 * (time.perf_counter() - start_s))
            num_wrong += stamped and number_in(frame_HWC) != number % MINUTE
            peak = max(peak, resident_mb())
        read_ms[name] = np.array(times)
    video.close()
    return Figures(video.num_frames, open_s, read_ms, num_wrong, before, opened, peak)


def resident_mb() -> float:
    """Memory of this process now."""
    return float(psutil.Process().memory_info().rss) / 1024**2


def print_figures(figures: Figures, num_bytes: int) -> None:
    """Print a line each."""
    print(f"{figures.num_frames} frames, {num_bytes / 1024**2:.0f} MiB, {figures.num_wrong} wrong frames")
    print(f"opened with its first frame in {figures.open_s:.2f} s")
    for name, times in figures.read_ms.items():
        middle, most, worst = np.percentile(times, [50, 95, 100])
        print(f"{name:>14}: median {middle:6.1f} ms, 95 % {most:6.1f} ms, worst {worst:6.1f} ms")
    print(
        f"memory: {figures.before_mb:.0f} MiB before, {figures.opened_mb:.0f} MiB opened, "
        f"at most {figures.peak_mb:.0f} MiB"
    )


def main() -> None:
    """Parse, make, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--video", type=Path)
    arguments = parser.parse_args()
    if arguments.video is not None:
        print_figures(measure(arguments.video, stamped=False), arguments.video.stat().st_size)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.mp4"
        start_s = time.perf_counter()
        write_long(path, arguments.minutes)
        print(f"made in {time.perf_counter() - start_s:.1f} s")
        print_figures(measure(path), path.stat().st_size)


if __name__ == "__main__":
    main()
