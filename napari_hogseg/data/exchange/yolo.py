"""YOLO segmentation: a text a frame, a line an object: class id and a polygon in shares of width and height.

Polygons run along pixel edges, a hole is reached by a bridge walked there and back. Read by this program a
mask comes back to the pixel. Programs that fill polygons with their outline (OpenCV, as Ultralytics does)
make parts a pixel larger to the right and below, and draw the bridges; `docs/exchange.md` has the figures.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.data.exchange.contract import AnnotatedFrame, ExchangeClip, Format, class_masks
from napari_hogseg.data.exchange.files import read_text
from napari_hogseg.data.exchange.polygons import fill_ring, trace_polygons
from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy.typing as npt

TABLE = "data.yaml"
DIGITS = 8
"""Of a coordinate: a hundredth of a pixel is 5e-6 of a 1080p frame, half a pixel is what matters."""


def write(frames: Iterable[AnnotatedFrame], folder: Path, clip: ExchangeClip) -> None:
    """Write `labels/train/<frame>.txt` and `data.yaml`; a frame without a label has an empty file."""
    place = folder / "labels" / "train"
    place.mkdir(parents=True)
    for frame in frames:
        lines = [
            _line(class_id, ring, clip)
            for class_id, inside in class_masks(frame.mask, clip.scheme.num_classes)
            for ring in trace_polygons(inside)
        ]
        path = place / f"{clip.frame_names[frame.frame_index]}.txt"
        path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    names = [f"  {class_id}: {json.dumps(name)}" for class_id, name in enumerate(clip.scheme.classes)]
    text = "\n".join(["path: .", "train: images/train", "val: images/train", "names:", *names, ""])
    atomic.write_text(folder / TABLE, text)


def _line(class_id: int, ring: npt.NDArray[np.int64], clip: ExchangeClip) -> str:
    shares = ring / (clip.width, clip.height)
    return " ".join(
        [str(class_id), *(f"{share:.{DIGITS}f}".rstrip("0").rstrip(".") for share in shares.flat)]
    )


def read(path: Path, clip: ExchangeClip, rest: int = IGNORE) -> Iterator[AnnotatedFrame]:
    """Read a folder of texts; where objects overlap, the later line wins."""
    folder = next(
        (place for place in (path / "labels" / "train", path / "labels", path) if _texts(place)), None
    )
    if folder is None:
        raise InputError("There are no label texts here", where=path, remedy="Check path and format.")
    class_of = _read_names(folder, clip)
    for file in _texts(folder):
        mask = clip.blank(rest)
        for number, line in enumerate(read_text(file).splitlines(), start=1):
            if line.strip():
                _paint(line.split(), mask, class_of, f"{file}, line {number}")
        yield AnnotatedFrame(clip.index_of(file.stem, file), mask)


def _texts(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.txt") if file.name[0] != ".")


def _paint(words: list[str], mask: npt.NDArray[np.uint8], class_of: dict[int, int], where: str) -> None:
    try:
        class_id, points = class_of[int(words[0])], np.array(words[1:], np.float64).reshape(-1, 2)
    except (ValueError, KeyError) as error:
        raise InputError(
            f"Not an object: {error}", where=where, remedy="A line is 'class x1 y1 x2 y2 x3 y3 ...'."
        ) from error
    if len(points) < 3 or not np.isfinite(points).all() or np.abs(points).max() > 2:
        raise InputError(
            "An object needs three points or more, each a share of the frame from 0 to 1",
            where=where,
            remedy="Choose texts of YOLO segmentation: boxes (four numbers) have no outline.",
        )
    height, width = mask.shape
    place, inside = fill_ring(points * (width, height), height, width)
    mask[place][inside] = class_id


def _read_names(folder: Path, clip: ExchangeClip) -> dict[int, int]:
    """Class ids of the clip by the file's, from the names in `data.yaml`; without one the same ids."""
    table = next(
        (place / TABLE for place in (folder, *folder.parents[:2]) if (place / TABLE).is_file()), None
    )
    if table is None:
        return {class_id: class_id for class_id in range(clip.scheme.num_classes)}
    _, found, block = read_text(table).partition("\nnames:")
    # The two ways to write names in use: a list on one line, or 'id: name' on a line each.
    first = block.splitlines()[0].strip() if block else ""
    if first:
        names = dict(enumerate(_unquoted(name) for name in first.strip("[]").split(",")))
    else:
        rows = re.findall(r"^[ \t]+(\d+)[ \t]*:[ \t]*(.+?)[ \t]*$", block, re.MULTILINE)
        names = {int(number): _unquoted(name) for number, name in rows}
    if not found or not names:
        raise InputError(
            "The class names cannot be read",
            where=table,
            remedy="Write 'names:' and '  0: name' a line each.",
        )
    return {number: clip.class_of(name, table) for number, name in names.items()}


def _unquoted(name: str) -> str:
    name = name.strip()
    if name[:1] == '"':
        try:
            return str(json.loads(name))
        except json.JSONDecodeError:
            return name
    return name[1:-1].replace("''", "'") if name[:1] == "'" == name[-1:] and len(name) > 1 else name


FORMAT = Format(
    name="yolo",
    title="YOLO segmentation",
    about="One text of polygons a frame. Exact when read here; programs that draw outlines add a pixel.",
    write=write,
    read=read,
    picture_path=lambda clip, index: f"images/train/{clip.frame_names[index]}.png",
    has_shapes=True,
)
