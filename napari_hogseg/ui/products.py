"""What is computed for one frame: its HOG picture, its prediction's errors and its scores. No Qt.

They run in worker threads on arrays that nobody else writes.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.features.drawing import (
    energy_picture,
    hog_picture,
    orientation_picture,
    to_uint8,
    white_point,
)
from napari_hogseg.features.live import cell_histogram
from napari_hogseg.metrics.confusion import confusion_matrix, iou_scores
from napari_hogseg.metrics.error_map import boundary_errors
from napari_hogseg.metrics.protocols import DEFAULT
from napari_hogseg.metrics.scoring import score_frame
from napari_hogseg.metrics.surfaces import boundary_scores
from napari_hogseg.ui.looks import draw_contours

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_hogseg.inference.pixel_probabilities import PixelProbabilities
    from napari_hogseg.inference.predictor import Predictor
    from napari_hogseg.io.video import FrameSource
    from napari_hogseg.session.annotations import AnnotationStore

#: Frames ahead whose masks are read into memory while a frame is computed: slicing must find them there.
PREFETCH_MASKS = 3


HogView = Literal["glyphs", "orientation", "energy"]
HOG_VIEWS: tuple[HogView, ...] = ("glyphs", "orientation", "energy")


@dataclass(frozen=True)
class HogSettings:
    """The HOG map on screen, taken at the frame's own size, whatever the network's target resizes to.

    Attributes
    ----------
    orientations, cell_px : int
    view : {"glyphs", "orientation", "energy"}
        Lines along the edges, the dominant orientation as hue, or the strongest bin as brightness.
    """

    orientations: int = 6
    cell_px: int = 16
    view: HogView = "glyphs"


@dataclass(frozen=True)
class FrameView:
    """A decoded frame and its HOG map.

    Attributes
    ----------
    frame_index : int
    frame : (H, W, 3) uint8 ndarray
    hog_map : (H, W) or (H, W, 3) uint8 ndarray or None
        Picture of the cell histograms, 255 the strongest stroke; zero beyond the last whole cell. In colour
        for the orientations.
    outlined : (H, W, 3) uint8 ndarray or None
        The frame with the outlines of its ground truth, where outlines are wanted.
    """

    frame_index: int
    frame: npt.NDArray[np.uint8]
    hog_map: npt.NDArray[np.uint8] | None
    outlined: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Scores:
    """Agreement of prediction and ground truth on one frame; tuples over the classes, NaN where absent.

    `by_protocol` holds what the frame scores by the data set's protocol, by the names of its numbers.
    """

    iou: tuple[float, ...]
    boundary_iou: tuple[float, ...]
    surface_dice: tuple[float, ...]
    mean_iou: float
    tolerance_px: int
    protocol: str
    by_protocol: dict[str, float]


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
        self._hog: HogSettings | None = None
        self._white: float | None = None

    def render(
        self, frame_index: int, hog: HogSettings | None, outlines: npt.NDArray[np.float32] | None = None
    ) -> FrameView:
        """Decode one frame and draw its HOG map.

        Parameters
        ----------
        frame_index : int
        hog : HogSettings or None
            None: no map is wanted.
        outlines : (256, 4) float32 ndarray, optional
            Colours by class id, to draw the outlines of the ground truth with.
        """
        frame_HWC = self._source.frame(frame_index)
        picture = None if hog is None else self._draw(frame_HWC, hog)
        for ahead in range(frame_index, frame_index + PREFETCH_MASKS + 1):
            self._store.prefetch(ahead)
        outlined = (
            None if outlines is None else draw_contours(frame_HWC, self._store.mask(frame_index), outlines)
        )
        return FrameView(frame_index, frame_HWC, picture, outlined)

    def predict(
        self, frame_index: int, predictor: Predictor
    ) -> tuple[str, int, npt.NDArray[np.uint8], PixelProbabilities]:
        """Predict a frame nobody looks at yet; returns the model's digest, the frame and the result."""
        predicted = predictor.predict_with_probabilities(self._source.frame(frame_index))
        return predictor.digest, frame_index, *predicted

    def _draw(self, frame_HWC: npt.NDArray[np.uint8], hog: HogSettings) -> npt.NDArray[np.uint8]:
        if hog != self._hog:  # the white of other cells is no measure for these
            self._hog, self._white = hog, None
        picture, self._white = draw_hog(frame_HWC, hog, self._white)
        return picture


