"""Earlier sessions: a list to go back to one of them, and what is missing of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.state import recent_sessions
from napari_hogseg.ui.live import LiveChannel, on_gui_thread
from napari_hogseg.ui.section import Section, wrapped_label

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent

    from napari_hogseg.data.layouts import DataSet
    from napari_hogseg.session.state import RecentSession
    from napari_hogseg.ui.review_controller import ReviewController

COLUMNS = ("Clip", "Last worked on", "Frames", "Missing")
LIST_HEIGHT_PX = 130
NO_SESSIONS = "None yet: every other clip that was opened comes here."
HOW = "Double click or Enter opens one where you left it."


@dataclass(frozen=True)
class Listed:
    """A session and what of its files is not where it was.

    Attributes
    ----------
    session : RecentSession
    missing : tuple of str
        Of "clip", "masks" and "model".
    """

    session: RecentSession
    missing: tuple[str, ...]


def list_sessions(root: Path, but: Path | None = None) -> list[Listed]:
    """List the sessions below a folder but one, and look whether their files are there; for a worker."""
    return [Listed(session, _missing(session)) for session in recent_sessions(root) if session.folder != but]


def _missing(session: RecentSession) -> tuple[str, ...]:
    state = session.state
    masks, model = ("", "") if state is None else (state.masks, state.model)
    places = (("clip", session.clip or "?"), ("masks", masks), ("model", model))
    return tuple(name for name, place in places if place and not Path(place).exists())


class RecentSection(Section):
    """The list of earlier sessions.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional
    """

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__("Earlier sessions", parent=parent)
        self._controller = controller
        self._listed: list[Listed] = []
        self.list = QTreeWidget()
        self.list.setAccessibleName("Earlier sessions")
        self.list.setHeaderLabels(COLUMNS)
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setFixedHeight(LIST_HEIGHT_PX)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        header = self.list.header()
        header.setStretchLastSection(False)
        for column in range(len(COLUMNS)):
            fit = QHeaderView.ResizeMode.ResizeToContents
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch if column == 0 else fit)
        self.note = wrapped_label(NO_SESSIONS)
        self.body.addWidget(self.list)
        self.body.addWidget(self.note)
        self._reading = LiveChannel("earlier sessions")
        self._reading.ready.connect(self._show)
        self.list.itemActivated.connect(self._on_activated)
        controller.clip_changed.connect(self.refresh)
        self._opening = LiveChannel("the data set")
        self._opening.ready.connect(self._open_clip)
        for channel in (self._reading, self._opening):
            channel.failed.connect(lambda _where, error: controller.failed.emit(str(error)))
            controller.closing.connect(channel.close)
            # No parent and a plain callable: it must outlive the widget to end its thread.
            self.destroyed.connect(partial(_close, channel))

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Read anew what there is."""
        super().showEvent(event)
        self.refresh()

    def refresh(self) -> None:
        """Read the list in the background, if somebody can see it."""
        if self.isVisible() and not self._controller.closed:
            root, session = self._controller.sessions_root, self._controller.session
            here = None if session is None else session.store.folder
            self._reading.request((root, here), lambda: list_sessions(root, but=here))

    def open(self, row: int) -> None:
        """Open a row's clip and masks; what is missing is said."""
        listed = self._listed[row]
        session, state = listed.session, listed.session.state
        if "clip" in listed.missing:
            error = InputError(
                "This session's clip is not where it was",
                where=session.clip,
                remedy=f"Put it back there. What you painted is kept in {session.folder}.",
            )
            self._controller.failed.emit(str(error))
            return
        masks = None if state is None or not state.masks or "masks" in listed.missing else Path(state.masks)
        if state is not None and state.dataset and masks is None:
            path, root, layout = Path(session.clip), Path(state.dataset), state.layout
            self._opening.request(path, lambda: (listed, open_dataset(root, layout)))
        else:
            self._controller.open(Path(session.clip), masks)
            self._say_missing(listed)

    def _open_clip(self, opened: tuple[Listed, DataSet]) -> None:
        listed, dataset = opened
        self._controller.open(Path(listed.session.clip), dataset=dataset)
        self._say_missing(listed)

    def _say_missing(self, listed: Listed) -> None:
        if listed.missing:
            error = InputError(
                f"Opened without its {' and its '.join(listed.missing)}, no longer there",
                where=", ".join(str(getattr(listed.session.state, name, "")) for name in listed.missing),
                remedy="Put it back and open the clip again, or choose another.",
            )
            self._controller.failed.emit(str(error))

    @on_gui_thread
    def _show(self, listed: list[Listed]) -> None:
        current = self.list.indexOfTopLevelItem(self.list.currentItem())
        self._listed = listed
        self.list.clear()
        for one in listed:
            session = one.session
            when = session.when.astimezone().strftime("%Y-%m-%d %H:%M")
            name = Path(session.clip).name or session.folder.name
            item = QTreeWidgetItem([name, when, str(session.num_corrected), ", ".join(one.missing)])
            item.setTextAlignment(2, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))
            item.setToolTip(0, f"{session.clip}\n{session.minutes:.1f} minutes of work\n{session.folder}")
            if one.missing:
                item.setToolTip(3, "Not where it was: " + ", ".join(one.missing))
            self.list.addTopLevelItem(item)
        if 0 <= current < len(listed):
            self.list.setCurrentItem(self.list.topLevelItem(current))
        self.list.setVisible(bool(listed))
        self.note.setText(HOW if listed else NO_SESSIONS)

    def _on_activated(self, item: QTreeWidgetItem) -> None:
        self.open(self.list.indexOfTopLevelItem(item))


def _close(channel: LiveChannel, _object: object = None) -> None:
    channel.close()
