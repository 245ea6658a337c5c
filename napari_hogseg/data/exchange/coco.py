"""COCO: one JSON file of run lengths, one annotation a class and frame; category ids are the class ids.

Class 0 is a category like any other, and what no annotation covers is unlabelled: so both survive.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hogseg.data.exchange.contract import AnnotatedFrame, ExchangeClip, Format, class_masks, number
from napari_hogseg.data.exchange.files import find_file, read_text
from napari_hogseg.data.exchange.polygons import fill_ring
from napari_hogseg.data.exchange.run_lengths import fill_runs, pack_counts, runs_of, unpack_counts
from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

FILE = "annotations/instances_default.json"
REMEDY = "Export the file again as COCO 'instances' JSON."


def write(frames: Iterable[AnnotatedFrame], folder: Path, clip: ExchangeClip) -> None:
    """Write `annotations/instances_default.json`, where CVAT and Datumaro look for it."""
    pictures: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for frame in frames:
        pictures.append(_picture(frame.frame_index, clip))
        for class_id, inside in class_masks(frame.mask, clip.scheme.num_classes):
            number_ = len(annotations) + 1  # pycocotools takes 0 for 'no match'
            annotations.append(_annotation(number_, pictures[-1]["id"], class_id, inside))
    scheme = clip.scheme
    table = {
        "info": {"description": scheme.name, "video": clip.name},
        "licenses": [],
        "categories": [
            {"id": class_id, "name": name, "supercategory": "", "color": list(scheme.colors[class_id])}
            for class_id, name in enumerate(scheme.classes)
        ],
        "images": pictures,
        "annotations": annotations,
    }
    (folder / FILE).parent.mkdir(parents=True)
    atomic.write_text(folder / FILE, json.dumps(table))


def _picture(frame_index: int, clip: ExchangeClip) -> dict[str, Any]:
    return {
        "id": frame_index + 1,
        "file_name": f"{clip.frame_names[frame_index]}.png",
        "frame_index": frame_index,
        "height": clip.height,
        "width": clip.width,
    }


def _annotation(
    annotation_id: int, image_id: int, class_id: int, inside: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": class_id,
        "segmentation": {"size": list(inside.shape), "counts": pack_counts(runs_of(inside.ravel(order="F")))},
        "area": int(inside.sum()),
        "bbox": [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
        "iscrowd": 0,
    }


def read(path: Path, clip: ExchangeClip, rest: int = IGNORE) -> Iterator[AnnotatedFrame]:
    """Read run lengths, packed or listed, and polygons; where annotations overlap, the later one wins."""
    file = find_file(path, ("annotations/*.json", "*.json"), "COCO file")
    try:
        table = json.loads(read_text(file))
        classes = {entry["id"]: clip.class_of(entry["name"], file) for entry in table["categories"]}
        by_picture = defaultdict(list)
        for annotation in table["annotations"]:
            by_picture[annotation["image_id"]].append(annotation)
        pictures = list(table["images"])
        for picture in pictures:
            frame_index = clip.index_of(PurePosixPath(picture["file_name"]).stem, file)
            clip.check_size((picture["height"], picture["width"]), file)
            mask = clip.blank(rest)
            for annotation in by_picture.pop(picture["id"], ()):
                inside = _inside(annotation["segmentation"], clip, file)
                mask[inside] = classes[annotation["category_id"]]
            yield AnnotatedFrame(frame_index, mask)
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"Not a COCO file: {error!r}", where=file, remedy=REMEDY) from error
    if by_picture:
        raise InputError(
            f"{len(by_picture)} images have annotations but are not listed", where=file, remedy=REMEDY
        )


def _inside(segmentation: Any, clip: ExchangeClip, where: Path) -> npt.NDArray[np.bool_]:  # noqa: ANN401 - a file's
    try:
        if isinstance(segmentation, list):
            return _united(segmentation, clip)
        height, width = (number(side, "size", where) for side in segmentation["size"])
        clip.check_size((height, width), where)
        counts = segmentation["counts"]
        runs = unpack_counts(counts) if isinstance(counts, str) else counts
        return fill_runs(runs, height * width).reshape(width, height).T
    except (ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"Not a mask: {error}", where=where, remedy=REMEDY) from error


def _united(rings: list[Any], clip: ExchangeClip) -> npt.NDArray[np.bool_]:
    """Fill polygons, each a part of its own, as the COCO API unites them."""
    inside = np.zeros((clip.height, clip.width), np.bool_)
    for ring in rings:
        place, box = fill_ring(np.asarray(ring, np.float64).reshape(-1, 2), clip.height, clip.width)
        inside[place] |= box
    return inside


FORMAT = Format(
    name="coco",
    title="COCO (RLE)",
    about="One JSON with run lengths, a mask a class and frame. For pycocotools, CVAT, FiftyOne.",
    write=write,
    read=read,
    picture_path=lambda clip, index: f"images/default/{clip.frame_names[index]}.png",
    files="*.json",
    has_shapes=True,
)
