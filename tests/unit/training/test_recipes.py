"""Recipes and their overrides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_hogseg.io.errors import InputError
from training.recipes import load_recipe, recipe_names

if TYPE_CHECKING:
    from pathlib import Path


def test_every_recipe_that_comes_along_is_valid() -> None:
    names = recipe_names()
    assert {"vocalfolds-unet-s", "vocalfolds-u2netp", "paper-unet", "paper-u2net", "sample-unet-s"} <= set(
        names
    )
    for name in names:
        assert load_recipe(name).recipe == name


def test_the_papers_recipe_is_the_papers() -> None:
    config = load_recipe("paper-u2net")
    assert (config.model.network, config.augment.crop_px, config.model.input_short_px) == ("u2net", 256, 448)
    assert (config.train.num_steps, config.optimizer.step_every, config.optimizer.learning_rate) == (
        150_000,
        50_000,
        2e-4,
    )


def test_overrides(recipe: Path) -> None:
    config = load_recipe(
        str(recipe),
        ["train.seed=7", "model.network=u2netp", 'data.val=["x"]', "optimizer.learning_rate=1e-5"],
    )
    assert config.train.seed == 7
    assert config.model.network == "u2netp"
    assert config.data.val == ("x",)
    assert config.optimizer.learning_rate == 1e-5


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.seed", "Not an override"),
        ("seed=3", "Not an override"),
        ("train.sead=3", "train.sead"),
        ("train.seed=many", "train.seed"),
        ("recipe.name=3", "no section"),
    ],
)
def test_bad_overrides(recipe: Path, override: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_recipe(str(recipe), [override])


def test_unknown_recipe_lists_the_known() -> None:
    with pytest.raises(InputError, match=r"No recipe is called 'cadis'.*vocalfolds-unet-s"):
        load_recipe("cadis")
