"""Regions and neighbourhoods in label images, for all classes in one pass over the frame.

Owns the compiled searches: connected regions of equal labels, and which pixels have a pixel of some kind within
a disk or next to their region. Knows nothing of error types; `decomposition` asks the questions. Distances are
between pixel centres, compared exactly, and what lies beyond the frame is nothing.

Legend: `own` holds the label whose neighbourhood a pixel is searched for, `agreed` the label where prediction
and truth agree; `void` marks a pixel without a label in each of them. A pixel is *open* if it has an own label
that is not the agreed one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.features.compiling import compiled, inlined

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Labels = NDArray[np.uint8]  # (H, W)
    Regions = NDArray[np.int32]  # (H, W)

_ROUNDING = 1e-9  # sqrt(2) squared is more than 2


def disk_rows(radius_px: float) -> NDArray[np.int64]:
    """Row offsets of a disk of pixel centres and how far each row reaches to either side: (N, 2), middle first."""
    offsets = np.arange(-int(radius_px), int(radius_px) + 1)
    offsets = offsets[np.argsort(np.abs(offsets), kind="stable")]
    reaches = np.sqrt(radius_px**2 - np.square(offsets) + _ROUNDING).astype(np.int64)
    return np.column_stack([offsets, reaches])


@compiled
def near_agreed_and_outside(
    own: Labels, agreed: Labels, prediction: Labels, truth: Labels, void: int, disk: NDArray[np.int64]
) -> Labels:
    """Own label of the open pixels that have both kinds of neighbour in the disk, `void` elsewhere.

    The two kinds are a pixel on which prediction and truth agree on the own label, and one where neither of the
    two is that label.
    """
    height, width = own.shape
    found = np.full((height, width), void, np.uint8)
    for row in range(height):
        no_inside = no_outside = False
        for col in range(width):
            label = own[row, col]
            if label == void or agreed[row, col] == label:
                no_inside = no_outside = False
                continue
            # If the left neighbour has the same label and searched in vain, only the disk's right rim is new.
            is_run = col > 0 and own[row, col - 1] == label
            no_inside, no_outside = no_inside and is_run, no_outside and is_run
            inside = outside = False
            for k in range(disk.shape[0]):
                at = row + disk[k, 0]
                if at < 0 or at >= height:
                    continue
                first, rim = max(0, col - disk[k, 1]), col + disk[k, 1]
                end = min(width, rim + 1)
                if not inside:
                    inside = _holds(agreed[at, rim if no_inside else first : end], label)
                if not outside:
                    begin = rim if no_outside else first
                    outside = _leaves(prediction[at, begin:end], truth[at, begin:end], label)
                if inside and outside:
                    found[row, col] = label
                    break
            no_inside, no_outside = not inside, not outside
    return found


@compiled
def near_marked(
    own: Labels, agreed: Labels, marked: Labels, void: int, disk: NDArray[np.int64]
) -> Labels:
    """Own label of the open pixels that are marked with it or have a pixel so marked in the disk."""
    height, width = own.shape
    found = np.full((height, width), void, np.uint8)
    for row in range(height):
        in_vain = False
        for col in range(width):
            label = own[row, col]
            if label == void or agreed[row, col] == label:
                in_vain = False
                continue
            in_vain = in_vain and col > 0 and own[row, col - 1] == label
            near = marked[row, col] == label
            for k in range(disk.shape[0]):
                if near:
                    break
                at, rim = row + disk[k, 0], col + disk[k, 1]
                if 0 <= at < height:
                    begin = rim if in_vain else max(0, col - disk[k, 1])
                    near = _holds(marked[at, begin : min(width, rim + 1)], label)
            if near:
                found[row, col] = label
            in_vain = not near
    return found


@compiled
def connected_regions(labels: Labels, void: int) -> tuple[Regions, int]:
    """Number the 8-connected regions of equal labels; also return an upper bound of the numbers.

    Numbers are at least 0 and leave gaps; pixels of `void` have -1.
    """
    height, width = labels.shape
    regions = np.full((height, width), -1, np.int32)
    # Every new number has a left neighbour of another label, so there are at most as many as pixels.
    parent = np.empty(labels.size, np.int32)
    num = 0
    for row in range(height):
        for col in range(width):
            label = labels[row, col]
            if label == void:
                continue
            region = -1
            if col > 0 and labels[row, col - 1] == label:
                region = regions[row, col - 1]
            if row > 0:
                for near in range(max(0, col - 1), min(width, col + 2)):
                    if labels[row - 1, near] == label:
                        region = _join(parent, region, regions[row - 1, near])
            if region < 0:
                region = parent[num] = num
                num += 1
            regions[row, col] = region
    for k in range(num):  # a parent's number is the smaller one: one pass points all of them to their root
        parent[k] = parent[parent[k]]
    for row in range(height):
        for col in range(width):
            if regions[row, col] >= 0:
                regions[row, col] = parent[regions[row, col]]
    return regions, num


@compiled
def regions_holding(regions: Regions, num_regions: int, agreed: Labels, void: int) -> NDArray[np.bool_]:
    """Whether each region, by number, has a pixel with an agreed label."""
    holds = np.zeros(num_regions, np.bool_)
    for row in range(regions.shape[0]):
        for col in range(regions.shape[1]):
            if regions[row, col] >= 0 and agreed[row, col] != void:
                holds[regions[row, col]] = True
    return holds


@compiled
def regions_between(
    regions: Regions, num_regions: int, own: Labels, agreed: Labels, prediction: Labels, truth: Labels
) -> NDArray[np.bool_]:
    """Whether each region, by number, touches both kinds of neighbour of `near_agreed_and_outside`.

    Touching is being one of the eight neighbours of one of its pixels.
    """
    height, width = regions.shape
    inside, outside = np.zeros(num_regions, np.bool_), np.zeros(num_regions, np.bool_)
    for row in range(height):
        for col in range(width):
            region = regions[row, col]
            if region < 0 or (inside[region] and outside[region]):
                continue
            label = own[row, col]
            begin, end = max(0, col - 1), min(width, col + 2)
            for at in range(max(0, row - 1), min(height, row + 2)):
                inside[region] |= _holds(agreed[at, begin:end], label)
                outside[region] |= _leaves(prediction[at, begin:end], truth[at, begin:end], label)
    return inside & outside


@inlined
def _holds(line: NDArray[np.uint8], label: int) -> bool:
    """Whether some pixel has the label. Without an early end, so that it is vectorised."""
    found = np.uint8(0)
    for i in range(line.size):
        found |= np.uint8(line[i] == label)
    return found != 0


@inlined
def _leaves(prediction: NDArray[np.uint8], truth: NDArray[np.uint8], label: int) -> bool:
    """Whether some pixel has the label in neither."""
    found = np.uint8(0)
    for i in range(prediction.size):
        found |= np.uint8(prediction[i] != label) & np.uint8(truth[i] != label)
    return found != 0


@inlined
def _join(parent: NDArray[np.int32], one: int, other: int) -> int:
    """Make two regions one (or the other alone, if the first is negative) and return its number."""
    while parent[other] != other:
        other = parent[other]
    if one < 0:
        return other
    while parent[one] != one:
        one = parent[one]
    root = min(one, other)
    parent[one] = parent[other] = root
    return root
