"""Every public data set trains: from its miniature tree through split, loader, loss, step and validation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.inference.predictor import Predictor
from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.checkpoint import read_spec, resolve_model_folder
from napari_hogseg.runs.config import DataConfig, FineTuneConfig, RunConfig
from napari_hogseg.runs.events import Finished, Progress, Validated
from tests.miniature_trees import LAYOUT_NAMES, write_tree
from training.assembly import assemble, open_data
from training.commands import _samples_of
from training.finetuning import FineTuneInput, assemble_finetune
from training.loop import run_task
from training.recipes import load_recipe
from training.stopping import StopFlag

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hogseg.runs.events import AnyEvent

TINY = [
    "model.input_short_px=48",
    "augment.crop_px=32",
    "train.num_steps=1",
    "train.batch_size=2",
    "train.validate_every=1",
    "train.log_every=1",
]

#: The split to train on, or the group to validate on, of sets that publish none.
DIVIDED_BY = {
    "autolaparo": (),
    "cholecseg8k": ('data.val=["video12"]',),
    "endovis2018": ('data.val=["seq_2"]',),
    "fetreg2021": ("data.split=fold-0",),
    "vocalfolds": ('data.val=["patient2_seq5"]', 'data.train=["patient2_seq6", "patient2_seq7"]'),
    **dict.fromkeys(("cadis-task1", "cadis-task2", "cadis-task3"), ("data.split=official",)),
    **dict.fromkeys(("kvasir-instrument", "sar-rarp50"), ("data.split=official",)),
}


def config_of(name: str, recipe: Path, root: Path) -> RunConfig:
    divided_by = DIVIDED_BY.get(name, ("data.split=fold-1",))
    groups = ["data.train=[]", "data.val=[]", f"data.layout={name}", *divided_by]
    loaded = load_recipe(str(recipe), [*TINY, *groups])
    return loaded.model_copy(update={"data": loaded.data.model_copy(update={"root": str(root)})})


def train(config: RunConfig, run: Path, warnings: list[str]) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    run_task(assemble(config, run, resume=False, warn=warnings.append), StopFlag(), events.append)
    return events


def num_evaluated(run: Path, part: str) -> int:
    """How many frames `hogseg evaluate RUN --split PART` would score."""
    predictor = Predictor.load(run, "cpu")
    data = predictor.spec.data
    return len(_samples_of(open_dataset(data.root, data.layout), predictor, part))


@pytest.mark.parametrize("name", LAYOUT_NAMES)
def test_one_step(tmp_path: Path, recipe: Path, name: str) -> None:
    write_tree(name, tmp_path / "set")
    config = config_of(name, recipe, tmp_path / "set")
    events = train(config, tmp_path / "run", [])
    progress = next(event for event in events if isinstance(event, Progress))
    assert math.isfinite(progress.loss)
    assert progress.mse > 1e-3
    assert isinstance(events[-1], Finished)
    has_val = len(open_data(config).split.val) > 0
    assert has_val == any(isinstance(event, Validated) for event in events)
    spec = read_spec(resolve_model_folder(tmp_path / "run"))
    assert spec.scheme == open_dataset(tmp_path / "set", name).scheme
    assert (spec.data.layout, spec.data.split) == (name, config.data.split)


def test_a_model_remembers_its_split(tmp_path: Path, recipe: Path) -> None:
    """`evaluate --split test` of a model scores exactly the published test frames."""
    write_tree("kvasir-instrument", tmp_path / "set")
    warnings: list[str] = []
    train(config_of("kvasir-instrument", recipe, tmp_path / "set"), tmp_path / "run", warnings)
    assert any("pictures of one patient" in warning for warning in warnings)
    assert num_evaluated(tmp_path / "run", "train") == 4
    assert num_evaluated(tmp_path / "run", "test") == 2


def test_a_fine_tune_replays_the_training_part_of_the_split_alone(tmp_path: Path, recipe: Path) -> None:
    """All frames are one group here: replaying that group would replay the test frames."""
    write_tree("kvasir-instrument", tmp_path / "set")
    train(config_of("kvasir-instrument", recipe, tmp_path / "set"), tmp_path / "run", [])
    source = FineTuneInput(tmp_path / "run", tmp_path / "set", "all:0", None, "kvasir-instrument")
    config = FineTuneConfig(steps=1, num_threads=1, device="cpu")
    task = assemble_finetune(source, config, tmp_path / "tuned", lambda _text: None)
    names = [task.frames.sample_id(index)[-1] for index in range(len(task.frames))]
    assert names == ["a", "b", "c", "d"]  # the corrected frame, then the other three of train.txt


def test_a_split_and_groups_exclude_each_other(recipe: Path) -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        DataConfig(split="official", val=("a",))
    with pytest.raises(InputError, match="exclude each other"):
        load_recipe(str(recipe), ["data.split=official"])  # the recipe names groups


def test_own_table_is_found_again_by_the_model(
    tmp_path: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table's whole path is kept, so that the model can be scored from another folder."""
    write_tree("fetreg2021", tmp_path / "set")
    (tmp_path / "mine.toml").write_text(OWN, "utf-8")
    monkeypatch.chdir(tmp_path)
    config = config_of("mine.toml", recipe, tmp_path / "set")
    config = config.model_copy(
        update={"data": config.data.model_copy(update={"split": "", "val": ("Video001",)})}
    )
    train(config, tmp_path / "run", [])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert num_evaluated(tmp_path / "run", "val") == 1


OWN = """
name = "mine"
title = "FetReg with a table of my own"
classes = [
    { name = "background", color = [0, 0, 0] },
    { name = "vessel", color = [255, 0, 0] },
    { name = "tool", color = [0, 0, 255] },
    { name = "fetus", color = [0, 255, 0] },
]

[[trees]]
frames = '(?P<group>Video[0-9]+)/images/(?P<name>[^/]+)[.]png'
masks = ["{group}/labels/{name}.png"]
"""
