"""How masks are drawn: palettes, hidden classes, outlines. Values and arrays, no napari, no Qt."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_hogseg.data.scheme import OKABE_ITO

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_hogseg.data.scheme import Color, LabelScheme

PaletteName = Literal["data set", "colour-blind safe"]
PALETTES: tuple[PaletteName, ...] = ("data set", "colour-blind safe")

#: Beyond seven classes no palette is safe by hue alone: each further round is darker, then paler.
ROUND_LIGHTNESS = (1.0, 0.55, 1.35)
CONTOUR_PX = 2


@dataclass(frozen=True)
class MaskLook:
    """How class ids are drawn on a frame.

    Attributes
    ----------
    palette : {"data set", "colour-blind safe"}
    hidden : frozenset of int
        Class ids that are not drawn; the masks hold them all the same.
    contours : bool
        Draw outlines instead of filled areas.
    opacity : float
        Of filled areas, 0 to 1.
    """

    palette: PaletteName = "data set"
    hidden: frozenset[int] = frozenset()
    contours: bool = False
    opacity: float = 0.5


def palette(scheme: LabelScheme, name: PaletteName) -> tuple[Color, ...]:
    """Give each class its colour.

    Parameters
    ----------
    scheme : LabelScheme
    name : {"data set", "colour-blind safe"}
        The second takes Okabe and Ito's seven colours, then darker and paler rounds of them.

    Returns
    -------
    tuple of (int, int, int)
        RGB, one a class.
    """
    if name == "data set":
        return scheme.colors
    return tuple(_safe_color(class_id) for class_id in range(scheme.num_classes))


def _safe_color(class_id: int) -> Color:
    number, position = divmod(class_id, len(OKABE_ITO))
    factor = ROUND_LIGHTNESS[number % len(ROUND_LIGHTNESS)]
    hue, lightness, saturation = colorsys.rgb_to_hls(*(channel / 255 for channel in OKABE_ITO[position]))
    red, green, blue = colorsys.hls_to_rgb(hue, min(0.92, lightness * factor), saturation)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_contours(
    frame_HWC: npt.NDArray[np.uint8], class_ids: npt.NDArray[np.uint8], colors: npt.NDArray[np.float32]
) -> npt.NDArray[np.uint8]:
    """Draw the outlines of a mask's classes into a copy of its frame.

    napari's own `Labels.contour` takes about 0.1 s a frame at 1080p on the thread that draws.

    Parameters
    ----------
    frame_HWC : (H, W, 3) uint8 ndarray
    class_ids : (H, W) uint8 ndarray
    colors : (256, 4) float32 ndarray
        RGBA, 0 to 1, by class id; what has no opacity is left out.

    Returns
    -------
    (H, W, 3) uint8 ndarray
    """
    rim = contour_mask(class_ids, CONTOUR_PX)
    rim &= colors[:, 3][class_ids] > 0
    drawn = frame_HWC.copy()
    table = np.rint(colors[:, :3] * 255).astype(np.uint8)
    drawn[rim] = table[class_ids[rim]]
    return drawn


def contour_mask(class_ids: npt.NDArray[np.uint8], width_px: int) -> npt.NDArray[np.bool_]:
    """Find the pixels within `width_px` of another class, up, down, left or right; each has its own rim.

    Returns
    -------
    (H, W) bool ndarray
        The frame's own edge is no contour.
    """
    rim = np.zeros(class_ids.shape, bool)
    for distance in range(1, width_px + 1):
        down = class_ids[distance:] != class_ids[:-distance]
        rim[distance:] |= down
        rim[:-distance] |= down
        across = class_ids[:, distance:] != class_ids[:, :-distance]
        rim[:, distance:] |= across
        rim[:, :-distance] |= across
    return rim
