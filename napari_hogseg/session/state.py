"""Where a reviewer was: the frame, the view, the tools, the marks; and which sessions there are.

Nothing of value is in here: a state that cannot be read is as if there were none. The marks may be thousands
and lie in a file of their own, as JSON: TOML takes a hundred times longer.
"""

from __future__ import annotations

import tomllib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import tomli_w
from pydantic import BaseModel, ConfigDict, Field

from napari_hogseg.io import atomic
from napari_hogseg.session.identity import SESSION_FILE
from napari_hogseg.session.ledger import LEDGER_FILE, EffortCurve, read_ledger
from napari_hogseg.session.mask_folder import MASKS
from napari_hogseg.session.session_lock import user_name

if TYPE_CHECKING:
    from pathlib import Path

STATE_FILE = "state.toml"
MARKS_FILE = "marks.json"
#: No state of ours is as large; a larger file is none.
MAX_STATE_BYTES, MAX_MARKS_BYTES = 1 << 16, 1 << 24
REVIEWER_FILE = "reviewer.toml"


class Marks(BaseModel):
    """What a person has marked in the lists of the worst first.

    Attributes
    ----------
    reviewed : tuple of int
        Frames.
    done : tuple of tuple of int
        Errors: frame, true class, predicted class, area, and the box's four numbers.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    reviewed: tuple[int, ...] = ()
    done: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Marks:
        """Read a session folder's marks; none where there are none that can be read."""
        try:
            return cls.model_validate_json(_read_small(folder / MARKS_FILE, MAX_MARKS_BYTES))
        except (OSError, ValueError):
            return cls()

    def write(self, folder: Path) -> None:
        """Write them, whole or not at all; OSError if the disk refuses."""
        atomic.write_text(folder / MARKS_FILE, self.model_dump_json())


class SessionState(BaseModel):
    """What the next opening of the clip brings back.

    Attributes
    ----------
    clip, masks, dataset, layout : str
        What to open: path of the clip, folder of its masks, root and layout of the data set it is a clip of;
        empty where there is none.
    model : str
        Model folder in use; empty where there is none.
    model_digest : str
        Of that model: another one may lie there by now.
    frame_index : int
    zoom : float or None
        Canvas pixels per data pixel; None: fitted.
    center : tuple of float or None
        Row and column at the middle of the canvas.
    selected_class : int or None
        Class one paints with; None is the eraser.
    brush_px : float or None
    opacity : float or None
        Of the masks, 0 to 1.
    palette : str
        Of the masks; empty: as it is.
    contours : bool
    hidden_classes : tuple of int
    shown_panels : tuple of str
        Their keys; empty: those that are shown at first.
    enlarged : str
        Key of the panel that has the canvas for itself; empty where none has.
    panel_names : dict of str to str
        Names that the reviewer gave, by key.
    panel_layout : str
        How the panels share the window; empty: as it is.
    large_panel : str
        Key of the one that is large beside the others.
    swipe_pair : tuple of str
        Keys of those that are over each other, left and right.
    marks : Marks
    """

    # A later version's fields do no harm; a camera takes no infinite numbers.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    clip: str = ""
    masks: str = ""
    dataset: str = ""
    layout: str = "auto"
    model: str = ""
    model_digest: str = ""
    frame_index: int = Field(default=0, ge=0)
    zoom: float | None = Field(default=None, gt=0)
    center: tuple[float, float] | None = None
    selected_class: int | None = None
    brush_px: float | None = Field(default=None, gt=0)
    opacity: float | None = Field(default=None, ge=0, le=1)
    palette: str = ""
    contours: bool = False
    hidden_classes: tuple[int, ...] = ()
    shown_panels: tuple[str, ...] = ()
    enlarged: str = ""
    panel_names: dict[str, str] = Field(default_factory=dict)
    panel_layout: str = ""
    large_panel: str = ""
    swipe_pair: tuple[str, ...] = ()
    marks: Marks = Marks()

    @classmethod
    def read(cls, folder: Path) -> SessionState | None:
        """Read a session folder's state; None where there is none that can be read."""
        try:
            table = tomllib.loads(_read_small(folder / STATE_FILE, MAX_STATE_BYTES).decode())
            return cls.model_validate({**table, "marks": Marks.read(folder)})
        except (OSError, ValueError, RecursionError):  # TOML, text and validation errors are ValueErrors
            return None

    def write(self, folder: Path, before: SessionState | None = None) -> None:
        """Write it, whole or not at all; OSError if the disk refuses.

        Marks that are as in `before`, which was written last, are not written again.
        """
        table = self.model_dump(mode="json", exclude_none=True, exclude={"marks"})
        atomic.write_text(folder / STATE_FILE, tomli_w.dumps(table))
        if before is None or before.marks != self.marks:
            self.marks.write(folder)


def _read_small(path: Path, max_bytes: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(path)
    return data


@dataclass(frozen=True)
class RecentSession:
    """A session folder, for a list to choose from.

    Attributes
    ----------
    folder : Path
    clip : str
        Path of the clip as it was opened last.
    when : datetime
        Last change, UTC.
    num_corrected : int
        Frames with a mask file.
    minutes : float
        Working time.
    state : SessionState or None
    """

    folder: Path
    clip: str
    when: datetime
    num_corrected: int
    minutes: float
    state: SessionState | None


def recent_sessions(root: Path, limit: int = 20) -> list[RecentSession]:
    """List the sessions below a folder, newest change first; what is no session is passed over."""
    changed: list[tuple[float, Path]] = []
    with suppress(OSError):
        for file in root.glob(f"*/{SESSION_FILE}"):
            with suppress(OSError):
                changed.append((_last_change(file.parent), file.parent))
    newest = sorted(changed, key=lambda item: item[0], reverse=True)
    found = (_describe(folder, changed_s) for changed_s, folder in newest)
    return list(islice((session for session in found if session is not None), limit))


def _last_change(folder: Path) -> float:
    names = (SESSION_FILE, STATE_FILE, LEDGER_FILE, MASKS)
    return max((folder / name).stat().st_mtime for name in names if (folder / name).exists())


def _describe(folder: Path, changed_s: float) -> RecentSession | None:
    try:
        table: dict[str, Any] = tomllib.loads((folder / SESSION_FILE).read_text("utf-8"))
        entries, _ = read_ledger(folder / LEDGER_FILE)
        num_corrected = sum(1 for _ in (folder / MASKS).glob("*.png"))
    except (OSError, ValueError):
        return None
    state = SessionState.read(folder)
    clip = state.clip if state is not None and state.clip else str(table.get("source", ""))
    minutes = EffortCurve.of(entries).total_minutes
    return RecentSession(folder, clip, datetime.fromtimestamp(changed_s, UTC), num_corrected, minutes, state)


def read_author(root: Path) -> str:
    """Name that corrections are signed with: as set below this folder, else the system's user name."""
    try:
        return str(tomllib.loads((root / REVIEWER_FILE).read_text("utf-8"))["author"])
    except (OSError, ValueError, KeyError):
        return user_name()


def write_author(root: Path, author: str) -> None:
    """Keep another name, or none (an empty text); OSError if the disk refuses."""
    root.mkdir(parents=True, exist_ok=True)
    atomic.write_text(root / REVIEWER_FILE, tomli_w.dumps({"author": author}))
