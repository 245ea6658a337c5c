"""Pseudo-labels by name: any hand-crafted feature of a frame can be what the regression heads learn.

Owns the protocol, the registry and the labels that need nothing but the frame. HOG itself is `hog`'s, the
Fisher vector `fisher`'s; what is fitted, and on which frames, is the training's business.

Kinds
-----
hog
    The official descriptor of the preset (overlapping blocks, L2-Hys). The default.
hog-paper
    The paper's text to the letter: histograms of non-overlapping patches, no block normalisation.
hog-maskfeat
    Per colour channel, each cell's histogram brought to unit length (Wei et al., MaskFeat, CVPR 2022).
lbp
    Histograms of uniform local binary patterns (Ojala et al., PAMI 2002), 8 neighbours at 1 pixel.
gradient-magnitude
    The mean gradient magnitude of each cell: what is left of HOG without orientations.
fisher
    Fisher vector of local HOG blocks under a Gaussian mixture fitted on training frames.
zero
    Nothing but zeros, in HOG's length: the control, and what the paper's released code really trains on.

All but a user's own resize the frame as the paper does and lie on the cells of the HOG preset. A package
offers its own label as an entry point of the group ``napari_hogseg.pseudo_labels``.

Axes: N frames; H, W pixels; D values; R, S cell rows and columns; V values of a cell; B orientation bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image
from skimage.feature import local_binary_pattern

from napari_hogseg.features.fisher import FisherLabel
from napari_hogseg.features.grid import HogGrid
from napari_hogseg.features.hog import HogParams, cell_histograms, hog_features, resize_frames
from napari_hogseg.features.live import check_frames
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    Frames = npt.NDArray[np.uint8]
    Values = npt.NDArray[np.float32]

ENTRY_POINTS = "napari_hogseg.pseudo_labels"
ZERO = "zero"
NUM_MODES = 8

#: Longest gradient of two 8-bit differences: divides magnitudes into [0, 1].
MAX_MAGNITUDE = float(np.hypot(255, 255))
LBP_POINTS, LBP_RADIUS = 8, 1


@runtime_checkable
class PseudoLabel(Protocol):
    """What the regression heads learn to predict, made of the frame alone."""

    @property
    def name(self) -> str:
        """Word by which recipes ask for it."""

    @property
    def dim(self) -> int:
        """Length D."""

    @property
    def grid(self) -> HogGrid:
        """How the D values lie over the frame."""

    def compute(self, frames: Frames) -> Values:
        """Compute the labels (N, D) float32 of frames (N, H, W, 3) uint8."""


@runtime_checkable
class FittedLabel(PseudoLabel, Protocol):
    """A label with arrays of its own, estimated on training frames and kept beside the weights."""

    @property
    def array_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Names and shapes of what has to be fitted."""

    def fit(self, frames: Sequence[Frames], seed: int) -> dict[str, Values]:
        """Estimate the arrays on frames, each (H, W, 3) uint8."""

    def with_arrays(self, arrays: Mapping[str, Values]) -> FittedLabel:
        """Give the same label with its arrays; InputError where they are missing or misshapen."""


@dataclass(frozen=True)
class HogLabel:
    """The official HOG descriptor."""

    params: HogParams
    name: str = "hog"

    @property
    def grid(self) -> HogGrid:
        """HOG's cells and overlapping blocks."""
        return HogGrid.of(self.params)

    @property
    def dim(self) -> int:
        """Length D."""
        return self.grid.dim

    def compute(self, frames: Frames) -> Values:
        """Compute descriptors (N, D) float32 of frames (N, H, W, 3) uint8."""
        return np.asarray(hog_features(frames, self.params).numpy())


@dataclass(frozen=True)
class ZeroLabel(HogLabel):
    """Zeros in the length of HOG, so that nothing but the content differs from it."""

    name: str = ZERO

    def compute(self, frames: Frames) -> Values:
        """Give zeros (N, D) float32."""
        check_frames(frames.shape, str(frames.dtype), num_axes=4)
        return np.zeros((len(frames), self.dim), np.float32)


