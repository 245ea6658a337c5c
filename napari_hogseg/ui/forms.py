"""A form made from a configuration class: its fields are the widgets, its checks are the messages.

Knows pydantic and magicgui, and nothing of what is configured.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, Union, get_args, get_origin

from magicgui.widgets import create_widget
from psygnal import Signal
from pydantic import BaseModel, ValidationError
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic.fields import FieldInfo

ModelT = TypeVar("ModelT", bound=BaseModel)

INT_MAX = 2**31 - 1  # what a Qt spin box holds


class ConfigForm(Generic[ModelT]):
    """Edits some fields of a frozen pydantic class.

    Parameters
    ----------
    model_class : type
    fields : sequence of str
        Which fields, in this order; all where empty. The others keep the value last set.
    labels : mapping of str to str, optional
        Other words than the field's own.
    choices : mapping of str to sequence of str, optional
        Offer these values of a text field.
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
        grid = QGridLayout(self.native)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(1, 1)
        for row, name in enumerate(fields or model_class.model_fields):
            field = model_class.model_fields[name]
            widget = _make_widget(field, (choices or {}).get(name))
            widget.tooltip = field.description or ""
            label = QLabel((labels or {}).get(name, name.replace("_", " ")))
            label.setToolTip(field.description or "")
            error = QLabel("")
            error.setVisible(False)
            error.setWordWrap(True)
            grid.addWidget(label, 2 * row, 0)
            grid.addWidget(widget.native, 2 * row, 1)
            grid.addWidget(error, 2 * row + 1, 1)
            self.widgets[name], self.errors[name] = widget, error
        self.set_value(self._base)
        for widget in self.widgets.values():
            widget.changed.connect(self._on_changed)

    def value(self) -> ModelT:
        """Return what the form says.

        Raises
        ------
        InputError
            Naming the fields that are out of range.
        """
        self._show_problems()
        problems = self.problems()
        if problems:
            text = "; ".join(f"{name.replace('_', ' ')}: {what}" for name, what in problems.items())
            raise InputError(text, remedy="Mend the fields it names.")
        return self._class.model_validate(self._values())

    def set_value(self, value: ModelT) -> None:
        """Show another value."""
        self._base = value
        for name, widget in self.widgets.items():
            widget.value = _to_widget(widget, getattr(value, name))

    def problems(self) -> dict[str, str]:
        """Field names and what is wrong with them; empty if all is well."""
        try:
            self._class.model_validate(self._values())
        except ValidationError as error:
            return {str((item["loc"] or ("",))[0]): _words(item["msg"]) for item in error.errors()}
        return {}

    def set_choices(self, name: str, choices: Sequence[str]) -> None:
        """Offer other values for a field with choices; the chosen one stays if it is among them."""
        self.widgets[name].choices = tuple(choices)

    def _values(self) -> dict[str, Any]:
        values = self._base.model_dump()
        for name, widget in self.widgets.items():
            value = widget.value
            if isinstance(value, str):
                value = value.strip()
                if not value and _allows_none(self._class.model_fields[name].annotation):
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


def _make_widget(field: FieldInfo, choices: Sequence[str] | None) -> Any:
    plain = _without_none(field.annotation)
    if choices is not None:
        return create_widget(annotation=str, options={"choices": tuple(choices)}, widget_type="ComboBox")
    if get_origin(plain) is Literal:
        return create_widget(options={"choices": get_args(plain)}, widget_type="ComboBox")
    if plain is bool:
        return create_widget(annotation=bool)
    lower, upper = _bounds(field)
    if plain is int:
        top = INT_MAX if upper is None else int(upper)
        return create_widget(annotation=int, options={"min": int(lower or 0), "max": top})
    return create_widget(annotation=str, widget_type="LineEdit")


def _bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    lower = upper = None
    for rule in field.metadata:
        lower = getattr(rule, "ge", getattr(rule, "gt", lower))
        upper = getattr(rule, "le", getattr(rule, "lt", upper))
    return lower, upper


def _allows_none(annotation: Any) -> bool:
    return type(None) in get_args(annotation)


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        return next(part for part in get_args(annotation) if part is not type(None))
    return annotation


def _to_widget(widget: Any, value: Any) -> Any:
    if type(widget).__name__ == "LineEdit":
        return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return value


def _words(message: str) -> str:
    return message.replace("Input should be", "must be")
