"""Corrected frames as a training set: a plain `images/ + masks/ + dataset.toml` tree of one clip."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from napari_hogseg.data.scheme import SCHEME_FILE
from napari_hogseg.io import atomic, images
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.identity import clip_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from napari_hogseg.io.video import FrameSource
    from napari_hogseg.session.annotations import AnnotationStore


@dataclass(frozen=True)
class CorrectionExport:
    """A training set written from corrections.

    Attributes
    ----------
    folder : Path
        Holds `images/<clip>/`, `masks/<clip>/` and `dataset.toml`.
    clip : str
        The one group in it.
    frame_indices : tuple of int
        Exported frames, 0-based.
    sample_ids : tuple of str
        Their ids in the exported data set, such as `clip/0012`.
    """

    folder: Path
    clip: str
    frame_indices: tuple[int, ...]
    sample_ids: tuple[str, ...]

    @property
    def num_frames(self) -> int:
        """Number of exported frames."""
        return len(self.frame_indices)


def export_corrections(
    store: AnnotationStore, folder: Path, source: FrameSource, frames: Iterable[int] | None
) -> CorrectionExport:
    """Write corrected frames; see `AnnotationStore.export_training_set`."""
    wanted = sorted(set(store.edited_frames if frames is None else frames))
    chosen = tuple(frame_index for frame_index in wanted if store.has_mask(frame_index))
    if not chosen:
        raise InputError(
            "No corrected frame to learn from",
            where=store.folder,
            remedy="Paint on the mask of at least one frame first.",
        )
    clip = clip_name(source.name)
    for frame_index in chosen:
        name = store.identity.frame_names[frame_index]
        for kind in ("images", "masks"):
            (folder / kind / clip).mkdir(parents=True, exist_ok=True)
        file = f"{clip}/{name}.png"
        atomic.write_bytes(folder / "images" / file, _encode_png(source.frame(frame_index)))
        images.write_mask(folder / "masks" / file, store.mask(frame_index), store.scheme.colors)
    # Last: the file that makes the folder a data set stands only beside a whole tree.
    atomic.write_text(folder / SCHEME_FILE, store.scheme.to_toml())
    sample_ids = tuple(f"{clip}/{store.identity.frame_names[frame_index]}" for frame_index in chosen)
    return CorrectionExport(folder, clip, chosen, sample_ids)


def _encode_png(frame_HWC: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame_HWC).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
