"""One conflict of a merge in two small pictures: what the place looks like by my mask and by theirs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_hogseg.session.merge_choices import both_masks
from napari_hogseg.session.overlays import draw_mask
from napari_hogseg.ui.live import LiveChannel, on_gui_thread

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from napari_hogseg.io.errors import InputError
    from napari_hogseg.session.annotations import AnnotationStore
    from napari_hogseg.session.clips import Clip
    from napari_hogseg.session.merge import Conflict

    Picture = npt.NDArray[np.uint8]  # (H, W, 3)

PICTURE_PX = 128
#: A lone pixel would be a flat square: its surroundings tell where it is.
MIN_SIDE_PX, MARGIN = 48, 0.5


class ConflictPictures(QWidget):
    """Mine and theirs, side by side; hidden where no conflict is shown."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.pictures = (QLabel(), QLabel())
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for picture, whose in zip(self.pictures, ("Mine", "Theirs"), strict=True):
            picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
            picture.setFixedHeight(PICTURE_PX)
            picture.setAccessibleName(f"The place by {whose.lower()}")
            column = QVBoxLayout()
            caption = QLabel(whose)
            caption.setAlignment(Qt.AlignmentFlag.AlignCenter)
            column.addWidget(caption)
            column.addWidget(picture)
            row.addLayout(column)
        self.shown: Conflict | None = None
        self._work = LiveChannel("pictures of a conflict")
        self._work.ready.connect(self._on_ready)
        self._work.failed.connect(self._on_failed)
        # No parent and a plain callable: it must outlive the widget to end its thread.
        self.destroyed.connect(partial(_close, self._work))
        self.clear()

    def show_conflict(self, clip: Clip, store: AnnotationStore, theirs: Path, conflict: Conflict) -> None:
        """Draw a conflict in the background; the newest one wins."""
        if conflict != self.shown:
            self.shown = conflict
            self._work.request(conflict, partial(draw_conflict, clip, store, theirs, conflict))

    def clear(self) -> None:
        """Show nothing."""
        self.shown = None
        self._work.invalidate()
        self.setVisible(False)

    def close_work(self) -> None:
        """End the thread."""
        self._work.close()

    @on_gui_thread
    def _on_ready(self, drawn: tuple[Picture, Picture]) -> None:
        for label, pixels in zip(self.pictures, drawn, strict=True):
            height, width = pixels.shape[:2]
            image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
            label.setPixmap(QPixmap.fromImage(image))
        self.setVisible(True)

    def _on_failed(self, _conflict: object, error: InputError) -> None:
        self.clear()
        self.setToolTip(str(error))


def draw_conflict(
    clip: Clip, store: AnnotationStore, theirs: Path, conflict: Conflict
) -> tuple[Picture, Picture]:
    """Draw the place of a conflict by both masks.

    Parameters
    ----------
    clip : Clip
        Gives the frame and the truth.
    store : AnnotationStore
        Mine.
    theirs : Path
        The other session's folder.
    conflict : Conflict

    Returns
    -------
    tuple of two (height, width, 3) uint8 ndarray
        Mine and theirs; the longer side has `PICTURE_PX` pixels.

    Raises
    ------
    InputError
        If the frame or their mask cannot be read.
    """
    frame_HWC = clip.source.frame(conflict.frame_index)
    part = place_of(conflict.bbox, frame_HWC.shape[:2])
    crop = np.ascontiguousarray(frame_HWC[part])
    scale = PICTURE_PX / max(crop.shape[:2])
    size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    way = cv2.INTER_NEAREST if scale > 1 else cv2.INTER_AREA  # pixels stay pixels: they are what is disputed
    mine, other = (
        np.ascontiguousarray(
            cv2.resize(draw_mask(crop, mask[part], clip.scheme, "fill"), size, interpolation=way), np.uint8
        )
        for mask in both_masks(store, theirs, clip.truth, conflict.frame_index)
    )
    return mine, other


def place_of(bbox: tuple[int, int, int, int], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Give the part of a frame to draw: the box with its surroundings, within the frame."""
    parts = []
    for first, last, length in zip(bbox[:2], bbox[2:], shape, strict=True):
        side = min(length, max(MIN_SIDE_PX, round((last - first + 1) * (1 + 2 * MARGIN))))
        start = min(max(0, (first + last + 1 - side) // 2), length - side)
        parts.append(slice(start, start + side))
    return parts[0], parts[1]


def _close(work: LiveChannel, _object: object = None) -> None:
    work.close()
