"""The review behind the dock: opening clips and models, painting, closing.

Owns the life of clip, store, layers and live computing in one viewer. Widgets are in the dock's sections,
which call the methods here and listen to the signals; nothing here knows a widget.
"""

from __future__ import annotations

import logging
import threading
import weakref
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal

from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.protocols import DEFAULT
from napari_hogseg.session.annotations import AnnotationStore, CorrectionExport, session_folder
from napari_hogseg.session.clips import Clip, open_clip
from napari_hogseg.ui.canvas_access import canvas_widget, while_window_lasts
from napari_hogseg.ui.fitted_view import FittedView
from napari_hogseg.ui.keys import KeyMap
from napari_hogseg.ui.labels import EditableMasks
from napari_hogseg.ui.live import LiveChannel, on_gui_thread
from napari_hogseg.ui.live_review import LiveReview, LiveState
from napari_hogseg.ui.opening_jobs import LoadedModel, load_model, open_after_saving, swap_stores
from napari_hogseg.ui.panels import PanelGrid
from napari_hogseg.ui.preferences import read_preferences
from napari_hogseg.ui.products import FrameRenderer, HogSettings, warm_up
from napari_hogseg.ui.review_layers import HOG, TRUTH, ReviewLayers
from napari_hogseg.ui.stage_layout import StageLayout
from napari_hogseg.ui.undo_guard import UndoGuard

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Labels
    from napari.viewer import Viewer

    from napari_hogseg.data.layouts import DataSet
    from napari_hogseg.inference.predictor import Predictor
    from napari_hogseg.ui.looks import MaskLook

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Session:
    """Everything that lives as long as a clip is on screen."""

    path: Path
    masks: Path | None
    clip: Clip
    store: AnnotationStore
    live: LiveReview


def default_sessions_root() -> Path:
    """Where corrections are kept: the user's data folder, never the data set's own."""
    return Path(platformdirs.user_data_dir("napari-hogseg", appauthor=False)) / "sessions"


