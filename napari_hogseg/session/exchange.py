"""A review's masks out to other tools' formats, and in again as corrections.

Export reads the corrections over the clip's own masks and writes a new folder. Import paints: every frame it
changes is journalled, is in the ledger, and what stood there before is set aside in the session folder first.
The formats are `data.exchange`'s part, commands `exchange_command`'s.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from napari_hogseg.data.exchange import AnnotatedFrame, ExchangeClip, export_frames, find_format
from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.identity import clip_name
from napari_hogseg.session.journal import free_name, pixel_digest
from napari_hogseg.session.mask_folder import SET_ASIDE, MaskFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    from napari_hogseg.data.exchange import Format
    from napari_hogseg.session.annotations import AnnotationStore
    from napari_hogseg.session.clips import Clip
    from napari_hogseg.session.identity import SessionIdentity

    Mask = npt.NDArray[np.uint8]
    OnFrame = Callable[[int, int], None]

Which = Literal["corrected", "all"]
IMPORT = "import"
BEFORE = "before-import"
SAVE_EVERY = 32
"""Frames that an import paints before it waits for the disk: unsaved masks are kept in memory."""


class StoppedError(Exception):
    """The person stopped it; nothing was written or painted."""


class MaskSource(Protocol):
    """Where an export takes masks from: an `AnnotationStore`, or a session folder that is only looked at."""

    @property
    def folder(self) -> Path:
        """The session folder."""

    @property
    def edited_frames(self) -> tuple[int, ...]:
        """Frames with a correction, ascending."""

    def peek(self, frame_index: int) -> Mask | None:
        """Read one frame's mask; None where there is none, or see `problem`."""

    def problem(self, frame_index: int) -> InputError | None:
        """Why a frame's mask cannot be read."""


