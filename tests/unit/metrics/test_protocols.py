"""Protocols against plain loops written from their publications, and against values worked out by hand."""

from __future__ import annotations

import math

import monai.metrics
import numpy as np
import pytest
import torch

from napari_hogseg.data.layouts import LAYOUTS
from napari_hogseg.data.scheme import LabelScheme
from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.per_image import paper_per_image_miou
from napari_hogseg.metrics.protocols import PROTOCOLS, find_protocol
from napari_hogseg.metrics.scoring import Scorer, score_frame
from napari_hogseg.metrics.scoring_options import ScoringOptions

NUM_CLASSES = 4
SCHEME = LabelScheme(
    name="four", classes=("background", "shaft", "wrist", "claspers"), colors=((0, 0, 0),) * NUM_CLASSES
)
IGNORE = 255


def random_frames(seed: int, num: int = 12, *, void: bool = True) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Blocky masks in three videos: classes come and go, some frames are empty, some pixels void."""
    rng = np.random.default_rng(seed)
    frames = []
    for number in range(num):
        classes = rng.choice(NUM_CLASSES, rng.integers(1, NUM_CLASSES + 1), replace=False)
        truth = np.kron(rng.choice(classes, (4, 5)), np.ones((5, 6))).astype(np.uint8)
        prediction = truth.copy()
        prediction[rng.random(truth.shape) < 0.2] = rng.integers(0, NUM_CLASSES)
        if number % 5 == 0:
            truth[:] = 0
        if number % 6 == 0:
            prediction[:] = 0
        if void:
            truth[rng.random(truth.shape) < 0.05] = IGNORE
        frames.append((f"video {number % 3}", prediction, truth))
    return frames


def numbers(protocol: str, frames, scheme: LabelScheme = SCHEME) -> dict[str, float]:
    scorer = Scorer(scheme, protocol)
    for number, (video, prediction, truth) in enumerate(frames):
        scorer.add(video, f"{number}", prediction, truth)
    return scorer.report().numbers


def overlap(prediction: np.ndarray, truth: np.ndarray, class_id: int) -> tuple[int, int]:
    """Intersection and union, void left out."""
    valid = truth != IGNORE
    p, t = (prediction == class_id) & valid, (truth == class_id) & valid
    return int((p & t).sum()), int((p | t).sum())


def endovis_by_loops(frames) -> dict[str, float]:
    """As the instrument segmentation literature evaluates: class by class, frame by frame."""
    challenge, isi = [], []
    per_class: dict[int, list[float]] = {class_id: [] for class_id in range(1, NUM_CLASSES)}
    for _, prediction, truth in frames:
        in_truth = [c for c in range(1, NUM_CLASSES) if (truth == c).any()]
        here, here_challenge = [], []
        for class_id in range(1, NUM_CLASSES):
            intersection, union = overlap(prediction, truth, class_id)
            if union == 0:
                continue
            iou = intersection / union
            here.append(iou)
            per_class[class_id].append(iou)
            if class_id in in_truth:
                here_challenge.append(iou)
        if here:
            isi.append(np.mean(here))
        if here_challenge:
            challenge.append(np.mean(here_challenge))
    means = [np.mean(values) for values in per_class.values() if values]
    return {"Ch_IoU": np.mean(challenge), "ISI_IoU": np.mean(isi), "mcIoU": np.mean(means)}


def sar_by_monai(frames) -> dict[str, float]:
    """The published evaluation's steps with MONAI, background left out, void-free frames."""
    nsd = monai.metrics.SurfaceDiceMetric([10.0] * (NUM_CLASSES - 1), include_background=False)
    iou = monai.metrics.MeanIoU(include_background=False, ignore_empty=False)
    per_video: dict[str, list[tuple[float, float]]] = {}
    for video, prediction, truth in frames:
        masks = [torch.stack([torch.from_numpy(m == c) for c in range(NUM_CLASSES)])[None] for m in
                 (prediction, truth)]  # fmt: skip
        one, other = (mask.float() for mask in masks)
        surface = nsd(one, other)
        empty = (one.sum((2, 3)) == 0) & (other.sum((2, 3)) == 0)
        surface[empty[:, 1:]] = 1
        surface = surface.nan_to_num()
        per_video.setdefault(video, []).append((float(iou(one, other).mean()), float(surface.mean())))
    means = np.array([np.mean(values, axis=0) for values in per_video.values()]).mean(axis=0)
    return {"score": math.sqrt(means[0] * means[1]), "mIoU": means[0], "mNSD": means[1]}


@pytest.mark.parametrize("seed", range(6))
def test_endovis_equals_the_loops(seed) -> None:
    frames = random_frames(seed)
    assert numbers("endovis2017", frames) == pytest.approx(endovis_by_loops(frames), abs=1e-12)


