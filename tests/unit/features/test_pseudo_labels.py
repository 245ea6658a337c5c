"""Every pseudo-label against its published definition, written out again here without the code under test."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import skimage.feature
import torch
from scipy.ndimage import map_coordinates

from napari_hogseg.features.hog import HogParams, hog_features
from napari_hogseg.features.pseudo_labels import (
    BUILT_IN,
    Standardised,
    make_pseudo_label,
    pseudo_label_names,
)
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

PARAMS = HogParams.preset("official-504")
UNFITTED = [name for name in BUILT_IN if name != "fisher"]


def frames(count: int = 2, rows: int = 128, cols: int = 64) -> np.ndarray:
    """Blocks of noise under smooth shading: every cell has gradients of its own."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 256, (count, math.ceil(rows / 5), math.ceil(cols / 5), 3))
    noisy = np.kron(coarse, np.ones((1, 5, 5, 1)))[:, :rows, :cols] * 0.8 + rng.integers(
        0, 50, (count, rows, cols, 3)
    )
    return noisy.astype(np.uint8)


@pytest.mark.parametrize("preset", ["official-504", "official-3780"])
@pytest.mark.parametrize("kind", UNFITTED)
def test_shape_is_what_dim_and_grid_say(kind: str, preset: str) -> None:
    label = make_pseudo_label(kind, HogParams.preset(preset))
    values = label.compute(frames(2, 90, 120))
    assert values.dtype == np.float32
    assert values.shape == (2, label.dim) == (2, label.grid.dim)
    assert label.name == kind
    assert np.isfinite(values).all()
    assert (values.var() > 1e-6) == (kind != "zero")


@pytest.mark.parametrize("kind", UNFITTED)
def test_frames_that_are_not_8_bit_rgb_are_refused(kind: str) -> None:
    label = make_pseudo_label(kind, PARAMS)
    with pytest.raises(InputError, match="8-bit"):
        label.compute(frames().astype(np.float32))
    with pytest.raises(InputError, match="shape"):
        label.compute(frames()[0])


def test_hog_is_the_official_descriptor_bit_for_bit() -> None:
    made = frames(2, 90, 120)
    assert np.array_equal(make_pseudo_label("hog", PARAMS).compute(made), hog_features(made, PARAMS).numpy())


def test_zero_has_hogs_length_and_geometry() -> None:
    label = make_pseudo_label("zero", PARAMS)
    assert label.grid == make_pseudo_label("hog", PARAMS).grid
    assert not label.compute(frames()).any()


