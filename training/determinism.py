"""Deterministic mode: the same recipe on the same machine gives the same weights, bit for bit, on a GPU too.

Owns the switch, which is the process's: torch, cuDNN and cuBLAS have one each. On a CPU nothing needs it:
order and augmentation are functions of the seed, and torch adds up in one order for one number of threads.
"""

from __future__ import annotations

import functools
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import torch

from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_hogseg.runs.config import RunConfig

CUBLAS_VARIABLE = "CUBLAS_WORKSPACE_CONFIG"
CUBLAS_WORKSPACE = ":4096:8"
"""cuBLAS then gives every stream a work space of its own; 24 MiB of GPU memory."""

_NO_FORM = re.compile(r"(\w+) does not have a deterministic implementation")

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@contextmanager
def deterministic_mode(*, on: bool) -> Iterator[None]:
    """Let torch use deterministic algorithms alone, and put everything back afterwards.

    Parameters
    ----------
    on : bool
        False changes nothing.

    Raises
    ------
    InputError
        If CUDA has been started without it: cuBLAS reads its setting once.
    """
    if not on:
        yield
        return
    was_on = torch.are_deterministic_algorithms_enabled()
    only_warned = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn
    flags = cudnn.deterministic, cudnn.benchmark
    with _cublas_workspace():
        try:
            torch.use_deterministic_algorithms(mode=True)
            # Benchmarking takes the algorithm that is fastest today, another one tomorrow.
            cudnn.deterministic, cudnn.benchmark = True, False
            yield
        finally:
            torch.use_deterministic_algorithms(was_on, warn_only=only_warned)
            cudnn.deterministic, cudnn.benchmark = flags


@contextmanager
def _cublas_workspace() -> Iterator[None]:
    if CUBLAS_VARIABLE in os.environ:  # the person's own choice; torch refuses one that is not deterministic
        yield
        return
    if _cuda_is_started():
        raise InputError(
            "CUDA has been started already, and cuBLAS not in its deterministic mode",
            where="train.deterministic",
            remedy=f"Set {CUBLAS_VARIABLE}={CUBLAS_WORKSPACE} in the environment before Python starts.",
        )
    os.environ[CUBLAS_VARIABLE] = CUBLAS_WORKSPACE
    try:
        yield
    finally:
        if not _cuda_is_started():  # else it is what cuBLAS works with until the process ends
            del os.environ[CUBLAS_VARIABLE]


def _cuda_is_started() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def deterministic_as_asked(
    command: Callable[Concatenate[RunConfig, Parameters], Result],
) -> Callable[Concatenate[RunConfig, Parameters], Result]:
    """Run a command whose first argument is a recipe in the mode that `train.deterministic` asks for."""

    @functools.wraps(command)
    def run(config: RunConfig, /, *args: Parameters.args, **options: Parameters.kwargs) -> Result:
        with deterministic_mode(on=config.train.deterministic):
            return command(config, *args, **options)

    return run


def operation_without_form(error: BaseException) -> str | None:
    """Find the operation that the mode refused for want of a deterministic form; None for another error."""
    found = _NO_FORM.search(str(error)) if isinstance(error, RuntimeError) else None
    return found and found[1]
