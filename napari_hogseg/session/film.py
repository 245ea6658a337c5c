"""An annotated film of a range of frames, MP4 or GIF: masks, prediction and errors, for where no viewer is.

Owns which panels a picture has, its strip with legend and frame number, and the order of work; frame after
frame, so that a film of any length takes the memory of a few pictures. Drawing masks is `overlays`' part,
files and their times `film_file`'s.

Legend: H rows, W columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io.errors import InputError
from napari_hogseg.session import overlays
from napari_hogseg.session.film_file import FilmFile
from napari_hogseg.session.review_report import Progress, refuse_to_replace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from napari_hogseg.data.scheme import Color, LabelScheme
    from napari_hogseg.io.video import FrameSource
    from napari_hogseg.session.annotations import AnnotationStore
    from napari_hogseg.session.overlays import MaskStyle
    from napari_hogseg.session.ranges import FrameRange
    from napari_hogseg.session.review_report import ReportModel

    Frame = npt.NDArray[np.uint8]  # (H, W, 3)
    Mask = npt.NDArray[np.uint8]  # (H, W)

Panel = Literal["frame", "mask", "prediction", "errors"]
PANELS: tuple[Panel, ...] = ("frame", "mask", "prediction", "errors")
TITLES: dict[Panel, str] = {
    "frame": "Frame",
    "mask": "Mask",
    "prediction": "Prediction",
    "errors": "Boundary errors",
}
LINE_PX, TEXT_PX, MARGIN_PX = 20, 13, 8
PAPER, INK, QUIET = (24, 27, 32), (236, 239, 243), (160, 168, 178)


@dataclass(frozen=True)
class FilmOptions:
    """What a film shows.

    Attributes
    ----------
    panels : tuple of {"frame", "mask", "prediction", "errors"}
        Side by side, in this order.
    style : {"outline", "fill"}
        How masks are drawn.
    panel_width_px : int
        A panel is no wider; smaller frames are not enlarged.
    """

    panels: tuple[Panel, ...] = ("mask",)
    style: MaskStyle = "outline"
    panel_width_px: int = 960


def write_film(
    path: Path,
    store: AnnotationStore,
    source: FrameSource,
    frames: FrameRange,
    options: FilmOptions | None = None,
    model: ReportModel | None = None,
    *,
    progress: Progress | None = None,
) -> int:
    """Write a range of frames as a film, whole or not at all.

    Parameters
    ----------
    path : Path
        Its suffix says which: .mp4 or .gif. Its folder is made when missing.
    store : AnnotationStore
        Gives the masks as they are now.
    source : FrameSource
        The clip; read in order.
    frames : FrameRange
    options : FilmOptions, optional
    model : ReportModel, optional
        For the panels 'prediction' and 'errors'.
    progress : Progress, optional

    Returns
    -------
    int
        Pictures written. A GIF cannot show more than 50 a second, and leaves out what comes faster.

    Raises
    ------
    InputError
        If the range is not in the clip, a panel needs a model, a frame cannot be read, or the file would
        replace the clip.
    CancelledError
        If `progress` says so; no file is left.
    OSError
        If the disk refuses.
    """
    options, progress = options or FilmOptions(), progress or Progress()
    refuse_to_replace(path, source)
    _check(frames, source.num_frames, options, store.scheme, model)
    painter = _Painter(source, store.scheme, options)
    times_s = source.pts_s[frames.first : frames.last + 1]
    last_s = _duration_s(source.pts_s, frames.last)
    path.parent.mkdir(parents=True, exist_ok=True)
    predict = None if model is None or not _needs_model(options) else model.predict
    with FilmFile(path, painter.size, times_s, last_s) as film:
        for number, time_s in enumerate(times_s.tolist()):
            progress.step(number, len(frames))
            if film.wants(number):
                frame_index = frames.first + number
                shown = _Shown.read(frame_index, store, source, predict)
                film.add(number, painter.paint(shown, time_s))
        progress.step(len(frames), len(frames))
    return film.num_written


def _needs_model(options: FilmOptions) -> bool:
    return bool({"prediction", "errors"} & set(options.panels))


def _check(
    frames: FrameRange,
    num_frames: int,
    options: FilmOptions,
    scheme: LabelScheme,
    model: ReportModel | None,
) -> None:
    if not 0 <= frames.first <= frames.last < num_frames:
        raise InputError(
            f"Frames {frames.first} to {frames.last} are not all in the clip",
            where="range",
            remedy=f"Choose a range within 0 to {num_frames - 1}.",
        )
    if not options.panels:
        raise InputError("Nothing is to be drawn", where="panels", remedy="Choose at least one picture.")
    if not _needs_model(options):
        return
    if model is None:
        raise InputError(
            "No model is loaded",
            where="panels",
            remedy="Load one, or leave prediction and errors out.",
        )
    if model.classes != scheme.classes:
        raise InputError(
            "The model's classes are not those of the masks",
            where=", ".join(model.classes),
            remedy="Load a model of these classes, or leave prediction and errors out.",
        )


def _duration_s(times_s: npt.NDArray[np.float64], last: int) -> float:
    """How long the last frame stays: until the next one, or as long as the one before it did."""
    if last + 1 < len(times_s):
        return float(times_s[last + 1] - times_s[last])
    return float(times_s[last] - times_s[last - 1]) if last else 1.0


@dataclass(frozen=True, eq=False)
class _Shown:
    """A frame with what is known of it."""

    frame_index: int
    frame: Frame
    mask: Mask | None
    prediction: Mask | None

    @classmethod
    def read(
        cls,
        frame_index: int,
        store: AnnotationStore,
        source: FrameSource,
        predict: Callable[[Frame], Mask] | None,
    ) -> _Shown:
        frame_HWC = source.frame(frame_index)
        mask = store.peek(frame_index)
        if mask is not None and not (mask != IGNORE).any():
            mask = None
        return cls(frame_index, frame_HWC, mask, None if predict is None else predict(frame_HWC))


class _Painter:
    """Draws pictures of one size: panels side by side, titles above, legend and frame number below."""

    def __init__(self, source: FrameSource, scheme: LabelScheme, options: FilmOptions) -> None:
        self._scheme, self._options, self._name = scheme, options, source.name
        self._panel = overlays.fitted_size(source.height, source.width, options.panel_width_px)
        self._font = ImageFont.load_default(TEXT_PX)
        height, width = self._panel[0] + LINE_PX, self._panel[1] * len(options.panels)
        entries = list(zip(scheme.classes, scheme.colors, strict=True))
        if "errors" in options.panels:
            entries += [(f"{name} boundary", color) for name, color in overlays.ERROR_COLORS.values()]
        legend = self._legend(entries, width)
        self._caption_row = height + legend.shape[0]
        height = self._caption_row + LINE_PX
        # H.264 with chroma at half size needs even sides.
        self.size = height + height % 2, width + width % 2
        self._blank = np.full((*self.size, 3), PAPER, np.uint8)
        self._blank[self._panel[0] + LINE_PX : self._caption_row, :width] = legend
        self._write_titles()

    def paint(self, shown: _Shown, time_s: float) -> Frame:
        picture = self._blank.copy()
        rows, cols = self._panel
        for number, panel in enumerate(self._options.panels):
            picture[LINE_PX : LINE_PX + rows, number * cols : (number + 1) * cols] = self._draw(panel, shown)
        caption = Image.fromarray(picture[self._caption_row :])
        text = f"frame {shown.frame_index}   {time_s:.3f} s   {self._name}"
        if shown.mask is None:
            text += "   no mask on this frame"
        ImageDraw.Draw(caption).text((MARGIN_PX, 2), text, fill=INK, font=self._font)
        picture[self._caption_row :] = np.asarray(caption)
        return picture

    def _draw(self, panel: Panel, shown: _Shown) -> Frame:
        small = overlays.resize_frame(shown.frame, self._panel)
        if panel == "errors":
            if shown.mask is None or shown.prediction is None:
                return np.asarray(small * overlays.DIMMED, np.uint8)
            return overlays.draw_errors(shown.frame, shown.prediction, shown.mask, self._panel)
        class_ids = {"mask": shown.mask, "prediction": shown.prediction}.get(panel)
        if class_ids is None:
            return small
        return overlays.draw_mask(
            small, overlays.resize_mask(class_ids, self._panel), self._scheme, self._options.style
        )

    def _write_titles(self) -> None:
        line = Image.fromarray(self._blank[:LINE_PX])
        for number, panel in enumerate(self._options.panels):
            place = (number * self._panel[1] + MARGIN_PX, 2)
            ImageDraw.Draw(line).text(place, TITLES[panel], fill=QUIET, font=self._font)
        self._blank[:LINE_PX] = np.asarray(line)

    def _legend(self, entries: list[tuple[str, Color]], width: int) -> Frame:
        """Write colours and names, in as many lines as they need."""
        places: list[tuple[int, int]] = []
        x, line = MARGIN_PX, 0
        for name, _ in entries:
            needed = round(self._font.getlength(name)) + TEXT_PX + 3 * MARGIN_PX
            if x > MARGIN_PX and x + needed > width:
                x, line = MARGIN_PX, line + 1
            places.append((x, line * LINE_PX))
            x += needed
        strip = Image.new("RGB", (width, (line + 1) * LINE_PX), PAPER)
        draw = ImageDraw.Draw(strip)
        for (x, y), (name, color) in zip(places, entries, strict=True):
            draw.rectangle((x, y + 4, x + TEXT_PX - 1, y + 3 + TEXT_PX), fill=color)
            draw.text((x + TEXT_PX + 5, y + 2), name, fill=INK, font=self._font)
        return np.asarray(strip)
