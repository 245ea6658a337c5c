"""Two reviewers' sessions of one clip made into one: what both agree on is taken, what they do not is listed.

Reads both session folders and the ground truth, writes a third folder. As a command:
`python -m napari_hogseg.session.merge A B --out OUT [--clip CLIP] [--masks FOLDER] [--prefer a|b|none]`.

Legend: H rows, W columns; a and b are the reviewers, truth is what both began with.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import tomli_w

from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io import atomic, images
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.identity import SESSION_FILE, check_same_clip
from napari_hogseg.session.journal import free_name
from napari_hogseg.session.ledger import LEDGER_FILE, read_ledger
from napari_hogseg.session.mask_folder import MASKS, MaskFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from napari_hogseg.session.identity import SessionIdentity

    Mask = npt.NDArray[np.uint8]
    Truth = Callable[[int], Mask | None]

Prefer = Literal["a", "b", "none"]
REPORT_FILE = "merge.json"


@dataclass(frozen=True)
class Conflict:
    """Pixels of one frame that both reviewers changed, each to another class.

    Attributes
    ----------
    frame : str
        Name of the frame.
    frame_index : int
    a, b : str
        Class that each gave them; 'unlabelled' for 255.
    pixels : int
    bbox : tuple of int
        First row, first column, last row, last column, inclusive.
    """

    frame: str
    frame_index: int
    a: str
    b: str
    pixels: int
    bbox: tuple[int, int, int, int]


@dataclass(frozen=True)
class Agreement:
    """How far two reviewers agree on a class, over the frames that both corrected.

    Attributes
    ----------
    name : str
    iou : float or None
        Intersection over union of their pixels; None where neither used the class.
    kappa : float or None
        Cohen's kappa of "this class or not"; None where chance alone decides.
    pixels_a, pixels_b : int
    """

    name: str
    iou: float | None
    kappa: float | None
    pixels_a: int
    pixels_b: int


@dataclass(frozen=True)
class MergeReport:
    """What a merge did.

    Attributes
    ----------
    a, b, out : str
        The folders.
    prefer : {"a", "b", "none"}
        Whose pixels were taken where they conflict; "none": 255.
    only_a, only_b : tuple of str
        Names of the frames that one reviewer alone corrected.
    identical, merged : tuple of str
        Frames that both corrected, to the same mask and to different ones.
    conflicts : tuple of Conflict
        By frame, largest first.
    agreement : tuple of Agreement
        By class, of the frames that both corrected.
    kappa : float or None
        Cohen's kappa over all classes at once.
    """

    a: str
    b: str
    out: str
    prefer: Prefer
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    identical: tuple[str, ...]
    merged: tuple[str, ...]
    conflicts: tuple[Conflict, ...]
    agreement: tuple[Agreement, ...]
    kappa: float | None

    def __str__(self) -> str:
        lines = [
            f"{len(self.only_a)} frames of A alone, {len(self.only_b)} of B alone, {len(self.identical)} by "
            f"both alike, {len(self.merged)} by both differently",
            "No conflicts" if not self.conflicts else f"{len(self.conflicts)} conflicts:",
        ]
        lines += [
            f"  {c.frame}: {c.pixels} pixels are {c.a} to A, {c.b} to B, rows {c.bbox[0]}-{c.bbox[2]}, "
            f"columns {c.bbox[1]}-{c.bbox[3]}"
            for c in self.conflicts
        ]
        if self.agreement:
            lines.append(f"Agreement on frames both corrected: kappa {_number(self.kappa)}")
            lines += [
                f"  {one.name}: IoU {_number(one.iou)}, kappa {_number(one.kappa)}" for one in self.agreement
            ]
        return "\n".join(lines)

    def to_json(self) -> str:
        """Write all of it as JSON."""
        return json.dumps(asdict(self), indent=1)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


@dataclass
class _Tally:
    only: dict[str, list[str]] = field(default_factory=lambda: {"a": [], "b": []})
    identical: list[str] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((256, 256), np.int64))


def merge_sessions(
    a: Path, b: Path, out: Path, identity: SessionIdentity, truth: Truth, *, prefer: Prefer = "none"
) -> MergeReport:
    """Merge two sessions of one clip into a new session folder; both are left as they are.

    Parameters
    ----------
    a, b : Path
        Session folders. What one holds in its journal alone counts too.
    out : Path
        Made; must not exist or be empty.
    identity : SessionIdentity
        Of the clip: both folders must agree with it.
    truth : callable
        `truth(frame_index) -> (H, W) uint8` that both began with, or None; may raise InputError.
    prefer : {"a", "b", "none"}
        Whose pixels to take where both changed them differently; "none" leaves them 255, to be looked at.

    Raises
    ------
    InputError
        If a folder is no session of this clip, has masks that cannot be read or conflicts of its own, or
        `out` is not empty.
    OSError
        If the disk refuses; there is no `out` then.
    """
    for folder in (a, b):
        check_same_clip(folder / SESSION_FILE, identity.to_table())
    if out.resolve() in (a.resolve(), b.resolve()) or (out.exists() and any(out.iterdir())):
        raise InputError("The folder to merge into is in use", where=out, remedy="Name a new folder.")
    sides = {"a": MaskFolder(a, identity, read_only=True), "b": MaskFolder(b, identity, read_only=True)}
    partial = free_name(out.with_name(f".{out.name}.merging"))
    (partial / MASKS).mkdir(parents=True)
    try:
        tally = _Tally()
        for frame_index, mask in _merged_frames(sides, truth, prefer, tally):
            path = partial / MASKS / f"{identity.frame_names[frame_index]}.png"
            images.write_mask(path, mask, identity.scheme.colors)
        report = _report(a, b, out, prefer, tally, identity.scheme.classes)
        _write_rest(partial, report, identity, (a, b))
        if out.exists():
            out.rmdir()
        atomic.publish_folder(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return report


def _merged_frames(
    sides: dict[str, MaskFolder], truth: Truth, prefer: Prefer, tally: _Tally
) -> Iterator[tuple[int, Mask]]:
    identity = sides["a"].identity
    for frame_index in sorted(sides["a"].edited_at_open | sides["b"].edited_at_open):
        masks = {key: _read(side, frame_index) for key, side in sides.items()}
        ours, theirs = masks["a"], masks["b"]
        name = identity.frame_names[frame_index]
        if ours is None or theirs is None:
            key, mask = ("a", ours) if ours is not None else ("b", theirs)
            if mask is not None:
                tally.only[key].append(name)
                yield frame_index, mask
            continue
        tally.counts += _pair_counts(ours, theirs)
        if np.array_equal(ours, theirs):
            tally.identical.append(name)
            yield frame_index, ours
            continue
        tally.merged.append(name)
        before = truth(frame_index)
        start = np.full_like(ours, IGNORE) if before is None else before
        mask, conflicting = merge_masks(ours, theirs, start, prefer)
        tally.conflicts += list_conflicts(ours, theirs, conflicting, frame_index, identity)
        yield frame_index, mask


def _read(side: MaskFolder, frame_index: int) -> Mask | None:
    if frame_index not in side.edited_at_open:
        return None
    mask = side.read(frame_index)
    if frame_index in side.conflicts:
        raise side.conflicts[frame_index].error
    return mask


def merge_masks(a_HW: Mask, b_HW: Mask, truth_HW: Mask, prefer: Prefer) -> tuple[Mask, npt.NDArray[np.bool_]]:
    """Merge two corrections of one mask, pixel by pixel.

    Parameters
    ----------
    a_HW, b_HW, truth_HW : (H, W) uint8 ndarray
    prefer : {"a", "b", "none"}

    Returns
    -------
    merged : (H, W) uint8 ndarray
        A pixel that one changed is as that one left it; one that both changed alike is so; where they differ
        it is `prefer`'s, or 255.
    conflicting : (H, W) bool ndarray
        Where both changed it, differently.
    """
    changed_a, changed_b = a_HW != truth_HW, b_HW != truth_HW
    conflicting = changed_a & changed_b & (a_HW != b_HW)
    merged = np.where(changed_a, a_HW, b_HW)
    if prefer == "b":
        merged[conflicting] = b_HW[conflicting]
    elif prefer == "none":
        merged[conflicting] = IGNORE
    return merged, conflicting


def list_conflicts(
    a_HW: Mask, b_HW: Mask, conflicting_HW: npt.NDArray[np.bool_], frame_index: int, identity: SessionIdentity
) -> list[Conflict]:
    """List conflicting pixels by pair of classes, most pixels first."""
    rows, columns = np.nonzero(conflicting_HW)
    pairs = a_HW[rows, columns].astype(np.intp) * 256 + b_HW[rows, columns]
    found = []
    for pair in np.unique(pairs):
        here = pairs == pair
        bbox = (
            int(rows[here].min()),
            int(columns[here].min()),
            int(rows[here].max()),
            int(columns[here].max()),
        )
        to_a, to_b = (_class_name(int(value), identity.scheme.classes) for value in divmod(int(pair), 256))
        name = identity.frame_names[frame_index]
        found.append(Conflict(name, frame_index, to_a, to_b, int(here.sum()), bbox))
    return sorted(found, key=lambda conflict: -conflict.pixels)


def _class_name(value: int, classes: Sequence[str]) -> str:
    return "unlabelled" if value == IGNORE else classes[value]


def _pair_counts(a_HW: Mask, b_HW: Mask) -> npt.NDArray[np.int64]:
    pairs = (a_HW.astype(np.uint16) << 8) | b_HW
    return np.bincount(pairs.ravel(), minlength=1 << 16).reshape(256, 256).astype(np.int64)


def agreement(
    counts: npt.NDArray[np.int64], classes: Sequence[str]
) -> tuple[tuple[Agreement, ...], float | None]:
    """Score how far two reviewers agree.

    Parameters
    ----------
    counts : (256, 256) int64 ndarray
        Pixels by class to a (rows) and to b (columns). Pixels that either left unlabelled count nowhere.
    classes : sequence of str

    Returns
    -------
    per_class : tuple of Agreement
    kappa : float or None
        Cohen 1960, over all classes.
    """
    num_classes = len(classes)
    table = counts[:num_classes, :num_classes].astype(np.float64)
    total = float(table.sum())
    if not total:
        return (), None
    of_a, of_b = table.sum(axis=1), table.sum(axis=0)
    both = table.diagonal()
    rows = []
    for class_id, name in enumerate(classes):
        union = of_a[class_id] + of_b[class_id] - both[class_id]
        neither = total - union
        agreed = (both[class_id] + neither) / total
        chance = (
            of_a[class_id] * of_b[class_id] + (total - of_a[class_id]) * (total - of_b[class_id])
        ) / total**2
        rows.append(
            Agreement(
                name,
                float(both[class_id] / union) if union else None,
                _kappa(agreed, chance),
                int(of_a[class_id]),
                int(of_b[class_id]),
            )
        )
    return tuple(rows), _kappa(float(both.sum()) / total, float(of_a @ of_b) / total**2)


def _kappa(agreed: float, chance: float) -> float | None:
    return None if chance >= 1.0 else float((agreed - chance) / (1.0 - chance))


def _report(
    a: Path, b: Path, out: Path, prefer: Prefer, tally: _Tally, classes: Sequence[str]
) -> MergeReport:
    per_class, kappa = agreement(tally.counts, classes)
    return MergeReport(
        a=str(a),
        b=str(b),
        out=str(out),
        prefer=prefer,
        only_a=tuple(tally.only["a"]),
        only_b=tuple(tally.only["b"]),
        identical=tuple(tally.identical),
        merged=tuple(tally.merged),
        conflicts=tuple(tally.conflicts),
        agreement=per_class,
        kappa=kappa,
    )


def _write_rest(
    folder: Path, report: MergeReport, identity: SessionIdentity, sessions: tuple[Path, Path]
) -> None:
    entries = [entry for session in sessions for entry in read_ledger(session / LEDGER_FILE)[0]]
    # Numbers of the sessions' own journals mean nothing in a new one.
    lines = [
        entry.model_copy(update={"sequence": 0}).model_dump_json()
        for entry in sorted(entries, key=lambda entry: entry.when)
    ]
    atomic.write_text(folder / LEDGER_FILE, "".join(f"{line}\n" for line in lines))
    atomic.write_text(folder / REPORT_FILE, report.to_json())
    atomic.write_text(folder / SESSION_FILE, tomli_w.dumps(identity.to_table()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Merge from the command line; exit code 0 done, 2 bad input, 3 disk."""
    parser = argparse.ArgumentParser(
        prog="python -m napari_hogseg.session.merge",
        description="Merge two reviewers' sessions of one clip. Both are left as they are.",
    )
    parser.add_argument("a", type=Path, metavar="A", help="session folder")
    parser.add_argument("b", type=Path, metavar="B", help="session folder")
    parser.add_argument("--clip", type=Path, help="the video or image folder, if it is not where A saw it")
    parser.add_argument(
        "--masks", type=Path, help="its masks, if they are neither beside it nor where A saw them"
    )
    parser.add_argument("--out", type=Path, required=True, help="new session folder")
    parser.add_argument(
        "--prefer", choices=("a", "b", "none"), default="none", help="whose pixels count in a conflict"
    )
    options: Any = parser.parse_args(arguments)
    try:
        from napari_hogseg.session.session_clip import open_session_clip  # slow: only the command needs it

        clip = open_session_clip(options.a, options.clip, options.masks)
        try:
            report = merge_sessions(
                options.a,
                options.b,
                options.out,
                clip.identity,
                clip.truth or _no_truth,
                prefer=options.prefer,
            )
        finally:
            clip.source.close()
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    sys.stdout.write(f"{report}\n")
    return 0


def _no_truth(_frame_index: int) -> None:
    """Stand for a clip without ground truth."""


if __name__ == "__main__":
    sys.exit(main())
