"""Contours of the truth that the frame contradicts: where a mask was probably drawn beside the structure.

Owns the comparison of truth contours with the gradients around them. It needs no prediction. What it finds is
a question to a person, never a verdict: tissue has edges where no structure ends.

Each contour pixel is judged by what the frame shows around it, averaged along the contour (a run), because a
single pixel's gradient is mostly texture:

- *displaced*: an edge that runs parallel to the contour, beside it, is stronger than the edge on it. With the
  two gradients ``off`` and ``on``, that is ``(off - on) / (off + on)``.
- *turned*: the dominant gradient orientation nearby is not the contour's normal. With their angle ``a``, the
  orientation's coherence ``k`` (0 for a texture, 1 for a straight edge) and its gradient ``near``, that is
  ``sin(a)^2 k (near - on) / (near + on)``.

The disagreement is the larger of the two, in [0, 1], and 0 where neither ``off`` nor ``near`` is an edge
worth the name.

The dominant orientation is the structure tensor's: like a HOG cell's largest bin it sums the gradients around
by their energy, but it has no bins of 20 degrees, no cell grid whose seams depend on where the frame begins,
and it says how dominant the orientation is. Gradients are signed and averaged along the run, so that texture
cancels and an edge does not.

A contour on a thin line, a furrow or a ridge, has its edge on both sides: that agrees too.

Void between two classes is a contour left open (`error_map.close_void`): any edge in the void agrees. Deep
void is not judged, nor is what lies beyond another contour: the far side of a thin tool is no better place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.ndimage import uniform_filter1d

from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.confusion import as_uint8
from napari_hogseg.metrics.error_map import MAX_OPEN_PX, close_void

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Values = NDArray[np.float32]
    Path_N2 = NDArray[np.int32]  # rows and columns

_GRADIENT_SIGMA = 1.0
_TENSOR_SIGMA = 3.0
#: Half the chord, in contour pixels, whose direction is the tangent.
_TANGENT_PX = 4
_MAX_GAP_PX = 3
#: Width of a line that is a contour by itself.
_MAX_LINE_PX = 8
_TINY = 1e-6


class ContourCheck(BaseModel):
    """What counts as a doubtful contour. Pixels are those of the frame."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tolerance_px: float = Field(default=2.0, ge=0, description="An edge this near to the contour is on it")
    reach_px: float = Field(
        default=10.0, gt=0, description="How far beside the contour an edge is looked for"
    )
    min_gradient: float = Field(
        default=4.0, gt=0, description="Weakest edge that can contradict, in grey levels per pixel"
    )
    min_disagreement: float = Field(default=0.5, gt=0, lt=1, description="Least disagreement of a pixel")
    run_px: int = Field(default=15, ge=3, description="Length of contour that gradients are averaged over")
    min_length_px: int = Field(default=10, ge=1, description="Shortest contour that is reported")


@dataclass(frozen=True, kw_only=True, eq=False)
class DoubtfulContour:
    """A stretch of contour that the frame contradicts.

    Attributes
    ----------
    class_id, other_class : int
        The classes on its two sides; the path runs on the pixels of the first.
    path : (N, 2) int32 array
        Rows and columns, in order.
    disagreements : (N,) float32 array
        Of each pixel of the path, in [0, 1].
    disagreement : float
        Mean over the path, in [0, 1].
    angle_deg : float
        Mean angle between the contour's normal and the dominant gradient orientation, 0 to 90.
    offset_px : float
        Where the strongest parallel edge lies: median distance from the contour, positive towards
        `other_class`. NaN where no edge is parallel: the contour is turned.
    on_gradient, off_gradient : float
        Mean gradient on the contour and beside it, in grey levels per pixel.
    bbox : (int, int, int, int)
        First row, first column, and the row and column after the last.
    """

    class_id: int
    other_class: int
    path: Path_N2 = field(repr=False)
    disagreements: Values = field(repr=False)
    disagreement: float
    angle_deg: float
    offset_px: float
    on_gradient: float
    off_gradient: float
    bbox: tuple[int, int, int, int]

    @property
    def length_px(self) -> int:
        """Pixels on the path."""
        return len(self.path)

    @property
    def weight(self) -> float:
        """What it is ranked by: its pixels, each by its disagreement."""
        return self.length_px * self.disagreement


