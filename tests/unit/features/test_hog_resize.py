"""The resize in front of HOG against Pillow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hog_reference import drawn_frame
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_hogseg.features import hog
from napari_hogseg.features.hog import resize_frames


def pillow(frames, rows: int, cols: int) -> np.ndarray:
    images = [Image.fromarray(frame).resize((cols, rows), Image.Resampling.BICUBIC) for frame in frames]
    return np.stack([np.asarray(image) for image in images])


def pillow_columns_first(frames, rows: int, cols: int) -> np.ndarray:
    return pillow(pillow(frames, frames.shape[1], cols), rows, cols)


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.integers(1, 90)] * 4), st.integers(0, 2**16), st.booleans())
def test_products_over_fixed_point_weights_are_pillow_to_the_byte(sizes, seed, is_noise) -> None:
    height, width, rows, cols = sizes
    noise = np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    frames = noise if is_noise else np.stack([drawn_frame(height, width, seed + i) for i in range(2)])
    resized = hog._matmul_resize(torch.from_numpy(frames), rows, cols)
    assert resized.dtype == torch.uint8
    np.testing.assert_array_equal(resized.numpy(), pillow_columns_first(frames, rows, cols))
    np.testing.assert_array_equal(resize_frames(frames, rows, cols).numpy(), resized.numpy())


@pytest.mark.parametrize("size", [(256, 256), (270, 480), (540, 960), (128, 64), (200, 128)])
def test_paper_size_is_pillows(size) -> None:
    frames = np.stack([drawn_frame(*size, seed) for seed in range(2)])
    expected = pillow(frames, 128, 64)
    np.testing.assert_array_equal(resize_frames(frames, 128, 64).numpy(), expected)
    np.testing.assert_array_equal(hog._matmul_resize(torch.from_numpy(frames), 128, 64).numpy(), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_pillows_bytes() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 256, 301, 3), dtype=np.uint8)
    resized = resize_frames(torch.from_numpy(frames).cuda(), 128, 64)
    np.testing.assert_array_equal(resized.cpu().numpy(), pillow(frames, 128, 64))
