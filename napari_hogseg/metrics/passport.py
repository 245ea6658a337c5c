"""What a number needs beside it to be compared with another: versions, definitions and what was scored."""

from __future__ import annotations

import hashlib
import platform
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PACKAGES = {
    "napari-hogseg": "napari-hogseg",
    "numpy": "numpy",
    "opencv": "opencv-python-headless",
    "pillow": "Pillow",
    "pyav": "av",
    "scikit-image": "scikit-image",
}
"""What decodes the frames and masks, and what measures; the name shown, and the distribution's."""


def versions() -> dict[str, str]:
    """Versions of this program and of what decodes and measures for it."""
    found = {"python": platform.python_version()}
    for name, distribution in PACKAGES.items():
        try:
            found[name] = metadata.version(distribution)
        except metadata.PackageNotFoundError:  # run from a folder that was never installed
            found[name] = "unknown"
    return found


class MasksDigest:
    """SHA-256 over masks in the order they are scored: equal digests, equal pixels."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, mask_HW: NDArray[np.uint8]) -> None:
        """Take in a mask, (H, W) uint8."""
        self._hash.update(repr(mask_HW.shape).encode())
        self._hash.update(np.ascontiguousarray(mask_HW).data)

    def __str__(self) -> str:
        return self._hash.hexdigest()
