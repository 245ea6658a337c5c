"""How the commands of a session folder end: one sentence, and an exit code that scripts can read."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

BAD_INPUT, DISK, INTERRUPTED = 2, 3, 130


def run_and_tell(work: Callable[[], object], interrupted: str) -> int:
    """Do the work of a command, write what it gives or what went wrong.

    Parameters
    ----------
    work : callable
        `work() -> what was done`, in a sentence or as something that prints as one.
    interrupted : str
        What is true of the files after Ctrl-C.

    Returns
    -------
    int
        0 done, 2 bad input, 3 disk, 130 Ctrl-C.
    """
    try:
        done = work()
    except InputError as error:
        place = "" if error.where is None else f" [{error.where}]"
        sys.stderr.write(f"error: {error.what}{place}\n{error.remedy}\n")
        return BAD_INPUT
    except OSError as error:
        sys.stderr.write(f"error: {error}\nFree space or choose another place; nothing is half-written.\n")
        return DISK
    except KeyboardInterrupt:
        sys.stderr.write(f"stopped: {interrupted}\n")
        return INTERRUPTED
    sys.stdout.write(f"{done}\n")
    return 0
