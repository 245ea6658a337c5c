"""Reports over many frames: means, intervals, comparisons, files, warnings, real masks."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.data.scheme import LabelScheme
from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.boundary import boundary_iou, surface_dice
from napari_hogseg.metrics.confusion import confusion_matrix, dice_scores, iou_scores
from napari_hogseg.metrics.intervals import (
    bootstrap_intervals,
    percentile_interval,
    resample,
    video_numbers,
)
from napari_hogseg.metrics.scoring import Scorer, compare
from napari_hogseg.metrics.scoring_options import ScoringOptions

SCHEME = LabelScheme(
    name="three", classes=("background", "tool", "tissue"), colors=((0, 0, 0), (9, 9, 9), (99, 9, 9))
)
FEW = ScoringOptions(num_resamples=200)


def disc(row: int, radius: int = 9) -> np.ndarray:
    rows, cols = np.mgrid[:48, :64]
    return ((rows - row) ** 2 + (cols - 30) ** 2 < radius**2).astype(np.uint8)


def frames(error_px: int, num_videos: int = 4, num: int = 3):
    """Discs that are predicted too low; each video a little worse than the one before."""
    for video in range(num_videos):
        for number in range(num):
            yield f"v{video}", f"v{video}/{number}", disc(20 + error_px * (video + 1)), disc(20)


def report(error_px: int = 1, num_videos: int = 4, options: ScoringOptions = FEW):
    scorer = Scorer(SCHEME, options=options)
    for video, name, prediction, truth in frames(error_px, num_videos):
        scorer.add(video, name, prediction, truth)
    return scorer.report()


# --- numbers


def test_class_rows_equal_the_single_functions() -> None:
    got = report()
    matrix = sum(
        confusion_matrix(prediction, truth, 3, unanswered="count") for _, _, prediction, truth in frames(1)
    )
    rows = {row["class"]: row for row in got.class_rows()}
    assert [row["iou"] for row in rows.values()] == pytest.approx(iou_scores(matrix).per_class, nan_ok=True)
    assert [row["dice"] for row in rows.values()] == pytest.approx(dice_scores(matrix).per_class, nan_ok=True)
    pairs = [(prediction, truth) for _, _, prediction, truth in frames(1)]
    assert rows["tool"]["nsd"] == pytest.approx(np.mean([surface_dice(p, t, 1, 2.0) for p, t in pairs]))
    assert rows["tool"]["boundary_iou"] == pytest.approx(
        np.mean([boundary_iou(p, t, 1, 3) for p, t in pairs])
    )
    errors = [value for key, value in rows["tool"].items() if key.startswith(("missed_", "spurious_"))]
    assert sum(errors) == sum(int((p != t).sum()) for p, t in pairs)
    assert rows["tissue"]["frames_in_truth"] == 0
    assert math.isnan(rows["tissue"]["iou"])
    assert got.num_absent == 1
    assert got.numbers["mIoU"] == pytest.approx(iou_scores(matrix).mean)


def test_a_class_missed_in_most_frames_has_an_infinite_hausdorff_distance() -> None:
    scorer = Scorer(SCHEME, options=FEW)
    for number in range(3):
        found = disc(20) if number == 0 else np.zeros_like(disc(20))
        scorer.add("a", f"{number}", found, disc(20))
    (row,) = (row for row in scorer.report().class_rows() if row["class"] == "tool")
    assert row["hd95_px"] == math.inf
    assert row["frames_missed_or_invented"] == 2


def test_videos_and_frames_have_rows_of_their_own() -> None:
    got = report()
    assert [row["video"] for row in got.video_rows()] == ["v0", "v1", "v2", "v3"]
    by_video = [row["mIoU"] for row in got.video_rows()]
    assert by_video == sorted(by_video, reverse=True)
    assert by_video[0] > by_video[3]
    assert len(got.frame_rows()) == 12
    assert got.frame_rows()[0]["frame"] == "v0/0"
    assert got.frame_rows()[0]["iou tool"] == pytest.approx(got.video_rows()[0]["iou tool"])


def test_centerline_is_measured_where_asked() -> None:
    options = FEW.model_copy(update={"centerline": ("tool",)})
    got = report(options=options)
    rows = {row["class"]: row for row in got.class_rows()}
    assert 0 < rows["tool"]["cl_dice"] <= 1
    assert math.isnan(rows["background"]["cl_dice"])
    with pytest.raises(InputError, match="No such class: tol"):
        Scorer(SCHEME, options=ScoringOptions(centerline=("tol",)))


def test_nothing_to_score_is_said() -> None:
    with pytest.raises(InputError, match="no frame to score"):
        Scorer(SCHEME).report()


# --- intervals


def test_the_interval_of_a_mean_is_that_of_its_videos() -> None:
    """A mean of video values, resampled: its spread is the standard error that a textbook gives."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=30)
    videos = [f"{number}" for number in range(30)]
    (interval,) = bootstrap_intervals(
        lambda w: {"mean": float(w @ values / w.sum())}, videos, num_resamples=4000
    ).values()
    error = values.std() / math.sqrt(30)
    assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_videos_are_drawn_whole_and_reproducibly() -> None:
    videos = ["a", "a", "b", "c", "c", "c"]
    np.testing.assert_array_equal(video_numbers(videos), [0, 0, 1, 2, 2, 2])
    seen = []
    resample(lambda w: seen.append(w) or {"x": 0.0}, videos, num_resamples=50, seed=3)
    for weights in seen:
        assert weights[0] == weights[1]
        assert weights[3] == weights[4] == weights[5]
        assert weights[0] + weights[2] + weights[3] == 3
    again = []
    resample(lambda w: again.append(w) or {"x": 0.0}, videos, num_resamples=50, seed=3)
    np.testing.assert_array_equal(seen, again)
    assert math.isnan(percentile_interval(np.full(5, np.nan)).low)


