"""Data-set layouts: where frames and masks lie, what raw mask values mean, what must not be split.

The layouts are tables. A mask's raw values are turned into class ids here and nowhere else.
Reading pixels is `io`'s part, dividing groups into train, val and test is `splits`'.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.data.scheme import IGNORE, SCHEME_FILE, LabelScheme
from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

PLAIN_TREE = "Expected images/<group>/<name>.jpg|png and masks/<group>/<name>.png."


@dataclass(frozen=True)
class Sample:
    """One frame on disk and, where there is one, its mask.

    Attributes
    ----------
    sample_id : str
        Path below `images/` without its suffix, with forward slashes on every system.
    group : str
        Patient, sequence or video: never divided between train, val and test.
    """

    sample_id: str
    image_path: Path
    mask_path: Path | None
    group: str


@dataclass(frozen=True)
class Layout:
    """How one data set lies on disk.

    Attributes
    ----------
    name : str
        What `data.layout` calls it.
    scheme : LabelScheme
        The classes after the mapping.
    raw_to_class : mapping of int to int, or None
        Raw mask value to class id or ignore; None: raw values are class ids. A raw value that is not
        named is an error, never ignored in silence.
    group_pattern : str or None
        Regular expression on the sample id whose first group names the sample's group; None: its folder.
    same_recording : tuple of frozenset of str
        Groups cut from one recording: neighbours in time, so a split between them leaks.
    """

    name: str
    scheme: LabelScheme
    raw_to_class: Mapping[int, int] | None = None
    group_pattern: str | None = None
    same_recording: tuple[frozenset[str], ...] = ()

    def group_of(self, sample_id: str) -> str:
        """Name the group of a sample; InputError where the pattern does not match."""
        if self.group_pattern is None:
            folder, _, _ = sample_id.rpartition("/")
            return folder or "all"
        match = re.search(self.group_pattern, sample_id)
        if match is None or not match.groups():
            raise InputError(
                f"group_pattern {self.group_pattern!r} finds no group in '{sample_id}'",
                where=SCHEME_FILE,
                remedy="Put the part that names the patient or video in parentheses.",
            )
        return match.group(1)

    def to_class_ids(self, raw: npt.NDArray[np.integer], where: object) -> npt.NDArray[np.uint8]:
        """Turn raw mask values into class ids.

        Parameters
        ----------
        raw : (H, W) uint8 or uint16 ndarray
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
        if self.raw_to_class is None:
            return self.scheme.check_mask(raw, where)
        present = np.flatnonzero(np.bincount(raw.ravel(), minlength=256))
        unknown = sorted({int(value) for value in present} - set(self.raw_to_class))
        if unknown:
            raise InputError(
                f"Mask values {unknown[:8]} have no meaning in layout '{self.name}'",
                where=where,
                remedy=f"Known raw values: {sorted(self.raw_to_class)}. Choose the layout this data set has.",
            )
        table = np.full(max(256, int(raw.max()) + 1), IGNORE, np.uint8)
        for value, class_id in self.raw_to_class.items():
            table[value] = class_id
        ids: npt.NDArray[np.uint8] = table[raw]
        return ids


VOCALFOLDS = Layout(
    name="vocalfolds",
    scheme=LabelScheme(
        name="vocalfolds",
        classes=("vocal folds", "other tissue", "glottal space", "pathology", "surgical tool", "intubation"),
        colors=((230, 159, 0), (0, 158, 115), (86, 180, 233), (213, 94, 0), (240, 228, 66), (204, 121, 167)),
    ),
    raw_to_class={0: IGNORE, 1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5},
    same_recording=(frozenset({"patient2_seq6", "patient2_seq7"}),),
)
"""Laves et al., IJCARS 2019, CC BY 4.0: raw 0 is void."""

LAYOUTS: dict[str, Layout] = {VOCALFOLDS.name: VOCALFOLDS}
PLAIN = "folders"
"""Layout of plain images/ + masks/ folders with a dataset.toml."""


