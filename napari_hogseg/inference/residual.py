"""The label-free residual: what the heads say a frame's pseudo-label is, minus what it is.

Where the heads cannot tell a frame's HOG the frame is unlike those of the training, and the segmentation is
worth a look, although nobody has drawn a mask. Owns the comparison; the network is `predictor`'s, labels are
`napari_hogseg.features`'.

Axes: D values of the pseudo-label; R, S cell rows and columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.features.pseudo_labels import FittedLabel, HogLabel, PseudoLabel, Standardised
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_hogseg.features.grid import HogGrid
    from napari_hogseg.inference.predictor import DeepAnswer, Predictor

#: Names under which the training keeps a standardised label's statistics beside the weights.
MEAN, SCALE = "standard.mean", "standard.scale"


@dataclass(frozen=True, eq=False)
class HogResidual:
    """Of one frame.

    Attributes
    ----------
    total : float
        Mean of `by_stage`.
    by_stage : tuple of float
        Mean squared error of each head, finest decoder stage first.
    maps : tuple of (R, S) float32 ndarray
        Mean squared error in each cell of the label's grid, one a head. A value of a HOG block counts for
        its own cell, in every block that holds the cell; any other label's block counts for all its cells
        alike (so a label of the whole frame has a map of one value).
    """

    total: float
    by_stage: tuple[float, ...]
    maps: tuple[npt.NDArray[np.float32], ...] = field(repr=False)


class ResidualMeter:
    """The residual of one model's heads; its pseudo-label is made once.

    Parameters
    ----------
    predictor : Predictor

    Raises
    ------
    InputError
        If the model has no heads, or its label cannot be made here.
    """

    def __init__(self, predictor: Predictor) -> None:
        if predictor.spec.model.head == "none":
            raise InputError(
                "This model has no regression heads, so it has no HOG residual",
                where=predictor.name,
                remedy='Load a model that was trained with heads (model.head other than "none").',
            )
        self._predictor = predictor
        self._label = model_label(predictor)

    def measure(self, frame_HWC: npt.NDArray[np.uint8]) -> HogResidual:
        """Measure a frame (H, W, 3) uint8."""
        return self.compare(self._predictor.answer(frame_HWC))

    def compare(self, answer: DeepAnswer) -> HogResidual:
        """Measure what the network has answered."""
        truth_D = self._label.compute(answer.seen[None])[0]
        errors = [(said_D - truth_D) ** 2 for said_D in answer.descriptors]
        by_stage = tuple(float(error_D.mean()) for error_D in errors)
        within = isinstance(getattr(self._label, "label", self._label), HogLabel)
        maps = tuple(cell_means(error_D, self._label.grid, within_block=within) for error_D in errors)
        return HogResidual(float(np.mean(by_stage)), by_stage, maps)


def hog_residual(predictor: Predictor, frame_HWC: npt.NDArray[np.uint8]) -> HogResidual:
    """Measure one frame; for many frames a `ResidualMeter` makes the label once.

    Parameters
    ----------
    predictor : Predictor
    frame_HWC : (H, W, 3) uint8 ndarray

    Raises
    ------
    InputError
        If the model has no heads, or its label cannot be made here.
    """
    return ResidualMeter(predictor).measure(frame_HWC)


def model_label(predictor: Predictor) -> PseudoLabel:
    """Make the pseudo-label that a model's heads learned, with its fitted arrays.

    Raises
    ------
    InputError
        If arrays are missing or of another shape, or the label's package is not installed.
    """
    target, arrays = predictor.spec.target, predictor.target
    label = target.label(predictor.spec.hog)
    if isinstance(label, FittedLabel):
        label = label.with_arrays(arrays)
    if not target.standardise:
        return label
    for name in (MEAN, SCALE):
        if name not in arrays or arrays[name].shape != (label.dim,):
            raise InputError(
                "The model's target statistics are not of its configuration",
                where=f"{predictor.name}: {name}",
                remedy="model.toml and target.safetensors must come from one run.",
            )
    return Standardised(label, arrays[MEAN], arrays[SCALE])


def cell_means(
    values_D: npt.NDArray[np.float32], grid: HogGrid, *, within_block: bool
) -> npt.NDArray[np.float32]:
    """Average a descriptor's values over each cell that they describe.

    Parameters
    ----------
    values_D : (D,) float32 ndarray
        In skimage's order: block row, block column, values.
    grid : HogGrid
    within_block : bool
        Whether a block's values are in the order cell row, cell column, orientation; else each stands for
        the whole block.

    Returns
    -------
    (R, S) float32 ndarray
    """
    side = grid.block_cells
    rows, cols = grid.cell_rows - side + 1, grid.cell_cols - side + 1
    if within_block:
        blocks = values_D.reshape(rows, cols, side, side, -1).mean(-1)
    else:
        means = values_D.reshape(rows, cols, -1).mean(-1)
        blocks = np.broadcast_to(means[..., None, None], (rows, cols, side, side))
    total = np.zeros((grid.cell_rows, grid.cell_cols), np.float64)
    num_blocks = np.zeros_like(total)
    for row in range(side):
        for col in range(side):
            total[row : row + rows, col : col + cols] += blocks[..., row, col]
            num_blocks[row : row + rows, col : col + cols] += 1
    return np.asarray(total / num_blocks, np.float32)
