"""Taking in another reviewer's session: what both disagree on, as a list to decide on, frame by frame.

Owns the widgets, the thread and its bar; what is compared and painted is `session.merge_choices`' part.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QHeaderView,
    QPushButton,
    QSizePolicy,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from napari_hogseg.session.merge_choices import Comparison, Merged, compare, take_back, take_over
from napari_hogseg.ui.activity_bar import ActivityBar
from napari_hogseg.ui.conflict_pictures import ConflictPictures
from napari_hogseg.ui.live import LiveChannel, on_gui_thread
from napari_hogseg.ui.section import FolderRow, Section, wrapped_label

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_hogseg.io.errors import InputError
    from napari_hogseg.session.merge import Conflict
    from napari_hogseg.session.merge_choices import Choice
    from napari_hogseg.ui.review_controller import ReviewController

COLUMNS = ("Frame", "Mine", "Theirs", "Pixels", "Take")
LIST_HEIGHT_PX = 160
ABOUT = "A session folder of the same clip, by another reviewer. It is only read."
START = "Choose another reviewer's session of this clip to take over their corrections."
HOW = "The one that is chosen is drawn below; double click or Enter goes to it."


class MergeSection(Section):
    """Choose a session, decide on the conflicts, take it in, or take that back.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional

    Attributes
    ----------
    painted : Signal(object)
        Tuple of the frames whose masks a merge, or taking it back, changed.
    """

    painted = Signal(object)
    _progressed = Signal(int, int)

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__("Merge with another reviewer", opened=False, parent=parent)
        self._controller = controller
        self._stop = threading.Event()
        self._found: Comparison | None = None
        self._choices: dict[Conflict, Choice] = {}
        self._merged: Merged | None = None
        self._running = ""
        self._bar = ActivityBar("Merging", self._stop.set)
        self._jobs = LiveChannel("merging")
        self._make_widgets()
        self._lay_out()
        self._connect()
        self._on_clip()

    def _make_widgets(self) -> None:
        self.folder = FolderRow("Theirs", "none chosen", ABOUT)
        self.note = wrapped_label(START)
        self.list = QTreeWidget()
        self.list.setAccessibleName("Conflicts")
        self.list.setHeaderLabels(COLUMNS)
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setFixedHeight(LIST_HEIGHT_PX)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        header = self.list.header()
        header.setStretchLastSection(False)
        for column, title in enumerate(COLUMNS):
            named = title in ("Mine", "Theirs")
            mode = QHeaderView.ResizeMode.Stretch if named else QHeaderView.ResizeMode.ResizeToContents
            header.setSectionResizeMode(column, mode)
        self.pictures = ConflictPictures()
        self.mine_button, self.theirs_button = QPushButton("Mine"), QPushButton("Theirs")
        for button, whose in ((self.mine_button, "mine"), (self.theirs_button, "theirs")):
            button.setToolTip(f"Decide the selected conflicts, or all if none is selected: {whose} counts.")
        self.apply_button, self.back_button = QPushButton("Take over"), QPushButton("Take back the merge")
        self.apply_button.setToolTip("Paint it into this session. The masks as they are now are kept first.")
        self.back_button.setToolTip("Give back what the last merge changed, but nothing painted since.")
        self.cancel_button = QPushButton("Cancel")

    def _lay_out(self) -> None:
        self.body.addWidget(self.folder)
        self.body.addWidget(self.note)
        self.body.addWidget(self.list)
        self.body.addWidget(self.pictures)
        self._decide = QWidget()
        row = QGridLayout(self._decide)
        row.setContentsMargins(0, 0, 0, 0)
        for column, button in enumerate((self.mine_button, self.theirs_button, self.apply_button)):
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            row.addWidget(button, 0, column)
        for widget in (self._decide, self.back_button, self.cancel_button):
            self.body.addWidget(widget)

    def _connect(self) -> None:
        self.folder.changed.connect(self._on_folder)
        self.list.itemActivated.connect(self._on_activated)
        self.list.itemSelectionChanged.connect(self._show_state)
        self.list.currentItemChanged.connect(lambda item, _before: self._show_pictures(item))
        self.mine_button.clicked.connect(lambda: self.decide("mine"))
        self.theirs_button.clicked.connect(lambda: self.decide("theirs"))
        self.apply_button.clicked.connect(lambda: self.apply())
        self.back_button.clicked.connect(lambda: self.take_back())
        self.cancel_button.clicked.connect(lambda: self._stop.set())
        self._progressed.connect(self._on_progress)
        self._jobs.ready.connect(self._on_done)
        self._jobs.failed.connect(self._on_failed)
        self._controller.clip_changed.connect(self._on_clip)
        self._controller.closing.connect(self._on_closing)
        # No parent and a plain callable: these must outlive the widget to end what they hold.
        self.destroyed.connect(partial(_close, self._stop, self._jobs))

    # --- what a person may do ---------------------------------------------------------------------

    def decide(self, choice: Choice) -> None:
        """Decide the selected conflicts, or all of them where none is selected."""
        found = self._found
        if found is None:
            return
        rows = [self.list.indexOfTopLevelItem(item) for item in self.list.selectedItems()]
        for row in rows or range(len(found.conflicts)):
            self._choices[found.conflicts[row]] = choice
            item = self.list.topLevelItem(row)
            if item is not None:
                item.setText(len(COLUMNS) - 1, choice)
        self._show_state()

    def apply(self) -> None:
        """Paint the merge into the open session, as decided."""
        session, found = self._controller.session, self._found
        if session is not None and found is not None and not self._running:
            choices = dict(self._choices)
            store, truth = session.store, session.clip.truth
            self._run(
                "Taking over ...", lambda: take_over(store, found.theirs, truth, choices, self._on_frame)
            )

    def take_back(self) -> None:
        """Undo the last merge."""
        session, merged = self._controller.session, self._merged
        if session is not None and merged is not None and not self._running:
            store = session.store
            self._run("Taking back ...", lambda: (merged, take_back(store, merged)))

    # --- inside -----------------------------------------------------------------------------------

    def _on_folder(self) -> None:
        session, folder = self._controller.session, self.folder.folder
        self._show_conflicts(None)
        if session is None or folder is None:
            self._jobs.invalidate()
            self._end()
            self.note.setText(START)
            return
        store, truth = session.store, session.clip.truth
        self._run("Comparing ...", lambda: compare(store, folder, truth, self._on_frame))

    def _run(self, what: str, job: Callable[[], object]) -> None:
        self._stop.clear()
        self._running = what
        self.note.setText(what)
        self._jobs.request(what, job)
        self._show_state()

    def _on_frame(self, done: int, total: int) -> bool:
        """Tell of progress, from the worker; False to stop."""
        self._progressed.emit(done, total)
        return not self._stop.is_set()

    @on_gui_thread
    def _on_progress(self, done: int, total: int) -> None:
        if self._running:
            self._bar.show(done, total)

    @on_gui_thread
    def _on_done(self, result: object) -> None:
        what = self._running
        self._end()
        if isinstance(result, Comparison):
            self._show_conflicts(result)
            self.note.setText(describe(result))
        elif isinstance(result, Merged):
            self._merged = result
            self._show_conflicts(None)
            frames = len(result.frame_indices)
            self.note.setText(f"Took over {frames} frame{'s' * (frames != 1)}. Before: {result.folder}")
            self._after_painting(result.frame_indices)
        elif isinstance(result, tuple):
            merged, num_pixels = result
            self._merged = None
            self.note.setText(f"Took back {num_pixels:,} pixels.")
            self._after_painting(merged.frame_indices)
        else:
            self.note.setText("Stopped." if self._stop.is_set() else f"{what} Nothing to change.")
        self._show_state()

    def _on_failed(self, _subject: object, error: InputError) -> None:
        self._end()
        self.note.setText(str(error))
        self._controller.failed.emit(str(error))
        self._show_state()

    def _end(self) -> None:
        self._running = ""
        self._bar.end()

    def _after_painting(self, frames: tuple[int, ...]) -> None:
        """Show what is new: the store was painted, not the layer."""
        session, layer = self._controller.session, self._controller.truth_layer
        if session is None or not frames:
            return
        if layer is not None:
            layer.refresh()
        session.live.painted(session.live.state.frame_index)
        self.painted.emit(frames)

    def _show_conflicts(self, found: Comparison | None) -> None:
        self._found = found
        self._choices = {}
        self.list.clear()
        self.pictures.clear()
        for conflict in () if found is None else found.conflicts:
            texts = [str(conflict.frame_index), conflict.a, conflict.b, f"{conflict.pixels:,}", "?"]
            item = QTreeWidgetItem(texts)
            for column in (0, 3):
                item.setTextAlignment(
                    column, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                )
            for column, text in enumerate((conflict.frame, conflict.a, conflict.b)):
                item.setToolTip(column, text)
            self.list.addTopLevelItem(item)
        self._show_state()

    def _show_state(self) -> None:
        session, found = self._controller.session, self._found
        writable = session is not None and session.store.read_only is None
        has_conflicts = found is not None and bool(found.conflicts)
        self.list.setVisible(has_conflicts)
        self._decide.setVisible(found is not None)
        for button in (self.mine_button, self.theirs_button):
            button.setVisible(has_conflicts)
            button.setText(button.text().split()[0] + ("" if self.list.selectedItems() else " (all)"))
        decided = found is not None and len(self._choices) == len(found.conflicts)
        self.apply_button.setEnabled(decided and writable and not self._running)
        self.back_button.setVisible(self._merged is not None)
        self.back_button.setEnabled(writable and not self._running)
        self.cancel_button.setVisible(bool(self._running))
        self.folder.setEnabled(session is not None and not self._running)

    def _show_pictures(self, item: QTreeWidgetItem | None) -> None:
        session, found = self._controller.session, self._found
        if item is None or session is None or found is None:
            self.pictures.clear()
            return
        conflict = found.conflicts[self.list.indexOfTopLevelItem(item)]
        self.pictures.show_conflict(session.clip, session.store, found.theirs, conflict)

    def _on_activated(self, item: QTreeWidgetItem) -> None:
        if self._found is not None:
            conflict = self._found.conflicts[self.list.indexOfTopLevelItem(item)]
            row0, col0, row1, col1 = conflict.bbox
            self._controller.go_to(conflict.frame_index, (row0, col0, row1 + 1, col1 + 1))

    def _on_clip(self) -> None:
        """Another clip: nothing of this belongs to it."""
        self._stop.set()
        self._jobs.invalidate()
        self._end()
        self._merged = None
        with QSignalBlocker(self.folder):
            self.folder.set_folder(None)
        self._show_conflicts(None)
        self.note.setText(START)

    def _on_closing(self) -> None:
        self._bar.end()
        self.pictures.close_work()
        _close(self._stop, self._jobs)


def describe(found: Comparison) -> str:
    """Say what a comparison found, and what to do."""
    who = found.author or "The other reviewer"
    conflicts, taken = found.conflicts, f"{found.num_taken_px:,} pixels that only they changed"
    text = f"{who} corrected {found.num_frames} frame{'s' * (found.num_frames != 1)}: {taken} come in"
    if not conflicts and not found.num_taken_px:
        text = f"{who} corrected {found.num_frames} frames, nothing of it differently"
    if conflicts:
        pixels = sum(conflict.pixels for conflict in conflicts)
        plural = "s" * (len(conflicts) != 1)
        text += f"; {pixels:,} pixels in {len(conflicts)} conflict{plural} are yours to decide. {HOW}"
    if found.locked:
        text += f" Left out, as their masks cannot be read here: frames {', '.join(map(str, found.locked))}"
    return text if text.endswith(".") else f"{text}."


def _close(stop: threading.Event, jobs: LiveChannel, _object: object = None) -> None:
    stop.set()
    jobs.close()