def test_a_report_has_intervals_round_its_numbers_and_none_with_one_video() -> None:
    got = report()
    interval = got.intervals["mIoU"]
    assert interval.low < got.numbers["mIoU"] < interval.high
    assert interval.high - interval.low > 0.01
    alone = report(num_videos=1)
    assert alone.intervals == {}
    assert any("One recording" in note for note in alone.notes)


def test_videos_of_one_recording_are_drawn_together() -> None:
    scorer = Scorer(SCHEME, options=FEW, same_recording=[frozenset({"v0", "v1", "v2"})])
    for video, name, prediction, truth in frames(1):
        scorer.add(video, name, prediction, truth)
    joined = scorer.report()
    assert len(joined.videos) == 4
    assert set(joined.recordings) == {"v0+v1+v2", "v3"}
    assert joined.passport["bootstrap"]["num_drawn"] == 2
    assert any("v0+v1+v2" in note for note in joined.notes)
    # Drawn of two: one, the other or both. The ends are the two recordings alone.
    alone = [row["iou tool"] for row in joined.video_rows()]
    assert joined.intervals["IoU/tool"].low == pytest.approx(alone[3])
    assert joined.intervals["IoU/tool"].high > np.mean(alone[:3]) - 0.05


# --- comparison


def test_the_better_of_two_is_better_in_every_resample() -> None:
    difference = compare(report(3), report(1)).differences["mIoU"]
    assert difference.effect == pytest.approx(report(1).numbers["mIoU"] - report(3).numbers["mIoU"])
    assert difference.interval.low > 0
    assert difference.share_above_zero == 1.0
    same = compare(report(1), report(1)).differences["IoU/tool"]
    assert (same.effect, same.interval.low, same.interval.high) == (0.0, 0.0, 0.0)


def test_pairs_are_narrower_than_two_intervals() -> None:
    """Videos differ more than the two do: only a paired comparison sees it."""
    worse, better = report(2), report(1)
    paired = compare(worse, better).differences["mIoU"].interval
    width = worse.intervals["mIoU"].high - worse.intervals["mIoU"].low
    assert paired.high - paired.low < width


