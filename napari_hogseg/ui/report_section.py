"""The section that hands results to others: a review report, and a film of a range of frames.

Owns widgets, the thread and its end. What is written is `session.review_report`'s and `session.film`'s part.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QWidget,
)

from napari_hogseg.inference.background import AbandonedError, read_in_background, yield_to_others
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.film import PANELS, TITLES, FilmOptions, write_film
from napari_hogseg.session.overlays import MASK_STYLES
from napari_hogseg.session.ranges import FrameRange, read_ranges
from napari_hogseg.session.review_report import CancelledError, Progress, ReportModel, write_report
from napari_hogseg.session.survey import own_source
from napari_hogseg.ui.activity_bar import ActivityBar
from napari_hogseg.ui.live import LiveChannel, on_gui_thread
from napari_hogseg.ui.section import Section, wrapped_label

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    from napari_hogseg.io.video import FrameSource
    from napari_hogseg.session.film import Panel
    from napari_hogseg.ui.review_controller import ReviewController, Session
    from napari_hogseg.ui.timeline import Timeline

#: Readable on napari's dark and light themes alike.
LINK_COLOR = "#3a8fd0"
TICK_MS = 100
WHOLE_CLIP = "Whole clip"
PANEL_HINTS: dict[Panel, str] = {
    "frame": "The frame as it is.",
    "mask": "The masks of today, with your corrections.",
    "prediction": "What the loaded model predicts.",
    "errors": "Boundaries that the model misses, invents or finds.",
}


@dataclass(frozen=True)
class Written:
    """What a job came to: the file, or None where it was cancelled."""

    path: Path | None


class ReportSection(Section):
    """Buttons that write a report or a film, with progress and an end to it.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional
    """

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__("Report and film", opened=False, parent=parent)
        self._controller = controller
        self._timeline: Timeline | None = None
        self._folder = Path.home()
        self._cancelled = threading.Event()
        self._done = (0, 1)
        self._bar = ActivityBar("Writing", self.cancel)
        self._channel = LiveChannel("writing a report", self)
        self._tick = QTimer(self, interval=TICK_MS)
        self._build()
        self._lay_out()
        self._connect()
        self._on_clip()

    def _build(self) -> None:
        self.report_button = QPushButton("Report (HTML)...")
        self.report_button.setToolTip(
            "One file with scores, curves, the worst frames as pictures and the effort; to be read or "
            "printed anywhere."
        )
        self.ranges = QComboBox()
        self.ranges.setAccessibleName("Range of the film")
        self.ranges.setToolTip("Ranges marked on the timeline, or the whole clip.")
        self.first, self.last = QSpinBox(), QSpinBox()
        self.first.setAccessibleName("First frame")
        self.last.setAccessibleName("Last frame")
        self.first.setToolTip("The film's first frame, counted from 0.")
        self.last.setToolTip("The film's last frame; it is in the film.")
        self.panels: dict[Panel, QCheckBox] = {}
        for panel in PANELS:
            box = self.panels[panel] = QCheckBox(TITLES[panel])
            box.setToolTip(PANEL_HINTS[panel])
        self.panels["mask"].setChecked(True)
        self.style_box = QComboBox()
        self.style_box.setAccessibleName("How masks are drawn")
        self.style_box.addItems([name.capitalize() for name in MASK_STYLES])
        self.style_box.setToolTip("How masks are drawn.")
        self.mp4_button, self.gif_button = QPushButton("Film (MP4)..."), QPushButton("Film (GIF)...")
        self.mp4_button.setToolTip("H.264; every frame at its own time, as in the clip.")
        self.gif_button.setToolTip(
            "Plays anywhere, but large: for short ranges. At most 50 pictures a second."
        )
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop writing; no file is left.")
        self.note = wrapped_label()
        self.note.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.note.setOpenExternalLinks(True)

    def _lay_out(self) -> None:
        frames = QHBoxLayout()
        for widget in (QLabel("Frames"), self.first, QLabel("to"), self.last):
            frames.addWidget(widget)
        frames.addStretch(1)
        shown = QGridLayout()
        for number, box in enumerate(self.panels.values()):
            shown.addWidget(box, number // 2, number % 2)
        draw = QHBoxLayout()
        draw.addWidget(QLabel("Masks as"))
        draw.addWidget(self.style_box, 1)
        files = QHBoxLayout()
        for button in (self.mp4_button, self.gif_button):
            files.addWidget(button)
        self.body.addWidget(self.report_button)
        self.body.addWidget(self.ranges)
        for row in (frames, shown, draw, files):
            self.body.addLayout(row)
        self.body.addWidget(self.cancel_button)
        self.body.addWidget(self.note)

    def _connect(self) -> None:
        controller = self._controller
        self.report_button.clicked.connect(lambda: self._ask(".html", self.write_report))
        self.mp4_button.clicked.connect(lambda: self._ask(".mp4", self.write_film))
        self.gif_button.clicked.connect(lambda: self._ask(".gif", self.write_film))
        self.cancel_button.clicked.connect(lambda: self.cancel())
        self.ranges.activated.connect(lambda _number: self._take_range())
        self._channel.ready.connect(self._on_written)
        self._channel.failed.connect(self._on_failed)
        self._tick.timeout.connect(self._on_tick)
        controller.clip_changed.connect(self._on_clip)
        controller.model_changed.connect(self._show_state)
        controller.closing.connect(self.close_jobs)

    def set_timeline(self, timeline: Timeline) -> None:
        """Take measured frames and marked ranges from this timeline."""
        self._timeline = timeline
        timeline.ranges_changed.connect(self._list_ranges)
        self._list_ranges()

    @property
    def busy(self) -> bool:
        """Whether a file is being written."""
        return self._channel.busy

    @property
    def frames(self) -> FrameRange:
        """The range to film."""
        ends = (self.first.value(), self.last.value())
        return FrameRange(min(ends), max(ends))

    @property
    def options(self) -> FilmOptions:
        """What is to be drawn."""
        panels = tuple(panel for panel, box in self.panels.items() if box.isChecked() and box.isEnabled())
        return FilmOptions(panels, MASK_STYLES[self.style_box.currentIndex()])

    # --- work -------------------------------------------------------------------------------------

    def write_report(self, path: Path) -> None:
        """Write the report in the background."""
        session = self._controller.session
        if session is None or self.busy:
            return
        records = [] if self._timeline is None else list(self._timeline.source.records())
        write = partial(write_report, path, session.store, records=records, model=self._model())
        self._begin(path, session, write)

    def write_film(self, path: Path) -> None:
        """Write the film in the background; the suffix says which kind."""
        session = self._controller.session
        if session is None or self.busy:
            return
        options, frames = self.options, self.frames
        write = partial(write_film, path, session.store, frames=frames, options=options, model=self._model())
        self._begin(path, session, write)

    def cancel(self) -> None:
        """Stop what is being written."""
        self._cancelled.set()

    def close_jobs(self) -> None:
        """End the thread."""
        self.cancel()
        self._tick.stop()
        self._bar.end()
        self._channel.close()

    def _begin(self, path: Path, session: Session, write: Callable[..., object]) -> None:
        self._controller.failed.emit("")
        self._cancelled = cancelled = threading.Event()
        self._done = (0, 1)

        def tell(num_done: int, num_all: int) -> None:
            if not cancelled.is_set():
                self._done = (num_done, num_all)

        progress = Progress(tell, cancelled.is_set)
        self._channel.request(path, partial(_write, path, session.clip.source, write, progress))
        self._bar.what = f"Writing {path.name}"
        self._tick.start()
        self.note.setText(f"Writing {escape(path.name)} ...")
        self._show_state()

    def _model(self) -> ReportModel | None:
        model = self._controller.model
        if model is None:
            return None
        described = ReportModel.of(model.predictor)
        # Without waiting for a turn, and given up in the middle: the live view must not wait for a film.
        cancelled = self._is_cancelled

        def predict(frame_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
            return read_in_background(model.predictor, cancelled, frame_HWC).class_ids

        return ReportModel(described.name, described.digest, described.classes, predict, described.about)

    def _is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    # --- results ----------------------------------------------------------------------------------

    @on_gui_thread
    def _on_written(self, written: Written) -> None:
        self._end()
        if written.path is None:
            self.note.setText("Cancelled: no file was written.")
            return
        link = f'<a href="{escape(written.path.as_uri())}" style="color: {LINK_COLOR}">Open it</a>'
        self.note.setText(f"Wrote {escape(written.path.name)}. {link}")
        self.note.setToolTip(str(written.path))

    @on_gui_thread
    def _on_failed(self, _path: object, error: InputError) -> None:
        self._end()
        self.note.setText("Nothing was written.")
        self._controller.failed.emit(str(error))

    def _end(self) -> None:
        self._tick.stop()
        self._bar.end()
        self._show_state()

    def _on_tick(self) -> None:
        num_done, num_all = self._done
        if self.busy:
            self._bar.show(num_done, num_all)

    # --- what is on screen ------------------------------------------------------------------------

    def _on_clip(self) -> None:
        self.cancel()
        session = self._controller.session
        last = 0 if session is None else session.clip.source.num_frames - 1
        for box in (self.first, self.last):
            box.setRange(0, last)
        self._list_ranges()
        self.note.setText("")
        self._show_state()

    def _list_ranges(self) -> None:
        """Offer the marked ranges; the first is taken at once."""
        marked = self._marked()
        self.ranges.clear()
        for each in marked:
            self.ranges.addItem(f"Marked {each.first} to {each.last}", (each.first, each.last))
        self.ranges.addItem(WHOLE_CLIP, (0, self.last.maximum()))
        self._take_range()

    def _marked(self) -> Sequence[FrameRange]:
        session = self._controller.session
        if session is None:
            return ()
        if self._timeline is not None:
            return self._timeline.ranges
        try:
            return read_ranges(session.store.folder, session.clip.source.num_frames)
        except InputError:  # the timeline says so
            return ()

    def _take_range(self) -> None:
        ends = self.ranges.currentData()
        if ends is not None:
            self.first.setValue(ends[0])
            self.last.setValue(ends[1])

    def _show_state(self) -> None:
        session, model = self._controller.session, self._controller.model
        busy = self.busy
        for button in (self.report_button, self.mp4_button, self.gif_button):
            button.setEnabled(session is not None and not busy)
        self.cancel_button.setVisible(busy)
        fits = (
            session is not None
            and model is not None
            and model.predictor.scheme.classes == session.store.scheme.classes
        )
        for panel in ("prediction", "errors"):
            box = self.panels[panel]
            box.setEnabled(fits)
            why = "" if fits else " Load a model of these classes first."
            box.setToolTip(PANEL_HINTS[panel] + why)

    def _ask(self, suffix: str, write: Callable[[Path], None]) -> None:
        session = self._controller.session
        if session is None:
            return
        kind = {".html": "review", ".mp4": "film", ".gif": "film"}[suffix]
        start = self._folder / f"{session.clip.source.name}-{kind}{suffix}"
        chosen, _ = QFileDialog.getSaveFileName(self, f"Save the {kind}", str(start), f"*{suffix}")
        if chosen:
            path = Path(chosen)
            self._folder = path.parent
            write(path if path.suffix.lower() == suffix else path.with_name(path.name + suffix))


def _write(path: Path, source: FrameSource, write: Callable[..., object], progress: Progress) -> Written:
    """Run one job with frames of its own; runs in the channel's thread."""
    yield_to_others()
    own = own_source(source)
    try:
        write(source=own, progress=progress)
    except (CancelledError, AbandonedError):
        return Written(None)
    except OSError as error:
        raise InputError(
            f"The file cannot be written: {error.strerror or error}",
            where=path,
            remedy="Choose another folder, or make room there.",
        ) from error
    finally:
        if own is not source:
            own.close()
    return Written(path)
