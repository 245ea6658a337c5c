"""What the values of mask files mean: grey values, ranges or RGB colours into class ids.

A value that no table names is an error, never ignored in silence. Which file belongs to which frame is
`tree_scan`'s part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_hogseg.data.layout_table import MAX_LAYERED
from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from napari_hogseg.data.layout_table import Crop, LayoutTable, Tree, Value, Values
    from napari_hogseg.data.tree_scan import Sample

    Array = npt.NDArray[Any]

MAX_NAMED = 8
"""Unknown values that a message names."""


@dataclass(frozen=True)
class Coding:
    """Class ids by mask value: grey values, or RGB colours packed into one number.

    Attributes
    ----------
    layout : str
        For messages.
    class_of : mapping of int to int
        Class id or ignore by value.
    is_rgb : bool
    """

    layout: str
    class_of: Mapping[int, int] = field(repr=False)
    is_rgb: bool

    def read(self, path: Path) -> npt.NDArray[np.uint8]:
        """Read a mask file as (H, W) uint8 class ids; InputError names the file and what is unknown."""
        if self.is_rgb:
            return self.decode(images.read_image(path), path)
        return self.decode(images.read_mask(path), path)

    def decode(self, raw: Array, where: object) -> npt.NDArray[np.uint8]:
        """Turn raw values into class ids.

        Parameters
        ----------
        raw : (H, W) uint8 or uint16 ndarray, or (H, W, 3) uint8 ndarray where colours code the classes
        where : object
            The file, for the message.

        Returns
        -------
        (H, W) uint8 ndarray

        Raises
        ------
        InputError
            If a raw value has no meaning in this layout.
        """
        if self.is_rgb:
            return self._decode_colors(raw, where)
        present = np.flatnonzero(np.bincount(raw.ravel(), minlength=256))
        unknown = [int(value) for value in present if int(value) not in self.class_of]
        if unknown:
            raise self._unknown("values", unknown, sorted(self.class_of), where)
        table = np.full(max(256, int(raw.max(initial=0)) + 1), IGNORE, np.uint8)
        for value in present:
            table[value] = self.class_of[int(value)]
        ids: npt.NDArray[np.uint8] = table[raw]
        return ids

    def _decode_colors(self, raw_HWC: Array, where: object) -> npt.NDArray[np.uint8]:
        packed = _pack(raw_HWC.astype(np.uint32))
        known = np.array(sorted(self.class_of), np.uint32)
        # A search among a few colours is a quarter of the cost of np.unique's sort of all pixels.
        place = np.searchsorted(known, packed).clip(max=len(known) - 1)
        strange = known[place] != packed
        if strange.any():
            unknown = np.unique(packed[strange]).tolist()
            raise self._unknown("colours", map(_unpack, unknown), map(_unpack, known.tolist()), where)
        ids = np.array([self.class_of[int(color)] for color in known], np.uint8)
        return np.asarray(ids[place])

    def _unknown(
        self, kind: str, unknown: Iterable[object], known: Iterable[object], where: object
    ) -> InputError:
        return InputError(
            f"Mask {kind} {list(unknown)[:MAX_NAMED]} have no meaning in layout '{self.layout}'",
            where=where,
            remedy=f"Known raw {kind}: {_in_words(list(known))}. Choose the layout this data set has.",
        )


def _in_words(known: Sequence[object]) -> str:
    more = f" and {len(known) - 40} more" if len(known) > 40 else ""
    return f"{list(known[:40])}{more}"


def _pack(colors: Array) -> npt.NDArray[np.uint32]:
    return np.asarray(colors[..., 0] << 16 | colors[..., 1] << 8 | colors[..., 2], np.uint32)


def _unpack(packed: int) -> tuple[int, int, int]:
    return packed >> 16, packed >> 8 & 255, packed & 255


def make_coding(
    table: LayoutTable, values: Values, ignored: Sequence[Value] = (), *, unpainted: int | None = None
) -> Coding:
    """Make the coding of one tree's or one layer's masks.

    Parameters
    ----------
    table : LayoutTable
    values : dict of str to tuple
        Values by class name.
    ignored : sequence
        Values that become ignore.
    unpainted : int, optional
        What the value 0 becomes where nothing else is said of it: in a layer it means 'nothing here'.

    Raises
    ------
    InputError
        If grey values and colours are mixed, or one value has two meanings.
    """
    ids = {row.name: class_id for class_id, row in enumerate(table.classes)}
    meanings = [(ids[name], value) for name, row in values.items() for value in row]
    meanings += [(IGNORE, value) for value in ignored]
    colors = [isinstance(value, tuple) for _, value in meanings]
    if any(colors) and not all(colors):
        raise InputError(
            f"Layout '{table.name}' mixes grey values and colours", remedy="Use one kind per tree."
        )
    class_of: dict[int, int] = {}
    for class_id, value in meanings:
        for number in _numbers(value):
            if class_of.setdefault(number, class_id) != class_id:
                raise InputError(f"Layout '{table.name}' gives the value {value} two meanings")
    if unpainted is not None:
        class_of.setdefault(0, unpainted)
    return Coding(table.name, class_of, is_rgb=bool(colors) and all(colors))


def _numbers(value: Value) -> Iterator[int]:
    if isinstance(value, tuple):
        yield value[0] << 16 | value[1] << 8 | value[2]
    elif isinstance(value, str):
        first, _, last = value.partition("-")
        yield from range(int(first), int(last) + 1)
    else:
        yield value


UNPAINTED = MAX_LAYERED
"""Stand-in inside a layer for 'nothing here': the first id above all that a set with layers may have."""


@dataclass(frozen=True)
class TreeCoding:
    """How the masks of one tree are read: one file, or layers painted over one another."""

    single: Coding
    layers: tuple[Coding, ...] = ()
    folder_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: LayoutTable, tree: Tree) -> TreeCoding:
        """Make it from a table."""
        single = make_coding(table, table.values_of(tree), table.ignored_in(tree))
        layers = tuple(
            make_coding(table, layer.values, table.ignored_in(tree), unpainted=UNPAINTED)
            for layer in tree.layers
        )
        return cls(single, layers, tuple(plain_name(layer.contains) for layer in tree.layers))

    def read(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """Read a sample's mask as (H, W) uint8 class ids, uncropped."""
        if sample.mask_path is None:
            raise InputError("This frame has no mask", where=sample.image_path)
        return self.paint(sample.layer_paths) if sample.layer_paths else self.single.read(sample.mask_path)

    def layer_of(self, path: Path) -> int:
        """Tell which layer a file is, by its folder; InputError if none claims it."""
        folder = plain_name(path.parent.name)
        for number, contained in enumerate(self.folder_names):
            if contained in folder:
                return number
        raise InputError(
            f"The folder '{path.parent.name}' is no instrument that layout '{self.single.layout}' knows",
            where=path.parent,
            remedy=f"Known, by what the name contains: {', '.join(self.folder_names)}.",
        )

    def paint(self, paths: Sequence[Path]) -> npt.NDArray[np.uint8]:
        """Put a mask together, (H, W) uint8: class 0, and over it every layer in the table's order."""
        ordered = sorted(((self.layer_of(path), path) for path in paths), key=lambda item: item[0])
        mask: npt.NDArray[np.uint8] | None = None
        for number, path in ordered:
            layer = self.layers[number].read(path)
            if mask is None:
                mask = np.zeros(layer.shape, np.uint8)
            if mask.shape != layer.shape:
                raise InputError(
                    f"The mask is {layer.shape[1]}x{layer.shape[0]}, but another of this frame is "
                    f"{mask.shape[1]}x{mask.shape[0]}",
                    where=path,
                    remedy="Masks of one frame have one size.",
                )
            np.copyto(mask, layer, where=layer != UNPAINTED)
        if mask is None:
            raise InputError(f"Layout '{self.single.layout}' found no file to make the mask of")
        return mask


def plain_name(name: str) -> str:
    """Letters and digits alone, in small letters: 'Left_Bipolar Forceps' is 'leftbipolarforceps'."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def cropped(picture: npt.NDArray[np.uint8], crop: Crop | None) -> npt.NDArray[np.uint8]:
    """Cut a picture of the crop's size, (H, W) or (H, W, 3); any other is handed back as it is."""
    if crop is None or picture.shape[:2] != crop.size[::-1]:
        return picture
    return np.ascontiguousarray(picture[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width])
