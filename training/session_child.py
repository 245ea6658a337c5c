"""Starts a command on a session folder: in a process of its own, as `training` knows no sessions."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def run_on_session(
    module: str, what: str, session: Path, options: Mapping[str, object], *more: object
) -> None:
    """Run `python -m module what SESSION --option=value ... more`; what it writes is seen.

    Parameters
    ----------
    module : str
    what : str
        Its subcommand.
    session : Path
    options : mapping
        By name without dashes; those that are None are left out.

    Raises
    ------
    typer.Exit
        With the child's exit code, where that is not 0.
    """
    given = [f"--{name}={value}" for name, value in options.items() if value is not None]
    command = [sys.executable, "-P", "-m", module, what, str(session), *given, *map(str, more)]
    code = subprocess.call(command)  # noqa: S603 - our own module, our own interpreter
    if code:
        raise typer.Exit(code)
