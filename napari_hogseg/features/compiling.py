"""How the fused kernels are compiled: without the GIL, kept on disk, usable where none can be written.

Owns the one decorator. Which kernels exist is the business of `live`, `hog` and `drawing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

Kernel = TypeVar("Kernel", bound="Callable[..., Any]")
Scalar = TypeVar("Scalar", bound=np.generic)


def compiled(kernel: Kernel) -> Kernel:
    """Compile a kernel with numba on its first call; the GIL is released while it runs.

    Single-threaded on purpose: the interface computes beside napari's own drawing on as few as two cores, and
    the training loader already has one process per core.

    Parameters
    ----------
    kernel : callable
        A function of arrays and numbers in numba's nopython subset.

    Returns
    -------
    callable
        The same function, compiled lazily.
    """
    try:
        return cast("Kernel", numba.njit(nogil=True, cache=True)(kernel))
    except RuntimeError:
        # numba refuses cache=True at import where neither the package nor the home folder is writable
        # (clusters, containers). Compiling in each process costs seconds; failing to import, everything.
        return cast("Kernel", numba.njit(nogil=True)(kernel))


def inlined(kernel: Kernel) -> Kernel:
    """Compile a part of a kernel into its caller, so that the two are optimised as one."""
    return cast("Kernel", numba.njit(inline="always")(kernel))


def frozen_view(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """Read-only C-contiguous view (a copy if the array is not contiguous).

    numba compiles once per combination of layout and writability; with every argument in this one form a
    kernel is compiled once, and never by surprise on the interface's thread.
    """
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