def steepest_gradient(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Central differences without 1/2, zero at the borders, of each pixel's steepest channel."""
    x = frame.astype(float)
    down, across = np.zeros_like(x), np.zeros_like(x)
    down[1:-1] = x[2:] - x[:-2]
    across[:, 1:-1] = x[:, 2:] - x[:, :-2]
    channel = np.hypot(down, across).argmax(-1)[..., None]
    return (np.take_along_axis(g, channel, -1)[..., 0] for g in (down, across))


def test_paper_literal_patches() -> None:
    frame = frames(1)[0]
    down, across = steepest_gradient(frame)
    expected = np.zeros((8, 4, 6))
    for row in range(128):
        for col in range(64):
            degrees = math.degrees(math.atan2(down[row, col], across[row, col])) % 180
            expected[row // 16, col // 16, int(6 * degrees // 180)] += math.hypot(
                down[row, col], across[row, col]
            )
    expected /= 256 * 255 * math.sqrt(2)
    made = make_pseudo_label("hog-paper", PARAMS).compute(frame[None])[0]
    np.testing.assert_allclose(made, expected.ravel(), atol=1e-6)


def test_gradient_magnitude() -> None:
    frame = frames(1)[0]
    down, across = steepest_gradient(frame)
    expected = np.hypot(down, across).reshape(8, 16, 4, 16).mean((1, 3)) / math.hypot(255, 255)
    made = make_pseudo_label("gradient-magnitude", PARAMS).compute(frame[None])[0]
    np.testing.assert_allclose(made, expected.ravel(), atol=1e-6)


@pytest.mark.parametrize("preset", ["official-3780", "official-504"])
def test_maskfeats_definition_in_torch(preset: str) -> None:
    """Wei et al. 2022 with 9 bins, cells of 8 and a window of 16 (twice the cell), as published."""
    params = HogParams.preset(preset)
    made = frames(2)
    x = torch.from_numpy(made).permute(0, 3, 1, 2).double()
    sobel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]], dtype=torch.float64)
    x = torch.nn.functional.pad(x, (1, 1, 1, 1), mode="reflect")
    gx, gy = (
        torch.nn.functional.conv2d(x, kernel.expand(3, 1, 3, 3).contiguous(), groups=3)
        for kernel in (sobel, sobel.T)
    )
    side, cell, bins = 2 * params.cell_px, params.cell_px, params.orientations
    n = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    bell = torch.exp(-(n**2) / (2 * (side // 2) ** 2))
    window = torch.outer(bell, bell)
    window = (window / window.sum()).repeat(128 // side, 64 // side)
    phase = (torch.atan2(gx, gy) / math.pi * bins).floor().long() % bins
    votes = torch.zeros(2, 3, bins, 128, 64, dtype=torch.float64)
    votes.scatter_add_(2, phase[:, :, None], (torch.hypot(gx, gy) * window)[:, :, None])
    cells = votes.unfold(3, cell, cell).unfold(4, cell, cell).sum((-1, -2))
    cells = torch.nn.functional.normalize(cells, dim=2)
    expected = cells.permute(0, 3, 4, 1, 2).flatten(1)
    label = make_pseudo_label("hog-maskfeat", params)
    assert label.dim == expected.shape[1] == (128 // cell) * (64 // cell) * 3 * bins
    np.testing.assert_allclose(label.compute(made), expected.numpy(), atol=1e-6)


def test_maskfeat_ignores_contrast_and_paper_literal_does_not() -> None:
    soft = frames(1) // 4
    strong = soft * 3
    maskfeat, paper = (make_pseudo_label(kind, PARAMS) for kind in ("hog-maskfeat", "hog-paper"))
    np.testing.assert_allclose(maskfeat.compute(soft), maskfeat.compute(strong), atol=1e-6)
    np.testing.assert_allclose(3 * paper.compute(soft), paper.compute(strong), atol=1e-6)


def grey_frame() -> np.ndarray:
    grey = np.random.default_rng(8).integers(0, 256, (128, 64))
    return np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8)


def test_local_binary_patterns_from_the_definition() -> None:
    frame = grey_frame()
    grey = frame[..., 0].astype(float)
    rows, cols = np.mgrid[:128, :64]
    signs = []
    for point in range(8):
        angle = 2 * math.pi * point / 8
        where = [rows - math.sin(angle), cols + math.cos(angle)]
        neighbour = map_coordinates(grey, np.round(where, 5), order=1, mode="grid-constant")
        signs.append(neighbour - grey >= -1e-9)
    bits = np.stack(signs)
    changes = (bits != np.roll(bits, 1, axis=0)).sum(0)
    codes = np.where(changes <= 2, bits.sum(0), 9)
    expected = np.zeros((8, 4, 10))
    for row in range(128):
        for col in range(64):
            expected[row // 16, col // 16, codes[row, col]] += 1 / 256
    made = make_pseudo_label("lbp", PARAMS).compute(frame[None])[0].reshape(8, 4, 10)
    # The outermost pixels have neighbours outside the frame, where conventions differ.
    np.testing.assert_allclose(made[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-6)
    np.testing.assert_allclose(made.sum(-1), 1.0, atol=1e-6)


def test_local_binary_patterns_of_colour_are_skimages_of_luma() -> None:
    frame = frames(1)[0]
    luma = np.round(frame @ [0.299, 0.587, 0.114]).astype(np.uint8)
    codes = skimage.feature.local_binary_pattern(luma, 8, 1, method="uniform")
    cell = codes[16:32, 32:48].astype(int)
    expected = np.bincount(cell.ravel(), minlength=10) / 256
    made = make_pseudo_label("lbp", PARAMS).compute(frame[None])[0].reshape(8, 4, 10)
    np.testing.assert_allclose(made[1, 2], expected, atol=3 / 256)  # Pillow's luma rounds in fixed point


def test_standardised_values_have_mean_0_and_deviation_1() -> None:
    label = make_pseudo_label("hog", PARAMS)
    made = frames(12)
    values = label.compute(made)
    standard = Standardised(label, values.mean(0), values.std(0)).compute(made)
    np.testing.assert_allclose(standard.mean(0), 0.0, atol=1e-5)
    np.testing.assert_allclose(standard.std(0), 1.0, atol=1e-4)


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(InputError, match="gradient-magnitude"):
        make_pseudo_label("sift", PARAMS)


PACKAGE = """
import numpy as np

class Mean:
    dim = 3
    def compute(self, frames):
        return frames.mean((1, 2)).astype(np.float32)

class Wrong(Mean):
    dim = 4

class Shapeless:
    dim = 3

ready = Mean()
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed distribution, as the import system sees one, that offers labels."""
    (tmp_path / "colour_labels_of_a_test.py").write_text(PACKAGE, "utf-8")
    info = tmp_path / "colour_labels_of_a_test-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: colour-labels-of-a-test\nVersion: 1.0\n")
    points = {"mean": "Mean", "ready": "ready", "wrong": "Wrong", "shapeless": "Shapeless", "hog": "Mean"}
    lines = [f"{name} = colour_labels_of_a_test:{what}" for name, what in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[napari_hogseg.pseudo_labels]", *lines]), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("package")
def test_a_package_offers_its_own_label() -> None:
    made = frames(2, 40, 30)
    for name in ("mean", "ready"):
        label = make_pseudo_label(name, PARAMS)
        assert (label.name, label.dim, label.grid.dim) == (name, 3, 3)
        np.testing.assert_allclose(label.compute(made), made.mean((1, 2)), rtol=1e-6)
    assert set(pseudo_label_names()) == {*BUILT_IN, "mean", "ready", "wrong", "shapeless"}
    assert make_pseudo_label("hog", PARAMS).dim == 504  # a built-in name is never taken over


@pytest.mark.usefixtures("package")
def test_a_label_that_breaks_the_protocol_is_named() -> None:
    with pytest.raises(InputError, match=r"gave \(2, 3\).*\(2, 4\)"):
        make_pseudo_label("wrong", PARAMS).compute(frames())
    with pytest.raises(InputError, match="lacks compute"):
        make_pseudo_label("shapeless", PARAMS)
