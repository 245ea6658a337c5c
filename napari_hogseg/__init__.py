"""Surgical video segmentation with HOG pseudo-labels, in napari and on the command line."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("napari-hogseg")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
