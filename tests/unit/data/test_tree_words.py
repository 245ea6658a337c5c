"""Trees in words: examples a person can compare with a folder."""

from __future__ import annotations

import re

import pytest

from napari_hogseg.data.layouts import LAYOUTS
from napari_hogseg.data.tree_words import expected_trees, pattern_in_words


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (
            r"(?P<group>Video\d+)/Images/(?P<name>Video\d+_frame\d+)\.(?i:png|jpe?g)",
            "VideoN/Images/VideoN_frameN.png",
        ),
        (r"images/(?:(?P<group>.+)/)?(?P<name>[^/]+)\.(?i:png|bmp)", "images/<group>/<name>.png"),
        (r"(?P<clip>(?P<group>video_\d+)(?:_\d+)?)/video_left\.avi", "video_N/video_left.avi"),
        (r"(?P<group>Video\d{3})/(?P<name>\d+)\.png", "VideoNNN/<name>.png"),
        (r"(?P<group>seq_[1-8])/(?P<name>[^/]+)\.png", "seq_N/<name>.png"),
    ],
)
def test_a_pattern_becomes_an_example(pattern: str, words: str) -> None:
    assert pattern_in_words(pattern)[0] == words


def test_masks_are_named_like_their_frames() -> None:
    (words,) = expected_trees(LAYOUTS["cholecseg8k"].table)
    assert words.endswith("with videoN/videoN_N/frame_N_endo_watershed_mask.png")


@pytest.mark.parametrize("name", LAYOUTS)
def test_no_pattern_is_left_in_the_words(name: str) -> None:
    for words in expected_trees(LAYOUTS[name].table):
        assert not re.search(r"[\\()\[\]{}+?^$]", words), words