class FolderMasks:
    """Masks of a session folder that is only looked at: nothing is locked or written.

    Parameters
    ----------
    folder : Path
    identity : SessionIdentity
    truth : callable or None
        As of a `Clip`.
    """

    def __init__(
        self, folder: Path, identity: SessionIdentity, truth: Callable[[int], Mask | None] | None
    ) -> None:
        self.folder = folder
        self._masks = MaskFolder(folder, identity, read_only=True)
        self._truth = truth
        self._problems: dict[int, InputError] = {}

    @property
    def edited_frames(self) -> tuple[int, ...]:
        """Frames with a correction, ascending."""
        return tuple(sorted(self._masks.edited_at_open))

    def peek(self, frame_index: int) -> Mask | None:
        """Read one frame's mask, (H, W) uint8; None where there is none or it cannot be read."""
        try:
            mask = self._masks.read(frame_index) if frame_index in self._masks.edited_at_open else None
            if frame_index in self._masks.conflicts:
                raise self._masks.conflicts[frame_index].error
            return self._truth(frame_index) if mask is None and self._truth is not None else mask
        except InputError as error:
            self._problems[frame_index] = error
            return None

    def problem(self, frame_index: int) -> InputError | None:
        """Why a frame's mask could not be read."""
        return self._problems.get(frame_index)


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote.

    Attributes
    ----------
    folder : Path
    num_frames : int
    left_out : tuple of str
        A message for each frame whose mask cannot be read.
    """

    folder: Path
    num_frames: int
    left_out: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"Wrote {_frames(self.num_frames)}: {self.folder}"]
        if self.left_out:
            lines.append(f"{_frames(len(self.left_out))} left out, for their masks cannot be read:")
            lines += self.left_out
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class ImportReport:
    """What an import did.

    Attributes
    ----------
    changed : dict of int to bytes
        Digest of what was painted, by frame.
    num_same : int
        Frames that were so already.
    empty : tuple of int
        Frames without a labelled pixel in the file, left as they are.
    locked : tuple of str
        A message for each frame that could not be painted.
    before : Path or None
        Index PNGs of the changed frames as they were.
    stopped : bool
        Whether the person stopped it half-way.
    """

    changed: dict[int, bytes] = field(repr=False)
    num_same: int
    empty: tuple[int, ...]
    locked: tuple[str, ...]
    before: Path | None
    stopped: bool = False

    def __str__(self) -> str:
        lines = [f"Imported {_frames(len(self.changed))}; {_frames(self.num_same)} had these masks already."]
        if self.stopped:
            lines[0] = f"Stopped after {_frames(len(self.changed))}."
        if self.before is not None:
            lines.append(f"What was there before: {self.before}")
        if self.empty:
            lines.append(f"{_frames(len(self.empty))} without a labelled pixel in the file left as they are.")
        return "\n".join([*lines, *self.locked])


def _frames(number: int) -> str:
    return "1 frame" if number == 1 else f"{number} frames"


def exchange_clip(identity: SessionIdentity, name: str) -> ExchangeClip:
    """Describe a clip for the formats."""
    return ExchangeClip(
        clip_name(name), identity.frame_names, identity.height, identity.width, identity.scheme
    )


def protected_folders(clip: Clip, session: Path, masks: Path | None = None) -> tuple[Path, ...]:
    """List the folders an export must not write into: data set, pictures, masks, session."""
    found = [session]
    if clip.dataset is not None:
        found.append(clip.dataset.root)
    found += [folder for folder in (clip.source.path, masks) if folder is not None and folder.is_dir()]
    return tuple(found)


def export_review(
    masks: MaskSource,
    clip: Clip,
    folder: Path,
    form: Format,
    *,
    which: Which = "corrected",
    pictures: bool = False,
    mask_folder: Path | None = None,
    on_frame: OnFrame | None = None,
) -> ExportReport:
    """Write a review's masks into a new folder.

    Parameters
    ----------
    masks : MaskSource
    clip : Clip
    folder : Path
        New or empty, outside of data set, clip and session.
    form : Format
    which : {"corrected", "all"}
        Frames with a correction, also one that erased all; or every frame with a mask.
    pictures : bool
        Whether to write the frames too, where the format's readers look for them.
    mask_folder : Path, optional
        Where the clip's own masks lie, if they were named: not written into either.
    on_frame : callable, optional
        `on_frame(num_done, num_frames)`; may raise StoppedError.

    Raises
    ------
    InputError
        If the folder may not be used, there is nothing to write, or the masks do not fit the format.
    OSError
        If the disk refuses; there is no folder then.
    """
    frames = masks.edited_frames if which == "corrected" else tuple(range(clip.source.num_frames))
    left_out: list[str] = []

    def chosen() -> Iterator[AnnotatedFrame]:
        num_found = 0
        for position, frame_index in enumerate(frames):
            mask = masks.peek(frame_index)
            problem = masks.problem(frame_index) if mask is None else None
            if problem is not None:
                left_out.append(str(problem))
            if mask is not None:
                num_found += 1
                yield AnnotatedFrame(frame_index, mask)
            if on_frame is not None:
                on_frame(position + 1, len(frames))
        if not num_found:
            raise _nothing_to_write(which, masks.folder)

    num_frames = export_frames(
        chosen(),
        folder,
        form,
        exchange_clip(clip.identity, clip.source.name),
        protected=protected_folders(clip, masks.folder, mask_folder),
        picture=clip.source.frame if pictures else None,
    )
    return ExportReport(folder.absolute(), num_frames, tuple(left_out))


def _nothing_to_write(which: Which, where: Path) -> InputError:
    if which == "corrected":
        return InputError(
            "No frame was corrected yet", where=where, remedy="Correct one, or export all frames with a mask."
        )
    return InputError(
        "No frame has a mask", where=where, remedy="Paint one, or open the clip with its masks."
    )


def import_masks(
    store: AnnotationStore,
    path: Path,
    form: Format,
    *,
    rest: int = IGNORE,
    erase: bool = False,
    on_frame: OnFrame | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> ImportReport:
    """Paint masks of a file or folder as corrections; other frames stay as they are.

    All is read before anything is painted. What the changed frames were before is set aside first, as index
    PNGs below `set-aside/` of the session, so that it can be imported again at any time.

    Parameters
    ----------
    store : AnnotationStore
    path : Path
        The exported folder or its file.
    form : Format
    rest : int
        Class id of pixels that no shape covers; 255 is unlabelled.
    erase : bool
        Whether a frame that has no labelled pixel in the file loses its mask. Other tools list every frame of
        a clip, annotated or not.
    on_frame : callable, optional
        `on_frame(num_done, num_frames)`; the number of frames is an upper bound at first.
    stopped : callable
        Asked between frames. While reading it ends with StoppedError, later with a report of what is painted.

    Raises
    ------
    InputError
        If the file is damaged, or of another clip or other classes (nothing was painted then); or if the
        store is read-only or cannot save.
    """
    tell = on_frame or (lambda _done, _all: None)
    reason = store.read_only
    if reason is not None:
        raise InputError(reason.what, where=reason.where, remedy=reason.remedy)
    packed = _read_all(store, path, form, rest, tell, stopped)
    sorting = _Sorting.of(store, packed, erase=erase)
    if not sorting.changing:
        return ImportReport({}, len(sorting.same), tuple(sorting.empty), tuple(sorting.locked), None)
    before, digests = _set_aside(store, sorting.changing)
    changed: dict[int, bytes] = {}
    num_done = 0
    for frame_index in sorting.changing:
        if stopped():
            break
        num_done += 1
        if _digest_now(store, frame_index) != digests[frame_index]:
            name = store.identity.frame_names[frame_index]
            sorting.locked.append(f"{name} was painted on meanwhile: it is left as it is.")
            continue
        mask = _unpack(packed[frame_index], store)
        with store.acting(IMPORT):
            store.paint(frame_index, np.s_[:, :], mask)
        changed[frame_index] = pixel_digest(mask)
        if num_done % SAVE_EVERY == 0:
            _save(store)
        tell(num_done, len(sorting.changing))
    _save(store)
    return ImportReport(
        changed,
        len(sorting.same),
        tuple(sorting.empty),
        tuple(sorting.locked),
        before,
        stopped=num_done < len(sorting.changing),
    )


def take_back(store: AnnotationStore, report: ImportReport) -> tuple[int, int]:
    """Give the frames of an import their former masks back.

    Returns
    -------
    tuple of int
        Frames taken back, and frames left alone because they were painted on since.

    Raises
    ------
    InputError
        If what was set aside cannot be read.
    """
    if report.before is None:
        return 0, 0
    num_back = 0
    clip = exchange_clip(store.identity, BEFORE)
    for frame in find_format("index-png").read(report.before, clip, IGNORE):
        if _digest_now(store, frame.frame_index) != report.changed.get(frame.frame_index):
            continue
        with store.acting("undo"):
            store.paint(frame.frame_index, np.s_[:, :], frame.mask)
        num_back += 1
        if num_back % SAVE_EVERY == 0:
            _save(store)
    _save(store)
    return num_back, len(report.changed) - num_back


@dataclass(frozen=True)
class _Sorting:
    """What is to be done with the frames of a file."""

    changing: list[int] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)
    same: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, store: AnnotationStore, packed: dict[int, bytes], *, erase: bool) -> _Sorting:
        sorting = cls()
        for frame_index in sorted(packed):
            mask, now = _unpack(packed[frame_index], store), store.peek(frame_index)
            problem = store.problem(frame_index) if now is None else None
            if problem is not None:
                sorting.locked.append(str(problem))
            elif np.array_equal(mask, store.mask(frame_index) if now is None else now):
                sorting.same.append(frame_index)
            elif not erase and not (mask != IGNORE).any():
                sorting.empty.append(frame_index)
            else:
                sorting.changing.append(frame_index)
        return sorting


def _read_all(
    store: AnnotationStore,
    path: Path,
    form: Format,
    rest: int,
    tell: OnFrame,
    stopped: Callable[[], bool],
) -> dict[int, bytes]:
    """Read a whole file, its masks compressed: those of a long clip would not fit into memory."""
    clip = exchange_clip(store.identity, clip_name(store.folder.name))
    packed: dict[int, bytes] = {}
    if not path.exists():
        raise InputError("No such file or folder", where=path, remedy="Check the path.")
    for frame in form.read(path, clip, rest):
        if stopped():
            raise StoppedError
        if frame.frame_index in packed:
            raise InputError(
                f"The frame {clip.frame_names[frame.frame_index]} is here twice",
                where=path,
                remedy="Export the file again.",
            )
        packed[frame.frame_index] = zlib.compress(frame.mask.tobytes(), 1)
        tell(len(packed), clip.num_frames)
    return packed


def _unpack(packed: bytes, store: AnnotationStore) -> Mask:
    _, height, width = store.shape
    return np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, width)


def _set_aside(store: AnnotationStore, frames: list[int]) -> tuple[Path, dict[int, bytes]]:
    """Keep what frames are now, unlabelled ones included, as an index PNG folder; and their digests."""
    when = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = free_name(store.folder / SET_ASIDE / f"{BEFORE}-{when}")
    clip = exchange_clip(store.identity, BEFORE)
    digests: dict[int, bytes] = {}

    def now(frame_index: int) -> AnnotatedFrame:
        mask = store.peek(frame_index)
        mask = clip.blank() if mask is None else mask
        digests[frame_index] = pixel_digest(mask)
        return AnnotatedFrame(frame_index, mask)

    export_frames(map(now, frames), folder, find_format("index-png"), clip)
    return folder, digests


def _digest_now(store: AnnotationStore, frame_index: int) -> bytes:
    mask = store.peek(frame_index)
    return pixel_digest(store.mask(frame_index) if mask is None else mask)


def _save(store: AnnotationStore) -> None:
    if store.flush(timeout_s=60.0):
        return
    raise InputError(
        "The import stopped, for what it painted cannot be saved",
        where=store.save_error or store.folder,
        remedy="Free space or mend the folder's rights; saving is tried again by itself.",
    )
