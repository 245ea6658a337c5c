"""Passes over whole label images that step over what is uniform, eight pixels at a time.

Owns the compiled loops and nothing else: what their findings mean is said in `contours` and `surfaces`. With
numpy each pass would write and read several arrays of the frame's size, which takes longer than all the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.features.compiling import compiled, inlined

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Labels = NDArray[np.uint8]
    Counts = NDArray[np.int64]
    Positions = NDArray[np.int64]  # flat, ascending

_NUM_LABELS = 256
_WORD = 8  # pixels


@compiled
def values_held(labels: Labels) -> NDArray[np.bool_]:
    """Whether each of the 256 values occurs in a C-contiguous image."""
    pixels = labels.ravel()
    words = pixels[: pixels.size // _WORD * _WORD].view(np.uint64)
    held = np.zeros(_NUM_LABELS, np.bool_)
    last = ~words[0] if words.size else np.uint64(0)
    for i in range(words.size):
        if words[i] != last:
            last = words[i]
            for k in range(_WORD * i, _WORD * (i + 1)):
                held[pixels[k]] = True
    for k in range(_WORD * words.size, pixels.size):
        held[pixels[k]] = True
    return held


@compiled
def edge_positions(bordered: Labels) -> Positions:
    """Pixels that differ from one of their 4 neighbours; positions without the border."""
    height, width = bordered.shape[0] - 2, bordered.shape[1] - 2
    found, num_found = np.empty(height * width, np.int64), 0
    flags = np.zeros(-(-width // _WORD) * _WORD, np.uint8)
    for row in range(height):
        above, here, below = bordered[row], bordered[row + 1], bordered[row + 2]
        for col in range(width):
            label = here[col + 1]
            beside = (here[col] != label) | (here[col + 2] != label)
            flags[col] = beside | (above[col + 1] != label) | (below[col + 1] != label)
        num_found = _append(flags, row * width, found, num_found)
    return found[:num_found]


@compiled
def mixed_positions(labels: Labels) -> Positions:
    """2x2 neighbourhoods that hold more than one label; positions in an image one row and column smaller."""
    height, width = labels.shape[0] - 1, labels.shape[1] - 1
    found, num_found = np.empty(height * width, np.int64), 0
    flags = np.zeros(-(-width // _WORD) * _WORD, np.uint8)
    for row in range(height):
        here, below = labels[row], labels[row + 1]
        for col in range(width):
            label = here[col]
            flags[col] = (here[col + 1] != label) | (below[col] != label) | (below[col + 1] != label)
        num_found = _append(flags, row * width, found, num_found)
    return found[:num_found]


@compiled
def sort_corners(
    labels: Labels, corners: Positions, num_classes: int
) -> tuple[Positions, NDArray[np.uint8], Positions]:
    """Enter each mixed 2x2 neighbourhood once for each class that it holds.

    Returns their positions, by class and then as in `corners`; which of the four pixels are of the class, as
    bits (upper left 1, upper right 2, lower left 4, lower right 8); and where each class begins (C + 1,).
    """
    width = labels.shape[1] - 1
    quad, starts = np.empty(4, np.uint8), np.zeros(num_classes + 1, np.int64)
    for corner in corners:
        _read_quad(labels, corner // width, corner % width, quad)
        for k in range(4):
            if quad[k] < num_classes and _pixels_alike(quad, k):
                starts[quad[k] + 1] += 1
    starts = np.cumsum(starts)
    positions, pixels = np.empty(starts[-1], np.int64), np.empty(starts[-1], np.uint8)
    ends = starts.copy()
    for corner in corners:
        _read_quad(labels, corner // width, corner % width, quad)
        for k in range(4):
            alike = _pixels_alike(quad, k)
            if quad[k] < num_classes and alike:
                positions[ends[quad[k]]], pixels[ends[quad[k]]] = corner, alike
                ends[quad[k]] += 1
    return positions, pixels, starts


@compiled
def band_sizes(
    prediction: Labels, truth: Labels, predicted_band: Labels, true_band: Labels
) -> tuple[Counts, Counts, Counts]:
    """Pixels of each label (256,) in the predicted band, in the true band, and in both by both images.

    All four images are C-contiguous and of one size; a band is where its image is not 0.
    """
    ours, theirs, one, other = prediction.ravel(), truth.ravel(), predicted_band.ravel(), true_band.ravel()
    in_one, in_other = np.zeros(_NUM_LABELS, np.int64), np.zeros(_NUM_LABELS, np.int64)
    in_both = np.zeros(_NUM_LABELS, np.int64)
    whole = one.size // _WORD * _WORD
    words_one, words_other = one[:whole].view(np.uint64), other[:whole].view(np.uint64)
    for i in range(words_one.size):
        if words_one[i] | words_other[i]:
            for k in range(_WORD * i, _WORD * (i + 1)):
                _count_pixel(k, ours, theirs, one, other, (in_one, in_other, in_both))
    for k in range(whole, one.size):
        _count_pixel(k, ours, theirs, one, other, (in_one, in_other, in_both))
    return in_one, in_other, in_both


@inlined
def _count_pixel(
    k: int, ours: Labels, theirs: Labels, one: Labels, other: Labels, sizes: tuple[Counts, Counts, Counts]
) -> None:
    in_one, in_other = one[k] != 0, other[k] != 0
    sizes[0][ours[k]] += in_one
    sizes[1][theirs[k]] += in_other
    sizes[2][theirs[k]] += in_one & in_other & (ours[k] == theirs[k])


@inlined
def _append(flags: Labels, start: int, found: Positions, num_found: int) -> int:
    """Append where the flags of one row are set; return how many are found by now."""
    words = flags.view(np.uint64)
    for i in range(words.size):
        if words[i] != 0:
            for k in range(_WORD * i, _WORD * (i + 1)):
                if flags[k]:
                    found[num_found] = start + k
                    num_found += 1
    return num_found


@inlined
def _read_quad(labels: Labels, row: int, col: int, quad: Labels) -> None:
    quad[0], quad[1] = labels[row, col], labels[row, col + 1]
    quad[2], quad[3] = labels[row + 1, col], labels[row + 1, col + 1]


@inlined
def _pixels_alike(quad: Labels, k: int) -> int:
    """Bits of the pixels that are like pixel `k`; none if an earlier one is, which has told them already."""
    alike = 0
    for i in range(4):
        if quad[i] == quad[k]:
            alike |= 1 << i
    return alike if alike >> k << k == alike else 0
