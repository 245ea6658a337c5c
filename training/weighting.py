"""How the two tasks, segmentation and the auxiliary one, are balanced where fixed weights are not enough.

Owns the learned weights and the gradient surgery; the losses themselves are `losses`', the step is `step`'s.
Each way takes the tasks' losses as the recipe weights them, alpha * segmentation and beta * auxiliary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_hogseg.models.multitask import MultiTaskNetwork
    from napari_hogseg.runs.config import RunConfig

    Gradients = Sequence[torch.Tensor | None]

NUM_TASKS = 2
NAMES = ("weight_segmentation", "weight_hog")
"""Of the weights in the progress events, in the order of the tasks."""

GRADNORM_RATE = 0.025
"""Learning rate of GradNorm's weights: they must settle long before the network does."""
SMALLEST_WEIGHT = 1e-3
"""GradNorm's weights are lifted to it before their sum is put right: a negative one would climb its loss."""

NO_GRADIENT = 1e-60
"""Squared norm below which a gradient has no direction that PCGrad could project on."""


class Losses(NamedTuple):
    """The two tasks' losses, scalars with their graph, in the order of all weights here."""

    segmentation: torch.Tensor
    auxiliary: torch.Tensor


class Pass(NamedTuple):
    """What a backward pass must know of its step."""

    scaled: Callable[[torch.Tensor], torch.Tensor]
    """Scales a loss for parts of a batch and 16-bit floats."""
    step: int
    """Steps done before this one."""


