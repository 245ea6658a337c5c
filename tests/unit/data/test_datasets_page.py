"""`docs/datasets.md` says what the layout tables say."""

from __future__ import annotations

import runpy

import pytest

from napari_hogseg.data.layouts import LAYOUTS
from tests.conftest import PROJECT_ROOT

DOCS = PROJECT_ROOT / "docs"
MAKE = runpy.run_path(str(DOCS / "make_datasets.py"))


def test_the_page_is_the_one_its_script_makes() -> None:
    text = (DOCS / "datasets.md").read_text("utf-8")
    assert MAKE["page"](text) == text, "run python docs/make_datasets.py"


def test_the_page_names_every_layout_class_and_split() -> None:
    text = (DOCS / "datasets.md").read_text("utf-8")
    for name, layout in LAYOUTS.items():
        section = text.split(f"### {name}\n")[1].split("\n### ")[0]
        assert all(class_name in section for class_name in layout.scheme.classes)
        assert all(f"Split `{split}`" in section for split in layout.splits)


def test_a_page_without_its_markers_is_refused() -> None:
    with pytest.raises(SystemExit, match="overview"):
        MAKE["page"]("# Data sets\n")


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (("a1", "a2", "a3", "b7"), "a1 to a3, b7"),
        (("a1", "a2"), "a1, a2"),
        (("Video05", "Video07", "Video16"), "Video05, Video07, Video16"),
        (("x", "y", "z"), "x, y, z"),
    ],
)
def test_runs_of_groups_are_shortened(groups: tuple[str, ...], words: str) -> None:
    assert MAKE["groups_in_words"](groups) == words
