"""The dock's sections on what is shown: panels and opacity, HOG settings, class legend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, QSize, Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QWidget,
)

from napari_hogseg.features.hog import HOG_PRESETS
from napari_hogseg.ui.labels import ERROR_COLORS
from napari_hogseg.ui.products import HogSettings
from napari_hogseg.ui.review_layers import ORDER, OVERLAY_OPACITY, TITLES, TRUTH
from napari_hogseg.ui.section import Section, wrapped_label

if TYPE_CHECKING:
    from napari_hogseg.data.scheme import Color
    from napari_hogseg.ui.review_controller import ReviewController

SWATCH_PX = 14


class ShowSection(Section):
    """Check boxes for the panels, opacity of the masks, legend of the error colours.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional
    """

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__("What to show", parent=parent)
        self._controller = controller
        self.boxes = {key: QCheckBox(TITLES[key], checked=True) for key in ORDER}
        grid = QGridLayout()
        for position, (key, box) in enumerate(self.boxes.items()):
            grid.addWidget(box, position // 2, position % 2)
            box.toggled.connect(lambda checked, key=key: controller.set_panel_visible(key, visible=checked))
        self.body.addLayout(grid)
        self.opacity = QSlider(Qt.Orientation.Horizontal, minimum=0, maximum=100)
        self.opacity.setValue(round(100 * OVERLAY_OPACITY[TRUTH]))
        self.opacity.valueChanged.connect(self._on_opacity)
        form = QFormLayout()
        form.addRow("Mask opacity", self.opacity)
        self.body.addLayout(form)
        self.body.addLayout(_error_legend())
        controller.clip_changed.connect(self._show_all)
        controller.panel_closed.connect(self._on_panel_closed)

    def _on_opacity(self, percent: int) -> None:
        self._controller.layers.set_opacity(percent / 100)

    def _show_all(self) -> None:
        """Hide again what was hidden: a new clip comes with all its panels."""
        for key, box in self.boxes.items():
            if not box.isChecked():
                self._controller.set_panel_visible(key, visible=False)
        self._on_opacity(self.opacity.value())

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
        self.preset = QComboBox()
        self.preset.addItems(["custom", *HOG_PRESETS])
        self.orientations = QSpinBox(minimum=2, maximum=36)
        self.cell_px = QSpinBox(minimum=4, maximum=64, suffix=" px")
        form = QFormLayout()
        form.addRow("Preset", self.preset)
        form.addRow("Orientations", self.orientations)
        form.addRow("Cell size", self.cell_px)
        self.body.addLayout(form)
        self.body.addWidget(wrapped_label("The map is drawn at the frame's own size."))
        self._show(controller.hog)
        self.preset.currentTextChanged.connect(self._on_preset)
        self.orientations.valueChanged.connect(lambda: self._on_numbers())
        self.cell_px.valueChanged.connect(lambda: self._on_numbers())

    def _show(self, hog: HogSettings) -> None:
        for box, value in ((self.orientations, hog.orientations), (self.cell_px, hog.cell_px)):
            with QSignalBlocker(box):
                box.setValue(value)
        pair = (hog.orientations, hog.cell_px)
        names = [name for name, p in HOG_PRESETS.items() if (p.orientations, p.cell_px) == pair]
        with QSignalBlocker(self.preset):
            self.preset.setCurrentText(names[0] if names else "custom")

    def _on_preset(self, name: str) -> None:
        if name in HOG_PRESETS:
            params = HOG_PRESETS[name]
            hog = HogSettings(params.orientations, params.cell_px)
            self._show(hog)
            self._controller.set_hog(hog)

    def _on_numbers(self) -> None:
        hog = HogSettings(self.orientations.value(), self.cell_px.value())
        self._show(hog)
        self._controller.set_hog(hog)


class LegendSection(Section):
    """The classes: a click selects one for painting.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional
    """

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__("Classes: click one to paint it", parent=parent)
        self._controller = controller
        self._buttons: dict[int | None, QPushButton] = {}
        self._list = QGridLayout()
        self._list.setSpacing(2)
        self.body.addLayout(self._list)
        self._hint = wrapped_label("Open a clip to see its classes.")
        self.body.addWidget(self._hint)
        controller.clip_changed.connect(self._rebuild)
        controller.class_changed.connect(self._mark_selected)

    def _rebuild(self) -> None:
        for button in self._buttons.values():
            self._list.removeWidget(button)
            button.deleteLater()
        self._buttons = {}
        session = self._controller.session
        if session is None:
            return
        scheme = session.clip.scheme
        rows: list[tuple[int | None, str, Color | None]] = [
            (class_id, name, scheme.colors[class_id]) for class_id, name in enumerate(scheme.classes)
        ]
        for position, (class_id, name, color) in enumerate([*rows, (None, "unlabelled (erase)", None)]):
            button = self._button(class_id, name, color)
            self._buttons[class_id] = button
            if class_id is None:
                self._list.addWidget(button, (position + 1) // 2, 0, 1, 2)
            else:
                self._list.addWidget(button, position // 2, position % 2)
        self._hint.setText(
            "Number keys choose a class, 0 erases. [ and ] change the brush, F fills, Ctrl+Z undoes."
        )
        self._mark_selected()

    def _button(self, class_id: int | None, name: str, color: Color | None) -> QPushButton:
        key = "0" if class_id is None else str(class_id + 1) if class_id < 9 else ""
        button = QPushButton(f"{key}  {name}" if key else name, checkable=True)
        button.setIcon(swatch(color))
        button.setIconSize(QSize(SWATCH_PX, SWATCH_PX))
        button.setStyleSheet("QPushButton { text-align: left; padding: 3px 6px; }")
        # Both columns share the width there is, whatever the longest name wants.
        button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        button.setToolTip(name)
        button.clicked.connect(lambda: self._controller.select_class(class_id))
        return button

    def _mark_selected(self) -> None:
        selected = self._controller.selected_class
        for class_id, button in self._buttons.items():
            button.setChecked(class_id == selected)


def swatch(color: Color | None) -> QIcon:
    """Make a square of a colour; an empty frame for None."""
    pixmap = QPixmap(SWATCH_PX, SWATCH_PX)
    pixmap.fill(QColor(0, 0, 0, 0) if color is None else QColor(*color))
    return QIcon(pixmap)


def _error_legend() -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(4)
    for name, color in ERROR_COLORS.values():
        patch = QLabel()
        patch.setPixmap(swatch(color).pixmap(SWATCH_PX, SWATCH_PX))
        row.addWidget(patch)
        row.addWidget(QLabel(name))
        row.addSpacing(6)
    row.addStretch(1)
    return row
