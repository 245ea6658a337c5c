"""Grids, the statistics of their runs, and what is written: everything but the training itself."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.protocols import FrameTable, find_protocol
from training.assembly import write_config
from training.experiments import figures, tables
from training.experiments.grid import Arm, Grid, GridRun, Point, changed, grid_names, load_grid
from training.experiments.running import check_run, plan_slots
from training.experiments.scores import RunScores
from training.experiments.statistics import paired_effect, student_interval, summarise

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GRID = Grid(
    name="toy",
    title="Toy",
    recipe="vocalfolds-unet-s",
    reference="none",
    seeds=(0, 1, 2),
    arm=(Arm(name="none", label="masks alone", set={"loss.beta": 0.0}), Arm(name="hog")),
)


@pytest.mark.parametrize("name", grid_names())
def test_every_run_of_every_grid_resolves(name: str, tmp_path: Path) -> None:
    grid = load_grid(name)
    configs = [grid.config(run, tmp_path) for run in grid.runs()]
    assert {config.train.seed for config in configs} == set(grid.seeds)
    resolved = [config.model_dump_json() for config in configs]
    assert len(set(resolved)) == len(resolved), "two runs are the same training"


def test_the_paper_s_figures_have_its_axes() -> None:
    shares = [point.set.get("data.train_share", 1.0) for point in load_grid("figure4").point]
    assert shares == [0.1, 0.25, 0.5, 1.0]
    assert [point.x for point in load_grid("figure5").point] == [504, 756, 1680, 2520, 3780]


def test_a_constant_arm_is_trained_once() -> None:
    grid = load_grid("figure5")
    assert sum(run.arm == "none" for run in grid.runs()) == len(grid.seeds)
    last = grid.point[-1]
    assert grid.run_of(grid.arm[0], last, 0) in set(grid.runs())


def test_the_command_line_changes_a_grid() -> None:
    grid = changed(
        load_grid("targets"), recipe="sample-unet-s", seeds=[7], arms=["hog"], overrides=["train.num_steps=5"]
    )
    assert [arm.name for arm in grid.arm] == ["none", "hog"]
    assert (grid.recipe, grid.seeds, grid.set) == ("sample-unet-s", (7,), {"train.num_steps": 5})
    with pytest.raises(InputError, match="No such arm: nothing"):
        changed(grid, arms=["nothing"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('title = "t"\nrecipe = "r"\nreference = "b"\n[[arm]]\nname = "a"', "reference 'b' is no arm"),
        ('title = "t"\nrecipe = "r"\nreference = "a"\nseeds = [1, 1]\n[[arm]]\nname = "a"', "twice"),
        ('title = "t"\nrecipe = "r"\nreference = "a"\naxis = "n"\n[[arm]]\nname = "a"', "needs its x"),
        ('title = "t"\nrecipe = "r"\nreference = "a"\n[[arm]]\nname = "../a"', "arm.0.name"),
    ],
)
def test_a_bad_grid_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=problem) as error:
        load_grid(str(path))
    assert "bad.toml" in str(error.value)


def test_an_unknown_field_of_an_arm_is_refused(tmp_path: Path) -> None:
    grid = changed(GRID, overrides=["loss.gamma=1"])
    with pytest.raises(InputError, match=r"loss\.gamma"):
        grid.config(next(grid.runs()), tmp_path)


def test_slots_divide_the_cores() -> None:
    slots = plan_slots("cpu", 3, 2)
    assert [(slot.device, slot.num_threads) for slot in slots] == [("cpu", 2)] * 3
    assert all(slot.num_threads >= 1 for slot in plan_slots("cpu", 64, 0))


def test_a_run_on_other_training_groups_is_another_run(tmp_path: Path) -> None:
    run = next(GRID.runs())
    asked = GRID.config(run, tmp_path)
    # What a run writes down: the groups and layout it found, the device it was given.
    data = asked.data.model_copy(update={"layout": "vocalfolds"})
    train = asked.train.model_copy(update={"device": "cpu", "num_threads": 3})
    write_config(tmp_path / "run", asked.model_copy(update={"data": data, "train": train}))
    check_run(tmp_path / "run", asked)
    other = changed(GRID, overrides=['data.train=["patient2_seq6"]']).config(run, tmp_path)
    with pytest.raises(InputError, match=r"data\.train differ"):
        check_run(tmp_path / "run", other)
    left_open = changed(GRID, overrides=["data.train=[]", 'data.layout="auto"']).config(run, tmp_path)
    check_run(tmp_path / "run", left_open)


def run_scores(hits: Sequence[int], recordings: Sequence[str] = ("a", "a", "b", "c")) -> RunScores:
    """Make a run on four frames of 100 pixels and two classes of 50, `hits` of them right in class 0."""
    right = np.column_stack([hits, [50] * len(hits)])
    wrong = 50 - np.asarray(hits)
    table = FrameTable(
        videos=tuple(recordings),
        hits=right.astype(np.int64),
        truth_px=np.full((len(hits), 2), 50),
        predicted_px=np.column_stack([hits, 50 + wrong]).astype(np.int64),
        nsd=np.full((len(hits), 2), np.nan),
        missing=np.zeros(len(hits), np.bool_),
    )
    frames = tuple(f"f{number}" for number in range(len(hits)))
    return RunScores(find_protocol("dataset-miou"), table, frames, tuple(recordings), "t", 5, 1.0, None)


def miou(hits: Sequence[int]) -> float:
    """mIoU of `run_scores(hits)`, by its definition."""
    right, total = sum(hits), 50 * len(hits)
    return (right / total + total / (total + total - right)) / 2


HITS = {"none": [[10, 20, 30, 40], [12, 18, 33, 41], [9, 22, 28, 44]]}
HITS["hog"] = [[20, 20, 40, 45], [22, 18, 30, 50], [15, 25, 35, 44]]


def test_effect_over_seeds_is_the_paired_t_interval() -> None:
    ours, theirs = ([miou(hits) for hits in HITS[arm]] for arm in ("hog", "none"))
    effect = paired_effect(
        *({seed: run_scores(hits) for seed, hits in enumerate(HITS[arm])} for arm in ("hog", "none"))
    )
    assert effect is not None
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert (effect.over_seeds.low, effect.over_seeds.high) == pytest.approx((expected.low, expected.high))
    assert effect.mean == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert (effect.num_seeds, effect.num_recordings) == (3, 3)


def test_effect_over_recordings_spans_the_possible_draws() -> None:
    one, other = run_scores(HITS["hog"][0]), run_scores(HITS["none"][0])
    effect = paired_effect({0: one}, {0: other})
    assert effect is not None
    assert math.isnan(effect.over_seeds.low)
    # By hand: a draw of three recordings out of a (frames 0, 1), b (2), c (3), each as often as drawn.
    frames = {"a": [0, 1], "b": [2], "c": [3]}
    values = []
    for draw in np.ndindex(3, 3, 3):
        picked = [frame for number in draw for frame in frames["abc"[number]]]
        values.append(miou([HITS["hog"][0][f] for f in picked]) - miou([HITS["none"][0][f] for f in picked]))
    low, high = np.quantile(np.repeat(values, 100), [0.025, 0.975])
    assert effect.over_recordings.low == pytest.approx(low, abs=0.01)
    assert effect.over_recordings.high == pytest.approx(high, abs=0.01)


def test_one_recording_has_no_interval() -> None:
    recordings = ("a", "a", "a", "a")
    effect = paired_effect(
        {0: run_scores(HITS["hog"][0], recordings)}, {0: run_scores(HITS["none"][0], recordings)}
    )
    assert effect is not None
    assert math.isnan(effect.over_recordings.low)


def test_seeds_without_a_partner_are_left_out() -> None:
    both = {0: run_scores(HITS["hog"][0]), 1: run_scores(HITS["hog"][1])}
    effect = paired_effect(both, {1: run_scores(HITS["none"][1])})
    assert effect is not None
    assert effect.mean == pytest.approx(miou(HITS["hog"][1]) - miou(HITS["none"][1]))
    assert paired_effect(both, {}) is None


def test_students_interval() -> None:
    values = [0.5, 0.6, 0.8]
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    interval = student_interval(values)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def toy_scores(grid: Grid = GRID) -> dict[GridRun, RunScores]:
    return {run: run_scores(HITS[run.arm][run.seed]) for run in grid.runs()}


def test_runs_on_other_masks_are_not_compared() -> None:
    scores = toy_scores()
    odd = next(iter(scores))
    scores[odd] = RunScores(**{**vars(scores[odd]), "truth_digest": "other"})
    with pytest.raises(InputError, match="different frames or masks"):
        summarise(GRID, scores)


def test_what_is_written_agrees() -> None:
    scores = toy_scores()
    del scores[GridRun(arm="hog", point="all", seed=2)]
    results = summarise(GRID, scores)
    text = tables.markdown(results, (), "hogseg experiment toy")
    mean = np.mean([miou(hits) for hits in HITS["hog"][:2]])
    assert f"| hog | {mean:.3f} ±" in text
    assert "(n = 2)" in text
    rows = list(csv.DictReader(io.StringIO(tables.csv_text(results))))
    assert [float(row["mIoU"]) for row in rows] == pytest.approx(
        [miou(HITS[row["arm"]][int(row["seed"])]) for row in rows]
    )
    told = json.loads(tables.json_text(results, (), "hogseg experiment toy"))
    cells = {cell["arm"]: cell for cell in told["cells"]}
    assert cells["hog"]["mean"] == pytest.approx(mean)
    assert cells["hog"]["effect"]["num_seeds"] == 2
    assert cells["none"]["effect"] is None


def test_a_cell_without_runs_says_so() -> None:
    scores = {run: one for run, one in toy_scores().items() if run.arm == "none"}
    results = summarise(GRID, scores)
    assert "| hog | not run |" in tables.markdown(results, (), "")
    assert tables.json_text(results, (), "")


@pytest.mark.parametrize("axis", ["", "frames, %"])
def test_the_plot_shows_every_arm(tmp_path: Path, axis: str) -> None:
    points = (Point(name="1", x=1.0 if axis else None), Point(name="2", x=2.0 if axis else None))
    grid = Grid(**{**GRID.model_dump(), "axis": axis, "point": points})
    figures.draw(summarise(grid, toy_scores(grid)), tmp_path / "plot.svg")
    # Matplotlib writes glyphs as paths and the text itself as a comment beside them.
    text = (tmp_path / "plot.svg").read_text("utf-8")
    assert all(f"<!-- {label} -->" in text for label in ("masks alone", "hog", "Toy", "mIoU (dataset-miou)"))
    assert not axis or f"<!-- {axis} -->" in text
