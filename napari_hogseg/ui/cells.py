"""Where a place of the image lies on the canvas, in each cell of napari's grid, and back. Numbers, no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.viewer import Viewer


@dataclass(frozen=True)
class Cells:
    """The cells of the grid and what they look at.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns.
    size_px : (float, float)
        Height and width of one cell. All pixels here are those of Qt, whatever the screen's density.
    spacing_px : float
        Between two cells.
    center : (float, float)
        Row and column of the image in the middle of each cell.
    zoom : float
        Canvas pixels per image pixel.
    """

    shape: tuple[int, int]
    size_px: tuple[float, float]
    spacing_px: float
    center: tuple[float, float]
    zoom: float

    @classmethod
    def of(cls, viewer: Viewer, canvas_px: tuple[float, float]) -> Cells:
        """Read them off a viewer whose canvas has a height and width.

        Parameters
        ----------
        viewer : napari.Viewer
            With a grid spacing in pixels, as `PanelGrid` sets it.
        canvas_px : (float, float)
        """
        grid, camera = viewer.canvas.grid, viewer.scene.camera
        rows, columns = grid.actual_shape(viewer.layers)
        spacing = float(grid.spacing) if rows * columns > 1 else 0.0
        size = (
            (canvas_px[0] - (rows - 1) * spacing) / rows,
            (canvas_px[1] - (columns - 1) * spacing) / columns,
        )
        return cls((rows, columns), size, spacing, (camera.center[-2], camera.center[-1]), camera.zoom)

    def corner(self, cell: tuple[int, int]) -> tuple[float, float]:
        """Find the y and x of a cell's upper left corner on the canvas."""
        row, column = cell
        return row * (self.size_px[0] + self.spacing_px), column * (self.size_px[1] + self.spacing_px)

    def on_canvas(self, cell: tuple[int, int], place: tuple[float, float]) -> tuple[float, float] | None:
        """Find the y and x on the canvas of an image's row and column; None where the cell cuts it off."""
        inside = tuple(
            size / 2 + (position - center) * self.zoom
            for position, center, size in zip(place, self.center, self.size_px, strict=True)
        )
        if not (0 <= inside[0] < self.size_px[0] and 0 <= inside[1] < self.size_px[1]):
            return None
        top, left = self.corner(cell)
        return top + inside[0], left + inside[1]

    def at(self, y: float, x: float) -> tuple[int, int]:
        """Find the cell at a place of the canvas; between two, the upper or left one."""
        steps = (y / (self.size_px[0] + self.spacing_px), x / (self.size_px[1] + self.spacing_px))
        row, column = (min(max(int(step), 0), most - 1) for step, most in zip(steps, self.shape, strict=True))
        return row, column

    def place(self, cell: tuple[int, int], y: float, x: float) -> tuple[float, float]:
        """Find the image's row and column at a place of the canvas, as a cell sees it, also outside of it."""
        top, left = self.corner(cell)
        row = self.center[0] + (y - top - self.size_px[0] / 2) / self.zoom
        return row, self.center[1] + (x - left - self.size_px[1] / 2) / self.zoom