@dataclass(frozen=True, kw_only=True, eq=False)
class ContourReport:
    """What the check found in one frame.

    Attributes
    ----------
    score : float
        Mean disagreement of all contour pixels that were judged, in [0, 1]; NaN where there are none.
    num_judged : int
    segments : tuple of DoubtfulContour
        Heaviest first.
    """

    score: float
    num_judged: int
    segments: tuple[DoubtfulContour, ...]


def check_contours(
    truth: NDArray[np.integer],
    frame_HWC: NDArray[np.uint8],
    *,
    ignore: int = 255,
    options: ContourCheck | None = None,
) -> ContourReport:
    """Compare the contours of a mask with the gradients of its frame.

    Parameters
    ----------
    truth : (H, W) int array
        Class ids, or `ignore`.
    frame_HWC : (H, W, 3) uint8 array
        RGB.
    ignore : int
        Void value.
    options : ContourCheck, optional

    Returns
    -------
    ContourReport

    Raises
    ------
    InputError
        If frame and mask differ in size or the frame is not uint8.
    """
    options = options or ContourCheck()
    if truth.ndim != 2 or frame_HWC.shape != (*truth.shape, 3) or frame_HWC.dtype != np.uint8:
        raise InputError(
            "the frame does not fit the mask",
            where=f"frame {frame_HWC.shape} {frame_HWC.dtype}, mask {truth.shape}",
            remedy="Give the RGB frame, uint8, at the size of the mask.",
        )
    closed, depth = close_void(as_uint8(truth, "truth"), ignore)
    scene = _Scene.of(np.asarray(closed, np.uint8), depth, frame_HWC)
    judged = [_judge(chain, scene, options) for chain in _chains(scene, ignore) if chain.counts.any()]
    disagreements = np.concatenate([one.disagreement[one.counts] for one in judged] or [np.zeros(0)])
    segments = [segment for one in judged for segment in _segments(one, options)]
    return ContourReport(
        score=float(disagreements.mean()) if disagreements.size else math.nan,
        num_judged=disagreements.size,
        segments=tuple(sorted(segments, key=lambda segment: -segment.weight)),
    )


class _Scene(NamedTuple):
    """A frame's gradients and its mask without void."""

    labels: NDArray[np.uint8]
    depth: NDArray[np.uint8]  # of void
    down: Values  # (H, W, 3), change per row
    right: Values  # (H, W, 3)
    tensor: Values  # (H, W, 3): down down, right right, down right

    @classmethod
    def of(cls, labels: NDArray[np.uint8], depth: NDArray[np.uint8], frame_HWC: NDArray[np.uint8]) -> _Scene:
        smooth = cv2.GaussianBlur(frame_HWC.astype(np.float32), (0, 0), _GRADIENT_SIGMA)
        right, down = (
            np.asarray(cv2.Sobel(smooth, cv2.CV_32F, *order, scale=0.125), np.float32)
            for order in ((1, 0), (0, 1))
        )
        moments = [(a * b).sum(axis=2) for a, b in ((down, down), (right, right), (down, right))]
        tensor = cv2.GaussianBlur(np.stack(moments, axis=2), (0, 0), _TENSOR_SIGMA)
        return cls(labels, depth, down, right, np.asarray(tensor, np.float32))


class _Chain(NamedTuple):
    """A closed contour of one class, pixel by pixel."""

    class_id: int
    path: Path_N2
    normals: NDArray[np.float64]  # (N, 2), rows and columns, to the outside
    others: NDArray[np.uint8]  # (N,), the class outside
    counts: NDArray[np.bool_]  # (N,), whether it is a contour and this class's to judge


class _Judged(NamedTuple):
    chain: _Chain
    counts: NDArray[np.bool_]
    disagreement: NDArray[np.float64]
    angle_deg: NDArray[np.float64]
    offset_px: NDArray[np.float64]
    on: NDArray[np.float64]
    off: NDArray[np.float64]


def _chains(scene: _Scene, ignore: int) -> Iterator[_Chain]:
    """All contours of all classes, the outer ones and those of holes."""
    for class_id in np.flatnonzero(np.bincount(scene.labels.ravel(), minlength=256)).tolist():
        if class_id == ignore:
            continue
        inside = (scene.labels == class_id).view(np.uint8)
        contours, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        for contour in contours:
            if len(contour) > 2 * _TANGENT_PX:
                yield _chain(class_id, contour[:, 0, ::-1], scene, ignore)


