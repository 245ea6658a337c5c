"""Computing behind a live view: with one thread, without waiting turns, and given up when the window closes.

Owns no thread: what is here is called in the thread that computes.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from napari_hogseg.inference.residual import read_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from napari_hogseg.inference.predictor import Predictor
    from napari_hogseg.inference.residual import FrameReading

NICENESS = 10
"""As the trainer's. Not 19: a thread that hardly ever runs keeps Python's lock for long once it has it."""


class AbandonedError(Exception):
    """What was computed is not wanted any more."""


def yield_to_others() -> None:
    """Give the calling thread one torch thread and, on Linux, a low priority; all others stay as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    # The number is kept per thread, but a thread that has not computed yet begins with the one set last.
    other = threading.Thread(target=torch.set_num_threads, args=(before,), daemon=True)
    other.start()
    other.join()
    if sys.platform == "linux":  # elsewhere priorities are a process's only
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class _Abandon(TorchFunctionMode):
    """Looks up between two operations of a network, in this thread alone."""

    def __init__(self, abandoned: Callable[[], bool]) -> None:
        super().__init__()
        self._abandoned = abandoned

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        if self._abandoned():
            raise AbandonedError
        return func(*args, **(kwargs or {}))


def read_in_background(
    predictor: Predictor, abandoned: Callable[[], bool], frame_HWC: npt.NDArray[np.uint8]
) -> FrameReading:
    """Read a frame as `read_frame` does, unless it is abandoned meanwhile.

    Parameters
    ----------
    predictor : Predictor
    abandoned : callable
        Asked between the operations of the network: a pass of a large one takes seconds on one thread.
    frame_HWC : (H, W, 3) uint8 ndarray

    Raises
    ------
    AbandonedError
        As soon as `abandoned` says so.
    """
    with _Abandon(abandoned):
        return read_frame(predictor, frame_HWC)
