"""How far a mask carried by optical flow is to be trusted: measured on the pictures, as a mean IoU to expect.

Owns the measures of one step of a chain, the test for a cut, and the calibration. The flow itself is
`propagation`'s part. No Qt, no torch.

Flow fields are (H, W, 2) float32 (x, y) displacements in pixels, as OpenCV has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from napari_hogseg.data.scheme import IGNORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.uint8]
    Flow = npt.NDArray[np.float32]
    Region = npt.NDArray[np.bool_]

#: A pixel is consistent where going there and back ends this close to where it began.
CONSISTENT_PX = 2.0
#: Grey values are compared smoothed, and up to gain and offset, within windows of about this size.
GRAY_SIGMA_PX, WINDOW_SIGMA_PX = 2.0, 12.0
#: Windows correlate from here on; and grey values that vary less (variance) say nothing.
ALIKE, FLAT_VARIANCE = 0.5, 4.0
#: Trust is measured where it matters: this near to a border between classes.
BORDER_PX = 6
#: A frame with less contrast than this (standard deviation of its grey values) shows nothing to go by.
BLANK_STD = 3.0
#: Below it two frames do not show the same scene. Inverted, black and noise frames reach 0.35 at most; where
#: neighbours of the vocal-fold sequences lie below, carried masks had a mean IoU of 0.25.
CUT_LIKENESS = 0.4
#: Mean IoU as a plane over likeness, correlation and the root of the rim's share: least squares on sequences
#: 6 and 7 of the vocal-fold data, masks behind cuts included, without which the slopes are anybody's guess.
#: `python -m benchmarks.propagation` fits it anew and judges it on sequence 5.
PLANE = (-0.06, 0.58, 0.26, 0.23)
#: The same of a mask between two corrected frames: over its surer end and how well both ends agree.
FILL_PLANE = (0.11, 0.47, 0.40)


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a chain, from a frame to the next.

    Attributes
    ----------
    back : (H, W, 2) float32 ndarray
        For each pixel of the new frame, where in the old one it came from.
    trusted : (H, W) bool ndarray
        Consistent both ways, and alike in both frames.
    likeness : float
        Mean over windows of the correlation of grey values, -1 to 1: new frame and old one brought there.
    correlation : float
        The same over the whole frame.
    """

    back: Flow
    trusted: Region
    likeness: float
    correlation: float

    @property
    def is_cut(self) -> bool:
        """Whether the two frames do not show the same scene."""
        return self.likeness < CUT_LIKENESS


def measure_step(before: Frame, after: Frame, back: Flow, gap: Flow) -> Step:
    """Measure a flow on its pictures.

    Parameters
    ----------
    before, after : (H, W, 3) uint8 ndarray
    back : (H, W, 2) float32 ndarray
        Flow of `after` to `before`.
    gap : (H, W, 2) float32 ndarray
        Where going back and forth again ends, less where it began.
    """
    consistent = (np.hypot(gap[..., 0], gap[..., 1]) <= CONSISTENT_PX) & inside(back)
    here, there = smooth_gray(after), remap(smooth_gray(before), back)
    if min(here.std(), there.std()) < BLANK_STD:
        return Step(back, np.zeros(consistent.shape, bool), 0.0, 0.0)
    correlation = float(np.corrcoef(here.ravel(), there.ravel())[0, 1])
    alike, telling = _local_correlation(here, there)
    likeness = float(alike[telling].mean()) if telling.any() else 0.0
    return Step(back, consistent & (alike >= ALIKE), likeness, correlation)


def chain_terms(steps: Sequence[Step], rim: float) -> tuple[float, ...]:
    """Give what the expected IoU of a carried mask is a plane over; see `expected_iou`."""
    likeness, correlation = min(step.likeness for step in steps), min(step.correlation for step in steps)
    return (1.0, likeness, max(correlation, 0.0), rim**0.5)


def expected_iou(steps: Sequence[Step], rim: float) -> float:
    """Say what mean IoU a mask may be expected to have at the end of a chain.

    Parameters
    ----------
    steps : sequence of Step
        Of the chain; its weakest one counts.
    rim : float
        `rim_share` of the carried mask, of what was trusted all along; 0 where nothing is labelled.

    Returns
    -------
    float
        0 to 1; 0 behind a cut.
    """
    if any(step.is_cut for step in steps) or rim <= 0:
        return 0.0
    return float(np.clip(np.dot(PLANE, chain_terms(steps, rim)), 0.0, 1.0))


