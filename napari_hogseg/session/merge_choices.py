"""Another reviewer's session taken into the one that is open, conflict by conflict as a person chose.

Unlike `merge`, which makes a third session, this one paints into the open one. What stood there before is
kept first, in `set-aside/`, and can be put back.

Legend: H rows, W columns; mine is the open session, theirs the other, truth is what both began with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io import atomic, images
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.identity import SESSION_FILE, check_same_clip
from napari_hogseg.session.journal import free_name
from napari_hogseg.session.ledger import LEDGER_FILE, read_ledger
from napari_hogseg.session.mask_folder import MASKS, SET_ASIDE, MaskFolder
from napari_hogseg.session.merge import list_conflicts, merge_masks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from napari_hogseg.session.annotations import AnnotationStore
    from napari_hogseg.session.identity import SessionIdentity
    from napari_hogseg.session.merge import Conflict

    Mask = npt.NDArray[np.uint8]
    Truth = Callable[[int], Mask | None]
    Progress = Callable[[int, int], bool]

Choice = Literal["mine", "theirs"]
MERGED = "merged"
MERGE, UNDO = "merge", "undo"


@dataclass(frozen=True)
class Comparison:
    """What a merge would do.

    Attributes
    ----------
    theirs : Path
        The other session's folder.
    author : str
        Who signed it last; empty where nobody did.
    conflicts : tuple of Conflict
        To be decided; `a` is mine, `b` theirs. By frame, largest first.
    num_frames : int
        Frames that the other one corrected.
    num_taken_px : int
        Pixels that only they changed: these come without a question.
    locked : tuple of int
        Frames left out, because the mask here cannot be read.
    """

    theirs: Path
    author: str
    conflicts: tuple[Conflict, ...]
    num_frames: int
    num_taken_px: int
    locked: tuple[int, ...]


@dataclass(frozen=True)
class Merged:
    """What a merge changed, to be able to take it back.

    Attributes
    ----------
    folder : Path
        Holds `masks/` as they were before and `merged/` as they were painted.
    frame_indices : tuple of int
    """

    folder: Path
    frame_indices: tuple[int, ...]


def compare(
    mine: AnnotationStore, theirs: Path, truth: Truth | None, progress: Progress | None = None
) -> Comparison | None:
    """List what two reviewers disagree on; changes nothing.

    Parameters
    ----------
    mine : AnnotationStore
    theirs : Path
        Session folder of the same clip. What it holds in its journal alone counts too.
    truth : callable, optional
        `truth(frame_index) -> (H, W) uint8` that both began with, or None where there is none.
    progress : callable, optional
        `progress(done, total)`; False stops, and None is returned.

    Raises
    ------
    InputError
        If the folder is no session of this clip, is the open one, or has masks that cannot be read.
    """
    side = _open(mine, theirs)
    conflicts: list[Conflict] = []
    num_taken, locked = 0, []
    frames = sorted(side.edited_at_open)
    for done, frame_index in enumerate(frames):
        if progress is not None and not progress(done, len(frames)):
            return None
        if mine.problem(frame_index) is not None:
            locked.append(frame_index)
            continue
        ours, other, start = _masks(mine, side, truth, frame_index)
        merged, conflicting = merge_masks(ours, other, start, "a")
        num_taken += int(np.count_nonzero(merged != ours))
        conflicts += list_conflicts(ours, other, conflicting, frame_index, mine.identity)
    return Comparison(theirs, _author(theirs), tuple(conflicts), len(frames), num_taken, tuple(locked))


def take_over(
    mine: AnnotationStore,
    theirs: Path,
    truth: Truth | None,
    choices: Mapping[Conflict, Choice],
    progress: Progress | None = None,
) -> Merged | None:
    """Paint the merge into the open session; what stood there is kept first.

    A conflict that is not among the choices stays mine. With a stop half-way, what is painted stays painted
    and can be taken back.

    Returns
    -------
    Merged or None
        None if nothing changed.

    Raises
    ------
    InputError
        As `compare` does, or if nothing can be painted here.
    OSError
        If the disk refuses; frames until then are painted.
    """
    if mine.read_only is not None:
        raise InputError(mine.read_only.what, where=mine.read_only.where, remedy=mine.read_only.remedy)
    side = _open(mine, theirs)
    folder = free_name(mine.folder / SET_ASIDE / "before-merge")
    changed = []
    frames = sorted(side.edited_at_open)
    for done, frame_index in enumerate(frames):
        if progress is not None and not progress(done, len(frames)):
            break
        if mine.problem(frame_index) is not None:
            continue
        ours, other, start = _masks(mine, side, truth, frame_index)
        merged, conflicting = merge_masks(ours, other, start, "a")
        for before, after in _chosen(choices, frame_index, mine.identity):
            here = conflicting & (ours == before) & (other == after)
            merged[here] = other[here]
        if np.array_equal(merged, ours):
            continue
        _keep(folder, mine.identity, frame_index, ours, merged)
        here = merged != ours  # not the rest: somebody may paint meanwhile
        with mine.acting(MERGE):
            mine.paint(frame_index, here, merged[here])
        changed.append(frame_index)
    return Merged(folder, tuple(changed)) if changed else None


def take_back(mine: AnnotationStore, merged: Merged) -> int:
    """Undo a merge where nobody painted since; count the pixels.

    Raises
    ------
    InputError
        If a mask that was kept cannot be read, or nothing can be painted here.
    """
    num_pixels = 0
    for frame_index in merged.frame_indices:
        name = f"{mine.identity.frame_names[frame_index]}.png"
        before = images.read_mask(merged.folder / MASKS / name).astype(np.uint8)
        after = images.read_mask(merged.folder / MERGED / name).astype(np.uint8)
        here = (before != after) & (mine.mask(frame_index) == after)
        if here.any():
            with mine.acting(UNDO):
                mine.paint(frame_index, here, before[here])
        num_pixels += int(np.count_nonzero(here))
    return num_pixels


def both_masks(
    mine: AnnotationStore, theirs: Path, truth: Truth | None, frame_index: int
) -> tuple[Mask, Mask]:
    """Read one frame's mask as it is here and in the other session, (H, W) each; changes nothing.

    Raises
    ------
    InputError
        As `compare` does.
    """
    ours, other, _ = _masks(mine, _open(mine, theirs), truth, frame_index)
    return ours, other


def _open(mine: AnnotationStore, theirs: Path) -> MaskFolder:
    check_same_clip(theirs / SESSION_FILE, mine.identity.to_table())
    if theirs.resolve() == mine.folder.resolve():
        raise InputError(
            "This is the session that is open", where=theirs, remedy="Choose another reviewer's folder."
        )
    return MaskFolder(theirs, mine.identity, read_only=True)


def _masks(
    mine: AnnotationStore, side: MaskFolder, truth: Truth | None, frame_index: int
) -> tuple[Mask, Mask, Mask]:
    """Read one frame's mask: mine, theirs, and the truth."""
    ours, other = mine.mask(frame_index), side.read(frame_index)
    if frame_index in side.conflicts:
        raise side.conflicts[frame_index].error
    before = None if truth is None else truth(frame_index)
    start = np.full_like(ours, IGNORE) if before is None else before
    return ours, start if other is None else other, start


def _chosen(
    choices: Mapping[Conflict, Choice], frame_index: int, identity: SessionIdentity
) -> Iterator[tuple[int, int]]:
    """Pairs of class ids, mine and theirs, whose pixels are to be theirs on this frame."""
    ids = {name: class_id for class_id, name in enumerate(identity.scheme.classes)}
    for conflict, choice in choices.items():
        if conflict.frame_index == frame_index and choice == "theirs":
            yield ids.get(conflict.a, IGNORE), ids.get(conflict.b, IGNORE)


def _keep(folder: Path, identity: SessionIdentity, frame_index: int, before: Mask, after: Mask) -> None:
    for name, mask in ((MASKS, before), (MERGED, after)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        path = folder / name / f"{identity.frame_names[frame_index]}.png"
        images.write_mask(path, mask, identity.scheme.colors)
    if not (folder / SESSION_FILE).exists():  # it is a session too: it can be merged back by hand
        source = folder.parent.parent / SESSION_FILE
        atomic.write_text(folder / SESSION_FILE, source.read_text("utf-8"))


def _author(theirs: Path) -> str:
    entries, _ = read_ledger(theirs / LEDGER_FILE)
    return next((entry.author for entry in reversed(entries) if entry.author), "")
