"""Windows and views against MONAI's blend and a plain transcription of averaging."""

from __future__ import annotations

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
def test_windows_blend_as_monai_does(convolution, size, window, overlap):
    torch.manual_seed(1)
    x = torch.rand(1, 3, *size)
    with torch.inference_mode():
        theirs = sliding_window_inference(
            x, (window, window), 4, convolution, overlap=overlap, mode="gaussian"
        )
        ours = predict_in_windows(convolution, x[0], window, overlap)
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
                seen = predictor.network(torch.flip(small, axes).contiguous()).softmax(1)
                maps.append(functional.interpolate(torch.flip(seen, axes), size=(72, 96), mode="bilinear"))
    expected = torch.cat(maps).mean(0)
    np.testing.assert_allclose(predictor.probabilities(frame), expected.numpy(), atol=1e-5)
    np.testing.assert_array_equal(predictor.predict(frame), predictor.probabilities(frame).argmax(0))


def test_a_mirrored_frame_gets_the_mirrored_answer(make_predictor, frame):
    predictor = make_predictor(flip=True)
    mirrored = predictor.probabilities(np.ascontiguousarray(frame[:, ::-1]))[:, :, ::-1]
    np.testing.assert_allclose(mirrored, predictor.probabilities(frame), atol=1e-5)


def test_windows_and_views_go_together(make_predictor, frame):
    found = make_predictor(window_px=32, overlap=0.5, flip=True).probabilities(frame)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("wrong", [{"window_px": 8}, {"scales": (9.0,)}, {"overlap": 1.0}, {"scales": ()}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=r"window|scale|overlap"):
        InferenceOptions(**wrong)
