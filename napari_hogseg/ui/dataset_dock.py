"""The dock: Plugins > HOG segmentation > Data set. Says what a folder holds and what is wrong with it.

Recognising and checking are `data`'s part; this module shows what they found and opens videos in the review.
"""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QTabWidget,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_hogseg.data.checking import check_dataset
from napari_hogseg.data.layouts import LAYOUTS, PLAIN, open_dataset
from napari_hogseg.data.recognition import recognise
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.clips import dataset_clips, describe_dataset, part_of_group
from napari_hogseg.ui.dataset_box import describe_check
from napari_hogseg.ui.live import LiveChannel
from napari_hogseg.ui.section import ElidedLabel, wrapped_label
from napari_hogseg.ui.source_section import PLUGIN
from napari_hogseg.ui.view_section import swatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import napari.viewer

    from napari_hogseg.data.check_report import CheckReport, Problem
    from napari_hogseg.data.layouts import DataSet
    from napari_hogseg.data.recognition import Candidate
    from napari_hogseg.session.clips import DataSetClip

AUTO = "auto"
OWN = "Own table..."
CHECK, STOP = "Check all files", "Stop"
MAX_PROBLEMS = 500
"""Rows shown; `hogseg data check --json` has all."""


class CheckStoppedError(InputError):
    """The person ended the check."""


