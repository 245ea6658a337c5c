"""Fixtures for running the command line as a person does: in a process of its own, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.unit.data.trees import write_tree
from tests.unit.training.conftest import RECIPE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMMAND = [sys.executable, "-P", "-m", "training"]


def environment() -> dict[str, str]:
    """One torch thread, and lines wide enough that no message is broken in two."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "400"}


@pytest.fixture
def hogseg(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `hogseg ARGUMENTS` to its end."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture
def start_hogseg(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start `hogseg ARGUMENTS` with pipes; whatever still runs at the end is killed."""
    children: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=tmp_path,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A folder with `data/` (a toy data set) and `toy.toml` (a recipe for it)."""
    (tmp_path / "data").mkdir()
    write_tree(tmp_path / "data", {"a": 2, "b": 2, "c": 2})
    (tmp_path / "toy.toml").write_text(RECIPE, "utf-8")
    return tmp_path
