"""Reading behind a live view: the same numbers on one thread, other threads as before, given up in time."""

from __future__ import annotations

import os
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_hogseg.inference.background import AbandonedError, read_in_background, yield_to_others
from napari_hogseg.inference.residual import read_frame
from tests.unit.data.trees import toy_pair
from tests.unit.inference.test_residual import write

if TYPE_CHECKING:
    from pathlib import Path


def in_thread(job):
    found = []
    thread = threading.Thread(target=lambda: found.append(job()))
    thread.start()
    thread.join()
    return found[0]


def test_only_the_calling_thread_yields() -> None:
    torch.set_num_threads(2)
    nice = os.getpriority(os.PRIO_PROCESS, 0)

    def yielding():
        yield_to_others()
        torch.rand(64, 64) @ torch.rand(64, 64)
        own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        return torch.get_num_threads(), own

    num_threads, own = in_thread(yielding)
    assert num_threads == 1
    assert in_thread(torch.get_num_threads) == 2
    assert torch.get_num_threads() == 2
    assert os.getpriority(os.PRIO_PROCESS, 0) == nice
    assert own > nice or sys.platform != "linux" or nice >= 10


def test_reads_the_same(tmp_path: Path) -> None:
    predictor = write(tmp_path)
    frame, _ = toy_pair(4)
    reading = in_thread(partial(read_in_background, predictor, lambda: False, frame))
    expected = read_frame(predictor, frame)
    np.testing.assert_array_equal(reading.class_ids, expected.class_ids)
    assert (reading.entropy, reading.residual.by_stage) == (expected.entropy, expected.residual.by_stage)


def test_a_large_network_is_given_up_between_two_operations(tmp_path: Path) -> None:
    predictor = write(tmp_path, network="u2netp", input_short_px=320)
    frame = np.random.default_rng(0).integers(0, 256, (320, 420, 3)).astype(np.uint8)
    asked_s: list[float] = []
    begin_s = time.monotonic()

    def abandoned() -> bool:
        asked_s.append(time.monotonic())
        return len(asked_s) > 60

    with pytest.raises(AbandonedError):
        read_in_background(predictor, abandoned, frame)
    assert len(asked_s) == 61
    assert asked_s[-1] - begin_s < 20
    np.testing.assert_array_equal(read_frame(predictor, frame).class_ids, predictor.predict(frame))
