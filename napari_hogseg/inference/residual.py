"""HOG residual: what the heads say the pseudo-label of a frame is, minus what it is. No mask is needed.

A frame whose hand-crafted feature the decoder cannot tell is one that it does not see as it saw its training
frames: hence a measure of trouble on frames that nobody labelled. Owns the comparison and one pass that gives
prediction, entropy and residual together; drawing is `ui`'s.

Legend: H, W native size; h, w the network's input; D values of the label; P, Q rows and columns of blocks;
R, S of cells; C classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch.nn import functional

from napari_hogseg.data.augment import resize_frame
from napari_hogseg.features.pseudo_labels import HogLabel
from napari_hogseg.inference.predictor import best_classes
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_hogseg.features.grid import HogGrid
    from napari_hogseg.inference.predictor import Predictor

    Frame = npt.NDArray[np.uint8]  # (H, W, 3)
    Map = npt.NDArray[np.float32]  # (R, S)


@dataclass(frozen=True, eq=False)
class HogResidual:
    """How far the heads are off, in squared units of the pseudo-label.

    Attributes
    ----------
    total : float
        Sum over the stages, as the training's loss sums them.
    by_stage : tuple of float
        Mean squared error of each head, finest decoder stage first.
    maps : tuple of (R, S) float32 ndarray
        The same by cell of the label's grid, a map a stage. A value of HOG counts for the cell that it
        describes, in every block that holds the cell; another label's block counts for all its cells alike.
        Empty where the label has no place in the frame (a Fisher vector).
    """

    total: float
    by_stage: tuple[float, ...]
    maps: tuple[Map, ...] = field(repr=False)

    def pictures(self, height: int, width: int) -> tuple[Map, ...]:
        """Draw the maps at a frame's size, (H, W) float32 each, bilinear between the cells' centres."""
        return tuple(
            np.asarray(cv2.resize(each, (width, height), interpolation=cv2.INTER_LINEAR))
            for each in self.maps
        )


@dataclass(frozen=True, eq=False)
class FrameReading:
    """What one pass tells of a frame.

    Attributes
    ----------
    class_ids : (H, W) uint8 ndarray
        The prediction, pixel for pixel that of `Predictor.predict`.
    entropy : float
        Mean entropy of the class probabilities at the network's input size, in nats over log C: 0 where all
        is certain, 1 where every class is as likely as any other.
    residual : HogResidual or None
        None for a model without heads.
    """

    class_ids: npt.NDArray[np.uint8] = field(repr=False)
    entropy: float
    residual: HogResidual | None


def hog_residual(predictor: Predictor, frame_HWC: Frame) -> HogResidual:
    """Compare the heads of a model with the pseudo-label of a frame.

    Parameters
    ----------
    predictor : Predictor
    frame_HWC : (H, W, 3) uint8 ndarray

    Returns
    -------
    HogResidual

    Raises
    ------
    InputError
        If the model has no regression heads, or its label cannot be made again.

    Notes
    -----
    Both sides see the whole frame at the network's input size. `official` heads take 256x256 pixels and
    nothing else: for them the frame is squeezed to that.
    """
    if not len(predictor.network.heads):
        raise InputError(
            "This model has no regression heads, hence no HOG residual",
            where=predictor.name,
            remedy='Train one with model.head = "grid".',
        )
    small = _heads_input(predictor, resize_frame(frame_HWC, predictor.spec.model.input_short_px))
    with torch.inference_mode():
        predicted = predictor.network.predict_targets(_to_input(predictor, small))
        return _compare(predictor, predicted, small)


def read_frame(predictor: Predictor, frame_HWC: Frame) -> FrameReading:
    """Predict a frame, and say how sure the model is and how well its heads see it.

    One pass through the trunk serves all three (two where the heads are `official`). It does not wait for the
    predictor's turn: a live view is not held up by it. With windows or several views the predictor is asked
    instead, and the entropy is that of its mean probabilities at native size.

    Parameters
    ----------
    predictor : Predictor
    frame_HWC : (H, W, 3) uint8 ndarray
    """
    if not predictor.options.is_plain:
        return _read_in_views(predictor, frame_HWC)
    network = predictor.network
    small = resize_frame(frame_HWC, predictor.spec.model.input_short_px)
    one_pass = bool(len(network.heads)) and network.required_input_px is None
    with torch.inference_mode():
        x_BCHW = _to_input(predictor, small)
        if one_pass:
            deep = network.trunk.forward_deep(x_BCHW)
            logits = deep.logits[0]
            predicted = [head(tap) for head, tap in zip(network.heads, deep.taps, strict=True)]
            residual: HogResidual | None = _compare(predictor, predicted, small)
        else:
            logits = network(x_BCHW)
            residual = hog_residual(predictor, frame_HWC) if len(network.heads) else None
        size = frame_HWC.shape[:2]
        upsampled = functional.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False)
        return FrameReading(best_classes(upsampled[0]), _mean_entropy(logits[0].float()), residual)


def _read_in_views(predictor: Predictor, frame_HWC: Frame) -> FrameReading:
    probabilities = torch.from_numpy(predictor.probabilities(frame_HWC))
    residual = hog_residual(predictor, frame_HWC) if len(predictor.network.heads) else None
    entropy = _mean_entropy(probabilities.clamp_min(torch.finfo(torch.float32).tiny).log())
    return FrameReading(best_classes(probabilities), entropy, residual)


def _mean_entropy(logits_Chw: torch.Tensor) -> float:
    if len(logits_Chw) < 2:  # one class: nothing to be unsure of
        return 0.0
    log_p = logits_Chw.log_softmax(0)
    return float(-(log_p.exp() * log_p).sum(0).mean()) / math.log(len(logits_Chw))


def _heads_input(predictor: Predictor, small_hwC: Frame) -> Frame:
    px = predictor.network.required_input_px
    if px is None or small_hwC.shape[:2] == (px, px):
        return small_hwC
    return np.asarray(cv2.resize(small_hwC, (px, px), interpolation=cv2.INTER_AREA), np.uint8)


def _to_input(predictor: Predictor, small_hwC: Frame) -> torch.Tensor:
    x_BCHW = torch.from_numpy(np.ascontiguousarray(small_hwC.transpose(2, 0, 1)))[None]
    return x_BCHW.to(predictor.device).float() / 255.0


def _compare(predictor: Predictor, predicted: Sequence[torch.Tensor], small_hwC: Frame) -> HogResidual:
    label = predictor.label
    target_D = label.compute(small_hwC[None])[0].astype(np.float64)
    squares = [(each[0].double().cpu().numpy() - target_D) ** 2 for each in predicted]
    by_stage = tuple(float(each.mean()) for each in squares)
    grid = label.grid
    has_place = (grid.cell_rows, grid.cell_cols) != (grid.block_cells, grid.block_cells)
    is_hog = isinstance(getattr(label, "label", label), HogLabel)  # one that is standardised, too
    maps = tuple(_by_cell(each, grid, is_hog=is_hog) for each in squares) if has_place else ()
    return HogResidual(sum(by_stage), by_stage, maps)


def _by_cell(squares_D: npt.NDArray[np.float64], grid: HogGrid, *, is_hog: bool) -> Map:
    """Average the values of each cell, then over the blocks that hold it, to (R, S)."""
    side = grid.block_cells
    rows, cols = grid.cell_rows - side + 1, grid.cell_cols - side + 1
    if is_hog:  # within a block: cell row, cell column, orientation
        cells_PQbb = squares_D.reshape(rows, cols, side, side, -1).mean(-1)
    else:
        blocks_PQ = squares_D.reshape(rows, cols, grid.block_values).mean(2)
        cells_PQbb = np.broadcast_to(blocks_PQ[..., None, None], (rows, cols, side, side))
    sums, counts = np.zeros((2, grid.cell_rows, grid.cell_cols))
    for row in range(side):
        for col in range(side):
            sums[row : row + rows, col : col + cols] += cells_PQbb[..., row, col]
            counts[row : row + rows, col : col + cols] += 1
    return np.asarray(sums / counts, np.float32)
