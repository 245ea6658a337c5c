"""Keeps what a person chose for all clips, a moment after they chose it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

from napari_hogseg.ui.preferences import Preferences, write_preferences

if TYPE_CHECKING:
    from napari_hogseg.ui.review_controller import ReviewController
    from napari_hogseg.ui.triage_queue import ErrorLimits

_LOG = logging.getLogger(__name__)
SETTLE_MS = 500


class Remembered(QObject):
    """Writes the preferences when something in them has changed.

    Parameters
    ----------
    controller : ReviewController
    parent : QObject, optional
    """

    def __init__(self, controller: ReviewController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._written = controller.preferences
        self._hint_read = controller.preferences.hint_read
        self._limits = controller.preferences.limits
        self._later = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._later.timeout.connect(self.write)
        controller.look_changed.connect(self._later.start)
        controller.keys.changed.connect(self._later.start)
        controller.closing.connect(self._on_closing)

    @property
    def hint_read(self) -> bool:
        """Whether the first steps were put away."""
        return self._hint_read

    @hint_read.setter
    def hint_read(self, read: bool) -> None:
        self._hint_read = read
        self._later.start()

    @property
    def limits(self) -> ErrorLimits:
        """Which errors are listed."""
        return self._limits

    @limits.setter
    def limits(self, limits: ErrorLimits) -> None:
        self._limits = limits
        self._later.start()

    def write(self) -> None:
        """Write what is chosen now, if it is not what was written last: a file of some hundred bytes."""
        controller = self._controller
        chosen = Preferences.of(
            controller.layers.look,
            controller.hog,
            controller.keys.chosen,
            self._limits,
            hint_read=self._hint_read,
        )
        if chosen == self._written:
            return
        try:
            write_preferences(controller.sessions_root, chosen)
        except OSError as error:  # not worth a word in the middle of a review
            _LOG.warning("the preferences are not kept: %s", error)
        self._written = chosen

    def _on_closing(self) -> None:
        if self._later.isActive():
            self._later.stop()
            self.write()
