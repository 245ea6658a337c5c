"""The window that tells all keys and lets a person change the review's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QGridLayout,
    QKeySequenceEdit,
    QLabel,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_hogseg.io.errors import InputError
from napari_hogseg.ui.section import wrapped_label

if TYPE_CHECKING:
    from napari_hogseg.ui.keys import KeyMap

#: napari's own, on the canvas with the masks' layer selected; `docs/review.md` has the same list.
NAPARI_KEYS = (
    ("0 to 9", "Class to paint with; 0 erases"),
    ("P  E  F  L", "Brush, eraser, fill, pick a class"),
    ("[  ]", "Smaller, larger brush"),
    ("Z, or hold Space", "Move the picture"),
    ("Left  Right", "Frame before, frame after"),
    ("Ctrl+Z  Ctrl+Shift+Z", "Undo, redo"),
    ("double click", "One panel large, and back (while moving the picture)"),
    ("Ctrl+Shift+P", "All commands by name"),
)
TIMELINE_KEYS = (
    ("Left  Right  PageUp  PageDown", "Go"),
    ("I  O  Delete", "Begin and end a range, remove it"),
    ("+  -  0", "Nearer, farther, all frames"),
)


class KeysDialog(QDialog):
    """A list of actions with their keys, each of which can be changed.

    Parameters
    ----------
    keys : KeyMap
    parent : QWidget, optional
    """

    def __init__(self, keys: KeyMap, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys of the review")
        self._keys = keys
        self.edits: dict[str, QKeySequenceEdit] = {}
        self.message = wrapped_label()
        layout = QVBoxLayout(self)
        layout.addWidget(_title("Review: click a field and press another key"))
        layout.addLayout(self._own_keys())
        layout.addWidget(self.message)
        for title, rows in (
            ("napari, on the canvas", NAPARI_KEYS),
            ("Timeline, once clicked", TIMELINE_KEYS),
        ):
            layout.addWidget(_title(title))
            form = QFormLayout()
            for key, text in rows:
                form.addRow(key, QLabel(text))
            layout.addLayout(form)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.usual = buttons.addButton("Usual keys", QDialogButtonBox.ButtonRole.ResetRole)
        self.usual.clicked.connect(lambda: self._on_usual())
        buttons.rejected.connect(self.reject)
        layout.addWidget(buttons)

    def _own_keys(self) -> QGridLayout:
        grid = QGridLayout()
        for row, action in enumerate(self._keys.actions):
            edit = QKeySequenceEdit(QKeySequence(self._keys.key_of(action.name)))
            edit.setAccessibleName(action.title)
            edit.editingFinished.connect(lambda name=action.name: self._on_edited(name))
            clear = QToolButton(text="No key")
            clear.setAccessibleName(f"No key for: {action.title}")
            clear.clicked.connect(lambda _=False, name=action.name: self._change(name, ""))
            grid.addWidget(QLabel(action.title), row, 0)
            grid.addWidget(edit, row, 1)
            grid.addWidget(clear, row, 2)
            self.edits[action.name] = edit
        return grid

    def _on_edited(self, name: str) -> None:
        text = self.edits[name].keySequence().toString(QKeySequence.SequenceFormat.PortableText)
        self._change(name, text.split(", ")[0])

    def _change(self, name: str, key: str) -> None:
        self.message.setText("")
        try:
            if key != self._keys.key_of(name):
                self._keys.change(name, key)
        except InputError as error:
            self.message.setText(str(error))
        self._show()

    def _on_usual(self) -> None:
        self._keys.reset()
        self.message.setText("")
        self._show()

    def _show(self) -> None:
        for name, edit in self.edits.items():
            with QSignalBlocker(edit):
                edit.setKeySequence(QKeySequence(self._keys.key_of(name)))


def _title(text: str) -> QLabel:
    label = QLabel(text)
    label.setStyleSheet("font-weight: bold; padding-top: 6px;")
    return label
