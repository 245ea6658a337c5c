"""The section that writes the review's masks in other tools' formats, and takes masks from them.

Owns the widgets, the thread of one export or import at a time, and its bar in napari's activity dock. What is
written and painted is `session.exchange`'s part.
"""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QPushButton,
    QSizePolicy,
    QWidget,
)

from napari_hogseg.data.exchange import FORMATS, Format, find_format
from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.exchange import (
    ExportReport,
    ImportReport,
    StoppedError,
    Which,
    export_review,
    import_masks,
    take_back,
)
from napari_hogseg.session.identity import clip_name
from napari_hogseg.session.journal import free_name
from napari_hogseg.ui.activity_bar import ActivityBar
from napari_hogseg.ui.live import LiveChannel, on_gui_thread
from napari_hogseg.ui.section import Section, wrapped_label

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_hogseg.ui.review_controller import ReviewController, Session

WHICH: dict[Which, str] = {"corrected": "Corrected frames", "all": "All frames with a mask"}
EXPORT_ABOUT = "Choose where; a new folder is made there. Nothing that exists is overwritten."
IMPORT_ABOUT = "Masks become corrections of the frames they are of; what was there before is set aside."
TAKE_BACK_ABOUT = "Give the frames of the last import their former masks, but not those painted on since."
STOPPED = "Stopped: nothing was written or changed."


