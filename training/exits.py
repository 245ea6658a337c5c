"""Exit codes, and the errors that have one of their own."""

from __future__ import annotations

import errno
from enum import IntEnum

import torch

from napari_hogseg.io.errors import InputError
from training.determinism import operation_without_form


class ExitCode(IntEnum):
    """What the process tells its caller; cluster scripts rely on these numbers."""

    DONE = 0
    BAD_INPUT = 2
    DISK = 3
    NON_FINITE = 4
    PREEMPTED = 5
    OUT_OF_MEMORY = 6


class NonFiniteLossError(ArithmeticError):
    """The loss is NaN or infinite; the weights were not changed by the step.

    Parameters
    ----------
    step : int
    frames : list of str
        Sample ids of the batch.
    """

    def __init__(self, step: int, frames: list[str]) -> None:
        self.step, self.frames = step, frames
        super().__init__(f"The loss is not finite at step {step}; frames of the batch: {', '.join(frames)}.")


REMEDIES = {
    ExitCode.DISK: "Free space or choose another --out, then resume: earlier checkpoints are whole.",
    ExitCode.NON_FINITE: "Lower the learning rate, or look at the frames it names.",
    ExitCode.OUT_OF_MEMORY: "Lower train.batch_size, augment.crop_px or model.input_short_px.",
}


_WORKER_MARK = "in DataLoader worker process"
"""torch hands on an error of a loader process as text with its traceback; the last line is the message."""


def classify(error: BaseException) -> tuple[ExitCode, str, str] | None:
    """Exit code, what happened and remedy of an error a user can act on; None for a defect of ours."""
    if isinstance(error, InputError):
        if _WORKER_MARK in error.what:
            return ExitCode.BAD_INPUT, error.what.rpartition("InputError: ")[2].strip(), ""
        place = "" if error.where is None else f" [{error.where}]"
        return ExitCode.BAD_INPUT, f"{error.what}{place}", error.remedy
    operation = operation_without_form(error)
    if operation is not None:
        what = f"'{operation}' has no deterministic form on this device [train.deterministic]"
        remedy = (
            "Set train.deterministic = false, train on the CPU, or choose a network and losses without it."
        )
        return ExitCode.BAD_INPUT, what, remedy
    code = _code_of(error)
    return None if code is None else (code, str(error) or type(error).__name__, REMEDIES[code])


def _code_of(error: BaseException) -> ExitCode | None:
    if isinstance(error, NonFiniteLossError):
        return ExitCode.NON_FINITE
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return ExitCode.OUT_OF_MEMORY
    if isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error):
        return ExitCode.OUT_OF_MEMORY  # how torch says MemoryError on a CPU
    disk = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG)
    if isinstance(error, OSError) and error.errno in disk:
        return ExitCode.DISK
    return None
