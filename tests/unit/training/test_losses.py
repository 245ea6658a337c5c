"""The loss against a plain transcription of the paper's equation, and learning rates against torch's own."""

from __future__ import annotations

import math

import pytest
import torch

from napari_hogseg.models.multitask import MultiTaskOutput
from napari_hogseg.runs.config import LossConfig, OptimizerConfig
from training.losses import multi_task_loss
from training.schedule import learning_rate


def output(num_sides: int = 7, num_heads: int = 6) -> tuple[MultiTaskOutput, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = [torch.randn(2, 4, 6, 5, generator=generator) for _ in range(num_sides)]
    hog = [torch.rand(2, 9, generator=generator) for _ in range(num_heads)]
    mask = torch.randint(0, 4, (2, 6, 5), generator=generator)
    mask[0, :2] = 255
    return MultiTaskOutput(logits, hog), mask, torch.rand(2, 9, generator=generator)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.3, 2.0), (1.0, 0.0)])
def test_equation_1(alpha: float, beta: float) -> None:
    made, mask, hog = output()
    terms = multi_task_loss(made, mask, hog, LossConfig(alpha=alpha, beta=beta))
    ce = mse = 0.0
    for logits in made.logits:  # pixel by pixel, from the definition
        values = []
        for b in range(2):
            for r in range(6):
                for c in range(5):
                    if mask[b, r, c] != 255:
                        scores = logits[b, :, r, c].double()
                        values.append(float(torch.logsumexp(scores, 0) - scores[mask[b, r, c]]))
        ce += sum(values) / len(values)
    for head in made.hog:
        mse += (
            sum((float(p) - float(t)) ** 2 for p, t in zip(head.ravel(), hog.ravel(), strict=True))
            / hog.numel()
        )
    assert float(terms.ce) == pytest.approx(ce, abs=1e-5)
    assert float(terms.mse) == pytest.approx(mse if beta else 0.0, abs=1e-6)
    assert float(terms.loss) == pytest.approx(alpha * ce + beta * mse, abs=1e-5)


def test_a_crop_of_ignore_alone_costs_nothing() -> None:
    made, mask, hog = output(1, 0)
    made.logits[0].requires_grad_()
    terms = multi_task_loss(made, torch.full_like(mask, 255), hog, LossConfig())
    assert float(terms.loss.detach()) == 0.0
    terms.loss.backward()
    assert not made.logits[0].grad.any()


def test_one_cycle_is_torchs() -> None:
    config = OptimizerConfig(schedule="one-cycle", learning_rate=2e-3)
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=2e-3, total_steps=101, cycle_momentum=False
    )
    for step in range(100):
        # torch counts its phases on total_steps - 1
        ours = learning_rate(config, step, step / 100)
        assert ours == pytest.approx(scheduler.get_last_lr()[0], rel=0.06, abs=1e-9)
        optimizer.step()
        scheduler.step()


def test_the_papers_schedule_halves_every_50k() -> None:
    config = OptimizerConfig()
    rates = [learning_rate(config, step, 0.0) for step in (0, 49_999, 50_000, 149_999)]
    assert rates == [2e-4, 2e-4, 1e-4, 5e-5]


@pytest.mark.parametrize("schedule", ["poly", "cosine"])
def test_poly_and_cosine_are_torchs_after_a_straight_rise(schedule: str) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2e-3)
    schedulers = torch.optim.lr_scheduler
    rise = schedulers.LinearLR(optimizer, start_factor=1 / 25, total_iters=20)
    if schedule == "poly":
        fall = schedulers.PolynomialLR(optimizer, total_iters=80, power=0.9)
    else:
        fall = schedulers.CosineAnnealingLR(optimizer, T_max=80)
    config = OptimizerConfig(schedule=schedule, learning_rate=2e-3, warm_up=0.2)
    for step in range(20):
        assert learning_rate(config, step, step / 100) == pytest.approx(rise.get_last_lr()[0], rel=1e-6)
        optimizer.step()
        rise.step()
    for step in range(20, 100):
        expected = fall.get_last_lr()[0] if step > 20 else 2e-3
        assert learning_rate(config, step, step / 100) == pytest.approx(expected, rel=1e-6)
        optimizer.step()
        fall.step()
    assert learning_rate(config, 100, 1.0) == pytest.approx(0.0, abs=1e-12)


def test_progress_beyond_the_end_stays_at_the_end() -> None:
    config = OptimizerConfig(schedule="one-cycle", learning_rate=1e-3)
    assert math.isclose(learning_rate(config, 0, 1.5), learning_rate(config, 0, 1.0))
    assert learning_rate(OptimizerConfig(schedule="constant", learning_rate=1e-3), 9, 0.7) == 1e-3
