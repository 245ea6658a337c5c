"""The review report: one HTML file that says how a model does on a clip, where it fails, what mending took.

Owns what goes into it and the writing of the file. Numbers are `report_facts`' part, curves `report_curves`',
the page `report_page`'s. Nothing is measured here but the worst frames' pictures: scores and curves are those
of the survey, as far as it came.

Legend: T frames, H rows, W columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.passport import versions
from napari_hogseg.session import overlays
from napari_hogseg.session.report_facts import add_up, pick_worst, score, spacing
from napari_hogseg.session.report_page import ReportPage, WorstFrame, to_html
from napari_hogseg.session.survey_file import MEASURES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_hogseg.inference.predictor import Predictor
    from napari_hogseg.io.video import FrameSource
    from napari_hogseg.session.annotations import AnnotationStore
    from napari_hogseg.session.report_facts import Pick
    from napari_hogseg.session.survey_file import SurveyRecord

    Frame = npt.NDArray[np.uint8]  # (H, W, 3)
    Mask = npt.NDArray[np.uint8]  # (H, W)

NUM_WORST = 8
PICTURE_WIDTH_PX = 420


class CancelledError(Exception):
    """The person does not want it any more; nothing was written."""


@dataclass(frozen=True)
class ReportModel:
    """The model that a report or a clip is about.

    Attributes
    ----------
    name, digest : str
        The digest is of its weights.
    classes : tuple of str
    predict : callable
        `predict(frame_HWC) -> (H, W) uint8` class ids.
    about : tuple of (str, str)
        Further lines: what it is.
    """

    name: str
    digest: str
    classes: tuple[str, ...]
    predict: Callable[[Frame], Mask] = field(repr=False)
    about: tuple[tuple[str, str], ...] = ()

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """What a report says of it."""
        return (("Name", self.name), ("Weights, SHA-256", self.digest), *self.about)

    @classmethod
    def of(cls, predictor: Predictor) -> ReportModel:
        """Describe a loaded model."""
        spec = predictor.spec
        about = (
            (
                "Network",
                f"{spec.model.network}, heads '{spec.model.head}', input {spec.model.input_short_px} px",
            ),
            ("Looks at a frame", "whole, once" if predictor.options.is_plain else str(predictor.options)),
        )
        return cls(predictor.name, predictor.digest, predictor.scheme.classes, predictor.predict, about)


@dataclass(frozen=True)
class Progress:
    """How a long job tells how far it is, and asks whether to go on.

    Attributes
    ----------
    tell : callable
        `tell(num_done, num_all)`; called in the thread that works.
    is_cancelled : callable
    """

    tell: Callable[[int, int], object] = lambda _num_done, _num_all: None
    is_cancelled: Callable[[], bool] = lambda: False

    def step(self, num_done: int, num_all: int) -> None:
        """Tell, and stop where that is wanted.

        Raises
        ------
        CancelledError
        """
        if self.is_cancelled():
            raise CancelledError
        self.tell(num_done, num_all)


def write_report(
    path: Path,
    store: AnnotationStore,
    source: FrameSource,
    records: Sequence[SurveyRecord],
    model: ReportModel | None = None,
    *,
    num_worst: int = NUM_WORST,
    progress: Progress | None = None,
) -> None:
    """Write the report of a review as one self-contained HTML file, whole or not at all.

    Parameters
    ----------
    path : Path
        Its folder is made when missing.
    store : AnnotationStore
        Gives the masks as they are now and the ledger.
    source : FrameSource
        The clip.
    records : sequence of SurveyRecord
        What the survey found so far, with this model; empty without one.
    model : ReportModel, optional
    num_worst : int
        Frames shown as pictures.
    progress : Progress, optional

    Raises
    ------
    InputError
        If the file would replace the clip.
    CancelledError
        If `progress` says so; the earlier file is as before.
    OSError
        If the disk refuses.
    """
    refuse_to_replace(path, source)
    progress = progress or Progress()
    apart = spacing(store.shape[0], num_worst)
    picks = pick_worst(records, num_worst, apart)
    num_steps = len(picks) + 1
    progress.step(0, num_steps)
    clip = _about_clip(store, source)
    worst = []
    for number, pick in enumerate(picks, start=1):
        progress.step(number, num_steps)
        worst.append(_picture(pick, store, source, model))
    page = ReportPage(
        made=datetime.now(UTC),
        title=source.name,
        clip=clip,
        model=() if model is None else model.lines,
        versions=versions(),
        scheme=store.scheme,
        num_surveyed=len(records),
        num_frames=store.shape[0],
        scores=score(records),
        curves=_curves(records, store.shape[0]),
        corrected=store.edited_frames,
        worst=tuple(worst),
        worst_apart=apart,
        effort=add_up(tuple(store.records.ledger.entries), store.scheme),
    )
    text = to_html(page)
    progress.step(num_steps, num_steps)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, text)


def refuse_to_replace(path: Path, source: FrameSource) -> None:
    """Raise InputError where a file to be written is the clip itself, or would lie among its pictures."""
    clip = source.path.resolve()
    if clip in (path.resolve(), path.resolve().parent):
        raise InputError(
            "This would be written into the data set",
            where=path,
            remedy="Choose another folder: nothing is ever written beside the clip's own files.",
        )


def _about_clip(store: AnnotationStore, source: FrameSource) -> tuple[tuple[str, str], ...]:
    num_frames, height, width = store.shape
    times_s = source.pts_s
    lasting_s = float(times_s[-1] - times_s[0]) if num_frames > 1 else 0.0
    if source.path.is_file():
        digest = ("File, SHA-256", atomic.sha256_file(source.path))
    else:
        digest = ("Frame names, SHA-256", str(store.identity.to_table()["frame_names_sha256"]))
    return (
        ("Name", source.name),
        digest,
        ("Frames", f"{num_frames} of {width} x {height} pixels, first to last {lasting_s:.2f} s"),
        ("Classes", ", ".join(store.scheme.classes)),
        ("Corrected frames", str(len(store.edited_frames))),
    )


def _curves(records: Sequence[SurveyRecord], num_frames: int) -> dict[str, npt.NDArray[np.float32]]:
    curves = {name: np.full(num_frames, np.nan, np.float32) for name in MEASURES}
    for record in records:
        for name, values in curves.items():
            values[record.frame_index] = getattr(record, name)
    return curves


def _picture(
    pick: Pick, store: AnnotationStore, source: FrameSource, model: ReportModel | None
) -> WorstFrame:
    """Draw a frame, its mask, its prediction and the errors between them; what there is of them."""
    number = pick.frame_index
    try:
        frame_HWC = source.frame(number)
    except InputError as error:
        return WorstFrame(number, pick.why, {}, note=error.what)
    mask = store.peek(number)
    mask = None if mask is None or not (mask != IGNORE).any() else mask
    # Of other classes than the masks': its ids mean something else, and there are no colours for them.
    comparable = model is not None and model.classes == store.scheme.classes
    prediction = model.predict(frame_HWC) if model is not None and comparable else None
    size = overlays.fitted_size(*mask_size(frame_HWC), PICTURE_WIDTH_PX)
    small = overlays.resize_frame(frame_HWC, size)
    pictures = {"Frame": small}
    for title, class_ids in (("Mask", mask), ("Prediction", prediction)):
        if class_ids is not None:
            shrunk = overlays.resize_mask(class_ids, size)
            pictures[title] = overlays.draw_mask(small, shrunk, store.scheme, "fill")
    if mask is not None and prediction is not None:
        pictures["Boundary errors"] = overlays.draw_errors(frame_HWC, prediction, mask, size)
    return WorstFrame(number, pick.why, pictures)


def mask_size(frame_HWC: Frame) -> tuple[int, int]:
    """Rows and columns of a frame."""
    height, width = frame_HWC.shape[:2]
    return height, width
