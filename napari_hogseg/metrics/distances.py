"""Exact distances from the points of one boundary to the nearest point of another.

Owns the search; which pixels or corners are boundary points is the business of `contours`. Points lie on a
grid, so squared distances are integers and every comparison with a tolerance is exact. A distance transform
would fill the whole frame once per class and mask; here only the boundary points are visited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.features.compiling import compiled, inlined

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]
    Points = tuple[Rows, Rows]  # rows and columns, in the order of the rows, columns ascending within one

#: Above every squared distance in a frame: "there is no such point".
NOWHERE = 1 << 40

_FAR_PX = 1 << 19  # a column without a point; its square is far below the limits of int64

#: A row whose searches have looked at this many times its columns is finished by its lower envelope instead.
_PATIENCE = 8


def squared_distances(
    points: Points, others: Points, ceiling: int = NOWHERE, *, patience: int = _PATIENCE
) -> Rows:
    """Squared distance of each point to the nearest of the others.

    Parameters
    ----------
    points, others : pair of (N,) and of (M,) int64 arrays
        Rows and columns in pixels, sorted by row, then column.
    ceiling : int
        What a point gets that has none of the others nearer than this squared distance. A low one saves time.
    patience : int
        When to change from searching to the lower envelope. Of no influence on the result: searching is
        quicker where the boundaries are near each other, the envelope's cost has a bound where they are not.

    Returns
    -------
    (N,) int64 array
        At most `ceiling`; `ceiling` everywhere if there are no others.

    References
    ----------
    Felzenszwalb and Huttenlocher, "Distance transforms of sampled functions", Theory of Computing 2012 (the
    envelope).
    """
    result = np.full(points[0].size, ceiling, np.int64)
    if result.size and others[0].size:
        _sweep(*points, *others, patience, result)
    return result


@compiled
def _sweep(rows: Rows, cols: Rows, other_rows: Rows, other_cols: Rows, patience: int, result: Rows) -> None:
    """Lower `result` (the ceiling on entry) to the squared distances, row by row from the top.

    While the rows pass, `above` and `below` hold for each column the row of the nearest other point there.
    """
    left = other_cols.min()
    width = other_cols.max() - left + 1
    above, below = np.full(width, -_FAR_PX), np.full(width, _FAR_PX)
    next_rows = np.empty(other_rows.size, np.int64)  # of the next point below in the same column
    for i in range(other_rows.size - 1, -1, -1):
        next_rows[i] = below[other_cols[i] - left]
        below[other_cols[i] - left] = other_rows[i]
    hull, heights, begins = np.empty(width, np.int64), np.empty(width, np.int64), np.empty(width, np.int64)

    passed = point = 0
    while point < rows.size:
        row = rows[point]
        while passed < other_rows.size and other_rows[passed] <= row:
            above[other_cols[passed] - left] = other_rows[passed]
            below[other_cols[passed] - left] = next_rows[passed]
            passed += 1
        looked_at = 0
        while point < rows.size and rows[point] == row and looked_at <= patience * width:
            result[point], steps = _search(row, cols[point] - left, above, below, result[point])
            looked_at += steps
            point += 1
        if point == rows.size or rows[point] != row:
            continue
        _build_envelope(row, above, below, hull, heights, begins)
        piece = 0
        while point < rows.size and rows[point] == row:
            col = cols[point] - left
            while piece + 1 < width and begins[piece + 1] <= col:
                piece += 1
            squared = (col - hull[piece]) ** 2 + heights[piece]
            result[point] = min(result[point], squared)
            point += 1


@inlined
def _search(row: int, col: int, above: Rows, below: Rows, ceiling: int) -> tuple[int, int]:
    """Look left and right, ever farther, until no column can hold a nearer point; also count the steps."""
    width = above.size
    best = ceiling
    start = max(0, -col, col - width + 1)
    step = start
    while step * step < best and (step <= col or step < width - col):
        if 0 <= col - step < width:
            gap = min(row - above[col - step], below[col - step] - row)
            best = min(best, step * step + gap * gap)
        if 0 <= col + step < width:
            gap = min(row - above[col + step], below[col + step] - row)
            best = min(best, step * step + gap * gap)
        step += 1
    return best, step - start


@compiled
def _build_envelope(row: int, above: Rows, below: Rows, hull: Rows, heights: Rows, begins: Rows) -> None:
    """Which column holds the nearest point, for each stretch of one row.

    From column `begins[k]` on it is `hull[k]`, whose point lies the root of `heights[k]` above or below the
    row. Entries beyond the last stretch begin at the end of the world.
    """
    size = 0
    for col in range(above.size):
        gap = min(row - above[col], below[col] - row)
        height = gap * gap
        begin = -NOWHERE
        while size > 0:
            last = hull[size - 1]
            # First column that is at least as near to this one's point: a division rounded up.
            begin = -((last * last + heights[size - 1] - col * col - height) // (2 * (col - last)))
            if begin > begins[size - 1]:
                break
            size -= 1
            begin = -NOWHERE
        hull[size], heights[size], begins[size] = col, height, begin
        size += 1
    begins[size:] = NOWHERE
