"""Recipes by name or path, and the `--set a.b=c` overrides of their fields."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.config import RunConfig, parse_section, read_toml

if TYPE_CHECKING:
    from collections.abc import Iterable

RECIPES = Path(__file__).parent


def recipe_names() -> list[str]:
    """List the recipes that come with the program."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def find_toml(name_or_path: str, folder: Path, kind: str) -> Path:
    """Find a .toml file by its path, or by its name among those that come along in `folder`.

    Raises
    ------
    InputError
        If the folder has none of that name; lists those it has.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        return path
    path = folder / f"{name_or_path}.toml"
    if not path.is_file():
        raise InputError(
            f"No {kind} is called '{name_or_path}'",
            where=kind.upper(),
            remedy=f"Known: {', '.join(sorted(one.stem for one in folder.glob('*.toml')))}; "
            "or give the path of a .toml file.",
        )
    return path


def load_recipe(name_or_path: str, overrides: Iterable[str] = ()) -> RunConfig:
    """Read a recipe.

    Parameters
    ----------
    name_or_path : str
        The name of one that comes along, or the path of a TOML file.
    overrides : iterable of str
        Each `section.field=value`; the value as TOML writes it, or a bare word.

    Returns
    -------
    RunConfig

    Raises
    ------
    InputError
        Naming file, field and remedy.
    """
    path = find_toml(name_or_path, RECIPES, "recipe")
    table: dict[str, Any] = {"recipe": path.stem, **read_toml(path)}
    for override in overrides:
        _apply(table, override)
    return parse_section(RunConfig, table, path)


def _apply(table: dict[str, Any], override: str) -> None:
    name, separator, text = override.partition("=")
    parts = name.strip().split(".")
    if not separator or len(parts) != 2:
        raise InputError(
            f"Not an override: '{override}'", where="--set", remedy="Write --set section.field=value."
        )
    section = table.setdefault(parts[0], {})
    if not isinstance(section, dict):
        raise InputError(f"'{parts[0]}' is no section", where="--set")
    section[parts[1]] = read_value(text.strip())


def read_value(text: str) -> Any:  # noqa: ANN401 - whatever TOML can write
    """Read a value as TOML writes it, or as a bare word."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a bare word is a string: --set model.network=u2netp
