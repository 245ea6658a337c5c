"""U-Net, U2-Net, regression heads and the multi-task wrapper."""

from napari_hogseg.features.grid import HogGrid
from napari_hogseg.models.heads import HEAD_KINDS, HeadKind
from napari_hogseg.models.initial_weights import InitReport, load_initial_weights
from napari_hogseg.models.multitask import MultiTaskNetwork, MultiTaskOutput
from napari_hogseg.models.registry import NETWORKS, build_network
from napari_hogseg.models.tapped import TappedTrunk, multi_task
from napari_hogseg.models.trunk import Trunk, TrunkOutput
from napari_hogseg.models.u2net import U2NET_STAGES, U2NETP_STAGES, U2Net
from napari_hogseg.models.unet import UNet

__all__ = [
    "HEAD_KINDS",
    "NETWORKS",
    "U2NETP_STAGES",
    "U2NET_STAGES",
    "HeadKind",
    "HogGrid",
    "InitReport",
    "MultiTaskNetwork",
    "MultiTaskOutput",
    "TappedTrunk",
    "Trunk",
    "TrunkOutput",
    "U2Net",
    "UNet",
    "build_network",
    "load_initial_weights",
    "multi_task",
]
