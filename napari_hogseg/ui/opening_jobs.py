"""What the review's workers do as clips and models are opened; nothing here touches a widget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_hogseg.inference.predictor import Predictor
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.annotations import AnnotationStore
from napari_hogseg.session.state import read_author

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_hogseg.session.clips import Clip
    from napari_hogseg.ui.review_controller import Session


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model in memory and where it came from."""

    path: Path
    predictor: Predictor


def open_after_saving(
    store: AnnotationStore | None, path: Path, masks: Path | None, opening: Callable[[], Clip]
) -> tuple[Path, Path | None, Clip]:
    """Open the next clip once the last one's corrections are durable; runs in a worker."""
    if store is not None and not store.flush():
        raise InputError(
            "The corrections of this clip are not saved yet, so it stays open",
            where=store.save_error,
            remedy="Mend that first; then open the other clip again.",
        )
    return path, masks, opening()


def swap_stores(
    old: Session | None, clip: Clip, folder: Path, on_change: Callable[[], None]
) -> AnnotationStore:
    """Close the last clip's store, then open the new one's: they may be the same folder. Runs in a worker."""
    if old is not None:
        old.store.close()
        old.clip.source.close()
    try:
        store = AnnotationStore(folder, clip.identity, clip.truth, on_change=on_change)
    except InputError:
        clip.source.close()
        raise
    store.records.author = read_author(folder.parent)
    return store


def load_model(path: Path, digest: str) -> LoadedModel:
    """Load a model, and refuse another than the one that was asked for; runs in a worker."""
    predictor = Predictor.load(path)
    if digest and predictor.digest != digest:
        raise InputError(
            "The model that was used with this clip is another one by now, so it was not loaded",
            where=path,
            remedy="Load it yourself if it is the one you want.",
        )
    return LoadedModel(path, predictor)
