"""Probabilities of single pixels, against those of the whole frame; their cache."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_hogseg.inference.options import InferenceOptions
from napari_hogseg.inference.pixel_probabilities import PixelProbabilities
from napari_hogseg.inference.predictor import Predictor
from napari_hogseg.models.registry import build_network
from napari_hogseg.runs.checkpoint import ModelSpec
from napari_hogseg.runs.config import HogConfig, ModelConfig
from tests.unit.data.trees import SCHEME, toy_pair

OPTIONS = [
    InferenceOptions(),
    InferenceOptions(flip=True, scales=(1.0, 1.5)),
    InferenceOptions(window_px=32),
]


@pytest.mark.parametrize("options", OPTIONS)
def test_a_pixel_has_the_probabilities_it_has_in_the_whole_frame(options: InferenceOptions) -> None:
    torch.manual_seed(3)
    network = build_network("unet-s", SCHEME.num_classes, "none")
    spec = ModelSpec(
        model=ModelConfig(network="unet-s", head="none", input_short_px=48), hog=HogConfig(), scheme=SCHEME
    )
    predictor = Predictor(network, spec, torch.device("cpu"), name="toy", digest="0", options=options)
    frame, _ = toy_pair(1, height=100, width=163)
    class_ids, probabilities = predictor.predict_with_probabilities(frame)
    np.testing.assert_array_equal(class_ids, predictor.predict(frame))
    whole = predictor.probabilities(frame)
    for row, column in ((0, 0), (99, 162), (0, 162), (50, 80), (13, 141)):
        np.testing.assert_allclose(probabilities.at(row, column), whole[:, row, column], atol=5e-3)
    assert probabilities.num_bytes < whole.nbytes


def test_certainty_does_not_overflow() -> None:
    maps = np.full((2, 1, 1), -6e4, np.float16)
    maps[1] = 6e4
    np.testing.assert_array_equal(PixelProbabilities((4, 4), (maps,)).at(3, 0), [0, 1])