def _chain(class_id: int, path: Path_N2, scene: _Scene, ignore: int) -> _Chain:
    labels = scene.labels
    tangents = np.roll(path, -_TANGENT_PX, axis=0) - np.roll(path, _TANGENT_PX, axis=0)
    tangents = uniform_filter1d(tangents.astype(np.float64), 2 * _TANGENT_PX + 1, axis=0, mode="wrap")
    length = np.hypot(*tangents.T)
    # OpenCV runs round a region with its inside always on the same hand, of holes too.
    normals = np.column_stack([tangents[:, 1], -tangents[:, 0]]) / np.maximum(length, _TINY)[:, None]
    around = cv2.copyMakeBorder(labels, 1, 1, 1, 1, cv2.BORDER_REPLICATE)  # the frame's end is no contour
    rows, cols = path.T + 1
    others = np.full(len(path), class_id, np.uint8)
    for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        label = around[rows + down, cols + right]
        others = np.where(label != class_id, label, others)
    # Each contour belongs to two classes: the smaller id judges it.
    counts = (others > class_id) & (others != ignore) & (length > _TINY)
    counts &= scene.depth[path[:, 0], path[:, 1]] <= MAX_OPEN_PX
    return _Chain(class_id, path, normals, others, counts)


def _judge(chain: _Chain, scene: _Scene, options: ContourCheck) -> _Judged:
    """Disagreement of each pixel of a contour."""
    path, normals = chain.path, chain.normals
    slack = scene.depth[path[:, 0], path[:, 1]].astype(np.float64)
    farthest = math.ceil(options.reach_px + slack.max(initial=0, where=chain.counts)) + 1  # one for the peaks
    offsets = np.arange(-farthest, farthest + 1)
    across, valid = _profiles(chain, scene, offsets, options.run_px)
    edges = np.abs(across).max(axis=2).astype(np.float64)
    distance = np.abs(offsets)[None, :]
    is_on = distance <= (options.tolerance_px + slack)[:, None]
    is_off = ~is_on & (distance <= (options.reach_px + slack)[:, None])
    # On the contour is an edge that peaks within the tolerance; without one, what is under the contour, and
    # not the slope of an edge beside it.
    under = distance <= slack[:, None]
    on = np.where(under | (is_on & _peaks(edges, np.ones_like(valid))), edges, 0.0).max(axis=1)
    on = np.maximum(on, _line(across, math.floor(options.tolerance_px)))
    beside = np.where(is_off & _peaks(edges, valid), edges, 0.0)
    off, offset_px = beside.max(axis=1), offsets[beside.argmax(axis=1)].astype(np.float64)
    displaced = np.where(off >= options.min_gradient, (off - on) / (off + on + _TINY), 0.0)

    angle, coherence, near = _orientation(scene.tensor[path[:, 0], path[:, 1]], normals)
    turned = np.sin(angle) ** 2 * coherence * (near - on) / (near + on + _TINY)
    turned[near < options.min_gradient] = 0.0
    disagreement = np.maximum(np.maximum(displaced, turned), 0.0)
    offset_px[(turned > displaced) | (off < options.min_gradient)] = np.nan
    return _Judged(chain, chain.counts, disagreement, np.degrees(angle), offset_px, on, off)