class DataSetDock(QWidget):
    """See what a data-set folder holds, check its files, open its videos.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Given by napari.
    """

    _progressed = Signal(int, int)

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.dataset: DataSet | None = None
        self._clips: tuple[DataSetClip, ...] = ()
        self._stop = threading.Event()
        self._opening = LiveChannel("opening the data set")
        self._checking = LiveChannel("checking the data set")
        self._make_widgets()
        self._lay_out()
        self._connect()

    def _make_widgets(self) -> None:
        self.folder_button = QPushButton("Folder...")
        self.folder_label = ElidedLabel("No folder is chosen.")
        self.layouts = QComboBox()
        self.layouts.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.about, self.evidence, self.note = wrapped_label(), wrapped_label(), wrapped_label()
        self.videos = _table("Video", "Split", "Frames", "Masks")
        self.classes = _table("Class", "Pixels", "Frames")
        self.problems = _table("Problem", "File")
        self.open_button = QPushButton("Open in review")
        self.check_button = QPushButton(CHECK)
        self.bar = QProgressBar()
        self.status = wrapped_label("Choose the folder of a data set: its layout is recognised.")

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        head = QHBoxLayout()
        head.addWidget(self.folder_button)
        head.addWidget(self.folder_label, 1)
        form = QFormLayout()
        form.addRow("layout", self.layouts)
        self.tabs = QTabWidget()
        for title, table in (("Videos", self.videos), ("Classes", self.classes), ("Problems", self.problems)):
            self.tabs.addTab(table, title)
        buttons = QHBoxLayout()
        buttons.addWidget(self.open_button)
        buttons.addWidget(self.check_button)
        column.addLayout(head)
        column.addLayout(form)
        for widget in (self.about, self.evidence, self.note):
            column.addWidget(widget)
        column.addWidget(self.tabs, 1)
        column.addLayout(buttons)
        column.addWidget(self.bar)
        column.addWidget(self.status)
        self.bar.setVisible(False)
        self._enable()

    def _connect(self) -> None:
        self.folder_button.clicked.connect(lambda: self._browse())
        self.layouts.activated.connect(self._on_layout)
        self.open_button.clicked.connect(lambda: self._open_selected())
        self.videos.itemActivated.connect(lambda *_: self._open_selected())
        self.videos.itemSelectionChanged.connect(self._enable)
        self.check_button.clicked.connect(lambda: self._toggle_check())
        self._opening.ready.connect(self._on_opened)
        self._opening.failed.connect(self._on_failed)
        self._checking.ready.connect(self._on_checked)
        self._checking.failed.connect(self._on_failed)
        self._progressed.connect(self._on_progress)
        # No parent and a plain callable: these must outlive the widget to end what they hold.
        self.destroyed.connect(partial(_close, self._stop, self._opening, self._checking))

    # --- choosing ---------------------------------------------------------------------------------

    def open(self, root: Path, layout: str = AUTO) -> None:
        """Recognise a folder and show what it holds."""
        self._stop.set()
        self._checking.invalidate()
        self._show_check(running=False)
        self.folder_label.set_text(root.name, tooltip=root)
        self.status.setText(f"Looking through {root.name} ...")
        self._opening.invalidate()
        self._opening.request(root, partial(_recognise_and_open, root, layout))

    def _browse(self) -> None:
        start = "" if self.dataset is None else str(self.dataset.root)
        path = QFileDialog.getExistingDirectory(self, "Choose the folder of a data set", start)
        if path:
            self.open(Path(path))

    def _on_layout(self, position: int) -> None:
        if self.dataset is None:
            return
        name = self.layouts.itemData(position)
        if name == OWN:
            name, _ = QFileDialog.getOpenFileName(self, "Choose a layout table", "", "Tables (*.toml)")
        if name:
            self.open(self.dataset.root, name)

    def _on_opened(self, opened: tuple[DataSet, tuple[Candidate, ...]]) -> None:
        self.dataset, candidates = opened
        dataset = self.dataset
        self._clips = dataset_clips(dataset)
        self.about.setText(describe_dataset(dataset))
        _say(self.note, "" if dataset.layout.table is None else dataset.layout.table.note)
        self._show_layouts(dataset.layout.reference, candidates)
        rows = [self._video_row(clip) for clip in self._clips]
        _fill(self.videos, rows)
        self.videos.setColumnHidden(1, not any(part for _, part, *_ in rows))
        self._show_classes(None)
        self._show_problems(())
        self.status.setText("Files are not checked yet.")
        if self.videos.topLevelItemCount():
            self.videos.setCurrentItem(self.videos.topLevelItem(0))
        self._enable()

    def _show_layouts(self, current: str, candidates: tuple[Candidate, ...]) -> None:
        likely = [item.name for item in candidates]
        others = [name for name in (PLAIN, *LAYOUTS) if name not in likely]
        self.layouts.clear()
        for name in likely:
            self.layouts.addItem(f"{name} (recognised)", name)
        if current not in (*likely, *others):
            self.layouts.addItem(Path(current).name, current)
        for name in others:
            self.layouts.addItem(name, name)
        self.layouts.addItem(OWN, OWN)
        self.layouts.setCurrentIndex(self.layouts.findData(current))
        evidence = next((item.evidence for item in candidates if item.name == current), ())
        _say(self.evidence, "; ".join(evidence))

    def _video_row(self, clip: DataSetClip) -> tuple[str, ...]:
        part = "" if self.dataset is None else part_of_group(self.dataset, clip.group)
        return clip.name, part, str(len(clip.samples)), str(clip.num_masks)

    # --- opening a video --------------------------------------------------------------------------

    def _open_selected(self) -> None:
        row = self.videos.indexOfTopLevelItem(self.videos.currentItem())
        if self.dataset is None or row < 0:
            return
        _, review = self._viewer.window.add_plugin_dock_widget(PLUGIN, "Review", tabify=True)
        review.controller.open(self._clips[row].path, dataset=self.dataset)

    # --- checking ---------------------------------------------------------------------------------

    def _toggle_check(self) -> None:
        if self._checking.busy:
            self._stop.set()
            return
        if self.dataset is None:
            return
        self._stop.clear()
        self._show_check(running=True)
        self._checking.request(
            self.dataset.root, partial(_check, self.dataset, self._stop, self._progressed.emit)
        )

    def _on_progress(self, done: int, total: int) -> None:
        self.bar.setRange(0, total)
        self.bar.setValue(done)

    def _on_checked(self, report: CheckReport) -> None:
        self._show_check(running=False)
        self._show_classes(report)
        self._show_problems(report.problems)
        if report.errors:
            self.tabs.setCurrentWidget(self.problems)
        self.status.setText(describe_check(report))

    def _on_failed(self, _subject: object, error: InputError) -> None:
        self._show_check(running=False)
        self.status.setText("The check was stopped." if isinstance(error, CheckStoppedError) else str(error))

    def _show_check(self, *, running: bool) -> None:
        self.check_button.setText(STOP if running else CHECK)
        self.bar.setRange(0, 0)
        self.bar.setVisible(running)
        if running:
            self.status.setText("Reading every frame and mask ...")

    def _show_classes(self, report: CheckReport | None) -> None:
        if self.dataset is None:
            return
        scheme = self.dataset.scheme
        found = {} if report is None else {item.name: item for item in report.classes}
        rows = [(name, "", "") for name in scheme.classes]
        for name, item in found.items():
            row = (name, f"{item.share:.2%}", str(item.num_frames))
            if name in scheme.classes:
                rows[scheme.classes.index(name)] = row
            else:
                rows.append(row)  # the ignored pixels
        _fill(self.classes, rows)
        for row_number, color in enumerate(scheme.colors):
            self.classes.topLevelItem(row_number).setIcon(0, swatch(color))

    def _show_problems(self, problems: tuple[Problem, ...]) -> None:
        shown = problems[:MAX_PROBLEMS]
        _fill(self.problems, [(f"{problem.kind.value}: {problem.what}", problem.where) for problem in shown])
        for row_number, problem in enumerate(shown):
            self.problems.topLevelItem(row_number).setToolTip(0, f"{problem.what}\n{problem.remedy}")
        num_errors = sum(problem.kind.is_error for problem in problems)
        title = f"Problems: {num_errors}, notes: {len(problems) - num_errors}" if problems else "Problems"
        self.tabs.setTabText(self.tabs.indexOf(self.problems), title)
        self.problems.setToolTip(f"The first {MAX_PROBLEMS}" if len(problems) > MAX_PROBLEMS else "")

    def _enable(self) -> None:
        self.open_button.setEnabled(self.dataset is not None and self.videos.currentItem() is not None)
        self.check_button.setEnabled(self.dataset is not None)
        self.layouts.setEnabled(self.dataset is not None)


