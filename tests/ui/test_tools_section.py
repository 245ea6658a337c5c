"""The tools' buttons and keys, and that classes keep their numbers."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from review_cases import canvas_of

from napari_hogseg.ui.tools_section import TOOLS


def press(review, key):
    canvas_of(review).setFocus()
    QTest.keyClick(canvas_of(review), key)
    QTest.qWait(20)


def test_buttons_and_keys_choose_the_same_tools(review, clip_folder):
    review.open(clip_folder)
    layer, section = review.controller.truth_layer, review.dock.tools
    for mode, (_, key, _) in TOOLS.items():
        layer.mode = "transform"
        QTest.mouseClick(section.buttons[mode], Qt.MouseButton.LeftButton)
        assert str(layer.mode) == mode
        layer.mode = "transform"
        press(review, getattr(Qt.Key, f"Key_{key}"))
        assert str(layer.mode) == mode
        assert [each for each, button in section.buttons.items() if button.isChecked()] == [mode]
    press(review, Qt.Key.Key_2)
    assert (str(layer.mode), layer.selected_label) == ("paint", 2)
    assert section.buttons["paint"].isChecked()
    press(review, Qt.Key.Key_0)
    assert section.buttons["erase"].isChecked()


@pytest.mark.parametrize("mode", ["polygon", "pan_zoom"])
def test_a_locked_frame_takes_no_tool_but_moving(review, clip_folder, mode):
    review.open(clip_folder)
    layer = review.controller.truth_layer
    layer.editable = False
    review.dock.tools.choose(mode)
    assert str(layer.mode) == "pan_zoom"
