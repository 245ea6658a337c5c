"""Live computing for the frame on screen: who computes what after which event, and what is shown of it.

    step -> frame + HOG -> prediction + comparison -> residual + difference (where their panels are seen)
                 painting (debounced) -> comparison
                              idle -> predictions of the frames ahead

Each of these is a latest-only channel with a thread of its own, so a slow model never holds up frame and
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
from napari_hogseg.ui.extra_products import Extras, ExtrasRequest, make_extras
from napari_hogseg.ui.labels import to_display
from napari_hogseg.ui.live import LiveChannel, on_gui_thread
from napari_hogseg.ui.looks import draw_contours
from napari_hogseg.ui.probability_cache import ProbabilityCache
from napari_hogseg.ui.products import Comparison, FrameRenderer, FrameView, HogSettings, Scores, compare
from napari_hogseg.ui.review_layers import (
    DIFFERENCE,
    ERRORS,
    ORDER,
    PREDICTION,
    RESIDUAL,
    TRUTH,
    ReviewLayers,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from napari_hogseg.inference.pixel_probabilities import PixelProbabilities
    from napari_hogseg.inference.predictor import Predictor
    from napari_hogseg.io.errors import InputError
    from napari_hogseg.session.annotations import AnnotationStore

#: Predictions kept; 64 masks of 1080p are 130 MB.
CACHE_PREDICTIONS = 64
PAINT_DEBOUNCE_MS = 150
TOLERANCE_PX = 3
#: Once nothing was asked for so long, the frames ahead are predicted, one at a time.
IDLE_MS = 300
PREFETCH_PREDICTIONS = 8


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
    extras : Extras or None
        HOG residual and difference of two models, of `frame_index`.
    stale : bool
        Whether somebody has painted since `scores` and the error panel were computed.
    """

    frame_index: int = 0
    shown: int | None = None
    predicted: int | None = None
    frame_error: InputError | None = None
    prediction_error: InputError | None = None
    mask_note: str = ""
    scores: Scores | None = None
    extras: Extras | None = None
    stale: bool = False


