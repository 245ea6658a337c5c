"""The tab about the session: who works and how long, earlier sessions, merging, and what goes in and out.

Puts sections together, its own and others'; what they do is theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_hogseg.ui.effort_section import EffortSection
from napari_hogseg.ui.merge_section import MergeSection
from napari_hogseg.ui.recent_section import RecentSection
from napari_hogseg.ui.section import FittingScrollArea, wrapped_label

if TYPE_CHECKING:
    from napari_hogseg.ui.review_controller import ReviewController
    from napari_hogseg.ui.section import Section

READ_ONLY_STYLE = (
    "QLabel { background: rgba(230, 159, 0, 45); border-left: 4px solid rgb(230, 159, 0); padding: 6px; }"
)


class SessionPanel(QWidget):
    """Sections below each other, and a line above them where nothing can be corrected.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional
    """

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.read_only = wrapped_label()
        self.read_only.setStyleSheet(READ_ONLY_STYLE)
        self.effort = EffortSection(controller)
        self.recent = RecentSection(controller)
        self.merge = MergeSection(controller)
        inside = QWidget()
        self._column = QVBoxLayout(inside)
        self._column.setContentsMargins(4, 4, 4, 4)
        self._column.setSpacing(2)
        self._column.addStretch(1)
        for section in (self.effort, self.recent, self.merge):
            self.add_section(section)
        scroll = FittingScrollArea(inside)
        # Queued: a width set while Qt is laying out is lost.
        scroll.fitted.connect(self._on_fitted, Qt.ConnectionType.QueuedConnection)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.read_only)
        layout.addWidget(scroll)
        controller.clip_changed.connect(self._on_clip)
        self._on_clip()

    def add_section(self, section: Section) -> None:
        """Add a section below the others."""
        self._column.insertWidget(self._column.count() - 1, section)

    def _on_fitted(self, width: int) -> None:
        margins = self.layout().contentsMargins()
        self.setMinimumWidth(width + margins.left() + margins.right())

    def _on_clip(self) -> None:
        session = self._controller.session
        reason = None if session is None else session.store.read_only
        self.read_only.setText("" if reason is None else str(reason))
        self.read_only.setVisible(reason is not None)
