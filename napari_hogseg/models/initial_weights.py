"""Start from weights trained elsewhere: take what fits, and say what did not.

Takes a dictionary that is already in memory. Files are read by `napari_hogseg.runs` only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_hogseg.io.errors import InputError
from napari_hogseg.models.multitask import MultiTaskNetwork

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn


@dataclass(frozen=True, kw_only=True)
class InitReport:
    """What became of each entry; names are the trunk's parameters and buffers.

    Attributes
    ----------
    taken : tuple of str
        Copied into the network.
    skipped_by_shape : tuple of str
        Known by name, but of another shape (the last layers of another number of classes).
    unknown : tuple of str
        In the dictionary only.
    missing : tuple of str
        In the network only; they keep their fresh values.
    """

    taken: tuple[str, ...]
    skipped_by_shape: tuple[str, ...]
    unknown: tuple[str, ...]
    missing: tuple[str, ...]


def load_initial_weights(network: nn.Module, state_dict: Mapping[str, Tensor]) -> InitReport:
    """Copy the entries that fit by name and shape into a network, in place.

    Parameters
    ----------
    network : Module
        A trunk, or a `MultiTaskNetwork` whose trunk is then meant: heads keep their fresh weights.
    state_dict : mapping of str to Tensor
        For U2-Net the 798 entries its authors publish; a leading "module." (DataParallel) is dropped.

    Returns
    -------
    InitReport
        What was taken and what was not.

    Raises
    ------
    InputError
        If nothing fits: the weights are another network's.
    """
    trunk = network.trunk if isinstance(network, MultiTaskNetwork) else network
    own = trunk.state_dict()
    given = {name.removeprefix("module."): value for name, value in state_dict.items()}
    known = [name for name in own if name in given]
    taken = [name for name in known if own[name].shape == given[name].shape]
    if not taken:
        raise InputError(
            "no entry of the weights fits this network",
            where=f"{len(given)} entries",
            remedy="Check that they belong to the same kind of network.",
        )
    with torch.no_grad():
        for name in taken:
            own[name].copy_(given[name])
    return InitReport(
        taken=tuple(taken),
        skipped_by_shape=tuple(name for name in known if own[name].shape != given[name].shape),
        unknown=tuple(name for name in given if name not in own),
        missing=tuple(name for name in own if name not in given),
    )
