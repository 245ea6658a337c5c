"""Write `docs/configuration.md` from the configuration classes: `python docs/make_configuration.py`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_hogseg.runs.config import AdaptConfig, FineTuneConfig, RunConfig, Section

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

TARGET = Path(__file__).with_name("configuration.md")

HEAD = """# Configuration

Made from the classes in `napari_hogseg/runs/config.py` by `python docs/make_configuration.py`; a test keeps
it true. A recipe is a TOML file with these sections and fields; `--set section.field=value` overrides one.
Unknown fields are refused. The defaults are the paper's.
"""


def page() -> str:
    """Compose the page: a table for each section of a run, one for a fine-tune, one for an adaptation."""
    parts = [HEAD]
    for name, field in RunConfig.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            parts.append(table(f"[{name}]", section))
    parts.append(table("A fine-tune (flags of `hogseg finetune`)", FineTuneConfig))
    parts.append(table("An adaptation (flags of `hogseg adapt`)", AdaptConfig))
    return "\n".join(parts)


def table(title: str, section: type[Section]) -> str:
    """Lay out a section's fields."""
    lead = (section.__doc__ or "").strip().splitlines()[0]
    rows = [
        f"| `{name}` | `{field.default!r}` | {bounds(field)} | {field.description} |"
        for name, field in section.model_fields.items()
    ]
    head = ["| field | default | range | meaning |", "|---|---|---|---|"]
    return "\n".join([f"## {title}", "", lead, "", *head, *rows, ""])


def bounds(field: FieldInfo) -> str:
    """Words for the limits a field is checked against."""
    words = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = [
        f"{sign} {getattr(item, key):g}"
        for item in field.metadata
        for key, sign in words.items()
        if getattr(item, key, None) is not None
    ]
    options = getattr(field.annotation, "__args__", ())
    if options and all(isinstance(option, str) for option in options):
        return ", ".join(options)
    return ", ".join(found)


if __name__ == "__main__":
    TARGET.write_text(page(), "utf-8")
