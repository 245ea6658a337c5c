"""Where the boundaries of all classes of a label image run: edge pixels, contour corners, inner bands.

Owns the readings of "boundary", each for all classes at once, so that their number hardly matters. What lies
beyond the frame comes in as a border round the label image, which thus decides whether the frame edge is a
boundary. Distances between boundaries are `distances`', scores `surfaces`'.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from napari_hogseg.metrics.label_scans import edge_positions, mixed_positions, sort_corners

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hogseg.metrics.distances import Points
    from napari_hogseg.metrics.label_scans import Labels

FrameEdge = Literal["counted", "ignored"]

#: Label of what belongs to no class: void, and with "counted" what is beyond the frame. No class id is 255.
NO_LABEL = 255

#: Contour length in a 2x2 neighbourhood by the sum of its pixels inside: top left 1, top right 2, bottom left
#: 4, bottom right 8. One or three pixels cut a corner, two side by side are a straight piece, two on a
#: diagonal are two cut corners.
_CUT, _STRAIGHT = np.sqrt(0.5), 1.0
_CONTOUR_LENGTHS = np.zeros(16)
_CONTOUR_LENGTHS[[1, 2, 4, 8, 14, 13, 11, 7]] = _CUT
_CONTOUR_LENGTHS[[3, 5, 10, 12]] = _STRAIGHT
_CONTOUR_LENGTHS[[6, 9]] = 2 * _CUT


@dataclass(frozen=True)
class ClassPoints:
    """Boundary points of every class.

    Attributes
    ----------
    rows, cols : (N,) int64 array
        Sorted by class, then row, then column.
    lengths : (N,) float64 array
        How much boundary each point stands for.
    starts : (C + 1,) int64 array
        Class `c` has the points from ``starts[c]`` to before ``starts[c + 1]``.
    """

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    lengths: NDArray[np.float64]
    starts: NDArray[np.int64]

    def points(self, class_id: int) -> Points:
        """Rows and columns of one class."""
        return self.rows[self._of(class_id)], self.cols[self._of(class_id)]

    def lengths_of(self, class_id: int) -> NDArray[np.float64]:
        """Lengths of one class."""
        return self.lengths[self._of(class_id)]

    def _of(self, class_id: int) -> slice:
        return slice(int(self.starts[class_id]), int(self.starts[class_id + 1]))


def with_border(labels: Labels, frame_edge: FrameEdge) -> Labels:
    """Add a border (H + 2, W + 2): other than every class with "counted", more of the same with "ignored"."""
    kind = cv2.BORDER_CONSTANT if frame_edge == "counted" else cv2.BORDER_REPLICATE
    return np.asarray(cv2.copyMakeBorder(labels, 1, 1, 1, 1, kind, value=[NO_LABEL]), np.uint8)


def edge_pixels(bordered: Labels, num_classes: int) -> ClassPoints:
    """Pixels of each class with a 4-neighbour outside of it; each stands for a length of 1.

    Parameters
    ----------
    bordered : (H + 2, W + 2) uint8 array
        Of `with_border`.
    num_classes : int
        Labels from here on have no boundary of their own, but end the classes'.
    """
    rows, cols = np.divmod(edge_positions(bordered), bordered.shape[1] - 2)
    labels = bordered[rows + 1, cols + 1]
    # Stable, and positions ascend: within a class they stay in the order of rows and columns.
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(num_classes + 1))
    return ClassPoints(rows[order], cols[order], np.ones(order.size), starts)


def contour_corners(bordered: Labels, num_classes: int) -> ClassPoints:
    """Corners between pixels, in whose 2x2 neighbourhood each class's contour runs, with its length there.

    Parameters
    ----------
    bordered, num_classes
        As in `edge_pixels`. Row and column 0 are the frame's upper left corner.
    """
    corners = mixed_positions(bordered)
    positions, pixels, starts = sort_corners(bordered, corners, num_classes)
    rows, cols = np.divmod(positions, bordered.shape[1] - 1)
    return ClassPoints(rows, cols, _CONTOUR_LENGTHS[pixels], starts)


def half_pixel_contours(bordered: Labels, num_classes: int) -> ClassPoints:
    """Pixels of each class's contour in the DAVIS benchmark, shifted by one row and column.

    That is every pixel that differs from its right, lower or lower right neighbour: the upper left pixel of a
    mixed 2x2 neighbourhood. Give it a border that repeats the frame's edge, as published; then the last row
    and column look at their one neighbour inside only, and a contour along the frame does not exist.
    """
    corners = contour_corners(bordered[1:, 1:], num_classes)
    return replace(corners, lengths=np.ones(corners.lengths.size))


def inner_bands(labels: Labels, band_px: int, frame_edge: FrameEdge) -> Labels:
    """Pixels within a chessboard distance of a pixel of another label: the inner bands of all classes.

    Parameters
    ----------
    labels : (H, W) uint8 array
        Without border.
    band_px : int
        Width of the band, at least 1.
    frame_edge : {"counted", "ignored"}
        Whether what is beyond the frame is another label.

    Returns
    -------
    (H, W) uint8 array
        Not 0 in the bands.
    """
    # A window that holds one label only has no difference between its largest and its smallest. At the frame
    # the window is cut off: that ignores the edge.
    window = np.ones((2 * band_px + 1,) * 2, np.uint8)
    bands = np.asarray(cv2.morphologyEx(labels, cv2.MORPH_GRADIENT, window), np.uint8)
    if frame_edge == "counted":
        bands[:band_px] = bands[-band_px:] = 1
        bands[:, :band_px] = bands[:, -band_px:] = 1
    return bands
