"""The review report as a page: HTML that needs no other file, no script, no network; for screen and paper.

Owns words, order and looks. What the numbers are is `report_facts`' part.
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_hogseg.session.overlays import ERROR_COLORS, TOLERANCE_PX
from napari_hogseg.session.report_curves import Plot
from napari_hogseg.session.report_facts import BOUNDARY_PROTOCOL, IOU_PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    import numpy.typing as npt

    from napari_hogseg.data.scheme import Color, LabelScheme
    from napari_hogseg.session.report_facts import Effort, Scores, Share

JPEG_QUALITY = 82
#: A confusion of more classes does not fit a page.
MAX_CONFUSION_CLASSES = 12
CURVES = (
    ("miou", "Mean IoU by frame", "against the mask", 0.0, 1.0, "#0072b2"),
    ("boundary_f", "Boundary F by frame", "against the mask", 0.0, 1.0, "#009e73"),
    ("hog_residual", "HOG residual by frame", "no mask needed", 0.0, None, "#d55e00"),
    (
        "flicker",
        "Flicker by frame",
        "share of pixels that changed class since the frame before",
        0.0,
        None,
        "#a0527d",
    ),
)
STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; color: #1d232b;
  background: #fff; max-width: 60rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .6rem;
  border-bottom: 2px solid #0072b2; padding-bottom: .2rem; } h3 { font-size: 1rem; margin: 1.1rem 0 .2rem; }
p { margin: .4rem 0; } .small, figcaption { font-size: .85rem; color: #4a5563; } .none { color: #4a5563; }
table { border-collapse: collapse; margin: .5rem 0 1rem; } th, td { padding: .22rem .7rem .22rem 0;
  text-align: left; vertical-align: top; border-bottom: 1px solid #dfe4ea; } td.n, th.n { text-align: right;
  font-variant-numeric: tabular-nums; } td { overflow-wrap: anywhere; }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: .6rem 0 1rem; }
.tile { border: 1px solid #d3dae2; border-radius: 6px; padding: .5rem .9rem; min-width: 8rem; }
.tile b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.key { display: inline-block; width: .8em; height: .8em; border: 1px solid #555; margin-right: .35em;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.keys span { margin-right: 1.1em; white-space: nowrap; }
svg { width: 100%; height: auto; display: block; }
.frame { border-top: 1px solid #dfe4ea; padding-top: .4rem; margin-top: .8rem; break-inside: avoid; }
.row { display: grid; grid-template-columns: repeat(4, 1fr); gap: .5rem; } .row figure { margin: 0; }
.row img { width: 100%; height: auto; display: block; }
@media (max-width: 44rem) { .row { grid-template-columns: repeat(2, 1fr); } }
@media print { body { margin: 0; max-width: none; font-size: 10.5pt; } h2, h3, h2 + p { break-after: avoid; }
  table, .plot, .tiles { break-inside: avoid; } @page { margin: 15mm; } }
"""
#: The page may load nothing, so that it says the same wherever it is opened.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True, eq=False)
class WorstFrame:
    """A frame with its pictures by title, each (h, w, 3) uint8."""

    frame_index: int
    why: str
    pictures: Mapping[str, npt.NDArray[np.uint8]]
    note: str = ""


@dataclass(frozen=True, eq=False)
class ReportPage:
    """All that is on the page.

    Attributes
    ----------
    made : datetime
        UTC.
    title : str
        The clip's name.
    clip, model : sequence of (str, str)
        Lines about them; no lines where there is no model.
    versions : mapping of str to str
    scheme : LabelScheme
    num_surveyed, num_frames : int
    scores : Scores or None
    curves : mapping of str to (T,) float32 ndarray
    corrected : sequence of int
    worst : sequence of WorstFrame
    worst_apart : int
        Least distance of two of them in frames.
    effort : Effort
    """

    made: datetime
    title: str
    clip: Sequence[tuple[str, str]]
    model: Sequence[tuple[str, str]]
    versions: Mapping[str, str]
    scheme: LabelScheme
    num_surveyed: int
    num_frames: int
    scores: Scores | None
    curves: Mapping[str, npt.NDArray[np.float32]]
    corrected: Sequence[int]
    worst: Sequence[WorstFrame]
    worst_apart: int
    effort: Effort


