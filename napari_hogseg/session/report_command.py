"""Report and film of a session folder as a command; `hogseg report` and `hogseg film` start it as a child.

`python -m napari_hogseg.session.report_command report SESSION --out review.html --model RUN` and
`... film SESSION --out clip.mp4 --first 100 --last 250`. Exit code 0 done, 2 bad input, 3 disk, 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hogseg.io.errors import InputError
from napari_hogseg.session.annotations import AnnotationStore
from napari_hogseg.session.blob_codec import ErrorBlobCodec
from napari_hogseg.session.exit_codes import run_and_tell
from napari_hogseg.session.film import PANELS, FilmOptions, write_film
from napari_hogseg.session.overlays import MASK_STYLES
from napari_hogseg.session.ranges import FrameRange
from napari_hogseg.session.review_report import NUM_WORST, Progress, ReportModel, write_report
from napari_hogseg.session.session_clip import open_session_clip
from napari_hogseg.session.survey import Survey, SurveyModel, own_source, survey_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hogseg.inference.predictor import Predictor
    from napari_hogseg.session.clips import Clip
    from napari_hogseg.session.survey_file import SurveyRecord


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; gives the exit code."""
    options = _parser().parse_args(arguments)

    def work() -> str:
        clip = open_session_clip(options.session, options.clip, options.masks)
        store = AnnotationStore(options.session, clip.identity, clip.truth, settle_s=0.0)
        try:
            return (_report if options.what == "report" else _film)(options, clip, store)
        finally:
            store.close()
            clip.source.close()

    return run_and_tell(work, "nothing was written")


def _report(options: Any, clip: Clip, store: AnnotationStore) -> str:  # noqa: ANN401 - argparse's
    if options.out.suffix.lower() not in (".html", ".htm"):
        raise InputError("A report is an HTML file", where=options.out, remedy="Name it review.html or so.")
    predictor = _load(options)
    records = [] if predictor is None else _survey(clip, store, predictor)
    model = None if predictor is None else ReportModel.of(predictor)
    write = partial(write_report, num_worst=options.worst, progress=Progress(_teller("pictures")))
    write(options.out, store, clip.source, records, model)
    return f"Wrote {options.out}: {len(records)} of {store.shape[0]} frames surveyed."


def _film(options: Any, clip: Clip, store: AnnotationStore) -> str:  # noqa: ANN401
    predictor = _load(options)
    last = store.shape[0] - 1 if options.last is None else options.last
    looks = FilmOptions(tuple(options.panel or ["mask"]), options.style, options.width_px)
    model = None if predictor is None else ReportModel.of(predictor)
    progress = Progress(_teller("frames"))
    frames = FrameRange(options.first, last)
    number = write_film(options.out, store, clip.source, frames, looks, model, progress=progress)
    return f"Wrote {options.out}: {number} pictures."


def _load(options: Any) -> Predictor | None:  # noqa: ANN401
    if options.model is None:
        return None
    from napari_hogseg.inference.predictor import Predictor  # brings torch: a film of masks needs none

    return Predictor.load(options.model, options.device)


def _survey(clip: Clip, store: AnnotationStore, predictor: Predictor) -> list[SurveyRecord]:
    """Measure the frames that the session's survey lacks; what the window has measured is taken over."""
    from napari_hogseg.inference.residual import read_frame

    model = SurveyModel(
        survey_digest(predictor), predictor.scheme.classes, lambda frame_HWC: read_frame(predictor, frame_HWC)
    )
    survey = Survey(store, lambda: own_source(clip.source), model, ErrorBlobCodec())
    tell = _teller("frames surveyed")
    try:
        survey.load()
        while survey.step(0) is not None:
            tell(survey.num_done, survey.num_frames)
    finally:
        survey.close()
    return survey.records()


def _teller(what: str) -> Any:  # noqa: ANN401 - a function
    def tell(num_done: int, num_all: int) -> None:
        # On a terminal one line that counts; in a log a line for each tenth.
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{num_done} of {num_all} {what}" + ("\n" if num_done == num_all else ""))
        elif num_done == num_all or num_done % max(1, num_all // 10) == 0:
            sys.stderr.write(f"{num_done} of {num_all} {what}\n")
        sys.stderr.flush()

    return tell


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m napari_hogseg.session.report_command",
        description="A session folder as a report in HTML, or a range of it as a film.",
    )
    commands = parser.add_subparsers(dest="what", required=True)
    report, film = commands.add_parser("report"), commands.add_parser("film")
    for command in (report, film):
        command.add_argument("session", type=Path, metavar="SESSION", help="session folder")
        command.add_argument("--out", type=Path, required=True, help="file to write")
        command.add_argument("--model", type=Path, help="run folder or model folder")
        command.add_argument("--device", default="auto")
        command.add_argument("--clip", type=Path, help="the clip, if it is not where the session saw it")
        command.add_argument("--masks", type=Path, help="its masks, likewise")
    report.add_argument("--worst", type=int, default=NUM_WORST, help="frames shown as pictures")
    film.add_argument("--first", type=int, default=0)
    film.add_argument("--last", type=int, help="the clip's last frame if not given")
    film.add_argument("--panel", action="append", choices=PANELS, help="repeatable")
    film.add_argument("--style", choices=MASK_STYLES, default=MASK_STYLES[0])
    film.add_argument("--width-px", type=int, default=FilmOptions.panel_width_px)
    return parser


if __name__ == "__main__":
    sys.exit(main())
