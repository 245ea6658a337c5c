"""The formats there are, by name. What each does is its own module's part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hogseg.data.exchange import coco, colour_png, cvat, endovis, index_png, nifti, yolo
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from napari_hogseg.data.exchange.contract import Format

FORMATS: dict[str, Format] = {
    module.FORMAT.name: module.FORMAT for module in (index_png, colour_png, coco, cvat, yolo, nifti, endovis)
}
"""In the order of menus."""


def find_format(name: str) -> Format:
    """Give a format; InputError if there is none of that name."""
    if name not in FORMATS:
        raise InputError(f"No such format: {name}", remedy=f"There are: {', '.join(FORMATS)}.")
    return FORMATS[name]
