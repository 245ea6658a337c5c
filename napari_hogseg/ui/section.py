"""A titled part of the dock that folds away, and the small labels the parts share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QFrame, QLabel, QScrollArea, QSizePolicy, QToolButton, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from pathlib import Path


class Section(QWidget):
    """A header that opens and closes the widgets below it.

    Parameters
    ----------
    title : str
    opened : bool
    parent : QWidget, optional

    Attributes
    ----------
    toggled : Signal(bool)
    """

    toggled = Signal(bool)

    def __init__(self, title: str, *, opened: bool = True, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._header = QToolButton(text=title, checkable=True, checked=opened)
        self._header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._header.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        # Flat on every theme: napari's style draws tool buttons as filled boxes.
        self._header.setStyleSheet(
            "QToolButton, QToolButton:checked { background: transparent; border: none; font-weight: bold;"
            " padding: 4px 2px; text-align: left; }"
        )
        self._body = QWidget()
        self.body = QVBoxLayout(self._body)
        self.body.setContentsMargins(8, 0, 2, 6)
        self.body.setSpacing(4)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._header)
        layout.addWidget(self._body)
        self._header.toggled.connect(self._on_toggled)
        self._on_toggled(opened)

    @property
    def opened(self) -> bool:
        """Whether the widgets below are seen."""
        return bool(self._header.isChecked())

    @opened.setter
    def opened(self, opened: bool) -> None:
        self._header.setChecked(opened)

    def _on_toggled(self, opened: bool) -> None:  # noqa: FBT001 - a Qt signal's argument
        self._header.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
        self._body.setVisible(opened)
        self.toggled.emit(opened)


class FittingScrollArea(QScrollArea):
    """Scrolls up and down only, and is always as wide as its content needs.

    Attributes
    ----------
    fitted : Signal(int)
        The width in pixels that it needs now.
    """

    fitted = Signal(int)

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)
        content.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Grow with the content: a section opened, or a longer class name came."""
        if event.type() == QEvent.Type.LayoutRequest and watched is self.widget():
            width = watched.minimumSizeHint().width() + self.verticalScrollBar().sizeHint().width()
            if width != self.minimumWidth():
                self.setMinimumWidth(width)
                self.fitted.emit(width)
        return bool(super().eventFilter(watched, event))


class ElidedLabel(QLabel):
    """One line that is cut in the middle where it does not fit; the tooltip has all of it."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._whole = ""
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.set_text(text)

    def set_text(self, text: str, tooltip: Path | str = "") -> None:
        """Show another text."""
        self._whole = text
        self.setToolTip(str(tooltip) or text)
        self._elide()

    @property
    def whole_text(self) -> str:
        """The text before it was cut."""
        return self._whole

    def resizeEvent(self, event: object) -> None:  # noqa: N802 - Qt's name
        """Cut again."""
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        metrics = self.fontMetrics()
        self.setText(metrics.elidedText(self._whole, Qt.TextElideMode.ElideMiddle, max(self.width(), 40)))


def wrapped_label(text: str = "") -> QLabel:
    """Make a label that breaks its lines and can be copied from."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