def _table(*titles: str) -> QTreeWidget:
    table = QTreeWidget()
    table.setHeaderLabels(titles)
    table.setRootIsDecorated(False)
    table.setUniformRowHeights(True)
    header = table.header()
    header.setStretchLastSection(False)
    header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    for column in range(1, len(titles)):
        header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
    return table


def _fill(table: QTreeWidget, rows: Sequence[Sequence[str]]) -> None:
    table.clear()
    items = []
    for row in rows:
        item = QTreeWidgetItem([str(cell) for cell in row])
        for column, cell in enumerate(row):
            item.setToolTip(column, str(cell))
            if str(cell).rstrip("%").replace(".", "").isdigit():
                item.setTextAlignment(
                    column, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                )
        items.append(item)
    table.addTopLevelItems(items)


def _say(label: QLabel, text: str) -> None:
    label.setText(text)
    label.setVisible(bool(text))


def _recognise_and_open(root: Path, layout: str) -> tuple[DataSet, tuple[Candidate, ...]]:
    candidates = recognise(root)
    chosen = candidates[0].name if layout == AUTO and candidates else layout
    return open_dataset(root, chosen), candidates


def _check(dataset: DataSet, stop: threading.Event, progressed: Callable[[int, int], None]) -> CheckReport:
    def on_frame(done: int, total: int) -> None:
        if stop.is_set():
            raise CheckStoppedError("The check was stopped")
        progressed(done, total)

    return check_dataset(dataset.root, dataset.layout.reference, on_frame=on_frame)


def _close(stop: threading.Event, *channels_and_object: object) -> None:
    stop.set()
    for channel in channels_and_object:
        if isinstance(channel, LiveChannel):
            channel.close(timeout_s=0.5)
