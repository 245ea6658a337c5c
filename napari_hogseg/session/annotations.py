"""What a reviewer painted: sparse masks over read-only ground truth, kept in a session folder.

Owns the masks in memory and their way to the disk: journalled at once, a mask file soon after, an entry in
the ledger for every action. A data set's own files are read through a callable and never written. Files are
`mask_folder`'s part, when they are written is `mask_writer`'s, painting is `ui`'s. No Qt, no torch.

Legend: T frames, H rows, W columns; values are class ids of the scheme, 255 is ignore.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hogseg.data.scheme import IGNORE, LabelScheme
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.correction_export import CorrectionExport, export_corrections
from napari_hogseg.session.identity import SessionIdentity, clip_name, session_folder, size_error
from napari_hogseg.session.ledger import ERASE, PAINT
from napari_hogseg.session.mask_writer import MaskWriter, WriterJobs
from napari_hogseg.session.opening import open_folder
from napari_hogseg.session.records import SessionRecords

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_hogseg.io.video import FrameSource
    from napari_hogseg.session.ledger import Proposal
    from napari_hogseg.session.mask_folder import MaskConflict, Restored, Side
    from napari_hogseg.session.state import SessionState

__all__ = ["AnnotationStore", "CorrectionExport", "SessionIdentity", "clip_name", "session_folder"]

#: Masks kept in memory; 64 masks of 1080p are 130 MB. Unsaved ones are kept whatever their number.
CACHE_MASKS = 64

_LOG = logging.getLogger(__name__)


class AnnotationStore:
    """Masks of a clip: the reviewer's where there are some, the ground truth elsewhere.

    Safe to use from several threads. A painted frame reaches the disk within about half a second, whole and
    atomically; until then, and while saving fails, it is in `unsaved_frames`.

    Parameters
    ----------
    folder : Path
        Session folder; made when missing. What an earlier session painted there is back at once.
    identity : SessionIdentity
    truth : callable, optional
        `truth(frame_index) -> (H, W) uint8` class ids, or None where the frame has no mask; may raise
        InputError. None: no frame has one.
    on_change : callable, optional
        Called without arguments, from any thread, when corrections or their saved state changed.
    settle_s : float
        Pause after the first touch of a frame before it is committed, so that a stroke is one write.

    Raises
    ------
    InputError
        If the folder holds corrections of another clip or other classes, or cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        identity: SessionIdentity,
        truth: Callable[[int], npt.NDArray[np.uint8] | None] | None = None,
        *,
        on_change: Callable[[], None] | None = None,
        settle_s: float = 0.2,
    ) -> None:
        self.folder, self.identity = folder, identity
        self._truth = truth
        self._on_change = on_change
        self._lock = threading.RLock()
        self._cache: OrderedDict[int, npt.NDArray[np.uint8]] = OrderedDict()
        self._problems: dict[int, InputError] = {}
        self._unlabelled: set[int] = set()
        self._acting = threading.local()
        self._disk = open_folder(folder, identity)
        self._edited = set(self._disk.masks.edited_at_open)
        self._records = SessionRecords(self._disk, self._snapshot, self._truth_or_blank)
        jobs = WriterJobs(self._snapshot, self._commit, self._notify, self._log, self._records.chore)
        self._writer = MaskWriter(jobs, settle_s=settle_s)
        self._catch_up()

    # --- reading ----------------------------------------------------------------------------------

    @property
    def scheme(self) -> LabelScheme:
        """The classes of the masks."""
        return self.identity.scheme

    @property
    def shape(self) -> tuple[int, int, int]:
        """T, H, W."""
        return self.identity.num_frames, self.identity.height, self.identity.width

    @property
    def edited_frames(self) -> tuple[int, ...]:
        """Indices of the frames whose mask is the reviewer's, ascending."""
        with self._lock:
            return tuple(sorted(self._edited))

    @property
    def unsaved_frames(self) -> tuple[int, ...]:
        """Frames whose mask file is not durable yet, oldest change first; most are in the journal by then."""
        return self._writer.pending

    @property
    def unlogged_frames(self) -> tuple[int, ...]:
        """Frames whose last change a crash would lose: for 0.1 s, unless saving fails."""
        return self._writer.unlogged

    @property
    def save_error(self) -> InputError | None:
        """Why the last commit failed; None once a later one succeeded. Saving is tried again by itself."""
        return self._writer.error

    @property
    def read_only(self) -> InputError | None:
        """Why nothing can be painted: the session is open elsewhere, or its folder cannot be written."""
        return self._disk.read_only

    @property
    def restored(self) -> Restored | None:
        """What was brought back that an earlier session had not saved when it was killed."""
        return self._disk.masks.restored

    @property
    def messages(self) -> tuple[str, ...]:
        """What the person must know once the clip is open: restored, damaged, read-only."""
        return self._disk.messages

    @property
    def conflicts(self) -> tuple[MaskConflict, ...]:
        """Mask files found to be not ours, by frame; each frame is locked until `resolve_conflict`."""
        found = dict(self._disk.masks.conflicts)
        return tuple(found[frame_index] for frame_index in sorted(found))

    @property
    def records(self) -> SessionRecords:
        """Ledger, effort and author."""
        return self._records

    def mask(self, frame_index: int) -> npt.NDArray[np.uint8]:
        """Read one frame's mask.

        Returns
        -------
        (H, W) uint8 ndarray
            A copy; all ignore where the frame has no mask or its mask cannot be read (see `problem`).
        """
        self._load(frame_index)
        with self._lock:
            mask = self._cache.get(frame_index)
            return self._blank() if mask is None else mask.copy()

    def problem(self, frame_index: int) -> InputError | None:
        """Why a frame's mask cannot be read; such a frame cannot be painted, so nothing is lost."""
        self._load(frame_index)
        with self._lock:
            return self._problems.get(frame_index)

    def has_mask(self, frame_index: int) -> bool:
        """Whether the frame has ground truth or a correction with at least one labelled pixel."""
        self._load(frame_index)
        with self._lock:
            mask = self._cache.get(frame_index)
            return mask is not None and bool((mask != IGNORE).any())

    def prefetch(self, frame_index: int) -> None:
        """Read a frame's mask into memory ahead of its use; meant for a worker thread."""
        if 0 <= frame_index < self.identity.num_frames:
            self._load(frame_index)

    def peek(self, frame_index: int) -> npt.NDArray[np.uint8] | None:
        """Read one frame's mask and keep nothing: to go through a whole clip without emptying the memory.

        Returns
        -------
        (H, W) uint8 ndarray or None
            A copy; None where there is no mask or it cannot be used.
        """
        with self._lock:
            mask = self._cache.get(frame_index)
            if mask is not None:
                return mask.copy()
            if frame_index in self._problems or frame_index in self._unlabelled:
                return None
            edited = frame_index in self._edited
        try:
            return self._read_edit(frame_index) if edited else self._read_truth(frame_index)
        except InputError as error:
            with self._lock:
                self._problems[frame_index] = error
            return None

    # --- painting ---------------------------------------------------------------------------------

    def paint(self, frame_index: int, key: Any, values: npt.ArrayLike) -> None:  # noqa: ANN401 - numpy's own index type
        """Set part of one frame's mask; the frame is saved by itself soon after.

        Parameters
        ----------
        frame_index : int
        key : index
            Of the (H, W) mask, as numpy takes it.
        values : array-like of int
            Class ids, or 255.

        Raises
        ------
        InputError
            If a value is no class, the frame is locked because its mask cannot be read, or the store was
            closed.
        """
        class_ids = self.scheme.check_mask(np.asarray(values, dtype=np.uint8), f"frame {frame_index}")
        self._load(frame_index)
        if self._writer.closed:
            raise InputError("This clip was closed", where=self.folder, remedy="Open it again first.")
        self._refuse_read_only()
        with self._lock:
            self._refuse_locked(frame_index)
            mask = self._cache.get(frame_index)
            if mask is None:
                mask = self._keep(frame_index, self._blank())
            self._records.note(frame_index, *self._kind_of(class_ids), mask.copy)
            mask[key] = class_ids
            self._edited.add(frame_index)
            self._unlabelled.discard(frame_index)
            # Inside the lock: once out of it, only a pending mask is safe from leaving the cache.
            self._writer.touch(frame_index)
        self._notify()

    @contextmanager
    def acting(self, kind: str, proposed_by: Proposal | None = None) -> Iterator[None]:
        """Name what is painted in this thread meanwhile, for the ledger.

        Parameters
        ----------
        kind : str
            Such as 'fill', 'accept', 'propagate', 'undo' or 'redo'. Not named, it is 'paint', or 'erase'
            where all values are 255.
        proposed_by : Proposal, optional
            The model whose prediction is taken over.
        """
        before = getattr(self._acting, "now", None)
        self._acting.now = (kind, proposed_by)
        try:
            yield
        finally:
            self._acting.now = before

    def note_activity(self) -> None:
        """Count the time until now as work, such as when another frame is looked at."""
        self._records.tick()

    def remember(self, state: SessionState) -> None:
        """Keep where the reviewer is; written by itself within two seconds."""
        if self.read_only is None and self._records.remember(state):
            self._writer.ask_chore()

    def resolve_conflict(self, frame_index: int, keep: Side) -> None:
        """Choose between the version painted here and the one on disk; the other goes to `set-aside/`.

        Parameters
        ----------
        frame_index : int
            One of `conflicts`.
        keep : {"ours", "theirs"}

        Raises
        ------
        InputError
            If the chosen version cannot be read, or the store is read-only.
        OSError
            If the disk refuses.
        """
        self._refuse_read_only()
        masks = self._disk.masks
        masks.resolve(frame_index, keep, is_truth=self._is_truth(frame_index, masks.newest(frame_index)))
        with self._lock:
            self._problems.pop(frame_index, None)
            self._cache.pop(frame_index, None)
            self._edited.add(frame_index)
        self._load(frame_index)
        self._notify()

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until every change is durable; False where it is not (then see `save_error`)."""
        return self._writer.flush(timeout_s)

    def close(self, timeout_s: float = 10.0) -> bool:
        """Save what is pending, end the writer thread and let others write here; False if that failed."""
        saved = self._writer.close(timeout_s)
        if self._disk.lock.held and not self._writer.alive:
            try:
                self._records.close()
                self._disk.masks.tidy()
            except OSError as error:
                _LOG.warning("the session's ledger was not finished: %s", error)
            self._disk.lock.release()
        return saved

    # --- export -----------------------------------------------------------------------------------

    def export_training_set(
        self, folder: Path, source: FrameSource, frames: Iterable[int] | None = None
    ) -> CorrectionExport:
        """Write corrected frames as a plain `images/ + masks/ + dataset.toml` tree.

        Parameters
        ----------
        folder : Path
            Made when missing.
        source : FrameSource
            The clip, for the pictures.
        frames : iterable of int, optional
            Which frames; the edited ones where not given. Frames without a labelled pixel are left out.

        Raises
        ------
        InputError
            If no frame is left.
        """
        return export_corrections(self, folder, source, frames)

    # --- inside -----------------------------------------------------------------------------------

    def _refuse_read_only(self) -> None:
        reason = self.read_only
        if reason is not None:  # a new one: an exception that is raised twice keeps what both calls held
            raise InputError(reason.what, where=reason.where, remedy=reason.remedy)

    def _refuse_locked(self, frame_index: int) -> None:
        problem = self._problems.get(frame_index)
        if problem is None:
            return
        conflict = self._disk.masks.conflicts.get(frame_index)
        if conflict is not None:
            raise conflict.error
        raise InputError(
            f"This frame is locked because its mask cannot be used: {problem.what}",
            where=problem.where,
            remedy="Mend or remove that file, then open the clip again.",
        )

    def _kind_of(self, class_ids: npt.NDArray[np.uint8]) -> tuple[str, Proposal | None]:
        named = getattr(self._acting, "now", None)
        if named is not None:
            kind, proposed_by = named
            return kind, proposed_by
        return (ERASE if class_ids.size and (class_ids == IGNORE).all() else PAINT), None

    def _blank(self) -> npt.NDArray[np.uint8]:
        return np.full((self.identity.height, self.identity.width), IGNORE, np.uint8)

    def _load(self, frame_index: int) -> None:
        """Bring a frame's mask into memory, read outside the lock: painting never waits for a disk."""
        with self._lock:
            if frame_index in self._cache:
                self._cache.move_to_end(frame_index)
                return
            if frame_index in self._problems or frame_index in self._unlabelled:
                return
            edited = frame_index in self._edited
        try:
            mask = self._read_edit(frame_index) if edited else self._read_truth(frame_index)
        except InputError as error:
            with self._lock:
                self._problems[frame_index] = error
            return
        with self._lock:
            if frame_index in self._cache:  # another thread was quicker, and may have painted since
                return
            if mask is None:
                self._unlabelled.add(frame_index)
            else:
                self._keep(frame_index, mask)

    def _read_edit(self, frame_index: int) -> npt.NDArray[np.uint8] | None:
        mask = self._disk.masks.read(frame_index)
        conflict = self._disk.masks.conflicts.get(frame_index)
        if conflict is not None:
            with self._lock:
                self._problems[frame_index] = conflict.error
        if mask is None:  # it went back to its ground truth, or its file was removed before we knew it
            with self._lock:
                self._edited.discard(frame_index)
            return self._read_truth(frame_index)
        return mask

    def _read_truth(self, frame_index: int) -> npt.NDArray[np.uint8] | None:
        if self._truth is None:
            return None
        mask = self._truth(frame_index)
        if mask is None:
            return None
        expected = (self.identity.height, self.identity.width)
        if mask.shape != expected:
            raise size_error(mask.shape, expected, self.identity.frame_names[frame_index])
        return np.array(mask, np.uint8)

    def _keep(self, frame_index: int, mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        self._cache[frame_index] = mask
        self._cache.move_to_end(frame_index)
        if len(self._cache) > CACHE_MASKS:
            unsaved = set(self._writer.pending)
            for old in list(self._cache)[: len(self._cache) - CACHE_MASKS]:
                if old not in unsaved and old != frame_index:
                    del self._cache[old]
        return mask

    def _snapshot(self, frame_index: int) -> npt.NDArray[np.uint8]:
        with self._lock:
            mask = self._cache.get(frame_index)
            if mask is not None:
                return mask.copy()
        return self._disk.masks.newest(frame_index)

    def _truth_or_blank(self, frame_index: int) -> npt.NDArray[np.uint8] | None:
        """Read what a frame is without corrections; None where that cannot be told."""
        try:
            truth = self._read_truth(frame_index)
        except InputError:
            return None
        return self._blank() if truth is None else truth

    def _is_truth(self, frame_index: int, mask: npt.NDArray[np.uint8]) -> bool:
        truth = self._truth_or_blank(frame_index)
        return truth is not None and np.array_equal(mask, truth)

    def _log(self, frames: Sequence[int]) -> None:
        """Make the newest masks of frames durable, all with one append."""
        self._disk.masks.log([(frame_index, self._snapshot(frame_index)) for frame_index in frames])

    def _commit(self, frame_index: int, mask: npt.NDArray[np.uint8]) -> None:
        """Write one mask file; a frame painted back to its ground truth is no correction any more."""
        is_truth = self._is_truth(frame_index, mask)
        written = self._disk.masks.commit(frame_index, mask, is_truth=is_truth)
        with self._lock:
            if not written:
                self._problems[frame_index] = self._disk.masks.conflicts[frame_index].error
            elif is_truth and np.array_equal(self._cache.get(frame_index, mask), mask):
                self._edited.discard(frame_index)

    def _catch_up(self) -> None:
        """Write what a session that was killed left in the journal."""
        restored = self.restored
        if restored is not None:
            for frame_index in restored.frame_indices:
                self._writer.touch(frame_index, logged=True)
        if self._records.has_overdue:
            self._writer.ask_chore()

    def _notify(self) -> None:
        if self._on_change is not None:
            self._on_change()
