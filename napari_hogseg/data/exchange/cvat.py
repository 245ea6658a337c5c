"""CVAT for video 1.1: one XML, a mask a class and frame as run lengths, each in a track of its own.

CVAT has no tracks of masks: it writes a mask of a video as a track of one frame, and when it reads a track of
masks it keeps the first as a mask of that frame (`cvat/apps/dataset_manager/formats/cvat.py`). So one frame a
track is all that it truly takes, and what is written here. Read are tracks of masks and polygons, and the
`<image>` elements of 'CVAT for images' too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from xml.parsers import expat
from xml.sax import saxutils

import numpy as np

from napari_hogseg.data.exchange.contract import AnnotatedFrame, ExchangeClip, Format, class_masks, number
from napari_hogseg.data.exchange.files import MAX_BYTES, find_file
from napari_hogseg.data.exchange.polygons import fill_ring
from napari_hogseg.data.exchange.run_lengths import fill_runs, runs_of
from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy.typing as npt

FILE = "annotations.xml"
WITHOUT_AREA = frozenset({"box", "ellipse", "polyline", "points", "cuboid", "skeleton", "tag"})
REMEDY = "Export the file again as 'CVAT for video 1.1' or 'CVAT for images 1.1'."


def write(frames: Iterable[AnnotatedFrame], folder: Path, clip: ExchangeClip) -> None:
    """Write `annotations.xml`; frames of the file are frame indices of the clip."""
    indices: list[int] = []
    track_id = 0
    with (folder / FILE).open("w", encoding="utf-8", newline="\n") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
        file.write(_meta(clip))
        for frame in frames:
            indices.append(frame.frame_index)
            for class_id, inside in class_masks(frame.mask, clip.scheme.num_classes):
                file.write(_track(track_id, frame.frame_index, class_id, inside, clip))
                track_id += 1
        # CVAT skips it; here it tells a frame whose mask is empty from one without a mask.
        file.write(f"  <frames>{' '.join(map(str, indices))}</frames>\n</annotations>\n")


def _meta(clip: ExchangeClip) -> str:
    labels = "".join(
        f"        <label><name>{saxutils.escape(name)}</name><color>#{red:02x}{green:02x}{blue:02x}</color>"
        "<type>mask</type><attributes></attributes></label>\n"
        for name, (red, green, blue) in zip(clip.scheme.classes, clip.scheme.colors, strict=True)
    )
    return (
        f"  <meta>\n    <task>\n      <name>{saxutils.escape(clip.name)}</name>\n"
        f"      <size>{clip.num_frames}</size>\n      <mode>interpolation</mode>\n"
        f"      <start_frame>0</start_frame>\n      <stop_frame>{clip.num_frames - 1}</stop_frame>\n"
        f"      <labels>\n{labels}      </labels>\n      <original_size><width>{clip.width}</width>"
        f"<height>{clip.height}</height></original_size>\n    </task>\n  </meta>\n"
    )


def _track(
    track_id: int, frame_index: int, class_id: int, inside: npt.NDArray[np.bool_], clip: ExchangeClip
) -> str:
    """One mask as CVAT writes it: visible on its frame, and outside on the next."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    box = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    place = f'left="{columns[0]}" top="{rows[0]}" width="{box.shape[1]}" height="{box.shape[0]}"'
    runs = ", ".join(map(str, runs_of(box.ravel())))
    shown = [(frame_index, 0)] + [(frame_index + 1, 1)] * (frame_index + 1 < clip.num_frames)
    masks = "".join(
        f'    <mask frame="{at}" keyframe="1" outside="{outside}" occluded="0" rle="{runs}" {place} '
        'z_order="0"></mask>\n'
        for at, outside in shown
    )
    label = saxutils.quoteattr(clip.scheme.classes[class_id])
    return f'  <track id="{track_id}" label={label} source="manual">\n{masks}  </track>\n'


@dataclass
class _Shape:
    """A mask or polygon of one frame, as the file has it."""

    kind: str
    class_id: int
    z_order: int
    attributes: dict[str, str] = field(repr=False)


