"""The dock: Plugins > HOG segmentation > Review. Puts the sections together and says what is going on.

Everything it does goes through `ReviewController`; this module holds widgets and words only.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QDockWidget, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_hogseg.session.blob_codec import ErrorBlobCodec
from napari_hogseg.ui.finetune_panel import FineTunePanel
from napari_hogseg.ui.legend_section import LegendSection
from napari_hogseg.ui.mending_section import MendingSection
from napari_hogseg.ui.review_controller import ReviewController
from napari_hogseg.ui.scores_section import ScoresSection
from napari_hogseg.ui.section import FittingScrollArea, Section, wrapped_label
from napari_hogseg.ui.source_section import ModelSection, SourceSection
from napari_hogseg.ui.timeline import Timeline
from napari_hogseg.ui.triage_panel import TriagePanel
from napari_hogseg.ui.view_section import HogSection, ShowSection

if TYPE_CHECKING:
    import napari.viewer

    from napari_hogseg.ui.live_review import LiveState

MIN_WIDTH_PX = 330
ERROR_STYLE = (
    "QLabel { background: rgba(213, 94, 0, 45); border-left: 4px solid rgb(213, 94, 0); padding: 6px; }"
)
COMPUTING_AFTER_MS = 250


class ReviewDock(QWidget):
    """Review and correct segmentations of a clip.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Given by napari.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.controller = ReviewController(napari_viewer, parent=self)
        self.timeline: Timeline | None = None
        self.triage: TriagePanel | None = None
        self.status = QLabel("No clip is open.")
        self.saved = QLabel("")
        self.message = wrapped_label()
        self.message.setStyleSheet(ERROR_STYLE)
        self.message.setVisible(False)
        self.source = SourceSection(self.controller)
        self.model = ModelSection(self.controller)
        self.show_section = ShowSection(self.controller)
        self.legend = LegendSection(self.controller)
        self.scores = ScoresSection(self.controller)
        self.mending = MendingSection(self.controller)
        self.hog = HogSection(self.controller)
        self.finetune = FineTunePanel(self)
        self.finetune.set_provider(self.controller)
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        self.finetune_section = Section("Fine-tune", opened=False)
        self.finetune_section.body.addWidget(self.finetune)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(4, 4, 4, 4)
        column.setSpacing(2)
        for section in (self.source, self.model, self.legend, self.mending, self.show_section, self.scores):
            column.addWidget(section)
        column.addWidget(self.finetune_section)
        column.addWidget(self.hog)
        column.addStretch(1)
        scroll = FittingScrollArea(inside)
        # Queued: a width set while Qt is laying out is lost.
        scroll.fitted.connect(self._on_fitted, Qt.ConnectionType.QueuedConnection)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addStrut(MIN_WIDTH_PX)  # the dock's own minimum width would hide what its content needs
        for widget in (self.status, self.saved):
            widget.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        for widget in (self.message, scroll, self.status, self.saved):
            layout.addWidget(widget)

    def _on_fitted(self, width: int) -> None:
        # Said outright: a size hint that grows alone lets Qt's main window push the dock over its right edge.
        margins = self.layout().contentsMargins()
        self.setMinimumWidth(max(MIN_WIDTH_PX, width + margins.left() + margins.right()))

    def _connect(self) -> None:
        controller = self.controller
        controller.failed.connect(self._on_message)
        controller.busy_changed.connect(self._on_busy)
        controller.live_changed.connect(self._on_live)
        controller.corrections_changed.connect(self._on_corrections)
        controller.clip_changed.connect(self._on_clip)
        controller.model_changed.connect(self.finetune.corrections_changed)
        self.finetune.model_ready.connect(controller.load_model)
        # While a slow model computes nothing changes; look again after a moment.
        self._look_again = QTimer(self, singleShot=True, interval=COMPUTING_AFTER_MS)
        self._look_again.timeout.connect(self._on_waited)
        self._waited = False
        app = QApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(controller.close)
        # A dock's closeEvent is not called when the window closes. A bound method of a dying object would be
        # disconnected before the signal, so a plain callable holds the controller.
        self.destroyed.connect(partial(_close, controller))

    def _on_message(self, text: str) -> None:
        self.message.setText(text)
        self.message.setVisible(bool(text))

    def _on_busy(self, text: str) -> None:
        self._busy = text
        self.status.setText(text)
        if not text:
            self._show_status()

    def _open_companions(self) -> None:
        """Dock the timeline below the canvas and the list of errors behind this dock, with the first clip."""
        if self.timeline is not None or self.controller.closed:
            return
        window = self.controller.viewer.window
        self.timeline = Timeline(self.controller, find_blobs=ErrorBlobCodec())
        self.triage = TriagePanel(self.controller)
        self.triage.set_source(self.timeline.source)
        window.add_dock_widget(self.timeline, name="Timeline", area="bottom")
        window.add_dock_widget(self.triage, name="Worst first", area="right", tabify=True)
        own = self.parentWidget()
        if isinstance(own, QDockWidget):
            own.raise_()

    def _on_clip(self) -> None:
        self._open_companions()
        self.finetune.corrections_changed()
        self._show_status()

    def _on_live(self, _state: LiveState) -> None:
        self._show_status()
        self._look_again.start()

    def _show_status(self) -> None:
        session = self.controller.session
        if session is None:
            return
        state, has_model = session.live.state, self.controller.model is not None
        self.status.setText(describe(state, session.store.shape[0], has_model=has_model))
        self._show_notice(notice(state, has_model=has_model, waiting=self._waited))
        self._waited = False

    def _show_notice(self, text: str) -> None:
        """Write on the canvas what must not be overlooked; rarely, as each change draws all panels anew."""
        overlay = self.controller.viewer.canvas.overlays.text
        if overlay.visible == bool(text) and overlay.text == text:
            return
        overlay.text, overlay.position, overlay.visible = text, "bottom_center", bool(text)

    def _on_waited(self) -> None:
        self._waited = True
        self._show_status()

    def _on_corrections(self) -> None:
        session = self.controller.session
        self.finetune.corrections_changed()
        if session is None:
            return
        store = session.store
        num_edited, unsaved = len(store.edited_frames), len(store.unsaved_frames)
        if store.save_error is not None:
            self._on_message(str(store.save_error))
        state = f"{unsaved} not saved yet" if unsaved else "all saved"
        frames = "1 frame" if num_edited == 1 else f"{num_edited} frames"
        self.saved.setText(f"{frames} corrected, {state}" if num_edited or unsaved else "No corrections yet.")
        self.saved.setToolTip(str(store.folder))


