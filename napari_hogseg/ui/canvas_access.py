"""Finds the Qt widget that napari draws a viewer in: the one place that looks for napari's own widgets."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari.qt import QtViewer
from qtpy.QtWidgets import QApplication, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.viewer import Viewer

_LOG = logging.getLogger(__name__)


def canvas_widget(viewer: Viewer) -> QWidget | None:
    """Find the widget that holds a viewer's canvas.

    napari's public API has no way to it (`Window._qt_viewer` is private and will go), so the application's
    windows are searched for the viewer's own.

    Parameters
    ----------
    viewer : napari.Viewer
        Or the proxy of it that plugins are given.

    Returns
    -------
    QWidget or None
        None where there is no window, or where another napari keeps its canvas elsewhere: what is drawn over
        the canvas is left out then.
    """
    found = _qt_viewer(viewer)
    native = getattr(getattr(found, "canvas", None), "native", None)
    return native if isinstance(native, QWidget) else None


def canvas_column(viewer: Viewer) -> tuple[QWidget, QVBoxLayout] | None:
    """Find the canvas and the column of widgets that it heads, the slider below it; None as above."""
    canvas = canvas_widget(viewer)
    host = None if canvas is None else canvas.parentWidget()
    column = None if host is None else host.layout()
    if canvas is None or not isinstance(column, QVBoxLayout) or column.indexOf(canvas) < 0:
        return None
    return canvas, column


def playback(viewer: Viewer) -> Callable[[], bool]:
    """Give what tells whether napari plays the clip by itself; it tells False where that cannot be known.

    Looking for the slider takes milliseconds, asking it none: keep what this gives.
    """
    slider = getattr(_qt_viewer(viewer), "dims", None)
    return lambda: bool(getattr(slider, "is_playing", False))


@contextmanager
def while_window_lasts() -> Iterator[None]:
    """Leave off where Qt has deleted napari's window already."""
    try:
        yield
    except (RuntimeError, ValueError, LookupError) as error:
        _LOG.debug("the window is already gone: %s", error)


def _qt_viewer(viewer: Viewer) -> QtViewer | None:
    wanted: Any = getattr(viewer, "__wrapped__", viewer)
    for window in QApplication.topLevelWidgets():
        for found in window.findChildren(QtViewer):
            if found.viewer is wanted:
                return found
    return None
