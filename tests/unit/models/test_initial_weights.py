"""Weights trained elsewhere: what fits is taken, the rest is named."""

from __future__ import annotations

import pytest
import torch

from napari_hogseg.io.errors import InputError
from napari_hogseg.models import U2NETP_STAGES, U2Net, UNet, build_network, load_initial_weights


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
