"""What is dropped on the dock: told apart and opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.checkpoint import resolve_model_folder
from napari_hogseg.session.state import SessionState

if TYPE_CHECKING:
    from qtpy.QtCore import QMimeData

    from napari_hogseg.ui.review_controller import ReviewController


def dropped_path(mime: QMimeData | None) -> Path | None:
    """Find the first file or folder of this machine in what is dragged; None for anything else."""
    if mime is None:
        return None
    return next((Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()), None)


def open_dropped(controller: ReviewController, path: Path) -> None:
    """Load a model, go back to a session, or open a clip, whichever a path is.

    What it is none of, the clip's opening tells in the dock.
    """
    state = SessionState.read(path) if path.is_dir() else None
    if state is not None and state.clip:
        controller.open(Path(state.clip), Path(state.masks) if state.masks else None)
    elif path.is_dir() and _is_model(path):
        controller.load_model(path)
    else:
        controller.open(path)


def _is_model(folder: Path) -> bool:
    try:
        resolve_model_folder(folder)
    except InputError:
        return False
    return True
