"""HOG vectors against skimage, whichever way they are computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hog_reference import drawn_frame, read_real_frames, skimage_hog
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_hogseg.features import hog
from napari_hogseg.features.hog import HOG_PRESETS, HogParams, cell_histograms, hog_features, hog_target
from napari_hogseg.io.errors import InputError

TOLERANCE = 1e-6
PUBLISHED_DIMS = {
    "official-504": 504,
    "official-756": 756,
    "official-1680": 1680,
    "official-2520": 2520,
    "official-3780": 3780,
}


def by_tables(frames, params: HogParams) -> np.ndarray:
    """The tensor implementation, which other devices run, on this one."""
    batch = torch.from_numpy(frames)
    features = torch.empty((batch.shape[0], params.dim(*batch.shape[1:3])))
    hog._features_by_tables(batch, params, features)
    return features.numpy()


def assert_all_equal_skimage(frames, params: HogParams) -> None:
    expected = np.stack([skimage_hog(frame, params) for frame in frames])
    features = hog_features(frames, params)
    assert features.dtype == torch.float32
    assert features.shape == (len(frames), params.dim(*frames.shape[1:3])) == expected.shape
    np.testing.assert_allclose(features.numpy(), expected, atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(by_tables(frames, params), expected, atol=TOLERANCE, rtol=0)
    target = hog_target(frames[0], params)
    assert target.dtype == np.float32
    np.testing.assert_allclose(target, expected[0], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("name", HOG_PRESETS)
def test_presets_equal_skimage_on_drawn_frames(name: str) -> None:
    frames = np.stack([drawn_frame(256, 256, seed) for seed in range(3)])
    assert_all_equal_skimage(frames, HogParams.preset(name))


@pytest.mark.parametrize("name", HOG_PRESETS)
def test_presets_equal_skimage_on_real_frames(name: str, shared_data) -> None:
    assert_all_equal_skimage(read_real_frames(shared_data), HogParams.preset(name))


def test_real_frames_without_resize_equal_skimage(shared_data) -> None:
    assert_all_equal_skimage(
        read_real_frames(shared_data)[:2], HogParams(orientations=12, cell_px=20, block_cells=3)
    )


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 45),
    width=st.integers(1, 45),
    orientations=st.integers(1, 18),
    cell_px=st.integers(1, 13),
    block_cells=st.integers(1, 3),
    kind=st.sampled_from(["drawn", "noise", "few levels", "constant"]),
    seed=st.integers(0, 2**16),
)
def test_any_size_equals_skimage_or_is_refused(
    height, width, orientations, cell_px, block_cells, kind, seed
) -> None:
    rng = np.random.default_rng(seed)
    frame = {
        "drawn": lambda: drawn_frame(height, width, seed),
        "noise": lambda: rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        "few levels": lambda: rng.integers(100, 104, (height, width, 3), dtype=np.uint8),
        "constant": lambda: np.full((height, width, 3), rng.integers(0, 256), dtype=np.uint8),
    }[kind]()
    params = HogParams(orientations=orientations, cell_px=cell_px, block_cells=block_cells)
    if min(height, width) < cell_px * block_cells:
        for compute in (lambda: hog_features(frame[None], params), lambda: hog_target(frame, params)):
            with pytest.raises(InputError, match="smaller than one HOG block"):
                compute()
        return
    assert_all_equal_skimage(frame[None], params)


def test_channels_of_equal_length_are_chosen_as_skimage_chooses() -> None:
    """Equal squares whose hypot differs in the last bit: the larger float wins, not the first channel."""
    values = np.arange(256, dtype=np.float64)
    lengths = np.hypot(values[:, None], values[None, :])
    squares = (values[:, None] ** 2 + values[None, :] ** 2).astype(int)
    pairs = []
    for square in np.unique(squares[squares < 255**2]):
        rows, cols = np.nonzero(squares == square)
        best, worst = lengths[rows, cols].argmax(), lengths[rows, cols].argmin()
        if lengths[rows[best], cols[best]] != lengths[rows[worst], cols[worst]]:
            pairs.append(((rows[worst], cols[worst]), (rows[best], cols[best])))
    if not pairs:
        pytest.skip("this platform's hypot rounds all equal squares alike")
    for first, second in pairs:
        frame = np.zeros((3, 3, 3), dtype=np.uint8)
        for channel, (row, col) in enumerate([first, second, first]):
            frame[2, 1, channel], frame[1, 2, channel] = row, col
        assert_all_equal_skimage(frame[None], HogParams(orientations=180, cell_px=3, block_cells=1))


def test_chunks_do_not_show(monkeypatch) -> None:
    frames = np.stack([drawn_frame(64, 48, seed) for seed in range(5)])
    params = HogParams.preset("official-756")
    whole = by_tables(frames, params)
    monkeypatch.setattr(hog, "CHUNK_PIXELS", 2 * 64 * 48)
    np.testing.assert_array_equal(by_tables(frames, params), whole)


def test_cell_histograms_both_ways(monkeypatch) -> None:
    frames = np.stack([drawn_frame(61, 83, seed) for seed in range(2)])
    params = HogParams(orientations=8, cell_px=9)
    histograms = cell_histograms(frames, params)
    assert histograms.shape == (2, 6, 9, 8)
    tensors = hog._histograms_by_tables(torch.from_numpy(frames), params)
    np.testing.assert_allclose(histograms.numpy(), tensors.numpy(), rtol=1e-6)
    assert cell_histograms(frames, HogParams.preset()).shape == (2, 8, 4, 6)


def test_empty_batch_and_tensors_and_read_only_memory() -> None:
    params = HogParams.preset()
    assert hog_features(np.empty((0, 256, 256, 3), dtype=np.uint8), params).shape == (0, 504)
    frames = drawn_frame(80, 70)[None]
    expected = hog_features(frames, params)
    frames.flags.writeable = False
    assert torch.equal(hog_features(frames, params), expected)
    # A view with other strides, as a channels-first loader hands over.
    turned = torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2))).permute(0, 2, 3, 1)
    assert torch.equal(hog_features(turned, params), expected)
    np.testing.assert_array_equal(hog_target(turned[0].numpy(), params), expected[0].numpy())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", HOG_PRESETS)
def test_cuda_equals_skimage(name: str) -> None:
    frames = np.stack([drawn_frame(256, 256, seed) for seed in range(3)])
    features = hog_features(torch.from_numpy(frames).cuda(), HogParams.preset(name))
    expected = np.stack([skimage_hog(frame, HogParams.preset(name)) for frame in frames])
    np.testing.assert_allclose(features.cpu().numpy(), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("name", HOG_PRESETS)
def test_a_target_is_not_the_released_codes_zeros(name: str) -> None:
    """The authors cast to integers, which leaves nothing: every L2-Hys value is below 1."""
    params = HogParams.preset(name)
    target = hog_target(drawn_frame(256, 256), params)
    assert target.std() > 0.05
    assert (target > 0).mean() > 0.3
    assert target.max() < 1
    # Each block has length 1, so always predicting zero scores 1 / (4 * orientations).
    assert np.mean(target**2) == pytest.approx(1 / (4 * params.orientations), rel=0.02)


def test_presets_have_the_published_lengths() -> None:
    assert {name: params.dim(1080, 1920) for name, params in HOG_PRESETS.items()} == PUBLISHED_DIMS
    assert HogParams.preset() == HogParams.preset("official-504")
    assert HogParams(orientations=9, cell_px=8).dim(128, 64) == 3780


def test_an_unknown_preset_names_the_known() -> None:
    with pytest.raises(InputError, match=r"official-505.*official-504, official-756, official-1680"):
        HogParams.preset("official-505")


@pytest.mark.parametrize(
    "fields",
    [
        {"orientations": 0, "cell_px": 8},
        {"orientations": 181, "cell_px": 8},
        {"orientations": 9, "cell_px": 0},
        {"orientations": 9, "cell_px": 8, "block_cells": 0},
        {"orientations": 9, "cell_px": 8, "resize_rows": 128},
        {"orientations": 9, "cell_px": 8, "resize_cols": 64},
        {"orientations": 9, "cell_px": 40, "resize_rows": 128, "resize_cols": 64},
        {"orientations": 9, "cell_px": 8, "cells": 2},
    ],
)
def test_parameters_that_make_no_descriptor_are_refused(fields) -> None:
    with pytest.raises(ValidationError):
        HogParams(**fields)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((1, 64, 64, 3), dtype=np.float32), "moves gradients across bin edges"),
        (torch.zeros((1, 64, 64, 3)), "moves gradients across bin edges"),
        (np.zeros((64, 64, 3), dtype=np.uint8), r"shape \(N, H, W, 3\)"),
        (np.zeros((1, 64, 64, 4), dtype=np.uint8), r"shape \(N, H, W, 3\)"),
        (np.zeros((1, 0, 64, 3), dtype=np.uint8), "pixels"),
    ],
)
def test_frames_of_another_kind_are_refused(frames, message: str) -> None:
    for compute in (hog_features, cell_histograms):
        with pytest.raises(InputError, match=message):
            compute(frames, HogParams.preset())


def test_target_refuses_what_the_batch_refuses() -> None:
    with pytest.raises(InputError, match="uint8"):
        hog_target(np.zeros((64, 64, 3)), HogParams.preset())
    with pytest.raises(InputError, match="no whole cell"):
        cell_histograms(np.zeros((1, 5, 5, 3), dtype=np.uint8), HogParams(orientations=9, cell_px=8))
