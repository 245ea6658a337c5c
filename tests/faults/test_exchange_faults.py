"""Killed or out of disk in an export or import: whole or not there, and nothing painted is lost."""

from __future__ import annotations

import errno
import subprocess
import sys

import numpy as np
import pytest

from napari_hogseg.data.exchange import AnnotatedFrame, export_frames, find_format
from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.session.exchange import exchange_clip
from tests.faults.session_child import IDENTITY, open_store, stroke, truth

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="SIGKILL and resource limits as on Linux")
CLIP = exchange_clip(IDENTITY, "clip")
NUM_FRAMES = IDENTITY.num_frames


def run_child(action, session, annotations, form="coco", *, kill_at=None):
    """Run to the end, or kill -9 at the line `kill_at`; gives the lines said."""
    command = [
        sys.executable,
        "-m",
        "tests.faults.exchange_child",
        action,
        *map(str, (session, annotations, form)),
    ]
    said = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout:
            said.append(line.strip())
            if len(said) - 1 == kill_at:
                child.kill()
    return said


@pytest.mark.parametrize("kill_at", [0, NUM_FRAMES - 1, NUM_FRAMES])
def test_a_killed_export_is_not_there_or_whole(tmp_path, kill_at):
    run_child("export", tmp_path, tmp_path / "out", kill_at=kill_at)
    if (tmp_path / "out").exists():
        found = [frame.mask for frame in find_format("coco").read(tmp_path / "out", CLIP, IGNORE)]
        np.testing.assert_array_equal(found, [stroke(i) for i in range(NUM_FRAMES)])
    # What is unfinished never bears the name, and does not stand in the way of the next try.
    assert run_child("export", tmp_path, tmp_path / "again")[-1] == "written"
    assert (tmp_path / "again" / "dataset.toml").is_file()


@pytest.mark.parametrize("form", ["coco", "nifti", "colour-png", "cvat"])
def test_a_full_disk_leaves_nothing(tmp_path, form):
    assert run_child("small-disk", tmp_path, tmp_path / "out", form)[-1] == f"OSError {errno.EFBIG}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kill_at", range(2, 2 * NUM_FRAMES, 2))
def test_a_killed_import_leaves_old_or_new_masks_and_all_the_old_ones_aside(tmp_path, kill_at):
    session = tmp_path / "session"
    store = open_store(session)
    store.paint(2, np.s_[...], stroke(50))
    assert store.close()
    frames = [AnnotatedFrame(i, stroke(i)) for i in range(NUM_FRAMES)]
    export_frames(frames, tmp_path / "out", find_format("index-png"), CLIP)
    run_child("import", session, tmp_path / "out", "index-png", kill_at=kill_at)

    old = [truth(i) if i != 2 else stroke(50) for i in range(NUM_FRAMES)]
    store = open_store(session)
    now = [store.mask(i) for i in range(NUM_FRAMES)]
    assert all(
        np.array_equal(m, a) or np.array_equal(m, stroke(i))
        for i, (m, a) in enumerate(zip(now, old, strict=True))
    )
    if kill_at >= NUM_FRAMES:  # it had begun to paint
        (aside,) = (session / "set-aside").iterdir()
        found = [frame.mask for frame in find_format("index-png").read(aside, CLIP, IGNORE)]
        np.testing.assert_array_equal(found, old)
    assert store.close()