def describe(state: LiveState, num_frames: int, *, has_model: bool) -> str:
    """Say in one line what the panels show."""
    frame = f"Frame {state.frame_index} of 0-{num_frames - 1}"
    if state.frame_error is not None:
        return f"{frame}: cannot be decoded. {state.frame_error.what}"
    if state.shown != state.frame_index:
        return f"{frame}: reading ..."
    if not has_model:
        return f"{frame}: no model loaded"
    if state.prediction_error is not None:
        return f"{frame}: the model failed"
    if state.predicted is None:
        return f"{frame}: predicting ..."
    if state.predicted != state.frame_index:
        return f"{frame}: predicting ... (panels 3 and 4 show frame {state.predicted})"
    if state.scores is not None:
        return f"{frame}: mean IoU {state.scores.mean_iou:.3f}"
    return f"{frame}: {'no comparison' if state.mask_note else 'comparing ...'}"


def notice(state: LiveState, *, has_model: bool, waiting: bool) -> str:
    """Say what a person looking at the panels must know; empty where all is as it seems.

    Parameters
    ----------
    state : LiveState
    has_model : bool
    waiting : bool
        Whether nothing has changed for a while: only then a prediction under way is worth a word.
    """
    if state.frame_error is not None:
        return f"Frame {state.frame_index} cannot be decoded"
    if not has_model:
        return "No model loaded: there is no prediction"
    if state.prediction_error is not None:
        return "The model failed on this frame"
    if waiting and state.predicted not in (None, state.frame_index):
        return f"Predicting frame {state.frame_index}; the lower panels show frame {state.predicted}"
    return ""


def _close(controller: ReviewController, _object: object = None) -> None:
    controller.close()
