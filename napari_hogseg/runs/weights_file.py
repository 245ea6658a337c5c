"""Weights that somebody else published, read without running code: safetensors, or a torch state_dict.

Model folders and checkpoints of ours are `napari_hogseg.runs.checkpoint`'s.
"""

from __future__ import annotations

import struct
from pickle import UnpicklingError  # noqa: TID251 - only its name: nothing is unpickled outside weights_only
from typing import TYPE_CHECKING

import safetensors.torch
import torch

from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.checkpoint import MAX_WEIGHTS_BYTES

if TYPE_CHECKING:
    from pathlib import Path

#: Keys under which training scripts keep the weights beside other things, tried in this order.
_WEIGHTS_KEYS = ("state_dict", "model_state_dict", "model", "weights")


def read_weights_file(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a weights file, by name.

    Parameters
    ----------
    path : Path
        A `.safetensors` file; any other name is read as a torch file that holds a state_dict, alone or under
        "state_dict", "model_state_dict", "model" or "weights".

    Returns
    -------
    dict of str to Tensor
        On the CPU.

    Raises
    ------
    InputError
        If there is no such file, it is larger than `MAX_WEIGHTS_BYTES`, damaged, or holds no tensors by name.
    """
    remedy = "Give a .safetensors file, or what torch.save(network.state_dict()) wrote."
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError("There is no such weights file", where=path, remedy="Check the path.") from error
    if not path.is_file():
        raise InputError("Not a weights file", where=path, remedy=remedy)
    if size > MAX_WEIGHTS_BYTES:
        raise InputError("The file is too large to be the weights of a network", where=path, remedy=remedy)
    try:
        if path.suffix.lower() == ".safetensors":
            return safetensors.torch.load_file(path)
        held = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251 - this is `runs`
    except _DAMAGE as error:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"Not a weights file: {first_line}", where=path, remedy=remedy) from error
    tensors = _tensors(held)
    if not tensors:
        raise InputError("The file holds no tensors by name", where=path, remedy=remedy)
    return tensors


#: What torch and safetensors raise on a file that is cut, flipped or of another kind.
_DAMAGE = (
    safetensors.SafetensorError,
    UnpicklingError,
    OSError,
    EOFError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)


def _tensors(held: object) -> dict[str, torch.Tensor]:
    if not isinstance(held, dict):
        return {}
    inner = next((held[key] for key in _WEIGHTS_KEYS if isinstance(held.get(key), dict)), held)
    return {str(name): value for name, value in inner.items() if isinstance(value, torch.Tensor)}
