"""Each term against MONAI, scipy or the definition worked out by brute force."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from monai.losses import DiceLoss, FocalLoss
from scipy import ndimage
from torch.nn import functional

from napari_hogseg.models.multitask import MultiTaskOutput
from napari_hogseg.runs.config import LossConfig
from training import segmentation_losses as terms
from training.losses import multi_task_loss

NUM_CLASSES = 4


def batch(seed: int = 0, *, void: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, NUM_CLASSES, 9, 7, generator=generator)
    mask = torch.randint(0, NUM_CLASSES - 1, (2, 9, 7), generator=generator)  # the last class is absent
    if void:
        mask[0, :2] = 255
        mask[1, :, 3] = 255
    return logits, mask


def as_one_row(logits: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Only the valid pixels, as an image of one row for a library that knows no ignore: (1, C, 1, N)."""
    columns = [logits[b, :, r, c] for b, r, c in (mask != 255).nonzero().tolist()]
    return torch.stack(columns, -1)[None, :, None], mask[mask != 255][None, None, None]


@pytest.mark.parametrize("void", [False, True])
def test_dice_is_monais(void: bool) -> None:
    logits, mask = batch(void=void)
    monai = DiceLoss(softmax=True, to_onehot_y=True, batch=True, smooth_nr=1e-5, smooth_dr=1e-5)
    assert float(terms.dice_loss(logits, mask)) == pytest.approx(
        float(monai(*as_one_row(logits, mask))), rel=1e-6
    )


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.5, 3.0]])
@pytest.mark.parametrize("gamma", [1.0, 2.0, 3.5])
def test_focal_is_monais(gamma: float, weights: list[float] | None) -> None:
    logits, mask = batch()
    weight = None if weights is None else torch.tensor(weights)
    monai = FocalLoss(use_softmax=True, to_onehot_y=True, gamma=gamma, weight=weight, reduction="sum")
    share = (mask != 255).sum() if weight is None else weight[mask[mask != 255]].sum()
    num_valid = (mask != 255).sum()  # MONAI's sum is of classes; over pixels it takes the mean
    expected = float(monai(*as_one_row(logits, mask)) * num_valid / share)
    assert float(terms.focal_loss(logits, mask, gamma, weight)) == pytest.approx(expected, rel=1e-5)


def test_weighted_cross_entropy_is_torchs() -> None:
    logits, mask = batch()
    weights = torch.tensor([0.2, 3.0, 1.0, 7.0])
    expected = functional.cross_entropy(logits, mask, weights, ignore_index=255)
    assert float(terms.cross_entropy(logits, mask, weights)) == pytest.approx(float(expected), rel=1e-6)


def jaccard_loss(wrong: set[int], truth: set[int]) -> float:
    """Berman et al., equation 6: share of the union that a set of wrong pixels costs."""
    return len(wrong) / len(truth | wrong) if truth | wrong else 0.0


def extension(errors: list[float], truth: set[int]) -> float:
    """Lovasz extension of a submodular loss as the largest value over all orders (Edmonds), no sorting."""
    values = []
    for order in permutations(range(len(errors))):
        gains = [
            jaccard_loss(set(order[: i + 1]), truth) - jaccard_loss(set(order[:i]), truth)
            for i in range(len(order))
        ]
        values.append(sum(errors[p] * gain for p, gain in zip(order, gains, strict=True)))
    return max(values)


@pytest.mark.parametrize("seed", range(5))
def test_lovasz_is_the_extension_by_brute_force(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, 3, 2, 2, generator=generator)
    mask = torch.randint(0, 2 + seed % 2, (2, 2, 2), generator=generator)
    mask[0, 0, 1] = mask[1, 1, 1] = 255
    probability, labels = terms.valid_pixels(logits.softmax(1), mask)
    costs = []
    for c in sorted(set(labels.tolist())):
        truth = {i for i, label in enumerate(labels.tolist()) if label == c}
        errors = [abs((i in truth) - float(p)) for i, p in enumerate(probability[:, c])]
        costs.append(extension(errors, truth))
    expected = sum(costs) / len(costs)
    assert float(terms.lovasz_softmax(logits, mask)) == pytest.approx(expected, rel=1e-5)


