"""What is kept of the newest predictions."""

from __future__ import annotations

import numpy as np

from napari_hogseg.inference.pixel_probabilities import PixelProbabilities
from napari_hogseg.ui.probability_cache import ProbabilityCache
from napari_hogseg.ui.probe_line import percent


def made(num_pixels):
    return PixelProbabilities((9, 9), (np.zeros((1, 1, num_pixels), np.float16),))


def test_the_oldest_go_first_and_the_newest_stays():
    cache = ProbabilityCache(max_bytes=100)
    for frame_index in range(6):
        cache.keep("a", frame_index, made(20))
    cache.keep("b", 5, made(10))
    assert cache.num_bytes == 100
    assert [cache.get("a", index) is not None for index in range(6)] == [False] * 4 + [True] * 2
    cache.keep("a", 5, made(5))  # in place of what was there
    assert cache.num_bytes == 70
    cache.keep("a", 7, made(500))
    assert cache.get("a", 7) is not None
    assert (cache.get("b", 5), cache.num_bytes) == (None, 1000)
    cache.clear()
    assert (cache.get("a", 7), cache.num_bytes) == (None, 0)


def test_only_what_is_certain_is_said_to_be():
    assert [percent(value) for value in (0.0, 0.874, 0.998, 1.0)] == [" 0 %", " 87 %", " >99 %", " 100 %"]