@dataclass(frozen=True)
class CellLabel:
    """Numbers per cell of the resized frame, without blocks.

    Attributes
    ----------
    name : str
    hog : HogParams
        Gives the size and the cells; its blocks play no part.
    values : int
        Numbers V in a cell.
    describe : callable
        (N, rows, cols, 3) uint8 -> (N, R, S, V).
    """

    name: str
    hog: HogParams
    values: int
    describe: Callable[[Frames], npt.NDArray[Any]]

    @property
    def grid(self) -> HogGrid:
        """HOG's cells, each on its own."""
        return HogGrid.per_cell(self.hog, self.values)

    @property
    def dim(self) -> int:
        """Length D."""
        return self.grid.dim

    def compute(self, frames: Frames) -> Values:
        """Compute labels (N, D) float32 of frames (N, H, W, 3) uint8; order: cell row, cell column, value."""
        check_frames(frames.shape, str(frames.dtype), num_axes=4)
        rows, cols = self.hog.input_size(frames.shape[1], frames.shape[2])
        resized = resize_frames(frames, rows, cols).numpy()
        return np.asarray(self.describe(resized).reshape(len(frames), self.dim), np.float32)


@dataclass(frozen=True)
class UserLabel:
    """A label of another package, its answers checked."""

    name: str
    made_by: Any

    @property
    def dim(self) -> int:
        """Length D, as the package states it."""
        return int(self.made_by.dim)

    @property
    def grid(self) -> HogGrid:
        """Give the package's own geometry, or that of a label of the whole frame."""
        grid = getattr(self.made_by, "grid", None)
        return HogGrid.whole_frame(self.dim) if grid is None else HogGrid(*grid)

    def compute(self, frames: Frames) -> Values:
        """Compute labels (N, D); InputError where they are not finite numbers of the stated shape."""
        values = np.asarray(self.made_by.compute(frames), np.float32)
        if values.shape != (len(frames), self.dim) or not np.isfinite(values).all():
            raise InputError(
                f"The pseudo-label gave {values.shape} where finite numbers "
                f"{(len(frames), self.dim)} were due",
                where=self.name,
                remedy="Let compute() return (N, dim) finite float32.",
            )
        return values


def _paper_cells(frames: Frames, hog: HogParams) -> npt.NDArray[Any]:
    # Divided by the largest magnitude: in grey levels the squared error would dwarf the cross entropy.
    unsized = hog.model_copy(update={"resize_rows": None, "resize_cols": None})
    return np.asarray(cell_histograms(frames, unsized).numpy()) / MAX_MAGNITUDE


def _lbp_cells(frames: Frames, cell_px: int) -> npt.NDArray[Any]:
    codes = np.stack(
        [
            local_binary_pattern(
                np.asarray(Image.fromarray(frame).convert("L")), LBP_POINTS, LBP_RADIUS, method="uniform"
            )
            for frame in frames
        ]
    )
    one_hot = codes[..., None] == np.arange(LBP_POINTS + 2)
    return np.asarray(_cell_sums(one_hot, cell_px) / cell_px**2)


