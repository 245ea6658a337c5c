"""A form shows and gives back what its class holds, and says what is wrong where it is wrong."""

from __future__ import annotations

from typing import Literal

import pytest
from magicgui.widgets import ComboBox, SpinBox
from pydantic import BaseModel, ConfigDict, Field
from qtpy.QtWidgets import QLabel

from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.config import FineTuneConfig
from napari_hogseg.ui.forms import ConfigForm


class Meal(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    dish: Literal["soup", "bread"] = Field(default="soup", description="What is served.")
    num_guests: int = Field(default=2, gt=0, lt=9)
    hot: bool = True
    price: float | None = Field(default=None, gt=0.0)
    cook: str = "Ada"
    offset: int = 0


@pytest.fixture
def form(qtbot):
    form = ConfigForm(Meal)
    qtbot.addWidget(form.native)
    return form


@pytest.fixture
def finetune_form(qtbot):
    form = ConfigForm(
        FineTuneConfig, ("steps", "learning_rate", "device"), choices={"device": ("auto", "cpu")}
    )
    qtbot.addWidget(form.native)
    return form


def test_the_defaults_come_back(form) -> None:
    assert form.value() == Meal()


@pytest.mark.parametrize(
    "meal",
    [
        Meal(dish="bread", num_guests=8, hot=False, price=1e-5, cook="Bo", offset=-7),
        Meal(price=12.5),
        Meal(num_guests=1),
    ],
)
def test_any_value_comes_back(form, meal) -> None:
    form.set_value(meal)
    assert form.value() == meal


def test_each_kind_of_field_has_its_widget_and_bounds(form) -> None:
    assert isinstance(form.widgets["dish"], ComboBox)
    assert form.widgets["dish"].choices == ("soup", "bread")
    assert isinstance(form.widgets["num_guests"], SpinBox)
    assert (form.widgets["num_guests"].min, form.widgets["num_guests"].max) == (1, 8)
    assert form.widgets["dish"].native.toolTip() == "What is served."


def test_small_numbers_are_shown_as_one_writes_them(finetune_form) -> None:
    assert finetune_form.widgets["learning_rate"].value == "0.001"
    finetune_form.set_value(FineTuneConfig(learning_rate=1e-5))
    assert finetune_form.widgets["learning_rate"].value == "1e-05"
    assert finetune_form.value().learning_rate == 1e-5


def test_fields_not_shown_keep_what_was_set(finetune_form) -> None:
    finetune_form.set_value(FineTuneConfig(seed=7, batch_size=3))
    finetune_form.widgets["steps"].value = 12
    assert finetune_form.value() == FineTuneConfig(seed=7, batch_size=3, steps=12)


@pytest.mark.parametrize(
    ("text", "message"), [("abc", "must be a valid number"), ("0", "must be greater than 0"), ("", "must be")]
)
def test_an_error_stands_below_its_field(finetune_form, text, message) -> None:
    finetune_form.native.show()
    heard = []
    finetune_form.changed.connect(lambda: heard.append(text))
    finetune_form.widgets["learning_rate"].value = text
    assert heard == [text]
    error = finetune_form.errors["learning_rate"]
    assert error.isVisible()
    assert message in error.text()
    assert not finetune_form.errors["steps"].isVisible()
    with pytest.raises(InputError, match="learning rate: must be"):
        finetune_form.value()
    finetune_form.widgets["learning_rate"].value = "1e-4"
    assert not error.isVisible()
    assert finetune_form.value().learning_rate == 1e-4


def test_choices_may_change_and_the_chosen_stays(finetune_form) -> None:
    finetune_form.widgets["device"].value = "cpu"
    finetune_form.set_choices("device", ("auto", "cuda:0", "cpu"))
    assert finetune_form.value().device == "cpu"
    finetune_form.widgets["device"].value = "cuda:0"
    assert finetune_form.value().device == "cuda:0"
    heard = []
    finetune_form.changed.connect(lambda: heard.append(finetune_form.value().device))
    finetune_form.set_choices("device", ("auto", "cuda:0", "cpu"), {"auto": "auto: cuda:0"})
    assert finetune_form.value().device == "cuda:0"
    assert heard == []
    box = finetune_form.widgets["device"].native
    assert [box.itemText(row) for row in range(box.count())] == ["auto: cuda:0", "cuda:0", "cpu"]
    finetune_form.set_choices("device", ("auto", "cpu"))
    assert heard == ["auto"]  # the chosen one has gone


def test_labels_are_the_fields_own_words(finetune_form, qtbot) -> None:
    texts = [label.text() for label in finetune_form.native.findChildren(QLabel)]
    assert "learning rate" in texts
    renamed = ConfigForm(FineTuneConfig, ("steps",), labels={"steps": "how long"})
    qtbot.addWidget(renamed.native)
    assert "how long" in [label.text() for label in renamed.native.findChildren(QLabel)]
