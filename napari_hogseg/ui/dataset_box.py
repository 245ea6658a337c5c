"""What was recognised of the data set on screen: layout and task, videos, and what is wrong with it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_hogseg.data.checking import check_dataset
from napari_hogseg.data.recognition import recognise
from napari_hogseg.session.clips import dataset_clips, describe_dataset, part_of_group
from napari_hogseg.ui.live import LiveChannel
from napari_hogseg.ui.section import wrapped_label

if TYPE_CHECKING:
    from napari_hogseg.data.check_report import CheckReport
    from napari_hogseg.data.layouts import DataSet
    from napari_hogseg.data.recognition import Candidate
    from napari_hogseg.io.errors import InputError
    from napari_hogseg.session.clips import DataSetClip


class DataSetBox(QWidget):
    """The data set a clip belongs to, with its other clips and the other layouts it may have.

    Attributes
    ----------
    clip_chosen : Signal(object)
        A DataSetClip to open.
    layout_chosen : Signal(str)
        Another layout for the same folder.
    details_wanted : Signal()
    """

    clip_chosen = Signal(object)
    layout_chosen = Signal(str)
    details_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._dataset: DataSet | None = None
        self._clips: tuple[DataSetClip, ...] = ()
        self.about = wrapped_label()
        self.layouts, self.clips = QComboBox(), QComboBox()
        self.clips.setToolTip("Which of the data set's videos is on screen")
        self.problems = wrapped_label()
        self.details_button = QPushButton("Details...")
        self.details_button.setToolTip("Classes, videos, splits and a check of every file")
        self._recognising = LiveChannel("recognising the layout")
        self._checking = LiveChannel("checking the data set")
        self._lay_out()
        self.layouts.activated.connect(self._on_layout)
        self.clips.activated.connect(lambda position: self.clip_chosen.emit(self._clips[position]))
        self.details_button.clicked.connect(lambda: self.details_wanted.emit())
        self._recognising.ready.connect(self._on_recognised)
        self._recognising.failed.connect(lambda *_: None)  # it is open: what else it could be does not matter
        self._checking.ready.connect(self._on_checked)
        self._checking.failed.connect(self._on_check_failed)
        # No parent and a plain callable: these must outlive the widget to end what they hold.
        self.destroyed.connect(partial(_close, self._recognising, self._checking))
        self.show_dataset(None)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        for title, box in (("layout", self.layouts), ("video", self.clips)):
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            form.addRow(title, box)
        row = QHBoxLayout()
        row.addWidget(self.problems, 1)
        row.addWidget(self.details_button)
        column.addWidget(self.about)
        column.addLayout(form)
        column.addLayout(row)

    @property
    def dataset(self) -> DataSet | None:
        """What is shown."""
        return self._dataset

    def show_dataset(self, dataset: DataSet | None, current: Path | None = None) -> None:
        """Show a data set and mark its clip on screen; None hides the box."""
        self.setVisible(dataset is not None)
        is_new = dataset is not None and dataset is not self._dataset
        self._dataset = dataset
        if dataset is None:
            self._recognising.invalidate()
            self._checking.invalidate()
            return
        if is_new:
            self._fill(dataset)
        places = [clip.path for clip in self._clips]
        if current in places:
            self.clips.setCurrentIndex(places.index(current))

    def _fill(self, dataset: DataSet) -> None:
        self.about.setText(describe_dataset(dataset))
        self._clips = dataset_clips(dataset)
        self.clips.clear()
        for clip in self._clips:
            part = part_of_group(dataset, clip.group)
            self.clips.addItem(f"{clip.name} ({part})" if part else clip.name)
        self._list_layouts({dataset.layout.reference: ""})
        self._recognising.request(dataset, partial(recognise, dataset.root))
        self.problems.setText("Looking for problems ...")
        self._checking.request(dataset, partial(_quick_check, dataset))

    def _list_layouts(self, evidence: dict[str, str]) -> None:
        self.layouts.clear()
        for name, words in evidence.items():
            self.layouts.addItem(Path(name).name, name)  # a table of one's own goes by its file's name
            self.layouts.setItemData(self.layouts.count() - 1, words, Qt.ItemDataRole.ToolTipRole)
        if self._dataset is not None:
            self.layouts.setCurrentIndex(self.layouts.findData(self._dataset.layout.reference))
        self.layouts.setEnabled(len(evidence) > 1)

    def _on_recognised(self, candidates: tuple[Candidate, ...]) -> None:
        if self._dataset is None:
            return
        evidence = {item.name: "\n".join(item.evidence) for item in candidates}
        evidence.setdefault(self._dataset.layout.reference, "")
        self._list_layouts(evidence)

    def _on_layout(self, position: int) -> None:
        name = self.layouts.itemData(position)
        if self._dataset is not None and name != self._dataset.layout.reference:
            self.layout_chosen.emit(name)

    def _on_checked(self, report: CheckReport) -> None:
        self.problems.setText(describe_check(report))

    def _on_check_failed(self, _dataset: object, error: InputError) -> None:
        self.problems.setText(str(error))

    def close_threads(self) -> None:
        """End what still looks through files."""
        _close(self._recognising, self._checking)


def describe_check(report: CheckReport) -> str:
    """Say in one line what a check found."""
    read = f"{report.num_masks_read} of {report.num_masks} masks read"
    if not report.errors:
        notes = {0: "", 1: ", 1 note"}.get(len(report.notes), f", {len(report.notes)} notes")
        return f"No problem in {read}{notes}."
    problems = "1 problem" if len(report.errors) == 1 else f"{len(report.errors)} problems"
    first = report.errors[0]
    return f"{problems}, {read}. First: {first.what} [{first.where}]"


def _close(*channels_and_object: object) -> None:
    for channel in channels_and_object:
        if isinstance(channel, LiveChannel):
            channel.close(timeout_s=0.5)


def _quick_check(dataset: DataSet) -> CheckReport:
    return check_dataset(dataset.root, dataset.layout.reference, quick=True)