@pytest.mark.filterwarnings("ignore:.*:FutureWarning:monai", "ignore:.*class:UserWarning")
@pytest.mark.parametrize("seed", range(3))
def test_sar_rarp50_equals_the_published_steps(seed) -> None:
    frames = random_frames(seed, void=False)
    assert numbers("sar-rarp50", frames) == pytest.approx(sar_by_monai(frames), abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_papers_mean_equals_its_function(seed) -> None:
    frames = random_frames(seed)
    expected = paper_per_image_miou(((p, t) for _, p, t in frames), NUM_CLASSES)
    assert numbers("paper-per-image", frames)["per-image mIoU"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_data_set_miou_adds_pixels_up_first(seed) -> None:
    frames = random_frames(seed)
    totals = np.zeros((NUM_CLASSES, 2))
    for _, prediction, truth in frames:
        totals += [overlap(prediction, truth, class_id) for class_id in range(NUM_CLASSES)]
    assert numbers("dataset-miou", frames)["mIoU"] == pytest.approx((totals[:, 0] / totals[:, 1]).mean())


def test_kvasir_is_the_mean_over_images_of_the_instrument() -> None:
    scheme = LabelScheme(name="k", classes=("background", "instrument"), colors=((0, 0, 0), (9, 9, 9)))
    truth = np.zeros((4, 8), np.uint8)
    truth[:, :4] = 1  # 16 pixels
    half, wrong = truth.copy(), np.zeros_like(truth)
    half[:, 2:4] = 0  # 8 of 16
    empty = np.zeros_like(truth)
    got = numbers("kvasir-instrument", [("a", half, truth), ("a", wrong, truth), ("a", empty, empty)], scheme)
    assert got == pytest.approx({"Dice": (16 / 24 + 0) / 2, "IoU": (0.5 + 0) / 2})


def test_endovis_empties_by_hand() -> None:
    empty, tool = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    tool[:2] = 1
    frames = [
        ("a", empty, empty),  # skipped
        ("a", empty, tool),  # missed: 0 in both
        ("a", tool, empty),  # invented: no class in the truth, so ISI only
        ("a", tool, tool),
    ]
    assert numbers("endovis2017", frames) == pytest.approx(
        {"Ch_IoU": (0 + 1) / 2, "ISI_IoU": (0 + 0 + 1) / 3, "mcIoU": (0 + 0 + 1) / 3}
    )


def test_sar_empties_and_missing_files_by_hand() -> None:
    tool = np.zeros((40, 40), np.uint8)
    tool[10:20, 10:20] = 1
    scorer = Scorer(SCHEME, "sar-rarp50")
    scorer.add("a", "0", tool, tool)  # shaft right, two absent classes: all 1
    scorer.add("a", "1", None, tool)  # no file: 0 in every class, the absent ones too
    scorer.add("b", "0", np.zeros_like(tool), tool)  # shaft missed, two absent: 2 / 3
    report = scorer.report()
    expected = ((1 + 0) / 2 + 2 / 3) / 2
    assert report.numbers == pytest.approx({"score": expected, "mIoU": expected, "mNSD": expected})
    assert any("No prediction for 1 frames, which score 0: 1." in note for note in report.notes)


def test_identical_predictions_score_far_apart_by_two_protocols() -> None:
    """A rare class, missed in one of ten images: one image's mean, but the whole class of the data set."""
    frames = []
    for number in range(10):
        truth = np.zeros((10, 10), np.uint8)
        if number == 0:
            truth[:5] = 1
        frames.append(("a", np.zeros_like(truth), truth))
    two = LabelScheme(name="two", classes=("background", "tool"), colors=((0, 0, 0), (9, 9, 9)))
    assert numbers("paper-per-image", frames, two)["per-image mIoU"] == pytest.approx((9 + 0.25) / 10)
    assert numbers("dataset-miou", frames, two)["mIoU"] == pytest.approx((950 / 1000 + 0) / 2)


def test_every_layout_names_a_protocol_and_every_protocol_explains_itself() -> None:
    assert {layout.protocol for layout in LAYOUTS.values()} <= set(PROTOCOLS)
    for protocol in PROTOCOLS.values():
        assert all((protocol.title, protocol.formula, protocol.empty, protocol.source))
        assert set(numbers(protocol.name, random_frames(1, void=False))) == set(protocol.quantities)


def test_what_a_protocol_does_not_allow_is_refused() -> None:
    with pytest.raises(InputError, match="Unknown protocol 'miou'"):
        find_protocol("miou")
    with pytest.raises(InputError, match="measures at 10 px"):
        Scorer(SCHEME, "sar-rarp50", ScoringOptions(tolerance_px=2.0))
    with pytest.raises(InputError, match="measures at 10 px"):
        Scorer(SCHEME, "sar-rarp50", ScoringOptions(frame_edge="ignored"))
    with pytest.raises(InputError, match="scores no missing"):
        Scorer(SCHEME).add("a", "0", None, np.zeros((4, 4), np.uint8))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_frame_alone_scores_as_its_row_in_a_report(protocol) -> None:
    frames = random_frames(2, void=False)
    scorer = Scorer(SCHEME, protocol)
    for number, (video, prediction, truth) in enumerate(frames):
        scorer.add(video, f"{number}", prediction, truth)
    for row, (_, prediction, truth) in zip(scorer.report().frame_rows(), frames, strict=True):
        alone = score_frame(prediction, truth, NUM_CLASSES, protocol)
        assert alone == pytest.approx({name: row[name] for name in alone}, nan_ok=True)
