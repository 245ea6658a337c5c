"""The gradient table against skimage's own voting, one gradient at a time."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.feature import _hoghistogram

from napari_hogseg.features.tables import MAX_GRADIENT, TABLE_SIDE, gradient_table


@pytest.mark.parametrize("orientations", [1, 2, 4, 6, 7, 8, 9, 12, 18, 180])
def test_every_gradient_votes_into_skimages_bin(orientations: int) -> None:
    # In cells of one pixel, skimage's histogram is its bin for each gradient. Every 3rd one keeps this
    # small, and the axes and diagonals, where bin edges lie, are among them.
    values = np.arange(-MAX_GRADIENT, MAX_GRADIENT + 1, 3, dtype=np.float64)
    assert {0.0, 255.0, -255.0} <= set(values)
    rows, cols = (np.ascontiguousarray(grid) for grid in np.meshgrid(values, values, indexing="ij"))
    size = values.size
    votes = np.zeros((size, size, orientations))
    _hoghistogram.hog_histograms(cols, rows, 1, 1, size, size, size, size, orientations, votes)

    table = gradient_table(orientations)
    entries = ((rows + MAX_GRADIENT) * TABLE_SIDE + cols + MAX_GRADIENT).astype(int)
    has_vote = votes.any(axis=2)
    assert has_vote.sum() == size * size - 1  # all but the zero gradient
    np.testing.assert_array_equal(table.bins[entries][has_vote], votes.argmax(axis=2)[has_vote])
    np.testing.assert_allclose(table.magnitudes[entries], votes.sum(axis=2), rtol=1e-7)


def test_a_gradient_on_a_bin_edge_opens_the_next_bin() -> None:
    def bin_of(row: int, col: int, orientations: int) -> int:
        return int(gradient_table(orientations).bins[(row + 255) * 511 + col + 255])

    assert bin_of(7, 7, 4) == 1  # 45 degrees
    assert bin_of(1, 0, 6) == 3  # 90 degrees
    assert bin_of(7, -7, 4) == 3  # 135 degrees
    assert bin_of(0, -9, 6) == 0  # 180 degrees is 0


def test_tables_are_read_only_and_kept() -> None:
    table = gradient_table(9)
    assert gradient_table(9) is table
    with pytest.raises(ValueError, match="read-only"):
        table.bins[0] = 1
