"""The dock's section on classes: what one paints with, what is drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QSignalBlocker, QSize
from qtpy.QtWidgets import QCheckBox, QGridLayout, QPushButton, QSizePolicy, QWidget

from napari_hogseg.ui.looks import palette
from napari_hogseg.ui.section import Section, wrapped_label
from napari_hogseg.ui.view_section import SWATCH_PX, swatch

if TYPE_CHECKING:
    from napari_hogseg.data.scheme import Color
    from napari_hogseg.ui.review_controller import ReviewController

HINT = (
    "Number keys choose a class, 0 erases. [ and ] change the brush, F fills, Ctrl+Z undoes. The box hides a "
    "class, a double click shows it alone."
)
#: A class name beyond this is cut off in two columns of a dock of the least width.
NARROW_PX = 96


class LegendSection(Section):
    """The classes: a click selects one for painting, its box hides it, a double click shows it alone.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional
    """

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__("Classes: click one to paint it", parent=parent)
        self._controller = controller
        self._buttons: dict[int | None, QPushButton] = {}
        self.boxes: dict[int, QCheckBox] = {}
        self._list = QGridLayout()
        self._list.setSpacing(2)
        self._list.setColumnStretch(1, 1)
        self._list.setColumnStretch(3, 1)
        self.body.addLayout(self._list)
        self._hint = wrapped_label("Open a clip to see its classes.")
        self.body.addWidget(self._hint)
        controller.clip_changed.connect(self._rebuild)
        controller.look_changed.connect(self._show_look)
        controller.class_changed.connect(self._mark_selected)

    def show_alone(self, class_id: int) -> None:
        """Hide all other classes; if they are hidden already, show all."""
        others = frozenset(set(self.boxes) - {class_id})
        look = self._controller.layers.look
        hidden = frozenset[int]() if look.hidden == others else others
        self._controller.set_look(replace(look, hidden=hidden))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Notice double clicks on a class."""
        if event is not None and event.type() == QEvent.Type.MouseButtonDblClick:
            for class_id, button in self._buttons.items():
                if button is watched and class_id is not None:
                    self.show_alone(class_id)
                    return True
        return bool(super().eventFilter(watched, event))

    def _rebuild(self) -> None:
        for widget in (*self._buttons.values(), *self.boxes.values()):
            self._list.removeWidget(widget)
            widget.deleteLater()
        self._buttons, self.boxes = {}, {}
        session = self._controller.session
        if session is None:
            return
        scheme = session.clip.scheme
        longest = max(self.fontMetrics().horizontalAdvance(name) for name in scheme.classes)
        num_columns = 1 if longest > NARROW_PX else 2
        self._list.setColumnStretch(3, num_columns - 1)
        for class_id, name in enumerate(scheme.classes):
            row, column = divmod(class_id, num_columns)
            self.boxes[class_id] = self._box(class_id, name)
            self._list.addWidget(self.boxes[class_id], row, 2 * column)
            self._buttons[class_id] = self._button(class_id, name, scheme.colors[class_id])
            self._list.addWidget(self._buttons[class_id], row, 2 * column + 1)
        self._buttons[None] = self._button(None, "unlabelled (erase)", None)
        self._list.addWidget(self._buttons[None], -(-scheme.num_classes // num_columns), 1, 1, 3)
        self._hint.setText(HINT)
        self._show_look()
        self._mark_selected()

    def _box(self, class_id: int, name: str) -> QCheckBox:
        box = QCheckBox(checked=True)
        box.setToolTip(f"Draw {name}")
        box.setAccessibleName(f"Draw {name}")
        box.toggled.connect(lambda checked: self._on_box(class_id, shown=checked))
        return box

    def _button(self, class_id: int | None, name: str, color: Color | None) -> QPushButton:
        key = "0" if class_id is None else str(class_id + 1) if class_id < 9 else ""
        button = QPushButton(f"{key} {name}" if key else name, checkable=True)
        button.setIcon(swatch(color))
        button.setIconSize(QSize(SWATCH_PX, SWATCH_PX))
        button.setStyleSheet("QPushButton { text-align: left; padding: 3px 2px; }")
        # Both columns share the width there is, whatever the longest name wants.
        button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        button.setToolTip(name)
        button.clicked.connect(lambda: self._controller.select_class(class_id))
        button.installEventFilter(self)
        return button

    def _on_box(self, class_id: int, *, shown: bool) -> None:
        look = self._controller.layers.look
        hidden = look.hidden - {class_id} if shown else look.hidden | {class_id}
        self._controller.set_look(replace(look, hidden=hidden))

    def _show_look(self) -> None:
        session, look = self._controller.session, self._controller.layers.look
        if session is None:
            return
        colors = palette(session.clip.scheme, look.palette)
        for class_id, box in self.boxes.items():
            with QSignalBlocker(box):
                box.setChecked(class_id not in look.hidden)
            self._buttons[class_id].setIcon(swatch(colors[class_id]))

    def _mark_selected(self) -> None:
        selected = self._controller.selected_class
        for class_id, button in self._buttons.items():
            button.setChecked(class_id == selected)