class ExportSection(Section):
    """Format, frames, Export..., Import..., and what came of it.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional

    Attributes
    ----------
    painted : Signal(object)
        Tuple of the frames whose masks an import, or taking it back, changed.
    finished : Signal()
        An export or import ended, in whatever way.
    """

    painted = Signal(object)
    finished = Signal()
    _progressed = Signal(int, int)

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__("Export and import", parent=parent)
        self._controller = controller
        self._stop = threading.Event()
        self._last: ImportReport | None = None
        self._folder: Path | None = None
        self._jobs = LiveChannel("export and import")
        self._bar = ActivityBar("Annotations", self._stop.set)
        self._make_widgets()
        self._lay_out()
        self._connect()
        self._on_clip()

    def _make_widgets(self) -> None:
        self.formats, self.frames, self.rest = QComboBox(), QComboBox(), QComboBox()
        self.formats.setToolTip("What Export writes and Import reads; the line below says how.")
        self.frames.setToolTip("Frames that Export writes.")
        for form in FORMATS.values():
            self.formats.addItem(form.title, form.name)
        for which, title in WHICH.items():
            self.frames.addItem(title, which)
        self.rest.setToolTip("Import: the class of pixels that no shape of the file covers.")
        self.about, self.note = wrapped_label(), wrapped_label()
        self.note.setTextFormat(Qt.TextFormat.PlainText)
        self.pictures = QCheckBox("Export the pictures too")
        self.pictures.setToolTip("Where tools that read this format look for them.")
        self.erase = QCheckBox("Let empty frames erase")
        self.erase.setToolTip(
            "Import: a frame without a labelled pixel in the file loses its mask. "
            "Other tools list every frame of a clip, annotated or not."
        )
        self.export_button, self.import_button = QPushButton("Export..."), QPushButton("Import...")
        self.cancel_button, self.back_button = QPushButton("Cancel"), QPushButton("Take back the import")
        self.open_button = QPushButton("Open the folder")
        self.export_button.setToolTip(EXPORT_ABOUT)
        self.import_button.setToolTip(IMPORT_ABOUT)
        self.back_button.setToolTip(TAKE_BACK_ABOUT)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        for title, box in (("Format", self.formats), ("Frames", self.frames), ("Uncovered", self.rest)):
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            form.addRow(title, box)
        self.body.addLayout(form)
        self.body.addWidget(self.about)
        self.body.addWidget(self.pictures)
        self.body.addWidget(self.erase)
        row = QGridLayout()
        for column, button in enumerate((self.export_button, self.import_button)):
            row.addWidget(button, 0, column)
        self.body.addLayout(row)
        for widget in (self.cancel_button, self.back_button, self.note, self.open_button):
            self.body.addWidget(widget)

    def _connect(self) -> None:
        self.formats.currentIndexChanged.connect(lambda _index: self._show_state())
        self.export_button.clicked.connect(lambda: self._browse_export())
        self.import_button.clicked.connect(lambda: self._browse_import())
        self.cancel_button.clicked.connect(lambda: self.cancel())
        self.back_button.clicked.connect(lambda: self.take_back())
        self.open_button.clicked.connect(lambda: self._open_folder())
        self._progressed.connect(self._on_progress)
        self._jobs.ready.connect(self._on_done)
        self._jobs.failed.connect(self._on_failed)
        self._controller.clip_changed.connect(self._on_clip)
        self._controller.closing.connect(self._on_closing)
        # No parent and a plain callable: these must outlive the widget to end what they hold.
        self.destroyed.connect(partial(_close, self._stop, self._jobs))

    # --- what a person may do ---------------------------------------------------------------------

    @property
    def format(self) -> Format:
        """The format that is chosen."""
        return find_format(self.formats.currentData())

    @property
    def busy(self) -> bool:
        """Whether an export or import goes on."""
        return self._jobs.busy

    def export_to(self, folder: Path) -> None:
        """Write the masks into a new folder, in the background."""
        session = self._controller.session
        if session is not None:
            job = partial(
                export_review,
                session.store,
                session.clip,
                folder,
                self.format,
                which=self.frames.currentData(),
                pictures=self.pictures.isChecked(),
                mask_folder=session.masks,
                on_frame=self._tell_or_stop,
            )
            self._begin("Writing ...", job)

    def import_from(self, path: Path) -> None:
        """Take masks over as corrections, in the background."""
        session = self._controller.session
        if session is not None:
            job = partial(
                import_masks,
                session.store,
                path,
                self.format,
                rest=self.rest.currentData() if self.format.has_shapes else IGNORE,
                erase=self.erase.isChecked(),
                on_frame=self._tell,
                stopped=self._stop.is_set,
            )
            self._begin("Reading ...", job)

    def take_back(self) -> None:
        """Undo the last import, in the background."""
        session, report = self._controller.session, self._last
        if session is not None and report is not None:
            self._begin("Taking back ...", partial(_take_back, session, report))

    def cancel(self) -> None:
        """Stop what goes on: an export leaves nothing, an import the frames that it has painted."""
        self._stop.set()

    def _browse_export(self) -> None:
        session = self._controller.session
        parent = QFileDialog.getExistingDirectory(self, "A new folder is made in")
        if parent and session is not None:
            name = f"{clip_name(session.clip.source.name)}-{self.format.name}"
            self.export_to(free_name(Path(parent) / name))

    def _browse_import(self) -> None:
        form = self.format
        if form.files:
            path, _ = QFileDialog.getOpenFileName(
                self, f"{form.title} file", "", f"{form.title} ({form.files})"
            )
        else:
            path = QFileDialog.getExistingDirectory(self, f"{form.title} folder")
        if path:
            self.import_from(Path(path))

    # --- the job ----------------------------------------------------------------------------------

    def _begin(self, what: str, job: Callable[[], object]) -> None:
        if self.busy:
            return
        self._stop.clear()
        self._controller.failed.emit("")
        self._folder = None
        self.note.setText(what)
        self._jobs.request(what, partial(_run, job))
        self._show_state()

    def _tell(self, num_done: int, num_frames: int) -> None:
        """From the worker's thread."""
        self._progressed.emit(num_done, num_frames)

    def _tell_or_stop(self, num_done: int, num_frames: int) -> None:
        if self._stop.is_set():
            raise StoppedError
        self._tell(num_done, num_frames)

    @on_gui_thread
    def _on_progress(self, num_done: int, num_frames: int) -> None:
        if self.busy:
            self.note.setText(f"Frame {num_done} of {num_frames}")
            self._bar.show(num_done, num_frames)  # last: it handles waiting events, the end of the job too

    @on_gui_thread
    def _on_done(self, result: object) -> None:
        self._bar.end()
        if isinstance(result, ExportReport):
            self._show_report(result, result.folder)
        elif isinstance(result, ImportReport):
            self._last = result if result.changed else self._last
            self._show_report(result, result.before)
            self._after_painting(tuple(result.changed))
        elif isinstance(result, tuple):
            self._on_taken_back(*result)
        else:
            self.note.setText(STOPPED)
        self._show_state()
        self.finished.emit()

    def _show_report(self, report: ExportReport | ImportReport, folder: Path | None) -> None:
        self._folder = folder
        self.note.setText(str(report))
        self.open_button.setToolTip("" if folder is None else str(folder))

    def _open_folder(self) -> None:
        if self._folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._folder)))

    def _on_taken_back(self, num_back: int, num_left: int) -> None:
        report, self._last = self._last, None
        left = f"; {num_left} painted on since left as they are" if num_left else ""
        self.note.setText(f"Frames taken back: {num_back}{left}.")
        self._after_painting(tuple(report.changed) if report is not None else ())

    def _after_painting(self, frames: tuple[int, ...]) -> None:
        """Show what is new: the store was painted, not the layer."""
        session, layer = self._controller.session, self._controller.truth_layer
        if session is None or not frames:
            return
        if layer is not None:
            layer.refresh()
        session.live.painted(session.live.state.frame_index)
        self.painted.emit(frames)

    @on_gui_thread
    def _on_failed(self, _subject: object, error: InputError) -> None:
        self._bar.end()
        self.note.setText(str(error))
        self._controller.failed.emit(str(error))
        self._show_state()
        self.finished.emit()

    # --- what is shown ----------------------------------------------------------------------------

    def _on_clip(self) -> None:
        """Begin anew with another clip: what went on was of the last one."""
        self._stop.set()
        self._jobs.invalidate()
        self._bar.end()
        self._last = self._folder = None
        session = self._controller.session
        with QSignalBlocker(self.rest):
            self.rest.clear()
            self.rest.addItem("Unlabelled", IGNORE)
            for class_id, name in enumerate(() if session is None else session.clip.scheme.classes):
                self.rest.addItem(name, class_id)
        self.note.setText("Open a clip first." if session is None else "")
        self._show_state()

    def _show_state(self) -> None:
        session, busy, form = self._controller.session, self.busy, self.format
        self.about.setText(form.about)
        self.rest.setEnabled(form.has_shapes and not busy)
        for widget in (self.formats, self.frames, self.pictures, self.erase):
            widget.setEnabled(not busy)
        self.export_button.setEnabled(session is not None and not busy)
        writable = session is not None and session.store.read_only is None
        self.import_button.setEnabled(writable and not busy)
        self.cancel_button.setVisible(busy)
        self.back_button.setVisible(self._last is not None and not busy)
        self.open_button.setVisible(self._folder is not None)

    def _on_closing(self) -> None:
        self._bar.end()
        _close(self._stop, self._jobs)


def _run(job: Callable[[], object]) -> object:
    """Run a job; None where the person stopped it. A disk's refusal becomes a message."""
    try:
        return job()
    except StoppedError:
        return None
    except OSError as error:
        raise InputError(
            f"The disk refuses: {error.strerror}",
            where=error.filename,
            remedy="Free space or choose another folder.",
        ) from error


def _take_back(session: Session, report: ImportReport) -> tuple[int, int]:
    return take_back(session.store, report)


def _close(stop: threading.Event, jobs: LiveChannel, _object: object = None) -> None:
    stop.set()
    jobs.close()
