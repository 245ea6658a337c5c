"""Networks by name, as recipes and model folders write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hogseg.io.errors import InputError
from napari_hogseg.models.architectures import flexible_unet, segresnet, smp_unet
from napari_hogseg.models.multitask import MultiTaskNetwork, with_heads
from napari_hogseg.models.u2net import U2NETP_STAGES, U2Net
from napari_hogseg.models.unet import UNet

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_hogseg.features.grid import HogGrid
    from napari_hogseg.features.hog import HogParams
    from napari_hogseg.models.heads import HeadKind
    from napari_hogseg.models.trunk import Trunk

#: What `build_network` knows, with the trunk each name stands for.
NETWORKS: dict[str, Callable[[int], Trunk]] = {
    "unet": lambda num_classes: UNet(num_classes, width=64),
    "unet-s": lambda num_classes: UNet(num_classes, width=16),
    "u2net": U2Net,
    "u2netp": lambda num_classes: U2Net(num_classes, U2NETP_STAGES),
    "segresnet": segresnet,
    "flexible-unet": flexible_unet,
    "smp-unet-resnet34": smp_unet,
}


def build_network(
    name: str, num_classes: int, head: HeadKind = "grid", hog: HogParams | HogGrid | None = None
) -> MultiTaskNetwork:
    """Build a network with fresh weights from torch's current random state.

    Parameters
    ----------
    name : {"unet", "unet-s", "u2net", "u2netp", "segresnet", "flexible-unet", "smp-unet-resnet34"}
        The trunk: `unet` is the paper's (64 wide, transposed convolutions), `unet-s` 16 wide for laptops; for
        the last three see `napari_hogseg.models.architectures`.
    num_classes : int
        Output classes, at least 2 (the ignore index is no class).
    head : {"grid", "official", "table1", "none"}
        The regression heads, see `napari_hogseg.models.heads`.
    hog : HogParams or HogGrid, optional
        The heads' target, or its geometry; the paper's `official-504` by default.

    Returns
    -------
    MultiTaskNetwork
        On the CPU (or torch's default device), in training mode.

    Raises
    ------
    InputError
        If a name is unknown, its package is missing, `num_classes` is below 2, or `hog` has no fixed length.
    """
    if name not in NETWORKS:
        raise InputError(
            f"unknown network {name!r}", where="network", remedy=f"Choose one of {', '.join(NETWORKS)}."
        )
    if num_classes < 2:
        raise InputError("a network needs at least two classes", where=f"num_classes = {num_classes}")
    return with_heads(NETWORKS[name](num_classes), head, hog)
