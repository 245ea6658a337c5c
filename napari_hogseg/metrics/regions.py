"""Regions and neighbourhoods in label images, for all classes in one pass over the frame.

Owns the compiled searches: connected regions of equal labels, and which pixels have a pixel of some kind
within a disk or next to their region. Knows nothing of error types; `decomposition` asks the questions.
Distances are between pixel centres, compared exactly, and what lies beyond the frame is nothing.

Legend: `own` holds the label whose neighbourhood a pixel is searched for, `agreed` the label where prediction
and truth agree; `void` marks a pixel without a label in each of them. A pixel is *open* if it has an own
label that is not the agreed one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.features.compiling import compiled, inlined

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Labels = NDArray[np.uint8]  # (H, W)
    Regions = NDArray[np.int32]  # (H, W), numbers
    Disk = NDArray[np.int64]  # of `disk_rows`

_ROUNDING = 1e-9  # sqrt(2) squared is more than 2


def disk_rows(radius_px: float) -> Disk:
    """Row offsets of a disk of pixels, middle first, and how far each row reaches to both sides: (N, 2)."""
    offsets = np.arange(-int(radius_px), int(radius_px) + 1)
    offsets = offsets[np.argsort(np.abs(offsets), kind="stable")]
    reaches = np.sqrt(radius_px**2 - np.square(offsets) + _ROUNDING).astype(np.int64)
    return np.column_stack([offsets, reaches])


@compiled
def near_agreed_and_outside(
    own: Labels, agreed: Labels, prediction: Labels, truth: Labels, void: int, disk: Disk
) -> Labels:
    """Own label of the open pixels that have both kinds of neighbour in the disk, `void` elsewhere.

    The two kinds are a pixel on which prediction and truth agree on the own label, and one where neither of
    the two is that label.
    """
    height, width = own.shape
    found = np.full((height, width), void, np.uint8)
    anywhere = _labels_in(agreed)
    for row in range(height):
        in_vain = False
        for col in range(width):
            label = own[row, col]
            if label == void or agreed[row, col] == label:
                in_vain = False
                continue
            in_vain = in_vain and col > 0 and own[row, col - 1] == label
            in_vain = not (anywhere[label] and _in_disk(agreed, label, row, col, disk, in_vain))
            if in_vain:
                continue
            for k in range(disk.shape[0]):
                at, begin, end = row + disk[k, 0], max(0, col - disk[k, 1]), min(width, col + disk[k, 1] + 1)
                if 0 <= at < height and _leaves(prediction[at, begin:end], truth[at, begin:end], label):
                    found[row, col] = label
                    break
    return found


@compiled
def near_marked(own: Labels, agreed: Labels, marked: Labels, void: int, disk: Disk) -> Labels:
    """Own label of the open pixels that have a pixel marked with it in the disk, `void` elsewhere."""
    height, width = own.shape
    found = np.full((height, width), void, np.uint8)
    anywhere = _labels_in(marked)
    for row in range(height):
        in_vain = False
        for col in range(width):
            label = own[row, col]
            if label == void or agreed[row, col] == label:
                in_vain = False
                continue
            in_vain = in_vain and col > 0 and own[row, col - 1] == label
            in_vain = not (anywhere[label] and _in_disk(marked, label, row, col, disk, in_vain))
            if not in_vain:
                found[row, col] = label
    return found


@compiled
def connected_regions(labels: Labels) -> tuple[Regions, int]:
    """Give the 8-connected regions of equal labels numbers, with gaps.

    Returns
    -------
    regions : (H, W) int32 array
        The number of the region that each pixel belongs to.
    num_regions : int
        Numbers are below it.
    """
    height, width = labels.shape
    regions = np.empty((height, width), np.int32)
    parent = np.empty(labels.size, np.int32)  # memory that is not written to costs nothing
    num = 0
    for row in range(height):
        for col in range(width):
            label = labels[row, col]
            # The pixel above touches the other three neighbours: where it has the label, they are one region
            # already. Where it has not, only the upper right one can join another region to the left ones.
            # All in one function: a call per pixel that passes arrays would multiply the time.
            region = right = -1
            if row > 0 and labels[row - 1, col] == label:
                region = regions[row - 1, col]
            else:
                if col > 0 and labels[row, col - 1] == label:
                    region = regions[row, col - 1]
                elif row > 0 and col > 0 and labels[row - 1, col - 1] == label:
                    region = regions[row - 1, col - 1]
                if row > 0 and col + 1 < width and labels[row - 1, col + 1] == label:
                    right = regions[row - 1, col + 1]
            if region < 0:
                region = right
            elif right >= 0 and right != region:
                region = _join(parent, region, right)
            if region < 0:
                region = parent[num] = num
                num += 1
            regions[row, col] = region
    _renumber(regions, parent[:num])
    return regions, num


@compiled
def _join(parent: NDArray[np.int32], one: int, other: int) -> int:
    """Make two regions one and return its number."""
    while parent[one] != one:
        one = parent[one]
    while parent[other] != other:
        other = parent[other]
    root = min(one, other)
    parent[one] = parent[other] = root
    return root


@compiled
def _renumber(regions: Regions, parent: NDArray[np.int32]) -> None:
    """Give each pixel its root's number."""
    # A parent's number is the smaller one, so one pass points all of them to their roots.
    for k in range(parent.size):
        parent[k] = parent[parent[k]]
    for row in range(regions.shape[0]):
        for col in range(regions.shape[1]):
            regions[row, col] = parent[regions[row, col]]


