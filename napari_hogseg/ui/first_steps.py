"""The first steps, told in the dock until a person puts them away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_hogseg.ui.section import wrapped_label

if TYPE_CHECKING:
    from napari_hogseg.ui.keys import KeyMap

STYLE = "QFrame#firstSteps { border: 1px solid rgb(86, 180, 233); border-radius: 4px; }"


class FirstSteps(QFrame):
    """Four steps and two buttons.

    Parameters
    ----------
    keys : KeyMap
    parent : QWidget, optional

    Attributes
    ----------
    put_away : Signal()
    keys_wanted : Signal()
    """

    put_away = Signal()
    keys_wanted = Signal()

    def __init__(self, keys: KeyMap, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("firstSteps")
        self.setStyleSheet(STYLE)
        self._keys = keys
        self.text = wrapped_label()
        self.done = QPushButton("Got it")
        self.done.setToolTip("Put this away for good.")
        self.more = QPushButton("All keys...")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addWidget(self.text)
        row = QHBoxLayout()
        row.addWidget(self.more)
        row.addWidget(self.done)
        layout.addLayout(row)
        self.done.clicked.connect(lambda: self.put_away.emit())
        self.more.clicked.connect(lambda: self.keys_wanted.emit())
        keys.changed.connect(self._tell)
        self._tell()

    def _tell(self) -> None:
        known = {action.name for action in self._keys.actions}
        key = {name: self._keys.key_of(name) for name in known}
        self.text.setText(
            "1. Open a video or a folder of frames, or drop it here; masks, if there are any.\n"
            "2. Load a model: its prediction and its boundary errors follow the slider.\n"
            f"3. {key.get('next_error') or 'Worst first'} goes to the worst error; paint, or "
            f"{key.get('accept_error') or 'a button'} takes over the prediction there.\n"
            "4. Fine-tune: the model learns from your corrections and comes back."
        )
