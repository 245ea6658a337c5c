"""Who works, and what it took: the name that corrections are signed with, and the ledger in numbers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFormLayout, QLabel, QLineEdit, QWidget

from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.session.effort import BY_HAND, Effort
from napari_hogseg.session.state import read_author, write_author
from napari_hogseg.ui.effort_plot import EffortPlot
from napari_hogseg.ui.live import LiveChannel, on_gui_thread
from napari_hogseg.ui.section import Section, wrapped_label

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qtpy.QtGui import QHideEvent, QShowEvent

    from napari_hogseg.io.errors import InputError
    from napari_hogseg.session.ledger import LedgerEntry
    from napari_hogseg.ui.review_controller import ReviewController

#: An action is entered a second after its last stroke; nobody watches the numbers closer than that.
LOOK_MS = 1000
MAX_NAME_CHARS = 80
NO_WORK = "Nothing corrected yet."
NO_CLIP = "Open a clip first."


class EffortSection(Section):
    """The reviewer's name; minutes, frames and pixels; the effort curve.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional
    """

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__("Reviewer and effort", parent=parent)
        self._controller = controller
        self._shown: tuple[object, int] | None = None
        self.author = QLineEdit(read_author(controller.sessions_root))
        self.author.setMaxLength(MAX_NAME_CHARS)
        self.author.setPlaceholderText("unsigned")
        self.author.setToolTip("Signs what you correct from now on; remembered for the next time.")
        self.totals = wrapped_label(NO_CLIP)
        self.plot = EffortPlot()
        self.details = QLabel()
        self.details.setWordWrap(True)
        form = QFormLayout()
        form.addRow("Your name", self.author)
        self.body.addLayout(form)
        for widget in (self.totals, self.plot, self.details):
            self.body.addWidget(widget)
        self.plot.setVisible(False)
        self.details.setVisible(False)
        self._sums = LiveChannel("effort")
        self._sums.ready.connect(self._show_effort)
        self._names = LiveChannel("your name")
        for channel in (self._sums, self._names):
            channel.failed.connect(self._on_failed)
            # No parent and a plain callable: it must outlive the widget to end its thread.
            self.destroyed.connect(partial(_close, channel))
        self._look = QTimer(self, interval=LOOK_MS)
        self._look.timeout.connect(self.look)
        self.author.editingFinished.connect(self._on_name)
        self.author.returnPressed.connect(self.author.clearFocus)
        controller.clip_changed.connect(self._on_clip)
        controller.closing.connect(self._on_closing)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Count only while somebody can see it."""
        super().showEvent(event)
        self.look()
        if not self._controller.closed:
            self._look.start()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        """Rest."""
        self._look.stop()
        super().hideEvent(event)

    @on_gui_thread
    def look(self) -> None:
        """Add up the ledger anew, in the background, if it has grown."""
        session = self._controller.session
        if session is None or self._sums.busy or self._controller.closed:
            return
        entries = session.store.records.ledger.entries
        state = (session, len(entries))
        if state != self._shown:
            self._shown = state
            self._sums.request("effort", _sum_of(tuple(entries)))

    def _on_clip(self) -> None:
        self._sums.invalidate()
        self._shown = None
        if self.isVisible():
            self.look()

    def _on_name(self) -> None:
        name, root = self.author.text().strip(), self._controller.sessions_root
        session = self._controller.session
        if session is not None:
            session.store.records.author = name
        self._names.request(root, lambda: write_author(root, name))

    def _on_failed(self, _subject: object, error: InputError) -> None:
        self._controller.failed.emit(str(error))

    @on_gui_thread
    def _show_effort(self, effort: Effort) -> None:
        session = self._controller.session
        if session is None:
            return
        worked = effort.num_frames > 0
        self.totals.setText(describe(effort) if worked else NO_WORK)
        self.plot.setVisible(True)
        self.plot.show_curve(effort.curve)
        self.details.setText(list_details(effort, session.clip.scheme.classes))
        self.details.setVisible(worked)

    def _on_closing(self) -> None:
        self._look.stop()
        for channel in (self._sums, self._names):
            channel.close()


def _sum_of(entries: Sequence[LedgerEntry]) -> Callable[[], Effort]:
    return lambda: Effort.of(entries)


def describe(effort: Effort) -> str:
    """Say the sums in one line."""
    frames = "1 frame" if effort.num_frames == 1 else f"{effort.num_frames} frames"
    per_frame = effort.minutes * 60 / effort.num_frames
    return f"{effort.minutes:.1f} minutes, {frames}, {effort.num_pixels:,} pixels; {per_frame:.0f} s a frame."


def list_details(effort: Effort, classes: Sequence[str]) -> str:
    """Say what the pixels became and who proposed them, a line each."""
    pixels = ", ".join(f"{_name(class_id, classes)} {count:,}" for class_id, count in effort.by_class)
    models = ", ".join(f"{name} {count:,}" for name, count in effort.by_model)
    lines = [f"Made into: {pixels}"] if pixels else []
    if any(name != BY_HAND for name, _ in effort.by_model):
        lines.append(f"Proposed by: {models}")
    if len(effort.by_author) > 1:
        lines.append("Minutes: " + ", ".join(f"{who} {minutes:.1f}" for who, minutes in effort.by_author))
    return "\n".join(lines)


def _name(class_id: int, classes: Sequence[str]) -> str:
    return "unlabelled" if class_id == IGNORE or class_id >= len(classes) else classes[class_id]


def _close(channel: LiveChannel, _object: object = None) -> None:
    channel.close()
