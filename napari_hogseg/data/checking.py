"""Checking a data set: everything counted, and every problem in one report. Never stops at the first.

What the report holds stands in `check_report`; how a terminal shows it is the command line's part. Writes
nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.data import strays
from napari_hogseg.data.check_report import CheckReport, ClassShare, Kind, Problem, SplitCount
from napari_hogseg.data.layouts import LAYOUTS, open_dataset
from napari_hogseg.data.recognition import recognise
from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.data.splits import PARTS, split_samples
from napari_hogseg.data.tree_scan import list_files
from napari_hogseg.data.tree_words import expected_trees
from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt

    from napari_hogseg.data.layouts import DataSet, Sample
    from napari_hogseg.data.recognition import Candidate
    from napari_hogseg.data.tree_scan import Listing

NUM_THREADS = 4
"""Decoding waits for the disk; more than this only fights over it."""

QUICK_PER_GROUP = 3
IGNORED = "(ignored)"


def check_dataset(
    root: Path | str,
    layout: str = "auto",
    *,
    quick: bool = False,
    on_frame: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Look at every frame and mask of a data set and report everything that is wrong.

    Parameters
    ----------
    root : path
    layout : str
        As for `open_dataset`. Where 'auto' finds several that fit, the first is checked and the report says
        so.
    quick : bool
        Decode only the first, middle and last frame with a mask of each group; all are counted.
    on_frame : callable, optional
        Called with the number of frames read and of frames to read.

    Returns
    -------
    CheckReport
        Also for a folder that is no data set: it then says what was expected.

    Raises
    ------
    InputError
        If there is no such folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError("No such folder", where=root, remedy="Check the path.")
    try:
        candidates = recognise(root) if layout == "auto" else ()
        dataset, unclear = _open(root, layout, candidates)
        listing = list_files(root)
    except InputError as error:
        return _nothing_to_check(root, layout, error)
    samples = _few_per_group(dataset) if quick else dataset.samples
    tally = _Tally(dataset)
    for count, result in enumerate(_read_all(dataset, samples), start=1):
        tally.add(result)
        if on_frame is not None:
            on_frame(count, len(samples))
    splits = tuple(_count_split(dataset, name) for name in dataset.layout.splits)
    problems = (
        *unclear,
        *tally.problems,
        *_strays(dataset, listing),
        *_frames_without_mask(dataset),
        *(Problem(Kind.SPLIT_UNUSABLE, row.unusable, row.name, row.remedy) for row in splits if row.unusable),
        *tally.absent_classes(),
    )
    report = _report(dataset, tally, splits, problems)
    return replace(report, candidates=candidates, is_quick=quick)


def _report(
    dataset: DataSet, tally: _Tally, splits: tuple[SplitCount, ...], problems: tuple[Problem, ...]
) -> CheckReport:
    order, table = list(Kind), dataset.layout.table
    return CheckReport(
        dataset.root,
        layout=dataset.layout.name,
        title=table.title if table else f"Plain folders, classes of '{dataset.scheme.name}'",
        protocol=dataset.layout.protocol,
        note=table.note if table else "",
        num_frames=len(dataset.samples),
        num_masks=sum(sample.mask_path is not None for sample in dataset.samples),
        num_groups=len(dataset.groups),
        num_frames_read=tally.num_frames,
        num_masks_read=tally.num_masks,
        sizes=dict(tally.sizes.most_common()),
        classes=tally.class_shares(),
        splits=splits,
        problems=tuple(sorted(problems, key=lambda problem: order.index(problem.kind))),
    )


def _nothing_to_check(root: Path, layout: str, error: InputError) -> CheckReport:
    """Report a folder that cannot be opened: what it may be, and what was expected."""
    try:
        candidates = recognise(root)
    except InputError:
        candidates = ()
    expected = expected_trees(LAYOUTS[layout].table) if layout in LAYOUTS else ()
    remedy = f"Expected {', or '.join(expected)}. {error.remedy}" if expected else error.remedy
    problem = Problem(Kind.NO_DATASET, error.what, _below(error.where, root), remedy)
    return CheckReport(root, candidates=candidates, problems=(problem,))


def _strays(dataset: DataSet, listing: Listing) -> Iterator[Problem]:
    root = dataset.root
    for path in strays.masks_without_frame(dataset, listing):
        yield Problem(
            Kind.MASK_WITHOUT_FRAME,
            "No frame has this mask",
            _below(path, root),
            "Copy its frame again, or remove it.",
        )
    for folder in strays.empty_folders(listing):
        yield Problem(
            Kind.EMPTY_GROUP, "The folder is empty", folder, "Copy it again if something should lie there."
        )
    for path in strays.mac_files(listing):
        yield Problem(Kind.MAC_FILE, "Not a picture", _below(path, root), "It does no harm.")


def _open(root: Path, layout: str, candidates: tuple[Candidate, ...]) -> tuple[DataSet, tuple[Problem, ...]]:
    """Open it; of several layouts that fit take the first, and say so."""
    try:
        return open_dataset(root, layout), ()
    except InputError as error:
        if not candidates or candidates[0].name not in LAYOUTS:
            raise
        first = candidates[0].name
        note = Problem(
            Kind.SEVERAL_LAYOUTS, error.what, remedy=f"Checked as {first}; name another with --layout."
        )
        return open_dataset(root, first), (note,)


def _few_per_group(dataset: DataSet) -> tuple[Sample, ...]:
    chosen: list[Sample] = []
    for group in dataset.groups:
        samples = dataset.in_groups((group,))
        masked = [sample for sample in samples if sample.mask_path is not None] or list(samples)
        places = np.linspace(0, len(masked) - 1, min(QUICK_PER_GROUP, len(masked))).round().astype(int)
        chosen += [masked[place] for place in places]
    return tuple(chosen)


@dataclass(frozen=True)
class _Read:
    """What reading one sample gave; digest is empty where the frame is one plain colour or unreadable."""

    sample: Sample
    size: str = ""
    digest: bytes = b""
    counts: npt.NDArray[np.int64] | None = None
    problems: tuple[Problem, ...] = ()


def _read_all(dataset: DataSet, samples: Iterable[Sample]) -> Iterator[_Read]:
    """Read samples in a few threads, in their order; ends at once where the caller stops listening."""
    num_threads = min(NUM_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(num_threads, thread_name_prefix="check") as pool:
        waiting = [pool.submit(_read, dataset, sample) for sample in samples]
        try:
            for future in waiting:
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _read(dataset: DataSet, sample: Sample) -> _Read:
    problems: list[Problem] = []
    frame: npt.NDArray[np.uint8] | None = None
    mask: npt.NDArray[np.uint8] | None = None
    try:
        frame = dataset.read_frame(sample)
    except InputError as error:
        problems.append(_problem(Kind.UNREADABLE_FRAME, error, dataset.root))
    if sample.mask_path is not None:
        try:
            mask = dataset.read_mask(sample)
        except InputError as error:
            problems.append(_problem(_kind_of_mask_error(sample), error, dataset.root))
    if frame is not None and mask is not None and frame.shape[:2] != mask.shape:
        what = f"The mask is {_size(mask)} but its frame is {_size(frame)}"
        remedy = "Export the mask at the frame's size; masks are never rescaled in silence."
        problems.append(
            Problem(
                Kind.SIZE_MISMATCH, what, _below(sample.mask_path or sample.image_path, dataset.root), remedy
            )
        )
    return _Read(
        sample,
        size="" if frame is None else _size(frame),
        digest=b"" if frame is None else _digest(frame),
        counts=None if mask is None else np.bincount(mask.ravel(), minlength=256),
        problems=tuple(problems),
    )


def _size(picture: npt.NDArray[np.uint8]) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"


def _digest(frame: npt.NDArray[np.uint8]) -> bytes:
    """Digest the pixels, so that a copy saved anew is found too; black frames are alike in every video."""
    if frame.min() == frame.max():
        return b""
    return hashlib.blake2b(np.ascontiguousarray(frame).data, digest_size=16).digest()


def _kind_of_mask_error(sample: Sample) -> Kind:
    paths = sample.layer_paths or ((sample.mask_path,) if sample.mask_path else ())
    return Kind.UNKNOWN_VALUES if all(map(_decodes, paths)) else Kind.UNREADABLE_MASK


def _decodes(path: Path) -> bool:
    """Tell a file that holds the wrong thing from one that holds nothing."""
    for read in (images.read_mask, images.read_image):
        try:
            read(path)
        except InputError:
            continue
        return True
    return False


class _Tally:
    """Sums up what was read."""

    def __init__(self, dataset: DataSet) -> None:
        self._dataset = dataset
        self._pixels = np.zeros(256, np.int64)
        self._frames = np.zeros(256, np.int64)
        self._first_with: dict[bytes, Sample] = {}
        self.sizes: Counter[str] = Counter()
        self.num_frames = 0
        self.num_masks = 0
        self.problems: list[Problem] = []

    def add(self, read: _Read) -> None:
        """Count one sample in."""
        self.problems += read.problems
        if read.size:
            self.num_frames += 1
            self.sizes[read.size] += 1
        if read.counts is not None:
            self.num_masks += 1
            self._pixels += read.counts
            self._frames += read.counts > 0
        if read.digest:
            self._compare(read.sample, self._first_with.setdefault(read.digest, read.sample))

    def _compare(self, sample: Sample, first: Sample) -> None:
        groups = {sample.group, first.group}
        together = any(groups <= recording for recording in self._dataset.layout.same_recording)
        if len(groups) == 1 or together:
            return
        root = self._dataset.root
        what = f"The same picture as {_frame_place(first, root)} of group {first.group}"
        remedy = "Remove one: a split between the groups would leak."
        self.problems.append(Problem(Kind.SAME_PICTURE, what, _frame_place(sample, root), remedy))

    def class_shares(self) -> tuple[ClassShare, ...]:
        """Pixels, share and frames of each class and of the ignored."""
        total = max(1, int(self._pixels.sum()))
        rows = [*enumerate(self._dataset.scheme.classes), (IGNORE, IGNORED)]
        return tuple(
            ClassShare(name, int(self._pixels[i]), int(self._pixels[i]) / total, int(self._frames[i]))
            for i, name in rows
        )

    def absent_classes(self) -> Iterator[Problem]:
        """Yield the classes that no mask holds; nothing where no mask was read."""
        for class_id, name in enumerate(self._dataset.scheme.classes):
            if self.num_masks and not self._frames[class_id]:
                what = f"None of the {self.num_masks} masks that were read holds '{name}'"
                yield Problem(Kind.ABSENT_CLASS, what, name, "Its scores will be absent.")


def _frames_without_mask(dataset: DataSet) -> Iterator[Problem]:
    masked = {sample.group for sample in dataset.samples if sample.mask_path is not None}
    for group in dataset.groups:
        if group not in masked:
            yield Problem(
                Kind.EMPTY_GROUP, "No frame of this group has a mask", group, "It is never trained on."
            )
    for sample in dataset.samples:
        if sample.mask_path is None:
            yield Problem(
                Kind.FRAME_WITHOUT_MASK,
                "Neither trained on nor scored",
                _below(sample.image_path, dataset.root),
                "Copy or paint its mask if it should be.",
            )


def _count_split(dataset: DataSet, name: str) -> SplitCount:
    caution = dataset.layout.splits[name].caution
    try:
        split = split_samples(dataset, split=name)
    except InputError as error:
        return SplitCount(name, {}, caution, error.what, error.remedy)
    return SplitCount(name, {part: len(split.part(part)) for part in PARTS}, caution)


def _problem(kind: Kind, error: InputError, root: Path) -> Problem:
    where = "" if error.where is None else _below(error.where, root)
    return Problem(kind, error.what, where, error.remedy)


def _frame_place(sample: Sample, root: Path) -> str:
    place = _below(sample.image_path, root)
    return place if sample.frame_index is None else f"{place}, frame {sample.frame_index}"


def _below(where: object, root: Path) -> str:
    """Write a file as it lies below the root; anything else as it is."""
    if isinstance(where, Path) and where != root and where.is_relative_to(root):
        return where.relative_to(root).as_posix()
    return str(where)
