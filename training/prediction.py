"""`hogseg predict` and `hogseg hog`: a video or folder in, pictures out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import imageio.v3 as imageio
import numpy as np

from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.features import drawing, live
from napari_hogseg.inference.predictor import Predictor
from napari_hogseg.io import atomic, images
from napari_hogseg.io.errors import InputError
from napari_hogseg.io.video import FrameSource, open_frames
from training import reporting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from napari_hogseg.data.scheme import LabelScheme
    from napari_hogseg.inference.options import InferenceOptions

OPACITY = 0.45
DEFAULT_FPS = 25.0
CODEC = "libx264"


def predict(
    model: Path, source_path: Path, out: Path, device: str, options: InferenceOptions | None = None
) -> int:
    """Segment every frame: index PNGs in `out/masks`, an overlay video beside them.

    Returns
    -------
    int
        Number of frames.

    Raises
    ------
    InputError
        If the model or the input cannot be read, or `out` holds masks already.
    """
    predictor = Predictor.load(model, device, options)
    source = open_frames(source_path)
    masks = _new_folder(out / "masks")
    atomic.write_text(out / "dataset.toml", predictor.scheme.to_toml())

    def overlays() -> Iterator[npt.NDArray[np.uint8]]:
        for frame_index, name in enumerate(source.frame_names):
            frame = source.frame(frame_index)
            mask = predictor.predict(frame)
            images.write_mask(masks / f"{name}.png", mask, predictor.scheme.colors)
            yield overlay(frame, mask, predictor.scheme)

    try:
        write_video(out / "overlay.mp4", overlays(), source)
    finally:
        source.close()
    return source.num_frames


def draw_hog(source_path: Path, out: Path, orientations: int, cell_px: int) -> int:
    """Draw the HOG of every frame: PNGs in `out/hog`, a video beside them. Returns the number of frames."""
    source = open_frames(source_path)
    folder = _new_folder(out / "hog")

    def pictures() -> Iterator[npt.NDArray[np.uint8]]:
        white: float | None = None
        for frame_index, name in enumerate(source.frame_names):
            histogram = live.cell_histogram(source.frame(frame_index), orientations, cell_px)
            # The white point carries over from frame to frame, so the video does not flicker.
            white = drawing.white_point(histogram, white)
            picture = drawing.to_uint8(drawing.hog_picture(histogram, cell_px), white)
            imageio.imwrite(folder / f"{name}.png", picture)
            yield np.repeat(picture[..., None], 3, axis=2)

    try:
        write_video(out / "hog.mp4", pictures(), source)
    finally:
        source.close()
    return source.num_frames


def overlay(
    frame_HWC: npt.NDArray[np.uint8], mask_HW: npt.NDArray[np.uint8], scheme: LabelScheme
) -> npt.NDArray[np.uint8]:
    """Blend class colours over a frame; ignored pixels stay as they are. (H, W, 3) uint8."""
    colors = scheme.color_table()[mask_HW].astype(np.float32)
    weight = np.where(mask_HW == IGNORE, 0.0, OPACITY).astype(np.float32)[..., None]
    return np.rint(frame_HWC * (1 - weight) + colors * weight).astype(np.uint8)


def write_video(path: Path, frames: Iterator[npt.NDArray[np.uint8]], source: FrameSource) -> None:
    """Encode frames as H.264 at the source's mean rate; a broken run leaves no half file under the name."""
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    with (
        reporting.counting(path.stem, source.num_frames) as advance,
        imageio.imopen(partial, "w", plugin="pyav") as file,
    ):
        file.init_video_stream(CODEC, fps=frame_rate(source), pixel_format="yuv420p")
        for frame in frames:
            file.write_frame(_even(frame))
            advance()
    partial.replace(path)


def frame_rate(source: FrameSource) -> float:
    """Mean frames a second; 25 where there are no times (a folder)."""
    pts_s = source.pts_s
    span_s = float(pts_s[-1] - pts_s[0]) if len(pts_s) > 1 else 0.0
    return round((len(pts_s) - 1) / span_s, 3) if span_s > 0 else DEFAULT_FPS


def _even(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Repeat the last row or column of an odd frame: 4:2:0 video has even sides."""
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _new_folder(folder: Path) -> Path:
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(
            "The folder is not empty", where=folder, remedy="Choose another --out: nothing is overwritten."
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder
