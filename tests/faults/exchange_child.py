"""A process that exports or imports and can be killed at any frame, for the fault tests.

Run as `python -m tests.faults.exchange_child ACTION SESSION ANNOTATIONS FORMAT`; says every frame.
"""

from __future__ import annotations

import resource
import signal
import sys
import time
from pathlib import Path

from napari_hogseg.data.exchange import AnnotatedFrame, export_frames, find_format
from napari_hogseg.session.exchange import exchange_clip, import_masks
from tests.faults.session_child import IDENTITY, open_store, say, stroke

PAUSE_S = 0.02


def frames():
    """Random masks of all frames, slowly, each told of."""
    for frame_index in range(IDENTITY.num_frames):
        say(frame_index)
        time.sleep(PAUSE_S)
        yield AnnotatedFrame(frame_index, stroke(frame_index))
    say("written")


def slowly(num_done, _num_frames):
    say(num_done)
    time.sleep(PAUSE_S)


def main(action, session, annotations, form):
    if action == "small-disk":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))
    if action == "import":
        store = open_store(session, settle_s=0.0)
        import_masks(store, Path(annotations), find_format(form), on_frame=slowly)
        say("imported")
        time.sleep(600)
    try:
        export_frames(frames(), Path(annotations), find_format(form), exchange_clip(IDENTITY, "clip"))
    except OSError as error:
        say(f"OSError {error.errno}")


if __name__ == "__main__":
    main(*sys.argv[1:])