def test_lovasz_of_hard_answers_is_the_jaccard_loss() -> None:
    _, mask = batch(void=False)
    wrong = mask.clone()
    wrong[0, :3] = (wrong[0, :3] + 1) % 3
    logits = 200.0 * functional.one_hot(wrong, NUM_CLASSES).movedim(-1, 1)
    ious = [float(((wrong == c) & (mask == c)).sum() / ((wrong == c) | (mask == c)).sum()) for c in range(3)]
    assert float(terms.lovasz_softmax(logits, mask)) == pytest.approx(1 - sum(ious) / 3, rel=1e-5)


def test_signed_distances_are_scipys() -> None:
    mask = torch.zeros(2, 24, 31, dtype=torch.int64)
    mask[0, 5:14, 8:20] = 1
    mask[0, 10:12, 10:13] = 2
    mask[0, 0] = 255
    mask[1] = 1  # one class alone: no boundary
    maps = terms.signed_distances(mask, 4).numpy()
    assert not maps[1].any()
    assert not maps[0, 3].any()
    for c in range(3):
        inside = mask[0].numpy() == c
        outer = ndimage.distance_transform_edt(~inside).astype(np.float32)
        inner = ndimage.distance_transform_edt(inside).astype(np.float32)
        # To the last bit, which OpenCV's own changes from call to call: runs must resume bit for bit.
        for _ in range(10):
            np.testing.assert_array_equal(maps[0, c], np.where(inside, 1 - inner, outer))
            maps = terms.signed_distances(mask, 4).numpy()


def test_boundary_loss_is_the_mean_product() -> None:
    logits, mask = batch()
    distances = terms.signed_distances(mask, NUM_CLASSES)
    probability = logits.double().softmax(1)
    products = [
        float(probability[b, k, r, c] * distances[b, k, r, c])
        for b, r, c in (mask != 255).nonzero().tolist()
        for k in range(NUM_CLASSES)
    ]
    expected = sum(products) / len(products)
    assert float(terms.boundary_loss(logits, mask, distances)) == pytest.approx(expected, abs=1e-5)


ALL_TERMS = LossConfig(alpha=0.5, beta=0.0, ce=0.7, dice=1.1, focal=0.3, lovasz=0.9, boundary=0.02)


def test_the_recipe_sums_terms_over_all_outputs() -> None:
    (one, mask), (other, _) = batch(1), batch(2)
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    made = multi_task_loss(MultiTaskOutput([one, other], []), mask, torch.zeros(2, 0), ALL_TERMS, weights)
    distances = terms.signed_distances(mask, NUM_CLASSES)
    expected = {
        "dice": sum(terms.dice_loss(x, mask) for x in (one, other)),
        "focal": sum(terms.focal_loss(x, mask, 2.0, weights) for x in (one, other)),
        "lovasz": sum(terms.lovasz_softmax(x, mask) for x in (one, other)),
        "boundary": sum(terms.boundary_loss(x, mask, distances) for x in (one, other)),
    }
    ce = sum(terms.cross_entropy(x, mask, weights) for x in (one, other))
    assert {name: float(term) for name, term in made.extra.items()} == pytest.approx(
        {name: float(term) for name, term in expected.items()}
    )
    total = 0.7 * ce + 1.1 * expected["dice"] + 0.3 * expected["focal"] + 0.9 * expected["lovasz"]
    assert float(made.loss) == pytest.approx(float(0.5 * (total + 0.02 * expected["boundary"])), rel=1e-5)


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 3.0, 4.0]])
def test_ignored_pixels_have_no_gradient_and_alone_cost_nothing(weights: list[float] | None) -> None:
    logits, mask = batch()
    weight = None if weights is None else torch.tensor(weights)
    for target in (mask, torch.full_like(mask, 255)):
        leaf = logits.clone().requires_grad_()
        loss = multi_task_loss(MultiTaskOutput([leaf], []), target, torch.zeros(2, 0), ALL_TERMS, weight).loss
        loss.backward()
        gradient = leaf.grad.movedim(1, -1)
        assert not gradient[target == 255].any()
        assert gradient[target != 255].isfinite().all()
        assert float(loss.detach()) != 0.0 if (target != 255).any() else float(loss.detach()) == 0.0


def test_a_cross_entropy_of_weight_0_is_told_but_not_learned() -> None:
    logits, mask = batch()
    logits.requires_grad_()
    config = LossConfig(ce=0.0, dice=1.0, beta=0.0)
    made = multi_task_loss(MultiTaskOutput([logits], []), mask, torch.zeros(2, 0), config)
    expected = terms.cross_entropy(logits.detach(), mask)
    assert float(made.ce) == pytest.approx(float(expected))
    assert float(made.loss.detach()) == float(made.detached().extra["dice"])
