"""`hogseg annotations`: a session folder out and into a second session, by commands alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.io import images
from napari_hogseg.io.atomic import sha256_file
from napari_hogseg.session.annotations import AnnotationStore
from napari_hogseg.session.clips import open_clip

if TYPE_CHECKING:
    from pathlib import Path


def review(folder: Path, clip_path: Path, *strokes) -> None:
    """A closed session with these strokes: frame, place, class."""
    clip = open_clip(clip_path)
    store = AnnotationStore(folder, clip.identity, clip.truth, settle_s=0.0)
    for frame_index, place, class_id in strokes:
        store.paint(frame_index, place, class_id)
    assert store.close()
    clip.source.close()


def digests(folder: Path) -> dict[str, str]:
    return {str(path): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def test_out_of_one_session_and_into_another(hogseg, toy):
    clip = toy / "data" / "images" / "a"
    review(toy / "mine", clip, (0, np.s_[:4], 1), (1, np.s_[2:9, 3:5], 255))
    review(toy / "yours", clip)
    before = digests(toy / "mine") | digests(toy / "data")

    done = hogseg("annotations", "export", "mine", "--format", "coco", "--out", "out", "--pictures")
    assert done.returncode == 0, done.stderr
    assert "Wrote 2 frames" in done.stdout
    assert digests(toy / "mine") | digests(toy / "data") == before
    assert len(list((toy / "out").rglob("images/**/*.png"))) == 2

    done = hogseg("annotations", "import", "yours", "out", "--format", "coco")
    assert done.returncode == 0, done.stderr
    assert "Imported 2 frames" in done.stdout
    names = sorted(path.name for path in (toy / "mine" / "masks").iterdir())
    assert names == sorted(path.name for path in (toy / "yours" / "masks").iterdir())
    for name in names:
        np.testing.assert_array_equal(
            images.read_mask(toy / "yours" / "masks" / name), images.read_mask(toy / "mine" / "masks" / name)
        )

    inside = hogseg("annotations", "export", "mine", "--format", "coco", "--out", "data/images/new")
    assert inside.returncode == 2
    assert "not written into the data" in inside.stderr
    assert not os.path.lexists(toy / "data" / "images" / "new")
