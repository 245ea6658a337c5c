"""Networks of other libraries as trunks, with their taps: decoder stages, finest first.

Owns which taps and sizes fit each of them. The libraries are optional and imported only when one of their
networks is built; nothing is downloaded, weights are fresh (`model.initial_weights` brings others).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_hogseg.io.errors import InputError
from napari_hogseg.models.tapped import TappedTrunk

if TYPE_CHECKING:
    from torch import nn

#: Five decoder stages, as MONAI's FlexibleUNet and segmentation_models_pytorch's Unet name them.
DECODER_BLOCKS = tuple(f"decoder.blocks.{i}" for i in range(4, -1, -1))


def segresnet(num_classes: int) -> TappedTrunk:
    """MONAI's SegResNet, 16 wide (1.6 M parameters): three decoder stages and the encoder's last.

    Source: Myronenko, "3D MRI brain tumor segmentation using autoencoder regularization", BrainLes 2018.
    """
    nets = _library("monai.networks.nets", "MONAI", "Run pip install 'napari-hogseg[architectures]'.")
    backbone = nets.SegResNet(spatial_dims=2, init_filters=16, in_channels=3, out_channels=num_classes)
    taps = ("up_layers.2", "up_layers.1", "up_layers.0", "down_layers.3")
    return TappedTrunk(backbone, taps, num_classes, divisor=8)


def flexible_unet(num_classes: int) -> TappedTrunk:
    """MONAI's FlexibleUNet, a U-Net on a ResNet-18 encoder (13.5 M parameters): its five decoder stages."""
    nets = _library("monai.networks.nets", "MONAI", "Run pip install 'napari-hogseg[architectures]'.")
    backbone = nets.FlexibleUNet(
        in_channels=3, out_channels=num_classes, backbone="resnet18", pretrained=False, spatial_dims=2
    )
    return decoder_tapped(backbone, num_classes)


def smp_unet(num_classes: int) -> TappedTrunk:
    """U-Net of segmentation_models_pytorch on a ResNet-34 encoder: its five decoder stages."""
    smp = _library(
        "segmentation_models_pytorch",
        "segmentation_models_pytorch",
        "Run pip install segmentation-models-pytorch, with a torchvision that fits your torch.",
    )
    return decoder_tapped(smp.Unet("resnet34", encoder_weights=None, classes=num_classes), num_classes)


def decoder_tapped(backbone: nn.Module, num_classes: int) -> TappedTrunk:
    """Tap a network of `encoder`, `decoder.blocks` (five, coarsest first) and stride 32."""
    return TappedTrunk(backbone, DECODER_BLOCKS, num_classes, divisor=32)


def _library(module: str, name: str, remedy: str) -> Any:  # noqa: ANN401 - neither library is typed
    try:
        return import_module(module)
    except (ImportError, RuntimeError) as error:  # a torchvision of another torch raises RuntimeError
        raise InputError(f"{name} cannot be imported: {error}", where="network", remedy=remedy) from error
