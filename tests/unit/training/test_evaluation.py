"""Scores against values worked out by hand, and folder scoring that names every bad file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError
from tests.unit.data.trees import SCHEME
from training.evaluation import score_pairs
from training.scoring import score_folder, truth_folder

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hogseg.metrics.reports import ScoreReport


def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    """Two frames: in the first half of class 1 is missed, in the second all of class 0 is right."""
    truth = np.zeros((2, 8, 8), np.uint8)
    truth[0, :4] = 1
    truth[0, 7] = 255
    prediction = np.zeros((2, 8, 8), np.uint8)
    prediction[0, :2] = 1
    return [(prediction[0], truth[0]), (prediction[1], truth[1])]


def test_both_protocols_by_hand() -> None:
    scores = score_pairs(pairs(), SCHEME)
    # frame 1: class 1 has 32 true, 16 found; class 0 has 24 true, 24 + 16 predicted. frame 2: 64 of 64.
    assert scores.iou["tool"] == pytest.approx(16 / 32)
    assert scores.iou["background"] == pytest.approx((24 + 64) / (40 + 64))
    assert math.isnan(scores.iou["tissue"])
    assert scores.num_absent == 1
    assert scores.miou == pytest.approx((0.5 + 88 / 104) / 2)
    assert scores.paper_per_image_miou == pytest.approx(((0.5 + 24 / 40) / 2 + 1.0) / 2)
    assert scores.paper_per_image_miou != pytest.approx(scores.miou)


def score_folders(prediction: Path, truth: Path, num_classes: int, protocol: str = "") -> ScoreReport:
    return score_folder(prediction, truth_folder(truth, prediction, num_classes), protocol)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    prediction, truth = tmp_path / "prediction", tmp_path / "truth"
    for folder in (prediction, truth):
        (folder / "clip").mkdir(parents=True)
    for number, (predicted, true) in enumerate(pairs()):
        images.write_mask(prediction / "clip" / f"{number}.png", predicted)
        images.write_mask(truth / "clip" / f"{number}.png", true)
    return prediction, truth


def test_folders_score_as_arrays_do(folders: tuple[Path, Path]) -> None:
    scores = score_folders(*folders, 3)
    assert scores.numbers["mIoU"] == pytest.approx(score_pairs(pairs(), SCHEME).miou)
    assert scores.other_number("paper-per-image") == pytest.approx(
        score_pairs(pairs(), SCHEME).paper_per_image_miou
    )
    assert scores.videos == ("clip",)
    assert list(scores.iou) == ["class 0", "class 1", "class 2"]


def test_class_names_come_from_dataset_toml(folders: tuple[Path, Path]) -> None:
    (folders[1] / "dataset.toml").write_text(SCHEME.to_toml(), "utf-8")
    assert list(score_folders(*folders, 3).iou) == list(SCHEME.classes)


def test_missing_and_extra_files_are_named(folders: tuple[Path, Path]) -> None:
    (folders[0] / "clip" / "0.png").rename(folders[0] / "clip" / "9.png")
    with pytest.raises(InputError, match=r"no prediction for clip/0\.png; no truth for clip/9\.png"):
        score_folders(*folders, 3)


def test_every_bad_file_is_named_and_nothing_is_scored(folders: tuple[Path, Path]) -> None:
    images.write_mask(folders[0] / "clip" / "0.png", np.full((8, 8), 7, np.uint8))
    images.write_mask(folders[0] / "clip" / "1.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(InputError) as caught:
        score_folders(*folders, 3)
    assert "[7] are not classes" in str(caught.value)
    assert "1.png is (4, 4)" in str(caught.value)


def test_empty_and_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such folder"):
        score_folders(tmp_path, tmp_path / "none", 2)
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match=r"No \.png"):
        score_folders(tmp_path / "a", tmp_path / "a", 2)
