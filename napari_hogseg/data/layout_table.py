"""The table that says how a data set lies on disk: its schema, and reading it from TOML.

One table per data set and task; those of this package lie in `layout_tables/`, a user's own needs no Python.
What a table says is checked here. Finding files by it is `tree_scan`'s part, turning mask values into class
ids `mask_coding`'s.
"""

from __future__ import annotations

import re
import string
import tomllib
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_hogseg.data.scheme import Color, LabelScheme
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LAYOUT_FILE = "layout.toml"
"""A table of this name in a data set's root says how that data set lies."""

TABLES_FOLDER = Path(__file__).with_name("layout_tables")
MAX_LAYERED = 254
"""Classes of a set with layers: one value of a byte means ignore, one 'nothing here'."""

RESERVED_NAMES = frozenset({"auto", "folders"})
FRAME_FIELD = "frame"
"""Template field that stands for the digits of a video's frame number."""

Byte = Annotated[int, Field(ge=0, le=65535)]
Channel = Annotated[int, Field(ge=0, le=255)]
Range = Annotated[str, Field(pattern=r"^\d+-\d+$")]
Value = Byte | Range | tuple[Channel, Channel, Channel]
"""A grey value, a range of them such as '1-255' (both ends belong to it), or an RGB colour."""

Values = dict[str, tuple[Value, ...]]
"""Values by class name."""


class Row(BaseModel):
    """Base of every part of a table: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassRow(Row):
    """One class; its position is its id."""

    name: str = Field(min_length=1, description="Name of the class.")
    color: Color = Field(description="RGB it is drawn in, 0 to 255.")
    values: tuple[Value, ...] = Field(
        default=(), description="What its pixels hold in the mask files; left out in every class: its id."
    )


class Layer(Row):
    """One of several mask files that make up a frame's mask together, told by the folder it lies in."""

    contains: str = Field(
        default="", description="What the folder's name holds; letter case, '_', '-' and spaces do not count."
    )
    values: Values = Field(
        min_length=1, description="Values by class; 0 is 'nothing here' and need not be named."
    )


class Crop(Row):
    """A part cut out of frames and masks of one size; pictures of other sizes are left as they are."""

    size: tuple[int, int] = Field(description="Width and height of the pictures to be cut.")
    x: int = Field(ge=0, description="First column that stays.")
    y: int = Field(ge=0, description="First row that stays.")
    width: int = Field(ge=1, description="Columns that stay.")
    height: int = Field(ge=1, description="Rows that stay.")

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if self.x + self.width > self.size[0] or self.y + self.height > self.size[1]:
            raise ValueError(f"the part reaches beyond {self.size[0]}x{self.size[1]}")
        return self


