"""Label schemes: class ids, names, colours and the ignore value, and their small TOML file.

Raw values of a data set's mask files are the layout's business, not the scheme's.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

IGNORE = 255
"""The one ignore value inside the program; a data set's own void value is mapped to it by its layout."""

SCHEME_FILE = "dataset.toml"
"""Name of the small TOML file that names the classes of a plain images/ + masks/ folder."""

Color = tuple[int, int, int]

OKABE_ITO: tuple[Color, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
"""Okabe and Ito's palette (2008) without black: told apart with every common colour vision."""


class LabelScheme(BaseModel):
    """The classes a mask may hold: ids 0 .. num_classes - 1, and `ignore`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="Name of the data set or task.")
    classes: tuple[str, ...] = Field(min_length=2, description="Class names; the position is the id.")
    colors: tuple[Color, ...] = Field(description="RGB of each class, 0 to 255.")
    ignore: int = Field(default=IGNORE, description="Value of pixels that are neither trained nor scored.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.colors) != len(self.classes):
            raise ValueError(f"{len(self.classes)} classes but {len(self.colors)} colours")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("two classes share one name")
        if self.ignore != IGNORE:
            raise ValueError(f"ignore must be {IGNORE}, not {self.ignore}")
        if len(self.classes) > IGNORE:
            raise ValueError(f"at most {IGNORE} classes fit a uint8 mask")
        if any(not 0 <= channel <= 255 for color in self.colors for channel in color):
            raise ValueError("a colour channel is outside 0 to 255")
        return self

    @property
    def num_classes(self) -> int:
        """Number of classes, ignore not counted."""
        return len(self.classes)

    def color_table(self) -> npt.NDArray[np.uint8]:
        """Colours by mask value.

        Returns
        -------
        (256, 3) uint8 ndarray
            RGB; ignore and unused values are black.
        """
        table = np.zeros((256, 3), np.uint8)
        table[: self.num_classes] = self.colors
        return table

    def check_mask(self, mask: npt.NDArray[np.integer[Any]], where: object) -> npt.NDArray[np.uint8]:
        """Return the mask as uint8, every value a class id or ignore.

        Raises
        ------
        InputError
            If a value stands outside the scheme; `where` names the file.
        """
        # One bincount beats np.unique's sort twentyfold at 1080p.
        counts = np.bincount(mask.ravel(), minlength=256)
        present = np.flatnonzero(counts)
        outside = [int(v) for v in present if v >= self.num_classes and v != self.ignore]
        if outside:
            raise InputError(
                f"Mask values {outside[:8]} are not classes of '{self.name}' "
                f"(0 to {self.num_classes - 1}, or {self.ignore} for ignore)",
                where=where,
                remedy="Choose the layout this data set has, or name the classes in dataset.toml.",
            )
        return mask.astype(np.uint8)

    def to_toml(self) -> str:
        """Write the scheme as the text of a `dataset.toml`."""
        classes = [
            {"id": class_id, "name": name, "color": list(color)}
            for class_id, (name, color) in enumerate(zip(self.classes, self.colors, strict=True))
        ]
        return tomli_w.dumps(
            {"name": self.name, "ignore": self.ignore, "group": "folder", "classes": classes}
        )

    @classmethod
    def read(cls, path: Path) -> LabelScheme:
        """Read a `dataset.toml`.

        Raises
        ------
        InputError
            If the file is no TOML, a field is missing, or class ids are not 0, 1, 2, ...
        """
        remedy = 'Write name = "..." and one [[classes]] with id, name and color = [r, g, b] per class.'
        try:
            table = tomllib.loads(path.read_text("utf-8"))
            classes = sorted(table["classes"], key=lambda entry: entry["id"])
            ids = [entry["id"] for entry in classes]
            if ids != list(range(len(ids))):
                raise InputError(f"Class ids are {ids}, not 0, 1, 2, ...", where=path, remedy=remedy)
            return cls(
                name=table["name"],
                classes=tuple(entry["name"] for entry in classes),
                colors=tuple(tuple(entry["color"]) for entry in classes),
                ignore=table.get("ignore", IGNORE),
            )
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError, KeyError, TypeError) as error:
            raise InputError(f"Not a class table: {error}", where=path, remedy=remedy) from error
