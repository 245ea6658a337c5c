"""Dividing a data set's groups into train, val and test, with leakage refused."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_hogseg.data.layouts import DataSet, Sample

PARTS = ("train", "val", "test")


class LeakageError(InputError):
    """Training frames would reach validation or test."""


@dataclass(frozen=True)
class Split:
    """The samples of each part; only samples that have a mask."""

    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]

    def part(self, name: str) -> tuple[Sample, ...]:
        """Return the samples of 'train', 'val' or 'test'."""
        if name not in PARTS:
            raise InputError(f"No such part: '{name}'", where="--split", remedy=f"Parts: {', '.join(PARTS)}.")
        samples: tuple[Sample, ...] = getattr(self, name)
        return samples


def split_samples(
    dataset: DataSet, train: Sequence[str] = (), val: Sequence[str] = (), test: Sequence[str] = ()
) -> Split:
    """Divide by group.

    Parameters
    ----------
    dataset : DataSet
    train, val, test : sequence of str
        Group names. Empty `train`: every group that the other two do not name.

    Returns
    -------
    Split

    Raises
    ------
    LeakageError
        If a group, two groups of one recording, or byte-equal image files stand in two parts.
    InputError
        If a name is no group, or nothing is left to train on.
    """
    held_out = {*val, *test}
    groups = {
        "train": tuple(train) or tuple(name for name in dataset.groups if name not in held_out),
        "val": tuple(val),
        "test": tuple(test),
    }
    _refuse_shared_groups(dataset, groups)
    parts = {
        name: tuple(sample for sample in dataset.in_groups(names) if sample.mask_path is not None)
        for name, names in groups.items()
    }
    if not parts["train"]:
        raise InputError(
            "No training frame with a mask is left",
            where=dataset.root,
            remedy=f"Groups here: {', '.join(dataset.groups)}. Name others in data.train.",
        )
    _refuse_copies(parts)
    return Split(**parts)


def _refuse_shared_groups(dataset: DataSet, groups: dict[str, tuple[str, ...]]) -> None:
    for (name, members), (other, others) in combinations(groups.items(), 2):
        shared = sorted(set(members) & set(others))
        if shared:
            raise LeakageError(f"{', '.join(shared)} stand in both {name} and {other}", where=dataset.root)
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
