"""Export and import of a session folder as a command; `hogseg annotations` starts it as a child process.

`python -m napari_hogseg.session.exchange_command export SESSION --format coco --out FOLDER` and
`... import SESSION ANNOTATIONS --format coco`. Exit code 0 done, 2 bad input, 3 disk, 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hogseg.data.exchange import FORMATS, find_format
from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.annotations import AnnotationStore
from napari_hogseg.session.exchange import FolderMasks, export_review, import_masks
from napari_hogseg.session.exit_codes import run_and_tell
from napari_hogseg.session.session_clip import open_session_clip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hogseg.session.clips import Clip
    from napari_hogseg.session.exchange import ExportReport, ImportReport


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; gives the exit code."""
    options = _parser().parse_args(arguments)

    def work() -> ExportReport | ImportReport:
        clip = open_session_clip(options.session, options.clip, options.masks)
        try:
            return _export(options, clip) if options.what == "export" else _import(options, clip)
        finally:
            clip.source.close()

    return run_and_tell(work, "every file and frame that was written is whole")


def _export(options: Any, clip: Clip) -> ExportReport:  # noqa: ANN401 - argparse's
    return export_review(
        FolderMasks(options.session, clip.identity, clip.truth),
        clip,
        options.out,
        find_format(options.format),
        which=options.frames,
        pictures=options.pictures,
        mask_folder=options.masks,
    )


def _import(options: Any, clip: Clip) -> ImportReport:  # noqa: ANN401 - argparse's
    rest = IGNORE
    if options.rest:
        if options.rest not in clip.scheme.classes:
            classes = ", ".join(clip.scheme.classes)
            raise InputError(
                f"No such class: {options.rest}", where="--rest", remedy=f"There are: {classes}."
            )
        rest = clip.scheme.classes.index(options.rest)
    store = AnnotationStore(options.session, clip.identity, clip.truth, settle_s=0.0)
    try:
        form = find_format(options.format)
        return import_masks(store, options.annotations, form, rest=rest, erase=options.erase)
    finally:
        store.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m napari_hogseg.session.exchange_command",
        description="Annotations of a session folder out to other tools' formats, and in again.",
    )
    commands = parser.add_subparsers(dest="what", required=True)
    going_out, coming_in = commands.add_parser("export"), commands.add_parser("import")
    for command in (going_out, coming_in):
        command.add_argument("session", type=Path, metavar="SESSION", help="session folder")
        command.add_argument("--format", choices=tuple(FORMATS), required=True)
        command.add_argument("--clip", type=Path, help="the clip, if it is not where the session saw it")
        command.add_argument("--masks", type=Path, help="its masks, likewise")
    going_out.add_argument("--out", type=Path, required=True, help="new or empty folder")
    going_out.add_argument("--frames", choices=("corrected", "all"), default="corrected")
    going_out.add_argument("--pictures", action="store_true", help="write the frames too")
    coming_in.add_argument("annotations", type=Path, metavar="ANNOTATIONS", help="exported folder or file")
    coming_in.add_argument("--rest", default="", help="class of pixels that no shape covers")
    coming_in.add_argument("--erase", action="store_true", help="empty frames erase what is there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
