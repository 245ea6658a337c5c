"""Colour PNG: one RGB picture a frame in the scheme's colours, and a table that says which colour is which.

A colour that no class has stands for 'unlabelled'. Two classes of one colour could not be told apart again:
refused.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from napari_hogseg.data.exchange.contract import AnnotatedFrame, ExchangeClip, Format
from napari_hogseg.data.exchange.files import find_pictures, read_text
from napari_hogseg.data.scheme import IGNORE, LabelScheme
from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    Color = tuple[int, int, int]

TABLE = "labels.json"
UNLABELLED = "unlabelled"


def color_rows(scheme: LabelScheme) -> list[dict[str, Any]]:
    """List what `labels.json` holds: name, colour and class id of each class, and of 'unlabelled' last.

    EndoVis 2018 came with a table of these fields.

    Raises
    ------
    InputError
        If two classes have one colour.
    """
    if len(set(scheme.colors)) < scheme.num_classes:
        raise InputError(
            "Two classes have one colour: a colour picture could not tell them apart",
            where=scheme.name,
            remedy="Choose a format that holds class ids, such as index-png.",
        )
    greys = [(0, 0, 0), (255, 255, 255), *((grey, grey, grey) for grey in range(1, 255))]
    free = next(grey for grey in greys if grey not in scheme.colors)
    rows = zip(
        (*scheme.classes, UNLABELLED),
        (*scheme.colors, free),
        (*range(scheme.num_classes), IGNORE),
        strict=True,
    )
    return [{"name": name, "color": list(color), "classid": class_id} for name, color, class_id in rows]


def color_table(rows: list[dict[str, Any]]) -> npt.NDArray[np.uint8]:
    """Colours by mask value, (256, 3) uint8."""
    table = np.zeros((256, 3), np.uint8)
    for row in rows:
        table[row["classid"]] = row["color"]
    return table


def write_picture(path: Path, colors_HWC: npt.NDArray[np.uint8]) -> None:
    """Write an RGB PNG; made durable with its folder."""
    Image.fromarray(colors_HWC).save(path, "PNG", compress_level=4)


def write(frames: Iterable[AnnotatedFrame], folder: Path, clip: ExchangeClip) -> None:
    """Write `masks/<clip>/<frame>.png` and `labels.json`."""
    rows = color_rows(clip.scheme)
    place = folder / "masks" / clip.name
    place.mkdir(parents=True)
    table = color_table(rows)
    for frame in frames:
        write_picture(place / f"{clip.frame_names[frame.frame_index]}.png", table[frame.mask])
    (folder / TABLE).write_text(json.dumps(rows, indent=1), "utf-8")


def read_colors(path: Path, clip: ExchangeClip) -> dict[Color, int]:
    """Read class ids by colour from a `labels.json`, by class name; without one, the clip's own colours."""
    place = next((folder / TABLE for folder in (path, *path.parents[:3]) if (folder / TABLE).is_file()), None)
    if place is None:
        return {tuple(row["color"]): row["classid"] for row in color_rows(clip.scheme)}
    try:
        return {
            (red, green, blue): IGNORE if row["classid"] == IGNORE else clip.class_of(row["name"], place)
            for row in json.loads(read_text(place))
            for red, green, blue in [map(int, row["color"])]
        }
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"Not a table of colours: {error!r}", where=place, remedy="Export the masks again."
        ) from error


def decode(
    colors_HWC: npt.NDArray[np.uint8], class_of: dict[Color, int], where: object
) -> npt.NDArray[np.uint8]:
    """Turn colours into class ids, (H, W) uint8; InputError names a colour that has no meaning."""
    packed = colors_HWC.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    known = np.array(sorted(red << 16 | green << 8 | blue for red, green, blue in class_of), np.uint32)
    place = np.searchsorted(known, packed).clip(max=len(known) - 1)
    strange = known[place] != packed
    if strange.any():
        raise InputError(
            f"The colour {tuple(colors_HWC[strange][0].tolist())} belongs to no class",
            where=where,
            remedy=f"Give the colours in a {TABLE}; smoothed or compressed pictures cannot be read back.",
        )
    ids = {red << 16 | green << 8 | blue: class_id for (red, green, blue), class_id in class_of.items()}
    class_ids = np.array([ids[int(color)] for color in known], np.uint8)
    return np.asarray(class_ids[place])


def read(path: Path, clip: ExchangeClip, rest: int = IGNORE) -> Iterator[AnnotatedFrame]:  # noqa: ARG001 - every pixel has a colour
    """Read a folder of colour PNGs."""
    files = find_pictures(path, (f"masks/{clip.name}", "masks"))
    class_of = read_colors(files[0].parent, clip)
    for file in files:
        colors = images.read_image(file)
        clip.check_size(colors.shape[:2], file)
        yield AnnotatedFrame(clip.index_of(file.stem, file), decode(colors, class_of, file))


FORMAT = Format(
    name="colour-png",
    title="Colour PNG",
    about="One RGB PNG a frame in the classes' colours, with a table of them. To look at.",
    write=write,
    read=read,
    picture_path=lambda clip, index: f"images/{clip.name}/{clip.frame_names[index]}.png",
)
