"""Data sets: opening a folder by its layout, and reading its frames and masks as class ids.

How a data set lies on disk is said by a table (`layout_table`), found by `tree_scan`, guessed by
`recognition`; what mask values mean is turned into class ids by `mask_coding` alone. Reading pixels is `io`'s
part, dividing groups into train, val and test is `splits`'.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hogseg.data.layout_table import LAYOUT_FILE, LayoutTable, SplitRow, packaged_tables, read_table
from napari_hogseg.data.mask_coding import TreeCoding, cropped
from napari_hogseg.data.recognition import clear_choice, recognise
from napari_hogseg.data.scheme import SCHEME_FILE, LabelScheme
from napari_hogseg.data.tree_scan import Sample, find_samples, list_files
from napari_hogseg.data.video_frames import VIDEOS
from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np
    import numpy.typing as npt

__all__ = ["LAYOUTS", "PLAIN", "VOCALFOLDS", "DataSet", "Layout", "Sample", "load_layout", "open_dataset"]

PLAIN_TREE = "Expected images/<group>/<name>.jpg|png and masks/<group>/<name>.png."
PLAIN = "folders"
"""Layout of plain images/ + masks/ folders with a dataset.toml."""


@dataclass(frozen=True)
class Layout:
    """How one data set lies on disk.

    Attributes
    ----------
    name : str
        What it is called.
    scheme : LabelScheme
        The classes after the mapping.
    group_pattern : str or None
        Of plain folders: regular expression on the sample id whose first group names the sample's group;
        None: its folder.
    table : LayoutTable or None
        What it was made from; None for plain folders, whose mask values are class ids.
    reference : str
        What `data.layout` must say to have it again: its name, or the file of a user's own table.
    """

    name: str
    scheme: LabelScheme
    group_pattern: str | None = None
    table: LayoutTable | None = field(default=None, repr=False)
    reference: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reference", self.reference or self.name)

    @classmethod
    def of(cls, table: LayoutTable, reference: str = "") -> Layout:
        """Make it from a table; InputError if the table contradicts itself."""
        layout = cls(table.name, table.scheme, table=table, reference=reference)
        _ = layout.codings
        return layout

    @property
    def protocol(self) -> str:
        """Scoring protocol of the set's literature."""
        return "dataset-miou" if self.table is None else self.table.protocol

    @property
    def splits(self) -> Mapping[str, SplitRow]:
        """Published splits by name."""
        return {} if self.table is None else self.table.splits

    @property
    def same_recording(self) -> tuple[frozenset[str], ...]:
        """Groups cut from one recording: neighbours in time, so a split between them leaks."""
        rows = () if self.table is None else self.table.same_recording
        return tuple(frozenset(row) for row in rows)

    @cached_property
    def codings(self) -> Mapping[str, TreeCoding]:
        """What mask values mean, by tree."""
        trees = () if self.table is None else self.table.trees
        return {tree.name: TreeCoding.of(self.table, tree) for tree in trees if self.table is not None}

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

    def to_class_ids(self, raw: npt.NDArray[np.integer[Any]], where: object) -> npt.NDArray[np.uint8]:
        """Turn raw mask values into class ids, as masks of the layout's first tree hold them.

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
        if self.table is None:
            return self.scheme.check_mask(raw, where)
        return self.codings[self.table.trees[0].name].single.decode(raw, where)

    def read_mask(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """Read a sample's mask as (H, W) uint8 class ids, cropped where the layout says so."""
        if sample.mask_path is None:
            raise InputError("This frame has no mask", where=sample.image_path)
        if self.table is None:
            return self.scheme.check_mask(images.read_mask(sample.mask_path), sample.mask_path)
        return cropped(self.codings[sample.tree].read(sample), self.table.crop)

    def read_frame(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """Read a sample's frame, (H, W, 3) uint8, cropped where the layout says so."""
        if sample.frame_index is None:
            frame = images.read_image(sample.image_path)
        else:
            frame = VIDEOS.frame(sample.image_path, sample.frame_index)
        return cropped(frame, None if self.table is None else self.table.crop)


LAYOUTS: dict[str, Layout] = {name: Layout.of(table) for name, table in packaged_tables().items()}
"""The layouts that come with this package, by name."""

VOCALFOLDS = LAYOUTS["vocalfolds"]
"""Laves et al., IJCARS 2019, CC BY 4.0: raw 0 is void."""


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
        """Read the frame, (H, W, 3) uint8, cropped where the layout says so."""
        return self.layout.read_frame(sample)

    def read_mask(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """Read the mask as (H, W) uint8 class ids; InputError names the file where it cannot be."""
        return self.layout.read_mask(sample)

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
        Its folder.
    layout : str
        A name in `LAYOUTS`, 'folders' (classes named in `dataset.toml`), the path of a layout table of your
        own (`.toml`), or 'auto': the `layout.toml` or `dataset.toml` in the root, else what is recognised.

    Returns
    -------
    DataSet

    Raises
    ------
    InputError
        If the folder cannot be read, holds no frames, or its layout is not recognised or not clear.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError("No such folder", where=root, remedy="Check the path.")
    chosen = load_layout(layout, root)
    samples = (
        _plain_samples(root, chosen) if chosen.table is None else find_samples(list_files(root), chosen.table)
    )
    if not samples:
        raise InputError(
            f"No frame lies here as layout '{chosen.name}' expects it",
            where=root,
            remedy="Name the folder that holds the data set, or another layout (`hogseg data list`).",
        )
    return DataSet(root, chosen, samples)


def load_layout(layout: str, root: Path) -> Layout:
    """Find the layout behind a name, a file or 'auto' for a data set's root; see `open_dataset`."""
    if layout in LAYOUTS:
        return LAYOUTS[layout]
    if layout.endswith(".toml"):
        return _own_layout(layout, root)
    if layout not in ("auto", PLAIN):
        raise InputError(
            f"Unknown layout '{layout}'",
            where="data.layout",
            remedy=f"Known: auto, {PLAIN}, {', '.join(LAYOUTS)}; or the .toml file of your own.",
        )
    candidates = () if layout == PLAIN else recognise(root)
    if candidates and candidates[0].name == LAYOUT_FILE:
        return _own_layout(LAYOUT_FILE, root)
    if (root / SCHEME_FILE).is_file():
        return _plain_layout(root / SCHEME_FILE)
    if not candidates:
        raise _unrecognised(root)
    return LAYOUTS[clear_choice(root, candidates).name]


def _own_layout(layout: str, root: Path) -> Layout:
    """Read a user's table; `layout.toml` means the one in the root, so that a data set may be moved."""
    if layout == LAYOUT_FILE and (root / LAYOUT_FILE).is_file():
        return Layout.of(read_table(root / LAYOUT_FILE), LAYOUT_FILE)
    path = Path(layout).expanduser().resolve()
    return Layout.of(read_table(path), str(path))


def _unrecognised(root: Path) -> InputError:
    if not (root / "images").is_dir():
        return InputError(
            "Not a data set: no known layout fits and there is no images/ folder",
            where=root,
            remedy=PLAIN_TREE,
        )
    if not _find_pairs(root):
        return InputError("No image lies below images/", where=root, remedy=PLAIN_TREE)
    return InputError(
        f"The layout is not recognised: there is no {SCHEME_FILE} that names the classes",
        where=root,
        remedy=f"Add one (README, 'Your own frames'), or name a layout: {', '.join(LAYOUTS)}.",
    )


def _plain_samples(root: Path, layout: Layout) -> tuple[Sample, ...]:
    try:
        pairs = _find_pairs(root)
    except PermissionError as error:
        raise InputError(
            "The folder may not be read", where=error.filename, remedy="Check its rights."
        ) from error
    if not pairs:
        raise InputError("No image lies below images/", where=root, remedy=PLAIN_TREE)
    return tuple(Sample(name, image, mask, layout.group_of(name)) for name, image, mask in pairs)


def _find_pairs(root: Path) -> list[tuple[str, Path, Path | None]]:
    images_root, masks_root = root / "images", root / "masks"
    if not images_root.is_dir():
        raise InputError("Not a data set: there is no images/ folder", where=root, remedy=PLAIN_TREE)
    pairs = []
    for folder in (images_root, *sorted(path for path in images_root.rglob("*") if path.is_dir())):
        if any(part.startswith(".") for part in folder.relative_to(images_root).parts):
            continue
        for image_path in images.list_images(folder):
            relative = image_path.relative_to(images_root).with_suffix("")
            mask_path = masks_root / relative.parent / f"{relative.name}.png"
            pairs.append((relative.as_posix(), image_path, mask_path if mask_path.is_file() else None))
    return pairs


def _plain_layout(path: Path) -> Layout:
    scheme = LabelScheme.read(path)
    table = tomllib.loads(path.read_text("utf-8"))
    return Layout(name=PLAIN, scheme=scheme, group_pattern=table.get("group_pattern"))