@dataclass(frozen=True, eq=False)
class PredictedFrame:
    """A prediction with the frame it was made for and the digest of the model that made it.

    `picture` is the frame, with the prediction's outlines where outlines are wanted; `probabilities` are
    None where the classes were known beforehand.
    """

    view: FrameView
    digest: str
    class_ids: npt.NDArray[np.uint8] = field(repr=False)
    picture: npt.NDArray[np.uint8] = field(repr=False)
    probabilities: PixelProbabilities | None = None


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
        self._previous: Predictor | None = None
        self._direction = 1
        self._stage: int | None = None
        self._cache: OrderedDict[tuple[str, int], npt.NDArray[np.uint8]] = OrderedDict()
        self._probabilities = ProbabilityCache()
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
        self._extras = LiveChannel("residual", self)
        self._extras.ready.connect(self._on_extras)
        self._extras.failed.connect(self._on_extras_failed)
        self._ahead = LiveChannel("prefetch", self)
        self._ahead.ready.connect(self._on_ahead)
        self._idle = QTimer(self, singleShot=True, interval=IDLE_MS)
        self._idle.timeout.connect(self._predict_ahead)
        self._repaint = QTimer(self, singleShot=True, interval=PAINT_DEBOUNCE_MS)
        self._repaint.timeout.connect(self._on_painting_settled)

    @property
    def computing(self) -> bool:
        """Whether anything is on its way for the newest request."""
        return any(channel.busy for channel in self._answering)

    @property
    def _answering(self) -> tuple[LiveChannel, ...]:
        """Channels whose results are waited for on screen."""
        return self._frames, self._predictions, self._comparisons, self._extras

    @property
    def view(self) -> FrameView | None:
        """The frame that the panels show, decoded."""
        return self._view

    @property
    def predicted_class_ids(self) -> npt.NDArray[np.uint8] | None:
        """The prediction of the frame on the slider, (H, W) class ids; None until it is there."""
        predicted = self._predicted
        if predicted is None or predicted.view.frame_index != self.state.frame_index:
            return None
        return predicted.class_ids

    @property
    def probabilities(self) -> PixelProbabilities | None:
        """What tells the prediction's probabilities; None before it is there, or where it is long ago."""
        predicted = self._predicted
        if predicted is None or predicted.view.frame_index != self.state.frame_index:
            return None
        return self._probabilities.get(predicted.digest, self.state.frame_index)

    # --- what changes -----------------------------------------------------------------------------

    def show_frame(self, frame_index: int) -> None:
        """Compute for this frame from now on."""
        if frame_index != self.state.frame_index:
            self._direction = 1 if frame_index > self.state.frame_index else -1
        self._idle.stop()
        self._set_state(frame_index=frame_index, scores=None, mask_note="", extras=None, stale=False)
        render = partial(self._renderer.render, frame_index, self._hog, self._layers.outline_colors)
        self._frames.request(frame_index, render)

    def redraw(self) -> None:
        """Draw the frame on screen again, in another look."""
        self._frames.invalidate()
        self.show_frame(self.state.frame_index)

    def set_hog(self, hog: HogSettings | None) -> None:
        """Draw other HOG maps, or none."""
        if hog != self._hog:
            self._hog = hog
            self.redraw()

    def set_predictor(self, predictor: Predictor | None, previous: Predictor | None = None) -> None:
        """Predict with another model; what the one before still computes is dropped.

        Parameters
        ----------
        predictor : Predictor or None
        previous : Predictor, optional
            The model to show the difference to.
        """
        self._predictor, self._previous = predictor, previous
        for channel in (self._predictions, self._comparisons, self._extras, self._ahead):
            channel.invalidate()
        self._predicted = None
        self._set_state(predicted=None, prediction_error=None, scores=None, extras=None, stale=False)
        for key in (RESIDUAL, DIFFERENCE):
            self._layers.blank(key)
        if self._view is not None:
            # The old model's pixels go at once: they must not be taken for the new one's.
            self._layers.show(PREDICTION, self._view.frame, None)
            self._layers.show(ERRORS, self._view.frame, None)
            self._predict(self._view)

    def set_residual_stage(self, stage: int | None) -> None:
        """Draw the HOG residual of one decoder stage, 0 the finest; None draws the mean of all."""
        self._stage = stage
        self.compute_extras()

    def forget_predictions(self) -> None:
        """Predict every frame anew from now on."""
        self._cache.clear()
        self._probabilities.clear()

    def painted(self, frame_index: int) -> None:
        """Compare again soon: somebody paints."""
        if frame_index == self.state.frame_index:
            self._repaint.start()
            if self.state.scores is not None and not self.state.stale:
                self._set_state(stale=True)

    def close(self) -> None:
        """End the threads."""
        self._repaint.stop()
        self._idle.stop()
        for channel in (*self._answering, self._ahead):
            channel.close()

    # --- results ----------------------------------------------------------------------------------

    @on_gui_thread
    def _on_frame(self, view: FrameView) -> None:
        self._view = view
        self._layers.show(TRUTH, view.frame if view.outlined is None else view.outlined, None)
        self._layers.show_hog(view.frame, view.hog_map)
        self._set_state(shown=view.frame_index, frame_error=None)
        self._predict(view)

    def _on_frame_failed(self, frame_index: object, error: InputError) -> None:
        if frame_index != self.state.frame_index:
            return
        # An old picture under the new frame's number would be a lie: show black.
        self._view = self._predicted = None
        for key in ORDER:
            self._layers.blank(key)
        self._set_state(shown=None, predicted=None, frame_error=error)

    def _predict(self, view: FrameView) -> None:
        predictor = self._predictor
        if predictor is None:
            for key in (PREDICTION, ERRORS, RESIDUAL, DIFFERENCE):
                self._layers.show(key, view.frame, None)
            self._set_state()
            return
        cached = self._cache.get((predictor.digest, view.frame_index))
        # The comparison belongs to this job: it is quick, and both panels are drawn together.
        self._predictions.request(view.frame_index, self._assessment(predictor, view, cached))
        self._set_state()

    def _assessment(
        self, predictor: Predictor, view: FrameView, known: npt.NDArray[np.uint8] | None
    ) -> Callable[[], Assessment]:
        outlines = self._layers.outline_colors
        return partial(_assess, predictor, self._store, view, known, self._protocol, outlines)

    @on_gui_thread
    def _on_assessment(self, assessment: Assessment) -> None:
        predicted, comparison = assessment.predicted, assessment.comparison
        self._predicted = predicted
        frame_index = predicted.view.frame_index
        self._remember(predicted.digest, frame_index, predicted.class_ids, predicted.probabilities)
        self._layers.show(PREDICTION, predicted.picture, to_display(predicted.class_ids))
        error_map = None if comparison is None else comparison.error_map
        self._layers.show(ERRORS, predicted.view.frame, error_map)
        current = predicted.view.frame_index == self.state.frame_index
        self._set_state(
            predicted=predicted.view.frame_index,
            prediction_error=None,
            scores=comparison.scores if current and comparison is not None else None,
            mask_note=assessment.note,
            stale=self._repaint.isActive(),
        )
        self.compute_extras()
        if current:
            self._idle.start()

    def compute_extras(self) -> None:
        """Compute what the panels that not every clip comes with show, where they are seen."""
        predicted, predictor = self._predicted, self._predictor
        wanted = tuple(key for key in (RESIDUAL, DIFFERENCE) if self._layers.is_seen(key))
        if not wanted or predicted is None or predictor is None:
            return
        view = predicted.view
        previous = self._previous
        theirs = None if previous is None else self._cache.get((previous.digest, view.frame_index))
        comparable = not _why_not_compare(predictor, self._store, view.frame_index)
        request = ExtrasRequest(
            view=view,
            predictor=predictor,
            previous=previous,
            ours=predicted.class_ids,
            theirs=theirs,
            truth=self._store.mask(view.frame_index) if comparable else None,
            wanted=wanted,
            stage=self._stage,
        )
        self._extras.request(view.frame_index, partial(make_extras, request))

    @on_gui_thread
    def _on_extras(self, extras: Extras) -> None:
        for key in extras.wanted:
            pixels = extras.residual_map if key == RESIDUAL else extras.difference
            self._layers.show(key, extras.frame, pixels)
        if extras.frame_index == self.state.frame_index:
            self._set_state(extras=extras)

    def _on_extras_failed(self, _frame_index: object, error: InputError) -> None:
        for key in (RESIDUAL, DIFFERENCE):
            self._layers.blank(key)
        self._set_state(extras=Extras.failed(self.state.frame_index, str(error)))

    def _remember(
        self,
        digest: str,
        frame_index: int,
        class_ids: npt.NDArray[np.uint8],
        probabilities: PixelProbabilities | None,
    ) -> None:
        if probabilities is not None:
            self._probabilities.keep(digest, frame_index, probabilities)
        key = (digest, frame_index)
        self._cache[key] = class_ids
        self._cache.move_to_end(key)
        while len(self._cache) > CACHE_PREDICTIONS:
            self._cache.popitem(last=False)

    def _on_prediction_failed(self, _frame_index: object, error: InputError) -> None:
        self._predicted = None
        if self._view is not None:
            self._layers.show(PREDICTION, self._view.frame, None)
            self._layers.show(ERRORS, self._view.frame, None)
        self._set_state(predicted=None, prediction_error=error, scores=None, stale=False)

    def _on_painting_settled(self) -> None:
        predicted, predictor = self._predicted, self._predictor
        if predicted is not None and predictor is not None:
            view, class_ids = predicted.view, predicted.class_ids
            self._comparisons.request(view.frame_index, self._assessment(predictor, view, class_ids))
        if self._layers.outline_colors is not None:
            self.redraw()

    # --- ahead ------------------------------------------------------------------------------------

    def _predict_ahead(self) -> None:
        """Predict the next frame that nobody has predicted yet, in the direction the person goes."""
        predictor = self._predictor
        if predictor is None or self.computing or self._ahead.busy:
            return
        for distance in range(1, PREFETCH_PREDICTIONS + 1):
            frame_index = self.state.frame_index + distance * self._direction
            known = (predictor.digest, frame_index) in self._cache
            if 0 <= frame_index < self._store.shape[0] and not known:
                self._ahead.request(frame_index, partial(self._renderer.predict, frame_index, predictor))
                return

    @on_gui_thread
    def _on_ahead(self, result: tuple[str, int, npt.NDArray[np.uint8], PixelProbabilities]) -> None:
        self._remember(*result)
        self._idle.start(0)

    def _on_comparison_failed(self, _frame_index: object, error: InputError) -> None:
        self._set_state(scores=None, mask_note=str(error), stale=False)

    def _set_state(self, **changes: object) -> None:
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
        self.state_changed.emit(self.state)


def _assess(
    predictor: Predictor,
    store: AnnotationStore,
    view: FrameView,
    known: npt.NDArray[np.uint8] | None,
    protocol: str,
    outlines: npt.NDArray[np.float32] | None,
) -> Assessment:
    """Predict a frame (unless its prediction is known) and compare it; runs in a worker."""
    class_ids, probabilities = (
        predictor.predict_with_probabilities(view.frame) if known is None else (known, None)
    )
    picture = view.frame if outlines is None else draw_contours(view.frame, class_ids, outlines)
    predicted = PredictedFrame(view, predictor.digest, class_ids, picture, probabilities)
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
