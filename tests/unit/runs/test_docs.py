"""The configuration page says what the classes say."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"


def test_configuration_page_is_up_to_date() -> None:
    made = runpy.run_path(str(DOCS / "make_configuration.py"))["page"]()
    assert (DOCS / "configuration.md").read_text("utf-8") == made, "run python docs/make_configuration.py"
