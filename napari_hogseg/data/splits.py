"""Dividing a data set into train, val and test, by groups or by a published split, with leakage refused.

Frames that train without their masks are a fourth part; leakage is refused for it as for train.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from napari_hogseg.data.tree_scan import find_files, list_files
from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError
from napari_hogseg.io.images import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from napari_hogseg.data.layout_table import SplitRow
    from napari_hogseg.data.layouts import DataSet, Sample

PARTS = ("train", "val", "test")


class LeakageError(InputError):
    """Training frames would reach validation or test."""


@dataclass(frozen=True)
class Split:
    """The samples of each part; only samples that have a mask, but for the last two.

    Attributes
    ----------
    caution : str
        What a person should know about a published split; empty where there is nothing.
    unlabelled : tuple of Sample
        Frames to train on without reading a mask.
    maskless : tuple of Sample
        Frames of the training groups, or of the published list, that have no mask; nothing is trained on
        them unless `thin_split` is asked to.
    """

    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]
    caution: str = ""
    unlabelled: tuple[Sample, ...] = ()
    maskless: tuple[Sample, ...] = ()

    def part(self, name: str) -> tuple[Sample, ...]:
        """Return the samples of 'train', 'val' or 'test'."""
        if name not in PARTS:
            raise InputError(f"No such part: '{name}'", where="--split", remedy=f"Parts: {', '.join(PARTS)}.")
        samples: tuple[Sample, ...] = getattr(self, name)
        return samples


def split_samples(
    dataset: DataSet,
    train: Sequence[str] = (),
    val: Sequence[str] = (),
    test: Sequence[str] = (),
    *,
    split: str = "",
    unlabelled: Sequence[str] = (),
) -> Split:
    """Divide by group, or as published.

    Parameters
    ----------
    dataset : DataSet
    train, val, test : sequence of str
        Group names. Empty `train`: every group that the other two do not name, but for those that the
        layout keeps for the test.
    split : str
        Instead of groups: a split of the data set's layout, such as 'official' or 'fold-0'.
    unlabelled : sequence of str
        Groups to train on without their masks, beside the others or a published split.

    Returns
    -------
    Split

    Raises
    ------
    LeakageError
        If a group, two groups of one recording, or byte-equal image files stand in two parts.
    InputError
        If a name is no group, nothing is left to train on, or the data set is not whole enough for a
        published split.
    """
    if not split:
        divided = _by_groups(dataset, train, val, test, apart=unlabelled)
    else:
        divided = _as_published(dataset, split)
    return _add_unlabelled(dataset, divided, unlabelled) if unlabelled else divided


def _as_published(dataset: DataSet, split: str) -> Split:
    row = _find_split(dataset, split)
    if row.lists:
        return _by_lists(dataset, row)
    _refuse_missing(dataset, split, row)
    here = {part: tuple(name for name in getattr(row, part) if name in dataset.groups) for part in PARTS}
    divided = _by_groups(dataset, **here, shares_recordings=row.shares_recordings)
    return replace(divided, caution=row.caution)


def thin_samples(samples: Sequence[Sample], share: float) -> tuple[Sample, ...]:
    """Keep a share of each group's samples, spread evenly over the group.

    Parameters
    ----------
    samples : sequence of Sample
    share : float
        Above 0, at most 1. A smaller share is always part of a larger one, so that a curve over shares adds
        frames and never exchanges them.

    Returns
    -------
    tuple of Sample
        In the given order; at least one of each group.
    """
    by_group: defaultdict[str, list[int]] = defaultdict(list)
    for place, sample in enumerate(samples):
        by_group[sample.group].append(place)
    kept: set[int] = set()
    for places in by_group.values():
        order = _spread_order(len(places))
        kept.update(places[number] for number in order[: max(1, round(share * len(places)))])
    return tuple(sample for place, sample in enumerate(samples) if place in kept)


def thin_split(split: Split, share: float, *, rest: bool = False) -> Split:
    """Keep a share of the training samples.

    Parameters
    ----------
    split : Split
    share : float
        As in `thin_samples`.
    rest : bool
        What is left out, and the training groups' frames without a mask, become unlabelled.

    Raises
    ------
    LeakageError
        If a picture without a mask stands in val or test too.
    """
    kept = thin_samples(split.train, share)
    if not rest:
        return replace(split, train=kept)
    ids = {sample.sample_id for sample in kept}
    left = tuple(sample for sample in split.train if sample.sample_id not in ids)
    unlabelled = (*split.unlabelled, *left, *split.maskless)
    _refuse_copies({"unlabelled": unlabelled, "val": split.val, "test": split.test})
    return replace(split, train=kept, unlabelled=unlabelled)


def _add_unlabelled(dataset: DataSet, split: Split, names: Sequence[str]) -> Split:
    """Add groups to train on without masks: for leakage it makes no difference that none are read."""
    _refuse_training_on(_test_only(dataset), names, dataset)
    parts = {part: tuple(dict.fromkeys(sample.group for sample in split.part(part))) for part in PARTS}
    _refuse_shared_groups(dataset, parts | {"unlabelled": tuple(names)})
    for part in ("val", "test"):  # where a published split divides recordings, it still says nothing of these
        _refuse_shared_recordings(dataset, {"unlabelled": tuple(names), part: parts[part]})
    samples = dataset.in_groups(names)
    # A picture may stand in train as well: annotated frames are often copied out of a whole video.
    _refuse_copies({"unlabelled": samples, "val": split.val, "test": split.test})
    return replace(split, unlabelled=samples)


def _test_only(dataset: DataSet) -> tuple[str, ...]:
    table = dataset.layout.table
    return () if table is None else tuple(table.test_only)


def _spread_order(count: int) -> list[int]:
    """Order 0 .. count - 1 so that every beginning of it is spread evenly: the van der Corput sequence."""
    num_bits = max(1, (count - 1).bit_length())
    reversed_bits = (int(f"{number:0{num_bits}b}"[::-1], 2) for number in range(2**num_bits))
    return [number for number in reversed_bits if number < count]


def _find_split(dataset: DataSet, name: str) -> SplitRow:
    row = dataset.layout.splits.get(name)
    if row is None:
        known = ", ".join(dataset.layout.splits)
        raise InputError(
            f"Layout '{dataset.layout.name}' has no split '{name}'",
            where="data.split",
            remedy=f"It has: {known}." if known else "It has none: name groups in data.val and data.test.",
        )
    return row


def _refuse_missing(dataset: DataSet, name: str, row: SplitRow) -> None:
    """Refuse a published split on part of its data: the score would go by its name without being it."""
    needed = [group for part in PARTS if part not in row.optional for group in getattr(row, part)]
    missing = [group for group in needed if group not in dataset.groups]
    if missing:
        raise InputError(
            f"Split '{name}' needs groups that are not here: {', '.join(missing)}",
            where=dataset.root,
            remedy="Complete the data set, or name groups you have in data.train, data.val, data.test.",
        )


def _by_groups(
    dataset: DataSet,
    train: Sequence[str],
    val: Sequence[str],
    test: Sequence[str],
    *,
    shares_recordings: bool = False,
    apart: Sequence[str] = (),
) -> Split:
    kept_apart = _test_only(dataset)
    _refuse_training_on(kept_apart, (*train, *val), dataset)
    held_out = {*val, *test, *kept_apart, *apart}
    groups = {
        "train": tuple(train) or tuple(name for name in dataset.groups if name not in held_out),
        "val": tuple(val),
        "test": tuple(test),
    }
    _refuse_shared_groups(dataset, groups)
    if not shares_recordings:
        _refuse_shared_recordings(dataset, groups)
    parts = {name: _masked(dataset.in_groups(names)) for name, names in groups.items()}
    if not parts["train"]:
        raise InputError(
            "No training frame with a mask is left",
            where=dataset.root,
            remedy=f"Groups here: {', '.join(dataset.groups)}. Name others in data.train.",
        )
    _refuse_copies(parts)
    maskless = _maskless(dataset.in_groups(groups["train"]))
    return Split(parts["train"], parts["val"], parts["test"], maskless=maskless)


def _masked(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    return tuple(sample for sample in samples if sample.mask_path is not None)


def _maskless(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    return tuple(sample for sample in samples if sample.mask_path is None)


def _by_lists(dataset: DataSet, row: SplitRow) -> Split:
    """Divide by text files that name a frame a line; frames in none of them are left out."""
    by_name = _by_name(dataset)
    parts: dict[str, tuple[Sample, ...]] = dict.fromkeys(PARTS, ())
    taken: dict[str, str] = {}
    for part, file in row.lists.items():
        path = _find_list(dataset, file)
        samples = tuple(by_name[name] for name in _read_list(path, by_name.keys()))
        for sample in samples:
            if taken.setdefault(sample.sample_id, part) != part:
                raise LeakageError(
                    f"{sample.sample_id} stands in both {taken[sample.sample_id]} and {part}", where=path
                )
        parts[part] = samples
    masked = {part: _masked(samples) for part, samples in parts.items()}
    _refuse_copies(masked)
    return Split(
        masked["train"], masked["val"], masked["test"], row.caution, maskless=_maskless(parts["train"])
    )


def _by_name(dataset: DataSet) -> dict[str, Sample]:
    """Find samples by their whole name, or by its last part where no other sample has that."""
    last = Counter(PurePosixPath(sample.sample_id).name for sample in dataset.samples)
    short = ((PurePosixPath(sample.sample_id).name, sample) for sample in dataset.samples)
    return {
        **{name: sample for name, sample in short if last[name] == 1},
        **{sample.sample_id: sample for sample in dataset.samples},
    }


def _find_list(dataset: DataSet, name: str) -> Path:
    table = dataset.layout.table
    found = [] if table is None else find_files(list_files(dataset.root), table, name)
    if not found:
        raise InputError(f"The split's list {name} is missing", where=dataset.root, remedy="Copy it there.")
    return found[0]


def _read_list(path: Path, known: Collection[str]) -> list[str]:
    """Read the names of a list, without the suffixes some copies give them."""
    lines = (line.strip() for line in path.read_text("utf-8-sig").splitlines())
    names = [_without_suffix(line.replace("\\", "/")) for line in lines if line]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(
            f"{len(unknown)} frames of the list are not here, such as {', '.join(unknown[:5])}",
            where=path,
            remedy="Complete the data set.",
        )
    return list(dict.fromkeys(names))


def _without_suffix(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in IMAGE_SUFFIXES else name


def _refuse_training_on(kept_apart: Sequence[str], groups: Sequence[str], dataset: DataSet) -> None:
    """Refuse to train or select a model on what the data set's own rules keep for the test."""
    shared = sorted(set(kept_apart) & set(groups))
    if shared:
        raise LeakageError(
            f"{', '.join(shared)} may only be tested on, by the rules of '{dataset.layout.name}'",
            where=dataset.root,
            remedy="Train and validate on other groups.",
        )