def _maskfeat_cells(frames: Frames, orientations: int, cell_px: int) -> npt.NDArray[Any]:
    """(N, R, S, 3 * B): Sobel gradients per channel, votes under a Gaussian window, unit-length cells."""
    x = np.pad(frames.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    smooth_rows = x[:, :-2] + 2 * x[:, 1:-1] + x[:, 2:]
    smooth_cols = x[:, :, :-2] + 2 * x[:, :, 1:-1] + x[:, :, 2:]
    across = smooth_rows[:, :, :-2] - smooth_rows[:, :, 2:]
    down = smooth_cols[:, :-2] - smooth_cols[:, 2:]
    bins = np.floor(np.arctan2(across, down) / np.pi * orientations).astype(np.int64) % orientations
    votes = np.hypot(across, down) * _window(frames.shape[1], frames.shape[2], cell_px)[..., None]
    in_bins = np.where(bins[..., None] == np.arange(orientations), votes[..., None], 0.0)
    cells = _cell_sums(in_bins, cell_px)
    cells /= np.maximum(np.linalg.norm(cells, axis=-1, keepdims=True), 1e-12)
    return np.asarray(cells.reshape(*cells.shape[:3], -1))


@lru_cache(maxsize=8)
def _window(rows: int, cols: int, cell_px: int) -> npt.NDArray[np.float64]:
    """(rows, cols): a Gaussian over each square of 2 x 2 cells, its standard deviation one cell."""
    side = 2 * cell_px
    offsets = np.arange(side) - (side - 1) / 2
    bell = np.exp(-(offsets**2) / (2 * cell_px**2))
    bell /= bell.sum()
    by_rows, by_cols = (np.resize(bell, length) for length in (rows, cols))
    return np.outer(by_rows, by_cols)


def _cell_sums(values: npt.NDArray[Any], cell_px: int) -> npt.NDArray[np.float64]:
    """Sum (N, H, W, ...) over whole cells to (N, R, S, ...) float64."""
    num_rows, num_cols = values.shape[1] // cell_px, values.shape[2] // cell_px
    whole = values[:, : num_rows * cell_px, : num_cols * cell_px]
    cells = whole.reshape(len(values), num_rows, cell_px, num_cols, cell_px, *values.shape[3:])
    return np.asarray(cells.sum(axis=(2, 4), dtype=np.float64))


def _hog_paper(hog: HogParams, _num_modes: int) -> PseudoLabel:
    return CellLabel("hog-paper", hog, hog.orientations, partial(_paper_cells, hog=hog))


def _hog_maskfeat(hog: HogParams, _num_modes: int) -> PseudoLabel:
    describe = partial(_maskfeat_cells, orientations=hog.orientations, cell_px=hog.cell_px)
    return CellLabel("hog-maskfeat", hog, 3 * hog.orientations, describe)


def _lbp(hog: HogParams, _num_modes: int) -> PseudoLabel:
    return CellLabel("lbp", hog, LBP_POINTS + 2, partial(_lbp_cells, cell_px=hog.cell_px))


def _gradient_magnitude(hog: HogParams, _num_modes: int) -> PseudoLabel:
    describe = partial(_paper_cells, hog=hog.model_copy(update={"orientations": 1}))
    return CellLabel("gradient-magnitude", hog, 1, describe)


BUILT_IN: Mapping[str, Callable[[HogParams, int], PseudoLabel]] = MappingProxyType(
    {
        "hog": lambda hog, _: HogLabel(hog),
        "hog-paper": _hog_paper,
        "hog-maskfeat": _hog_maskfeat,
        "lbp": _lbp,
        "gradient-magnitude": _gradient_magnitude,
        "fisher": FisherLabel,
        ZERO: lambda hog, _: ZeroLabel(hog),
    }
)


def pseudo_label_names() -> tuple[str, ...]:
    """Names of the built-in labels, then of those that installed packages offer."""
    offered = {point.name for point in entry_points(group=ENTRY_POINTS)}
    return (*BUILT_IN, *sorted(offered - set(BUILT_IN)))


def make_pseudo_label(kind: str, hog: HogParams, num_modes: int = NUM_MODES) -> PseudoLabel:
    """Make a label by name; what has to be fitted is not fitted yet.

    Parameters
    ----------
    kind : str
        One of `pseudo_label_names`.
    hog : HogParams
        Size, cells and orientations, with a resize.
    num_modes : int
        Gaussians of the Fisher vector.

    Raises
    ------
    InputError
        If there is no such label, or a package's does not hold to the protocol.
    """
    if kind in BUILT_IN:
        return BUILT_IN[kind](hog, num_modes)
    for point in entry_points(group=ENTRY_POINTS):
        if point.name == kind:
            return _user_label(kind, point.load())
    raise InputError(
        "There is no such pseudo-label",
        where=kind,
        remedy=f"Choose from {', '.join(pseudo_label_names())}, or install the package that offers it.",
    )


def _user_label(name: str, loaded: Any) -> PseudoLabel:  # noqa: ANN401 - a package may offer anything
    made_by = loaded if hasattr(loaded, "compute") and not isinstance(loaded, type) else loaded()
    if not callable(getattr(made_by, "compute", None)) or int(getattr(made_by, "dim", 0)) < 1:
        raise InputError(
            "The package's pseudo-label lacks compute() or dim",
            where=name,
            remedy="Offer an object, or a class made without arguments, with dim >= 1 and compute(frames).",
        )
    label = UserLabel(name, made_by)
    if label.grid.dim != label.dim:
        raise InputError(
            f"The pseudo-label's grid holds {label.grid.dim} values, its dim is {label.dim}", where=name
        )
    return label


@dataclass(frozen=True)
class Standardised:
    """A label with each value brought to mean 0 and deviation 1 over the training frames.

    Attributes
    ----------
    label : PseudoLabel
    mean, scale : (D,) float32
        Values that never vary have the scale 1.
    """

    label: PseudoLabel
    mean: Values
    scale: Values

    @property
    def name(self) -> str:
        """The label's own."""
        return self.label.name

    @property
    def dim(self) -> int:
        """Length D."""
        return self.label.dim

    @property
    def grid(self) -> HogGrid:
        """The label's own."""
        return self.label.grid

    def compute(self, frames: Frames) -> Values:
        """Compute standardised labels (N, D) float32 of frames (N, H, W, 3) uint8."""
        return np.asarray((self.label.compute(frames) - self.mean) / self.scale, np.float32)
