"""The clip of a session folder, for commands: opened where the session saw it last. Writes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_hogseg.data.scheme import LabelScheme
from napari_hogseg.session.clips import UNNAMED, open_clip
from napari_hogseg.session.identity import SESSION_FILE, check_same_clip, read_session_table
from napari_hogseg.session.state import SessionState

if TYPE_CHECKING:
    from napari_hogseg.session.clips import Clip


def open_session_clip(session: Path, path: Path | None = None, masks: Path | None = None) -> Clip:
    """Open the clip of a session, with the classes it was reviewed for.

    Parameters
    ----------
    session : Path
        Session folder.
    path, masks : Path, optional
        The clip and its masks, where they are not where the session saw them.

    Raises
    ------
    InputError
        If the folder is no session's, the clip cannot be opened, or is another one.
    """
    table = read_session_table(session)
    state = SessionState.read(session) or SessionState()
    if masks is None and state.masks:
        masks = Path(state.masks)
    classes = tuple(table["classes"])
    colors = tuple(UNNAMED.colors[class_id % UNNAMED.num_classes] for class_id in range(len(classes)))
    scheme = LabelScheme(name="session", classes=classes, colors=colors)
    clip = open_clip(path or Path(state.clip or table["source"]), masks, scheme, layout=state.layout)
    try:
        check_same_clip(session / SESSION_FILE, clip.identity.to_table())
    except BaseException:
        clip.source.close()
        raise
    return clip
