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

    As text it is one line for a log.

    Attributes
    ----------
    taken : tuple of str
        Copied into the network.
    skipped_by_shape : tuple of str
        Known by name, but of another shape (the last layers of another number of classes).
    unknown : tuple of str
        In the dictionary only, by its names.
    missing : tuple of str
        In the network only; they keep their fresh values.
    into : str
        The submodule of the trunk that the entries fit, such as its encoder; empty: the trunk itself.
    """

    taken: tuple[str, ...]
    skipped_by_shape: tuple[str, ...]
    unknown: tuple[str, ...]
    missing: tuple[str, ...]
    into: str = ""

    def __str__(self) -> str:
        given = len(self.taken) + len(self.skipped_by_shape) + len(self.unknown)
        parts = [f"taken {len(self.taken)} of {given}" + (f" into '{self.into}'" if self.into else "")]
        for names, fate in (
            (self.skipped_by_shape, "of another shape"),
            (self.unknown, "not in the network"),
            (self.missing, "of the network left fresh"),
        ):
            if names:
                parts.append(
                    f"{len(names)} {fate}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
                )
        return "; ".join(parts)


def load_initial_weights(network: nn.Module, state_dict: Mapping[str, Tensor]) -> InitReport:
    """Copy the entries that fit by name and shape into a network, in place.

    Parameters
    ----------
    network : Module
        A trunk, or a `MultiTaskNetwork` whose trunk is then meant: heads keep their fresh weights.
    state_dict : mapping of str to Tensor
        For U2-Net the 798 entries its authors publish. A leading "module." (DataParallel) or "trunk." (a
        model folder's) is dropped. Names may be those of a submodule, such as the encoder's of ImageNet
        weights: the submodule is taken that most entries fit by name and shape.

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
    plain = {name.removeprefix("module.").removeprefix("trunk."): value for name, value in state_dict.items()}
    into = _best_submodule(trunk, own, plain)
    given = {f"{into}{name}": value for name, value in plain.items()}
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
        unknown=tuple(name for name in plain if f"{into}{name}" not in own),
        missing=tuple(name for name in own if name not in given),
        into=into.removesuffix("."),
    )


def _best_submodule(trunk: nn.Module, own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """Find the submodule that most entries fit, as the prefix of its names; among equals the outermost."""

    def num_fitting(prefix: str) -> int:
        found = ((own.get(prefix + name), value) for name, value in given.items())
        return sum(mine is not None and mine.shape == value.shape for mine, value in found)

    return max((f"{name}." if name else "" for name, _ in trunk.named_modules()), key=num_fitting)
