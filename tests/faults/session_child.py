"""A reviewer's process for the fault tests: opens a session, does what it is told, and may be killed at it.

Run as `python -m tests.faults.session_child ACTION FOLDER [POINT]`.
"""

from __future__ import annotations

import os
import pathlib
import resource
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np

from napari_hogseg.data.scheme import LabelScheme
from napari_hogseg.io.errors import InputError
from napari_hogseg.session import journal, ledger
from napari_hogseg.session.annotations import AnnotationStore, SessionIdentity

SCHEME = LabelScheme(
    name="eye", classes=("pupil", "iris", "tool"), colors=((0, 0, 255), (0, 255, 0), (9, 9, 9))
)
IDENTITY = SessionIdentity("clip.mp4", tuple(f"f{i}" for i in range(4)), 64, 64, SCHEME)


def truth(frame_index):
    return np.random.default_rng(frame_index).integers(0, 3, (64, 64), dtype=np.uint8)


def stroke(number):
    """Pixels of a stroke: too many and too random to fit a few bytes."""
    return np.random.default_rng(100 + number).integers(0, 3, (64, 64), dtype=np.uint8)


def open_store(folder, **options):
    return AnnotationStore(Path(folder), IDENTITY, truth, **options)


def say(word):
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def wait():
    time.sleep(600)


def one_stroke(folder):
    open_store(folder, settle_s=600).paint(1, np.s_[...], stroke(1))
    say("painted")
    wait()


def undone(folder):
    store = open_store(folder, settle_s=600)
    store.paint(1, np.s_[...], stroke(1))
    store.paint(2, np.s_[...], stroke(2))
    time.sleep(0.5)  # both are journalled
    with store.acting("undo"):
        store.paint(1, np.s_[...], truth(1))
    say("painted")
    wait()


def hold(folder):
    store = open_store(folder)
    say("read-only" if store.read_only else "writing")
    wait()


def full_disk(folder):
    store = open_store(folder, settle_s=0.01)
    store.paint(1, np.s_[...], stroke(7))
    assert store.flush()
    file = Path(folder) / "masks" / "f1.png"
    before = file.read_bytes()
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    store.paint(1, np.s_[...], stroke(1))
    say(f"flushed {store.flush(1.0)}")
    say(f"error {store.save_error}")
    say(f"unsaved {store.unsaved_frames}")
    say(f"old file intact {file.read_bytes() == before}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    say(f"retry {store.flush()}")
    store.close()


def read_only_folder(folder):
    store = open_store(folder, settle_s=0.01)
    store.close()
    Path(folder).chmod(0o555)
    (Path(folder) / "masks").chmod(0o555)
    if os.geteuid() == 0:
        os.setuid(65534)
    store = open_store(folder, settle_s=0.01)
    say(f"read-only {store.read_only}")
    try:
        store.paint(1, np.s_[0, 0], 2)
        say("painted")
    except InputError as error:
        say(f"refused {error.what}")


def die_at(folder, point):
    """Paint, save, paint again, undo, save; die before disk operation number `point`. Forked: see below."""
    counter = iter(range(1_000_000))

    def dying(operation, *, after_half=None):
        def instead(*args, **kwargs):
            if next(counter) == point:
                if after_half is not None:
                    after_half(*args, **kwargs)
                os.kill(os.getpid(), signal.SIGKILL)
            return operation(*args, **kwargs)

        return instead

    def half(file, data):
        file.write(data[: len(data) // 2])

    os.fsync = dying(os.fsync)
    pathlib.Path.replace = dying(pathlib.Path.replace)
    pathlib.Path.unlink = dying(pathlib.Path.unlink)
    journal.write_all = ledger.write_all = dying(journal.write_all, after_half=half)
    store = open_store(folder, settle_s=0.01)
    for number, frame_index in ((1, 1), (2, 1), (3, 2)):
        store.paint(frame_index, np.s_[...], stroke(number))
        assert store.flush(60)
    store.paint(2, np.s_[...], truth(2))
    store.close(60)


def die_everywhere(folder):
    for point in range(200):
        child = os.fork()
        if child == 0:
            die_at(f"{folder}/{point}", point)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            say(f"points {point}")
            return
        assert os.WTERMSIG(status) == signal.SIGKILL, (point, status)


if __name__ == "__main__":
    assert threading.active_count() == 1
    globals()[sys.argv[1]](*sys.argv[2:])
