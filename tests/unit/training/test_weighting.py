"""Task weighting: each way against its definition, on a small problem; on real runs, resumed bit for bit."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.checkpoint import load_checkpoint
from napari_hogseg.runs.config import LossConfig, RunConfig
from napari_hogseg.runs.events import Progress
from tests.unit.training.test_loop import train, weights, with_steps
from tests.unit.training.test_recipe_options import changed
from training.assembly import assemble
from training.step import train_step
from training.weighting import (
    GRADNORM_RATE,
    SMALLEST_WEIGHT,
    GradNorm,
    Losses,
    Pass,
    PCGrad,
    TaskWeighting,
    Uncertainty,
    gramian,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CPU = torch.device("cpu")
KINDS = ("uncertainty", "gradnorm", "pcgrad")


class TwoTasks(nn.Module):
    """One shared layer, written as a convolution of 1 pixel, and one linear layer for each task."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.shared = nn.Conv2d(3, 4, 1, bias=False)
        self.first, self.second = nn.Linear(4, 2), nn.Linear(4, 1)

    def trunk_parameters(self) -> Iterator[nn.Parameter]:
        return self.shared.parameters()

    def losses(self, x: torch.Tensor, scale: float = 10.0) -> Losses:
        h = torch.tanh(self.shared(x[:, :, None, None])).flatten(1)
        return Losses((self.first(h) - x[:, :2]).square().mean(), scale * (self.second(h) - 1).abs().mean())


def unscaled(loss: torch.Tensor) -> torch.Tensor:
    return loss


def inputs() -> torch.Tensor:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(7))


def test_uncertainty_is_its_closed_form() -> None:
    weighting = Uncertainty(CPU)
    parameter = nn.Parameter(torch.tensor([1.0, 1.0]))
    optimizer = torch.optim.Adam([parameter], lr=0.02, weight_decay=0.5)
    weighting.attach(optimizer)
    assert optimizer.param_groups[-1]["weight_decay"] == 0.0
    losses = np.array([3.0, 0.2])
    for _ in range(2000):
        optimizer.zero_grad()
        fixed = Losses(*(parameter * 0 + torch.tensor(losses, dtype=torch.float32)))
        s = weighting.log_variances.detach().double().numpy()
        weighting.backward(fixed, Pass(unscaled, 0))
        np.testing.assert_allclose(weighting.last.numpy(), 1 / (2 * np.exp(s)), rtol=1e-5)
        np.testing.assert_allclose(
            weighting.log_variances.grad.numpy(), 0.5 - losses / (2 * np.exp(s)), atol=1e-5
        )
        optimizer.step()
    # At the minimum of L / (2 e^s) + s / 2 the variance is the loss itself.
    np.testing.assert_allclose(np.exp(weighting.log_variances.detach().numpy()), losses, rtol=1e-3)


def test_uncertainty_weighs_the_networks_gradient() -> None:
    net, x = TwoTasks(), inputs()
    weighting = Uncertainty(CPU)
    weighting.load_state_dict({"log_variances": torch.tensor([0.7, -0.4])})
    weighting.backward(net.losses(x), Pass(unscaled, 0))
    parts = [torch.autograd.grad(net.losses(x)[i], net.shared.weight)[0] for i in range(2)]
    expected = parts[0] / (2 * np.exp(0.7)) + parts[1] / (2 * np.exp(-0.4))
    torch.testing.assert_close(net.shared.weight.grad, expected)


