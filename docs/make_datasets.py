"""Renew the generated parts of `docs/datasets.md`: `python docs/make_datasets.py`.

What stands between the markers comes from the layout tables and from the schema's field descriptions.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hogseg.data.layout_table import ClassRow, Crop, Layer, LayoutTable, SplitRow, Tree
from napari_hogseg.data.layouts import LAYOUTS
from napari_hogseg.data.tree_words import expected_trees

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel

    from napari_hogseg.data.layout_table import Value

TARGET = Path(__file__).with_name("datasets.md")
SCHEMA: dict[str, type[BaseModel]] = {
    "The table": LayoutTable,
    "`[[classes]]`": ClassRow,
    "`[[trees]]`": Tree,
    "`[[trees.layers]]`": Layer,
    "`[crop]`": Crop,
    "`[splits.NAME]`": SplitRow,
}


def page(text: str) -> str:
    """Put the generated parts into the page between their markers."""
    tables = {name: layout.table for name, layout in LAYOUTS.items() if layout.table is not None}
    parts = {
        "overview": overview(tables),
        "layouts": "\n".join(section(table) for table in tables.values()),
        "fields": "\n".join(fields(title, model) for title, model in SCHEMA.items()),
    }
    for name, content in parts.items():
        start, end = f"<!-- {name}: made by docs/make_datasets.py -->", f"<!-- end of {name} -->"
        before, _, rest = text.partition(start)
        _, found, after = rest.partition(end)
        if not found:
            raise SystemExit(f"datasets.md has no part '{name}'")
        text = f"{before}{start}\n\n{content}\n{end}{after}"
    return text


def overview(tables: dict[str, LayoutTable]) -> str:
    """Lay out one line for each layout."""
    rows = [
        f"| [`{name}`](#{name}) | {len(table.classes)} | {', '.join(table.splits) or 'none'} "
        f"| `{table.protocol}` |"
        for name, table in tables.items()
    ]
    return "\n".join(["| layout | classes | published splits | protocol |", "|---|---|---|---|", *rows, ""])


def section(table: LayoutTable) -> str:
    """Say all there is to know of a layout."""
    ignored = ", ".join(map(value_in_words, table.ignore_values))
    lines = [f"### {table.name}", "", f"{table.title}. {table.reference}.", ""]
    lines += [f"- Frames and masks: {' or '.join(f'`{words}`' for words in expected_trees(table))}."]
    roots = sorted({pattern for tree in table.trees for pattern in (*tree.roots, *tree.inside)})
    lines += [f"- Folders that may lie around: {', '.join(f'`{root}`' for root in roots)}."] if roots else []
    lines += [f"- Classes: {classes_in_words(table)}." + (f" Ignored values: {ignored}." if ignored else "")]
    if table.crop:
        crop = table.crop
        lines += [
            f"- Pictures of {crop.size[0]}x{crop.size[1]} are cut to {crop.width}x{crop.height} "
            f"at x {crop.x}, y {crop.y}; others are left as they are."
        ]
    lines += [f"- Split `{name}`: {split_in_words(row)}" for name, row in table.splits.items()]
    if table.same_recording:
        first, *others = (" and ".join(row) for row in table.same_recording)
        lines += [f"- One recording: {first}" + (f", and {len(others)} like it." if others else ".")]
    lines += [f"- {table.note}"] if table.note else []
    return "\n".join([*lines, ""])


def classes_in_words(table: LayoutTable) -> str:
    """Name the classes with their values in the mask files of the first form."""
    values = table.values_of(table.trees[0])
    return ", ".join(
        f"{class_id} {row.name} ({', '.join(map(value_in_words, values.get(row.name, ()))) or 'unpainted'})"
        for class_id, row in enumerate(table.classes)
    )


def value_in_words(value: Value) -> str:
    """Write a grey value, a range or a colour."""
    return f"RGB {'/'.join(map(str, value))}" if isinstance(value, tuple) else str(value)


def split_in_words(row: SplitRow) -> str:
    """Say which groups or lists make the parts."""
    if row.lists:
        parts = [f"{part} from `{file}`" for part, file in row.lists.items()]
    else:
        named = {"train": row.train, "val": row.val, "test": row.test}
        parts = [f"{part} {groups_in_words(groups)}" for part, groups in named.items() if groups]
        parts += [] if row.train else ["train the others"]
    return f"{'; '.join(parts)}. {row.caution}".strip()


def groups_in_words(groups: Sequence[str]) -> str:
    """Name groups; three or more whose numbers follow one another become 'first to last'."""
    runs: list[list[str]] = []
    for group in groups:
        if runs and _follows(runs[-1][-1], group):
            runs[-1].append(group)
        else:
            runs.append([group])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(run) for run in runs)


def _follows(first: str, second: str) -> bool:
    stems = [re.sub(r"\d+$", "", name) for name in (first, second)]
    numbers = [name[len(stem) :] for name, stem in zip((first, second), stems, strict=True)]
    return stems[0] == stems[1] and all(numbers) and int(numbers[1]) == int(numbers[0]) + 1


def fields(title: str, model: type[BaseModel]) -> str:
    """Lay out the fields of one part of a layout table."""
    rows = [
        f"| `{name}` | {'yes' if field.is_required() else ''} | {cell(field.description or '')} |"
        for name, field in model.model_fields.items()
    ]
    return "\n".join([f"**{title}**", "", "| field | needed | meaning |", "|---|---|---|", *rows, ""])


def cell(text: str) -> str:
    """Make text fit a table's cell."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    TARGET.write_text(page(TARGET.read_text("utf-8")), "utf-8")
