"""A reviewer's way through a real video: worst error, correction, carried masks; killed, opened again."""

from __future__ import annotations

import os

import numpy as np
import pytest
from qtpy.QtTest import QTest
from review_cases import write_model
from test_killed_window import kill_when

from napari_hogseg.session.clips import find_dataset


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_from_the_worst_error_to_a_killed_window_and_back(shared_data, review, tmp_path):
    video = shared_data / "videos" / "vf_seq7_vfr_bframes.mp4"
    masks = shared_data / "vocalfolds" / "masks" / "patient2_seq7"
    model = write_model(tmp_path / "model", scheme=find_dataset(masks, "masks").scheme)
    corrected = tmp_path / "corrected.npz"
    kill_when("saved", "driven_window.py", video, masks, model, review.controller.sessions_root, corrected)

    review.open(video, masks)
    QTest.qWait(600)
    session = review.controller.session
    assert session.store.read_only is None  # the lock ended with its process
    with np.load(corrected) as arrays:
        expected = {int(name): arrays[name] for name in arrays.files}
    assert len(expected) >= 2  # corrected by hand, and accepted
    assert session.store.edited_frames == tuple(sorted(expected))
    for frame_index, mask in expected.items():
        assert (mask != session.clip.truth(frame_index)).any()
        np.testing.assert_array_equal(session.store.mask(frame_index), mask)
        np.testing.assert_array_equal(
            review.layer("Ground truth").data[frame_index], (mask + 1).astype(np.uint8)
        )
    for frame_index in set(range(session.store.shape[0])) - set(expected):
        np.testing.assert_array_equal(session.store.mask(frame_index), session.clip.truth(frame_index))
    assert review.state().frame_index in expected  # where the person was
