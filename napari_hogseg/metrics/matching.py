"""Which boundary pixels have a partner nearby: the search that surface Dice and the error map share.

Boundaries come as label images: a class id at boundary pixels, `NO_CLASS` elsewhere, within a margin that
keeps every offset inside the array. Exact integer geometry, no distance transform.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Positions = NDArray[np.intp]  # flat, into a label image

NO_CLASS = -1

_ROUNDING = 1e-9  # sqrt(2) squared is more than 2


def margin_px(reach_px: float) -> int:
    """Width of the empty margin that a search over `reach_px` needs around a label image."""
    return int(reach_px) + 1


def with_margin(
    values: NDArray[np.integer], boundary: NDArray[np.bool_], reach_px: float
) -> NDArray[np.int16]:
    """Label image (H + 2m, W + 2m) of the values at boundary pixels, with the margin m."""
    margin = margin_px(reach_px)
    height, width = boundary.shape
    labels = np.full((height + 2 * margin, width + 2 * margin), NO_CLASS, np.int16)
    inner = labels[margin:-margin, margin:-margin]
    inner[boundary] = values[boundary]
    return labels


def split_by_partner(
    labels: NDArray[np.int16], others: NDArray[np.int16], tolerance_px: float
) -> tuple[Positions, Positions]:
    """Flat positions of the boundary pixels without, and with, one of their class in `others` nearby.

    Parameters
    ----------
    labels, others : (H, W) int16 array
        Label images of one size, with a margin for the tolerance.
    tolerance_px : float
        Largest Euclidean distance between pixel centres.
    """
    offsets = _ring(-1, tolerance_px, labels.shape[1])
    return _search(np.flatnonzero(labels != NO_CLASS), labels, others, offsets)


def split_with_slack(
    labels: NDArray[np.int16],
    others: NDArray[np.int16],
    tolerance_px: float,
    *,
    own_slack: NDArray[np.uint8] | None = None,
    other_slack: NDArray[np.uint8] | None = None,
) -> tuple[Positions, Positions]:
    """`split_by_partner`, where some pixels are known less well than others.

    Parameters
    ----------
    labels, others, tolerance_px
        As there; the margin must hold the tolerance and the largest slack.
    own_slack, other_slack : (H, W) uint8 array
        Pixels to add to the tolerance, by position of the pixel or by its partner's. Give one of the two.
    """
    slack = other_slack if own_slack is None else own_slack
    rest, matched = split_by_partner(labels, others, tolerance_px)
    if slack is None or not slack.any():
        return rest, matched
    reach_px = tolerance_px + int(slack.max())
    # Few pixels are left, and fewer have slack or may have a partner with it: only these are searched on.
    size = 2 * int(reach_px) + 1
    may_gain = slack if own_slack is not None else cv2.dilate(slack, np.ones((size, size), np.uint8))
    gains = may_gain.ravel()[rest] > 0
    offsets = _ring(tolerance_px, reach_px, labels.shape[1])
    largest = np.floor((tolerance_px + np.arange(slack.max() + 1.0)) ** 2 + _ROUNDING).astype(np.int32)
    allowed = largest[slack].ravel()
    if own_slack is None:
        open_, found = _search(rest[gains], labels, others, offsets, partner_allowed=allowed)
    else:
        open_, found = _search(rest[gains], labels, others, offsets, own_allowed=allowed)
    return np.concatenate([rest[~gains], open_]), np.concatenate([matched, found])


def _search(
    positions: Positions,
    labels: NDArray[np.int16],
    others: NDArray[np.int16],
    offsets: Iterable[tuple[int, int]],
    *,
    own_allowed: NDArray[np.int32] | None = None,
    partner_allowed: NDArray[np.int32] | None = None,
) -> tuple[Positions, Positions]:
    """Try one offset after the other; what is matched drops out, so good predictions cost little.

    The largest squared distance may depend on the pixel's position, or on its partner's.
    """
    classes, flat = labels.ravel()[positions], others.ravel()
    limit = None if own_allowed is None else own_allowed[positions]
    matched = [positions[:0]]
    for squared, offset in offsets:
        partners = positions + offset
        hit = flat[partners] == classes
        if limit is not None:
            hit &= limit >= squared
        if not hit.any():
            continue
        if partner_allowed is not None:
            hit &= partner_allowed[partners] >= squared
        matched.append(positions[hit])
        positions, classes = positions[~hit], classes[~hit]
        limit = None if limit is None else limit[~hit]
        if positions.size == 0:
            break
    return positions, np.concatenate(matched)


def _ring(inner: float, outer: float, row_stride: int) -> list[tuple[int, int]]:
    """Squared distance and flat offset of pixels farther than `inner` up to `outer`, nearest first."""
    reach = int(outer)
    rows, cols = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    squared = rows**2 + cols**2
    inside = squared <= outer**2 + _ROUNDING
    if inner >= 0:
        inside &= squared > inner**2 + _ROUNDING
    offsets = rows[inside] * row_stride + cols[inside]
    return sorted(zip(squared[inside].tolist(), offsets.tolist(), strict=True))
