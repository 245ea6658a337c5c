"""Configuration: strict, checked at construction, and the same after a round trip through TOML."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.config import FineTuneConfig, RunConfig, Section, parse_section, read_toml, to_toml

if TYPE_CHECKING:
    from pathlib import Path


def test_defaults_are_the_papers() -> None:
    config = RunConfig()
    assert (config.train.num_steps, config.optimizer.step_every, config.train.validate_every) == (
        150_000,
        50_000,
        1000,
    )
    assert (config.optimizer.learning_rate, config.optimizer.gamma, config.optimizer.weight_decay) == (
        2e-4,
        0.5,
        1e-7,
    )
    assert (config.loss.alpha, config.loss.beta, config.train.batch_size) == (1.0, 1.0, 16)
    assert config.hog.params.dim(256, 256) == 504


@pytest.mark.parametrize("config", [RunConfig(), FineTuneConfig(seconds=30.0), FineTuneConfig()])
def test_round_trip(config: Section) -> None:
    assert parse_section(type(config), tomllib.loads(to_toml(config)), "test") == config


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"train": {"num_step": 5}}, "train.num_step"),
        ({"train": {"num_steps": 0}}, "train.num_steps"),
        ({"loss": {"beta": -1}}, "loss.beta"),
        ({"model": {"network": "resnet"}}, "model.network"),
        ({"data": {"train": ["a"], "test": ["a"]}}, "a group belongs to one part"),
        ({"model": {"head": "official"}, "augment": {"crop_px": 160}}, "256 px only"),
        ({"model": {"head": "none"}}, "set loss.beta = 0"),
        ({"loss": {"ce": 0}}, "has no term"),
        ({"loss": {"class_weighting": "explicit"}}, "go together"),
        ({"loss": {"class_weights": [1, 2]}}, "go together"),
        ({"optimizer": {"warm_up": 0.1}}, "warm_up is for the schedules"),
        ({"train": {"batch_size": 6, "accumulate": 4}}, "multiple of accumulate"),
        ({"train": {"ema": 1.0}}, "train.ema"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_errors_name_file_and_field(table: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_section(RunConfig, table, "my.toml")
    assert said in str(caught.value)
    assert "my.toml" in str(caught.value)


def test_every_field_has_a_description() -> None:
    for section in (RunConfig, FineTuneConfig):
        for field in (section, *(f.annotation for f in section.model_fields.values())):
            if isinstance(field, type) and issubclass(field, Section):
                named = {n: f for n, f in field.model_fields.items() if not _is_section(f.annotation)}
                assert all(f.description for f in named.values()), field


def _is_section(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)


def test_configs_are_frozen() -> None:
    with pytest.raises(ValidationError):
        RunConfig().recipe = "x"


def test_a_broken_toml_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("[train]\nnum_steps = = 3\n", "utf-8")
    with pytest.raises(InputError, match="line 2") as caught:
        read_toml(path)
    assert str(path) in str(caught.value)
    with pytest.raises(InputError, match="Cannot be read"):
        read_toml(tmp_path / "none.toml")
