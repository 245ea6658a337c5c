"""Regression heads: sizes of the released code, HOG's geometry, and that they can learn HOG at all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.feature import hog as skimage_hog

from napari_hogseg.features.hog import HOG_PRESETS, HogParams
from napari_hogseg.io.errors import InputError
from napari_hogseg.models import HogGrid, build_network
from napari_hogseg.models.heads import GridHead

OFFICIAL = HogParams.preset("official-504")


@pytest.mark.parametrize(("name", "expected"), [("u2net", 55_080_272), ("unet", 7_963_896)])
@pytest.mark.parametrize("head", ["official", "table1"])
def test_official_heads_have_the_size_of_the_released_ones(name, head, expected):
    with torch.device("meta"):
        network = build_network(name, 18, head)
    assert sum(p.numel() for p in network.head_parameters()) == expected


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("u2net", 2.5e6, 3.2e6), ("unet", 1e6, 2e6), ("unet-s", 0, 0.3 * 1.94e6), ("u2netp", 0, 0.3 * 1.16e6)],
)
def test_grid_heads_stay_small_beside_their_network(name, low, high):
    with torch.device("meta"):
        size = sum(p.numel() for p in build_network(name, 8).head_parameters())
    assert low < size < high


@pytest.mark.parametrize("preset", sorted(HOG_PRESETS))
def test_every_preset_gives_its_dimension(preset):
    params = HogParams.preset(preset)
    assert HogGrid.of(params).dim == params.dim(256, 256) == int(preset.rsplit("-", 1)[1])
    with torch.device("meta"):
        network = build_network("unet-s", 3, "grid", params)
        output = network(torch.empty(2, 3, 96, 80))
    assert [tuple(hog.shape) for hog in output.hog] == [(2, network.hog_dim)]


@pytest.mark.parametrize("name", ["u2net", "unet", "unet-s"])
def test_official_heads_run_at_256_and_only_there(name):
    with torch.device("meta"):
        network = build_network(name, 3, "official")
        assert {tuple(hog.shape) for hog in network(torch.empty(2, 3, 256, 256)).hog} == {(2, 504)}
        # 255 would pool to the same 8x8 map: without the check it would pass unseen.
        for size in ((255, 256), (256, 320)):
            with pytest.raises(InputError, match="accepts 256x256 crops only"):
                network(torch.empty(2, 3, *size))
    assert network.required_input_px == 256


def test_table1_heads_take_any_size_and_equal_the_official_ones_at_256():
    torch.manual_seed(0)
    table1 = build_network("unet-s", 2, "table1")
    official = build_network("unet-s", 2, "official")
    official.load_state_dict(table1.state_dict())
    tap = torch.rand(1, 256, 16, 16)
    torch.testing.assert_close(table1.heads[0](tap), official.heads[0](tap))
    assert tuple(table1.heads[0](torch.rand(1, 256, 5, 9)).shape) == (1, 504)
    assert table1.required_input_px is None


def blocks_that_change(descriptor: np.ndarray, baseline: np.ndarray, grid: HogGrid) -> set[tuple[int, int]]:
    shape = (grid.cell_rows - grid.block_cells + 1, grid.cell_cols - grid.block_cells + 1, grid.block_values)
    changed = np.abs(descriptor - baseline).reshape(shape).max(axis=2) > 1e-6
    return {(int(row), int(col)) for row, col in zip(*np.nonzero(changed), strict=True)}


@pytest.mark.parametrize("cell", [(0, 0), (3, 2), (7, 1)])
@torch.no_grad()
def test_grid_head_puts_a_cell_into_the_blocks_where_skimage_puts_it(cell):
    torch.manual_seed(0)
    grid = HogGrid.of(OFFICIAL)
    head = GridHead(2, grid).eval()
    head.mix.weight.zero_()  # this layer looks at neighbouring cells on purpose
    head.mix.weight[range(16), range(16), 1, 1] = 1.0
    head.block.bias.fill_(1.0)  # keep the ReLU from hiding a change

    top, left = (16 * index for index in cell)
    inside = (slice(top + 4, top + 12), slice(left + 4, left + 12))
    tap = torch.zeros(1, 2, 128, 64)
    baseline = head(tap).numpy()
    tap[0, :, *inside] = 30.0
    frame = np.zeros((128, 64), np.uint8)
    frame[inside] = 200
    reference = skimage_hog(frame, orientations=6, pixels_per_cell=(16, 16), cells_per_block=(2, 2))

    want = blocks_that_change(reference, np.zeros_like(reference), grid)
    assert blocks_that_change(head(tap).numpy(), baseline, grid) == want


def striped_frame(rng: np.random.Generator) -> np.ndarray:
    """Every cell of 16x16 pixels with stripes of a random direction and contrast."""
    rows, cols = np.mgrid[:128, :64]
    angle, contrast = rng.uniform(0, np.pi, (8, 4)), rng.uniform(20, 100, (8, 4))
    angle, contrast = (np.kron(values, np.ones((16, 16))) for values in (angle, contrast))
    wave = np.sin((rows * np.sin(angle) + cols * np.cos(angle)) * 1.2)
    return (128 + contrast * wave).astype(np.uint8)


def test_grid_head_learns_hog_from_the_frame_itself():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    frames = np.stack([striped_frame(rng) for _ in range(8)])
    params = {"orientations": 6, "pixels_per_cell": (16, 16), "cells_per_block": (2, 2)}
    target = torch.from_numpy(np.stack([skimage_hog(frame, **params) for frame in frames])).float()
    x = torch.from_numpy(frames).float()[:, None] / 255
    head = GridHead(1, HogGrid.of(OFFICIAL))
    optimiser = torch.optim.Adam(head.parameters(), 1e-2)
    for _ in range(150):
        optimiser.zero_grad()
        loss = (head(x) - target).square().mean()
        loss.backward()
        optimiser.step()
    predict_mean = target.var(dim=0, correction=0).mean()
    # R2 above 0.3 in two seconds, from a grey frame, which is a poorer input than a tap.
    assert loss.item() < 0.7 * predict_mean.item()


def test_a_descriptor_without_fixed_length_is_refused():
    free = HogParams(orientations=6, cell_px=16, resize_rows=None, resize_cols=None)
    with pytest.raises(InputError, match="fixed length"):
        build_network("unet-s", 3, "grid", free)
    assert build_network("unet-s", 3, "none", free).hog_dim == 0
