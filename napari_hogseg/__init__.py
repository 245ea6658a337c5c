"""Surgical video segmentation with HOG pseudo-labels, in napari and on the command line."""

import os
from importlib.metadata import PackageNotFoundError, version

# OpenMP's threads wait by spinning unless told otherwise before torch is loaded. Beside anything else that
# computes (napari drawing, a second run) spinning made a training step on two cores six times slower; asleep
# they cost nothing measurable on an idle machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

try:
    __version__ = version("napari-hogseg")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
