"""A toy data set and a recipe that trains on it in seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.data.trees import write_tree

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hogseg.runs.config import RunConfig

RECIPE = """
[data]
train = ["a", "b"]
val = ["c"]

[model]
network = "unet-s"
input_short_px = 48

[optimizer]
learning_rate = 3e-3
schedule = "constant"

[augment]
crop_px = 48
rotation_deg = 10.0

[train]
num_steps = 8
batch_size = 2
validate_every = 4
checkpoint_every = 4
log_every = 2
num_threads = 1
device = "cpu"
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    root.mkdir()
    return write_tree(root, {"a": 2, "b": 2, "c": 2})


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "toy.toml"
    path.write_text(RECIPE, "utf-8")
    return path


@pytest.fixture
def config(recipe: Path, tree: Path) -> RunConfig:
    from training.recipes import load_recipe

    loaded = load_recipe(str(recipe))
    return loaded.model_copy(update={"data": loaded.data.model_copy(update={"root": str(tree)})})