def transcribed_gradnorm(num_steps: int, exponent: float) -> list[np.ndarray]:
    """Algorithm 1 of the paper with a double backward pass, and Adam by hand."""
    net, x = TwoTasks(), inputs()
    w = torch.ones(2, dtype=torch.float64)
    m = v = torch.zeros(2, dtype=torch.float64)
    first: torch.Tensor | None = None
    told = []
    for t in range(1, num_steps + 1):
        told.append(w.numpy().copy())
        w.requires_grad_()
        losses = torch.stack(net.losses(x))
        first = losses.detach() if first is None else first
        norms = []
        for i in range(2):
            (g,) = torch.autograd.grad(w[i] * losses[i], net.shared.weight, create_graph=True)
            norms.append(g.norm())
        rate = losses.detach() / first
        with torch.no_grad():
            wanted = sum(norms) / 2 * (rate / rate.mean()) ** exponent
        (dw,) = torch.autograd.grad(sum(abs(norms[i] - wanted[i]) for i in range(2)), w, retain_graph=True)
        gradients = torch.autograd.grad((w.detach() * losses).sum(), list(net.parameters()))
        with torch.no_grad():
            m, v = 0.9 * m + 0.1 * dw, 0.999 * v + 0.001 * dw**2
            w = w - GRADNORM_RATE * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
            w = 2 * w / w.sum()
            for parameter, gradient in zip(net.parameters(), gradients, strict=True):
                parameter -= 0.05 * gradient
    return told


@pytest.mark.parametrize("exponent", [0.0, 1.5])
def test_gradnorm_is_the_papers_algorithm(exponent: float) -> None:
    net, x = TwoTasks(), inputs()
    weighting = GradNorm(net, exponent, CPU)  # type: ignore[arg-type]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    told = []
    for step in range(40):
        optimizer.zero_grad()
        weighting.backward(net.losses(x), Pass(unscaled, step))
        told.append(weighting.last.numpy())
        optimizer.step()
    np.testing.assert_allclose(told, transcribed_gradnorm(40, exponent), atol=2e-4)
    assert told[-1][0] > 1.1 > 0.9 > told[-1][1]  # the second loss is ten times as large
    np.testing.assert_allclose(np.sum(told, axis=1), 2.0, rtol=1e-6)


def test_gradnorms_weights_stay_positive_and_a_loss_of_zero_teaches_nothing() -> None:
    net, x = TwoTasks(), inputs()
    weighting = GradNorm(net, 1.5, CPU)  # type: ignore[arg-type]
    nothing = net.losses(x)
    weighting.backward(Losses(nothing.segmentation * 0, nothing.auxiliary), Pass(unscaled, 0))
    assert weighting.weights.tolist() == [1.0, 1.0]
    assert weighting.state_dict()["first"] is None
    for step in range(80):
        weighting.backward(net.losses(x, scale=1e6), Pass(unscaled, step))
    low = float(weighting.weights[1])
    assert low == pytest.approx(SMALLEST_WEIGHT, rel=0.05)


def surgery(gradients: tuple[list[float], list[float]]) -> tuple[np.ndarray, torch.Tensor]:
    """Definition for two tasks, and ours, for losses linear in a shared parameter."""
    g = np.array(gradients)
    total = np.zeros(g.shape[1])
    for i, j in ((0, 1), (1, 0)):
        dot = g[i] @ g[j]
        total += g[i] - (dot / (g[j] @ g[j]) * g[j] if dot < 0 else 0.0)
    net = nn.Module()
    net.shared = nn.Parameter(torch.zeros(g.shape[1]))
    net.own = nn.ParameterList([nn.Parameter(torch.zeros(1)) for _ in range(3)])
    losses = [
        (torch.tensor(row) * net.shared).sum() + 5 * (i + 1) * net.own[i].sum()
        for i, row in enumerate(gradients)
    ]
    PCGrad(net, 0).backward(Losses(*losses), Pass(unscaled, 0))  # type: ignore[arg-type]
    assert [None if p.grad is None else p.grad.item() for p in net.own] == [5.0, 10.0, None]
    return total, net.shared.grad


@pytest.mark.parametrize(
    "gradients",
    [([1.0, 2.0, 0.5], [-1.0, 0.3, -2.0]), ([1.0, 0.0], [-3.0, 1e-2]), ([2.0, 1.0], [0.5, 3.0])],
)
def test_pcgrad_is_its_definition(gradients: tuple[list[float], list[float]]) -> None:
    expected, found = surgery(gradients)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)
    dot = np.dot(*gradients)
    assert np.allclose(expected, np.sum(gradients, axis=0)) == (dot >= 0)


