"""What every exchange format has in common: frames with masks, the clip they belong to, the two calls.

Owns no format and writes no file. Where frames come from, and what becomes of them, is `session`'s part.

Legend: T frames, H rows, W columns; values are class ids of the scheme, 255 is unlabelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_hogseg.data.scheme import LabelScheme

    Mask = npt.NDArray[np.uint8]

MAX_NAMED = 6
"""Unknown names that a message lists."""


@dataclass(frozen=True, eq=False)
class AnnotatedFrame:
    """One frame's mask.

    Attributes
    ----------
    frame_index : int
        0-based, in decoded order.
    mask : (H, W) uint8 ndarray
        Class ids, 255 where nothing is labelled.
    """

    frame_index: int
    mask: Mask


@dataclass(frozen=True)
class ExchangeClip:
    """The clip that masks belong to.

    Attributes
    ----------
    name : str
        Fit to be a folder's name.
    frame_names : tuple of str
        A file stem for each frame, unique.
    height, width : int
        Size of every frame, pixels.
    scheme : LabelScheme
    """

    name: str
    frame_names: tuple[str, ...]
    height: int
    width: int
    scheme: LabelScheme

    @property
    def num_frames(self) -> int:
        """Number of frames of the clip, with a mask or without."""
        return len(self.frame_names)

    def blank(self, value: int = IGNORE) -> Mask:
        """Make a mask of one value, (H, W) uint8."""
        return np.full((self.height, self.width), value, np.uint8)

    def index_of(self, frame_name: str, where: object) -> int:
        """Find a frame by its name; InputError if the clip has none of that name."""
        try:
            return self.frame_names.index(frame_name)
        except ValueError:
            raise InputError(
                f"This clip has no frame '{frame_name}'",
                where=where,
                remedy=f"Its frames are named like {self.frame_names[0]}. Choose annotations of this clip.",
            ) from None

    def check_index(self, frame_index: int, where: object) -> int:
        """Return a frame index of this clip; InputError if it has fewer frames."""
        if not 0 <= frame_index < self.num_frames:
            raise InputError(
                f"There is no frame {frame_index}: the clip has {self.num_frames}",
                where=where,
                remedy="Choose annotations of this clip.",
            )
        return frame_index

    def check_size(self, size: Sequence[int], where: object) -> None:
        """Refuse masks of another (height, width): they are never rescaled in silence."""
        height, width = size
        if (height, width) != (self.height, self.width):
            raise InputError(
                f"The annotations are {width}x{height} but the frames are {self.width}x{self.height}",
                where=where,
                remedy="Export them at the frames' size.",
            )

    def class_of(self, class_name: object, where: object) -> int:
        """Find a class id by its name: ids of a file may be others, names are what counts."""
        try:
            return self.scheme.classes.index(str(class_name))
        except ValueError:
            raise self.unknown_classes([class_name], where) from None

    def unknown_classes(self, names: Sequence[object], where: object) -> InputError:
        """Make the message for classes that the clip has not."""
        listed = ", ".join(f"'{name}'" for name in names[:MAX_NAMED])
        return InputError(
            f"The clip has no class {listed}",
            where=where,
            remedy=f"Its classes are {', '.join(self.scheme.classes)}. Rename those of the file.",
        )

    def values_by_name(self, names: Sequence[str], where: object) -> Mask:
        """Turn a file's class ids into the clip's, by name.

        Parameters
        ----------
        names : sequence of str
            By class id of the file.
        where : object

        Returns
        -------
        (256,) uint8 ndarray
            Class id of the clip by the file's value; 255 for values that name no class.
        """
        table = np.full(256, IGNORE, np.uint8)
        unknown = [name for name in names if name not in self.scheme.classes]
        if unknown:
            raise self.unknown_classes(unknown, where)
        for value, name in enumerate(names):
            table[value] = self.scheme.classes.index(name)
        return table


@dataclass(frozen=True)
class Format:
    """A way to write masks down.

    Attributes
    ----------
    name : str
        For the command line, such as 'coco'.
    title : str
        For a menu.
    about : str
        What it is good for and what it keeps, in a line.
    write : callable
        `write(frames, folder, clip)`: into an empty folder that is there.
    read : callable
        `read(path, clip, rest) -> iterator of AnnotatedFrame`; `rest` is the value of pixels that no shape
        covers, for formats that hold shapes. Raises InputError, at the latest when iterated.
    picture_path : callable
        `picture_path(clip, frame_index) -> str`: where the format's readers look for the frame itself.
    files : str
        What the one file is named like, such as `*.json`; empty where it is a folder of many.
    has_shapes : bool
        Whether `rest` means anything.
    """

    name: str
    title: str
    about: str
    write: Callable[[Iterable[AnnotatedFrame], Path, ExchangeClip], None]
    read: Callable[[Path, ExchangeClip, int], Iterator[AnnotatedFrame]]
    picture_path: Callable[[ExchangeClip, int], str]
    files: str = ""
    has_shapes: bool = False


def class_masks(mask_HW: Mask, num_classes: int) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
    """Give each class that a mask holds, with its pixels as (H, W) bool, by class id."""
    for class_id in np.flatnonzero(np.bincount(mask_HW.ravel(), minlength=256)[:num_classes]):
        yield int(class_id), mask_HW == class_id


def number(value: Any, what: str, where: object) -> int:  # noqa: ANN401 - what a file holds
    """Read a whole number from a file's text; InputError names the field."""
    try:
        return int(value)
    except (TypeError, ValueError):
        raise InputError(
            f"'{what}' is {value!r}, not a whole number", where=where, remedy="Export the file again."
        ) from None
