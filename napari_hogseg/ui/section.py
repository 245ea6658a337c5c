"""A titled part of the dock that folds away, and the small labels the parts share."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)


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


class FolderRow(QWidget):
    """A folder that may be chosen: what it is for, which one it is, a button to choose and one to forget it.

    Parameters
    ----------
    title : str
        What the folder is for.
    without : str
        What to show where none is chosen.
    about : str
        Tooltip.

    Attributes
    ----------
    changed : Signal()
    """

    changed = Signal()

    def __init__(self, title: str, without: str, about: str) -> None:
        super().__init__()
        self._title, self._without, self._about = title, without, about
        self._folder: Path | None = None
        self.label = ElidedLabel(without)
        self.choose_button, self.forget_button = QPushButton("Choose..."), QPushButton("Forget")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(QLabel(title))
        row.addWidget(self.label, 1)
        row.addWidget(self.choose_button)
        row.addWidget(self.forget_button)
        self.choose_button.clicked.connect(lambda: self._browse())
        self.forget_button.clicked.connect(lambda: self.set_folder(None))
        self.set_folder(None)

    @property
    def folder(self) -> Path | None:
        """The folder; None where none is chosen."""
        return self._folder

    def set_folder(self, folder: Path | None) -> None:
        """Take a folder, or none."""
        self._folder = folder
        self.label.set_text(self._without if folder is None else folder.name, tooltip=folder or self._about)
        self.choose_button.setToolTip(self._about)
        self.forget_button.setVisible(folder is not None)
        self.changed.emit()

    def _browse(self) -> None:
        start = "" if self._folder is None else str(self._folder)
        path = QFileDialog.getExistingDirectory(self, self._title, start)
        if path:
            self.set_folder(Path(path))


def wrapped_label(text: str = "") -> QLabel:
    """Make a label that breaks its lines and can be copied from."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