def _refuse_shared_groups(dataset: DataSet, groups: dict[str, tuple[str, ...]]) -> None:
    for (name, members), (other, others) in combinations(groups.items(), 2):
        shared = sorted(set(members) & set(others))
        if shared:
            raise LeakageError(f"{', '.join(shared)} stand in both {name} and {other}", where=dataset.root)


def _refuse_shared_recordings(dataset: DataSet, groups: dict[str, tuple[str, ...]]) -> None:
    for (name, members), (other, others) in combinations(groups.items(), 2):
        for recording in dataset.layout.same_recording:
            here, there = recording & set(members), recording & set(others)
            if here and there:
                sides = f"{', '.join(sorted(here))} ({name}) and {', '.join(sorted(there))} ({other})"
                raise LeakageError(
                    f"{sides} are one recording",
                    where=dataset.root,
                    remedy="Keep them in one part: neighbouring frames in both make the score too good.",
                )


def _refuse_copies(parts: dict[str, tuple[Sample, ...]]) -> None:
    """Refuse the same picture in two parts, under whatever name.

    Files of different sizes differ, so only those that share a size are digested: a stat a file is the
    cost on a clean data set.
    """
    by_size: defaultdict[int, list[tuple[str, Path]]] = defaultdict(list)
    for part, samples in parts.items():
        for sample in samples:
            by_size[sample.image_path.stat().st_size].append((part, sample.image_path))
    for files in by_size.values():
        if len({part for part, _ in files}) < 2:
            continue
        seen: dict[str, tuple[str, Path]] = {}
        for part, path in files:
            digest = atomic.sha256_file(path)
            first_part, first_path = seen.setdefault(digest, (part, path))
            if first_part != part:
                raise LeakageError(
                    f"The same picture stands in {first_part} ({first_path}) and in {part}",
                    where=path,
                    remedy="Remove one copy.",
                )
