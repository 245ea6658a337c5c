"""The timeline below the canvas: the whole clip at a glance, surveyed in the background.

Puts together what is shown and starts, pauses and ends the survey. Painting and gestures are
`timeline_canvas`'s, measuring is `session.survey`'s, the thread `survey_worker`'s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from napari.utils.theme import get_theme
from qtpy.QtCore import QSize, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_hogseg.io.errors import InputError
from napari_hogseg.session.clips import MaskFiles, SampleMasks
from napari_hogseg.session.ranges import FrameRange, add_range, read_ranges, without_range_at, write_ranges
from napari_hogseg.session.survey import DONE, UNREADABLE
from napari_hogseg.ui.activity_bar import ActivityBar
from napari_hogseg.ui.live import on_gui_thread
from napari_hogseg.ui.survey_worker import SurveySource, SurveyWorker
from napari_hogseg.ui.timeline_canvas import TimelineCanvas
from napari_hogseg.ui.timeline_painting import Curve, Strip, TimelineColors
from napari_hogseg.ui.timeline_view import largest, time_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from napari_hogseg.session.clips import Clip
    from napari_hogseg.session.survey import BlobCodec, Survey
    from napari_hogseg.ui.live_review import LiveState
    from napari_hogseg.ui.review_controller import ReviewController, Session

TICK_MS = 200
NO_CLIP = "Open a clip"
NO_MODEL = "Load a model to see scores"
HINT = (
    "Click or drag to go to a frame, wheel to zoom, Shift and drag to mark a range.\n"
    "Keys: arrows step (Ctrl: ten), Page up and down, Home, End, + and - zoom, 0 all, I and O mark, Del."
)


@dataclass(frozen=True)
class Measure:
    """A curve: what it is called, how it is written, and its scale (None: up to its largest value)."""

    name: str
    title: str
    color: tuple[int, int, int]
    scale: float | None
    shown: bool
    about: str

    def text(self, value: float) -> str:
        """Write a value with its name; empty where there is none."""
        if not math.isfinite(value):
            return ""
        number = f"{100 * value:.1f} %" if self.name == "flicker" else f"{value:.3g}"
        return f"{self.title} {number}"


#: Colours after Okabe and Ito: told apart by colour-blind eyes, readable on dark and light.
MEASURES = (
    Measure("miou", "mIoU", (0, 158, 115), 1.0, shown=True, about="Mean IoU against the mask, 0 to 1."),
    Measure(
        "boundary_f",
        "boundary F",
        (58, 150, 214),
        1.0,
        shown=True,
        about="Mean DAVIS F measure of the boundaries against the mask, 0 to 1.",
    ),
    Measure(
        "hog_residual",
        "HOG residual",
        (230, 139, 0),
        None,
        shown=True,
        about="How far the regression heads are off the HOG of the frame; no mask is needed. High: the "
        "network does not see this frame as it saw its training frames.",
    ),
    Measure(
        "flicker",
        "flicker",
        (204, 101, 157),
        None,
        shown=True,
        about="Share of pixels that changed class since the frame before; what moves counts too.",
    ),
    Measure(
        "entropy",
        "entropy",
        (150, 120, 225),
        None,
        shown=False,
        about="Mean entropy of the class probabilities, 0 certain to 1 without a clue; no mask is needed.",
    ),
)
MASK_COLOR, CORRECTED_COLOR, SURVEYED_COLOR = (86, 180, 233), (240, 190, 30), (120, 130, 145)
PROPOSED_COLOR = (204, 121, 167)


class _Masks(NamedTuple):
    """Which frames have a mask file, and which the reviewer changed; (T,) bool each."""

    on_disk: npt.NDArray[np.bool_]
    corrected: npt.NDArray[np.bool_]


class Timeline(QWidget):
    """Strips and curves of the clip on screen.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional
    find_blobs : BlobCodec, optional
        Finds the error blobs that the survey's records hold.

    Attributes
    ----------
    source : SurveySource
        Records of the survey, for lists of frames.
    ranges_changed : Signal()
        See `ranges`.
    """

    ranges_changed = Signal()

    def __init__(
        self,
        controller: ReviewController,
        parent: QWidget | None = None,
        *,
        find_blobs: BlobCodec | None = None,
    ) -> None:
        super().__init__(parent)
        self._controller, self._blobs = controller, find_blobs
        self.source = SurveySource(self)
        self.worker: SurveyWorker | None = None
        self.ranges: tuple[FrameRange, ...] = ()
        self._times_s: npt.NDArray[np.float64] = np.zeros(0)
        self._masks = _Masks(np.zeros(0, bool), np.zeros(0, bool))
        self._progress = ActivityBar("Surveying the clip", lambda: self.pause.setChecked(True))
        self._ended_by = ""
        self._is_closed = False
        self._news: tuple[object, ...] = ()
        self.canvas = TimelineCanvas(self._describe, self)
        self.canvas.setToolTip(HINT)
        self.boxes = {measure.name: _legend_box(measure) for measure in MEASURES}
        self.status = QLabel()
        self.pause = QPushButton("Pause")
        self.pause.setCheckable(True)
        self.pause.setToolTip("Stop surveying the clip for now; what is measured is kept.")
        self._tick = QTimer(self, interval=TICK_MS)
        self._proposed: tuple[int, ...] = ()
        self._lay_out()
        self._connect()
        self._on_theme()
        self._on_clip()

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setContentsMargins(4, 0, 4, 0)
        row.setSpacing(10)
        for box in self.boxes.values():
            row.addWidget(box)
        # The words give way where the window is narrow.
        self.status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.status.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.status, 1)
        row.addWidget(self.pause)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self.canvas, 1)

    def _connect(self) -> None:
        controller, viewer = self._controller, self._controller.viewer
        controller.clip_changed.connect(self._on_clip)
        controller.model_changed.connect(self._on_model)
        controller.corrections_changed.connect(self._on_corrections)
        controller.live_changed.connect(self._on_live)
        controller.closing.connect(self.close_survey)
        viewer.dims.events.current_step.connect(self._on_step)
        viewer.events.theme.connect(self._on_theme)
        self.canvas.frame_chosen.connect(self._go)
        self.canvas.range_marked.connect(self.mark_range)
        self.canvas.range_removed.connect(self.remove_range)
        self.pause.toggled.connect(self._on_pause)
        # A bound method of a dying object would be disconnected before the signal.
        self.destroyed.connect(partial(Timeline.close_survey, self))
        self._tick.timeout.connect(self._on_tick)
        for box in self.boxes.values():
            box.toggled.connect(self._show)

    # --- clip and model ---------------------------------------------------------------------------

    @property
    def _session(self) -> Session | None:
        return self._controller.session

    def _on_clip(self) -> None:
        session = self._session
        self.canvas.set_num_frames(0 if session is None else session.clip.source.num_frames)
        self.ranges, self._proposed = (), ()
        if session is not None:
            self._masks, self._times_s = _find_masks(session), session.clip.source.pts_s
            try:
                self.ranges = read_ranges(session.store.folder, session.clip.source.num_frames)
            except InputError as error:
                self._controller.failed.emit(str(error))
        self.canvas.set_ranges(self.ranges)
        self.ranges_changed.emit()
        self._begin_survey()

    def mark_proposals(self, frames: tuple[int, ...]) -> None:
        """Mark the frames that a mask is proposed for; none takes the row away."""
        if frames != self._proposed:
            self._proposed = frames
            self._show()

    def _on_model(self) -> None:
        self._begin_survey()

    def _begin_survey(self) -> None:
        """Survey the clip on screen with the model in use, instead of whatever was surveyed."""
        old, session, model = self.worker, self._session, self._controller.model
        self._tick.stop()
        self._end_survey(wait_s=0.0)
        if session is not None and model is not None and not self._is_closed:
            self.worker = SurveyWorker(
                session.clip.source, session.store, model.predictor, self._blobs, after=old, parent=self
            )
            self.worker.failed.connect(self._on_failed)
            self.worker.playhead = self.canvas.playhead
            self.worker.pause(paused=self.pause.isChecked())
            self.worker.defer()
            self.worker.start()
            self._tick.start()
        self.source.follow(self.worker)
        self._show()

    def _end_survey(self, wait_s: float) -> None:
        worker, self.worker, self._ended_by = self.worker, None, ""
        self._progress.end()
        if worker is not None:
            worker.close(wait_s)

    def close_survey(self) -> None:
        """End the thread, within a second, and let go of the viewer. Safe to call twice."""
        self._end_survey(wait_s=1.0)
        if self._is_closed:
            return
        self._is_closed = True
        viewer = self._controller.viewer
        viewer.dims.events.current_step.disconnect(self._on_step)
        viewer.events.theme.disconnect(self._on_theme)

    # --- what the person does ---------------------------------------------------------------------

    def _go(self, frame_index: int) -> None:
        if self._session is not None:
            self._controller.viewer.dims.set_current_step(0, frame_index)

    def mark_range(self, one_end: int, other_end: int) -> None:
        """Mark the frames between two ends; kept in the session folder at once."""
        self._keep_ranges(add_range(self.ranges, one_end, other_end))

    def remove_range(self, frame_index: int) -> None:
        """Take out the range that holds a frame, if one does."""
        self._keep_ranges(without_range_at(self.ranges, frame_index))

    def _keep_ranges(self, ranges: tuple[FrameRange, ...]) -> None:
        session = self._session
        if session is None or ranges == self.ranges:
            return
        if session.store.read_only is not None:
            self._controller.failed.emit(str(session.store.read_only))
            return
        try:
            write_ranges(session.store.folder, ranges)
        except OSError as error:
            self._controller.failed.emit(f"The range cannot be kept: {error}")
            return
        self.ranges = ranges
        self.canvas.set_ranges(ranges)
        self.ranges_changed.emit()

    def _on_pause(self, paused: bool) -> None:  # noqa: FBT001 - Qt's signature
        self.pause.setText("Resume" if paused else "Pause")
        if self.worker is not None:
            self.worker.pause(paused=paused)
        if paused:
            self._progress.end()
        self._on_tick()

    # --- events -----------------------------------------------------------------------------------

    @on_gui_thread
    def _on_step(self, _event: object = None) -> None:
        steps = self._controller.viewer.dims.current_step
        if self._session is None or len(steps) < 3:
            return
        frame_index = min(max(int(steps[-3]), 0), max(self.canvas.view.num_frames - 1, 0))
        self.canvas.set_playhead(frame_index)
        if self.worker is not None:
            self.worker.playhead = frame_index
        self._give_way()

    def _on_live(self, _state: LiveState) -> None:
        if self.worker is not None and self._session is not None:
            self.worker.hold(held=self._session.live.computing)

    @on_gui_thread
    def _on_corrections(self) -> None:
        session = self._session
        if session is None:
            return
        before = self._masks.corrected
        self._masks = self._masks._replace(corrected=_corrected(session))
        if self.worker is not None and len(before) == len(self._masks.corrected):
            changed = set(np.flatnonzero(before != self._masks.corrected).tolist())
            # A stroke on a frame that was corrected before shows in what is not saved yet, or it was just
            # saved: then it is the frame on screen.
            self.worker.touch(changed | set(session.store.unsaved_frames) | {self.canvas.playhead})
            self._give_way()
            self._tick.start()
        self._show()

    def _on_theme(self, _event: object = None) -> None:
        theme = get_theme(self._controller.viewer.theme)
        names = ("background", "foreground", "text", "current", "error")
        colors = [QColor(getattr(theme, name).as_hex(format="long")) for name in names]
        self.canvas.set_colors(TimelineColors(*colors))

    def touch(self, frames: Iterable[int]) -> None:
        """Measure frames anew: their masks were changed by another way than the brush."""
        if self.worker is not None:
            self.worker.touch(frames)

    def _on_failed(self, why: str) -> None:
        self._ended_by = why
        self._tick.stop()
        self._progress.end()
        self._show()

    @on_gui_thread
    def _on_tick(self) -> None:
        """Show what has come in; five times a second while the survey goes on."""
        worker, session = self.worker, self._session
        if worker is None or session is None:
            return
        worker.hold(held=session.live.computing)
        survey = worker.survey
        if worker.idle:
            self._tick.stop()
            self._progress.end()
        elif not (worker.paused or worker.gives_way or survey.complete):
            self._progress.show(survey.num_done, survey.num_frames)
        news = (worker, survey.num_done, survey.num_measured, worker.idle, worker.paused)
        if news != self._news:  # to paint anything costs a composition of the whole window
            self._news = news
            self._show()

    def _give_way(self) -> None:
        """Let the person do something: napari's spinner alone repaints the window twenty times a second."""
        if self.worker is not None:
            self.worker.defer()
            self._progress.end()

    # --- showing ----------------------------------------------------------------------------------

    def _show(self) -> None:
        session, worker = self._session, self.worker
        survey = None if worker is None else worker.survey
        for name, box in self.boxes.items():
            box.setEnabled(survey is not None)
            box.setToolTip(_about(name, survey))
        self.pause.setEnabled(worker is not None and not worker.idle)
        self.status.setText(self._status())
        if session is None:
            self.canvas.set_content((), (), NO_CLIP)
            return
        curves = () if survey is None else tuple(self._curves(survey))
        self.canvas.set_content(self._strips(survey), curves, NO_MODEL if survey is None else "")

    def _strips(self, survey: Survey | None) -> tuple[Strip, ...]:
        masks = self._masks
        has_mask = masks.on_disk | masks.corrected
        surveyed, unreadable = np.zeros((2, len(has_mask)), bool)
        if survey is not None:
            surveyed, unreadable = survey.states >= DONE, survey.states == UNREADABLE
            has_mask = np.where(survey.states == DONE, survey.has_truth, has_mask)
        strips = (
            Strip("masks", QColor(*MASK_COLOR), has_mask),
            Strip("corrected", QColor(*CORRECTED_COLOR), masks.corrected),
            Strip("surveyed", QColor(*SURVEYED_COLOR), surveyed, unreadable),
        )
        if not self._proposed:
            return strips
        proposed = np.isin(np.arange(len(has_mask)), self._proposed)
        return (*strips, Strip("proposed", QColor(*PROPOSED_COLOR), proposed))

    def _curves(self, survey: Survey) -> list[Curve]:
        # The first of the legend is painted last, over the others.
        return [
            Curve(QColor(*measure.color), survey.curves[measure.name], measure.scale)
            for measure in reversed(MEASURES)
            if self.boxes[measure.name].isChecked()
        ]

    def _status(self) -> str:
        worker = self.worker
        if worker is None:
            return ""
        survey = worker.survey
        words = f"{survey.num_done} of {survey.num_frames} frames surveyed"
        if survey.disk_error is not None:
            words += ", not kept: the disk refuses"
        if self._ended_by:
            return f"The survey ended: {self._ended_by}"
        return words + (", paused" if worker.paused and not worker.idle else "")

    def _describe(self, frame_index: int) -> str:
        session, worker = self._session, self.worker
        if session is None:
            return ""
        words = [f"frame {frame_index}", time_text(float(self._times_s[frame_index]))]
        survey = None if worker is None else worker.survey
        if survey is not None and survey.states[frame_index] == UNREADABLE:
            words.append("cannot be read")
        elif survey is not None:
            values = [each.text(float(survey.curves[each.name][frame_index])) for each in MEASURES]
            words += [text for text in values if text] or ["not surveyed yet"]
        return "  ·  ".join(words)


