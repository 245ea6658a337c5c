"""Polygons along pixel edges: tracing a binary mask and filling rings. Reads no file.

A ring's points are pixel corners (x, y): pixel (row, column) is the square from (column, row) to
(column + 1, row + 1). Filled are the pixels whose middle lies inside by the even-odd rule, so that what was
traced is filled again to the pixel, holes and bridges included.

Legend: H rows, W columns, N points.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage, spatial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    Ring = npt.NDArray[np.int64]
    Point = tuple[int, int]
    Edge = tuple[Point, int]

#: Right, down, left, up: the inside is on the right hand, as rows grow downwards.
STEPS: tuple[tuple[int, int], ...] = ((1, 0), (0, 1), (-1, 0), (0, -1))


FAR_AWAY = 1e6
"""Pixels; a coordinate beyond is damage."""

#: Times that nearness is told anew for the holes of one part: 64 trees of 100,000 points take 2 s.
MAX_TREES = 64


def trace_polygons(inside: npt.NDArray[np.bool_]) -> list[Ring]:
    """Trace a mask: one closed ring a connected part (4 neighbours), its holes reached by bridges.

    A bridge is a line walked there and back: it encloses nothing.

    Parameters
    ----------
    inside : (H, W) bool ndarray

    Returns
    -------
    list of (N, 2) int64 ndarray
        Corners x, y; the last point is not the first again.
    """
    labels, _ = ndimage.label(inside)
    outer: dict[int, Ring] = {}
    holes: defaultdict[int, list[Ring]] = defaultdict(list)
    for ring, label in _rings(inside, labels):
        if _twice_area(ring) > 0:
            outer[label] = ring
        else:
            holes[label].append(ring)
    return [_bridged(ring, holes[label]) for label, ring in sorted(outer.items())]


def _rings(inside: npt.NDArray[np.bool_], labels: npt.NDArray[np.int32]) -> Iterator[tuple[Ring, int]]:
    """Chain pixel edges to rings, with the label of the part on their right."""
    edges = _edges(inside)
    waiting = {(corner, direction) for corner, leaving in edges.items() for direction in leaving}
    while waiting:
        edge = first = waiting.pop()
        points = []
        while True:
            after = _next(edges, *edge)
            if after[1] != edge[1]:
                points.append(after[0])
            if after == first:
                break
            waiting.remove(after)
            edge = after
        yield np.array(points, np.int64), _label_beside(*first, labels)


def _next(edges: dict[Point, list[int]], corner: Point, direction: int) -> Edge:
    """Give the edge after one. Right turns first: pixels that meet at a corner only are two parts."""
    end = (corner[0] + STEPS[direction][0], corner[1] + STEPS[direction][1])
    leaving = edges[end]
    return end, next(turn % 4 for turn in (direction + 1, direction, direction - 1) if turn % 4 in leaving)


def _edges(inside: npt.NDArray[np.bool_]) -> dict[Point, list[int]]:
    """Directions of the edges that leave each corner, the inside on their right."""
    padded = np.pad(inside, 1).astype(np.int8)
    down, across = np.diff(padded, axis=0)[:, 1:-1], np.diff(padded, axis=1)[1:-1]
    edges: dict[Point, list[int]] = {}
    for steps, value, direction, shift in (
        (down, 1, 0, (0, 0)),  # top side: to the right
        (across, -1, 1, (0, 0)),  # right side: downwards
        (down, -1, 2, (1, 0)),  # bottom side: to the left
        (across, 1, 3, (0, 1)),  # left side: upwards
    ):
        rows, columns = np.nonzero(steps == value)
        for x, y in zip((columns + shift[0]).tolist(), (rows + shift[1]).tolist(), strict=True):
            edges.setdefault((x, y), []).append(direction)
    return edges


def _label_beside(start: Point, direction: int, labels: npt.NDArray[np.int32]) -> int:
    """Label of the pixel on the right hand of an edge."""
    x, y = start
    row, column = ((y, x), (y, x - 1), (y - 1, x - 1), (y - 1, x))[direction]
    return int(labels[row, column])


def _twice_area(ring: Ring) -> int:
    x, y = ring.T
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def _bridged(ring: Ring, holes: Sequence[Ring]) -> Ring:
    """Take holes into a ring, each from the point nearest to what is joined already.

    With many holes, as where a prediction is speckled, several are joined before nearness is told anew.
    """
    step = -(-len(holes) // MAX_TREES) or 1
    for first in range(0, len(holes), step):
        tree = spatial.cKDTree(ring)
        bridges = sorted(
            (_bridge(tree, hole) for hole in holes[first : first + step]), key=lambda cut: cut[0]
        )
        parts, done = [], 0
        for at, around in bridges:
            parts += [ring[done : at + 1], around, ring[at : at + 1]]
            done = at + 1
        ring = np.concatenate([*parts, ring[done:]])
    return ring


def _bridge(tree: spatial.cKDTree, hole: Ring) -> tuple[int, Ring]:
    """Place of the joined point nearest to a hole, and the way round the hole from there and back."""
    distances, places = tree.query(hole)
    begin = int(distances.argmin())
    return int(places[begin]), np.concatenate([hole[begin:], hole[: begin + 1]])


def fill_polygons(rings: Sequence[npt.NDArray[np.number]], height: int, width: int) -> npt.NDArray[np.bool_]:
    """Fill rings by the even-odd rule, sampled at the middles of the pixels.

    Parameters
    ----------
    rings : sequence of (N, 2) ndarray
        Corners x, y in pixels; may lie outside the frame.
    height, width : int

    Returns
    -------
    (H, W) bool ndarray
    """
    inside = np.zeros((height, width), np.bool_)
    for ring in rings:
        place, box = fill_ring(ring, height, width)
        inside[place] ^= box
    return inside


def fill_ring(
    ring: npt.NDArray[np.number], height: int, width: int
) -> tuple[tuple[slice, slice], npt.NDArray[np.bool_]]:
    """Fill one ring, within the box that it covers of the frame: thousands of small ones cost little.

    Returns
    -------
    tuple of slice
        Rows and columns of the box.
    (h, w) bool ndarray
        Which of its pixels are inside, by the even-odd rule.

    Raises
    ------
    ValueError
        If it has fewer than three points, or one that is nowhere near a picture.
    """
    corners = np.asarray(ring, np.float64)
    if len(corners) < 3 or not (np.abs(corners) < FAR_AWAY).all():  # NaN is not smaller either
        raise ValueError("an outline has three points or more, all of them in the picture or near it")
    limits = (width, height)
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, limits).astype(int).tolist()
    right, bottom = np.clip(np.ceil(corners.max(axis=0)), 0, limits).astype(int).tolist()
    box_height, box_width = bottom - top, right - left
    begin = corners - (left, top)
    rows, columns = _crossings(begin, np.roll(begin, -1, axis=0), box_height, box_width)
    flat = np.bincount(rows * (box_width + 1) + columns, minlength=box_height * (box_width + 1))
    crossings = flat.reshape(box_height, box_width + 1)[:, :box_width]
    return (slice(top, bottom), slice(left, right)), np.asarray(np.cumsum(crossings, axis=1) % 2 == 1)


def _crossings(
    begin: npt.NDArray[np.float64], end: npt.NDArray[np.float64], height: int, width: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows whose middle a line crosses, and the first column whose middle lies beyond."""
    upper = np.where(begin[:, 1] <= end[:, 1], 1, 0)[:, None]
    top, bottom = np.where(upper, begin, end), np.where(upper, end, begin)
    first = np.clip(np.ceil(top[:, 1] - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(bottom[:, 1] - 0.5), 0, height).astype(np.int64)
    counts = last - first
    line = np.repeat(np.arange(len(begin)), counts)
    rows = np.arange(len(line)) - np.repeat(np.cumsum(counts) - counts, counts) + first[line]
    slope = (bottom - top)[line]
    x = top[line, 0] + slope[:, 0] * (rows + 0.5 - top[line, 1]) / slope[:, 1]
    return rows, np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