def draw_hog(
    frame_HWC: npt.NDArray[np.uint8], hog: HogSettings, white: float | None
) -> tuple[npt.NDArray[np.uint8], float]:
    """Draw a frame's HOG map at the frame's size.

    Returns
    -------
    (H, W) or (H, W, 3) uint8 ndarray, float
        The picture, in colour for the orientations, and the white to give for the next frame of the video.
    """
    histogram = cell_histogram(frame_HWC, hog.orientations, hog.cell_px)
    white = white_point(histogram, white)
    if hog.view == "orientation":
        picture = orientation_picture(histogram, hog.cell_px, white)
    else:
        draw = hog_picture if hog.view == "glyphs" else energy_picture
        picture = to_uint8(draw(histogram, hog.cell_px), white)
    if picture.shape[:2] == frame_HWC.shape[:2]:
        return picture, white
    canvas = np.zeros((*frame_HWC.shape[:2], *picture.shape[2:]), np.uint8)
    canvas[: picture.shape[0], : picture.shape[1]] = picture
    return canvas, white


def warm_up() -> None:
    """Pay first-time costs before a clip is opened; meant for a thread.

    The kernels of HOG and metrics are compiled (seconds, once on a machine), and napari imports pandas with
    its first Labels layer and scipy.ndimage (0.4 s) with its first Image. Layers themselves must not be made
    here: pint's lazy unit registry fails when two threads fill it.
    """
    for module in ("scipy.ndimage", "pandas"):
        importlib.import_module(module)
    draw_hog(np.zeros((32, 32, 3), np.uint8), HogSettings(), None)
    masks = np.eye(32, dtype=np.uint8)
    compare(0, masks, masks[::-1].copy(), 2, 3)


def compare(
    frame_index: int,
    prediction: npt.NDArray[np.uint8],
    truth: npt.NDArray[np.uint8],
    num_classes: int,
    tolerance_px: int,
    protocol: str = DEFAULT,
) -> Comparison:
    """Compare a prediction with a frame's ground truth, both (H, W) uint8 class ids."""
    matrix = confusion_matrix(prediction, truth, num_classes, ignore=IGNORE, unanswered="count")
    iou = iou_scores(matrix)
    boundaries = boundary_scores(
        prediction,
        truth,
        num_classes,
        tolerance_px=tolerance_px,
        band_px=tolerance_px,
        ignore=IGNORE,
        parts=("nsd", "boundary_iou"),
    )
    scores = Scores(
        iou=tuple(iou.per_class.tolist()),
        boundary_iou=tuple(boundaries.boundary_iou.tolist()),
        surface_dice=tuple(boundaries.nsd.tolist()),
        mean_iou=float(iou.mean),
        tolerance_px=tolerance_px,
        protocol=protocol,
        by_protocol=score_frame(prediction, truth, num_classes, protocol),
    )
    return Comparison(frame_index, boundary_errors(prediction, truth, tolerance_px, ignore=IGNORE), scores)


#: What two models make of a pixel: nothing to say, the first mends it, the first breaks it, both differ.
MENDS, BREAKS, DIFFER = 1, 2, 3


def difference_map(
    ours: npt.NDArray[np.uint8], theirs: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8] | None
) -> npt.NDArray[np.uint8]:
    """Mark where two models disagree.

    Parameters
    ----------
    ours, theirs : (H, W) uint8 ndarray
        Class ids of the model in use and of the one before it.
    truth : (H, W) uint8 ndarray, optional

    Returns
    -------
    (H, W) uint8 ndarray
        0 where they agree, else `MENDS` (ours is right), `BREAKS` (theirs was), or `DIFFER`: neither is, or
        nothing is known here.
    """
    differs = ours != theirs
    marks = np.where(differs, np.uint8(DIFFER), np.uint8(0))
    if truth is not None:
        marks[differs & (ours == truth)] = MENDS
        marks[differs & (theirs == truth)] = BREAKS
    return marks
