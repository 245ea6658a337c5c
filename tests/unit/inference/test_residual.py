"""The HOG residual against a plain transcription: heads, label and maps by hand, and what has no map."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from skimage.feature import hog as skimage_hog

from napari_hogseg.inference.options import InferenceOptions
from napari_hogseg.inference.predictor import Predictor, best_classes
from napari_hogseg.inference.residual import hog_residual, read_frame
from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.checkpoint import ModelSpec, load_network, network_of, save_checkpoint
from napari_hogseg.runs.config import HogConfig, ModelConfig, TargetConfig
from napari_hogseg.runs.target_label import MEAN, SCALE
from tests.unit.data.trees import SCHEME, toy_pair

if TYPE_CHECKING:
    from pathlib import Path

D = 504


def write(folder: Path, target: TargetConfig | None = None, **model: object) -> Predictor:
    torch.manual_seed(2)
    spec = ModelSpec(
        model=ModelConfig(**{"network": "unet-s", "input_short_px": 48, **model}),
        hog=HogConfig(),
        target=target or TargetConfig(),
        scheme=SCHEME,
    )
    arrays = {}
    if spec.target.standardise:
        arrays = {MEAN: np.linspace(0, 0.3, D, dtype=np.float32), SCALE: np.full(D, 0.25, np.float32)}
    if spec.target.kind == "fisher":
        rng = np.random.default_rng(0)
        shapes = spec.target.label(spec.hog).array_shapes
        arrays = {name: rng.uniform(0.1, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    save_checkpoint(folder, spec, network_of(spec), {}, best=True, target=arrays)
    return Predictor.load(folder, "cpu")


def by_hand(folder: Path, small: np.ndarray) -> list[np.ndarray]:
    """Squared errors (D,) of each head against scikit-image's descriptor of the picture resized by Pillow."""
    network = load_network(folder)[1]
    with torch.no_grad():
        taps = network.trunk.forward_deep(torch.from_numpy(small.transpose(2, 0, 1).copy())[None] / 255).taps
        predicted = [head(tap)[0].numpy() for head, tap in zip(network.heads, taps, strict=True)]
    resized = np.asarray(Image.fromarray(small).resize((64, 128), Image.Resampling.BICUBIC))
    target = skimage_hog(
        resized,
        orientations=6,
        pixels_per_cell=(16, 16),
        cells_per_block=(2, 2),
        block_norm="L2-Hys",
        channel_axis=-1,
    )
    return [(each - target) ** 2 for each in predicted]


def map_by_hand(squares_D: np.ndarray) -> np.ndarray:
    """Put each value where its cell lies, one after the other."""
    found: dict[tuple[int, int], list[float]] = {}
    values = iter(squares_D)
    for block_row, block_col, row, col, _ in product(range(7), range(3), range(2), range(2), range(6)):
        found.setdefault((block_row + row, block_col + col), []).append(float(next(values)))
    return np.array([[np.mean(found[row, col]) for col in range(4)] for row in range(8)])


@pytest.mark.parametrize("network", ["unet-s", "u2netp"])
def test_residual_is_heads_minus_descriptor(tmp_path: Path, network: str) -> None:
    predictor = write(tmp_path, network=network)
    frame, _ = toy_pair(1, height=96, width=160)
    small = cv2.resize(frame, (80, 48), interpolation=cv2.INTER_AREA)
    squares = by_hand(tmp_path, small)
    residual = hog_residual(predictor, frame)
    np.testing.assert_allclose(residual.by_stage, [each.mean() for each in squares], rtol=1e-4)
    assert residual.total == pytest.approx(sum(residual.by_stage))
    assert len(residual.maps) == len(residual.by_stage) == {"unet-s": 1, "u2netp": 6}[network]
    for squares_D, found in zip(squares, residual.maps, strict=True):
        assert found.shape == (8, 4)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, map_by_hand(squares_D), rtol=1e-3, atol=1e-6)
    picture = residual.pictures(96, 160)[0]
    assert picture.shape == (96, 160)
    assert picture[6, 20] == pytest.approx(residual.maps[0][0, 0], rel=0.1)


