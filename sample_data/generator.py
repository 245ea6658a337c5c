"""Generate cataract-like clips with exact masks, and write them as a video or as a plain training tree.

    python -m sample_data.generator --out sample_data --video
    python -m sample_data.generator --out TREE --seeds 101,102,103 --frames-each 40 --stride 5

Owns the loop over frames and the files; the pictures are `render`'s.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import cv2
from PIL import Image

from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError
from napari_hogseg.io.images import write_mask
from sample_data.classes import CLASS_COLORS, CLASS_NAMES
from sample_data.render import FRAMES_PER_S, render_frame
from sample_data.scene import build_scene

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    Rendered = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]

SAMPLE_SEED = 7
"""Seed of the committed clip; train on others."""

SAMPLE_FRAMES = 125
HEIGHT, WIDTH = 288, 512

CRF = 22
"""x264 quality: 0.23 MB and 37 dB for the committed clip, so that a model fits beside it."""


def generate_clip(
    seed: int, num_frames: int, height: int = HEIGHT, width: int = WIDTH, *, stride: int = 1
) -> Iterator[Rendered]:
    """Generate a clip, frame by frame.

    Parameters
    ----------
    seed : int
        At least 0. Another seed is another eye, with other instruments, tape and light; the same seed
        gives the same bytes, whatever the number of frames.
    num_frames : int
        At least 1.
    height, width : int
        Even, at least 64.
    stride : int
        Step in time between two frames, in 25ths of a second.

    Yields
    ------
    frame : (height, width, 3) uint8 ndarray
        RGB.
    mask : (height, width) uint8 ndarray
        Class ids 0 to 7 of CaDIS task 1, exact at mid exposure.

    Raises
    ------
    InputError
        If a number is out of its range; on the call, not on the first frame.
    """
    if min(height, width) < 64 or height % 2 or width % 2:
        raise InputError(
            f"Frames of {width} x {height} cannot be drawn", remedy="Use even sizes of at least 64."
        )
    if seed < 0 or num_frames < 1 or stride < 1:
        raise InputError(
            f"seed {seed}, {num_frames} frames, stride {stride}",
            remedy="Use a seed of at least 0, and at least 1 for the other two.",
        )
    return _frames(seed, num_frames, (height, width), stride)


def _frames(seed: int, num_frames: int, size: tuple[int, int], stride: int) -> Iterator[Rendered]:
    scene = build_scene(seed, *size)
    for frame_index in range(num_frames):
        yield render_frame(scene, frame_index * stride)


def scheme_text() -> str:
    """Return the text of the clip's `dataset.toml`."""
    head = 'name = "cataract-sample"\nignore = 255\ngroup = "folder"\n'
    classes = [
        f'\n[[classes]]\nid = {class_id}\nname = "{name}"\ncolor = {list(color)}\n'
        for class_id, (name, color) in enumerate(zip(CLASS_NAMES, CLASS_COLORS, strict=True))
    ]
    return head + "".join(classes)


def write_sample(out: Path, seed: int, num_frames: int, *, size: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    """Write `clip.mp4` (H.264, B-frames), `masks/frame_000000.png` and on, and `dataset.toml`."""
    masks = out / "masks"
    masks.mkdir(parents=True, exist_ok=True)
    for stale in masks.glob("frame_*.png"):
        stale.unlink()
    with av.open(str(out / "clip.mp4"), "w", options={"movflags": "faststart"}) as container:
        # One encoder thread: x264 spends its bits alike on every machine.
        options = {"crf": str(CRF), "preset": "slower", "bf": "3", "g": "50", "threads": "1"}
        stream: Any = container.add_stream("libx264", rate=FRAMES_PER_S, options=options)
        stream.height, stream.width, stream.pix_fmt = size[0], size[1], "yuv420p"
        for frame_index, (frame, mask) in enumerate(generate_clip(seed, num_frames, *size)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            write_mask(masks / f"frame_{frame_index:06d}.png", mask, CLASS_COLORS)
        container.mux(stream.encode())
    atomic.write_text(out / "dataset.toml", scheme_text())


def write_tree(
    out: Path,
    seeds: Sequence[int],
    frames_each: int,
    *,
    stride: int = 5,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    suffix: str = "png",
) -> None:
    """Write a training tree: `images/<clip>/`, `masks/<clip>/` and `dataset.toml`, one clip a seed.

    Parameters
    ----------
    out : Path
        Root of the tree; created.
    seeds : sequence of int
        One group each, in the folder `seed_000101`.
    frames_each : int
        Frames per seed.
    stride : int
        Step in time between two frames, in 25ths of a second.
    size : (int, int)
        Height and width.
    suffix : {"png", "jpg"}
        Format of the images.
    """
    for seed in seeds:
        images, masks = (out / kind / f"seed_{seed:06d}" for kind in ("images", "masks"))
        images.mkdir(parents=True, exist_ok=True)
        masks.mkdir(parents=True, exist_ok=True)
        for frame_index, (frame, mask) in enumerate(generate_clip(seed, frames_each, *size, stride=stride)):
            name = f"frame_{frame_index:06d}"
            Image.fromarray(frame).save(images / f"{name}.{suffix}", quality=92)
            write_mask(masks / f"{name}.png", mask, CLASS_COLORS)
    atomic.write_text(out / "dataset.toml", scheme_text())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when done, 2 on bad input."""
    options = _parser().parse_args(arguments)
    # The pictures are small: OpenCV's threads would only wait for each other.
    cv2.setNumThreads(1)
    size = (options.height, options.width)
    try:
        if options.video:
            write_sample(options.out, options.seed, options.frames, size=size)
        else:
            write_tree(
                options.out,
                options.seeds or [options.seed],
                options.frames_each or options.frames,
                stride=options.stride,
                size=size,
                suffix=options.images,
            )
    except InputError as error:
        print(error, file=sys.stderr)  # noqa: T201 - this is a command line
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sample_data.generator", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--out", type=Path, required=True, help="Folder to write to.")
    parser.add_argument(
        "--video", action="store_true", help="Write clip.mp4 and masks/ instead of a training tree."
    )
    parser.add_argument("--seed", type=int, default=SAMPLE_SEED, help="Which eye.")
    parser.add_argument("--frames", type=int, default=SAMPLE_FRAMES, help="Number of frames.")
    parser.add_argument("--seeds", type=_seeds, help="Several clips in one tree: 101,102,103.")
    parser.add_argument("--frames-each", type=int, help="Frames per clip of a tree; --frames when left out.")
    parser.add_argument("--stride", type=int, default=5, help="Tree: step in time, in 25ths of a second.")
    parser.add_argument("--images", choices=("png", "jpg"), default="png", help="Tree: format of the images.")
    parser.add_argument("--height", type=int, default=HEIGHT)
    parser.add_argument("--width", type=int, default=WIDTH)
    return parser


def _seeds(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
