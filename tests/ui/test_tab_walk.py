"""The whole review by keyboard: Tab reaches every widget that does something, and each says what it is."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QScrollBar,
    QTabBar,
    QTabWidget,
    QWidget,
)
from review_cases import NUM_FRAMES, settle

from napari_hogseg.ui.section import Section

INPUTS = (
    QAbstractButton, QAbstractItemView, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit, QTabBar,
)  # fmt: skip
MAX_STEPS = 400


def inputs_of(panel):
    """Widgets that a mouse could use now; parts of another one (a spin box's field) belong to it."""
    found = [
        widget
        for widget in panel.findChildren(QWidget)
        if isinstance(widget, INPUTS)
        and not isinstance(widget, QScrollBar)
        and widget.isVisible()
        and widget.isEnabled()
    ]
    whole = set(found)
    return [widget for widget in found if not any(above in whole for above in ancestors(widget, panel))]


def ancestors(widget, panel):
    widget = widget.parentWidget()
    while widget is not None and widget is not panel:
        yield widget
        widget = widget.parentWidget()


def walked(first):
    """Press Tab from a widget until it comes round; every widget that had the focus."""
    first.setFocus(Qt.FocusReason.TabFocusReason)
    seen = []
    for _ in range(MAX_STEPS):
        here = first.window().focusWidget()  # without a window manager no window is the active one
        if here is None or here in seen:
            break
        seen.append(here)
        QTest.keyClick(here, Qt.Key.Key_Tab)
    return seen


def reached(widget, seen):
    return any(here is widget or widget.isAncestorOf(here) or here.focusProxy() is widget for here in seen)


def name_of(widget):
    """What a screen reader would say: a name, the text on a button, or the label of its row."""
    texts = [widget.accessibleName(), widget.text() if isinstance(widget, QAbstractButton) else ""]
    above = widget.parentWidget()
    layout = None if above is None else above.layout()
    for form in [] if layout is None else [layout, *layout.findChildren(QFormLayout)]:
        label = form.labelForField(widget) if isinstance(form, QFormLayout) else None
        if label is not None:
            texts.append(label.text())
    labels = widget.window().findChildren(QLabel)
    texts += [label.text() for label in labels if label.buddy() is widget]
    return next((text for text in texts if text), "")


def test_tab_reaches_everything_and_everything_has_a_name(review, clip_folder, model_folder):
    review.open(clip_folder)
    review.load(model_folder)
    dock = review.dock
    review.wait(lambda: len(dock.triage.frames.columns["frame"]) == NUM_FRAMES)
    num_walked = 0
    for panel in (dock, dock.triage, dock.session_panel, dock.timeline):
        panel.parentWidget().raise_()
        review.wait(panel.isVisible)
        for section in panel.findChildren(Section):
            section.opened = True
        tabs = panel.findChild(QTabWidget)
        for page in range(1 if tabs is None else tabs.count()):
            if tabs is not None:
                tabs.setCurrentIndex(page)
            settle(review)
            QTest.qWait(100)
            inputs = inputs_of(panel)
            seen = walked(inputs[0])
            missed = [describe(widget) for widget in inputs if not reached(widget, seen)]
            assert missed == [], (type(panel).__name__, page)
            nameless = [describe(widget) for widget in inputs if not name_of(widget)]
            assert nameless == [], (type(panel).__name__, page)
            num_walked += len(inputs)
    assert num_walked > 100


def describe(widget):
    above = [type(one).__name__ for one in ancestors(widget, None)]
    return f"{type(widget).__name__} {name_of(widget)!r} in {above[:4]}"
