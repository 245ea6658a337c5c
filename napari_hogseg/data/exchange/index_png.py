"""Index PNG: one 8-bit picture a frame whose values are the class ids, 255 where nothing is labelled.

With the pictures beside them, the folder is a plain data set that this program trains on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hogseg.data.exchange.contract import AnnotatedFrame, ExchangeClip, Format
from napari_hogseg.data.exchange.files import find_pictures, make_id_reader
from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io import images

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def write(frames: Iterable[AnnotatedFrame], folder: Path, clip: ExchangeClip) -> None:
    """Write `masks/<clip>/<frame>.png`; the palette is the scheme's colours."""
    place = folder / "masks" / clip.name
    place.mkdir(parents=True)
    for frame in frames:
        path = place / f"{clip.frame_names[frame.frame_index]}.png"
        images.write_mask(path, frame.mask, clip.scheme.colors)


def read(path: Path, clip: ExchangeClip, rest: int = IGNORE) -> Iterator[AnnotatedFrame]:  # noqa: ARG001 - every pixel has a value
    """Read a folder of index PNGs; a `dataset.toml` beside it says which class is which."""
    files = find_pictures(path, (f"masks/{clip.name}", "masks"))
    decode = make_id_reader(files[0].parent, clip)
    for file in files:
        frame_index = clip.index_of(file.stem, file)
        mask = images.read_mask(file)
        clip.check_size(mask.shape, file)
        yield AnnotatedFrame(frame_index, decode(mask, file))


FORMAT = Format(
    name="index-png",
    title="Index PNG",
    about="One 8-bit PNG a frame; values are class ids, 255 is unlabelled. The format of this program.",
    write=write,
    read=read,
    picture_path=lambda clip, index: f"images/{clip.name}/{clip.frame_names[index]}.png",
)
