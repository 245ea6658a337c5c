"""The dock's sections on what is shown: panels and their look, HOG settings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSlider,
    QSpinBox,
    QWidget,
)

from napari_hogseg.features.hog import HOG_PRESETS
from napari_hogseg.ui.labels import DIFFERENCE_COLORS, ERROR_COLORS
from napari_hogseg.ui.looks import PALETTES
from napari_hogseg.ui.panel_names import offer_names
from napari_hogseg.ui.products import HOG_VIEWS, HogSettings
from napari_hogseg.ui.review_layers import DIFFERENCE, FIRST, ORDER, PROPOSAL, RESIDUAL, TITLES
from napari_hogseg.ui.section import Section, wrapped_label
from napari_hogseg.ui.stage_layout import LAYOUTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_hogseg.data.scheme import Color
    from napari_hogseg.ui.review_controller import ReviewController

SWATCH_PX = 14
#: U-Net has four decoder stages with a head, U2-Net six.
NUM_STAGES = 6
LAYOUT_TITLES = {"grid": "grid", "strip": "large + strip", "swipe": "swipe"}


class ShowSection(Section):
    """Check boxes for the panels, how the masks are drawn, legends of the marks' colours.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional
    """

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__("What to show", parent=parent)
        self._controller = controller
        self.boxes = {key: QCheckBox(TITLES[key], checked=key in FIRST) for key in ORDER}
        look = controller.layers.look
        self.opacity = QSlider(Qt.Orientation.Horizontal, minimum=0, maximum=100)
        self.opacity.setValue(round(100 * look.opacity))
        self.palette_box = QComboBox()
        self.palette_box.addItems(PALETTES)
        self.palette_box.setCurrentText(look.palette)
        self.contours = QCheckBox("Outlines only", checked=look.contours)
        self.contours.setToolTip("Outlines instead of filled areas; the masks are the same.")
        self._difference_legend = QWidget()
        self._difference_legend.setLayout(_legend(DIFFERENCE_COLORS.values()))
        self.stage = QComboBox()
        self.stage.addItems(["all stages", *(f"stage {number}" for number in range(1, NUM_STAGES + 1))])
        self.stage.setToolTip("Decoder stage whose HOG residual is drawn; stage 1 is the finest.")
        self.layout_box = QComboBox()
        for name in LAYOUTS:
            self.layout_box.addItem(LAYOUT_TITLES[name], name)
        self.layout_box.setToolTip(
            "large + strip: one panel large, the others small beside it or below; a double click makes "
            "another one large. swipe: two panels over each other, with a divider to drag."
        )
        self.large = QComboBox()
        self.pair = (QComboBox(), QComboBox())
        for box, chosen in zip(self.pair, controller.stage.pair, strict=True):
            self._fill(box, chosen)
        self._fill(self.large, controller.stage.large)
        self.layout_box.currentTextChanged.connect(lambda: self._on_layout())
        controller.stage.changed.connect(self._show_layout)
        self.note = wrapped_label()
        self._lay_out()
        for key, box in self.boxes.items():
            box.toggled.connect(lambda checked, key=key: self._on_box(key, visible=checked))
        offer_names(self.boxes, controller.layers)
        controller.layers.renamed.connect(self._on_renamed)
        self.opacity.valueChanged.connect(lambda: self._on_look())
        self.palette_box.currentTextChanged.connect(lambda: self._on_look())
        self.contours.toggled.connect(lambda: self._on_look())
        self.stage.currentIndexChanged.connect(lambda: self._on_stage())
        controller.clip_changed.connect(self._show_all)
        controller.panel_closed.connect(self._on_panel_closed)
        controller.live_changed.connect(self._on_live)

    def _fill(self, box: QComboBox, chosen: str) -> None:
        for key in ORDER:
            box.addItem(TITLES[key], key)
        box.setCurrentIndex(ORDER.index(chosen))
        box.setEnabled(False)
        box.currentIndexChanged.connect(lambda: self._on_layout())

    def _lay_out(self) -> None:
        grid = QGridLayout()
        for position, box in enumerate(self.boxes.values()):
            grid.addWidget(box, position // 2, position % 2)
        self.boxes[RESIDUAL].setToolTip(
            "What the network's heads say the HOG is, minus what it is. Needs no ground truth."
        )
        self.boxes[DIFFERENCE].setToolTip("Where the model in use and the one before it differ.")
        self.boxes[PROPOSAL].setToolTip("A mask carried here by optical flow, until it is accepted.")
        self.body.addLayout(grid)
        form = QFormLayout()
        form.addRow("Layout", self.layout_box)
        form.addRow("Large panel", self.large)
        form.addRow("Swipe, left", self.pair[0])
        form.addRow("Swipe, right", self.pair[1])
        self.opacity.setToolTip("Of masks and predictions, up to opaque.")
        self.palette_box.setToolTip(
            "Of the classes: their own, or ones that the colour-blind can tell apart."
        )
        form.addRow("Mask opacity", self.opacity)
        form.addRow("Colours", self.palette_box)
        form.addRow("", self.contours)
        form.addRow("HOG residual of", self.stage)
        self.stage.setEnabled(False)
        self.body.addLayout(form)
        self.body.addLayout(_legend(ERROR_COLORS.values()))
        for widget in (self._difference_legend, self.note):
            widget.setVisible(False)
            self.body.addWidget(widget)

    def _on_renamed(self, key: str) -> None:
        for box in (self.large, *self.pair):
            box.setItemText(ORDER.index(key), self._controller.layers.title_of(key))

    def _on_box(self, key: str, *, visible: bool) -> None:
        self._controller.set_panel_visible(key, visible=visible)
        self._difference_legend.setVisible(self.boxes[DIFFERENCE].isChecked())
        self.stage.setEnabled(self.boxes[RESIDUAL].isChecked())
        self._on_live()

    def _on_layout(self) -> None:
        left, right = (str(box.currentData()) for box in self.pair)
        large = str(self.large.currentData())
        self._controller.set_layout(str(self.layout_box.currentData()), (left, right), large=large)

    def _show_layout(self) -> None:
        stage = self._controller.stage
        for box, index in (
            (self.layout_box, LAYOUTS.index(stage.name)),
            (self.large, ORDER.index(stage.large)),
            *zip(self.pair, map(ORDER.index, stage.pair), strict=True),
        ):
            with QSignalBlocker(box):
                box.setCurrentIndex(index)
        for key, check in self.boxes.items():
            with QSignalBlocker(check):
                check.setChecked(self._controller.grid.is_shown(key))
        for box in self.pair:
            box.setEnabled(stage.name == "swipe")
        self.large.setEnabled(stage.name == "strip")

    def _on_look(self) -> None:
        look = replace(
            self._controller.layers.look,
            palette=self.palette_box.currentText(),
            contours=self.contours.isChecked(),
            opacity=self.opacity.value() / 100,
        )
        self.opacity.setEnabled(not look.contours)
        self._controller.set_look(look)

    def _on_stage(self) -> None:
        session, chosen = self._controller.session, self.stage.currentIndex()
        if session is not None:
            session.live.set_residual_stage(None if chosen == 0 else chosen - 1)

    def _on_live(self, _state: object = None) -> None:
        """Say what the panels beside the first four have to say, where they are asked for."""
        session = self._controller.session
        extras = None if session is None else session.live.state.extras
        said = {} if extras is None else {RESIDUAL: extras.residual_note, DIFFERENCE: extras.difference_note}
        text = "\n".join(note for key, note in said.items() if note and self.boxes[key].isChecked())
        if text != self.note.text():
            self.note.setText(text)
            self.note.setVisible(bool(text))

    def _show_all(self) -> None:
        """Show and hide as the boxes say: a new clip comes with its first panels."""
        for key, box in self.boxes.items():
            made = self._controller.grid.get(key) is not None
            if box.isChecked() != made or not box.isChecked():
                self._controller.set_panel_visible(key, visible=box.isChecked())
        self._on_stage()

    def _on_panel_closed(self, key: str) -> None:
        with QSignalBlocker(self.boxes[key]):  # the layer is gone already
            self.boxes[key].setChecked(False)


class HogSection(Section):
    """Preset, orientations and cell size of the HOG map.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional
    """

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__("HOG settings", opened=False, parent=parent)
        self._controller = controller
        self.view = QComboBox()
        self.view.addItems(HOG_VIEWS)
        self.view.setToolTip(
            "glyphs: lines along the edges. orientation: the edge's direction as hue, red horizontal, "
            "cyan vertical. energy: how strong the strongest edge is."
        )
        self.preset = QComboBox()
        self.preset.addItems(["custom", *HOG_PRESETS])
        self.orientations = QSpinBox(minimum=2, maximum=36)
        self.cell_px = QSpinBox(minimum=4, maximum=64, suffix=" px")
        form = QFormLayout()
        form.addRow("Draw", self.view)
        form.addRow("Preset", self.preset)
        form.addRow("Orientations", self.orientations)
        form.addRow("Cell size", self.cell_px)
        self.body.addLayout(form)
        self.body.addWidget(wrapped_label("The map is drawn at the frame's own size."))
        self._show(controller.hog)
        self.preset.currentTextChanged.connect(self._on_preset)
        self.view.currentTextChanged.connect(lambda: self._on_numbers())
        self.orientations.valueChanged.connect(lambda: self._on_numbers())
        self.cell_px.valueChanged.connect(lambda: self._on_numbers())

    def _show(self, hog: HogSettings) -> None:
        for box, value in ((self.orientations, hog.orientations), (self.cell_px, hog.cell_px)):
            with QSignalBlocker(box):
                box.setValue(value)
        pair = (hog.orientations, hog.cell_px)
        names = [name for name, p in HOG_PRESETS.items() if (p.orientations, p.cell_px) == pair]
        with QSignalBlocker(self.view):
            self.view.setCurrentText(hog.view)
        with QSignalBlocker(self.preset):
            self.preset.setCurrentText(names[0] if names else "custom")

    def _on_preset(self, name: str) -> None:
        if name in HOG_PRESETS:
            params = HOG_PRESETS[name]
            hog = HogSettings(params.orientations, params.cell_px, self.view.currentText())
            self._show(hog)
            self._controller.set_hog(hog)

    def _on_numbers(self) -> None:
        hog = HogSettings(self.orientations.value(), self.cell_px.value(), self.view.currentText())
        self._show(hog)
        self._controller.set_hog(hog)


def swatch(color: Color | None) -> QIcon:
    """Make a square of a colour; an empty frame for None."""
    pixmap = QPixmap(SWATCH_PX, SWATCH_PX)
    pixmap.fill(QColor(0, 0, 0, 0) if color is None else QColor(*color))
    return QIcon(pixmap)


def _legend(entries: Iterable[tuple[str, Color]]) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    for name, color in entries:
        patch = QLabel()
        patch.setPixmap(swatch(color).pixmap(SWATCH_PX, SWATCH_PX))
        row.addWidget(patch)
        row.addWidget(QLabel(name))
        row.addSpacing(6)
    row.addStretch(1)
    return row
