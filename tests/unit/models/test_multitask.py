"""The switch between training and evaluation: what is computed, and where gradients go."""

from __future__ import annotations

import pytest
import torch

from napari_hogseg.models import MultiTaskOutput, build_network


@pytest.mark.parametrize(("name", "num_logits", "num_taps"), [("unet-s", 1, 1), ("u2netp", 7, 6)])
def test_training_returns_every_logits_and_descriptor(name, num_logits, num_taps):
    output = build_network(name, 5)(torch.rand(2, 3, 41, 38))
    assert isinstance(output, MultiTaskOutput)
    assert [tuple(logits.shape) for logits in output.logits] == [(2, 5, 41, 38)] * num_logits
    assert [tuple(hog.shape) for hog in output.hog] == [(2, 504)] * num_taps


@pytest.mark.parametrize("name", ["unet-s", "u2netp"])
def test_evaluation_runs_no_head_and_no_full_size_side(name, monkeypatch):
    network = build_network(name, 5).eval()
    called: list[str] = []
    for module_name, module in network.named_modules():
        module.register_forward_hook(lambda *_, module_name=module_name: called.append(module_name))
    monkeypatch.setattr(
        network.trunk, "forward_deep", lambda *_: called.append("deep")
    ) if name == "u2netp" else None
    with torch.no_grad():
        logits = network(torch.rand(1, 3, 40, 40))
    assert isinstance(logits, torch.Tensor)
    assert tuple(logits.shape) == (1, 5, 40, 40)
    assert "trunk" in called
    assert not [module for module in called if module.startswith("heads") or module == "deep"]


@torch.no_grad()
def test_u2net_in_evaluation_makes_no_concatenation_of_full_size_sides():
    network = build_network("u2netp", 30).eval()
    seen: list[int] = []
    cat = torch.cat

    class Spy(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if func is cat:
                seen.append(result.shape[1])
            return result

    with Spy():
        network(torch.rand(1, 3, 40, 40))
    assert seen
    assert max(seen) <= 128  # the decoder's joins; the sides would make 6 * 30


@pytest.mark.parametrize("name", ["unet-s", "u2netp"])
def test_evaluation_equals_the_fused_logits_of_the_deep_pass(name):
    torch.manual_seed(0)
    network = build_network(name, 5).eval()
    x = torch.rand(1, 3, 45, 52)
    with torch.no_grad():
        torch.testing.assert_close(network(x), network.trunk.forward_deep(x).logits[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["unet-s", "u2netp"])
@pytest.mark.parametrize("head", ["grid", "none"])
def test_gradients_reach_every_parameter(name, head):
    torch.manual_seed(0)
    network = build_network(name, 3, head)
    # Large enough that the innermost map of U2-Net (1/64 of it) is more than a point to the batch norm.
    output = network(torch.rand(2, 3, 128, 128))
    sum((term.square().mean() for term in (*output.logits, *output.hog)), torch.zeros(())).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A bias before a batch norm has no effect in training: its gradient is rounding noise, possibly zero.
    assert not [name for name in without if not name.endswith("bias")]
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_hog_loss_alone_reaches_the_trunk_but_not_its_sides():
    network = build_network("u2netp", 3)
    sum(hog.square().mean() for hog in network(torch.rand(2, 3, 64, 64)).hog).backward()
    grads = {name: p.grad is not None for name, p in network.trunk.named_parameters()}
    assert all(has for name, has in grads.items() if name.startswith("stage"))
    assert not any(has for name, has in grads.items() if name.startswith(("side", "outconv")))


def test_parameters_split_into_trunk_and_heads_without_remainder():
    network = build_network("u2netp", 3)
    trunk, heads = set(network.trunk_parameters()), set(network.head_parameters())
    assert trunk.isdisjoint(heads)
    assert trunk | heads == set(network.parameters())
    assert heads


def test_without_heads_there_is_no_descriptor():
    network = build_network("unet-s", 3, "none")
    assert network(torch.rand(2, 3, 32, 32)).hog == []
    assert list(network.head_parameters()) == []
    assert (network.hog_dim, network.num_classes) == (0, 3)
