"""A mask that another program changed: says which, and lets the reviewer choose between the two versions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_hogseg.ui.live import LiveChannel, on_gui_thread
from napari_hogseg.ui.section import wrapped_label

if TYPE_CHECKING:
    from napari_hogseg.io.errors import InputError
    from napari_hogseg.session.annotations import AnnotationStore
    from napari_hogseg.session.mask_folder import MaskConflict, Side
    from napari_hogseg.ui.review_controller import ReviewController

HOW = {
    "changed": "was changed by another program",
    "damaged": "is damaged",
    "removed": "was removed",
}
STYLE = "QLabel { background: rgba(230, 159, 0, 45); border-left: 4px solid rgb(230, 159, 0); padding: 6px; }"


class ConflictBar(QWidget):
    """Seen while a frame is locked because its file is not what was written here.

    The clip is opened anew after a choice, at the same place: strokes of the version that was given up must
    not come back by Ctrl+Z.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional
    """

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._shown: tuple[MaskConflict, ...] = ()
        self.text = wrapped_label()
        self.text.setStyleSheet(STYLE)
        self.go_button = QPushButton("Go there", toolTip="Look at the frame.")
        self.ours_button = QPushButton(
            "Keep what I painted",
            toolTip="Writes your mask again; the file goes to set-aside in the session.",
        )
        self.theirs_button = QPushButton(
            "Take the file's", toolTip="The file counts; your mask goes to set-aside in the session."
        )
        buttons = QHBoxLayout()
        for button in (self.go_button, self.ours_button, self.theirs_button):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addLayout(buttons)
        self.setVisible(False)
        self._work = LiveChannel("choice between two masks")
        self._work.ready.connect(self._on_chosen)
        self._work.failed.connect(self._on_failed)
        # No parent and a plain callable: it must outlive the widget to end its thread.
        self.destroyed.connect(partial(_close, self._work))
        self.go_button.clicked.connect(self._go)
        self.ours_button.clicked.connect(lambda: self._choose("ours"))
        self.theirs_button.clicked.connect(lambda: self._choose("theirs"))
        for signal in (controller.clip_changed, controller.corrections_changed, controller.live_changed):
            signal.connect(self._look)

    def _look(self, _state: object = None) -> None:
        session = self._controller.session
        found = () if session is None else session.store.conflicts
        if found != self._shown:
            self._shown = found
            self._show()

    def _show(self) -> None:
        self.setVisible(bool(self._shown))
        if not self._shown:
            return
        first, others = self._shown[0], len(self._shown) - 1
        more = f" {others} more after this one." if others else ""
        self.text.setText(
            f"Frame {first.frame_index} is locked: {first.path.name} {HOW[first.how]} since you painted it. "
            f"Neither version is lost; which one counts?{more}"
        )
        self.text.setToolTip(str(first.path))
        self._enable(on=True)

    def _enable(self, *, on: bool) -> None:
        for button in (self.go_button, self.ours_button, self.theirs_button):
            button.setEnabled(on)

    def _go(self) -> None:
        if self._shown:
            self._controller.go_to(self._shown[0].frame_index)

    def _choose(self, keep: Side) -> None:
        session = self._controller.session
        if session is not None and self._shown:
            self._enable(on=False)
            self._work.request(keep, partial(_resolve, session.store, self._shown[0].frame_index, keep))

    @on_gui_thread
    def _on_chosen(self, store: AnnotationStore) -> None:
        session = self._controller.session
        self._look()
        if session is not None and session.store is store:
            self._controller.open(session.path, session.masks, dataset=session.clip.dataset)

    def _on_failed(self, _subject: object, error: InputError) -> None:
        self._enable(on=True)
        self._controller.failed.emit(str(error))


def _resolve(store: AnnotationStore, frame_index: int, keep: Side) -> AnnotationStore:
    store.resolve_conflict(frame_index, keep)
    return store


def _close(work: LiveChannel, _object: object = None) -> None:
    work.close()
