"""How the timeline's curves are painted: line by line where frames are few, bands and means where many.

Owns what a strip and a curve are, and the colours. Where they lie is `timeline_canvas`'s part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QLineF, QPointF, Qt
from qtpy.QtGui import QColor, QPainter, QPen

from napari_hogseg.ui.timeline_view import largest

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from qtpy.QtCore import QRectF

    from napari_hogseg.ui.timeline_view import TimelineView

#: Frames this wide get a dot each.
DOT_PX = 10.0
MAX_SMOOTH_POINTS = 600
BAND_ALPHA = 70


@dataclass(frozen=True)
class TimelineColors:
    """Colours of the theme."""

    background: QColor
    foreground: QColor
    text: QColor
    accent: QColor
    error: QColor


@dataclass(frozen=True, eq=False)
class Strip:
    """A row that says yes or no of each frame.

    `troubled` frames are drawn in the colour of errors.
    """

    name: str
    color: QColor
    flags: npt.NDArray[np.bool_] = field(repr=False)
    troubled: npt.NDArray[np.bool_] | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Curve:
    """Values over the frames, from 0 to `scale`; NaN is a gap. No scale: up to the largest."""

    color: QColor
    values: npt.NDArray[np.float32] = field(repr=False)
    scale: float | None = None


def paint_curves(
    painter: QPainter, box: QRectF, curves: Sequence[Curve], view: TimelineView, num_columns: int
) -> None:
    """Paint curves into a box, the last one on top.

    Parameters
    ----------
    painter : QPainter
        In logical pixels.
    box : QRectF
    curves : sequence of Curve
    view : TimelineView
        The frames from edge to edge of the box.
    num_columns : int
        Columns of device pixels in the box.
    """
    painter.save()
    painter.setBrush(Qt.BrushStyle.NoBrush)
    dense = view.is_dense(num_columns)
    # All bands before all means: none hides another curve's course.
    for paint in (_paint_band, _paint_means) if dense else (_paint_points,):
        for curve in curves:
            paint(painter, box, curve, view, num_columns)
    painter.restore()


def _to_y(curve: Curve, box: QRectF, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    scale = largest(curve.values) if curve.scale is None else curve.scale
    if not math.isfinite(scale) or scale <= 0:
        scale = 1.0
    shares: npt.NDArray[np.float64] = np.clip(values / scale, 0, 1).astype(np.float64)
    return np.asarray(box.bottom() - 2 - shares * (box.height() - 4))


def _paint_points(painter: QPainter, box: QRectF, curve: Curve, view: TimelineView, num_columns: int) -> None:
    columns, values = view.points(curve.values, num_columns)
    x, y, known = (
        box.left() + columns * (box.width() / num_columns),
        _to_y(curve, box, values),
        ~np.isnan(values),
    )
    connect = np.append(known[:-1] & known[1:], False)
    painter.setPen(QPen(curve.color, 1.5))
    # Line by line: a smooth path of as many points takes Qt ten times as long.
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, len(x) <= MAX_SMOOTH_POINTS)
    at = np.stack([x, y], axis=1)
    ends = np.concatenate([at[:-1], at[1:]], axis=1)[connect[:-1]]
    painter.drawLines([QLineF(*line) for line in ends.tolist()])
    is_alone = known & ~np.append(False, connect[:-1]) & ~connect
    painter.setBrush(curve.color)
    painter.setPen(Qt.PenStyle.NoPen)
    for place in at[known if box.width() / view.span >= DOT_PX else is_alone].tolist():
        painter.drawEllipse(QPointF(*place), 2.0, 2.0)


def _paint_band(painter: QPainter, box: QRectF, curve: Curve, view: TimelineView, num_columns: int) -> None:
    """Paint a pale line from the smallest to the largest value of each column."""
    columns, ends = _column_lines(*view.column_extremes(curve.values, num_columns))
    painter.setPen(QPen(faded(curve.color, BAND_ALPHA), 0))
    x = box.left() + (columns + 0.5) * (box.width() / num_columns)
    painter.drawPath(pg.arrayToQPath(x, _to_y(curve, box, ends), connect="pairs"))


def _paint_means(painter: QPainter, box: QRectF, curve: Curve, view: TimelineView, num_columns: int) -> None:
    means = view.column_means(curve.values, num_columns)
    known = ~np.isnan(means)
    x = box.left() + (np.arange(num_columns) + 0.5) * (box.width() / num_columns)
    # A lone column keeps a dot: its own band is a line of no length.
    connect = np.append(known[:-1] & known[1:], False).astype(np.int32)
    painter.setPen(QPen(curve.color, 0))
    painter.drawPath(pg.arrayToQPath(x, np.where(known, _to_y(curve, box, means), 0.0), connect=connect))
    is_alone = known & (np.append(0, connect[:-1]) == 0) & (connect == 0)
    for column in np.flatnonzero(is_alone).tolist():
        painter.drawPoint(QPointF(float(x[column]), float(_to_y(curve, box, means[column : column + 1])[0])))


def _column_lines(
    low: npt.NDArray[np.float32], high: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """Make a line of each column that has a value, long enough to touch the column before it."""
    before_low = np.append(np.float32(np.nan), low[:-1])
    before_high = np.append(np.float32(np.nan), high[:-1])
    columns = np.flatnonzero(~np.isnan(low))
    begin, end = np.fmin(low, before_high)[columns], np.fmax(high, before_low)[columns]
    return np.repeat(columns.astype(np.float64), 2), np.stack([begin, end], axis=1).ravel()


def faded(color: QColor, alpha: int) -> QColor:
    """Give the same colour, less opaque; `alpha` from 0 to 255."""
    pale = QColor(color)
    pale.setAlpha(alpha)
    return pale
