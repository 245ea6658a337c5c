"""Guessing which layout a folder has, with the evidence in words. Decides nothing that is not clear.

A table is a candidate if frames lie as it says; a few masks are read to see whether their values are known to
it. Tasks of one data set share its tree, so several candidates are common: then a person chooses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hogseg.data.layout_table import LAYOUT_FILE, LayoutTable, packaged_tables, read_table
from napari_hogseg.data.mask_coding import TreeCoding
from napari_hogseg.data.scheme import SCHEME_FILE, LabelScheme
from napari_hogseg.data.tree_scan import Listing, Sample, find_files, find_samples, list_files
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

NUM_PROBED = 3
"""Masks read per candidate: the first, the middle and the last."""


@dataclass(frozen=True)
class Candidate:
    """A layout that a folder may have.

    Attributes
    ----------
    name : str
        What to give as `layout` to open it so: a packaged layout's name, 'folders' or 'layout.toml'.
    title : str
        One line for people.
    num_frames, num_masks, num_groups : int
        What lies there; 0 for a folder that names its own layout, which is not searched.
    fits : bool
        Whether the masks that were read hold values this layout knows.
    evidence : tuple of str
        What speaks for it and against it.
    """

    name: str
    title: str
    num_frames: int = 0
    num_masks: int = 0
    num_groups: int = 0
    fits: bool = True
    evidence: tuple[str, ...] = field(default=(), repr=False)


def recognise(root: Path | str) -> tuple[Candidate, ...]:
    """Guess the layout of a folder.

    Parameters
    ----------
    root : path

    Returns
    -------
    tuple of Candidate
        Best first; empty where nothing fits. A `layout.toml` or `dataset.toml` in the root settles it.

    Raises
    ------
    InputError
        If the folder cannot be read, or its own layout file is damaged.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError("No such folder", where=root, remedy="Check the path.")
    if (root / LAYOUT_FILE).is_file():
        table = read_table(root / LAYOUT_FILE)
        return (Candidate(LAYOUT_FILE, table.title, evidence=(f"{LAYOUT_FILE} in the folder says so",)),)
    if (root / SCHEME_FILE).is_file():
        title = f"Plain folders, classes of '{LabelScheme.read(root / SCHEME_FILE).name}'"
        return (Candidate("folders", title, evidence=(f"{SCHEME_FILE} in the folder names the classes",)),)
    listing = list_files(root)
    found = (_judge(listing, table) for table in packaged_tables().values())
    return tuple(sorted((item for item in found if item is not None), key=_rank, reverse=True))


def _rank(candidate: Candidate) -> tuple[bool, bool, int, int]:
    return (candidate.fits, candidate.num_masks > 0, candidate.num_masks, candidate.num_frames)


def _judge(listing: Listing, table: LayoutTable) -> Candidate | None:
    """Make a candidate of a table; None where no frame lies as it says or something required is missing."""
    missing = [name for name in table.requires if not find_files(listing, table, name)]
    try:
        samples = () if missing else find_samples(listing, table)
    except InputError as error:  # two copies of one frame: opening it will say so
        return Candidate(table.name, table.title, fits=False, evidence=(str(error),))
    paths = (sample.image_path.relative_to(listing.root).as_posix() for sample in samples)
    if not samples or not all(re.search(table.recognised_by, path) for path in paths):
        return None
    groups = {sample.group for sample in samples}
    masked = [sample for sample in samples if sample.mask_path is not None]
    read, problems = _probe(table, masked)
    evidence = (
        f"{len(samples)} frames in {len(groups)} groups lie as in {_examples(samples, listing.root)}",
        f"{len(masked)} of them have a mask",
        *([f"the values of {read} masks that were read are all known"] if read else []),
        *problems,
    )
    return Candidate(
        table.name, table.title, len(samples), len(masked), len(groups), fits=not problems, evidence=evidence
    )


def _examples(samples: tuple[Sample, ...], root: Path) -> str:
    return samples[0].image_path.relative_to(root).as_posix()


def _probe(table: LayoutTable, masked: list[Sample]) -> tuple[int, list[str]]:
    """Read a few masks; returns how many could be, and what was wrong with the others."""
    chosen = {0, len(masked) // 2, len(masked) - 1} if masked else set()
    problems: list[str] = []
    for index in sorted(chosen):
        sample = masked[index]
        coding = TreeCoding.of(table, table.tree(sample.tree))
        try:
            coding.read(sample)
        except InputError as error:
            problems.append(str(error))
    return len(chosen) - len(problems), problems


def clear_choice(root: Path, candidates: Iterable[Candidate]) -> Candidate:
    """Take the one candidate that is clearly best.

    It is, if no other that fits its masks finds at least half as many of them.

    Raises
    ------
    InputError
        Naming the candidates, where there are several.
    """
    best, *others = candidates
    rivals = [
        item
        for item in others
        if item.fits == best.fits
        and (item.num_masks > 0) == (best.num_masks > 0)
        and item.num_masks * 2 >= best.num_masks
    ]
    if not rivals:
        return best
    names = ", ".join(item.name for item in sorted((best, *rivals), key=lambda item: item.name))
    raise InputError(
        f"This folder fits several layouts: {names}",
        where=root,
        remedy="They are different tasks on the same frames: name one as the layout.",
    )
