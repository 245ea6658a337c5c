"""The residual against a plain transcription, for every kind of head, and what refuses to be measured."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import torch
from skimage.feature import hog as skimage_hog

from napari_hogseg.features.grid import HogGrid
from napari_hogseg.features.hog import HogParams, resize_frames
from napari_hogseg.inference.predictor import Predictor
from napari_hogseg.inference.residual import MEAN, SCALE, ResidualMeter, cell_means, hog_residual
from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.checkpoint import ModelSpec, load_network, network_of, save_checkpoint
from napari_hogseg.runs.config import HogConfig, ModelConfig, TargetConfig
from tests.unit.data.trees import SCHEME, toy_pair

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

HOG = HogParams.preset("official-504")


def make_run(
    folder: Path, network: str = "unet-s", head: str = "grid", target: TargetConfig | None = None, **arrays
) -> Path:
    torch.manual_seed(2)
    spec = ModelSpec(
        model=ModelConfig(network=network, head=head, input_short_px=64),
        hog=HogConfig(),
        target=target or TargetConfig(),
        scheme=SCHEME,
    )
    save_checkpoint(folder, spec, network_of(spec), {}, best=True, target=arrays)
    return folder


def official_hog(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """The descriptor by skimage's own function, after the paper's resize."""
    resized = resize_frames(frame[None], HOG.resize_rows, HOG.resize_cols)[0]
    cells = (HOG.cell_px, HOG.cell_px)
    return skimage_hog(resized.numpy(), HOG.orientations, cells, (2, 2), channel_axis=-1)


def plain_map(error_D: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Put each value of a HOG descriptor where its cell lies, one after the other."""
    found: dict[tuple[int, int], list[float]] = {}
    values = iter(error_D)
    for block_row, block_col, row, col, _ in product(range(7), range(3), range(2), range(2), range(6)):
        found.setdefault((block_row + row, block_col + col), []).append(float(next(values)))
    return np.array([[np.mean(found[row, col]) for col in range(4)] for row in range(8)])


@pytest.mark.parametrize(("network", "num_heads"), [("unet-s", 1), ("u2netp", 6)])
def test_residual_is_heads_minus_hog(tmp_path: Path, network: str, num_heads: int) -> None:
    run = make_run(tmp_path / "run", network)
    frame, _ = toy_pair(3, height=96, width=120)
    measured = hog_residual(Predictor.load(run, "cpu"), frame)

    small = cv2.resize(frame, (80, 64), interpolation=cv2.INTER_AREA)
    with torch.no_grad():
        heads = load_network(run)[1].predict_targets(
            torch.from_numpy(small.transpose(2, 0, 1).copy())[None] / 255
        )
    truth = official_hog(small)
    assert len(measured.by_stage) == len(measured.maps) == len(heads) == num_heads
    for head, stage, cells in zip(heads, measured.by_stage, measured.maps, strict=True):
        error_D = (head[0].numpy() - truth) ** 2
        assert stage == pytest.approx(error_D.mean(), rel=1e-3)
        np.testing.assert_allclose(cells, plain_map(error_D), rtol=5e-3, atol=1e-5)
        assert cells.shape == (8, 4)
    assert measured.total == pytest.approx(np.mean(measured.by_stage))


def test_the_answer_segments_as_prediction_does(tmp_path: Path) -> None:
    frame, _ = toy_pair(4, height=72, width=100)
    for head in ("grid", "official"):
        predictor = Predictor.load(make_run(tmp_path / head, "unet-s", head), "cpu")
        answer = predictor.answer(frame)
        np.testing.assert_allclose(answer.probabilities, predictor.probabilities(frame), atol=1e-6)
        assert answer.seen.shape[:2] == ((64, 89) if head == "grid" else (256, 256))
        assert np.isfinite(hog_residual(predictor, frame).total)


def test_a_standardised_label_is_compared_in_its_own_units(tmp_path: Path) -> None:
    mean, scale = np.full(504, 0.25, np.float32), np.full(504, 0.5, np.float32)
    run = make_run(tmp_path / "run", target=TargetConfig(standardise=True), **{MEAN: mean, SCALE: scale})
    frame, _ = toy_pair(5, height=64, width=64)
    predictor = Predictor.load(run, "cpu")
    said = predictor.answer(frame).descriptors[0]
    expected = np.mean((said - (official_hog(frame) - 0.25) / 0.5) ** 2)
    assert hog_residual(predictor, frame).total == pytest.approx(expected, rel=1e-3)
    predictor.target.clear()
    with pytest.raises(InputError, match="target statistics"):
        hog_residual(predictor, frame)


def test_a_model_without_heads_is_refused(tmp_path: Path) -> None:
    predictor = Predictor.load(make_run(tmp_path / "run", head="none"), "cpu")
    with pytest.raises(InputError, match="no regression heads"):
        ResidualMeter(predictor)


def test_a_label_of_the_whole_frame_has_one_value() -> None:
    cells = cell_means(np.arange(10, dtype=np.float32), HogGrid.whole_frame(10), within_block=False)
    np.testing.assert_array_equal(cells, np.full((4, 4), 4.5))
