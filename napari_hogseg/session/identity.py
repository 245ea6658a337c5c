"""Which clip a session folder belongs to, and where session folders lie. Paints nothing.

Legend: T frames, H rows, W columns.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hogseg.data.scheme import LabelScheme

SESSION_FILE = "session.toml"
FORMAT = 1


@dataclass(frozen=True)
class SessionIdentity:
    """What must agree for stored masks to fit a clip.

    Attributes
    ----------
    source : str
        The clip, for people; a moved clip is still the same clip.
    frame_names : tuple of str
        One a frame, unique: they name the mask files.
    height, width : int
        Size of every frame, pixels.
    scheme : LabelScheme
        Meaning of the values.
    """

    source: str
    frame_names: tuple[str, ...]
    height: int
    width: int
    scheme: LabelScheme

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return len(self.frame_names)

    def to_table(self) -> dict[str, Any]:
        """Values as `session.toml` keeps them."""
        names = hashlib.sha256("\n".join(self.frame_names).encode()).hexdigest()
        return {
            "format": FORMAT,
            "source": self.source,
            "num_frames": self.num_frames,
            "frame_names_sha256": names,
            "height": self.height,
            "width": self.width,
            "classes": list(self.scheme.classes),
        }


def size_error(found: tuple[int, ...], expected: tuple[int, int], where: object) -> InputError:
    """Make the message for a mask that does not have its frame's size; both as (H, W)."""
    return InputError(
        f"The mask is {found[1]}x{found[0]} but its frame is {expected[1]}x{expected[0]}",
        where=where,
        remedy="Export the mask at the frame's size; masks are never rescaled in silence.",
    )


def clip_name(name: str) -> str:
    """Make a folder name that every system takes from a clip's name."""
    kept = "".join(char if char.isalnum() or char in "-_." else "_" for char in name).strip("._")
    return kept or "clip"


def session_folder(root: Path, source: Path, scheme: LabelScheme) -> Path:
    """Choose the session folder of a clip and a set of classes below `root`.

    The digest is of the absolute path and the class names: two clips of one name, or one clip reviewed for
    two sets of classes, never share a folder.
    """
    key = "\n".join([str(source.resolve()), *scheme.classes])
    return root / f"{clip_name(source.stem)}-{hashlib.sha256(key.encode()).hexdigest()[:10]}"


def read_session_table(folder: Path) -> dict[str, Any]:
    """Read a session folder's `session.toml`; InputError if it is none."""
    path = folder / SESSION_FILE
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            "Not a session folder", where=folder, remedy=f"A session's folder holds a {SESSION_FILE}."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"Not a session file: {error}", where=path, remedy="Mend it, or choose another session folder."
        ) from error


def check_same_clip(path: Path, table: dict[str, Any]) -> None:
    """Refuse a session file, `path`, that does not agree with an identity's table; InputError names what."""
    found = read_session_table(path.parent)
    differing = [key for key in table if key != "source" and found.get(key) != table[key]]
    if differing:
        raise InputError(
            f"The corrections here belong to another clip, {found.get('source')}: "
            f"{', '.join(differing)} differ",
            where=path,
            remedy="Choose another session folder; nothing was changed here.",
        )
