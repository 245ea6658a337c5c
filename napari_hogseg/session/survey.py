"""The survey of a whole clip: every frame measured with one model, in small steps, resumable.

Owns what is measured, in which order, and when a kept record still counts. `survey_file` keeps the records,
`ui` owns the thread that makes the steps. No torch, no Qt: the model is a callable.

Order. Reading a video in order is ten times cheaper than jumping about in it, and flicker needs the frame
before: so the survey starts at the playhead and goes on in order, to the end and round to the start. When the
playhead has been moved it goes on from there, which is one seek a jump. Frames that were touched come first.

Trust. A record carries a digest of the mask it was compared with. Records from the disk show at once what
needs no mask; their scores count only once the digest was compared with the mask of today.

Legend: T frames, H rows, W columns, C classes.
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io.atomic import sha256_bytes
from napari_hogseg.io.errors import InputError
from napari_hogseg.io.video import Video
from napari_hogseg.metrics.confusion import confusion_matrix, iou_scores
from napari_hogseg.metrics.surfaces import boundary_scores
from napari_hogseg.session.survey_file import (
    MEASURES,
    SurveyFile,
    SurveyRecord,
    record_from_table,
    record_to_table,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from napari_hogseg.inference.predictor import Predictor
    from napari_hogseg.inference.residual import FrameReading
    from napari_hogseg.io.video import FrameSource
    from napari_hogseg.metrics.surfaces import Part
    from napari_hogseg.session.annotations import AnnotationStore

    Frame = npt.NDArray[np.uint8]  # (H, W, 3)
    Mask = npt.NDArray[np.uint8]  # (H, W)

FOLDER = "survey"
NO_MASK = ""

#: States of a frame. KEPT: from the disk, its mask not looked at yet. STALE: its mask is another one now.
UNKNOWN, KEPT, STALE, DONE, UNREADABLE = range(5)
BOUNDARY_PARTS: tuple[Part, ...] = ("davis_f",)

#: Frames of a video that the survey keeps decoded; it reads in order.
CACHE_BYTES = 32 * 1024**2
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class SurveyModel:
    """What a survey needs of a model.

    Attributes
    ----------
    digest : str
        Of its weights: names the survey's file.
    classes : tuple of str
        Scores need the masks to have the same.
    read : callable
        `read(frame_HWC) -> FrameReading`.
    """

    digest: str
    classes: tuple[str, ...]
    read: Callable[[Frame], FrameReading]


class BlobCodec(Protocol):
    """Finds error blobs, and takes them to plain tables and back."""

    def find(self, frame_HWC: Frame, prediction: Mask, truth: Mask) -> Sequence[Any]:
        """Find the blobs of one frame."""

    def to_table(self, blob: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever `find` makes
        """Write one as plain values."""

    def from_table(self, table: dict[str, Any]) -> Any:  # noqa: ANN401
        """Read one back."""


class Survey:
    """Measures a clip frame by frame. One thread makes the steps; everything else may be called from any.

    Parameters
    ----------
    store : AnnotationStore
        Gives the masks; records go into its folder.
    open_source : callable
        Opens the frames; called with the first frame that is needed, closed by `close`. Not the source of the
        live view: going through the clip would empty its cache and move its decoder.
    model : SurveyModel
    find_blobs : BlobCodec, optional

    Attributes
    ----------
    curves : dict of str to (T,) float32 ndarray
        `MEASURES` by name, NaN where there is nothing. Filled while the survey goes on; do not write.
    states : (T,) uint8 ndarray
        UNKNOWN, KEPT, STALE, DONE or UNREADABLE.
    num_measured, num_confirmed : int
        Frames measured since it began, and records that count again because their mask was looked at.
    disk_error : OSError or None
        Why records cannot be kept; the survey goes on in memory.
    """

    def __init__(
        self,
        store: AnnotationStore,
        open_source: Callable[[], FrameSource],
        model: SurveyModel,
        find_blobs: BlobCodec | None = None,
    ) -> None:
        self._store, self._open_source, self._model = store, open_source, model
        self._blobs = find_blobs
        num_frames = store.shape[0]
        self.curves = {name: np.full(num_frames, np.nan, np.float32) for name in MEASURES}
        self.states = np.zeros(num_frames, np.uint8)
        self.has_truth = np.zeros(num_frames, np.bool_)
        self.num_measured = self.num_confirmed = 0
        self.disk_error: OSError | None = None
        self._records: dict[int, SurveyRecord] = {}
        self._lock = threading.Lock()
        self._touched: dict[int, None] = {}
        self._playhead, self._cursor = -1, 0
        self._last: tuple[int, Mask] | None = None
        self._source: FrameSource | None = None
        path = store.folder / FOLDER / f"{model.digest[:16]}.jsonl"
        self._file = SurveyFile(path, self._about(), read_only=store.read_only is not None)

    # --- what is known ----------------------------------------------------------------------------

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.states)

    @property
    def num_done(self) -> int:
        """Frames that are measured and up to date, or cannot be read."""
        return int((self.states >= DONE).sum())

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return self.num_done == self.num_frames and not self._touched

    def record(self, frame_index: int) -> SurveyRecord | None:
        """Tell what is known of a frame; where the mask may be another by now, only what needs none."""
        record = self._records.get(frame_index)
        if record is None or self.states[frame_index] == DONE or record.mask_digest == NO_MASK:
            return record
        return replace(record, has_truth=False, miou=math.nan, boundary_f=math.nan, confusion=None, blobs=())

    def records(self) -> list[SurveyRecord]:
        """All records there are, by frame."""
        found = (self.record(frame_index) for frame_index in sorted(self._records.copy()))
        return [record for record in found if record is not None]

    # --- work -------------------------------------------------------------------------------------

    def load(self) -> None:
        """Take what is on the disk."""
        corrected = set(self._store.edited_frames)
        try:
            for table in self._file.load():
                record = record_from_table(table, self._blobs.from_table if self._blobs else dict)
                self._keep(replace(record, corrected=record.frame_index in corrected), KEPT)
        except OSError as error:
            self._on_disk_error(error)

    def touch(self, frames: Iterable[int]) -> None:
        """Look at these frames' masks again, before anything else."""
        with self._lock:
            self._touched.update(dict.fromkeys(frames))

    def step(self, playhead: int) -> int | None:
        """Do one frame's worth of work; returns the frame, or None where nothing is left to do.

        Parameters
        ----------
        playhead : int
            Frame on screen: what is near after it comes first.
        """
        touched = self._next_touched()
        if touched is not None and self._is_up_to_date(touched):
            return touched
        frame_index = touched if touched is not None else self._choose(playhead)
        if frame_index is None:
            self._sync()
            return None
        if self.states[frame_index] == KEPT and self._is_up_to_date(frame_index):
            return frame_index
        try:
            record = self._measure(frame_index)
        except InputError as error:
            _LOG.info("survey: %s", error)
            self.states[frame_index] = UNREADABLE
            return frame_index
        self.num_measured += 1
        self._keep(record, DONE)
        self._write(record)
        return frame_index

    def close(self) -> None:
        """Make records durable and close files; to be called by the thread that makes the steps."""
        self._sync()
        self._file.close()
        if self._source is not None:
            self._source.close()
            self._source = None

    # --- order ------------------------------------------------------------------------------------

    def _next_touched(self) -> int | None:
        with self._lock:
            frame_index = next(iter(self._touched), None)
            if frame_index is not None:
                del self._touched[frame_index]
            return frame_index

    def _choose(self, playhead: int) -> int | None:
        """Choose kept records first, whose masks are quickly looked at; then frames to measure, in order."""
        if playhead != self._playhead:
            self._playhead = self._cursor = playhead
        kept = self._first(self.states == KEPT)
        return self._first((self.states == UNKNOWN) | (self.states == STALE)) if kept is None else kept

    def _first(self, wanted: npt.NDArray[np.bool_]) -> int | None:
        """First frame from the cursor on, round to the start."""
        for begin, part in ((self._cursor, wanted[self._cursor :]), (0, wanted[: self._cursor])):
            offset = int(part.argmax()) if len(part) else 0
            if len(part) and part[offset]:
                return begin + offset
        return None

    # --- one frame --------------------------------------------------------------------------------

    def _is_up_to_date(self, frame_index: int) -> bool:
        """Look at a frame's mask; its record counts if it was made with this very mask."""
        record = self._records.get(frame_index)
        if record is None:
            return False
        mask = self._store.peek(frame_index)
        if mask_digest(mask) != record.mask_digest:
            self.states[frame_index] = STALE
            self._hide_scores(frame_index)
            return False
        if self.states[frame_index] != DONE:
            self.num_confirmed += 1
        self._keep(replace(record, corrected=frame_index in self._store.edited_frames), DONE)
        return True

    def _measure(self, frame_index: int) -> SurveyRecord:
        frame_HWC = self._frame(frame_index)
        earlier = self._records.get(frame_index)
        flicker = math.nan if earlier is None else earlier.flicker
        before = None if earlier is not None else self._prediction_before(frame_index)
        reading = self._model.read(frame_HWC)
        if before is not None:
            flicker = float((before != reading.class_ids).mean())
        if earlier is None:  # one that only its mask makes worth a look is out of order
            self._last, self._cursor = (frame_index, reading.class_ids), frame_index + 1
        mask = self._store.peek(frame_index)
        return SurveyRecord(
            frame_index=frame_index,
            corrected=frame_index in self._store.edited_frames,
            hog_residual=_short(math.nan if reading.residual is None else reading.residual.total),
            entropy=_short(reading.entropy),
            flicker=_short(flicker),
            mask_digest=mask_digest(mask),
            **self._compare(frame_HWC, reading.class_ids, mask),
        )

    def _prediction_before(self, frame_index: int) -> Mask | None:
        """Prediction of the frame before: remembered, or made where a run begins; None before the first."""
        if self._last is not None and self._last[0] == frame_index - 1:
            return self._last[1]
        if frame_index == 0:
            return None
        try:
            return self._model.read(self._frame(frame_index - 1)).class_ids
        except InputError:  # damaged: then nothing is known of its flicker
            return None

    def _compare(self, frame_HWC: Frame, prediction: Mask, mask: Mask | None) -> dict[str, Any]:
        has_truth = mask is not None and bool((mask != IGNORE).any())
        nothing = {"miou": math.nan, "boundary_f": math.nan, "confusion": None, "blobs": ()}
        scheme = self._store.scheme
        if mask is None or not has_truth or self._model.classes != scheme.classes:
            return {"has_truth": has_truth, **nothing}
        matrix = confusion_matrix(prediction, mask, scheme.num_classes, ignore=IGNORE)
        scores = boundary_scores(prediction, mask, scheme.num_classes, ignore=IGNORE, parts=BOUNDARY_PARTS)
        blobs = () if self._blobs is None else tuple(self._blobs.find(frame_HWC, prediction, mask))
        return {
            "has_truth": True,
            "miou": _short(float(iou_scores(matrix).mean)),
            "boundary_f": _short(_mean_of_present(scores.davis_f)),
            "confusion": matrix,
            "blobs": blobs,
        }

    def _frame(self, frame_index: int) -> Frame:
        if self._source is None:
            self._source = self._open_source()
        return self._source.frame(frame_index)

    # --- keeping ----------------------------------------------------------------------------------

    def _keep(self, record: SurveyRecord, state: int) -> None:
        frame_index = record.frame_index
        self._records[frame_index] = record
        for name in MEASURES:
            self.curves[name][frame_index] = getattr(record, name)
        self.has_truth[frame_index] = record.has_truth
        if state != DONE:
            self._hide_scores(frame_index)
        self.states[frame_index] = state

    def _hide_scores(self, frame_index: int) -> None:
        self.curves["miou"][frame_index] = self.curves["boundary_f"][frame_index] = np.nan
        self.has_truth[frame_index] = False

    def _write(self, record: SurveyRecord) -> None:
        try:
            self._file.append(record_to_table(record, self._blobs.to_table if self._blobs else dict))
        except OSError as error:
            self._on_disk_error(error)

    def _sync(self) -> None:
        try:
            self._file.sync()
        except OSError as error:
            self._on_disk_error(error)

    def _on_disk_error(self, error: OSError) -> None:
        if self.disk_error is None:
            _LOG.warning("survey: records cannot be kept: %s", error)
        self.disk_error = error

    def _about(self) -> dict[str, Any]:
        """Tell what must agree for a kept record to be of this clip and this model."""
        identity = self._store.identity
        path = Path(identity.source)
        stamp = None
        if path.is_file():
            status = path.stat()
            stamp = [status.st_size, status.st_mtime_ns]
        clip = {name: value for name, value in identity.to_table().items() if name != "source"}
        with_blobs = self._blobs is not None
        return {"model": self._model.digest, "clip": clip, "file": stamp, "blobs": with_blobs}


def own_source(source: FrameSource) -> FrameSource:
    """Open a clip's frames anew for a survey: in one decoder it and others would be in each other's way."""
    return Video(source.path, CACHE_BYTES) if isinstance(source, Video) else source


def survey_digest(predictor: Predictor) -> str:
    """Tell models apart, and ways to look at a frame with one."""
    if predictor.options.is_plain:
        return predictor.digest
    return sha256_bytes(f"{predictor.digest} {predictor.options}".encode())


def mask_digest(mask: Mask | None) -> str:
    """Digest of a mask's pixels, 32 hexadecimal digits; empty where there is none."""
    if mask is None:
        return NO_MASK
    return hashlib.blake2b(np.ascontiguousarray(mask).tobytes(), digest_size=16).hexdigest()


def _mean_of_present(values_C: npt.NDArray[np.float64]) -> float:
    present = values_C[~np.isnan(values_C)]
    return float(present.mean()) if present.size else math.nan


def _short(value: float) -> float:
    """Round to what the curves hold, so that a record says the same before and after the disk."""
    return float(np.float32(value))