@compiled
def regions_holding(regions: Regions, num_regions: int, agreed: Labels, void: int) -> NDArray[np.bool_]:
    """Whether each region, by number, has a pixel with an agreed label."""
    holds = np.zeros(num_regions, np.bool_)
    for row in range(regions.shape[0]):
        for col in range(regions.shape[1]):
            if agreed[row, col] != void:
                holds[regions[row, col]] = True
    return holds


@compiled
def regions_between(
    regions: Regions,
    num_regions: int,
    labels: Labels,
    agreed: Labels,
    prediction: Labels,
    truth: Labels,
    void: int,
) -> NDArray[np.bool_]:
    """Whether each region, by number, touches both kinds of neighbour of `near_agreed_and_outside`.

    Touching is being one of the eight neighbours of one of its pixels. Regions are of equal `labels`; those
    of `void` touch nothing.
    """
    height, width = regions.shape
    inside, outside = np.zeros(num_regions, np.bool_), np.zeros(num_regions, np.bool_)
    for row in range(height):
        for col in range(width):
            label, region = labels[row, col], regions[row, col]
            if label == void or (inside[region] and outside[region]):
                continue
            begin, end = max(0, col - 1), min(width, col + 2)
            for at in range(max(0, row - 1), min(height, row + 2)):
                inside[region] |= _holds(agreed[at, begin:end], label)
                outside[region] |= _leaves(prediction[at, begin:end], truth[at, begin:end], label)
    return inside & outside


@compiled
def _labels_in(labels: Labels) -> NDArray[np.bool_]:
    """Whether the frame has each of the 256 labels: no disk is searched for a label that is nowhere."""
    anywhere = np.zeros(256, np.bool_)
    for row in range(labels.shape[0]):
        for col in range(labels.shape[1]):
            anywhere[labels[row, col]] = True
    return anywhere


@inlined
def _in_disk(labels: Labels, label: int, row: int, col: int, disk: Disk, only_rim: int) -> bool:
    """Whether some pixel in the disk has the label.

    With `only_rim` the search looks at the right end of each row: all that is new where the same search
    around the left neighbour was in vain.
    """
    height, width = labels.shape
    found = False
    for k in range(disk.shape[0]):
        at, rim = row + disk[k, 0], col + disk[k, 1]
        if at < 0 or at >= height:
            continue
        if not only_rim:
            found = _holds(labels[at, max(0, col - disk[k, 1]) : min(width, rim + 1)], label)
        elif rim < width:
            found = labels[at, rim] == label
        if found:
            break
    return found


@inlined
def _holds(line: NDArray[np.uint8], label: int) -> bool:
    """Whether some pixel has the label. Without an early end, so that it is vectorised."""
    found = np.uint8(0)
    for i in range(line.size):
        found |= np.uint8(line[i] == label)
    return bool(found)


@inlined
def _leaves(prediction: NDArray[np.uint8], truth: NDArray[np.uint8], label: int) -> bool:
    """Whether some pixel has the label in neither."""
    found = np.uint8(0)
    for i in range(prediction.size):
        found |= np.uint8(prediction[i] != label) & np.uint8(truth[i] != label)
    return bool(found)
