"""Weights trained elsewhere: what fits is taken, the rest is named."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from napari_hogseg.io.errors import InputError
from napari_hogseg.models import U2NETP_STAGES, U2Net, UNet, build_network, load_initial_weights, multi_task


def test_public_weights_of_one_class_initialise_a_network_of_eight():
    torch.manual_seed(0)
    public = {f"module.{name}": value for name, value in U2Net(1, U2NETP_STAGES).state_dict().items()}
    network = build_network("u2netp", 8)
    fresh = {name: value.clone() for name, value in network.state_dict().items()}

    report = load_initial_weights(network, public)

    ends = {
        f"{layer}.{kind}"
        for layer in (*(f"side{i}" for i in range(1, 7)), "outconv")
        for kind in ("weight", "bias")
    }
    assert set(report.skipped_by_shape) == ends
    assert len(report.taken) == 798 - len(ends)
    assert report.unknown == report.missing == ()
    state = network.state_dict()
    for name in report.taken:
        assert torch.equal(state[f"trunk.{name}"], public[f"module.{name}"])
    for name, value in fresh.items():
        if name.startswith("heads") or name.removeprefix("trunk.") in ends:
            assert torch.equal(state[name], value)


def test_unknown_and_missing_entries_are_named():
    trunk = UNet(2, width=2)
    report = load_initial_weights(
        trunk, {"classifier.weight": torch.ones(2, 2, 1, 1), "fc.weight": torch.ones(3)}
    )
    assert report.taken == ("classifier.weight",)
    assert report.unknown == ("fc.weight",)
    assert "classifier.bias" in report.missing
    assert torch.equal(trunk.classifier.weight, torch.ones(2, 2, 1, 1))


def test_weights_of_another_network_are_refused():
    with pytest.raises(InputError, match="no entry"):
        load_initial_weights(UNet(2, width=2), {"backbone.conv1.weight": torch.ones(3)})


class Wrapped(nn.Module):
    """A network whose encoder somebody else trained."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.other = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.classify = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.other(self.encoder(x)))


def test_weights_of_an_encoder_find_their_place():
    network = multi_task(Wrapped(), ["encoder"], 2)
    trained = {name: torch.rand_like(value.float()) for name, value in Wrapped().encoder.state_dict().items()}
    untouched = copy.deepcopy(network.trunk.backbone.other.state_dict())

    report = load_initial_weights(network, trained | {"fc.weight": torch.ones(10, 4)})

    assert report.into == "backbone.encoder"
    assert len(report.taken) == 7
    assert report.unknown == ("fc.weight",)
    assert torch.equal(network.trunk.backbone.encoder[0].weight, trained["0.weight"])
    assert all(torch.equal(v, untouched[k]) for k, v in network.trunk.backbone.other.state_dict().items())
    assert str(report).startswith(
        "taken 7 of 8 into 'backbone.encoder'; 1 not in the network: fc.weight; 9 of"
    )


def test_weights_of_a_model_folder_fit_by_their_trunk():
    torch.manual_seed(0)
    trained = build_network("unet-s", 2)
    network = build_network("unet-s", 2)
    report = load_initial_weights(network, trained.state_dict())
    assert report.into == ""
    assert all(name.startswith("heads.") for name in report.unknown)
    assert torch.equal(network.trunk.classifier.weight, trained.trunk.classifier.weight)