def to_html(page: ReportPage) -> str:
    """Write the page."""
    title = f"Review of {escape(page.title)}"
    parts = (_scores(page), _curves(page), _worst(page), _effort(page), _identity(page))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>\n"
        f'<header><h1>{title}</h1><p class="small">{page.made:%Y-%m-%d %H:%M} UTC, '
        f"napari-hogseg {escape(page.versions.get('napari-hogseg', ''))}</p></header>\n<main>"
        + "".join("\n".join(part) for part in parts)
        + "</main>\n</body></html>\n"
    )


def _scores(page: ReportPage) -> Iterator[str]:
    yield "<section><h2>Scores</h2>"
    yield f"<p>The survey measured {page.num_surveyed} of {page.num_frames} frames.</p>"
    scores = page.scores
    if scores is None:
        yield '<p class="none">No frame was compared with a mask: there is nothing to score.</p></section>'
        return
    tiles = (("Mean IoU", scores.miou), ("Boundary F", scores.boundary_f))
    yield '<div class="tiles">'
    for name, value in tiles:
        yield f'<div class="tile"><b>{number(value)}</b>{name}</div>'
    yield f'<div class="tile"><b>{scores.num_frames}</b>frames with a mask</div></div>'
    yield f'<p class="small">{IOU_PROTOCOL} {BOUNDARY_PROTOCOL} Masks are those of today: '
    yield f"{scores.num_corrected} of the {scores.num_frames} were changed by a person.</p>"
    names, total = page.scheme.classes, scores.confusion.sum(axis=1)
    rows = (
        (_key(name, color), number(iou), f"{int(pixels):,}")
        for name, color, iou, pixels in zip(names, page.scheme.colors, scores.iou, total, strict=False)
    )
    yield _table(("Class", "IoU", "Pixels in the masks"), rows, caption="IoU by class")
    if len(names) <= MAX_CONFUSION_CLASSES:
        yield _confusion(names, scores)
    yield "</section>"


def _confusion(names: Sequence[str], scores: Scores) -> str:
    rows = (
        (escape(name), *(f"{100 * count / total:.1f}" if (total := row.sum()) else "-" for count in row))
        for name, row in zip(names, scores.confusion, strict=False)
    )
    heading = ("Mask \\ prediction", *(escape(name) for name in names))
    return _table(heading, rows, caption="Where the pixels of each class went, per cent of the class")


def _curves(page: ReportPage) -> Iterator[str]:
    yield "<section><h2>Curves over the clip</h2>"
    if len(page.corrected):
        yield '<p class="small">Triangles: frames whose mask a person changed.</p>'
    for name, title, about, low, high, color in CURVES:
        yield f'<div class="plot"><h3>{title}</h3><p class="small">{about}</p>'
        values = page.curves[name]
        plot = Plot(
            title, np.arange(len(values), dtype=np.float64), values, "frame", low, high, color, page.corrected
        )
        yield plot.to_svg() + "</div>"
    yield "</section>"