def test_standardised_target_is_compared_in_its_own_units(tmp_path: Path) -> None:
    frame, _ = toy_pair(3)
    predictor = write(tmp_path, TargetConfig(standardise=True))
    raw = predictor.label.label.compute(frame[None])[0]
    with torch.no_grad():
        x = torch.from_numpy(frame.transpose(2, 0, 1).copy())[None] / 255
        head = predictor.network.predict_targets(x)[0][0].numpy()
    expected = ((head - (raw - np.linspace(0, 0.3, D)) / 0.25) ** 2).mean()
    assert hog_residual(predictor, frame).total == pytest.approx(expected, rel=1e-4)


def test_a_label_without_blocks_has_its_cells_as_they_are(tmp_path: Path) -> None:
    predictor = write(tmp_path, TargetConfig(kind="lbp"))
    frame, _ = toy_pair(3)
    truth = predictor.label.compute(frame[None])[0]
    with torch.no_grad():
        x = torch.from_numpy(frame.transpose(2, 0, 1).copy())[None] / 255
        head = predictor.network.predict_targets(x)[0][0].numpy()
    expected = ((head - truth) ** 2).reshape(8, 4, 10).mean(2)
    np.testing.assert_allclose(hog_residual(predictor, frame).maps[0], expected, rtol=1e-4, atol=1e-7)


def test_a_label_of_the_whole_frame_has_no_map(tmp_path: Path) -> None:
    predictor = write(tmp_path, TargetConfig(kind="fisher", modes=2))
    residual = hog_residual(predictor, toy_pair(1)[0])
    assert residual.maps == ()
    assert residual.total > 0


def test_official_heads_see_the_frame_squeezed_to_their_size(tmp_path: Path) -> None:
    predictor = write(tmp_path, head="official", network="unet", input_short_px=96)
    frame, _ = toy_pair(1, height=96, width=128)
    squares = by_hand(tmp_path, cv2.resize(frame, (256, 256), interpolation=cv2.INTER_AREA))
    assert hog_residual(predictor, frame).total == pytest.approx(squares[0].mean(), rel=1e-3)
    assert read_frame(predictor, frame).residual.total == pytest.approx(squares[0].mean(), rel=1e-3)


def test_no_heads_no_residual(tmp_path: Path) -> None:
    predictor = write(tmp_path, head="none")
    frame, _ = toy_pair(1)
    with pytest.raises(InputError, match="no regression heads"):
        hog_residual(predictor, frame)
    reading = read_frame(predictor, frame)
    assert reading.residual is None
    np.testing.assert_array_equal(reading.class_ids, predictor.predict(frame))


def test_one_pass_reads_what_the_single_ones_say(tmp_path: Path) -> None:
    predictor = write(tmp_path)
    frame, _ = toy_pair(5, height=100, width=140)
    reading = read_frame(predictor, frame)
    np.testing.assert_array_equal(reading.class_ids, predictor.predict(frame))
    assert reading.residual.total == pytest.approx(hog_residual(predictor, frame).total, rel=1e-6)
    small = cv2.resize(frame, (67, 48), interpolation=cv2.INTER_AREA)
    p = predictor.probabilities(small).astype(np.float64)
    assert reading.entropy == pytest.approx(-(p * np.log(p)).sum(0).mean() / math.log(3), rel=1e-4)
    assert 0 < reading.entropy < 1


def test_windows_and_views_are_read_as_the_predictor_sees_them(tmp_path: Path) -> None:
    plain = write(tmp_path)
    predictor = Predictor.load(tmp_path, "cpu", InferenceOptions(flip=True))
    frame, _ = toy_pair(6)
    reading = read_frame(predictor, frame)
    np.testing.assert_array_equal(reading.class_ids, predictor.predict(frame))
    p = predictor.probabilities(frame).astype(np.float64)
    assert reading.entropy == pytest.approx(-(p * np.log(p)).sum(0).mean() / math.log(3), rel=1e-4)
    assert reading.residual.total == pytest.approx(hog_residual(plain, frame).total, rel=1e-6)


def test_of_equal_scores_the_first_class_wins() -> None:
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.integers(0, 3, (7, 50, 60)).astype(np.float32))
    np.testing.assert_array_equal(best_classes(scores), scores.numpy().argmax(0))
