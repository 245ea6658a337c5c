"""The predictor: native size out, the same numbers as the network by hand, devices and names."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import torch

import sample_data
from napari_hogseg.inference.predictor import Predictor, choose_device
from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError
from napari_hogseg.io.video import open_frames
from napari_hogseg.runs.checkpoint import ModelSpec, export_model, load_network, network_of, save_checkpoint
from napari_hogseg.runs.config import HogConfig, ModelConfig
from tests.unit.data.trees import SCHEME, toy_pair

if TYPE_CHECKING:
    from pathlib import Path

SPEC = ModelSpec(
    model=ModelConfig(network="unet-s", input_short_px=48), hog=HogConfig(), scheme=SCHEME, step=3
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("runs") / "run"
    save_checkpoint(folder, SPEC, network_of(SPEC), {"step": 3}, best=True)
    return folder


def test_predicts_at_native_size_what_the_network_says(run: Path) -> None:
    predictor = Predictor.load(run, "cpu")
    frame, _ = toy_pair(1, height=96, width=160)
    small = cv2.resize(frame, (80, 48), interpolation=cv2.INTER_AREA)
    network = load_network(run)[1]
    with torch.no_grad():
        logits = network(torch.from_numpy(small.transpose(2, 0, 1).copy())[None] / 255)
        large = torch.nn.functional.interpolate(logits, size=(96, 160), mode="bilinear", align_corners=False)[
            0
        ]
    mask = predictor.predict(frame)
    assert mask.shape == (96, 160)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, large.argmax(0).numpy())
    probabilities = predictor.probabilities(frame)
    np.testing.assert_allclose(probabilities, large.softmax(0).numpy(), atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(0), 1.0, atol=1e-5)


def test_name_scheme_hog_and_digest(run: Path) -> None:
    predictor = Predictor.load(run)
    assert predictor.name == "run (step-0000003)"
    assert predictor.scheme == SCHEME
    assert predictor.hog.dim(99, 99) == 504
    assert len(predictor.digest) == 64


def test_threads_take_turns(run: Path) -> None:
    predictor = Predictor.load(run, "cpu")
    frames = [toy_pair(seed)[0] for seed in range(8)]
    expected = [predictor.predict(frame) for frame in frames]
    with ThreadPoolExecutor(4) as pool:
        for mask, other in zip(pool.map(predictor.predict, frames), expected, strict=True):
            np.testing.assert_array_equal(mask, other)


def test_devices() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(InputError, match="Device 'tpu9' cannot be used"):
        choose_device("tpu9")


def test_export_in_half_precision_predicts_nearly_the_same(run: Path, tmp_path: Path) -> None:
    export_model(run, tmp_path / "model", half=True)
    frame, _ = toy_pair(2)
    difference = Predictor.load(tmp_path / "model").probabilities(frame) - Predictor.load(run).probabilities(
        frame
    )
    assert np.abs(difference).max() < 0.02
    with pytest.raises(InputError, match="nothing is overwritten"):
        export_model(run, tmp_path / "model", half=True)


def test_the_sample_model_segments_the_sample_clip() -> None:
    """The committed model was trained on other seeds than the committed clip."""
    predictor = Predictor.load(sample_data.model_path(), "cpu")
    source = open_frames(sample_data.clip_path())
    truth = images.read_mask(images.list_images(sample_data.masks_path())[60])
    mask = predictor.predict(source.frame(60))
    source.close()
    assert (mask == truth).mean() > 0.9
    assert "seed_000007" not in predictor.spec.data.train
