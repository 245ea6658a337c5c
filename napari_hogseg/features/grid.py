"""The geometry of a pseudo-label: how its values lie over the frame, which is what a regression head copies.

Owns no values and no layers: labels are made by `hog` and `pseudo_labels`, heads by `napari_hogseg.models`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from napari_hogseg.features.hog import HogParams

#: Cells that a label without a place in the frame (a Fisher vector, a user's) is read from, a side.
GLOBAL_CELLS = 4


class HogGrid(NamedTuple):
    """Geometry of a descriptor of fixed length: cells, blocks that slide by one cell, values per block."""

    cell_rows: int
    cell_cols: int
    block_cells: int
    block_values: int

    @classmethod
    def of(cls, hog: HogParams) -> HogGrid:
        """Derive it from the parameters of a HOG descriptor.

        Raises
        ------
        InputError
            If the parameters resize to no fixed size: the length then depends on the frame.
        """
        rows, cols = cls.cells_of(hog)
        return cls(rows, cols, hog.block_cells, hog.block_cells**2 * hog.orientations)

    @classmethod
    def per_cell(cls, hog: HogParams, values: int) -> HogGrid:
        """Geometry of `values` numbers in each of HOG's cells, without blocks."""
        return cls(*cls.cells_of(hog), 1, values)

    @classmethod
    def whole_frame(cls, dim: int) -> HogGrid:
        """Geometry of `dim` numbers that describe the frame as a whole."""
        return cls(GLOBAL_CELLS, GLOBAL_CELLS, GLOBAL_CELLS, dim)

    @staticmethod
    def cells_of(hog: HogParams) -> tuple[int, int]:
        """Rows and columns of whole cells; InputError where they would depend on the frame."""
        if hog.resize_rows is None or hog.resize_cols is None:
            raise InputError(
                "a regression head needs a HOG descriptor of fixed length",
                where="hog.resize_rows, hog.resize_cols",
                remedy='Set both (the paper resizes to 128 rows x 64 columns), or use head = "none".',
            )
        return hog.resize_rows // hog.cell_px, hog.resize_cols // hog.cell_px

    @property
    def dim(self) -> int:
        """Length D of the descriptor; blocks slide by one cell."""
        blocks = (self.cell_rows - self.block_cells + 1) * (self.cell_cols - self.block_cells + 1)
        return blocks * self.block_values
