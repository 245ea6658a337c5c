"""Reopening a clip where it was left: what to keep while one works, and how to bring it back.

What is kept goes to the session's own writer thread; what was kept is read where the session is opened.
Neither is done on the GUI thread. A state that makes no sense is passed over.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

from napari_hogseg.session.state import Marks, SessionState
from napari_hogseg.ui.canvas_access import playback
from napari_hogseg.ui.live import on_gui_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_hogseg.ui.review_controller import ReviewController, Session
    from napari_hogseg.ui.triage_panel import TriagePanel
    from napari_hogseg.ui.view_section import ShowSection

#: Playback and the wheel change things many times a second; once things rest this long they are noted.
SETTLE_MS = 300
#: Beyond these a camera shows nothing.
ZOOMS, BRUSHES_PX = (1e-3, 1e3), (1, 1000)


class SessionMemory(QObject):
    """Keeps where a reviewer is and brings it back with the clip.

    Parameters
    ----------
    controller : ReviewController
    show : ShowSection
        Where one chooses panels and look.
    parent : QObject, optional
    """

    def __init__(
        self, controller: ReviewController, show: ShowSection, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._controller, self._show = controller, show
        self._triage: TriagePanel | None = None
        self._marks = Marks()
        self._marks_changed = False
        self._restored: Session | None = None
        self._playing: Callable[[], bool] = lambda: False
        self._later = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._later.timeout.connect(self.note)
        # After all others have taken up the new clip.
        self._soon = QTimer(self, singleShot=True, interval=0)
        self._soon.timeout.connect(self._restore)
        controller.clip_changed.connect(self._on_clip)
        controller.model_changed.connect(self.note)  # at once: it may open the clip anew
        controller.busy_changed.connect(self._on_busy)
        controller.closing.connect(self._on_closing)
        for signal in (
            controller.class_changed,
            controller.look_changed,
            controller.grid.changed,
            controller.stage.changed,
            controller.layers.renamed,
        ):
            signal.connect(self._later.start)
        camera = controller.viewer.scene.camera
        self._events = (controller.viewer.dims.events.current_step, camera.events.zoom, camera.events.center)
        for event in self._events:
            event.connect(self._on_event)

    def follow(self, triage: TriagePanel) -> None:
        """Keep the marks of the lists too."""
        self._triage = triage
        triage.state_changed.connect(self._on_marked)

    @on_gui_thread
    def note(self) -> None:
        """Keep where the reviewer is now; written by itself within two seconds."""
        session = self._restored
        if session is not None and session is self._controller.session:
            self._later.stop()
            if not self._playing():  # nobody need be there
                session.store.note_activity()
            session.store.remember(self._state(session))

    # --- keeping ----------------------------------------------------------------------------------

    def _state(self, session: Session) -> SessionState:
        controller = self._controller
        model, layer, look = controller.model, controller.truth_layer, controller.layers.look
        place, before = controller.view.place, session.store.records.last_state
        masks = session.masks or (Path(before.masks) if before is not None and before.masks else None)
        dataset = session.clip.dataset
        return SessionState(
            clip=str(session.clip.source.path),
            masks="" if masks is None else str(masks),
            dataset="" if dataset is None else str(dataset.root),
            layout="auto" if dataset is None else dataset.layout.reference,
            model="" if model is None else str(model.path),
            model_digest="" if model is None else model.predictor.digest,
            frame_index=session.live.state.frame_index,
            zoom=None if place is None else place[0],
            center=None if place is None else place[1],
            selected_class=controller.selected_class,
            brush_px=None if layer is None else float(layer.brush_size),
            opacity=look.opacity,
            palette=look.palette,
            contours=look.contours,
            hidden_classes=tuple(sorted(look.hidden)),
            shown_panels=tuple(key for key, box in self._show.boxes.items() if box.isChecked()),
            enlarged=controller.grid.enlarged or "",
            panel_names=controller.layers.names,
            panel_layout=controller.stage.name,
            large_panel=controller.stage.large,
            swipe_pair=controller.stage.pair,
            marks=self._take_marks(),
        )

    def _take_marks(self) -> Marks:
        """Ask the lists only after a mark: that goes through all errors."""
        if self._marks_changed and self._triage is not None:
            self._marks, self._marks_changed = Marks.model_validate(self._triage.state()), False
        return self._marks

    def _on_marked(self) -> None:
        self._marks_changed = True
        self._later.start()

    def _on_busy(self, what: str) -> None:
        """Keep the last of it before another clip is opened."""
        if what:
            self.note()

    def _on_event(self, _event: object) -> None:
        self._later.start()

    # --- bringing back ----------------------------------------------------------------------------

    def _on_clip(self) -> None:
        self._restored = None
        self._soon.start()

    @on_gui_thread
    def _restore(self) -> None:
        session = self._controller.session
        if session is None or session is self._restored:
            return
        self._playing = playback(self._controller.viewer)
        state = session.store.records.last_state
        self._marks, self._marks_changed = Marks() if state is None else state.marks, False
        if state is not None:
            if self._reopen_with_masks(session, state):
                return
            self._show_look(session, state)
            self._show_place(session, state)
            if self._triage is not None:
                self._triage.restore(state.marks.model_dump())
            self._load_model(state)
        self._restored = session
        self.note()

    def _reopen_with_masks(self, session: Session, state: SessionState) -> bool:
        """Open a clip again with the masks it had, if it was opened without any."""
        if session.masks is not None or session.clip.truth is not None or not state.masks:
            return False
        masks = Path(state.masks)
        if not masks.is_dir():
            return False
        self._controller.open(session.path, masks)
        return True

    def _show_look(self, session: Session, state: SessionState) -> None:
        show, num_classes = self._show, session.clip.scheme.num_classes
        if show.palette_box.findText(state.palette) >= 0:
            show.palette_box.setCurrentText(state.palette)
        show.contours.setChecked(state.contours)
        if state.opacity is not None:
            show.opacity.setValue(round(100 * state.opacity))
        hidden = frozenset(class_id for class_id in state.hidden_classes if 0 <= class_id < num_classes)
        self._controller.set_look(replace(self._controller.layers.look, hidden=hidden))
        for key in show.boxes:
            self._controller.layers.rename(key, state.panel_names.get(key, ""))
        if set(state.shown_panels) & show.boxes.keys():
            for key, box in show.boxes.items():
                box.setChecked(key in state.shown_panels)
        self._show_layout(state)
        if state.enlarged in state.shown_panels and state.enlarged in show.boxes:
            self._controller.enlarge(state.enlarged)

    def _show_layout(self, state: SessionState) -> None:
        """Lay the panels out as they were, as far as they are shown."""
        stage, shown = self._controller.stage, set(state.shown_panels) & self._show.boxes.keys()
        pair = state.swipe_pair
        whole = len(pair) == 2 and pair[0] != pair[1] and set(pair) <= shown
        needed = {"grid": True, "strip": state.large_panel in shown, "swipe": whole}
        if needed.get(state.panel_layout, False):
            self._controller.set_layout(
                state.panel_layout,
                (pair[0], pair[1]) if whole else stage.pair,
                large=state.large_panel if state.large_panel in shown else None,
            )

    def _show_place(self, session: Session, state: SessionState) -> None:
        controller = self._controller
        layer, num_classes = controller.truth_layer, session.clip.scheme.num_classes
        controller.go_to(min(state.frame_index, session.store.shape[0] - 1))
        if layer is not None and state.brush_px is not None:
            layer.brush_size = min(max(state.brush_px, BRUSHES_PX[0]), BRUSHES_PX[1])
        if (
            layer is not None
            and state.selected_class is not None
            and state.selected_class in range(num_classes)
        ):
            layer.selected_label = state.selected_class + 1  # no tool is taken up: a click must not paint yet
        if state.zoom is not None and state.center is not None and ZOOMS[0] <= state.zoom <= ZOOMS[1]:
            height, width = session.store.shape[1:]
            row, col = state.center
            if 0 <= row <= height and 0 <= col <= width:
                controller.view.show_place(state.zoom, (row, col))

    def _load_model(self, state: SessionState) -> None:
        controller, path = self._controller, Path(state.model)
        if controller.model is None and state.model_digest and path.is_dir():
            controller.load_model(path, state.model_digest)

    def _on_closing(self) -> None:
        """Keep the last of it: the session writes it as it closes."""
        self.note()
        self._later.stop()
        self._soon.stop()
        for event in self._events:
            event.disconnect(self._on_event)