def test_reports_on_other_frames_or_masks_are_not_compared() -> None:
    with pytest.raises(InputError, match="frames of the two differ"):
        compare(report(), report(num_videos=3))
    scorer = Scorer(SCHEME, options=FEW)
    for video, name, prediction, _ in frames(1):
        scorer.add(video, name, prediction, prediction)
    with pytest.raises(InputError, match="truths of the two differ"):
        compare(report(), scorer.report())
    other = Scorer(SCHEME, "endovis2017", FEW)
    other.add("v0", "0", disc(20), disc(20))
    with pytest.raises(InputError, match="protocols of the two differ"):
        compare(report(), other.report())


def test_one_video_gives_an_effect_without_interval() -> None:
    comparison = compare(report(3, num_videos=1), report(1, num_videos=1))
    assert comparison.differences["mIoU"].effect > 0
    assert math.isnan(comparison.differences["mIoU"].interval.low)
    assert json.dumps(comparison.to_json(), allow_nan=False)


# --- passport, notes, files


def test_every_number_carries_its_passport() -> None:
    passport = report().passport
    for name in ("protocol", "formula", "empty", "tolerance_px", "band_px", "frame_edge", "ignore", "hd95"):
        assert passport[name] not in (None, "")
    assert passport["num_frames"] == 12
    assert passport["num_videos"] == 4
    assert {"napari-hogseg", "pyav", "pillow", "opencv"} <= set(passport["versions"])
    assert passport["truth_sha256"] == report(2).passport["truth_sha256"]
    assert passport["prediction_sha256"] != report(2).passport["prediction_sha256"]


def test_a_missing_file_is_part_of_the_digest_and_another_protocols_boundaries_are_refused() -> None:
    digests = set()
    for missing in (0, 1):
        scorer = Scorer(SCHEME, "sar-rarp50", FEW)
        for number in range(2):
            scorer.add("a", f"{number}", None if number == missing else disc(20), disc(20))
        digests.add(scorer.report().passport["prediction_sha256"])
    assert len(digests) == 2
    with pytest.raises(InputError, match="boundaries of its own"):
        report().other_number("sar-rarp50")


def test_a_band_wider_than_a_thin_tool_is_warned_of() -> None:
    thin = np.zeros((48, 64), np.uint8)
    thin[20:24] = 1  # 4 px wide: two erosions take it away
    scorer = Scorer(SCHEME, options=FEW)
    scorer.add("a", "0", thin, thin)
    assert any("as wide as half the structures of tool (2 px)" in note for note in scorer.report().notes)
    narrow = Scorer(SCHEME, options=ScoringOptions(num_resamples=200, band_px=1))
    narrow.add("a", "0", thin, thin)
    assert not any("tool" in note for note in narrow.report().notes)


def test_json_is_plain_and_csv_holds_the_rows(tmp_path) -> None:
    scorer = Scorer(SCHEME, options=FEW)
    scorer.add("a", "0", np.zeros((8, 8), np.uint8), np.eye(8, dtype=np.uint8))
    got = scorer.report()
    told = json.loads(json.dumps(got.to_json(), allow_nan=False))
    assert told["iou"]["tissue"] is None
    assert told["hd95_px"]["tool"] == "inf"
    assert told["miou"] == pytest.approx(got.numbers["mIoU"])
    assert told["passport"]["protocol"] == "dataset-miou"
    paths = got.write_csv(tmp_path / "csv")
    assert [path.name for path in paths] == ["classes.csv", "videos.csv", "frames.csv"]
    with paths[0].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == list(SCHEME.classes)
    assert rows[2]["iou"] == ""
    assert rows[1]["hd95_px"] == "inf"


def test_real_masks_with_void_score_as_a_person_expects(shared_data) -> None:
    dataset = open_dataset(shared_data / "vocalfolds", "vocalfolds")
    scorer = Scorer(dataset.scheme, options=FEW, layout="vocalfolds")
    for sample in dataset.samples[::24]:
        truth = dataset.read_mask(sample)
        prediction = np.where(truth == 255, 0, truth).astype(np.uint8)  # what void holds does not count
        scorer.add(sample.group, sample.sample_id, prediction, truth)
    got = scorer.report()
    assert got.numbers["mIoU"] == 1.0
    assert got.errors.counts.sum() == 0
    assert got.passport["layout"] == "vocalfolds"