def _profiles(
    chain: _Chain, scene: _Scene, offsets: NDArray[np.int_], run_px: int
) -> tuple[Values, NDArray[np.bool_]]:
    """Gradient across the contour at each offset along the normal, (N, S, 3), and where it counts."""
    at = chain.path[:, None, :] + offsets[None, :, None] * chain.normals[:, None, :]
    rows, cols = np.ascontiguousarray(at[..., 0], np.float32), np.ascontiguousarray(at[..., 1], np.float32)
    across = np.zeros((*rows.shape, 3), np.float32)
    for gradient, direction in ((scene.down, 0), (scene.right, 1)):
        sampled = cv2.remap(gradient, cols, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        across += sampled * chain.normals[:, direction, None, None].astype(np.float32)
    mean = np.asarray(uniform_filter1d(across, run_px, axis=0, mode="wrap"), np.float32)
    return mean, _own_side(chain, scene, offsets, np.rint(at).astype(np.intp))


def _line(across: Values, tolerance_px: int) -> NDArray[np.float64]:
    """Gradient on both sides of a thin line under the contour, (N,): people draw along furrows too."""
    middle = across.shape[1] // 2
    strongest = np.zeros(across.shape[0])
    for center in range(middle - tolerance_px, middle + tolerance_px + 1):
        for half in range(1, min(_MAX_LINE_PX // 2, middle - tolerance_px) + 1):
            before, after = across[:, center - half], across[:, center + half]
            dark, bright = np.minimum(-before, after), np.minimum(before, -after)
            strongest = np.maximum(strongest, np.maximum(dark, bright).max(axis=1))
    return strongest


def _peaks(edges: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a profile is highest: the slope of another contour's edge is no edge here."""
    peaks = valid.copy()
    peaks[:, [0, -1]] = False
    for one, other in ((slice(1, None), slice(-1)), (slice(-1), slice(1, None))):
        peaks[:, one] &= (edges[:, one] >= edges[:, other]) & valid[:, other]
    return peaks


def _own_side(
    chain: _Chain, scene: _Scene, offsets: NDArray[np.int_], at: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Which samples lie in the frame with no other contour in between."""
    height, width = scene.labels.shape
    rows, cols = at[..., 0], at[..., 1]
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    rows, cols = rows.clip(0, height - 1), cols.clip(0, width - 1)
    wanted = np.where(offsets[None, :] > 0, chain.others[:, None], np.uint8(chain.class_id))
    same = inside & (scene.depth[rows, cols] <= MAX_OPEN_PX)
    same &= (scene.labels[rows, cols] == wanted) | (np.abs(offsets)[None, :] <= 1)  # rounding
    middle = len(offsets) // 2
    same[:, middle:] = np.logical_and.accumulate(same[:, middle:], axis=1)
    same[:, : middle + 1] = np.logical_and.accumulate(same[:, middle::-1], axis=1)[:, ::-1]
    # An edge smears over two pixels: the last ones may belong to the next contour.
    trimmed: NDArray[np.bool_] = same.copy()
    trimmed[:, middle:-2] &= same[:, middle + 2 :]
    trimmed[:, 2 : middle + 1] &= same[:, : middle - 1]
    return trimmed


def _orientation(
    tensor: Values, normals: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Angle between normals and dominant gradient orientation (radians), its coherence and gradient."""
    down, right, both = tensor.astype(np.float64).T
    spread = np.hypot(down - right, 2 * both)
    dominant = 0.5 * np.arctan2(2 * both, right - down)  # from the columns' axis
    own = np.arctan2(normals[:, 0], normals[:, 1])
    angle = np.abs((dominant - own + np.pi / 2) % np.pi - np.pi / 2)
    total = down + right
    return angle, spread / (total + _TINY), np.sqrt((total + spread) / 2)


def _segments(judged: _Judged, options: ContourCheck) -> Iterator[DoubtfulContour]:
    """Stretches of a contour whose pixels disagree, over short gaps."""
    chain = judged.chain
    doubtful = judged.counts & (judged.disagreement >= options.min_disagreement)
    for run in _runs(doubtful):
        if len(run) < options.min_length_px:
            continue
        path = chain.path[run]
        offsets = judged.offset_px[run]
        known = offsets[~np.isnan(offsets)]
        (row0, col0), (row1, col1) = path.min(axis=0).tolist(), (path.max(axis=0) + 1).tolist()
        yield DoubtfulContour(
            class_id=chain.class_id,
            other_class=int(np.bincount(chain.others[run]).argmax()),
            path=path,
            disagreements=judged.disagreement[run].astype(np.float32),
            disagreement=float(judged.disagreement[run].mean()),
            angle_deg=float(judged.angle_deg[run].mean()),
            offset_px=float(np.median(known)) if 2 * known.size > len(run) else math.nan,
            on_gradient=float(judged.on[run].mean()),
            off_gradient=float(judged.off[run].mean()),
            bbox=(row0, col0, row1, col1),
        )


def _runs(marked: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Positions of the stretches of a closed chain that are marked, short gaps included."""
    where = np.flatnonzero(marked)
    if not where.size:
        return []
    # Begin behind the largest gap, so that no stretch is cut where the chain happens to begin.
    gaps = np.diff(where, append=where[0] + marked.size)
    start = where[(int(gaps.argmax()) + 1) % where.size]
    along = np.sort((where - start) % marked.size)
    cuts = np.flatnonzero(np.diff(along) > _MAX_GAP_PX + 1) + 1
    return [(np.arange(run[0], run[-1] + 1) + start) % marked.size for run in np.split(along, cuts)]
