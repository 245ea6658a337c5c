"""What an experiment compares: the grid file, read and checked before anything is trained.

Owns the file's fields and the runs that follow from them. Running them is `running`'s part, numbers are
`statistics`'.

A grid has arms (what is compared), points (tasks, or values along an axis; one where there is none) and
seeds. A run is one arm at one point with one seed: the recipe, with the overrides of grid, point and arm.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import tomli_w
from pydantic import Field, field_validator, model_validator

from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.config import Section, parse_section, read_toml
from training.recipes import find_toml, load_recipe, read_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_hogseg.runs.config import RunConfig

GRIDS = Path(__file__).parent / "grids"

Overrides = dict[str, Any]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+-]*$", description="Also the name of its folder.")]


class Arm(Section):
    """One way of training."""

    name: Name
    label: str = Field(default="", description="In tables and plots; empty: the name.")
    set: Overrides = Field(default={}, description="Fields of the recipe: 'loss.beta' = 0.0.")
    constant: bool = Field(
        default=False, description="The same at every point, so trained at the first alone."
    )

    @property
    def title(self) -> str:
        """What people read."""
        return self.label or self.name


class Point(Section):
    """A task, or a value along the axis."""

    name: Name
    label: str = Field(default="", description="In tables and plots; empty: the name.")
    set: Overrides = Field(default={}, description="Fields of the recipe that this point changes.")
    x: float | None = Field(default=None, description="Place on the plot's axis; None: a task of its own.")

    @property
    def title(self) -> str:
        """What people read."""
        return self.label or self.name


class Grid(Section):
    """A whole experiment."""

    name: Name
    title: str = Field(description="Heading of the table.")
    about: str = Field(default="", description="What it asks; stands above the table.")
    recipe: str = Field(description="Recipe of every run; --recipe replaces it.")
    set: Overrides = Field(default={}, description="Overrides of every run.")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0, 1, 2, 3, 4), min_length=1)
    reference: str = Field(description="The arm that the others are compared with.")
    part: Literal["val", "test"] = Field(default="val", description="Frames that the table scores.")
    checkpoint: Literal["last", "best"] = Field(
        default="last",
        description="'best' was chosen by its validation score, which it flatters.",
    )
    axis: str = Field(default="", description="What the points' x is, with its unit.")
    picture: Literal["plot", "qualitative"] = Field(default="plot", description="What is drawn.")
    arm: tuple[Arm, ...] = Field(min_length=1)
    point: tuple[Point, ...] = Field(default=(Point(name="all"),), min_length=1)

    @field_validator("seeds")
    @classmethod
    def _no_seed_twice(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed stands twice: it would count as two runs")
        return seeds

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for kind, names in (("arm", [a.name for a in self.arm]), ("point", [p.name for p in self.point])):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{kind} {', '.join(twice)} stands twice")
        if self.reference not in [arm.name for arm in self.arm]:
            raise ValueError(f"reference '{self.reference}' is no arm")
        if self.axis and any(point.x is None for point in self.point):
            raise ValueError("with an axis every point needs its x")
        if self.picture == "qualitative" and len(self.arm) != 2:
            raise ValueError("a qualitative picture compares two arms")
        return self

    @property
    def others(self) -> tuple[Arm, ...]:
        """The arms besides the reference."""
        return tuple(arm for arm in self.arm if arm.name != self.reference)

    def runs(self) -> Iterator[GridRun]:
        """Yield every run, all arms of one seed before the next seed: an unfinished grid is balanced."""
        for seed in self.seeds:
            for point in self.point:
                for arm in self.arm:
                    if not arm.constant or point == self.point[0]:
                        yield GridRun(arm=arm.name, point=point.name, seed=seed)

    def run_of(self, arm: Arm, point: Point, seed: int) -> GridRun:
        """Find the run behind a cell of the table; a constant arm has one for all points."""
        return GridRun(arm=arm.name, point=(self.point[0] if arm.constant else point).name, seed=seed)

    def config(self, run: GridRun, data: Path) -> RunConfig:
        """Resolve the recipe of a run.

        Raises
        ------
        InputError
            If a field or value of an override does not exist.
        """
        point = next(point for point in self.point if point.name == run.point)
        arm = next(arm for arm in self.arm if arm.name == run.arm)
        fields = {**self.set, **point.set, **arm.set, "train.seed": run.seed}
        config = load_recipe(self.recipe, [f"{name}={_toml_value(value)}" for name, value in fields.items()])
        return config.model_copy(
            update={"data": config.data.model_copy(update={"root": str(data.resolve())})}
        )


class GridRun(Section):
    """One arm at one point with one seed."""

    arm: str
    point: str
    seed: int

    @property
    def folder(self) -> Path:
        """Where it lies below the experiment's folder."""
        return Path("runs") / self.point / self.arm / f"seed-{self.seed}"


def grid_names() -> list[str]:
    """List the grids that come with the program."""
    return sorted(path.stem for path in GRIDS.glob("*.toml"))


def load_grid(name_or_path: str) -> Grid:
    """Read a grid by name or from a file.

    Raises
    ------
    InputError
        Naming file, field and remedy.
    """
    path = find_toml(name_or_path, GRIDS, "experiment")
    default_name = re.sub(r"[^a-z0-9.+-]+", "-", path.stem.lower()).strip("-")
    return parse_section(Grid, {"name": default_name or "experiment", **read_toml(path)}, path)


def changed(
    grid: Grid,
    *,
    recipe: str | None = None,
    seeds: Sequence[int] = (),
    arms: Sequence[str] = (),
    overrides: Sequence[str] = (),
) -> Grid:
    """Apply what the command line asks of a grid.

    Raises
    ------
    InputError
        If an arm does not exist, or what is left is no grid.
    """
    unknown = sorted(set(arms) - {arm.name for arm in grid.arm})
    if unknown:
        raise InputError(
            f"No such arm: {', '.join(unknown)}",
            where="--arm",
            remedy=f"Arms: {', '.join(arm.name for arm in grid.arm)}.",
        )
    table = grid.model_dump()
    if arms:  # the reference stays: nothing can be compared without it
        table["arm"] = [arm for arm in table["arm"] if arm["name"] in {*arms, grid.reference}]
    table |= {"recipe": recipe or grid.recipe, "seeds": tuple(seeds) or grid.seeds}
    table["set"] = {**grid.set, **dict(_split_override(override) for override in overrides)}
    return parse_section(Grid, table, grid.name)


def _split_override(override: str) -> tuple[str, Any]:
    name, separator, text = override.partition("=")
    if not separator:
        raise InputError(
            f"Not an override: '{override}'", where="--set", remedy="Write --set section.field=value."
        )
    return name.strip(), read_value(text.strip())


def _toml_value(value: Any) -> str:  # noqa: ANN401 - whatever TOML can hold
    return tomli_w.dumps({"value": value}).partition("=")[2].strip()
