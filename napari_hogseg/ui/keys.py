"""The review's keys: one list of what can be done by a key, under which key, on the canvas and in the docks.

napari ignores the keys of a plugin's manifest, so they are bound here, where a person may also change them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from app_model.types import KeyBinding
from napari.layers import Labels
from napari.settings import get_settings
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QShortcut, QWidget

from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari.viewer import Viewer

CLASS_KEYS = frozenset("0123456789")
#: Of the timeline, while it has the focus.
TIMELINE_KEYS = frozenset({"I", "O", "Home", "End", "PageUp", "PageDown", "+", "-", "=", "Delete"})
#: What the viewer itself does by a key; other layers' tools do not matter while masks are painted.
VIEWER_ACTIONS = (
    "increment_dims_left",
    "increment_dims_right",
    "hold_for_pan_zoom",
    "toggle_selected_visibility",
    "toggle_unselected_visibility",
    "auto_contrast_once",
)


@dataclass(frozen=True)
class Action:
    """Something that a key does.

    Attributes
    ----------
    name : str
        What the program and the preferences call it.
    title : str
        What a person reads.
    usual : str
        Its key as it comes, such as 'Shift+N'.
    run : callable
    """

    name: str
    title: str
    usual: str
    run: Callable[[], None]


class KeyMap(QObject):
    """Actions and their keys in one viewer.

    Parameters
    ----------
    viewer : napari.Viewer
    chosen : mapping of str to str
        Keys by action, where they are not the usual ones.
    parent : QObject, optional

    Attributes
    ----------
    changed : Signal()
        An action has another key, or there is another action.
    """

    changed = Signal()

    def __init__(
        self, viewer: Viewer, chosen: Mapping[str, str] | None = None, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._chosen = dict(chosen or {})
        self._actions: dict[str, Action] = {}
        self._bound: dict[str, str] = {}
        self._shortcuts: list[tuple[QShortcut, str]] = []
        self._served: list[QWidget] = []

    @property
    def actions(self) -> tuple[Action, ...]:
        """All actions, in the order they were added."""
        return tuple(self._actions.values())

    @property
    def chosen(self) -> dict[str, str]:
        """Keys that are not the usual ones, by action."""
        return dict(self._chosen)

    def key_of(self, name: str) -> str:
        """Tell an action's key, such as 'Shift+N'; empty for none."""
        return self._chosen.get(name, self._actions[name].usual)

    def add(self, name: str, title: str, usual: str, run: Callable[[], None]) -> None:
        """Add an action, or exchange what it does."""
        self._actions[name] = Action(name, title, usual, run)
        self._bind()

    def run(self, name: str) -> None:
        """Do what an action does; nothing where it is not there yet."""
        action = self._actions.get(name)
        if action is not None:
            action.run()

    def serve(self, widget: QWidget) -> None:
        """Let the keys work while the focus is in a widget: the canvas's keys are napari's business."""
        self._served.append(widget)
        widget.destroyed.connect(partial(self._forget, widget))
        self._bind()

    def change(self, name: str, key: str) -> None:
        """Give an action another key, or none (an empty text).

        Raises
        ------
        InputError
            If the key is another one's.
        """
        key = normal(key)
        reason = self._why_not(name, key)
        if reason:
            raise InputError(reason, remedy="Choose another letter, with Shift if need be.")
        if key == self._actions[name].usual:
            self._chosen.pop(name, None)
        else:
            self._chosen[name] = key
        self._bind()

    def reset(self) -> None:
        """Give all actions their usual keys."""
        self._chosen.clear()
        self._bind()

    def close(self) -> None:
        """Give the keys back to napari."""
        self._actions.clear()
        self._bind()

    def _why_not(self, name: str, key: str) -> str:
        if not key:
            return ""
        if any(modifier in key for modifier in ("Ctrl+", "Alt+", "Meta+")):
            return f"{key}: keys with Ctrl or Alt are those of napari's menus"
        if key in CLASS_KEYS:
            return f"{key} chooses a class"
        if key in TIMELINE_KEYS:
            return f"{key} is the timeline's"
        if key in napari_keys():
            return f"{key} is napari's own"
        for other in self._actions:
            if other != name and self.key_of(other) == key:
                return f"{key} is taken: {self._actions[other].title}"
        return ""

    def _bind(self) -> None:
        wanted = {self.key_of(name): name for name in self._actions if self.key_of(name)}
        for key in set(self._bound) - set(wanted):
            self._viewer.bind_key(key, None)
        for key, name in wanted.items():
            if self._bound.get(key) != name:
                self._viewer.bind_key(key, _handler(self, name), overwrite=True)
        self._bound = wanted
        for shortcut, _ in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._shortcuts = [
            (self._shortcut(widget, key, name), name)
            for widget in self._served
            for key, name in wanted.items()
        ]
        self.changed.emit()

    def _shortcut(self, widget: QWidget, key: str, name: str) -> QShortcut:
        shortcut = QShortcut(QKeySequence(key), widget)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(partial(self.run, name))
        return shortcut

    def _forget(self, widget: QWidget, _object: object = None) -> None:
        """Let go of a widget that dies, and of its shortcuts, which die with it."""
        self._served = [each for each in self._served if each is not widget]
        self._shortcuts = []


def normal(key: str) -> str:
    """Write a key as Qt does, 'Shift+N' for 'shift-n'; only the first of several strokes.

    Raises
    ------
    InputError
        If there is no such key.
    """
    if not key:
        return ""
    try:
        stroke = KeyBinding.from_str(key.split(",", maxsplit=1)[0].strip() or key)
    except (KeyError, ValueError):
        stroke = None
    if stroke is None or not str(stroke):
        raise InputError(f"{key!r} is no key that can be used")
    return str(stroke)


def napari_keys() -> set[str]:
    """Keys that napari uses itself while a mask is painted, as its settings stand."""
    settings = get_settings().shortcuts.shortcuts
    viewer = {str(key) for name in VIEWER_ACTIONS for key in settings.get(f"napari:{name}", ())}
    return viewer | {str(key) for key in Labels.class_keymap}


def _handler(keys: KeyMap, name: str) -> Callable[[Viewer], None]:
    def act_by_key(_viewer: Viewer) -> None:  # napari asks for a name, which a partial has not
        keys.run(name)

    return act_by_key
