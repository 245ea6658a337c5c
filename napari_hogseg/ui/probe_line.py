"""A line that says what all panels hold under the mouse: class by mask, by prediction and how sure, edge."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.features.drawing import dominant_orientation
from napari_hogseg.features.live import cell_histogram
from napari_hogseg.ui.live import on_gui_thread

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from napari_hogseg.data.scheme import LabelScheme
    from napari_hogseg.ui.review_controller import ReviewController

PAUSE_MS = 60
ABOUT = "What lies under the mouse, in whichever panel it is."


class ProbeLine(QLabel):
    """One line of text that follows the mouse over the canvas.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional
    """

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__("", parent)
        self._controller = controller
        self.setToolTip(ABOUT)
        self.setWordWrap(True)
        self.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._later = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self._later.timeout.connect(self._say)
        controller.viewer.cursor.events.position.connect(self._on_moved)
        controller.closing.connect(self._let_go)
        controller.live_changed.connect(lambda _state: self._on_moved())

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 - Qt's name
        """Keep three lines of the theme's font: no move of the mouse may move what is above."""
        super().changeEvent(event)
        self.setFixedHeight(3 * self.fontMetrics().lineSpacing() + 4)

    def _on_moved(self, _event: object = None) -> None:
        if not self._later.isActive():
            self._later.start()

    def _let_go(self) -> None:
        self._later.stop()
        self._controller.viewer.cursor.events.position.disconnect(self._on_moved)

    @on_gui_thread
    def _say(self) -> None:
        session = self._controller.session
        view = None if session is None else session.live.view
        if session is None or view is None or view.frame_index != session.live.state.frame_index:
            self.setText("")
            return
        row, column = (round(float(each)) for each in self._controller.viewer.cursor.position[-2:])
        height, width = view.frame.shape[:2]
        if not (0 <= row < height and 0 <= column < width):
            self.setText("")
            return
        told = [f"({row}, {column})"]
        if session.store.has_mask(view.frame_index):
            class_id = session.store.mask(view.frame_index)[row, column]
            told.append(f"mask: {_class_name(class_id, session.store.scheme)}")
        predicted, model = session.live.predicted_class_ids, self._controller.model
        if predicted is not None and model is not None:
            class_id, probabilities = predicted[row, column], session.live.probabilities
            sure = "" if probabilities is None else percent(probabilities.at(row, column)[class_id])
            told.append(f"model: {_class_name(class_id, model.predictor.scheme)}{sure}")
        told.append(
            edge_text(
                view.frame, row, column, self._controller.hog.orientations, self._controller.hog.cell_px
            )
        )
        self.setText(" · ".join(told))


def percent(probability: float) -> str:
    """Say a probability: ' 87 %'; nothing is said to be certain that is not."""
    rounded = round(100 * probability)
    return " >99 %" if rounded == 100 and probability < 1 else f" {rounded} %"


def _class_name(class_id: np.uint8, scheme: LabelScheme) -> str:
    return "unlabelled" if class_id == IGNORE else scheme.classes[class_id]


def edge_text(
    frame_HWC: npt.NDArray[np.uint8], row: int, column: int, orientations: int, cell_px: int
) -> str:
    """Say which way the edges run in the HOG cell that holds a pixel.

    Returns
    -------
    str
        The edge's angle in degrees, 0 horizontal, 90 vertical, its energy (the strongest bin, mean grey
        levels a pixel), and how well the cell's bins agree, 0 to 1; 'no edge' where nothing changes.
    """
    top, left = (row // cell_px) * cell_px, (column // cell_px) * cell_px
    # With its neighbours each gradient of the cell is the frame's own.
    cells = frame_HWC[max(0, top - cell_px) : top + 2 * cell_px, max(0, left - cell_px) : left + 2 * cell_px]
    at = min(1, top // cell_px), min(1, left // cell_px)
    histogram = cell_histogram(cells.copy(), orientations, cell_px)
    if at[0] >= histogram.shape[0] or at[1] >= histogram.shape[1]:
        return "no whole HOG cell here"
    gradient_rad, agreement = dominant_orientation(histogram)
    if not agreement[at] > 0:
        return "no edge"
    # The bins count the gradient's angle from the column axis towards the rows; the edge is across it.
    degrees = math.degrees(math.fmod(float(gradient_rad[at]) + math.pi / 2, math.pi))
    energy = float(histogram[at].max())
    return f"edge {degrees:.0f}°, energy {energy:.1f}, agreement {agreement[at]:.2f}"