class TaskWeighting(ABC):
    """Backward pass of two losses, and what it learns about their weights.

    Attributes
    ----------
    last : (2,) Tensor
        Weights of the last backward pass, detached.
    """

    last: torch.Tensor

    @abstractmethod
    def backward(self, losses: Losses, at: Pass) -> None:
        """Add to the gradients of all parameters."""

    def told(self) -> dict[str, torch.Tensor]:
        """Name the last weights for the progress events."""
        return dict(zip(NAMES, self.last, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Collect what a resume needs; nothing unless overridden."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        if state:
            raise ValueError(f"{type(self).__name__} keeps no state")


class Uncertainty(TaskWeighting):
    """Weights from a learned log variance s of each task: the loss is sum L / (2 e^s) + s / 2.

    Parameters
    ----------
    device : torch.device

    Attributes
    ----------
    log_variances : (2,) float32 Parameter
        0 at first, so both weights are 1/2. A parameter of the network's optimiser, without weight decay.

    References
    ----------
    Kendall, Gal and Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and
    Semantics, CVPR 2018, equation 7 with s = log sigma^2.
    """

    def __init__(self, device: torch.device) -> None:
        self.log_variances = torch.nn.Parameter(torch.zeros(NUM_TASKS, device=device))

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Add the log variances as a group of their own."""
        optimizer.add_param_group({"params": [self.log_variances], "weight_decay": 0.0})

    def backward(self, losses: Losses, at: Pass) -> None:
        """Run the backward pass of the weighted sum."""
        weights = torch.exp(-self.log_variances) / 2
        total = (weights * torch.stack(losses) + self.log_variances / 2).sum()
        self.last = weights.detach()
        at.scaled(total).backward()  # type: ignore[no-untyped-call]

    def state_dict(self) -> dict[str, Any]:
        """Collect the log variances; their moments are in the optimiser's state."""
        return {"log_variances": self.log_variances.detach().clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them back in place: the optimiser holds this very parameter."""
        with torch.no_grad():
            self.log_variances.copy_(state["log_variances"])


class GradNorm(TaskWeighting):
    """Weights learned so that both tasks' gradients have like norms, the slower task's a larger one.

    The norms are taken on the weight of the trunk's last convolution, in the order of definition, that both
    losses reach. A step in which a loss is 0 teaches the weights nothing.

    Parameters
    ----------
    network : MultiTaskNetwork
    exponent : float
        Strength of the pull towards the slower task; 0 makes the norms equal.
    device : torch.device

    Attributes
    ----------
    weights : (2,) float32 Tensor
        1 at first; their sum stays 2.

    References
    ----------
    Chen et al., GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask Networks,
    ICML 2018, algorithm 1.
    """

    def __init__(self, network: MultiTaskNetwork, exponent: float, device: torch.device) -> None:
        self.weights = torch.ones(NUM_TASKS, device=device)
        self._network = network
        self._exponent = exponent
        self._optimizer = torch.optim.Adam([self.weights], lr=GRADNORM_RATE)
        self._first: torch.Tensor | None = None
        self._layer: torch.nn.Parameter | None = None

    def backward(self, losses: Losses, at: Pass) -> None:
        """Run the backward pass with the weights as they are, then move them."""
        if self._layer is None:
            self._layer = last_shared_layer(self._network, losses)
        self.last = self.weights.clone()
        norms = torch.stack(
            [torch.autograd.grad(loss, self._layer, retain_graph=True)[0].norm() for loss in losses]
        )
        at.scaled((self.last * torch.stack(losses)).sum()).backward()  # type: ignore[no-untyped-call]
        now = torch.stack(losses).detach()
        if bool((now > 0).all()):
            self._move(now, norms)

    def _move(self, losses: torch.Tensor, norms: torch.Tensor) -> None:
        if self._first is None:
            self._first = losses
        ratios = losses / self._first
        weighted = self.weights * norms
        targets = weighted.mean() * (ratios / ratios.mean()) ** self._exponent
        # |w n - target| with the target held still, as the paper has it: no second derivatives.
        self.weights.grad = torch.sign(weighted - targets) * norms
        self._optimizer.step()
        self.weights.clamp_(min=SMALLEST_WEIGHT)
        self.weights.mul_(NUM_TASKS / self.weights.sum())

    def state_dict(self) -> dict[str, Any]:
        """Collect weights, the losses they are measured against, and Adam's moments."""
        return {
            "weights": self.weights.clone(),
            "first": self._first,
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them back."""
        self.weights.copy_(state["weights"])
        first = state["first"]
        self._first = None if first is None else first.to(self.weights.device)
        self._optimizer.load_state_dict(state["optimizer"])


class PCGrad(TaskWeighting):
    """Where the tasks' gradients conflict on the shared trunk, each loses its part against the other.

    Only parameters that both losses reach are concerned; all others get their own task's gradient.

    Parameters
    ----------
    network : MultiTaskNetwork
    seed : int
        The order of the projections is a function of it and the step.

    Raises
    ------
    InputError
        If torchjd, which does the projections, is missing.

    References
    ----------
    Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020, algorithm 1.
    """

    def __init__(self, network: MultiTaskNetwork, seed: int) -> None:
        try:
            from torchjd.aggregation import PCGradWeighting
        except ImportError as error:
            raise InputError(
                "Gradient surgery needs torchjd",
                where="loss.weighting",
                remedy='Install it: pip install "napari-hogseg[weighting]".',
            ) from error
        self._weigh = PCGradWeighting()
        self._network = network
        self._seed = seed

    def backward(self, losses: Losses, at: Pass) -> None:
        """Set the gradients: the projected ones' sum where both tasks have one."""
        parameters = [p for p in self._network.parameters() if p.requires_grad]
        # The first keeps the graph that both share.
        rows = [
            torch.autograd.grad(loss, parameters, retain_graph=keeps, allow_unused=True)
            for loss, keeps in zip(losses, (True, False), strict=True)
        ]
        # What surgery gives is a sum of the rows: two factors say it all, and no row is joined to one vector.
        self.last = self._factors(gramian(*rows), at.step)
        for parameter, first, second in zip(parameters, *rows, strict=True):
            if first is None or second is None:
                parameter.grad = second if first is None else first
            else:
                parameter.grad = self.last[0] * first + self.last[1] * second

    def _factors(self, products: torch.Tensor, step: int) -> torch.Tensor:
        if float(products.diagonal().min()) < NO_GRADIENT:
            return torch.ones_like(products[0], dtype=torch.float32)
        seed = int(np.random.default_rng((self._seed, step)).integers(2**63))
        with torch.random.fork_rng(devices=[]):  # torchjd draws its order from torch's global stream
            torch.manual_seed(seed)
            factors: torch.Tensor = self._weigh(products)
        return factors.float()


def gramian(first: Gradients, second: Gradients) -> torch.Tensor:
    """Inner products (2, 2) float64 of two gradients over the parameters that both have."""
    shared = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    if not shared:
        return torch.eye(NUM_TASKS, dtype=torch.float64)  # nothing shared: nothing in conflict
    entries = [
        torch.stack([(pair[i].double() * pair[j].double()).sum() for pair in shared]).sum()
        for i, j in ((0, 0), (0, 1), (1, 1))
    ]
    return torch.stack([torch.stack(entries[:2]), torch.stack(entries[1:])])


def last_shared_layer(network: MultiTaskNetwork, losses: Losses) -> torch.nn.Parameter:
    """Find the weight of the trunk's last convolution, in the order of definition, that both losses reach.

    Raises
    ------
    InputError
        If there is none: such tasks share nothing to be balanced on.
    """
    weights: list[torch.nn.Parameter] = [
        p for p in network.trunk_parameters() if p.requires_grad and p.dim() == 4
    ]
    rows = [
        torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True) for loss in losses if weights
    ] or [(), ()]
    for weight, first, second in reversed(list(zip(weights, rows[0], rows[1], strict=True))):
        if first is not None and second is not None:
            return weight
    raise InputError(
        "The tasks share no convolution that learns",
        where="loss.weighting",
        remedy="Set loss.weighting = 'fixed'.",
    )


def make_weighting(
    config: RunConfig, network: MultiTaskNetwork, optimizer: torch.optim.Optimizer, device: torch.device
) -> TaskWeighting | None:
    """Make what the recipe asks for; None for fixed weights.

    Parameters
    ----------
    config : RunConfig
    network : MultiTaskNetwork
    optimizer : torch.optim.Optimizer
        Learns what is learned with the network.
    device : torch.device

    Returns
    -------
    TaskWeighting or None

    Raises
    ------
    InputError
        If GradNorm or PCGrad meet parts of a batch or 'fp16', or torchjd is missing.
    """
    kind = config.loss.weighting
    if kind == "fixed":
        return None
    if kind == "uncertainty":
        weighting = Uncertainty(device)
        weighting.attach(optimizer)
        return weighting
    _refuse_parts(config)
    if kind == "gradnorm":
        return GradNorm(network, config.loss.gradnorm_alpha, device)
    return PCGrad(network, config.train.seed)


def _refuse_parts(config: RunConfig) -> None:
    if config.train.accumulate == 1 and config.train.precision != "fp16":
        return
    option = "accumulate" if config.train.accumulate > 1 else "precision"
    raise InputError(
        f"'{config.loss.weighting}' compares the gradients of a whole batch, unscaled",
        where=f"train.{option}",
        remedy="Set train.accumulate = 1 and a train.precision other than 'fp16', or loss.weighting = "
        "'uncertainty'.",
    )
