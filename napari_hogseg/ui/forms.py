"""A form made from a configuration class: its fields become widgets, its checks the messages below them.

Knows pydantic and magicgui, and nothing of what is configured.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, Union, get_args, get_origin

from magicgui.widgets import CheckBox, ComboBox, LineEdit, SpinBox
from psygnal import Signal
from pydantic import BaseModel, ValidationError
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic.fields import FieldInfo

ModelT = TypeVar("ModelT", bound=BaseModel)

INT_MAX = 2**31 - 1
"""The largest number a Qt spin box holds."""

ERROR_STYLE = "QLabel { color: rgb(213, 94, 0); }"


class ConfigForm(Generic[ModelT]):
    """Edits some fields of a frozen pydantic class all of whose fields have defaults.

    Whole numbers get a spin box with the field's bounds, `Literal` and `choices` a combo box. Other numbers
    are typed: a spin box with fixed decimals cannot show both 1e-3 and 1e-5. An empty text is None where the
    field allows it.

    Parameters
    ----------
    model_class : type
    fields : sequence of str
        Which fields, in this order; all where empty. The others keep the values last set.
    labels : mapping of str to str, optional
        Other words than the field's own.
    choices : mapping of str to sequence of str, optional
        Values to offer for a text field.

    Attributes
    ----------
    changed : Signal()
        The person edited a field; its value may be out of range.
    native : QWidget
    widgets : dict of str to magicgui widget
    errors : dict of str to QLabel
        The message below each field, hidden while all is well.
    """

    changed = Signal()

    def __init__(
        self,
        model_class: type[ModelT],
        fields: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        choices: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._class = model_class
        self._base = model_class()
        self.native = QWidget()
        self.widgets: dict[str, Any] = {}
        self.errors: dict[str, QLabel] = {}
        self._labels = {name: name.replace("_", " ") for name in model_class.model_fields} | dict(
            labels or {}
        )
        grid = QGridLayout(self.native)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        for row, name in enumerate(fields or model_class.model_fields):
            self._add_row(grid, row, name, (choices or {}).get(name))
        self.set_value(self._base)
        for widget in self.widgets.values():
            widget.changed.connect(self._on_changed)

    def _add_row(self, grid: QGridLayout, row: int, name: str, choices: Sequence[str] | None) -> None:
        field = self._class.model_fields[name]
        widget = _make_widget(field, choices)
        label, error = QLabel(self._labels[name]), QLabel()
        for about in (label, widget.native):
            about.setToolTip(field.description or "")
        widget.native.setAccessibleName(self._labels[name])
        error.setStyleSheet(ERROR_STYLE)
        error.setWordWrap(True)
        grid.addWidget(label, 2 * row, 0)
        grid.addWidget(widget.native, 2 * row, 1)
        grid.addWidget(error, 2 * row + 1, 1)
        self.widgets[name], self.errors[name] = widget, error

    def value(self) -> ModelT:
        """Return what the form says.

        Raises
        ------
        InputError
            Naming the fields that are out of range.
        """
        problems = self.problems()
        if problems:
            text = "; ".join(f"{self._labels.get(name, name)}: {what}" for name, what in problems.items())
            raise InputError(text, remedy="Mend the fields it names.")
        return self._class.model_validate(self._values())

    def set_value(self, value: ModelT) -> None:
        """Show another value."""
        self._base = value
        for name, widget in self.widgets.items():
            widget.value = _shown(widget, getattr(value, name))
        self._show_problems()

    def problems(self) -> dict[str, str]:
        """Field names and what is wrong with them; empty if all is well."""
        try:
            self._class.model_validate(self._values())
        except ValidationError as error:
            return {str((item["loc"] or ("",))[0]): _in_words(item["msg"]) for item in error.errors()}
        return {}

    def set_choices(self, name: str, choices: Sequence[str], texts: Mapping[str, str] | None = None) -> None:
        """Offer other values for a field with choices; the chosen one stays if it is among them.

        Parameters
        ----------
        name : str
        choices : sequence of str
        texts : mapping of str to str, optional
            What to show for a value, where that is not the value itself.
        """
        widget = self.widgets[name]
        chosen = widget.value
        with widget.changed.blocked():
            widget.choices = ()  # else magicgui appends what is new to what is old
            widget.choices = tuple(((texts or {}).get(value, value), value) for value in choices)
            if chosen in choices:
                widget.value = chosen
        if widget.value != chosen:
            self._on_changed()

    def _values(self) -> dict[str, Any]:
        values = self._base.model_dump()
        for name, widget in self.widgets.items():
            value = widget.value
            if isinstance(widget, LineEdit):
                value = value.strip()
                if not value and type(None) in get_args(self._class.model_fields[name].annotation):
                    value = None
            values[name] = value
        return values

    def _on_changed(self) -> None:
        self._show_problems()
        self.changed.emit()

    def _show_problems(self) -> None:
        problems = self.problems()
        for name, label in self.errors.items():
            label.setText(problems.get(name, ""))
            label.setVisible(name in problems)


def _make_widget(field: FieldInfo, choices: Sequence[str] | None) -> CheckBox | ComboBox | LineEdit | SpinBox:
    annotation: object = field.annotation
    optional = get_origin(annotation) in (Union, types.UnionType)
    if choices is not None:
        return ComboBox(choices=tuple(choices))
    if get_origin(annotation) is Literal:
        return ComboBox(choices=get_args(annotation))
    if annotation is bool:
        return CheckBox()
    if annotation is int:
        lower, upper = _bounds(field)
        return SpinBox(
            min=-INT_MAX if lower is None else int(lower), max=INT_MAX if upper is None else int(upper)
        )
    widget = LineEdit()
    if optional:
        widget.native.setPlaceholderText("none")
    return widget


def _bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    """Inclusive bounds of a whole number, from the field's `ge`, `gt`, `le` and `lt`."""
    lower = upper = None
    for rule in field.metadata:
        if hasattr(rule, "ge"):
            lower = rule.ge
        elif hasattr(rule, "gt"):
            lower = rule.gt + 1
        elif hasattr(rule, "le"):
            upper = rule.le
        elif hasattr(rule, "lt"):
            upper = rule.lt - 1
    return lower, upper


def _shown(widget: object, value: object) -> object:
    if not isinstance(widget, LineEdit):
        return value
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _in_words(message: str) -> str:
    """Turn pydantic's sentence into one about the field: `must be greater than 0`."""
    return message.replace("Input should be", "must be").split(", unable")[0]
