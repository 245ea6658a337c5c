"""The dock: Plugins > HOG segmentation > Review. Puts the sections together and says what is going on.

Everything it does goes through `ReviewController`; this module holds widgets and words only.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QApplication,
    QDockWidget,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_hogseg.session.blob_codec import ErrorBlobCodec
from napari_hogseg.ui.conflict_bar import ConflictBar
from napari_hogseg.ui.dropping import dropped_path, open_dropped
from napari_hogseg.ui.export_section import ExportSection
from napari_hogseg.ui.finetune_panel import FineTunePanel
from napari_hogseg.ui.first_steps import FirstSteps
from napari_hogseg.ui.keys_dialog import KeysDialog
from napari_hogseg.ui.legend_section import LegendSection
from napari_hogseg.ui.linked_cursor import LinkedCursor
from napari_hogseg.ui.mending_section import MendingSection
from napari_hogseg.ui.probe_line import ProbeLine
from napari_hogseg.ui.proposal_section import ProposalSection
from napari_hogseg.ui.remembered import Remembered
from napari_hogseg.ui.report_section import ReportSection
from napari_hogseg.ui.review_controller import ReviewController
from napari_hogseg.ui.review_layers import HOG, PROPOSAL
from napari_hogseg.ui.scores_section import ScoresSection
from napari_hogseg.ui.section import FittingScrollArea, Section, wrapped_label
from napari_hogseg.ui.session_memory import SessionMemory
from napari_hogseg.ui.session_panel import SessionPanel
from napari_hogseg.ui.source_section import ModelSection, SourceSection
from napari_hogseg.ui.timeline import Timeline
from napari_hogseg.ui.tools_section import ToolsSection
from napari_hogseg.ui.triage_panel import TriagePanel
from napari_hogseg.ui.view_section import HogSection, ShowSection

if TYPE_CHECKING:
    import napari.viewer
    from qtpy.QtGui import QDragEnterEvent, QDropEvent

    from napari_hogseg.ui.live_review import LiveState

MIN_WIDTH_PX = 330
ERROR_STYLE = (
    "QLabel { background: rgba(213, 94, 0, 45); border-left: 4px solid rgb(213, 94, 0); padding: 6px; }"
)
COMPUTING_AFTER_MS = 250
#: Time for the layouts of nested widgets, which answer one after the other.
LAID_OUT_MS = 50
LAYOUT_KEYS = {
    "grid": ("Layout: all panels in a grid", "Shift+Q"),
    "strip": ("Layout: one large panel and a strip", "Q"),
    "swipe": ("Layout: swipe between two panels", "D"),
}


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
        self.session_panel: SessionPanel | None = None
        self.status = QLabel("No clip is open.")
        self.saved = QLabel("")
        self.keys_button = QToolButton(text="Keys...")
        self.keys_button.setToolTip("What the keys do, and how to change them.")
        self.steps = FirstSteps(self.controller.keys)
        self.remembered = Remembered(self.controller, self)
        self.keys_dialog: KeysDialog | None = None
        self.probe = ProbeLine(self.controller)
        self.linked_cursor = LinkedCursor(self.controller, self)
        self.message = wrapped_label()
        self.message.setStyleSheet(ERROR_STYLE)
        self.message.setVisible(False)
        self.conflicts = ConflictBar(self.controller)
        self.source = SourceSection(self.controller)
        self.model = ModelSection(self.controller)
        self.show_section = ShowSection(self.controller)
        self.legend = LegendSection(self.controller)
        self.scores = ScoresSection(self.controller)
        self.tools = ToolsSection(self.controller)
        self.mending = MendingSection(self.controller)
        self.carrying = ProposalSection(self.controller)
        self.hog = HogSection(self.controller)
        self.finetune = FineTunePanel(self)
        self.finetune.set_provider(self.controller)
        self.memory = SessionMemory(self.controller, self.show_section, self)
        self._lay_out()
        self._connect()
        self._add_keys()
        self.setAcceptDrops(True)

    def _lay_out(self) -> None:
        self.finetune_section = Section("Fine-tune", opened=False)
        self.finetune_section.body.addWidget(self.finetune)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(4, 4, 4, 4)
        column.setSpacing(2)
        mending = (self.tools, self.mending, self.carrying)
        for section in (self.source, self.model, self.legend, *mending, self.show_section, self.scores):
            column.addWidget(section)
        column.addWidget(self.finetune_section)
        column.addWidget(self.hog)
        column.addStretch(1)
        scroll = self._scroll = FittingScrollArea(inside)
        # Queued: a width set while Qt is laying out is lost.
        scroll.fitted.connect(self._on_fitted, Qt.ConnectionType.QueuedConnection)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addStrut(MIN_WIDTH_PX)  # the dock's own minimum width would hide what its content needs
        for widget in (self.status, self.saved):
            widget.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        for widget in (self.message, self.conflicts, self.steps, scroll, self.probe, self.status):
            layout.addWidget(widget)
        last = QHBoxLayout()
        last.addWidget(self.saved, 1)
        last.addWidget(self.keys_button)
        layout.addLayout(last)
        self.steps.setVisible(not self.controller.preferences.hint_read)

    def _show_curves(self) -> None:
        """Scroll to a fine-tune's curves as it begins, no further: Stop stays in sight."""
        self._scroll.ensureWidgetVisible(self.finetune.curves, 0, 0)

    def _on_fitted(self, width: int) -> None:
        # Said outright: a size hint that grows alone lets Qt's main window push the dock over its right edge.
        margins = self.layout().contentsMargins()
        self.setMinimumWidth(max(MIN_WIDTH_PX, width + margins.left() + margins.right()))

    def _connect(self) -> None:
        controller = self.controller
        controller.failed.connect(self._on_message)
        controller.said.connect(self._on_said)
        box = self.show_section.boxes[PROPOSAL]
        self.carrying.filled.connect(lambda: box.setChecked(True))
        self.carrying.emptied.connect(lambda: box.setChecked(False))
        self.carrying.changed.connect(self._on_proposals)
        controller.busy_changed.connect(self._on_busy)
        controller.live_changed.connect(self._on_live)
        controller.corrections_changed.connect(self._on_corrections)
        controller.clip_changed.connect(self._on_clip)
        controller.model_changed.connect(self.finetune.corrections_changed)
        self.finetune.model_ready.connect(controller.load_model)
        self._to_curves = QTimer(self, singleShot=True, interval=LAID_OUT_MS)
        self._to_curves.timeout.connect(self._show_curves)
        self.finetune.curves.appeared.connect(self._to_curves.start)
        # While a slow model computes nothing changes; look again after a moment.
        self._look_again = QTimer(self, singleShot=True, interval=COMPUTING_AFTER_MS)
        self._look_again.timeout.connect(self._on_waited)
        self._waited = False
        self._said: tuple[int, str] = (-1, "")
        app = QApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(controller.close)
        # A dock's closeEvent is not called when the window closes. A bound method of a dying object would be
        # disconnected before the signal, so a plain callable holds the controller.
        self.destroyed.connect(partial(_close, controller))

    def _add_keys(self) -> None:
        keys, controller = self.controller.keys, self.controller
        keys.add("outlines", "Outlines or filled masks", "T", self.show_section.contours.toggle)
        keys.add("hog_panel", "HOG map on and off", "H", self.show_section.boxes[HOG].toggle)
        for name, (title, key) in LAYOUT_KEYS.items():
            keys.add(f"layout_{name}", title, key, partial(controller.set_layout, name))
        keys.add("next_corrected", "Next corrected frame", ".", lambda: go_to_corrected(controller, 1))
        keys.add("corrected_before", "Corrected frame before", ",", lambda: go_to_corrected(controller, -1))
        keys.add("accept_proposal", "Accept the proposal of this frame", "Y", self.carrying.accept_frame)
        keys.add("reject_proposal", "Reject the proposal of this frame", "U", self.carrying.reject_frame)
        keys.add("keys", "Show this list", "K", self.show_keys)
        keys.serve(self)
        self.keys_button.clicked.connect(lambda: self.show_keys())
        self.steps.keys_wanted.connect(self.show_keys)
        self.steps.put_away.connect(self._put_steps_away)

    def show_keys(self) -> None:
        """Show what the keys do."""
        if self.keys_dialog is not None:
            self.keys_dialog.close()
            self.keys_dialog.deleteLater()
        self.keys_dialog = KeysDialog(self.controller.keys, self)  # anew: actions come with the first clip
        self.keys_dialog.show()

    def _keep_limits(self) -> None:
        if self.triage is not None:
            self.remembered.limits = self.triage.errors.limits

    def _put_steps_away(self) -> None:
        self.steps.hide()
        self.remembered.hint_read = True

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 - Qt's name
        """Take a file or folder that is dropped on the dock."""
        if dropped_path(event.mimeData()) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 - Qt's name
        """Open what was dropped: a video, frames, a data set, a session, or a model."""
        path = dropped_path(event.mimeData())
        if path is not None:
            event.acceptProposedAction()
            open_dropped(self.controller, path)

    def _on_message(self, text: str) -> None:
        self.message.setText(text)
        self.message.setVisible(bool(text))

    def _on_said(self, text: str) -> None:
        session = self.controller.session
        if session is not None:
            self._said = (session.live.state.frame_index, text)  # until another frame is on screen
            self._show_status()

    def _on_busy(self, text: str) -> None:
        self._busy = text
        self.status.setText(text)
        if not text:
            self._show_status()

    def _open_companions(self) -> None:
        """Dock the timeline below the canvas, errors and session behind this dock, with the first clip."""
        if self.timeline is not None or self.controller.closed:
            return
        window = self.controller.viewer.window
        self.timeline = Timeline(self.controller, find_blobs=ErrorBlobCodec())
        self.triage = TriagePanel(self.controller)
        self.triage.set_source(self.timeline.source)
        self.memory.follow(self.triage)
        self.triage.errors.limits_changed.connect(self._keep_limits)
        window.add_dock_widget(self.timeline, name="Timeline", area="bottom")
        window.add_dock_widget(self.triage, name="Worst first", area="right", tabify=True)
        self.session_panel = SessionPanel(self.controller)
        export = ExportSection(self.controller)
        for section in (export, self.session_panel.merge):
            section.painted.connect(self.timeline.touch)
        self.session_panel.add_section(export)
        report = ReportSection(self.controller)
        report.set_timeline(self.timeline)
        self.session_panel.add_section(report)
        self.controller.keys.serve(self.session_panel)
        window.add_dock_widget(self.session_panel, name="Session", area="right", tabify=True)
        own = self.parentWidget()
        if isinstance(own, QDockWidget):
            own.raise_()

    def _on_proposals(self) -> None:
        if self.timeline is not None and self.carrying.proposals is not None:
            self.timeline.mark_proposals(self.carrying.proposals.frames)

    def _on_clip(self) -> None:
        self._open_companions()
        self.steps.hide()  # its room is needed; until it is put away it comes again with an empty dock
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
        text, (said_on, said) = describe(state, session.store.shape[0], has_model=has_model), self._said
        self.status.setText(f"{said}.  {text}" if said_on == state.frame_index else text)
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
        text = f"{frames} corrected, {state}" if num_edited or unsaved else "No corrections yet."
        self.saved.setText(text if store.read_only is None else f"Read-only. {text}")
        self.saved.setToolTip(str(store.read_only or store.folder))


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
        return f"{frame}: predicting ... (prediction and errors are stale: of frame {state.predicted})"
    if state.scores is not None:
        stale = " (stale: painted on since)" if state.stale else ""
        return f"{frame}: mean IoU {state.scores.mean_iou:.3f}{stale}"
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
        return (
            f"Predicting frame {state.frame_index}; prediction and errors still show frame {state.predicted}"
        )
    return ""


def _close(controller: ReviewController, _object: object = None) -> None:
    controller.close()


def go_to_corrected(controller: ReviewController, direction: int) -> None:
    """Go to the nearest corrected frame after (1) or before (-1) the one on the slider."""
    session = controller.session
    if session is None:
        return
    here = session.live.state.frame_index
    there = [frame for frame in session.store.edited_frames if (frame - here) * direction > 0]
    if there:
        controller.go_to(min(there, key=lambda frame: abs(frame - here)))
