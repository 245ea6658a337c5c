"""What is computed for one frame: its HOG picture, its prediction's errors and its scores. Pure functions, no Qt.

They run in worker threads on arrays that nobody else writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.features.drawing import hog_picture, to_uint8, white_point
from napari_hogseg.features.live import cell_histogram
from napari_hogseg.metrics.boundary import boundary_iou, surface_dice
from napari_hogseg.metrics.confusion import confusion_matrix, iou_scores
from napari_hogseg.metrics.error_map import boundary_errors

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_hogseg.io.video import FrameSource
    from napari_hogseg.session.annotations import AnnotationStore

#: Frames ahead whose masks are read into memory while a frame is computed: slicing must find them there.
PREFETCH_MASKS = 3


@dataclass(frozen=True)
class HogSettings:
    """The HOG map on screen; it is taken at the frame's own size, whatever the network's target resizes to."""

    orientations: int = 6
    cell_px: int = 16


@dataclass(frozen=True)
class FrameView:
    """A decoded frame and its HOG map.

    Attributes
    ----------
    frame_index : int
    frame_HWC : (H, W, 3) uint8 ndarray
    hog_HW : (H, W) uint8 ndarray or None
        Picture of the cell histograms, 255 the strongest stroke; zero beyond the last whole cell.
    """

    frame_index: int
    frame_HWC: npt.NDArray[np.uint8]
    hog_HW: npt.NDArray[np.uint8] | None


@dataclass(frozen=True)
class Scores:
    """Agreement of prediction and ground truth on one frame; tuples run over the classes, NaN where absent."""

    iou: tuple[float, ...]
    boundary_iou: tuple[float, ...]
    surface_dice: tuple[float, ...]
    mean_iou: float
    tolerance_px: int


@dataclass(frozen=True)
class Comparison:
    """Error map, (H, W) uint8, and scores of one frame."""

    frame_index: int
    error_map: npt.NDArray[np.uint8]
    scores: Scores


class FrameRenderer:
    """Decodes frames of one clip and draws their HOG maps; for one worker thread.

    Holds the white of the last HOG map, so that a video does not flicker.

    Parameters
    ----------
    source : FrameSource
    store : AnnotationStore
        Its masks are read ahead here, so that slicing on the GUI thread finds them in memory.
    """

    def __init__(self, source: FrameSource, store: AnnotationStore) -> None:
        self._source, self._store = source, store
        self._white: float | None = None

    def render(self, frame_index: int, hog: HogSettings | None) -> FrameView:
        """Decode one frame and draw its HOG map (`hog` None: no map is wanted)."""
        frame_HWC = self._source.frame(frame_index)
        picture = None if hog is None else self._draw(frame_HWC, hog)
        for ahead in range(frame_index, frame_index + PREFETCH_MASKS + 1):
            self._store.prefetch(ahead)
        return FrameView(frame_index, frame_HWC, picture)

    def _draw(self, frame_HWC: npt.NDArray[np.uint8], hog: HogSettings) -> npt.NDArray[np.uint8]:
        histogram = cell_histogram(frame_HWC, hog.orientations, hog.cell_px)
        self._white = white_point(histogram, self._white)
        picture = to_uint8(hog_picture(histogram, hog.cell_px), self._white)
        if picture.shape == frame_HWC.shape[:2]:
            return picture
        canvas = np.zeros(frame_HWC.shape[:2], np.uint8)
        canvas[: picture.shape[0], : picture.shape[1]] = picture
        return canvas


def compare(
    frame_index: int,
    prediction: npt.NDArray[np.uint8],
    truth: npt.NDArray[np.uint8],
    num_classes: int,
    tolerance_px: int,
) -> Comparison:
    """Compare a prediction with a frame's ground truth, both (H, W) uint8 class ids."""
    matrix = confusion_matrix(prediction, truth, num_classes, ignore=IGNORE)
    iou = iou_scores(matrix)
    # A class that neither mask holds is absent from every score; do not pay its distance transforms.
    present = [bool(matrix[class_id].sum() + matrix[:, class_id].sum()) for class_id in range(num_classes)]
    scores = Scores(
        iou=tuple(float(value) for value in iou.per_class),
        boundary_iou=tuple(
            boundary_iou(prediction, truth, class_id, tolerance_px) if present[class_id] else float("nan")
            for class_id in range(num_classes)
        ),
        surface_dice=tuple(
            surface_dice(prediction, truth, class_id, tolerance_px) if present[class_id] else float("nan")
            for class_id in range(num_classes)
        ),
        mean_iou=float(iou.mean),
        tolerance_px=tolerance_px,
    )
    return Comparison(frame_index, boundary_errors(prediction, truth, tolerance_px, ignore=IGNORE), scores)
