"""Renaming a panel from its check box: by a right click, the menu key or F2."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import QInputDialog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qtpy.QtWidgets import QCheckBox

    from napari_hogseg.ui.review_layers import ReviewLayers

HOW = "F2 or a right click: another name."


def offer_names(boxes: Mapping[str, QCheckBox], layers: ReviewLayers) -> None:
    """Let each panel be renamed at its check box, which shows the name that it has.

    Parameters
    ----------
    boxes : mapping of str to QCheckBox
        By the key of the panel.
    layers : ReviewLayers
    """

    def show(key: str) -> None:
        boxes[key].setText(layers.title_of(key).replace("&", "&&"))  # one '&' would underline a letter

    for key, box in boxes.items():
        action = QAction("Rename ...", box)
        action.setShortcut(QKeySequence(Qt.Key.Key_F2))
        action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        action.triggered.connect(partial(_ask, key, box, layers))
        box.addAction(action)
        box.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        box.setToolTip(f"{box.toolTip()} {HOW}".strip())
    layers.renamed.connect(show)


def _ask(key: str, box: QCheckBox, layers: ReviewLayers) -> None:
    dialog = QInputDialog(box)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle("Name of the panel")
    dialog.setLabelText("Name, on the canvas and in the layer list (empty: the first one)")
    dialog.setTextValue(layers.title_of(key))
    dialog.textValueSelected.connect(partial(layers.rename, key))
    dialog.open()
