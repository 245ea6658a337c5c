"""The thread behind the timeline: surveys a clip while nothing else is wanted of the machine.

Owns the thread, its pauses and its end. What is measured, and in which order, is `session.survey`'s part.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_hogseg.inference.background import AbandonedError, read_in_background, yield_to_others
from napari_hogseg.session.survey import Survey, SurveyModel, own_source, survey_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_hogseg.inference.predictor import Predictor
    from napari_hogseg.io.video import FrameSource
    from napari_hogseg.session.annotations import AnnotationStore
    from napari_hogseg.session.survey import BlobCodec
    from napari_hogseg.session.survey_file import SurveyRecord

#: After each measured frame the thread rests this share of the time it took, so that others come in.
REST_SHARE, MIN_REST_S = 0.1, 0.002
#: So long after the person did something nothing is begun.
DEFER_S = 0.4
CLOSE_S = 1.0

_LOG = logging.getLogger(__name__)


class SurveyWorker(QObject):
    """Surveys one clip with one model, until `close`.

    Parameters
    ----------
    source : FrameSource
        Of the live view. A video is opened anew: in one decoder, going through and jumping about would be in
        each other's way.
    store : AnnotationStore
    predictor : Predictor
    find_blobs : BlobCodec, optional
    after : SurveyWorker, optional
        One that must have ended before this one begins: it may write the same file.
    parent : QObject, optional

    Attributes
    ----------
    survey : Survey
        Its curves fill while the thread works.
    measured : Signal(object)
        A new SurveyRecord; None where all records may be others now.
    failed : Signal(str)
        The survey ended by an error that nobody expected.
    """

    measured = Signal(object)
    failed = Signal(str)

    def __init__(
        self,
        source: FrameSource,
        store: AnnotationStore,
        predictor: Predictor,
        find_blobs: BlobCodec | None = None,
        after: SurveyWorker | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        read = partial(read_in_background, predictor, self._is_closed)
        model = SurveyModel(survey_digest(predictor), predictor.scheme.classes, read)
        self.survey = Survey(store, partial(own_source, source), model, find_blobs)
        self.playhead = 0
        self._after: threading.Thread | None = None if after is None else after.thread
        self._wake = threading.Condition()
        self._paused = self._held = self._closed = self._idle = False
        self._num_touches = 0
        self._untold = False  # kept records are looked at by the thousand: told of all together
        self._not_before_s = 0.0
        self.thread: threading.Thread = threading.Thread(target=self._run, name="hogseg survey", daemon=True)

    def start(self) -> None:
        """Begin."""
        self.thread.start()

    @property
    def paused(self) -> bool:
        """Whether `pause` holds it."""
        return self._paused

    @property
    def idle(self) -> bool:
        """Whether there is nothing left to do."""
        return self._idle

    @property
    def gives_way(self) -> bool:
        """Whether it waits for the person or for the live view."""
        return self._held or time.monotonic() < self._not_before_s

    def pause(self, *, paused: bool) -> None:
        """Begin no further frame, or go on."""
        self._set(paused=paused)

    def hold(self, *, held: bool) -> None:
        """Begin no further frame while the live view computes."""
        if held != self._held:
            self._set(held=held)

    def defer(self, seconds: float = DEFER_S) -> None:
        """Begin no further frame for a while: the person does something."""
        self._not_before_s = time.monotonic() + seconds

    def touch(self, frames: Iterable[int]) -> None:
        """Look at the masks of these frames again."""
        self.survey.touch(frames)
        with self._wake:
            self._num_touches += 1
            self._idle = False
            self._wake.notify_all()

    def close(self, timeout_s: float = CLOSE_S) -> bool:
        """End the thread; False if it did not end in time (it is a daemon: it holds up no exit).

        With a timeout of 0 the thread is only told to end.
        """
        self._set(closed=True)
        if timeout_s and self.thread.is_alive():
            self.thread.join(timeout_s)
        return not self.thread.is_alive()

    def _set(self, **changes: bool) -> None:
        with self._wake:
            for name, value in changes.items():
                setattr(self, f"_{name}", value)
            self._wake.notify_all()

    # --- in the thread ----------------------------------------------------------------------------

    def _is_closed(self) -> bool:
        return self._closed

    def _run(self) -> None:
        if self._after is not None and self._after.ident is not None:
            self._after.join()
            self._after = None
        yield_to_others()
        try:
            self.survey.load()
            self._tell(None)
            while self._wait_for_work():
                self._work()
        except AbandonedError:
            pass
        except Exception as error:  # noqa: BLE001 - the live view goes on without it
            _LOG.exception("the survey ended")
            self._tell(f"{type(error).__name__}: {error}")
        finally:
            self.survey.close()

    def _wait_for_work(self) -> bool:
        """Wait until a frame may be begun; False when closed."""
        with self._wake:
            while not self._closed:
                wait_s = self._not_before_s - time.monotonic()
                if self._paused or self._held or self._idle:
                    self._wake.wait()
                elif wait_s > 0:
                    self._wake.wait(wait_s)
                else:
                    return True
        return False

    def _work(self) -> None:
        """One step, told of; then a rest."""
        survey = self.survey
        begin_s, before = time.monotonic(), (survey.num_measured, survey.num_confirmed)
        num_touches = self._num_touches
        frame_index = survey.step(self.playhead)
        measured, confirmed = survey.num_measured > before[0], survey.num_confirmed > before[1]
        # Only where there is something to tell: lists begin anew, and a person's place in them is lost.
        if self._untold and not confirmed:
            self._tell(None)
        self._untold = confirmed
        if frame_index is None:
            with self._wake:  # unless somebody touched a frame meanwhile
                self._idle = self._num_touches == num_touches
        if measured and frame_index is not None:
            self._tell(survey.record(frame_index))
            self._rest((time.monotonic() - begin_s) * REST_SHARE)

    def _rest(self, seconds: float) -> None:
        with self._wake:
            if not self._closed:
                self._wake.wait(max(seconds, MIN_REST_S))

    def _tell(self, what: SurveyRecord | str | None) -> None:
        if self._closed:
            return
        try:
            if isinstance(what, str):
                self.failed.emit(what)
            else:
                self.measured.emit(what)
        except RuntimeError:
            _LOG.debug("a survey's result after the window closed")


class SurveySource(QObject):
    """Records of whichever survey goes on now: what a list of frames listens to.

    Attributes
    ----------
    changed : Signal(object)
        A new or newer SurveyRecord; None where all records are others now.
    """

    changed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker: SurveyWorker | None = None

    def follow(self, worker: SurveyWorker | None) -> None:
        """Take the records of this survey from now on."""
        if self._worker is not None:
            self._worker.measured.disconnect(self.changed)
        self._worker = worker
        if worker is not None:
            worker.measured.connect(self.changed)
        self.changed.emit(None)

    def records(self) -> Sequence[SurveyRecord]:
        """All records, by frame."""
        return [] if self._worker is None else self._worker.survey.records()