@dataclass(frozen=True)
class DataSet:
    """A recognised data set: its layout and its samples in natural order."""

    root: Path
    layout: Layout
    samples: tuple[Sample, ...] = field(repr=False)

    @property
    def scheme(self) -> LabelScheme:
        """The classes of its masks."""
        return self.layout.scheme

    @property
    def groups(self) -> tuple[str, ...]:
        """Group names in the order of the samples."""
        return tuple(dict.fromkeys(sample.group for sample in self.samples))

    def in_groups(self, groups: Iterable[str]) -> tuple[Sample, ...]:
        """Select the samples of some groups; InputError for a name that is no group."""
        wanted = set(groups)
        unknown = sorted(wanted - set(self.groups))
        if unknown:
            raise InputError(
                f"No such group: {', '.join(unknown)}",
                where=self.root,
                remedy=f"Groups here: {', '.join(self.groups)}.",
            )
        return tuple(sample for sample in self.samples if sample.group in wanted)

    def read_frame(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """Read the frame, (H, W, 3) uint8."""
        return images.read_image(sample.image_path)

    def read_mask(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """Read the mask as (H, W) uint8 class ids; InputError names the file where it cannot be."""
        if sample.mask_path is None:
            raise InputError("This frame has no mask", where=sample.image_path)
        return self.layout.to_class_ids(images.read_mask(sample.mask_path), sample.mask_path)

    def read_pair(self, sample: Sample) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Read frame and mask and check that they have one size."""
        frame, mask = self.read_frame(sample), self.read_mask(sample)
        (height, width), (mask_height, mask_width) = frame.shape[:2], mask.shape
        if (height, width) != (mask_height, mask_width):
            raise InputError(
                f"The mask is {mask_width}x{mask_height} but its frame is {width}x{height}",
                where=sample.mask_path,
                remedy="Export the mask at the frame's size; masks are never rescaled in silence.",
            )
        return frame, mask


def open_dataset(root: Path | str, layout: str = "auto") -> DataSet:
    """Open a data set.

    Parameters
    ----------
    root : path
        Folder that holds `images/` and `masks/`.
    layout : str
        A name in `LAYOUTS`, 'folders' (classes named in `dataset.toml`), or 'auto'.

    Returns
    -------
    DataSet

    Raises
    ------
    InputError
        If the folder cannot be read, holds no frames, or its layout is not recognised.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError("No such folder", where=root, remedy="Check the path.")
    try:
        samples_without_group = _find_pairs(root)
    except PermissionError as error:
        raise InputError(
            "The folder may not be read", where=error.filename, remedy="Check its rights."
        ) from error
    chosen = _choose_layout(root, layout, [sample_id for sample_id, _, _ in samples_without_group])
    samples = tuple(
        Sample(sample_id, image_path, mask_path, chosen.group_of(sample_id))
        for sample_id, image_path, mask_path in samples_without_group
    )
    return DataSet(root, chosen, samples)


def _find_pairs(root: Path) -> list[tuple[str, Path, Path | None]]:
    images_root, masks_root = root / "images", root / "masks"
    if not images_root.is_dir():
        raise InputError("Not a data set: there is no images/ folder", where=root, remedy=PLAIN_TREE)
    pairs = []
    folders = [images_root, *sorted(path for path in images_root.rglob("*") if path.is_dir())]
    for folder in folders:
        for image_path in images.list_images(folder):
            relative = image_path.relative_to(images_root).with_suffix("")
            mask_path = masks_root / relative.parent / f"{relative.name}.png"
            pairs.append((relative.as_posix(), image_path, mask_path if mask_path.is_file() else None))
    if not pairs:
        raise InputError("No image lies below images/", where=root, remedy=PLAIN_TREE)
    return pairs


def _choose_layout(root: Path, name: str, sample_ids: list[str]) -> Layout:
    if name in LAYOUTS:
        return LAYOUTS[name]
    if name not in ("auto", PLAIN):
        raise InputError(
            f"Unknown layout '{name}'",
            where="data.layout",
            remedy=f"Known: auto, {PLAIN}, {', '.join(LAYOUTS)}.",
        )
    if (root / SCHEME_FILE).is_file():
        return _plain_layout(root / SCHEME_FILE)
    if name == "auto" and all(re.match(r"patient\d+_seq\d+/", sample_id) for sample_id in sample_ids):
        return VOCALFOLDS
    raise InputError(
        f"The layout is not recognised: there is no {SCHEME_FILE} that names the classes",
        where=root,
        remedy=f"Add one (README, 'Your own frames'), or name a layout: {', '.join(LAYOUTS)}.",
    )


def _plain_layout(path: Path) -> Layout:
    scheme = LabelScheme.read(path)
    table = tomllib.loads(path.read_text("utf-8"))
    return Layout(name=PLAIN, scheme=scheme, group_pattern=table.get("group_pattern"))
