"""Windows and views against MONAI's blend and a plain transcription of averaging."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference
from monai.inferers.utils import compute_importance_map
from torch import nn
from torch.nn import functional

from napari_hogseg.data.augment import resize_frame
from napari_hogseg.data.scheme import LabelScheme
from napari_hogseg.inference.options import InferenceOptions
from napari_hogseg.inference.predictor import Predictor
from napari_hogseg.inference.tiling import gaussian_weights, predict_in_windows, starts
from napari_hogseg.models.registry import build_network
from napari_hogseg.runs.checkpoint import ModelSpec
from napari_hogseg.runs.config import HogConfig, ModelConfig

SCHEME = LabelScheme(name="two", classes=("a", "b", "c"), colors=((0, 0, 0), (9, 9, 9), (99, 9, 9)))


@pytest.fixture(scope="module")
def convolution():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 5, padding=2)).eval()
    with torch.inference_mode():
        yield network


@pytest.mark.parametrize("size", [(64, 64), (70, 101), (40, 133)])
@pytest.mark.parametrize(("window", "overlap"), [(32, 0.5), (40, 0.25), (33, 0.0), (32, 0.8)])
@pytest.mark.parametrize("mode", ["gaussian", "constant"])
def test_windows_blend_as_monai_does(convolution, size, window, overlap, mode):
    torch.manual_seed(1)
    x = torch.rand(1, 3, *size)
    with torch.inference_mode():
        theirs = sliding_window_inference(x, (window, window), 4, convolution, overlap=overlap, mode=mode)
        ours = predict_in_windows(convolution, x[0], window, overlap, mode)
    torch.testing.assert_close(ours, theirs[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(32, 32), (33, 48)])
def test_weights_are_monais(size):
    theirs = compute_importance_map(size, mode="gaussian", sigma_scale=0.125)
    torch.testing.assert_close(gaussian_weights(*size), theirs.float(), atol=1e-6, rtol=1e-5)


def test_a_frame_smaller_than_the_window_is_seen_whole(convolution):
    x = torch.rand(3, 20, 50)
    with torch.inference_mode():
        ours = predict_in_windows(convolution, x, 64, 0.5)
        torch.testing.assert_close(ours, convolution(x[None])[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("size", [(40, 133), (133, 40)])
def test_a_window_shrinks_along_the_side_that_is_shorter(convolution, size):
    x = torch.rand(1, 3, *size)
    with torch.inference_mode():
        theirs = sliding_window_inference(
            x, [min(64, side) for side in size], 4, convolution, overlap=0.5, mode="gaussian"
        )
        ours = predict_in_windows(convolution, x[0], 64, 0.5)
    torch.testing.assert_close(ours, theirs[0], atol=1e-5, rtol=1e-5)


def test_seams_of_a_small_receptive_field(convolution):
    """Three pixels beside its edges a window sees zeros in place of the frame, where it weighs little.

    Away from these bands nothing differs. Within them, a quarter of a window or more from the frame's border,
    the window has 0.001 against the 0.13 of another that sees the frame: below one hundredth of what a window
    alone is off by. At the border all weights have fallen to the 0.001: there it is one half, as by MONAI.
    """
    window, step, reach = 64, 32, 3
    rows, columns = torch.meshgrid(torch.linspace(0, 3, 128), torch.linspace(0, 5, 192), indexing="ij")
    x = torch.stack([1 + torch.sin(rows + columns), 1 + torch.cos(rows), 1 + torch.sin(columns)])
    alone, near = 0.0, torch.zeros(128, 192, dtype=torch.bool)
    with torch.inference_mode():
        whole = convolution(x[None])[0]
        for top, left in product(range(0, 128 - window + 1, step), range(0, 192 - window + 1, step)):
            place = slice(top, top + window), slice(left, left + window)
            off = (convolution(x[None, :, *place])[0] - whole[:, *place]).abs().amax(0)
            alone = max(alone, float(off.max()))
            near[place] |= off > 1e-5
        tiled, constant = (
            (predict_in_windows(convolution, x, window, 0.5, blend) - whole).abs().amax(0)
            for blend in ("gaussian", "constant")
        )
    assert alone > 0.1
    assert near.float().mean() < 2 * 2 * reach / step  # the bands alone
    assert tiled[~near].max() < 1e-5
    inside = slice(16, 112), slice(16, 176)
    assert tiled[inside].max() < 0.01 * alone
    assert tiled.max() <= 0.5 * alone
    assert constant[inside].max() > 0.2 * alone  # with equal weights the seams show


def test_windows_cover_a_side_to_its_end():
    assert starts(100, 40, 0.5) == [0, 20, 40, 60]
    assert starts(101, 40, 0.5) == [0, 20, 40, 60, 61]
    assert starts(40, 40, 0.5) == [0]


@pytest.fixture
def make_predictor():
    torch.manual_seed(3)
    network = build_network("unet-s", 3, "none")
    spec = ModelSpec(model=ModelConfig(head="none", input_short_px=64), hog=HogConfig(), scheme=SCHEME)

    def make(**options):
        chosen = InferenceOptions(**options) if options else None
        return Predictor(network, spec, torch.device("cpu"), name="m", digest="d", options=chosen)

    return make


@pytest.fixture
def frame():
    return np.random.default_rng(0).integers(0, 256, (72, 96, 3), dtype=np.uint8)


def test_plain_options_change_nothing(make_predictor, frame):
    plain, stated = make_predictor(), make_predictor(window_px=0, flip=False, scales=(1.0,))
    np.testing.assert_array_equal(plain.probabilities(frame), stated.probabilities(frame))
    np.testing.assert_array_equal(plain.predict(frame), stated.predict(frame))


def test_views_are_averaged_as_probabilities(make_predictor, frame):
    """Scales and mirroring, transcribed without the predictor."""
    predictor = make_predictor(flip=True, scales=(0.75, 1.0))
    maps = []
    with torch.inference_mode():
        for short_px in (48, 64):
            small = torch.from_numpy(resize_frame(frame, short_px).copy()).permute(2, 0, 1)[None] / 255.0
            for axes in ((), (3,)):
                seen = predictor.network(torch.flip(small, axes).contiguous())
                native = functional.interpolate(torch.flip(seen, axes), size=(72, 96), mode="bilinear")
                maps.append(native.softmax(1))
    expected = torch.cat(maps).mean(0)
    np.testing.assert_allclose(predictor.probabilities(frame), expected.numpy(), atol=1e-5)
    np.testing.assert_array_equal(predictor.predict(frame), predictor.probabilities(frame).argmax(0))


def test_a_mirrored_frame_gets_the_mirrored_answer(make_predictor, frame):
    predictor = make_predictor(flip=True)
    mirrored = predictor.probabilities(np.ascontiguousarray(frame[:, ::-1]))[:, :, ::-1]
    np.testing.assert_allclose(mirrored, predictor.probabilities(frame), atol=1e-5)


def test_one_window_over_the_whole_frame_is_the_plain_prediction(make_predictor, frame):
    """Windows and plain differ by the windows alone: both upsample logits, not probabilities."""
    plain, windows = make_predictor(), make_predictor(window_px=512)
    np.testing.assert_allclose(windows.probabilities(frame), plain.probabilities(frame), atol=1e-6)
    np.testing.assert_array_equal(windows.predict(frame), plain.predict(frame))


def test_windows_and_views_go_together(make_predictor, frame):
    found = make_predictor(window_px=32, overlap=0.5, flip=True).probabilities(frame)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("wrong", [{"window_px": 8}, {"scales": (9.0,)}, {"overlap": 1.0}, {"scales": ()}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=r"window|scale|overlap"):
        InferenceOptions(**wrong)