@dataclass
class _Content:
    """What a file holds, frame by frame."""

    clip: ExchangeClip
    where: Path
    shapes: dict[int, list[_Shape]] = field(default_factory=dict)
    size: dict[str, int] = field(default_factory=dict)
    _track: str | None = None
    _image: int | None = None
    _text: list[str] | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Take the beginning of an element."""
        if name == "track":
            self._track = attributes["label"]
        elif name == "image":
            self._image = self._open_image(attributes)
        elif name in ("mask", "polygon"):
            self._add(name, attributes)
        elif name in WITHOUT_AREA and (self._track is not None or self._image is not None):
            raise InputError(
                f"A '{name}' covers no pixels",
                where=self.where,
                remedy="Turn it into a mask in CVAT, or delete it.",
            )
        elif name in ("frames", "width", "height"):
            self._text = []

    def text(self, text: str) -> None:
        """Take characters."""
        if self._text is not None:
            self._text.append(text)

    def end(self, name: str) -> None:
        """Take the end of an element."""
        if name == "track":
            self._track = None
        elif name == "image":
            self._image = None
        elif self._text is not None:
            words = "".join(self._text).split()
            self._text = None
            if name == "frames":
                for word in words:
                    self.shapes.setdefault(self._frame(word), [])
            else:
                self.size[name] = number(words[0] if words else "", name, self.where)

    def _open_image(self, attributes: dict[str, str]) -> int:
        stem = PurePosixPath(attributes["name"]).stem
        clip = self.clip
        index = clip.frame_names.index(stem) if stem in clip.frame_names else self._frame(attributes["id"])
        size = [number(attributes[side], side, self.where) for side in ("height", "width")]
        clip.check_size(size, self.where)
        self.shapes.setdefault(index, [])
        return index

    def _add(self, name: str, attributes: dict[str, str]) -> None:
        if self._track is None and self._image is None:
            return
        if attributes.get("outside") == "1":
            return
        label = attributes["label"] if self._track is None else self._track
        frame_index = self._frame(attributes["frame"]) if self._image is None else self._image
        shape = _Shape(
            name,
            self.clip.class_of(label, self.where),
            number(attributes.get("z_order", 0), "z_order", self.where),
            attributes,
        )
        self.shapes.setdefault(frame_index, []).append(shape)

    def _frame(self, word: str) -> int:
        return self.clip.check_index(number(word, "frame", self.where), self.where)


def read(path: Path, clip: ExchangeClip, rest: int = IGNORE) -> Iterator[AnnotatedFrame]:
    """Read a file of CVAT; where shapes overlap, the higher one in `z_order` wins, then the later."""
    file = find_file(path, (FILE, "*.xml"), "CVAT file")
    content = _parse(file, clip)
    if len(content.size) == 2:
        clip.check_size((content.size["height"], content.size["width"]), file)
    for frame_index in sorted(content.shapes):
        mask = clip.blank(rest)
        for shape in sorted(content.shapes[frame_index], key=lambda shape: shape.z_order):
            try:
                _paint(mask, shape)
            except (ValueError, KeyError, OverflowError) as error:
                where = f"{file}, frame {frame_index}"
                raise InputError(f"Not a {shape.kind}: {error}", where=where, remedy=REMEDY) from error
        yield AnnotatedFrame(frame_index, mask)


def _parse(file: Path, clip: ExchangeClip) -> _Content:
    content = _Content(clip, file)
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = content.start, content.end
    parser.CharacterDataHandler = content.text
    parser.StartDoctypeDeclHandler = lambda *_declared: _refuse_doctype(file)
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"The file is larger than {MAX_BYTES >> 20} MiB", where=file, remedy=REMEDY)
        with file.open("rb") as stream:
            parser.ParseFile(stream)
    except (expat.ExpatError, KeyError) as error:
        raise InputError(f"Not a CVAT file: {error!r}", where=file, remedy=REMEDY) from error
    except OSError as error:
        raise InputError(
            f"The file cannot be read: {error.strerror}", where=file, remedy="Check its rights."
        ) from error
    return content


def _refuse_doctype(file: Path) -> None:
    """CVAT writes none; with one, a few bytes may unfold to gigabytes."""
    raise InputError("The file declares entities, which CVAT never does", where=file, remedy=REMEDY)


def _paint(mask: npt.NDArray[np.uint8], shape: _Shape) -> None:
    height, width = mask.shape
    if shape.kind == "polygon":
        points = [
            [float(value) for value in pair.split(",")] for pair in shape.attributes["points"].split(";")
        ]
        place, inside = fill_ring(np.array(points).reshape(-1, 2), height, width)
        mask[place][inside] = shape.class_id
        return
    left, top, across, down = (int(shape.attributes[key]) for key in ("left", "top", "width", "height"))
    if min(left, top, across, down) < 0 or left + across > width or top + down > height:
        raise ValueError(f"{across}x{down} at {left}, {top} lies outside the frame")
    runs = [int(run) for run in shape.attributes["rle"].split(",")]
    inside = fill_runs(runs, across * down).reshape(down, across)
    mask[top : top + down, left : left + across][inside] = shape.class_id


FORMAT = Format(
    name="cvat",
    title="CVAT for video 1.1",
    about="One XML of masks as run lengths, a track a mask, for 'Upload annotations' of a video task.",
    write=write,
    read=read,
    picture_path=lambda clip, index: f"images/{clip.frame_names[index]}.png",
    files="*.xml",
    has_shapes=True,
)
