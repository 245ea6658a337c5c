"""The dock's section on mending: taking over what the model predicts, as one undoable stroke."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QPushButton, QSizePolicy, QWidget

from napari_hogseg.session.ledger import Proposal
from napari_hogseg.session.mending import (
    accept_blob,
    accept_class,
    accept_everywhere,
    accept_region,
    polygon_region,
)
from napari_hogseg.ui.canvas_access import canvas_widget
from napari_hogseg.ui.labels import to_display
from napari_hogseg.ui.region_lasso import RegionLasso
from napari_hogseg.ui.section import Section, wrapped_label

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_hogseg.session.mending import Edit
    from napari_hogseg.ui.review_controller import ReviewController

NO_PREDICTION = "There is no prediction of this frame yet."
OTHER_CLASSES = "The model's classes are not those of the masks: nothing can be taken over."
LOCKED = "This frame's mask cannot be read, so it is not written."
NOTHING = "Nothing to take over: mask and prediction agree here."
DRAW = "Draw round what is to be taken over, in any panel of the canvas; Esc ends it."
NO_REGION = "That was no outline: hold the mouse and draw round a region."


class MendingSection(Section):
    """Buttons that take over the prediction of a class, of a region, or of the frame; a key, under the mouse.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional

    Attributes
    ----------
    lasso : RegionLasso or None
        While a region is to be drawn.
    """

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__("Take over the prediction", parent=parent)
        self._controller = controller
        self.of_class = QPushButton("This class")
        self.of_class.setToolTip("Where the model predicts the class one paints with.")
        self.of_frame = QPushButton("Whole frame")
        self.of_frame.setToolTip("Everything the model predicts on this frame.")
        self.of_region = QPushButton("Region...", checkable=True)
        self.of_region.setToolTip("Inside an outline that you draw.")
        self.lasso: RegionLasso | None = None
        row = QGridLayout()
        for column, button in enumerate((self.of_class, self.of_region, self.of_frame)):
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            row.addWidget(button, 0, column)
        self.body.addLayout(row)
        self.note = wrapped_label()
        self.body.addWidget(self.note)
        self.of_class.clicked.connect(lambda: self.accept_class())
        self.of_frame.clicked.connect(lambda: self.accept_frame())
        self.of_region.clicked.connect(lambda: self.draw_region())
        controller.clip_changed.connect(self._end_region)
        controller.closing.connect(self._end_region)
        controller.keys.add(
            "accept_error", "Take over the prediction's error under the mouse", "J", self.accept_under_mouse
        )
        controller.keys.add(
            "accept_region", "Take over the prediction in a region that you draw", "Shift+J", self.draw_region
        )
        controller.keys.changed.connect(self._show_state)
        for signal in (controller.clip_changed, controller.model_changed, controller.class_changed):
            signal.connect(self._show_state)
        controller.live_changed.connect(lambda _state: self._show_state())
        self._show_state()

    def accept_class(self) -> None:
        """Take over the class one paints with."""
        class_id, masks = self._controller.selected_class, self._masks()
        if class_id is not None and masks is not None:
            self._apply(accept_class(*masks, class_id))

    def accept_frame(self) -> None:
        """Take over all of the frame's prediction."""
        masks = self._masks()
        if masks is not None:
            self._apply(accept_everywhere(*masks))

    def accept_under_mouse(self) -> None:
        """Take over the one error under the mouse, in whichever panel it is."""
        masks = self._masks()
        if masks is not None:
            row, column = (round(float(each)) for each in self._controller.viewer.cursor.position[-2:])
            self._apply(accept_blob(*masks, row, column))

    def draw_region(self) -> None:
        """Let a region be drawn on the canvas, as often as wanted; a second call ends it."""
        viewer = self._controller.viewer
        canvas = canvas_widget(viewer) if self.lasso is None and not self._why_not() else None
        if canvas is None:
            self._end_region()
            return
        self.lasso = RegionLasso(canvas, viewer)
        self.lasso.drawn.connect(self._accept_region)
        self.lasso.unwanted.connect(self._end_region)
        self.of_region.setChecked(True)
        self.note.setText(DRAW)

    def _accept_region(self, outline: npt.NDArray[np.float64]) -> None:
        masks = self._masks()
        if masks is None:
            self._end_region()
            return
        region = polygon_region(masks[0].shape, outline)
        if region.any():
            self._apply(accept_region(*masks, region))
        else:
            self.note.setText(NO_REGION)

    def _end_region(self) -> None:
        self.of_region.setChecked(False)
        lasso, self.lasso = self.lasso, None
        if lasso is None:
            return
        canvas = lasso.parentWidget()
        lasso.hide()
        lasso.deleteLater()
        canvas.setFocus(Qt.FocusReason.OtherFocusReason)  # keys go where they went before
        self._show_state()

    def _masks(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None:
        """Mask and prediction of the frame on the slider; None where one may not be taken for the other."""
        session = self._controller.session
        if session is None or self._why_not():
            return None
        prediction = session.live.predicted_class_ids
        return (
            None if prediction is None else (session.store.mask(session.live.state.frame_index), prediction)
        )

    def _why_not(self) -> str:
        session, model = self._controller.session, self._controller.model
        if session is None or model is None or session.live.predicted_class_ids is None:
            return NO_PREDICTION
        if model.predictor.scheme.classes != session.store.scheme.classes:
            return OTHER_CLASSES
        return LOCKED if session.store.problem(session.live.state.frame_index) is not None else ""

    def _apply(self, edit: Edit) -> None:
        """Write through the layer, so that napari's undo has it as one stroke."""
        session, layer = self._controller.session, self._controller.truth_layer
        if session is None or layer is None:
            return
        if not edit.num_pixels:
            self.note.setText(NOTHING)
            return
        frames = np.full(edit.num_pixels, session.live.state.frame_index)
        with session.store.acting("accept", self._proposal()):
            layer.data_setitem((frames, edit.rows, edit.cols), to_display(edit.values))
        self.note.setText(f"Took over {edit.num_pixels:,} pixels. Ctrl+Z takes them back.")

    def _proposal(self) -> Proposal | None:
        """Name the model, for the ledger."""
        model = self._controller.model
        return None if model is None else Proposal(digest=model.predictor.digest, name=model.predictor.name)

    def _show_state(self) -> None:
        why = self._why_not()
        self.of_frame.setEnabled(not why)
        self.of_region.setEnabled(not why or self.lasso is not None)
        self.of_class.setEnabled(not why and self._controller.selected_class is not None)
        text = why or (self._key_text() if self.lasso is None else DRAW)
        if not self.note.text().startswith("Took over") or why:
            self.note.setText(text)

    def _key_text(self) -> str:
        keys = self._controller.keys
        key = keys.key_of("accept_error") if keys.actions else ""
        return f"Key {key} takes over the error under the mouse." if key else ""
