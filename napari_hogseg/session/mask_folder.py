"""Mask files and journal of a session folder as one: what was painted last, and whether a file is still ours.

Owns `masks/`, `journal.bin` and `set-aside/`. A mask file that is not what was last written here is never
replaced in silence: it becomes a conflict, which a person decides. What is in memory is `annotations`' part.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.identity import size_error
from napari_hogseg.session.journal import JOURNAL_FILE, Journal, Kind, free_name, pixel_digest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from napari_hogseg.session.identity import SessionIdentity
    from napari_hogseg.session.journal import FrameHistory

    Mask = npt.NDArray[np.uint8]

MASKS = "masks"
SET_ASIDE = "set-aside"
Side = Literal["ours", "theirs"]


@dataclass(frozen=True)
class MaskConflict:
    """A mask file that is not what this session wrote last.

    Attributes
    ----------
    frame_index : int
    path : Path
    how : {"changed", "damaged", "removed"}
    """

    frame_index: int
    path: Path
    how: Literal["changed", "damaged", "removed"]

    @property
    def error(self) -> InputError:
        """The message for the person."""
        what = {
            "changed": "This mask was changed by another program since it was painted here",
            "damaged": "This mask's file is damaged since it was painted here",
            "removed": "This mask's file was removed since it was painted here",
        }[self.how]
        return InputError(
            f"{what}; the frame is locked until you choose, and neither version is lost",
            where=self.path,
            remedy="Choose the version painted here or the one on disk; the other is set aside.",
        )


@dataclass(frozen=True)
class Restored:
    """What a session that ended without closing had not written to its mask files.

    Attributes
    ----------
    num_strokes : int
        States in the journal behind the mask files.
    frame_indices : tuple of int
    newest_s : float
        When the last of them was painted, seconds since the epoch.
    """

    num_strokes: int
    frame_indices: tuple[int, ...]
    newest_s: float

    def __str__(self) -> str:
        strokes = "1 stroke" if self.num_strokes == 1 else f"{self.num_strokes} strokes"
        number = len(self.frame_indices)
        frames = "1 frame" if number == 1 else f"{number} frames"
        when = datetime.fromtimestamp(self.newest_s).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        return f"Restored {strokes} on {frames} from {when}"


class MaskFolder:
    """The corrected masks of a clip on disk; safe to use from several threads.

    Parameters
    ----------
    folder : Path
        The session folder.
    identity : SessionIdentity
    read_only : bool

    Attributes
    ----------
    journal : Journal
    edited_at_open : set of int
        Frames that had a correction when the folder was opened, those to be restored included.
    restored : Restored or None
    conflicts : dict of int to MaskConflict

    Raises
    ------
    InputError, OSError
    """

    def __init__(self, folder: Path, identity: SessionIdentity, *, read_only: bool) -> None:
        self.folder, self.identity, self.read_only = folder, identity, read_only
        self._lock = threading.RLock()
        self._seen: dict[int, tuple[int, int]] = {}
        self.conflicts: dict[int, MaskConflict] = {}
        shape = (identity.num_frames, identity.height, identity.width)
        self.journal = Journal(folder / JOURNAL_FILE, shape, identity.scheme.classes, read_only=read_only)
        files = {entry.stem for entry in (folder / MASKS).glob("*.png")}
        with_file = {index for index, name in enumerate(identity.frame_names) if name in files}
        frames = self.journal.frames
        pending = {index for index, history in frames.items() if history.settled is None}
        kept = {index for index, history in frames.items() if history.settled is Kind.COMMITTED}
        self.edited_at_open = with_file | pending | kept
        self.restored = self._describe_pending(pending)

    def path(self, frame_index: int) -> Path:
        """Where a frame's mask file lies."""
        return self.folder / MASKS / f"{self.identity.frame_names[frame_index]}.png"

    # --- reading ----------------------------------------------------------------------------------

    def read(self, frame_index: int) -> Mask | None:
        """Read a correction, (H, W) uint8; None if there is none (any more).

        A mask file that is not ours becomes a conflict: ours is handed back then, and the conflict noted.

        Raises
        ------
        InputError
            If there is no readable version.
        """
        # Without the lock: whoever waits for a picture must not wait for another frame's commit too.
        history = self.journal.frames.get(frame_index)
        if history is None:
            return self._adopt(frame_index)
        if history.settled is None:
            return self.journal.read(history.newest)
        found, how = self._compare(frame_index, history)
        if how is None:
            return found
        with self._lock:
            found, how = self._compare(frame_index, history)  # a commit may have come in between
            if how is None:
                return found
            self.conflicts[frame_index] = MaskConflict(frame_index, self.path(frame_index), how)
            return self.journal.read(history.newest)

    def newest(self, frame_index: int) -> Mask:
        """Read the newest journalled state of a frame, (H, W) uint8."""
        return self.journal.read(self.journal.frames[frame_index].newest)

    def _adopt(self, frame_index: int) -> Mask | None:
        """Read a mask file that the journal does not know, of an older version or put here by hand."""
        if not self.path(frame_index).exists():
            return None
        mask = self._read_file(frame_index)
        if not self.read_only:
            self.journal.append([(frame_index, mask)], Kind.ADOPTED)
            self.journal.settle(frame_index, Kind.COMMITTED)
        return mask

    def _compare(
        self, frame_index: int, history: FrameHistory
    ) -> tuple[Mask | None, Literal["changed", "damaged", "removed"] | None]:
        exists = self.path(frame_index).exists()
        if history.settled is Kind.CLEARED:
            return (None, "changed") if exists else (None, None)
        if not exists:
            return None, "removed"
        try:
            mask = self._read_file(frame_index)
        except InputError:
            return None, "damaged"
        return (mask, None) if pixel_digest(mask) == history.newest.pixels else (None, "changed")

    def _read_file(self, frame_index: int) -> Mask:
        path = self.path(frame_index)
        mask = self.identity.scheme.check_mask(images.read_mask(path), path)
        expected = (self.identity.height, self.identity.width)
        if mask.shape != expected:
            raise size_error(mask.shape, expected, path)
        self._note_seen(frame_index)
        return mask

    # --- writing ----------------------------------------------------------------------------------

    def log(self, masks: Sequence[tuple[int, Mask]]) -> None:
        """Make states of frames durable in the journal, those that it has not got already."""
        with self._lock:
            self.journal.append([(i, mask) for i, mask in masks if not self._is_newest(i, mask)])

    def commit(self, frame_index: int, mask: Mask, *, is_truth: bool) -> bool:
        """Bring a frame's mask file up to date; False if it became a conflict instead.

        Parameters
        ----------
        frame_index : int
        mask : (H, W) uint8 ndarray
        is_truth : bool
            Whether it equals the ground truth: then it is no correction, and has no file.

        Raises
        ------
        OSError
            If the disk refuses.
        """
        with self._lock:
            if not self._is_newest(frame_index, mask):
                self.journal.append([(frame_index, mask)])  # first: so a crash in between is told from theirs
            conflict = self._look_for_theirs(frame_index)
            if conflict is not None:
                self.conflicts[frame_index] = conflict
                return False
            self._write_file(frame_index, mask, is_truth=is_truth)
            return True

    def resolve(self, frame_index: int, keep: Side, *, is_truth: bool) -> None:
        """End a conflict; the version that is not kept goes to `set-aside/`.

        Parameters
        ----------
        frame_index : int
        keep : {"ours", "theirs"}
        is_truth : bool
            Whether our version equals the ground truth.

        Raises
        ------
        InputError
            If the version to keep cannot be read; nothing was changed then.
        OSError
            If the disk refuses.
        """
        with self._lock:
            ours, path = self.newest(frame_index), self.path(frame_index)
            aside = self.folder / SET_ASIDE
            aside.mkdir(exist_ok=True)
            if keep == "ours":
                if path.exists():
                    path.rename(free_name(aside / f"{path.stem}.theirs.png"))
                self._write_file(frame_index, ours, is_truth=is_truth)
            else:
                theirs = self._read_file(frame_index) if path.exists() else None
                images.write_mask(
                    free_name(aside / f"{path.stem}.ours.png"), ours, self.identity.scheme.colors
                )
                if theirs is not None:
                    self.journal.append([(frame_index, theirs)], Kind.ADOPTED)
                self.journal.settle(frame_index, Kind.CLEARED if theirs is None else Kind.COMMITTED)
            self.conflicts.pop(frame_index, None)

    def tidy(self) -> None:
        """Free the journal of states that nobody needs, where it grew; OSError if the disk refuses."""
        if not self.read_only:
            self.journal.compact()

    # --- inside -----------------------------------------------------------------------------------

    def _is_newest(self, frame_index: int, mask: Mask) -> bool:
        history = self.journal.frames.get(frame_index)
        return history is not None and history.newest.pixels == pixel_digest(mask)

    def _write_file(self, frame_index: int, mask: Mask, *, is_truth: bool) -> None:
        path = self.path(frame_index)
        if is_truth:
            path.unlink(missing_ok=True)
            self._seen.pop(frame_index, None)
        else:
            images.write_mask(path, mask, self.identity.scheme.colors)
            self._note_seen(frame_index)
        self.journal.settle(frame_index, Kind.CLEARED if is_truth else Kind.COMMITTED)

    def _look_for_theirs(self, frame_index: int) -> MaskConflict | None:
        """Find a file that would be replaced and that nobody here wrote: one stat where nothing happened."""
        path = self.path(frame_index)
        if not path.exists() or self._seen.get(frame_index) == _signature(path):
            return None
        try:
            known = self.journal.frames[frame_index].knows(pixel_digest(self._read_file(frame_index)))
        except InputError:
            return MaskConflict(frame_index, path, "damaged")
        if known:
            return None
        del self._seen[frame_index]
        return MaskConflict(frame_index, path, "changed")

    def _note_seen(self, frame_index: int) -> None:
        self._seen[frame_index] = _signature(self.path(frame_index))

    def _describe_pending(self, pending: set[int]) -> Restored | None:
        newest = [self.journal.frames[index].newest for index in pending]
        if not newest or self.read_only:
            return None
        num_strokes = sum(self.journal.frames[index].num_pending for index in pending)
        return Restored(num_strokes, tuple(sorted(pending)), max(record.time_s for record in newest))


def _signature(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_mtime_ns, about.st_size
