"""A review opened from a script or a notebook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import napari

from napari_hogseg.ui.review_dock import ReviewDock

if TYPE_CHECKING:
    from os import PathLike


def open_review(
    video: str | PathLike[str] | None = None,
    masks: str | PathLike[str] | None = None,
    model: str | PathLike[str] | None = None,
    *,
    viewer: napari.Viewer | None = None,
) -> ReviewDock:
    """Open napari with a review docked.

    Parameters
    ----------
    video : path, optional
        Video file, image folder or data set.
    masks : path, optional
        Folder of masks; a data set brings its own.
    model : path, optional
        Run folder or model folder.
    viewer : napari.Viewer, optional
        Where to dock it; by default a new window. A script then calls `napari.run()`.

    Returns
    -------
    ReviewDock
        Its `controller` opens, paints and closes; `controller.viewer` is the window's viewer.

    Notes
    -----
    Both are loaded in the background: what cannot be opened is told in the dock, not raised.
    """
    viewer = viewer or napari.Viewer(title="napari-hogseg")
    dock = ReviewDock(viewer)
    viewer.window.add_dock_widget(dock, name="Review", area="right")
    if model is not None:
        dock.controller.load_model(Path(model).expanduser())
    if video is not None:
        dock.controller.open(Path(video).expanduser(), None if masks is None else Path(masks).expanduser())
    return dock
