"""The dock's section on painting tools: napari's own, with their keys.

The tools are napari's; here are buttons that choose them on the layer one paints on. Classes keep 0 to 9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QButtonGroup, QGridLayout, QPushButton, QSizePolicy, QWidget

from napari_hogseg.ui.section import Section
from napari_hogseg.ui.smart_edge_switch import SmartEdgeSwitch

if TYPE_CHECKING:
    from napari_hogseg.ui.review_controller import ReviewController

#: A polygon has only a number in napari, and numbers choose classes here. Free on layer and viewer.
POLYGON_KEY = "G"
#: Mode of a Labels layer: what the button says, its key, and what it is for.
TOOLS = {
    "pan_zoom": ("Move", "Z", "Move and zoom; a double click enlarges a panel."),
    "paint": ("Brush", "P", "Paint the class chosen. [ and ] change the brush's size."),
    "erase": ("Eraser", "E", "Back to unlabelled."),
    "polygon": ("Polygon", POLYGON_KEY, "Click corners; a double click or Enter closes it, Esc drops it."),
    "fill": ("Fill", "F", "Give all that hangs together with the pixel clicked the class chosen."),
    "pick": ("Pick", "L", "Choose the class of the pixel clicked."),
}


class ToolsSection(Section):
    """A button for each tool, pressed while the tool is in use.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional
    """

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__("Tools", parent=parent)
        self._controller = controller
        self.buttons: dict[str, QPushButton] = {}
        group, grid = QButtonGroup(self), QGridLayout()
        group.setExclusive(False)  # the layer says which one is in use, the section only shows it
        for place, (mode, (title, key, about)) in enumerate(TOOLS.items()):
            button = QPushButton(f"{title}  {key}", checkable=True)
            button.setToolTip(about)
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            button.clicked.connect(lambda _checked, mode=mode: self.choose(mode))
            group.addButton(button)
            grid.addWidget(button, place // 3, place % 3)
            self.buttons[mode] = button
        for column in range(3):
            grid.setColumnStretch(column, 1)
        self.body.addLayout(grid)
        self.smart_edge = SmartEdgeSwitch(controller)
        self.body.addWidget(self.smart_edge)
        controller.keys.add("polygon", "Polygon", POLYGON_KEY, lambda: self.choose("polygon"))
        controller.keys.changed.connect(self._show_key)
        for signal in (controller.clip_changed, controller.class_changed):
            signal.connect(self._show_mode)
        self._show_mode()

    def _show_key(self) -> None:
        keys = self._controller.keys
        key = keys.key_of("polygon") if keys.actions else ""  # none any more: the review ends
        self.buttons["polygon"].setText(f"{TOOLS['polygon'][0]}  {key}".rstrip())

    def choose(self, mode: str) -> None:
        """Use a tool on the layer one paints on; where its frame is locked only moving works."""
        layer = self._controller.truth_layer
        if layer is not None:
            self._controller.viewer.layers.selection = {layer}
            self._controller.viewer.layers.selection.active = layer
            if layer.editable or mode == "pan_zoom":
                layer.mode = mode
        self._show_mode()

    def _show_mode(self) -> None:
        layer = self._controller.truth_layer
        for mode, button in self.buttons.items():
            with QSignalBlocker(button):
                button.setChecked(layer is not None and str(layer.mode) == mode)
            button.setEnabled(layer is not None)
