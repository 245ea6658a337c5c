"""Masks and errors drawn into pictures for people who have no viewer: reports, clips. Arrays in, arrays out.

Owns how they look on paper and in a film; what a live panel draws is `ui`'s part.

Legend: H rows, W columns; class ids, 255 is ignore.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from napari_hogseg.metrics.error_map import CORRECT, MISSED, SPURIOUS, boundary_errors

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_hogseg.data.scheme import Color, LabelScheme

    Frame = npt.NDArray[np.uint8]  # (H, W, 3)
    Mask = npt.NDArray[np.uint8]  # (H, W)

MaskStyle = Literal["outline", "fill"]
MASK_STYLES: tuple[MaskStyle, ...] = ("outline", "fill")
FILL_OPACITY, OUTLINE_PX = 0.45, 2
#: Boundary errors are looked for within this distance, as in the live panel.
TOLERANCE_PX = 3
#: Told apart with every common colour vision, and by lightness in print.
ERROR_COLORS: dict[int, tuple[str, Color]] = {
    MISSED: ("missed", (213, 94, 0)),
    SPURIOUS: ("spurious", (86, 180, 233)),
    CORRECT: ("correct", (0, 158, 115)),
}
#: The frame under errors is dimmed, so that thin lines stand out.
DIMMED = 0.45


def fitted_size(height: int, width: int, max_width_px: int) -> tuple[int, int]:
    """Give height and width that are no wider than asked, in the same shape; never larger than before."""
    scale = min(1.0, max_width_px / width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize_frame(frame_HWC: Frame, size: tuple[int, int]) -> Frame:
    """Shrink a frame to (height, width), averaging."""
    if frame_HWC.shape[:2] == size:
        return frame_HWC
    return np.asarray(cv2.resize(frame_HWC, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def resize_mask(mask_HW: Mask, size: tuple[int, int]) -> Mask:
    """Shrink a mask to (height, width), by the nearest pixel: no class is made up."""
    if mask_HW.shape == size:
        return mask_HW
    return np.asarray(cv2.resize(mask_HW, size[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)


def draw_mask(frame_HWC: Frame, mask_HW: Mask, scheme: LabelScheme, style: MaskStyle = "outline") -> Frame:
    """Draw a mask into a copy of its frame; what is ignored stays as it is.

    Parameters
    ----------
    frame_HWC : (H, W, 3) uint8 ndarray
    mask_HW : (H, W) uint8 ndarray
    scheme : LabelScheme
        Gives the colours.
    style : {"outline", "fill"}

    Returns
    -------
    (H, W, 3) uint8 ndarray
    """
    colors_HWC = scheme.color_table()[mask_HW]
    labelled = mask_HW < scheme.num_classes
    drawn = frame_HWC.copy()
    if style == "fill":
        blended = cv2.addWeighted(frame_HWC, 1 - FILL_OPACITY, colors_HWC, FILL_OPACITY, 0)
        drawn[labelled] = blended[labelled]
        return drawn
    rim = labelled & _rims(mask_HW)
    drawn[rim] = colors_HWC[rim]
    return drawn


def _rims(mask_HW: Mask) -> npt.NDArray[np.bool_]:
    """Pixels of either side within `OUTLINE_PX` of another class; the frame's edge is none.

    Two pixels each: films keep colour at half the resolution, and lines of one pixel would lose theirs.
    """
    rims = np.zeros(mask_HW.shape, bool)
    for by in range(1, OUTLINE_PX + 1):
        for one, other in (((slice(by, None),), (slice(-by),)), ((..., slice(by, None)), (..., slice(-by)))):
            differs = mask_HW[one] != mask_HW[other]
            rims[one] |= differs
            rims[other] |= differs
    return rims


def draw_errors(frame_HWC: Frame, prediction_HW: Mask, truth_HW: Mask, size: tuple[int, int]) -> Frame:
    """Draw boundary errors on a dimmed and shrunk frame.

    Errors are found at full size. Shrinking keeps every line: a shrunk pixel has the worst of what it covers.

    Parameters
    ----------
    frame_HWC : (H, W, 3) uint8 ndarray
    prediction_HW, truth_HW : (H, W) uint8 ndarray
    size : tuple of int
        Height and width of the result.

    Returns
    -------
    (height, width, 3) uint8 ndarray
    """
    errors = boundary_errors(prediction_HW, truth_HW, TOLERANCE_PX)
    drawn = np.asarray(resize_frame(frame_HWC, size) * DIMMED, np.uint8)
    for code in (CORRECT, SPURIOUS, MISSED):
        share = cv2.resize((errors == code).astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
        drawn[share > 0] = ERROR_COLORS[code][1]
    return drawn
