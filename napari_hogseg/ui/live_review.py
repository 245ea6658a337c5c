"""Live computing for the frame on screen: who computes what after which event, and what is shown of it.

    step -> frame + HOG -> prediction + comparison
                 painting (debounced) -> comparison

Each of the three is a latest-only channel with a thread of its own, so a slow model never holds up frame and
HOG. While the slider moves, a panel keeps showing its last whole pair: a prediction is only ever drawn on the
frame it was made for. Pixels are computed in `products` and written in `review_layers`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_hogseg.metrics.protocols import DEFAULT
from napari_hogseg.ui.labels import to_display
from napari_hogseg.ui.live import LiveChannel, on_gui_thread
from napari_hogseg.ui.products import Comparison, FrameRenderer, FrameView, HogSettings, Scores, compare
from napari_hogseg.ui.review_layers import ERRORS, HOG, PREDICTION, TRUTH, ReviewLayers

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from napari_hogseg.inference.predictor import Predictor
    from napari_hogseg.io.errors import InputError
    from napari_hogseg.session.annotations import AnnotationStore

#: Predictions kept; 64 masks of 1080p are 130 MB.
CACHE_PREDICTIONS = 64
PAINT_DEBOUNCE_MS = 150
TOLERANCE_PX = 3


@dataclass(frozen=True)
class LiveState:
    """What the dock says about the frame on screen.

    Attributes
    ----------
    frame_index : int
        Of the slider.
    shown, predicted : int or None
        Frames that the frame panels and the prediction panel show.
    frame_error, prediction_error : InputError or None
    mask_note : str
        Why there is nothing to compare with; empty where there is.
    scores : Scores or None
        Of `frame_index`.
    """

    frame_index: int = 0
    shown: int | None = None
    predicted: int | None = None
    frame_error: InputError | None = None
    prediction_error: InputError | None = None
    mask_note: str = ""
    scores: Scores | None = None


@dataclass(frozen=True, eq=False)
class PredictedFrame:
    """A prediction with the frame it was made for and the digest of the model that made it."""

    view: FrameView
    digest: str
    class_ids: npt.NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Assessment:
    """A prediction and how it compares; `note` says why there is no comparison."""

    predicted: PredictedFrame
    comparison: Comparison | None
    note: str


class LiveReview(QObject):
    """Computes for one clip, until `close`.

    Parameters
    ----------
    renderer : FrameRenderer
    store : AnnotationStore
    layers : ReviewLayers
    parent : QObject, optional
    protocol : str
        By which a frame is scored.

    Attributes
    ----------
    state_changed : Signal(object)
        A new LiveState.
    """

    state_changed = Signal(object)

    def __init__(
        self,
        renderer: FrameRenderer,
        store: AnnotationStore,
        layers: ReviewLayers,
        parent: QObject | None = None,
        protocol: str = DEFAULT,
    ) -> None:
        super().__init__(parent)
        self._protocol = protocol
        self._renderer, self._store, self._layers = renderer, store, layers
        self.state = LiveState()
        self._hog: HogSettings | None = HogSettings()
        self._predictor: Predictor | None = None
        self._cache: OrderedDict[tuple[str, int], npt.NDArray[np.uint8]] = OrderedDict()
        self._view: FrameView | None = None
        self._predicted: PredictedFrame | None = None
        self._frames = LiveChannel("frames", self)
        self._predictions = LiveChannel("prediction", self)
        self._comparisons = LiveChannel("comparison", self)
        self._frames.ready.connect(self._on_frame)
        self._frames.failed.connect(self._on_frame_failed)
        self._predictions.ready.connect(self._on_assessment)
        self._predictions.failed.connect(self._on_prediction_failed)
        self._comparisons.ready.connect(self._on_assessment)
        self._comparisons.failed.connect(self._on_comparison_failed)
        self._repaint = QTimer(self, singleShot=True, interval=PAINT_DEBOUNCE_MS)
        self._repaint.timeout.connect(self._on_painting_settled)

    @property
    def computing(self) -> bool:
        """Whether anything is on its way for the newest request."""
        return self._frames.busy or self._predictions.busy or self._comparisons.busy

    # --- what changes -----------------------------------------------------------------------------

    def show_frame(self, frame_index: int) -> None:
        """Compute for this frame from now on."""
        self._set_state(frame_index=frame_index, scores=None, mask_note="")
        self._frames.request(frame_index, partial(self._renderer.render, frame_index, self._hog))

    def set_hog(self, hog: HogSettings | None) -> None:
        """Draw other HOG maps, or none."""
        if hog != self._hog:
            self._hog = hog
            self._frames.invalidate()
            self.show_frame(self.state.frame_index)

    def set_predictor(self, predictor: Predictor | None) -> None:
        """Predict with another model; what the one before still computes is dropped."""
        self._predictor = predictor
        self._predictions.invalidate()
        self._comparisons.invalidate()
        self._predicted = None
        self._set_state(predicted=None, prediction_error=None, scores=None)
        if self._view is not None:
            # The old model's pixels go at once: they must not be taken for the new one's.
            self._layers.show(PREDICTION, self._view.frame, None)
            self._layers.show(ERRORS, self._view.frame, None)
            self._predict(self._view)

    def forget_predictions(self) -> None:
        """Predict every frame anew from now on."""
        self._cache.clear()

    def painted(self, frame_index: int) -> None:
        """Compare again soon: somebody paints."""
        if frame_index == self.state.frame_index:
            self._repaint.start()

    def close(self) -> None:
        """End the threads."""
        self._repaint.stop()
        for channel in (self._frames, self._predictions, self._comparisons):
            channel.close()

    # --- results ----------------------------------------------------------------------------------

    @on_gui_thread
    def _on_frame(self, view: FrameView) -> None:
        self._view = view
        self._layers.show(TRUTH, view.frame, None)
        self._layers.show(HOG, view.frame, view.hog_map)
        self._set_state(shown=view.frame_index, frame_error=None)
        self._predict(view)

    def _on_frame_failed(self, frame_index: object, error: InputError) -> None:
        if frame_index != self.state.frame_index:
            return
        # An old picture under the new frame's number would be a lie: show black.
        self._view = self._predicted = None
        for key in (TRUTH, HOG, PREDICTION, ERRORS):
            self._layers.blank(key)
        self._set_state(shown=None, predicted=None, frame_error=error)

    def _predict(self, view: FrameView) -> None:
        predictor = self._predictor
        if predictor is None:
            self._layers.show(PREDICTION, view.frame, None)
            self._layers.show(ERRORS, view.frame, None)
            self._set_state()
            return
        cached = self._cache.get((predictor.digest, view.frame_index))
        # The comparison belongs to this job: it is quick, and both panels are drawn together.
        self._predictions.request(
            view.frame_index, partial(_assess, predictor, self._store, view, cached, self._protocol)
        )
        self._set_state()

    @on_gui_thread
    def _on_assessment(self, assessment: Assessment) -> None:
        predicted, comparison = assessment.predicted, assessment.comparison
        self._predicted = predicted
        self._remember(predicted)
        self._layers.show(PREDICTION, predicted.view.frame, to_display(predicted.class_ids))
        error_map = None if comparison is None else comparison.error_map
        self._layers.show(ERRORS, predicted.view.frame, error_map)
        current = predicted.view.frame_index == self.state.frame_index
        self._set_state(
            predicted=predicted.view.frame_index,
            prediction_error=None,
            scores=comparison.scores if current and comparison is not None else None,
            mask_note=assessment.note,
        )

    def _remember(self, predicted: PredictedFrame) -> None:
        key = (predicted.digest, predicted.view.frame_index)
        self._cache[key] = predicted.class_ids
        self._cache.move_to_end(key)
        while len(self._cache) > CACHE_PREDICTIONS:
            self._cache.popitem(last=False)

    def _on_prediction_failed(self, _frame_index: object, error: InputError) -> None:
        self._predicted = None
        if self._view is not None:
            self._layers.show(PREDICTION, self._view.frame, None)
            self._layers.show(ERRORS, self._view.frame, None)
        self._set_state(predicted=None, prediction_error=error, scores=None)

    def _on_painting_settled(self) -> None:
        predicted, predictor = self._predicted, self._predictor
        if predicted is not None and predictor is not None:
            view, class_ids = predicted.view, predicted.class_ids
            self._comparisons.request(
                view.frame_index, partial(_assess, predictor, self._store, view, class_ids, self._protocol)
            )

    def _on_comparison_failed(self, _frame_index: object, error: InputError) -> None:
        self._set_state(scores=None, mask_note=str(error))

    def _set_state(self, **changes: object) -> None:
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
        self.state_changed.emit(self.state)


def _assess(
    predictor: Predictor,
    store: AnnotationStore,
    view: FrameView,
    known: npt.NDArray[np.uint8] | None,
    protocol: str,
) -> Assessment:
    """Predict a frame (unless its prediction is known) and compare it; runs in a worker."""
    class_ids = predictor.predict(view.frame) if known is None else known
    predicted = PredictedFrame(view, predictor.digest, class_ids)
    note = _why_not_compare(predictor, store, view.frame_index)
    if note:
        return Assessment(predicted, None, note)
    truth = store.mask(view.frame_index)
    num_classes = store.scheme.num_classes
    comparison = compare(view.frame_index, class_ids, truth, num_classes, TOLERANCE_PX, protocol)
    return Assessment(predicted, comparison, "")


def _why_not_compare(predictor: Predictor, store: AnnotationStore, frame_index: int) -> str:
    problem = store.problem(frame_index)
    if problem is not None:
        return f"This frame's mask cannot be used. {problem}"
    if not store.has_mask(frame_index):
        return "No ground truth on this frame: paint some, or choose a masks folder."
    if predictor.scheme.classes != store.scheme.classes:
        ours, theirs = store.scheme.name, predictor.scheme.name
        return f"The model's classes ({theirs}) are not those of the masks ({ours}): nothing to compare."
    return ""
