"""Choosing frames of a data set in words: `all`, `seq5:2,7,12`, `seq5:0-9;seq6`, or a file of sample ids."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from napari_hogseg.data.layouts import DataSet, Sample

REMEDY = "Write all, GROUP, GROUP:2,7,12 or GROUP:0-9 (0-based, several joined by ;), or a file of ids."


def select_frames(dataset: DataSet, text: str) -> tuple[Sample, ...]:
    """Choose frames.

    Parameters
    ----------
    dataset : DataSet
    text : str
        'all'; or `GROUP`, `GROUP:2,7,12`, `GROUP:0-9` joined by ';', positions 0-based in the group's natural
        order; or the path of a text file with a sample id per line.

    Returns
    -------
    tuple of Sample
        In the order of the data set, each once.

    Raises
    ------
    InputError
        If a group, a position or an id does not exist.
    """
    if text == "all":
        return dataset.samples
    if Path(text).is_file():
        return _listed(dataset, Path(text))
    chosen: set[str] = set()
    for clause in filter(None, (part.strip() for part in text.split(";"))):
        group, _, positions = clause.partition(":")
        members = dataset.in_groups([group.strip()])
        numbers = _numbers(positions, len(members), clause) if positions else range(len(members))
        chosen.update(members[number].sample_id for number in numbers)
    if not chosen:
        raise InputError("No frame is chosen", where="--frames", remedy=REMEDY)
    return tuple(sample for sample in dataset.samples if sample.sample_id in chosen)


def _numbers(text: str, count: int, clause: str) -> list[int]:
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            numbers += range(int(first), int(last if dash else first) + 1)
        except ValueError as error:
            raise InputError(
                f"'{part}' is no frame number in '{clause}'", where="--frames", remedy=REMEDY
            ) from error
    outside = [number for number in numbers if not 0 <= number < count]
    if outside:
        raise InputError(f"{outside} lie outside 0 to {count - 1}", where=f"--frames {clause}", remedy=REMEDY)
    return numbers


def _listed(dataset: DataSet, path: Path) -> tuple[Sample, ...]:
    wanted = {line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()}
    unknown = sorted(wanted - {sample.sample_id for sample in dataset.samples})
    if unknown:
        raise InputError(
            f"No such frames: {', '.join(unknown[:5])}", where=path, remedy=f"Data set: {dataset.root}."
        )
    return tuple(sample for sample in dataset.samples if sample.sample_id in wanted)
