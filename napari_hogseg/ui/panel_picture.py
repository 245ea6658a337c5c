"""A panel's layers put together to one picture, as napari draws them. Arrays only: for a worker thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np
from napari.layers import Labels

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_hogseg.ui.panels import Panel

#: Widest picture that a small panel is drawn from: the whole one, drawn by Qt, would cost 10 ms at 1080p.
SMALL_PX = 480


@dataclass(frozen=True, eq=False)
class PanelPixels:
    """What a picture is made of.

    Attributes
    ----------
    frame : (H, W, 3) uint8 ndarray
    overlay : (H, W) uint8 ndarray or None
    table : (256, 4) float ndarray
        RGBA, 0 to 1, by the overlay's value.
    frame_opacity, opacity : float
    additive : bool
        Whether the overlay is added to the frame instead of covering it.
    """

    frame: npt.NDArray[np.uint8] = field(repr=False)
    overlay: npt.NDArray[np.uint8] | None = field(repr=False)
    table: npt.NDArray[np.float64] = field(repr=False)
    frame_opacity: float
    opacity: float
    additive: bool

    @classmethod
    def of(cls, panel: Panel, frame_index: int) -> PanelPixels:
        """Read a panel's layers; on the thread that owns them."""
        top = panel.top
        pixels = top.data[frame_index] if top.ndim == 3 else top.data
        if isinstance(top, Labels):
            table = np.zeros((256, 4))
            colors = np.asarray(top.colormap.colors)[:256]
            table[: len(colors)] = colors
            table[0] = 0
        else:
            table = np.asarray(top.colormap.map(np.arange(256) / 255))
        overlay = None if panel.overlay is None else np.asarray(pixels)
        backdrop = panel.backdrop
        return cls(
            backdrop.data, overlay, table, backdrop.opacity, top.opacity, str(top.blending) == "additive"
        )

    def composed(self) -> npt.NDArray[np.uint8]:
        """Put them together on black, (H, W, 3) uint8; about 25 ms at 1080p."""
        frame_table = np.rint(np.arange(256) * self.frame_opacity).astype(np.uint8)
        picture: npt.NDArray[np.uint8] = frame_table[self.frame]
        if self.overlay is None:
            return picture
        weight = self.table[:, 3] * self.opacity
        added = np.rint(255 * self.table[:, :3] * weight[:, None]).astype(np.uint16)
        kept = np.ones(256) if self.additive else 1 - weight
        there = np.flatnonzero(weight[self.overlay.ravel()] > 0)
        flat, values = picture.reshape(-1, 3), self.overlay.ravel()[there]
        mixed = np.rint(flat[there] * kept[values][:, None]) + added[values]
        flat[there] = np.minimum(mixed, 255).astype(np.uint8)
        return picture


@dataclass(frozen=True, eq=False)
class PanelPicture:
    """A composed picture, and a smaller one of it for where little of it can be seen.

    Attributes
    ----------
    whole, small : (H, W, 3) uint8 ndarray
        The same array where the frame is small.
    """

    whole: npt.NDArray[np.uint8] = field(repr=False)
    small: npt.NDArray[np.uint8] = field(repr=False)

    @classmethod
    def of(cls, pixels: PanelPixels) -> PanelPicture:
        """Compose a panel's layers; in a worker."""
        whole = pixels.composed()
        height, width = whole.shape[:2]
        share = SMALL_PX / max(height, width)
        if share >= 1:
            return cls(whole, whole)
        size = max(1, round(width * share)), max(1, round(height * share))
        return cls(whole, np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8))

    def fitting(self, zoom: float) -> npt.NDArray[np.uint8]:
        """Give the picture to draw at so many pixels of the screen per pixel of the frame."""
        return self.small if zoom * self.whole.shape[1] <= self.small.shape[1] else self.whole


def compose(panels: dict[str, PanelPixels]) -> dict[str, PanelPicture]:
    """Compose panels by key; in a worker."""
    return {key: PanelPicture.of(pixels) for key, pixels in panels.items()}