def _worst(page: ReportPage) -> Iterator[str]:
    yield "<section><h2>Worst frames</h2>"
    if not page.worst:
        yield '<p class="none">No frame was measured.</p></section>'
        return
    if page.worst_apart > 1:
        yield f'<p class="small">Of frames less than {page.worst_apart} apart only the worst is shown.</p>'
    yield '<p class="keys small">Masks: '
    yield from (
        f"<span>{_key(n, c)}</span>" for n, c in zip(page.scheme.classes, page.scheme.colors, strict=True)
    )
    yield f"<br>Boundary errors, within {TOLERANCE_PX} pixels: "
    yield from (f"<span>{_key(name, color)}</span>" for name, color in ERROR_COLORS.values())
    yield "</p>"
    for frame in page.worst:
        yield f'<div class="frame"><h3>Frame {frame.frame_index}</h3>'
        yield f'<p class="small">{escape(frame.why)}</p>'
        if frame.note:
            yield f'<p class="none">Cannot be shown: {escape(frame.note)}</p>'
        yield '<div class="row">'
        for title, picture in frame.pictures.items():
            alt = f"{title} of frame {frame.frame_index}, {escape(frame.why)}"
            height, width = picture.shape[:2]
            yield f'<figure><img src="{_data_uri(picture)}" alt="{alt}" width="{width}" height="{height}">'
            yield f"<figcaption>{title}</figcaption></figure>"
        yield "</div></div>"
    yield "</section>"


def _effort(page: ReportPage) -> Iterator[str]:
    effort, curve = page.effort, page.effort.curve
    yield "<section><h2>Effort</h2>"
    if not curve.when:
        yield '<p class="none">Nothing was corrected yet.</p></section>'
        return
    frames, pixels = curve.frames[-1], curve.pixels[-1]
    yield '<div class="tiles">'
    for value, name in (
        (f"{curve.total_minutes:.1f}", "minutes of work"),
        (str(frames), "frames changed"),
        (f"{pixels:,}", "pixels changed"),
    ):
        yield f'<div class="tile"><b>{value}</b>{name}</div>'
    yield f'</div><p class="small">{curve.when[0]:%Y-%m-%d} to {curve.when[-1]:%Y-%m-%d}. Pauses of more '
    yield "than half a minute are not counted; what an undo took back is taken off.</p>"
    x, y = np.array([0.0, *curve.minutes]), np.array([0.0, *curve.pixels])
    yield Plot("Pixels changed by minutes of work", x, y, "minutes of work", 0.0).to_svg()
    heading = ("Actions", "Pixels", "Minutes")
    yield _table(("Person", *heading), map(_share_row, effort.by_author), caption="By person")
    yield _table(("Action", *heading), map(_share_row, effort.by_kind), caption="By action")
    yield _table(("Proposed by", *heading), map(_share_row, effort.by_model), caption="By who proposed it")
    rows = ((escape(name), f"{to:,}", f"{away:,}") for name, to, away in effort.by_class)
    yield _table(("Class", "Pixels to it", "Pixels from it"), rows, caption="By class")
    yield "</section>"


def _share_row(share: Share) -> tuple[str, ...]:
    return escape(share.name), str(share.num_actions), f"{share.pixels:,}", f"{share.minutes:.1f}"


def _identity(page: ReportPage) -> Iterator[str]:
    yield "<section><h2>What this is about</h2><h3>Clip</h3>"
    yield _lines(page.clip)
    yield "<h3>Model</h3>"
    yield _lines(page.model) if page.model else '<p class="none">None was loaded.</p>'
    yield "<h3>Versions</h3>"
    yield f'<p class="small">{escape(", ".join(f"{n} {v}" for n, v in page.versions.items()))}</p></section>'


def _lines(lines: Iterable[tuple[str, str]]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>' for name, text in lines
    )
    return f"<table>{rows}</table>"


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """Write a table of finished HTML cells; all but the first column are numbers."""
    head = "".join(f'<th scope="col"{" class=n" if i else ""}>{cell}</th>' for i, cell in enumerate(heading))
    body = "".join(
        f'<tr><th scope="row">{first}</th>'
        + "".join(f'<td class="n">{cell}</td>' for cell in others)
        + "</tr>"
        for first, *others in rows
    )
    about = f'<caption class="small">{escape(caption)}</caption>'
    return f"<table>{about}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _key(name: str, color: Color) -> str:
    return f'<i class="key" style="background:rgb{tuple(color)}"></i>{escape(name)}'


def number(value: float) -> str:
    """Write a score; a dash where there is none."""
    return "-" if math.isnan(value) else f"{value:.3f}"


def _data_uri(picture_HWC: npt.NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture_HWC).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
