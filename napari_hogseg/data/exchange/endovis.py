"""Folders as EndoVis 2018 has them: `seq_1/labels/frame012.png` in RGB, frames beside, `labels.json`.

Colours and their table are `colour_png`'s part; the number in a file's name is the frame index.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from napari_hogseg.data.exchange.colour_png import (
    TABLE,
    color_rows,
    color_table,
    decode,
    read_colors,
    write_picture,
)
from napari_hogseg.data.exchange.contract import AnnotatedFrame, ExchangeClip, Format
from napari_hogseg.data.exchange.files import find_pictures
from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SEQUENCE = "seq_1"


def write(frames: Iterable[AnnotatedFrame], folder: Path, clip: ExchangeClip) -> None:
    """Write `seq_1/labels/frameNNN.png` and `labels.json`."""
    rows = color_rows(clip.scheme)
    place = folder / SEQUENCE / "labels"
    place.mkdir(parents=True)
    table = color_table(rows)
    for frame in frames:
        write_picture(place / f"frame{frame.frame_index:03d}.png", table[frame.mask])
    (folder / TABLE).write_text(json.dumps(rows, indent=1), "utf-8")


def read(path: Path, clip: ExchangeClip, rest: int = IGNORE) -> Iterator[AnnotatedFrame]:  # noqa: ARG001 - every pixel has a colour
    """Read the labels of one sequence."""
    files = find_pictures(path, (f"{SEQUENCE}/labels", "labels"))
    class_of = read_colors(files[0].parent, clip)
    for file in files:
        found = re.fullmatch(r"frame(\d+)", file.stem)
        if found is None:
            raise InputError("Not a frame's name", where=file, remedy="Names are like frame012.png.")
        colors = images.read_image(file)
        clip.check_size(colors.shape[:2], file)
        yield AnnotatedFrame(clip.check_index(int(found[1]), file), decode(colors, class_of, file))


FORMAT = Format(
    name="endovis",
    title="EndoVis 2018 folders",
    about="seq_1/labels/frame012.png in RGB with labels.json, as the EndoVis 2018 challenge has them.",
    write=write,
    read=read,
    picture_path=lambda _clip, index: f"{SEQUENCE}/left_frames/frame{index:03d}.png",
)
