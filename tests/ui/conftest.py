"""What interface tests share: napari's own warnings let through, review fixtures, and a hunt for leaks."""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
import threading
import time

import pytest

NEEDS_WINDOW = {"qapp", "qtbot", "make_napari_viewer", "make_napari_viewer_proxy"}
HAS_NAPARI = importlib.util.find_spec("napari") is not None
#: Threads and children get this long to end by themselves, such as the one that compiles the HOG kernels.
LEAK_PATIENCE_S = 30.0

if HAS_NAPARI:
    import psutil  # comes with napari
    from qtpy.QtCore import QEvent
    from qtpy.QtWidgets import QApplication
    from review_cases import clip_folder, model_folder, review  # noqa: F401 - fixtures
else:
    collect_ignore_glob = ["*"]  # the base install: nothing here can be imported

#: napari 0.9 itself, on PyQt5 only; each named as narrowly as its text allows.
NAPARI_WARNINGS = [
    "ignore:System theme detection requires a Qt6 backend:UserWarning",
    "ignore:napari support for the PyQt5 backend is deprecated:FutureWarning",
    "ignore:napari support for the PyQt5 backend is deprecated:DeprecationWarning",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Asked here, not on import: pytest-xvfb opens its screen in between.
    shown = not sys.platform.startswith("linux") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    for item in items:
        if "tests/ui" not in item.path.as_posix():
            continue
        for text in NAPARI_WARNINGS:
            item.add_marker(pytest.mark.filterwarnings(text))
        if not shown and NEEDS_WINDOW & set(getattr(item, "fixturenames", ())):
            reason = "napari's canvas needs a display: install Xvfb"
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def _nothing_leaks(monkeypatch):
    """Fail on widgets, threads and child processes that outlive their test."""
    # napari's own check looks before the garbage collector has run: pyqtgraph's menus have no parent.
    monkeypatch.delenv("NAPARI_STRICT_QT", raising=False)
    children_of = psutil.Process().children
    widgets, threads, children = set(windows()), set(threading.enumerate()), set(children_of())
    # What stands by now stays for good: collecting it anew, 7 times a test, was a fifth of these tests' time.
    gc.freeze()
    yield
    deadline_s = time.monotonic() + LEAK_PATIENCE_S
    for thread in set(threading.enumerate()) - threads:
        thread.join(max(0.0, deadline_s - time.monotonic()))
    assert set(threading.enumerate()) - threads == set()
    _, alive = psutil.wait_procs(
        set(children_of()) - children, timeout=max(0.0, deadline_s - time.monotonic())
    )
    assert alive == []
    del alive
    assert {str(widget) for widget in set(windows()) - widgets} == set()


def windows():
    """Top-level widgets that nothing is about to delete; vispy keeps its canvases for a while."""
    app = QApplication.instance()
    if app is None:
        return []
    gc.collect()
    deferred = QEvent.Type.DeferredDelete
    app.sendPostedEvents(None, getattr(deferred, "value", deferred))  # PyQt6 has enums, PyQt5 integers
    app.processEvents()
    return [top for top in app.topLevelWidgets() if type(top).__name__ != "CanvasBackendDesktop"]