class ReviewController(QObject):
    """One review in one viewer.

    Parameters
    ----------
    viewer : napari.Viewer
    sessions_root : Path, optional
        Parent of all session folders.
    parent : QObject, optional

    Attributes
    ----------
    clip_changed, model_changed, corrections_changed, class_changed, look_changed : Signal()
    live_changed : Signal(object)
        A LiveState.
    failed : Signal(str)
        A message for the person; empty when an action that clears the last one began.
    busy_changed : Signal(str)
        What is being opened or loaded; empty when nothing is.
    panel_closed : Signal(str)
        The user deleted a panel's layer.
    said : Signal(str)
        What happened elsewhere than the person looked, such as an undo on another frame.
    closing : Signal()
        The review ends: what works for it must end its threads.
    """

    clip_changed = Signal()
    model_changed = Signal()
    corrections_changed = Signal()
    class_changed = Signal()
    look_changed = Signal()
    live_changed = Signal(object)
    failed = Signal(str)
    busy_changed = Signal(str)
    panel_closed = Signal(str)
    said = Signal(str)
    closing = Signal()
    _store_changed = Signal()

    def __init__(
        self, viewer: Viewer, sessions_root: Path | None = None, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.sessions_root = sessions_root or default_sessions_root()
        self.session: Session | None = None
        self._opening: Session | None = None
        self.model: LoadedModel | None = None
        self.previous_model: LoadedModel | None = None
        self.preferences = read_preferences(self.sessions_root)
        self.keys = KeyMap(viewer, self.preferences.keys, self)
        self.hog = self.preferences.hog
        self._closed = False
        canvas = canvas_widget(viewer)
        self._window = None if canvas is None else weakref.ref(canvas.window())
        self.grid = PanelGrid(viewer, self)
        self.grid.closed.connect(self.panel_closed.emit)
        self.layers = ReviewLayers(viewer, self.grid, self)
        self.layers.look = self.preferences.look
        self.layers.opened.connect(self._on_layers_opened)
        self.view = FittedView(viewer, self)
        self.stage = StageLayout(self)
        self._clips = self._channel("opening", self._on_clip_opened)
        self._stores = self._channel("opening corrections", self._on_store_opened)
        self._models = self._channel("loading the model", self._on_model_loaded)
        # A stroke changes the store hundreds of times; the dock wants to know a few times a second.
        self._coalesce = QTimer(self, singleShot=True, interval=100)
        self._coalesce.timeout.connect(self.corrections_changed.emit)
        self._store_changed.connect(self._on_store_changed)
        viewer.dims.events.current_step.connect(self._on_step)
        self._zooms = list(viewer.mouse_double_click_callbacks)
        viewer.mouse_double_click_callbacks[:] = [self._on_double_click]
        self._warming = threading.Thread(target=warm_up, name="hogseg-warm-up", daemon=True)
        self._warming.start()

    def _channel(self, name: str, on_ready: Callable[[Any], None]) -> LiveChannel:
        channel = LiveChannel(name, self)
        channel.ready.connect(on_ready)
        channel.failed.connect(self._on_failed)
        return channel

    # --- clips ------------------------------------------------------------------------------------

    def open(
        self, path: Path, masks: Path | None = None, *, layout: str = "auto", dataset: DataSet | None = None
    ) -> None:
        """Open a clip in the background; the one on screen stays until the new one is there.

        Parameters
        ----------
        path : Path
            Video, image folder or data set.
        masks : Path, optional
            Folder of masks.
        layout : str
            Layout of a data set: a name, a table's path, or 'auto'.
        dataset : DataSet, optional
            The data set that `path` is a clip of, where it is open already.
        """
        self._begin(f"Opening {path.name} ...")
        store = None if self.session is None else self.session.store
        scheme = None if self.model is None else self.model.predictor.scheme
        opening = partial(open_clip, path, masks, scheme, layout=layout, dataset=dataset)
        self._clips.invalidate()
        self._clips.request(path, partial(open_after_saving, store, path, masks, opening))

    @on_gui_thread
    def _on_clip_opened(self, opened: tuple[Path, Path | None, Clip]) -> None:
        path, masks, clip = opened
        old = self.session or self._opening
        self._end_live()
        self.layers.close_truth()
        folder = session_folder(self.sessions_root, Path(clip.source.path), clip.scheme)
        job = partial(swap_stores, old, clip, folder, self._store_changed.emit)
        self._stores.request(path, lambda: (path, masks, clip, job()))

    @on_gui_thread
    def _on_store_opened(self, opened: tuple[Path, Path | None, Clip, AnnotationStore]) -> None:
        path, masks, clip, store = opened
        protocol = DEFAULT if clip.dataset is None else clip.dataset.layout.protocol
        live = LiveReview(FrameRenderer(clip.source, store), store, self.layers, self, protocol)
        live.state_changed.connect(self._on_live_state)
        self._opening = Session(path, masks, clip, store, live)
        self.layers.open(EditableMasks(store, self._on_painted, self._on_refused), clip.scheme)

    @on_gui_thread
    def _on_layers_opened(self) -> None:
        session, self._opening = self._opening, None
        if session is None:
            return
        self.session = session
        self._bind_truth_layer()
        self.stage.apply()
        self.viewer.dims.set_current_step(0, 0)
        self.view.fit()
        session.live.set_hog(self.hog)
        session.live.set_predictor(*self._predictors)
        session.live.show_frame(self._frame_index())
        self.busy_changed.emit("")
        self.clip_changed.emit()
        self.corrections_changed.emit()
        if session.store.messages:  # strokes brought back after a crash, a session that is open elsewhere
            self.failed.emit("\n".join(session.store.messages))

    def _end_live(self) -> None:
        """End live computing of the clip on screen; its store is closed elsewhere."""
        for session in (self.session, self._opening):
            if session is not None:
                session.live.close()
                session.live.deleteLater()
        self.session = self._opening = None

    # --- model ------------------------------------------------------------------------------------

    def load_model(self, path: Path, digest: str = "") -> None:
        """Load a model in the background; the one in use predicts until then and stays one click away.

        With a digest it is by itself, as a clip is opened again: no message goes, and it must be that model.
        """
        text = f"Loading {path.name} ..."
        if digest:
            self.busy_changed.emit(text)
        else:
            self._begin(text)
        self._models.invalidate()
        self._models.request(path, partial(load_model, path, digest))

    def use_previous_model(self) -> None:
        """Exchange the model with the one before it."""
        if self.previous_model is not None:
            self._use_model(self.previous_model)

    @property
    def _predictors(self) -> tuple[Predictor | None, Predictor | None]:
        """The model in use and the one before it."""
        now, before = self.model, self.previous_model
        return None if now is None else now.predictor, None if before is None else before.predictor

    @on_gui_thread
    def _on_model_loaded(self, model: LoadedModel) -> None:
        self.busy_changed.emit("")
        self._use_model(model)

    def _use_model(self, model: LoadedModel) -> None:
        self.previous_model, self.model = self.model, model
        self.model_changed.emit()
        session = self.session
        if session is None:
            return
        session.live.set_predictor(*self._predictors)
        differs = session.clip.scheme.classes != model.predictor.scheme.classes
        if differs and not session.clip.named and not session.store.edited_frames:
            self.open(session.path, session.masks)  # nobody named the classes yet: the model does

    # --- what is shown ----------------------------------------------------------------------------

    def set_hog(self, hog: HogSettings) -> None:
        """Draw HOG maps with other parameters."""
        self.hog = hog
        if self.session is not None:
            self.session.live.set_hog(hog)
        self.look_changed.emit()

    def set_panel_visible(self, key: str, *, visible: bool) -> None:
        """Show or hide a panel; one whose layers were deleted is made anew."""
        session = self.session
        if session is None:
            return
        if visible and self.grid.get(key) is None:
            self.layers.make(key)
            if key == TRUTH:
                self._bind_truth_layer()
            elif self.truth_layer is not None:  # napari makes a new layer the one that is painted on
                self.viewer.layers.selection = {self.truth_layer}
            session.live.show_frame(self._frame_index())
        self.grid.set_visible(key, visible=visible)
        self.view.keep()
        if key == HOG:
            session.live.set_hog(self.hog if visible else None)
        elif visible:
            session.live.compute_extras()

    def set_layout(self, name: str, pair: tuple[str, str] | None = None, *, large: str | None = None) -> None:
        """Lay the panels out: 'grid', 'strip' beside a large panel, or 'swipe' between a pair of panels."""
        try:
            self.stage.choose(name, pair, large)
        except InputError as error:
            self.failed.emit(str(error))
        self.view.fit()
        if self.session is not None:
            self.session.live.compute_extras()

    def enlarge(self, key: str | None) -> None:
        """Give one panel the whole canvas; None puts the layout back."""
        self.grid.enlarge(key)
        self.view.keep()
        if self.session is not None:
            self.session.live.compute_extras()

    def _on_double_click(self, _viewer: Viewer, _event: object) -> None:
        """Give the panel under the mouse the whole canvas, or put the layout back; napari would zoom."""
        layer = self.truth_layer
        active = self.viewer.layers.selection.active
        if layer is not None and active == layer and str(layer.mode) not in ("pan_zoom", "transform"):
            return  # its first click has painted already, and closes a polygon
        self.enlarge(None if self.grid.enlarged else self.stage.panel_under_mouse())

    def set_look(self, look: MaskLook) -> None:
        """Draw the masks in another look: palette, hidden classes, outlines, opacity."""
        before, outlined = self.layers.look, self.layers.look.contours or look.contours
        if look == before:
            return
        self.layers.set_look(look)
        if self.session is not None and outlined:
            self.session.live.redraw()
        self.look_changed.emit()

    def select_class(self, class_id: int | None) -> None:
        """Paint with a class from now on; None erases to unlabelled."""
        layer = self.truth_layer
        if layer is None:
            return
        self.viewer.layers.selection = {layer}
        self.viewer.layers.selection.active = layer
        if class_id is not None:
            layer.selected_label = class_id + 1
        if layer.editable:
            layer.mode = "erase" if class_id is None else "paint"
            if not layer.visible:  # napari takes up no tool for it then
                self.said.emit(
                    f"{self.layers.title_of(TRUTH)} is not on the canvas and cannot be painted there"
                )
        self.class_changed.emit()

    def go_to(
        self, frame_index: int, box: tuple[int, int, int, int] | None = None, class_id: int | None = None
    ) -> None:
        """Show a frame; if given, zoom to a box (row0, col0, row1, col1) and take up the brush of a class."""
        if self.session is None or not 0 <= frame_index < self.session.store.shape[0]:
            return
        self.viewer.dims.set_current_step(0, frame_index)
        if box is not None:
            self.view.show_box(box, self.session.store.shape[1:])
        if class_id is not None and class_id < self.session.clip.scheme.num_classes:
            self.select_class(class_id)

    @property
    def selected_class(self) -> int | None:
        """Class one paints with; None for the eraser."""
        layer = self.truth_layer
        if layer is None or str(layer.mode) == "erase" or layer.selected_label == 0:
            return None
        return int(layer.selected_label) - 1

    @property
    def truth_layer(self) -> Labels | None:
        """The layer one paints on."""
        return None if self.session is None else self.layers.truth

    # --- fine-tuning (the panel's provider) -------------------------------------------------------

    def base_model(self) -> Path | None:
        """Model folder a fine-tune starts from."""
        return None if self.model is None else self.model.path

    def num_corrected_frames(self) -> int:
        """Frames with corrections."""
        return 0 if self.session is None else len(self.session.store.edited_frames)

    def export_corrections(self, folder: Path) -> CorrectionExport:
        """Write the corrected frames as a data set; may be called from a worker thread."""
        session = self.session
        if session is None:
            raise InputError("No clip is open", remedy="Open a video or an image folder first.")
        return session.store.export_training_set(folder, session.clip.source)

    # --- events -----------------------------------------------------------------------------------

    def _frame_index(self) -> int:
        num_frames = 1 if self.session is None else self.session.store.shape[0]
        steps = self.viewer.dims.current_step
        return min(max(int(steps[-3]), 0), num_frames - 1) if len(steps) >= 3 else 0

    @on_gui_thread
    def _on_step(self, _event: object = None) -> None:
        session = self.session
        if session is not None and self._frame_index() != session.live.state.frame_index:
            session.live.show_frame(self._frame_index())
            self._lock_unusable(session)

    def _lock_unusable(self, session: Session) -> None:
        """Forbid painting where the mask file cannot be used: it would replace what we cannot read."""
        layer = self.layers.truth
        store = session.store
        usable = store.read_only is None and store.problem(self._frame_index()) is None
        if layer is not None and layer.editable != usable:
            layer.editable = usable

    def _on_live_state(self, state: LiveState) -> None:
        self.live_changed.emit(state)

    def _on_painted(self, frame_index: int) -> None:
        if self.session is not None:
            self.session.live.painted(frame_index)

    def _on_refused(self, error: InputError) -> None:
        self.failed.emit(str(error))
        layer = self.truth_layer
        if layer is not None:
            layer.refresh()

    def _on_store_changed(self) -> None:
        if not self._coalesce.isActive():
            self._coalesce.start()

    def _on_failed(self, _subject: object, error: InputError) -> None:
        self.busy_changed.emit("")
        self.failed.emit(str(error))

    def _begin(self, what: str) -> None:
        self.failed.emit("")
        self.busy_changed.emit(what)

    def _bind_truth_layer(self) -> None:
        layer, session = self.truth_layer, self.session
        if layer is None or session is None:
            return
        layer.events.selected_label.connect(self._on_class_changed)
        layer.events.mode.connect(self._on_class_changed)
        UndoGuard(layer, session.store, on_screen=self._frame_index, go_to=self.go_to, say=self.said.emit)
        for class_id in range(min(9, session.clip.scheme.num_classes)):
            # On this layer only; napari's own tools keep their letters (P paint, E erase, F fill, L pick, Z
            # pan).
            layer.bind_key(str(class_id + 1), self._class_key(class_id), overwrite=True)
        layer.bind_key("0", self._class_key(None), overwrite=True)
        self.viewer.layers.selection = {layer}
        self._lock_unusable(session)

    def _class_key(self, class_id: int | None) -> Callable[[Labels], None]:
        def choose_class(_layer: Labels) -> None:  # napari asks for a name, which a partial has not
            self.select_class(class_id)

        return choose_class

    def _on_class_changed(self, _event: object = None) -> None:
        self.class_changed.emit()

    # --- the end ----------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def _has_window(self) -> bool:
        """Tell whether layers may go: napari would build a slider in a window that Python is deleting."""
        window = None if self._window is None else self._window()
        return self._window is None or (window is not None and isalive(window))

    def close(self) -> bool:
        """Save what is pending and end all threads; True if everything is saved. Safe to call twice."""
        if self._closed:
            return True
        self._closed = True
        self.closing.emit()
        self.keys.close()
        session = self.session or self._opening
        with while_window_lasts():
            self.viewer.dims.events.current_step.disconnect(self._on_step)
            self.viewer.mouse_double_click_callbacks[:] = self._zooms
            self.grid.close()
            self.view.close()
            self.stage.close()
            self._end_live()
            if self._has_window():
                self.layers.close_truth()
                self.layers.close()
        for channel in (self._clips, self._stores, self._models):
            channel.close()
        if session is None:
            return True
        session.live.close()
        saved = session.store.close()
        session.clip.source.close()
        if not saved:
            _LOG.error("corrections of %d frames are not saved", len(session.store.unsaved_frames))
        return saved