def _legend_box(measure: Measure) -> QCheckBox:
    box = QCheckBox(measure.title)
    dot = QPixmap(20, 20)
    dot.fill(QColor(*measure.color))
    box.setIcon(QIcon(dot))
    box.setIconSize(QSize(10, 10))
    box.setChecked(measure.shown)
    box.setAccessibleName(f"Show the curve of {measure.title}")
    return box


def _about(name: str, survey: Survey | None) -> str:
    measure = next(each for each in MEASURES if each.name == name)
    if survey is None or measure.scale is not None:
        return measure.about
    top = largest(survey.curves[name])
    if not math.isfinite(top):
        return f"{measure.about}\nNothing yet, or a model without regression heads."
    return f"{measure.about}\nDrawn from 0 to its largest, {top:.3g}."


def _find_masks(session: Session) -> _Masks:
    on_disk = np.zeros(session.clip.source.num_frames, bool)
    on_disk[_frames_with_files(session.clip)] = True
    return _Masks(on_disk, _corrected(session))


def _frames_with_files(clip: Clip) -> list[int]:
    truth = clip.truth
    if isinstance(truth, MaskFiles):
        return list(truth.paths)
    return list(truth.samples) if isinstance(truth, SampleMasks) else []


def _corrected(session: Session) -> npt.NDArray[np.bool_]:
    corrected = np.zeros(session.clip.source.num_frames, bool)
    corrected[list(session.store.edited_frames)] = True
    return corrected
