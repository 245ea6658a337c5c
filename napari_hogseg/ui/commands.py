"""The review's actions as napari commands, for its palette and menus; each is one of `keys.KeyMap`'s."""

from __future__ import annotations

from typing import TYPE_CHECKING

import napari
from napari.utils.notifications import show_info

from napari_hogseg.ui.dropping import open_dropped
from napari_hogseg.ui.review_dock import ReviewDock
from napari_hogseg.ui.source_section import PLUGIN

if TYPE_CHECKING:
    from pathlib import Path

NO_REVIEW = "No review is open in this window: choose Plugins > HOG segmentation > Review."
NOT_YET = "Open a clip first."
NO_LAYER = "No layer here is a clip: open a video or a folder of images by File > Open, or in the review."


def next_error(napari_viewer: napari.Viewer) -> None:
    """Go to the next error of the list."""
    _run(napari_viewer, "next_error")


def previous_error(napari_viewer: napari.Viewer) -> None:
    """Go to the error before."""
    _run(napari_viewer, "previous_error")


def accept_error(napari_viewer: napari.Viewer) -> None:
    """Take over the prediction for the error under the mouse."""
    _run(napari_viewer, "accept_error")


def accept_region(napari_viewer: napari.Viewer) -> None:
    """Take over the prediction in a region to draw."""
    _run(napari_viewer, "accept_region")


def next_corrected(napari_viewer: napari.Viewer) -> None:
    """Go to the next corrected frame."""
    _run(napari_viewer, "next_corrected")


def corrected_before(napari_viewer: napari.Viewer) -> None:
    """Go to the corrected frame before."""
    _run(napari_viewer, "corrected_before")


def outlines(napari_viewer: napari.Viewer) -> None:
    """Draw outlines, or fill the masks again."""
    _run(napari_viewer, "outlines")


def layout_grid(napari_viewer: napari.Viewer) -> None:
    """Show all panels in a grid."""
    _run(napari_viewer, "layout_grid")


def layout_strip(napari_viewer: napari.Viewer) -> None:
    """Show one panel large and the others in a strip."""
    _run(napari_viewer, "layout_strip")


def layout_swipe(napari_viewer: napari.Viewer) -> None:
    """Show two panels over each other."""
    _run(napari_viewer, "layout_swipe")


def accept_proposal(napari_viewer: napari.Viewer) -> None:
    """Accept the proposal of the frame on screen."""
    _run(napari_viewer, "accept_proposal")


def reject_proposal(napari_viewer: napari.Viewer) -> None:
    """Reject the proposal of the frame on screen."""
    _run(napari_viewer, "reject_proposal")


def keys(napari_viewer: napari.Viewer) -> None:
    """Show the review's keys."""
    _run(napari_viewer, "keys")


def find_review(viewer: napari.Viewer) -> ReviewDock | None:
    """Find the review that is docked in a viewer's window."""
    docked = viewer.window.dock_widgets.values()
    return next((widget for widget in docked if isinstance(widget, ReviewDock)), None)


def open_review_dock(viewer: napari.Viewer) -> ReviewDock:
    """Find the review of a viewer's window, or dock one where the menu would."""
    dock = find_review(viewer)
    if dock is None:
        _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Review")
    return dock


def review_layer(napari_viewer: napari.Viewer) -> None:
    """Review the newest clip that was opened as a layer."""
    if not open_review_dock(napari_viewer).source.use_layer():
        show_info(NO_LAYER)


def go_back_to(session_folder: Path) -> None:
    """Open a session folder in the review of the viewer in use."""
    viewer = napari.current_viewer()
    if viewer is not None:
        open_dropped(open_review_dock(viewer).controller, session_folder)


def _run(viewer: napari.Viewer, name: str) -> None:
    dock = find_review(viewer)
    if dock is None:
        show_info(NO_REVIEW)
    elif name not in {action.name for action in dock.controller.keys.actions}:
        show_info(NOT_YET)
    else:
        dock.controller.keys.run(name)