def test_pcgrad_stands_a_task_without_a_gradient() -> None:
    expected, found = surgery(([1.0, 2.0], [-1e-35, 0.0]))
    np.testing.assert_allclose(found.numpy(), [1.0, 2.0], atol=1e-6)
    assert np.isfinite(expected).all()
    products = gramian([torch.ones(2), None], [None, torch.ones(3)])
    assert products.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_pcgrad_leaves_torchs_stream_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    surgery(([1.0, 2.0], [-1.0, 0.0]))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_learns_tells_its_weights_and_resumes_bit_for_bit(
    config: RunConfig, tmp_path: Path, kind: str
) -> None:
    config = changed(config, "loss", weighting=kind)
    config = with_steps(config, 9, validate_every=100, checkpoint_every=100, log_every=1)
    whole = train(config, tmp_path / "whole")
    parts = train(config, tmp_path / "parts", stop_at=4) + train(config, tmp_path / "parts", resume=True)
    told, resumed = ([e for e in events if isinstance(e, Progress)] for events in (whole, parts))
    assert [e.extra for e in told] == [e.extra for e in resumed]
    assert {tuple(e.extra) for e in told} == {("weight_segmentation", "weight_hog")}
    assert told[0].loss == pytest.approx(told[0].ce + told[0].mse, rel=1e-5)
    assert told[-1].loss < told[0].loss
    a, b = (weights(tmp_path / name) for name in ("whole", "parts"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    states = [load_checkpoint(tmp_path / name).resume["weighting"] for name in ("whole", "parts")]
    assert str(states[0]) == str(states[1])
    if kind == "uncertainty":
        assert states[0]["log_variances"].all()
        assert told[0].extra == {"weight_segmentation": 0.5, "weight_hog": 0.5}
    if kind == "gradnorm":
        assert float(states[0]["weights"].sum()) == pytest.approx(2.0)
        assert states[0]["weights"][0] != 1.0


def test_uncertainty_takes_parts_of_a_batch_and_clipping(config: RunConfig, tmp_path: Path) -> None:
    config = changed(config, "loss", weighting="uncertainty")
    config = changed(config, "optimizer", clip_norm=0.5)
    found = []
    for accumulate in (1, 2):
        made = changed(config, "train", batch_size=4, accumulate=accumulate)
        task = assemble(made, tmp_path / "run", resume=False)
        assert isinstance(task.weighting, Uncertainty)
        for module in task.network.train().modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        batch = next(iter(task.make_loader(0)))
        batch["mask"][batch["mask"] == 255] = 0
        train_step(task, batch, 1e-3)
        found.append(task.weighting.log_variances.grad)
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["gradnorm", "pcgrad"])
def test_parts_of_a_batch_are_refused_with_a_reason(config: RunConfig, tmp_path: Path, kind: str) -> None:
    config = changed(changed(config, "loss", weighting=kind), "train", accumulate=2)
    with pytest.raises(InputError, match=f"'{kind}' compares the gradients of a whole batch"):
        assemble(config, tmp_path / "run", resume=False)


def test_a_single_task_is_refused() -> None:
    with pytest.raises(ValidationError, match="balances two tasks"):
        LossConfig(weighting="gradnorm", beta=0.0)
    with pytest.raises(ValidationError, match="head is 'none'"):
        RunConfig.model_validate({"model": {"head": "none"}, "loss": {"weighting": "pcgrad"}})


def test_without_torchjd_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchjd"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchjd", None)
    with pytest.raises(InputError, match=r"napari-hogseg\[weighting\]"):
        PCGrad(nn.Module(), 0)  # type: ignore[arg-type]


def test_a_network_whose_tasks_share_nothing_is_told() -> None:
    net, x = TwoTasks(), inputs()
    net.shared.requires_grad_(requires_grad=False)
    weighting: TaskWeighting = GradNorm(net, 1.5, CPU)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="share no convolution"):
        weighting.backward(net.losses(x), Pass(unscaled, 0))
