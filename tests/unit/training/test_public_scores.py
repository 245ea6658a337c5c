"""Every public data set is scored by its own protocol, from its tree on disk to values worked out by hand.

The prediction is the truth with its last class painted over as class 0, and void answered as class 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_hogseg.data.layouts import LAYOUTS, open_dataset
from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError
from tests.miniature_trees import LAYOUT_NAMES, expected_mask, write_tree
from training.scoring import score_folder, truth_dataset

if TYPE_CHECKING:
    from pathlib import Path

IGNORE = 255


def write_predictions(root: Path, name: str, out: Path) -> np.ndarray:
    """Write the predictions of all frames; return the truth that all frames share."""
    dataset = open_dataset(root, name)
    lost = dataset.scheme.num_classes - 1
    for sample in dataset.samples:
        if sample.mask_path is None:
            continue
        truth = dataset.read_mask(sample)
        assert (truth == expected_mask(name, *truth.shape)).all()
        prediction = np.where((truth == lost) | (truth == IGNORE), 0, truth).astype(np.uint8)
        path = out / f"{sample.sample_id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        images.write_mask(path, prediction)
    return truth


def expected_numbers(name: str, truth: np.ndarray) -> dict[str, float]:
    """What the protocols' definitions give: of C classes one is missed, and class 0 has grown by it."""
    num_classes = LAYOUTS[name].scheme.num_classes
    pixels = [int((truth == class_id).sum()) for class_id in range(num_classes)]
    assert all(pixels), "a miniature mask holds every class"
    others = (num_classes - 2) / (num_classes - 1)  # of the classes but background all are right but one
    match LAYOUTS[name].protocol:
        case "dataset-miou":
            grown = pixels[0] / (pixels[0] + pixels[-1])
            return {"mIoU": (grown + num_classes - 2) / num_classes}
        case "endovis2017":
            return {"Ch_IoU": others, "ISI_IoU": others, "mcIoU": others}
        case "kvasir-instrument":
            return {"Dice": 0.0, "IoU": 0.0}
        case "sar-rarp50":
            return {"score": others, "mIoU": others, "mNSD": others}
        case protocol:
            raise AssertionError(protocol)


@pytest.mark.parametrize("name", LAYOUT_NAMES)
def test_the_sets_own_protocol_gives_the_values_of_its_definition(tmp_path: Path, name: str) -> None:
    write_tree(name, tmp_path / "set")
    truth = write_predictions(tmp_path / "set", name, tmp_path / "predicted")
    report = score_folder(tmp_path / "predicted", truth_dataset(tmp_path / "set", name))
    assert report.protocol.name == LAYOUTS[name].protocol
    assert report.numbers == pytest.approx(expected_numbers(name, truth))
    assert report.passport["layout"] == name


def test_a_missing_prediction_is_named_or_scores_0_as_the_protocol_says(tmp_path: Path) -> None:
    for name in ("fetreg2021", "sar-rarp50"):
        write_tree(name, tmp_path / name)
        write_predictions(tmp_path / name, name, tmp_path / f"{name} predicted")
    gone = sorted((tmp_path / "fetreg2021 predicted").rglob("*.png"))[0]
    gone.unlink()
    with pytest.raises(InputError, match=f"no prediction for .*{gone.name}"):
        score_folder(tmp_path / "fetreg2021 predicted", truth_dataset(tmp_path / "fetreg2021", "fetreg2021"))
    truth = truth_dataset(tmp_path / "sar-rarp50", "sar-rarp50", "video_1")
    folder = tmp_path / "video_1 predicted"
    assert len(truth.masks) == 2
    for mask in truth.masks[1:]:
        path = folder / mask.name
        path.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sar-rarp50 predicted" / mask.name).rename(path)
    report = score_folder(folder, truth)
    assert report.numbers["mIoU"] == pytest.approx((0 + 8 / 9) / 2)
    assert any("score 0" in note for note in report.notes)


def test_a_prediction_that_no_frame_has_is_named(tmp_path: Path) -> None:
    write_tree("fetreg2021", tmp_path / "set")
    write_predictions(tmp_path / "set", "fetreg2021", tmp_path / "predicted")
    images.write_mask(tmp_path / "predicted" / "extra.png", np.zeros((8, 8), np.uint8))
    with pytest.raises(InputError, match=r"no truth for extra\.png"):
        score_folder(tmp_path / "predicted", truth_dataset(tmp_path / "set", "fetreg2021"))
