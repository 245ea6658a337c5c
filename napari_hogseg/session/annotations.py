"""What a reviewer painted: sparse masks over read-only ground truth, committed to a session folder.

Owns the session folder (`session.toml`, `masks/<frame name>.png`) and nothing else on disk: a data set's own
files are read through a callable and never written. When a commit happens is `mask_writer`'s part, showing
and painting is `ui`'s. No Qt, no torch.

Legend: T frames, H rows, W columns; values are class ids of the scheme, 255 is ignore.
"""

from __future__ import annotations

import hashlib
import io
import threading
import tomllib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w
from PIL import Image

from napari_hogseg.data.scheme import IGNORE, SCHEME_FILE, LabelScheme
from napari_hogseg.io import atomic, images
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.mask_writer import MaskWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import numpy.typing as npt

    from napari_hogseg.io.video import FrameSource

SESSION_FILE = "session.toml"
FORMAT = 1
#: Masks kept in memory; 64 masks of 1080p are 130 MB. Unsaved ones are kept whatever their number.
CACHE_MASKS = 64


@dataclass(frozen=True)
class SessionIdentity:
    """What must agree for stored masks to fit a clip.

    Attributes
    ----------
    source : str
        The clip, for people; a moved clip is still the same clip.
    frame_names : tuple of str
        One a frame, unique: they name the mask files.
    height, width : int
        Size of every frame, pixels.
    scheme : LabelScheme
        Meaning of the values.
    """

    source: str
    frame_names: tuple[str, ...]
    height: int
    width: int
    scheme: LabelScheme

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return len(self.frame_names)

    def to_table(self) -> dict[str, Any]:
        """Values as `session.toml` keeps them."""
        names = hashlib.sha256("\n".join(self.frame_names).encode()).hexdigest()
        return {
            "format": FORMAT,
            "source": self.source,
            "num_frames": self.num_frames,
            "frame_names_sha256": names,
            "height": self.height,
            "width": self.width,
            "classes": list(self.scheme.classes),
        }


