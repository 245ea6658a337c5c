"""What lies in a data set's folder and belongs to no frame: masks without one, empty folders, `._` files.

Reads names alone. Telling a person about them is `checking`'s part.
"""

from __future__ import annotations

import os
import re
import string
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hogseg.data.layout_table import FRAME_FIELD
from napari_hogseg.data.tree_scan import NO_GROUP, view_of
from napari_hogseg.io import images

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_hogseg.data.layout_table import Tree
    from napari_hogseg.data.layouts import DataSet
    from napari_hogseg.data.tree_scan import Listing, View

MAC_PREFIX = "._"
"""macOS puts such a file beside each it copies to a foreign disk; its suffix is that of a picture."""

PLAIN_MASKS = "masks"


def masks_without_frame(dataset: DataSet, listing: Listing) -> tuple[Path, ...]:
    """Find files that lie where the layout has masks, but whose frame is missing.

    Parameters
    ----------
    dataset : DataSet
    listing : Listing
        Of the data set's root.

    Returns
    -------
    tuple of Path
        In the order of their names.
    """
    used = {path for s in dataset.samples for path in (s.image_path, s.mask_path, *s.layer_paths)}
    table = dataset.layout.table
    if table is None:
        folders = (f for f in listing.files if f == PLAIN_MASKS or f.startswith(f"{PLAIN_MASKS}/"))
        found = {listing.path(folder, name) for folder in folders for name in listing.files[folder]}
        return tuple(sorted(path for path in found - used if path.suffix.lower() in images.IMAGE_SUFFIXES))
    with_frame: set[Path] = set()
    without: set[Path] = set()
    trees = {sample.tree for sample in dataset.samples}
    for tree in (tree for tree in table.trees if tree.name in trees):
        view = view_of(listing, tree)
        frames = list(_frame_fields(view, tree))
        for template in tree.masks:
            for path, has_frame in _masks_of(view, template, frames):
                (with_frame if has_frame else without).add(path)
    return tuple(sorted(without - with_frame - used))


def _frame_fields(view: View, tree: Tree) -> Iterator[dict[str, str]]:
    """Yield what the parts of each frame's path say, such as its group and name."""
    pattern = re.compile(tree.frames)
    for folder, name, _ in _files(view):
        match = pattern.fullmatch(f"{folder}/{name}" if folder else name)
        if match is not None:
            fields = {key: text or "" for key, text in match.groupdict().items()}
            yield {**fields, "group": fields.get("group") or NO_GROUP}


def _files(view: View) -> Iterator[tuple[str, str, Path]]:
    for folder, reals in view.folders.items():
        for real in reals:
            for name in view.listing.files[real]:
                yield folder, name, view.listing.path(real, name)


def _masks_of(view: View, template: str, frames: list[dict[str, str]]) -> Iterator[tuple[Path, bool]]:
    """Yield the files that fit a template, and whether one of the frames is theirs."""
    parts = list(string.Formatter().parse(template))
    fields = list(dict.fromkeys(field for _, field, _, _ in parts if field is not None))
    shared = [field for field in fields if frames and field in frames[0] and field != FRAME_FIELD]
    known = {tuple(frame[field] for field in shared) for frame in frames}
    deep = {field for field in shared if any("/" in frame[field] for frame in frames)}
    pattern = re.compile(_pattern(template, deep))
    for folder, name, path in _files(view):
        match = pattern.fullmatch(f"{folder}/{name}" if folder else name)
        if match is not None:
            yield path, tuple(match[field] for field in shared) in known


def _pattern(template: str, deep: set[str]) -> str:
    """Turn a mask's template into a regular expression; a field of `deep` may span folders."""
    pattern, seen = "", set[str]()
    for text, field, _, _ in string.Formatter().parse(template):
        pattern += re.escape(text).replace(r"\*", "[^/]*")
        if field is None:
            continue
        kind = r"\d+" if field == FRAME_FIELD else ".+" if field in deep else "[^/]+"
        pattern += f"(?P={field})" if field in seen else f"(?P<{field}>{kind})"
        seen.add(field)
    return pattern


def empty_folders(listing: Listing) -> tuple[str, ...]:
    """Folders below which no file lies; of nested ones the outermost."""
    filled = {""}
    for folder, names in listing.files.items():
        parts = folder.split("/") if names else []
        filled.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return tuple(
        folder for folder in sorted(listing.files) if folder not in filled and _parent(folder) in filled
    )


def _parent(folder: str) -> str:
    return folder.rpartition("/")[0]


def mac_files(listing: Listing) -> tuple[Path, ...]:
    """Find `._` files, which are passed over everywhere."""
    folders: Mapping[str, object] = listing.files
    return tuple(
        Path(entry.path)
        for folder in sorted(folders)
        for entry in sorted(os.scandir(listing.root / folder), key=lambda entry: entry.name)
        if entry.name.startswith(MAC_PREFIX) and entry.is_file()
    )