def fill_terms(sure_one: float, sure_other: float, agreement: float) -> tuple[float, ...]:
    """Give what the expected IoU of a fill is a plane over; see `expected_fill_iou`."""
    return (1.0, max(sure_one, sure_other), agreement)


def expected_fill_iou(sure_one: float, sure_other: float, agreement: float) -> float:
    """Say what mean IoU a mask between two corrected frames may be expected to have.

    Parameters
    ----------
    sure_one, sure_other : float
        `expected_iou` of the masks that came from both ends.
    agreement : float
        Mean IoU of these two with each other.

    Returns
    -------
    float
        0 to 1; 0 where neither end reaches it.
    """
    if max(sure_one, sure_other) <= 0:
        return 0.0
    return float(np.clip(np.dot(FILL_PLANE, fill_terms(sure_one, sure_other, agreement)), 0.0, 1.0))


def rim_share(mask: Mask, trusted: Region) -> float:
    """Give the share of trusted pixels near a mask's borders, 0 to 1.

    Classes count alike, so that a thin tool is not outvoted by the tissue round it. Without a border between
    classes, all labelled pixels count; without a labelled pixel it is 0.
    """
    labelled = mask != IGNORE
    near = (_border_distance(mask) <= BORDER_PX) & labelled
    counted = near if near.any() else labelled
    shares = [float(trusted[counted & (mask == class_id)].mean()) for class_id in np.unique(mask[counted])]
    return float(np.mean(shares)) if shares else 0.0


def smooth_gray(frame_HWC: Frame) -> npt.NDArray[np.float32]:
    """Turn a frame grey and smooth it: (H, W) float32, 0 to 255."""
    gray = cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(gray, (0, 0), GRAY_SIGMA_PX), np.float32)


def sources(flow: Flow) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Columns and rows that each pixel's flow points at."""
    rows, cols = np.indices(flow.shape[:2], np.float32)
    return cols + flow[..., 0], rows + flow[..., 1]


def remap(
    values: npt.NDArray[np.float32], flow: Flow, how: int = cv2.INTER_LINEAR
) -> npt.NDArray[np.float32]:
    """Sample (H, W) or (H, W, C) values where a flow points; beyond the edge the edge's."""
    return np.asarray(cv2.remap(values, *sources(flow), how, borderMode=cv2.BORDER_REPLICATE))


def inside(flow: Flow) -> Region:
    """Tell where a flow points into the frame."""
    columns, rows = sources(flow)
    height, width = flow.shape[:2]
    reached = (columns >= -0.5) & (columns <= width - 0.5) & (rows >= -0.5) & (rows <= height - 0.5)
    return np.asarray(reached, np.bool_)


def _local_correlation(
    here: npt.NDArray[np.float32], there: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], Region]:
    """Correlate grey values in a window round each pixel, and tell which windows show anything.

    It is blind to a change of light, not to another scene.
    """

    def mean(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), WINDOW_SIGMA_PX))

    mean_here, mean_there = mean(here), mean(there)
    varies_here, varies_there = (
        mean(each * each) - middle**2 for each, middle in ((here, mean_here), (there, mean_there))
    )
    spread = np.sqrt(np.maximum(varies_here, FLAT_VARIANCE) * np.maximum(varies_there, FLAT_VARIANCE))
    telling = np.maximum(varies_here, varies_there) > FLAT_VARIANCE
    return np.asarray((mean(here * there) - mean_here * mean_there) / spread), telling


def _border_distance(mask: Mask) -> npt.NDArray[np.floating]:
    """Distance in pixels to the nearest border between two classes; unlabelled strips are a border too."""
    kernel = np.ones((3, 3), np.uint8)
    border = cv2.dilate(mask, kernel) != cv2.erode(mask, kernel)
    if not border.any():
        return np.full(mask.shape, np.inf)
    return np.asarray(cv2.distanceTransform((~border).astype(np.uint8), cv2.DIST_L2, 3))
