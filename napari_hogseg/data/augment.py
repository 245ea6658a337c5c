"""Geometry of frames on their way into the network, and the random augmentation of training crops.

Legend: H, W native size; h, w size at the network's input; S side of the square training crop.
One affine warp does zoom, rotation, flips and crop together: pixels are resampled once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from napari_hogseg.data.scheme import IGNORE

if TYPE_CHECKING:
    import numpy.typing as npt

# OpenCV's own pool would fight with torch's threads for the same cores; these images are small.
cv2.setNumThreads(1)


class AugmentParams(Protocol):
    """What an augmentation needs to know; `runs.config.AugmentConfig` is one."""

    @property
    def crop_px(self) -> int: ...  # noqa: D102
    @property
    def hflip(self) -> float: ...  # noqa: D102
    @property
    def vflip(self) -> float: ...  # noqa: D102
    @property
    def rotation(self) -> float: ...  # noqa: D102
    @property
    def rotation_deg(self) -> float: ...  # noqa: D102
    @property
    def zoom(self) -> float: ...  # noqa: D102
    @property
    def brightness(self) -> float: ...  # noqa: D102
    @property
    def contrast(self) -> float: ...  # noqa: D102
    @property
    def hue(self) -> float: ...  # noqa: D102


def input_size(height: int, width: int, short_px: int) -> tuple[int, int]:
    """Size at the network's input: short side `short_px`, aspect ratio kept.

    Returns
    -------
    (int, int)
        Height and width, at least 1.
    """
    scale = short_px / min(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize_frame(frame_HWC: npt.NDArray[np.uint8], short_px: int) -> npt.NDArray[np.uint8]:
    """Resize a frame to the network's input size.

    Area averaging where it shrinks (no aliasing of instrument edges), bilinear where it grows.
    Training and prediction both call this, so the network sees the same pixels in both.

    Parameters
    ----------
    frame_HWC : (H, W, 3) uint8 ndarray
    short_px : int

    Returns
    -------
    (h, w, 3) uint8 ndarray
    """
    height, width = input_size(frame_HWC.shape[0], frame_HWC.shape[1], short_px)
    if (height, width) == frame_HWC.shape[:2]:
        return frame_HWC
    shrinks = height < frame_HWC.shape[0]
    resized = cv2.resize(
        frame_HWC, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return np.asarray(resized, dtype=np.uint8)


def resize_mask(mask_HW: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Resize class ids by nearest neighbour, pixel centres aligned."""
    if mask_HW.shape == (height, width):
        return mask_HW
    return np.asarray(cv2.resize(mask_HW, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def sample_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Randomness of one sample in one epoch.

    Philox is counter-based: the stream is a pure function of its key, whichever process draws from it
    and in whatever order, so resume and any number of workers give the same crops.
    """
    return np.random.Generator(np.random.Philox(key=np.array([seed, (epoch << 32) | index], dtype=np.uint64)))


@dataclass(frozen=True)
class Draw:
    """One outcome of the geometric augmentation."""

    angle_deg: float
    zoom: float
    hflip: bool
    vflip: bool
    center_x: float
    center_y: float

    def matrix(self, crop_px: int) -> npt.NDArray[np.float64]:
        """Affine map from crop to source coordinates (what cv2 calls WARP_INVERSE_MAP), (2, 3) float64."""
        angle = np.deg2rad(self.angle_deg)
        flip = np.diag([-1.0 if self.hflip else 1.0, -1.0 if self.vflip else 1.0])
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = rotation @ flip / self.zoom
        middle = (crop_px - 1) / 2
        offset = np.array([self.center_x, self.center_y]) - linear @ np.array([middle, middle])
        return np.column_stack([linear, offset])


def draw_geometry(params: AugmentParams, height: int, width: int, rng: np.random.Generator) -> Draw:
    """Draw flips, rotation, zoom and crop place.

    The number of draws never depends on their outcome, so one changed probability does not shift the
    rest of the stream.
    """
    uniforms = rng.random(7)
    zoom = params.zoom ** (2 * uniforms[4] - 1)
    reach = params.crop_px / zoom
    return Draw(
        angle_deg=float((2 * uniforms[3] - 1) * params.rotation_deg)
        if uniforms[2] < params.rotation
        else 0.0,
        zoom=float(zoom),
        hflip=bool(uniforms[0] < params.hflip),
        vflip=bool(uniforms[1] < params.vflip),
        center_x=_crop_center(width, reach, uniforms[5]),
        center_y=_crop_center(height, reach, uniforms[6]),
    )


def _crop_center(size: int, reach: float, uniform: float) -> float:
    """Centre of a crop of `reach` pixels that stays inside where it fits and covers the middle where not."""
    slack = size - reach
    return float((size - 1) / 2 + (uniform - 0.5) * max(slack, 0.0))


def augment(
    frame_HWC: npt.NDArray[np.uint8],
    mask_HW: npt.NDArray[np.uint8],
    params: AugmentParams,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Draw one training crop.

    What a rotation uncovers is mirrored in the frame (a black corner would be an edge for the HOG) and
    **ignored** in the mask: class 0 is a real class (Pupil in CaDIS).

    Parameters
    ----------
    frame_HWC : (h, w, 3) uint8 ndarray
    mask_HW : (h, w) uint8 ndarray
    params : AugmentConfig
    rng : Generator
        From `sample_rng`.

    Returns
    -------
    (S, S, 3) uint8 ndarray, (S, S) uint8 ndarray
    """
    height, width = mask_HW.shape
    matrix = draw_geometry(params, height, width, rng).matrix(params.crop_px)
    crop = _warp(frame_HWC, matrix, params.crop_px, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101, 0)
    mask = _warp(mask_HW, matrix, params.crop_px, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT, IGNORE)
    return jitter_color(crop, params, rng), mask


def _warp(
    picture: npt.NDArray[np.uint8],
    matrix: npt.NDArray[np.float64],
    side: int,
    interpolation: int,
    border: int,
    fill: int,
) -> npt.NDArray[np.uint8]:
    warped = cv2.warpAffine(
        picture,
        matrix,
        (side, side),
        flags=interpolation | cv2.WARP_INVERSE_MAP,
        borderMode=border,
        borderValue=fill,
    )
    return np.asarray(warped, np.uint8)


def jitter_color(
    frame_HWC: npt.NDArray[np.uint8], params: AugmentParams, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Change brightness, contrast and the colour balance, as lamps and cameras differ.

    A per-channel table of 256 entries makes it one look-up a pixel.
    """
    uniforms: npt.NDArray[Any] = 2 * rng.random(5) - 1
    if not (params.brightness or params.contrast or params.hue):
        return frame_HWC
    gain = 1 + params.brightness * uniforms[0]
    contrast = 1 + params.contrast * uniforms[1]
    balance = 1 + params.hue * uniforms[2:5]
    levels = np.arange(256)[:, None]
    mean = float(frame_HWC.mean())
    table = ((levels - mean) * contrast + mean) * gain * balance
    lut = np.clip(np.rint(table), 0, 255).astype(np.uint8)[:, None, :]
    return np.asarray(cv2.LUT(frame_HWC, lut.reshape(1, 256, 3)), np.uint8)