class Tree(Row):
    """One form in which the data set is found on disk."""

    name: str = Field(default="", description="For messages, such as 'training'.")
    roots: tuple[str, ...] = Field(
        default=(),
        description="Folders that copies put around the tree, as patterns ('release_*'); any case.",
    )
    inside: tuple[str, ...] = Field(
        default=(),
        description="Like `roots`, but one of them must lie around the tree or be the data set's own folder.",
    )
    frames: str = Field(
        description="Regular expression that a frame's path fits, '/' between folders, from below "
        "`roots` on. Named groups: `name`, `group` (patient, sequence or video; 'all' without it), and any "
        "of your own."
    )
    group: str = Field(default="{group}", description="Template of the group's name.")
    sample: str = Field(
        default="{group}/{name}",
        description="Template of the sample's name; its {group} is the finished one.",
    )
    masks: tuple[str, ...] = Field(
        min_length=1,
        description="Templates of the mask's path; the first that is there is taken. Folders may hold '*'.",
    )
    layers: tuple[Layer, ...] = Field(
        default=(),
        description="Where a mask is made up of one file per folder: what each means. Every file that "
        "fits the template counts, one that no layer claims is an error, later layers cover earlier ones.",
    )
    values: Values = Field(
        default={}, description="Values by class, where they are not those of the classes."
    )
    ignore_values: tuple[Value, ...] | None = Field(default=None, description="Instead of the table's own.")
    video: bool = Field(
        default=False,
        description="Whether `frames` fits video files; the masks' templates then hold {frame}, the 0-based "
        "number of the frame.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        try:
            fields = set(re.compile(self.frames).groupindex)
        except re.error as error:
            raise ValueError(f"frames is no regular expression: {error}") from error
        named = fields | {"group"} | ({FRAME_FIELD, "name"} if self.video else set())
        if "name" not in named:
            raise ValueError("frames names no group (?P<name>...)")
        for template in (self.group, self.sample, *self.masks):
            unknown = _fields(template) - named
            if unknown:
                raise ValueError(f"'{template}' uses {sorted(unknown)}, which frames does not name")
        if self.video and any(FRAME_FIELD not in _fields(template) for template in self.masks):
            raise ValueError("masks of a video need {frame} in their template")
        if any("*" in template.rpartition("/")[2] for template in self.masks):
            raise ValueError("masks may hold '*' in folders, not in the file's name")
        return self


class SplitRow(Row):
    """One published division into train, val and test: by groups or by lists of frames."""

    train: tuple[str, ...] = Field(default=(), description="Groups; empty: all that the others do not name.")
    val: tuple[str, ...] = Field(default=(), description="Groups.")
    test: tuple[str, ...] = Field(default=(), description="Groups.")
    lists: dict[str, str] = Field(
        default={},
        description="Instead of groups: a text file in the root with a frame's name per line, by part.",
    )
    optional: tuple[str, ...] = Field(
        default=(), description="Parts whose groups may be missing, such as a test set handed out apart."
    )
    caution: str = Field(default="", description="Told whenever this split is used.")
    shares_recordings: bool = Field(
        default=False,
        description="Whether it divides recordings by the set's own rules, so that it is not refused.",
    )

    @model_validator(mode="after")
    def _no_leak(self) -> Self:
        parts = {"train", "val", "test"}
        if not {*self.lists, *self.optional} <= parts:
            raise ValueError("parts are train, val and test")
        named = [*self.train, *self.val, *self.test]
        if len(set(named)) != len(named):
            raise ValueError("a group stands in two parts")
        if bool(named) == bool(self.lists):
            raise ValueError("a split names either groups or lists")
        return self


class LayoutTable(Row):
    """How one data set lies on disk, for one task."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="What data.layout calls it.")
    title: str = Field(min_length=1, description="One line for people.")
    reference: str = Field(default="", description="Where the set was published.")
    protocol: str = Field(default="dataset-miou", description="Scoring protocol its literature uses.")
    note: str = Field(default="", description="What a user should know: choices made, traps.")
    classes: tuple[ClassRow, ...] = Field(min_length=2, description="The classes in the order of their ids.")
    ignore_values: tuple[Value, ...] = Field(
        default=(), description="Mask values that are neither trained nor scored."
    )
    trees: tuple[Tree, ...] = Field(
        min_length=1,
        description="Forms on disk; of two that fit a folder the one with more masks, then the first.",
    )
    crop: Crop | None = Field(default=None, description="A part cut out of pictures of one size.")
    splits: dict[str, SplitRow] = Field(
        default={}, description="Published splits by name, such as 'official'."
    )
    same_recording: tuple[tuple[str, ...], ...] = Field(
        default=(), description="Groups cut from one recording: a split between them leaks."
    )
    test_only: tuple[str, ...] = Field(
        default=(), description="Groups never trained or validated on, by the set's own rules."
    )
    recognised_by: str = Field(
        default="",
        description="Regular expression every frame's path must hold for 'auto' to take the table.",
    )
    requires: tuple[str, ...] = Field(
        default=(), description="Files or folders in the root without which 'auto' does not take the table."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.name in RESERVED_NAMES:
            raise ValueError(f"the name '{self.name}' is taken")
        _ = self.scheme
        known = {row.name for row in self.classes}
        for values in (mapping for tree in self.trees for mapping in _mappings(tree)):
            if not set(values) <= known:
                raise ValueError(f"values name {sorted(set(values) - known)}, which are no classes")
        if len(self.classes) > MAX_LAYERED and any(tree.layers for tree in self.trees):
            raise ValueError(f"layers take at most {MAX_LAYERED} classes")
        names = [tree.name for tree in self.trees]
        if len(set(names)) != len(names):
            raise ValueError("two trees share one name")
        if not all(re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) for name in self.splits):
            raise ValueError("a split's name holds small letters, digits and '-'")
        try:
            re.compile(self.recognised_by)
        except re.error as error:
            raise ValueError(f"recognised_by is no regular expression: {error}") from error
        return self

    @property
    def scheme(self) -> LabelScheme:
        """The classes a mask of this layout holds."""
        return LabelScheme(
            name=self.name,
            classes=tuple(row.name for row in self.classes),
            colors=tuple(row.color for row in self.classes),
        )

    def tree(self, name: str) -> Tree:
        """Return the tree of that name."""
        return next(tree for tree in self.trees if tree.name == name)

    def values_of(self, tree: Tree) -> Values:
        """Values by class as the masks of one tree hold them."""
        if tree.values:
            return tree.values
        values = {row.name: row.values for row in self.classes if row.values}
        return values or {row.name: (class_id,) for class_id, row in enumerate(self.classes)}

    def ignored_in(self, tree: Tree) -> tuple[Value, ...]:
        """Values of one tree's masks that are neither trained nor scored."""
        return self.ignore_values if tree.ignore_values is None else tree.ignore_values


def _fields(template: str) -> set[str]:
    return {field for _, field, _, _ in string.Formatter().parse(template) if field is not None}


def _mappings(tree: Tree) -> Iterable[Values]:
    return (tree.values, *(layer.values for layer in tree.layers))


def read_table(path: Path) -> LayoutTable:
    """Read a layout table.

    Raises
    ------
    InputError
        If the file is no TOML, or naming every field that is missing, unknown or out of range.
    """
    remedy = f"docs/datasets.md lists the fields; the tables in {TABLES_FOLDER.name}/ are examples."
    try:
        return LayoutTable.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise InputError(f"Cannot be read: {error.strerror}", where=path, remedy="Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"Not a TOML file: {error}", where=path, remedy="Mend the line it names.") from error
    except ValidationError as error:
        raise InputError(
            f"Not a layout table: {'; '.join(_problem(item) for item in error.errors())}",
            where=path,
            remedy=remedy,
        ) from error


def _problem(item: Any) -> str:  # noqa: ANN401 - pydantic's error details
    return f"{'.'.join(str(part) for part in item['loc']) or 'table'}: {item['msg']}"


@cache
def packaged_tables() -> Mapping[str, LayoutTable]:
    """Read the tables that come with this package, by name, in alphabetical order."""
    tables = (read_table(path) for path in sorted(TABLES_FOLDER.glob("*.toml")))
    return MappingProxyType({table.name: table for table in tables})
