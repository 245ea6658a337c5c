"""Films as files: MP4 (H.264) and GIF, each picture at its own time, written whole or not at all.

Times. An MP4 keeps times in 1/90000 s: a clip of variable rate stays one, to 0.01 ms. A GIF keeps durations
in 1/100 s and browsers slow down what is shorter than 2/100 s: times are rounded each for itself, so that
errors do not add up, and what would come within 2/100 s of a picture is left out. Both last as long as their
frames did, the last one included.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Self

import av
import numpy as np
from PIL import Image

from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    import numpy.typing as npt

SUFFIXES = (".mp4", ".gif")
MP4_CLOCK, GIF_CLOCK = 90_000, 100
GIF_MIN_TICKS = 2
#: Of libx264: good enough that outlines stay crisp.
CRF = "20"


class FilmFile:
    """A film while it is written; a context: leaving it by an exception leaves no file.

    Parameters
    ----------
    path : Path
        Ends in .mp4 or .gif. An earlier file stays until the new one is whole.
    size : tuple of int
        Height and width, both even.
    times_s : (N,) float64 ndarray
        Of the pictures, ascending.
    last_s : float
        How long the last one stays.

    Attributes
    ----------
    num_written : int

    Raises
    ------
    InputError
        If the suffix is another one.
    """

    def __init__(
        self, path: Path, size: tuple[int, int], times_s: npt.NDArray[np.float64], last_s: float
    ) -> None:
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES:
            raise InputError("Not a film that can be written", where=path, remedy="Name it .mp4 or .gif.")
        self._path, self._is_gif = path, suffix == ".gif"
        self._clock = GIF_CLOCK if self._is_gif else MP4_CLOCK
        ends_s = np.append(times_s, times_s[-1] + max(last_s, 1 / self._clock)) - times_s[0]
        self._ticks: list[int] = np.rint(ends_s * self._clock).astype(np.int64).tolist()
        self._wanted = self._choose()
        self._durations = {self._ticks[number]: ticks for number, ticks in self._wanted.items()}
        self._size = size
        self._partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        self.num_written = 0

    def _choose(self) -> dict[int, int]:
        """Pictures that are shown, and for how many ticks."""
        least = GIF_MIN_TICKS if self._is_gif else 1
        kept: list[int] = []
        for number, tick in enumerate(self._ticks[:-1]):
            if not kept or tick - self._ticks[kept[-1]] >= least:
                kept.append(number)
        ends = [self._ticks[number] for number in kept[1:]] + [self._ticks[-1]]
        return {n: max(least, end - self._ticks[n]) for n, end in zip(kept, ends, strict=True)}

    def wants(self, number: int) -> bool:
        """Whether a picture is shown at all."""
        return number in self._wanted

    def __enter__(self) -> Self:
        self._container = av.open(str(self._partial), "w", format="gif" if self._is_gif else "mp4")
        try:
            self._stream = self._add_stream()
        except BaseException:
            self._abandon()
            raise
        return self

    def _add_stream(self) -> av.VideoStream:
        # No B-frames: with them the last packet in the file is not the last picture shown, and its duration,
        # which ends the film, would be lost.
        options = {} if self._is_gif else {"crf": CRF, "preset": "medium", "bf": "0"}
        # The rate is nominal: every picture brings its own time.
        stream = self._container.add_stream("gif" if self._is_gif else "libx264", rate=25, options=options)
        stream.height, stream.width = self._size
        stream.pix_fmt = "pal8" if self._is_gif else "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, self._clock)
        return stream

    def add(self, number: int, picture_HWC: npt.NDArray[np.uint8]) -> None:
        """Write a picture, (H, W, 3) uint8; in ascending order of numbers, and only where `wants`."""
        frame = _to_palette(picture_HWC) if self._is_gif else av.VideoFrame.from_ndarray(picture_HWC, "rgb24")
        frame.pts, frame.time_base = self._ticks[number], Fraction(1, self._clock)
        frame.duration = self._wanted[number]
        self._mux(frame)
        self.num_written += 1

    def _mux(self, frame: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            if packet.pts is not None:
                packet.duration = self._durations[packet.pts]
            self._container.mux(packet)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._abandon()
            return
        try:
            self._mux(None)
            self._container.close()
            with self._partial.open("rb+") as file:
                os.fsync(file.fileno())
            self._partial.replace(self._path)
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        with suppress(av.FFmpegError, OSError):
            self._container.close()
        with suppress(OSError):
            self._partial.unlink()


def _to_palette(picture_HWC: npt.NDArray[np.uint8]) -> av.VideoFrame:
    """Give a picture a palette of its own: one for the whole film would need all of it in memory."""
    indexed = Image.fromarray(picture_HWC).quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    colors = np.zeros((256, 4), np.uint8)
    flat = np.array(indexed.getpalette("RGB"), np.uint8).reshape(-1, 3)
    colors[:, 0], colors[: len(flat), 1:] = 255, flat
    pixels: Any = (np.asarray(indexed), colors)  # what PyAV takes for this format, but does not declare
    return av.VideoFrame.from_ndarray(pixels, "pal8")
