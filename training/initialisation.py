"""The network a new run starts from: fresh, or with the weights its recipe names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_hogseg.models.initial_weights import load_initial_weights
from napari_hogseg.runs.checkpoint import network_of
from napari_hogseg.runs.weights_file import read_weights_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_hogseg.models.multitask import MultiTaskNetwork
    from napari_hogseg.runs.checkpoint import ModelSpec


def initial_network(spec: ModelSpec, warn: Callable[[str], None]) -> MultiTaskNetwork:
    """Build the network and copy what fits of `model.initial_weights`; `warn` gets what did and what did not.

    Raises
    ------
    InputError
        If the file cannot be read, or nothing in it fits.
    """
    network = network_of(spec)
    if spec.model.initial_weights:
        path = Path(spec.model.initial_weights).expanduser()
        warn(f"Initial weights from {path.name}: {load_initial_weights(network, read_weights_file(path))}")
    return network