@dataclass(frozen=True)
class CorrectionExport:
    """A training set written from corrections.

    Attributes
    ----------
    folder : Path
        Holds `images/<clip>/`, `masks/<clip>/` and `dataset.toml`.
    clip : str
        The one group in it.
    frame_indices : tuple of int
        Exported frames, 0-based.
    sample_ids : tuple of str
        Their ids in the exported data set, such as `clip/0012`.
    """

    folder: Path
    clip: str
    frame_indices: tuple[int, ...]
    sample_ids: tuple[str, ...]

    @property
    def num_frames(self) -> int:
        """Number of exported frames."""
        return len(self.frame_indices)


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
        self._edited = self._open_folder()
        self._writer = MaskWriter(self._snapshot, self._commit, self._notify, settle_s=settle_s)

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
        """Frames whose last change is not durable yet, oldest change first."""
        return self._writer.pending

    @property
    def save_error(self) -> InputError | None:
        """Why the last commit failed; None once a later one succeeded. Saving is tried again by itself."""
        return self._writer.error

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
        with self._lock:
            problem = self._problems.get(frame_index)
            if problem is not None:
                raise InputError(
                    f"This frame is locked because its mask cannot be used: {problem.what}",
                    where=problem.where,
                    remedy="Mend or remove that file, then open the clip again.",
                )
            mask = self._cache.get(frame_index)
            if mask is None:
                mask = self._keep(frame_index, self._blank())
            mask[key] = class_ids
            self._edited.add(frame_index)
            self._unlabelled.discard(frame_index)
            # Inside the lock: once out of it, only a pending mask is safe from leaving the cache.
            self._writer.touch(frame_index)
        self._notify()

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until every change is durable; False where it is not (then see `save_error`)."""
        return self._writer.flush(timeout_s)

    def close(self, timeout_s: float = 10.0) -> bool:
        """Save what is pending and end the writer thread; False if something could not be saved."""
        return self._writer.close(timeout_s)

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
        wanted = sorted(set(self.edited_frames if frames is None else frames))
        chosen = tuple(frame_index for frame_index in wanted if self.has_mask(frame_index))
        if not chosen:
            raise InputError(
                "No corrected frame to learn from",
                where=self.folder,
                remedy="Paint on the mask of at least one frame first.",
            )
        clip = clip_name(source.name)
        for frame_index in chosen:
            name = self.identity.frame_names[frame_index]
            for kind in ("images", "masks"):
                (folder / kind / clip).mkdir(parents=True, exist_ok=True)
            file = f"{clip}/{name}.png"
            atomic.write_bytes(folder / "images" / file, _encode_png(source.frame(frame_index)))
            images.write_mask(folder / "masks" / file, self.mask(frame_index), self.scheme.colors)
        # Last: the file that makes the folder a data set stands only beside a whole tree.
        atomic.write_text(folder / SCHEME_FILE, self.scheme.to_toml())
        sample_ids = tuple(f"{clip}/{self.identity.frame_names[frame_index]}" for frame_index in chosen)
        return CorrectionExport(folder, clip, chosen, sample_ids)

    # --- inside -----------------------------------------------------------------------------------

    def _blank(self) -> npt.NDArray[np.uint8]:
        return np.full((self.identity.height, self.identity.width), IGNORE, np.uint8)

    def _mask_path(self, frame_index: int) -> Path:
        return self.folder / "masks" / f"{self.identity.frame_names[frame_index]}.png"

    def _open_folder(self) -> set[int]:
        table = self.identity.to_table()
        path = self.folder / SESSION_FILE
        try:
            (self.folder / "masks").mkdir(parents=True, exist_ok=True)
            if path.exists():
                _check_same_clip(path, table)
            else:
                atomic.write_text(path, tomli_w.dumps(table))
            stored = {entry.stem for entry in (self.folder / "masks").glob("*.png")}
        except OSError as error:
            raise InputError(
                f"Corrections cannot be kept here: {error.strerror}",
                where=self.folder,
                remedy="Check the folder's rights and the free space.",
            ) from error
        return {index for index, name in enumerate(self.identity.frame_names) if name in stored}

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

    def _read_edit(self, frame_index: int) -> npt.NDArray[np.uint8]:
        path = self._mask_path(frame_index)
        return self._check(self.scheme.check_mask(images.read_mask(path), path), path)

    def _read_truth(self, frame_index: int) -> npt.NDArray[np.uint8] | None:
        if self._truth is None:
            return None
        mask = self._truth(frame_index)
        if mask is None:
            return None
        return np.array(self._check(mask, self.identity.frame_names[frame_index]), np.uint8)

    def _check(self, mask: npt.NDArray[np.uint8], where: object) -> npt.NDArray[np.uint8]:
        expected = (self.identity.height, self.identity.width)
        if mask.shape != expected:
            raise size_error(mask.shape, expected, where)
        return mask

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
            return self._cache[frame_index].copy()

    def _commit(self, frame_index: int, mask: npt.NDArray[np.uint8]) -> None:
        """Make one mask durable; a frame painted back to its ground truth is no correction any more."""
        path = self._mask_path(frame_index)
        try:
            truth = self._read_truth(frame_index)
        except InputError:
            truth = None  # an unreadable truth cannot tell; keep what the person painted
        same = np.array_equal(mask, self._blank() if truth is None else truth)
        if not same:
            images.write_mask(path, mask, self.scheme.colors)
            return
        path.unlink(missing_ok=True)
        with self._lock:
            if np.array_equal(self._cache.get(frame_index, mask), mask):
                self._edited.discard(frame_index)

    def _notify(self) -> None:
        if self._on_change is not None:
            self._on_change()


def _encode_png(frame_HWC: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame_HWC).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def size_error(found: tuple[int, ...], expected: tuple[int, int], where: object) -> InputError:
    """Make the message for a mask that does not have its frame's size; both as (H, W)."""
    return InputError(
        f"The mask is {found[1]}x{found[0]} but its frame is {expected[1]}x{expected[0]}",
        where=where,
        remedy="Export the mask at the frame's size; masks are never rescaled in silence.",
    )


def clip_name(name: str) -> str:
    """Make a folder name that every system takes from a clip's name."""
    kept = "".join(char if char.isalnum() or char in "-_." else "_" for char in name).strip("._")
    return kept or "clip"


def session_folder(root: Path, source: Path, scheme: LabelScheme) -> Path:
    """Choose the session folder of a clip and a set of classes below `root`.

    The digest is of the absolute path and the class names: two clips of one name, or one clip reviewed for
    two sets of classes, never share a folder.
    """
    key = "\n".join([str(source.resolve()), *scheme.classes])
    return root / f"{clip_name(source.stem)}-{hashlib.sha256(key.encode()).hexdigest()[:10]}"


def _check_same_clip(path: Path, table: dict[str, Any]) -> None:
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"Not a session file: {error}", where=path, remedy="Mend it, or choose another session folder."
        ) from error
    differing = [key for key in table if key != "source" and found.get(key) != table[key]]
    if differing:
        raise InputError(
            f"The corrections here belong to another clip, {found.get('source')}: "
            f"{', '.join(differing)} differ",
            where=path,
            remedy="Choose another session folder; nothing was changed here.",
        )
