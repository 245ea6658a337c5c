"""Finding frames and their masks in a folder, by a layout table. Opens no picture.

Hidden files and folders, `._` files of macOS and Windows' Thumbs.db are passed over; links are followed.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hogseg.data.layout_table import FRAME_FIELD
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_hogseg.data.layout_table import LayoutTable, Tree

MAX_FILES = 2_000_000
"""No data set has so many; a home folder has."""

SKIPPED_FOLDERS = frozenset({"__MACOSX", "$RECYCLE.BIN", "System Volume Information"})
SKIPPED_FILES = frozenset({"thumbs.db", "desktop.ini"})
NO_GROUP = "all"


@dataclass(frozen=True)
class Sample:
    """One frame on disk and, where there is one, its mask.

    Attributes
    ----------
    sample_id : str
        Name within the data set, with forward slashes on every system; in plain folders the path below
        `images/` without its suffix.
    image_path : Path
        The picture, or the video that holds the frame.
    mask_path : Path or None
        The mask; the first file of a mask made up of several.
    group : str
        Patient, sequence or video: never divided between train, val and test.
    frame_index : int or None
        Number of the frame in the video, 0-based; None for a picture.
    tree : str
        Which form of its layout it was found in.
    layer_paths : tuple of Path
        All files of a mask made up of several.
    """

    sample_id: str
    image_path: Path
    mask_path: Path | None
    group: str
    frame_index: int | None = None
    tree: str = ""
    layer_paths: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Listing:
    """The files below a root: their names by folder, both relative with forward slashes ('' is the root)."""

    root: Path
    files: Mapping[str, frozenset[str]] = field(repr=False)

    @cached_property
    def num_files(self) -> int:
        """How many files there are."""
        return sum(len(names) for names in self.files.values())

    def path(self, folder: str, name: str) -> Path:
        """Absolute path of a file."""
        return self.root / folder / name


def list_files(root: Path) -> Listing:
    """List all files below a root.

    Raises
    ------
    InputError
        If a folder may not be read, or there are too many files for a data set.
    """
    files: dict[str, frozenset[str]] = {}
    num_files, seen = 0, set()
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=_refuse):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:  # a link back up would never end
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(name for name in subfolders if _is_shown(name, SKIPPED_FOLDERS))
        kept = frozenset(name for name in names if _is_shown(name) and name.lower() not in SKIPPED_FILES)
        relative = os.path.relpath(folder, root).replace(os.sep, "/")
        files["" if relative == "." else relative] = kept
        num_files += len(kept)
        if num_files > MAX_FILES:
            raise InputError(
                f"More than {MAX_FILES:,} files lie below this folder",
                where=root,
                remedy="Name the data set's own.",
            )
    return Listing(root, files)


def _is_shown(name: str, skipped: frozenset[str] = frozenset()) -> bool:
    return not name.startswith(".") and name not in skipped


def _refuse(error: OSError) -> None:
    raise InputError(
        f"The folder may not be read: {error.strerror}", where=error.filename, remedy="Check its rights."
    ) from error


@dataclass(frozen=True)
class View:
    """A listing as one tree sees it: the folders that may lie around it are taken off.

    Attributes
    ----------
    folders : mapping of str to tuple of str
        Real folders by what is left of them; several where copies lie side by side.
    """

    listing: Listing
    folders: Mapping[str, tuple[str, ...]]

    def files_at(self, template: str, near: str) -> list[tuple[str, str]]:
        """Find the files of an expanded template as (real folder, name), those nearest to a frame first.

        Parameters
        ----------
        template : str
            Path from below the roots; its folders may hold '*'.
        near : str
            The frame's real folder: of several copies its own is taken.
        """
        folder, _, name = template.rpartition("/")
        found = [real for real in self._matching(folder) if name in self.listing.files[real]]
        return [(real, name) for real in sorted(found, key=lambda real: (-_shared(real, near), real))]

    def folders_at(self, pattern: str) -> tuple[str, ...]:
        """Real folders that fit a pattern and hold files."""
        return tuple(real for real in self._matching(pattern) if self.listing.files[real])

    def _matching(self, pattern: str) -> tuple[str, ...]:
        if "*" not in pattern:
            return self.folders.get(pattern, ())
        if pattern not in self._globbed:
            depth = pattern.count("/")
            self._globbed[pattern] = tuple(
                real
                for folder, reals in self.folders.items()
                if folder.count("/") == depth and fnmatchcase(folder, pattern)
                for real in reals
            )
        return self._globbed[pattern]

    @cached_property
    def _globbed(self) -> dict[str, tuple[str, ...]]:
        return {}


def _shared(folder: str, other: str) -> int:
    """Count the leading folders that two paths share."""
    return len(os.path.commonpath(["/" + folder, "/" + other]).split("/"))


def view_of(listing: Listing, tree: Tree) -> View:
    """Take the folders that may lie around a tree off the paths."""
    patterns = (*tree.roots, *tree.inside)
    is_inside = not tree.inside or _fits_any(listing.root.resolve().name, tree.inside)
    folders: defaultdict[str, list[str]] = defaultdict(list)
    for real in listing.files:
        parts = real.split("/") if real else []
        rest = parts
        while rest and _fits_any(rest[0], patterns):
            rest = rest[1:]
        around = parts[: len(parts) - len(rest)]
        if is_inside or any(_fits_any(name, tree.inside) for name in around):
            folders["/".join(rest)].append(real)
    return View(listing, {folder: tuple(reals) for folder, reals in folders.items()})


def _fits_any(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


@dataclass(frozen=True)
class Found:
    """A sample, and the real folder of its frame: the unit for which one of several trees is chosen."""

    folder: str
    sample: Sample


def find_samples(listing: Listing, table: LayoutTable) -> tuple[Sample, ...]:
    """Find a data set's frames and masks.

    Where several trees fit one folder of frames, the one that finds more masks is taken, else the first.

    Returns
    -------
    tuple of Sample
        In natural order of their names.

    Raises
    ------
    InputError
        If two files are one frame.
    """
    per_folder: defaultdict[str, list[list[Found]]] = defaultdict(list)
    for tree in table.trees:
        of_tree: defaultdict[str, list[Found]] = defaultdict(list)
        for found in _find_in_tree(listing, tree):
            of_tree[found.folder].append(found)
        for folder, group in of_tree.items():
            per_folder[folder].append(group)
    chosen = [found for groups in per_folder.values() for found in max(groups, key=_num_masks)]
    return _in_order(chosen, [tree.name for tree in table.trees])


def find_files(listing: Listing, table: LayoutTable, relative: str) -> list[Path]:
    """Find a file of the data set by its path from below the folders that may lie around it."""
    return [
        listing.path(*place)
        for tree in table.trees
        for place in view_of(listing, tree).files_at(relative, near="")
    ]


def _num_masks(group: list[Found]) -> int:
    return sum(found.sample.mask_path is not None for found in group)


def _find_in_tree(listing: Listing, tree: Tree) -> Iterator[Found]:
    view, pattern = view_of(listing, tree), re.compile(tree.frames)
    for folder, reals in view.folders.items():
        for real in reals:
            for name in listing.files[real]:
                match = pattern.fullmatch(f"{folder}/{name}" if folder else name)
                if match is None:
                    continue
                fields = {key: text or "" for key, text in match.groupdict().items()}
                fields["group"] = fields.get("group") or NO_GROUP
                if tree.video:
                    yield from _find_in_video(view, tree, fields, real, name)
                else:
                    yield _with_mask(view, tree, fields, real, name)


def _with_mask(view: View, tree: Tree, fields: dict[str, str], folder: str, name: str) -> Found:
    paths: tuple[Path, ...] = ()
    for template in tree.masks:
        if tree.layers:
            paths = _layer_paths(view, template.format_map(fields))
        else:
            paths = tuple(
                view.listing.path(*place) for place in view.files_at(template.format_map(fields), folder)[:1]
            )
        if paths:
            break
    group = tree.group.format_map(fields)
    sample = Sample(
        tree.sample.format_map({**fields, "group": group}),
        view.listing.path(folder, name),
        paths[0] if paths else None,
        group,
        tree=tree.name,
        layer_paths=paths if tree.layers else (),
    )
    return Found(folder, sample)


def _layer_paths(view: View, template: str) -> tuple[Path, ...]:
    """Files a mask is made up of: one per folder, also where it is missing, which is told when it is read."""
    folder, _, name = template.rpartition("/")
    reals = view.folders_at(folder)
    if not any(name in view.listing.files[real] for real in reals):
        return ()
    return tuple(view.listing.path(real, name) for real in sorted(reals))


def _find_in_video(view: View, tree: Tree, fields: dict[str, str], folder: str, name: str) -> Iterator[Found]:
    """One sample per mask: a video has thousands of frames without one."""
    for template in tree.masks:
        mask_folder, _, mask_name = template.rpartition("/")
        expanded = mask_folder.format_map(fields)
        before, _, after = mask_name.partition("{" + FRAME_FIELD + "}")
        numbered = re.compile(
            re.escape(before.format_map(fields)) + r"(\d+)" + re.escape(after.format_map(fields))
        )
        masks = [
            (real, mask, match.group(1))
            for real in view.folders_at(expanded)
            for mask in view.listing.files[real]
            if (match := numbered.fullmatch(mask)) is not None
        ]
        for real, mask, digits in masks:
            named = {**fields, FRAME_FIELD: digits, "name": digits}
            group = tree.group.format_map(named)
            sample = Sample(
                tree.sample.format_map({**named, "group": group}),
                view.listing.path(folder, name),
                view.listing.path(real, mask),
                group,
                frame_index=int(digits),
                tree=tree.name,
            )
            yield Found(folder, sample)
        if masks:
            return


def _in_order(found: list[Found], trees: list[str]) -> tuple[Sample, ...]:
    """Natural order; one frame found by two trees is the first tree's, two of one tree are an error."""
    by_id: dict[str, Sample] = {}
    for item in sorted(found, key=lambda item: (trees.index(item.sample.tree), str(item.sample.image_path))):
        sample = item.sample
        first = by_id.setdefault(sample.sample_id, sample)
        if first is not sample and first.tree == sample.tree:
            raise InputError(
                f"Two files are the frame {sample.sample_id}: {first.image_path} and this",
                where=sample.image_path,
                remedy="Open one copy of the data set, or remove the other.",
            )
    return tuple(sorted(by_id.values(), key=lambda sample: natural_key(sample.sample_id)))


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Key that sorts numbers by value: frame_2 before frame_10, folder by folder."""
    parts = re.split(r"(\d+|/)", name.lower())
    return [
        (1, int(part), "") if part.isdecimal() else (0 if part == "/" else 2, 0, part)
        for part in parts
        if part
    ], name
