"""Any torch segmentation network as a trunk: its feature maps are tapped by the names of its submodules.

Owns the hooks, the padding and the checks; the network itself is the user's or a library's. Hooks exist
while `forward_deep` runs and at no other time: nothing is kept alive after it, and a network can be
deep-copied (the running mean of the weights does) or used in several threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from threading import get_ident
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from napari_hogseg.io.errors import InputError
from napari_hogseg.models.multitask import MultiTaskNetwork, with_heads
from napari_hogseg.models.trunk import Trunk, TrunkOutput, pad_to_multiple, resize_like

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_hogseg.features.grid import HogGrid
    from napari_hogseg.features.hog import HogParams
    from napari_hogseg.models.heads import HeadKind

#: Least side in pixels of the frame that the taps' channels are found with.
_PROBE_PX = 64


class TappedTrunk(Trunk):
    """A trunk made of any module.

    Parameters
    ----------
    backbone : Module
        Maps (B, 3, H, W) float32 in [0, 1] to logits (B, num_classes, h, w), or to a list, tuple or mapping
        of such logits: the first is the result, the others are side outputs (deep supervision).
    taps : sequence of str
        Names of submodules as `named_modules` spells them, best finest first. Each must return one tensor
        (B, c, h, w); of a module that runs several times in a pass the last map counts.
    num_classes : int
        Channels of the logits.
    divisor : int
        Height and width that the backbone accepts are multiples of this. Other frames are padded on the
        right and at the bottom by repeating the edge, and the logits are cropped back.

    Raises
    ------
    InputError
        If a tap is no submodule, does not run or returns no feature map, or the logits are not
        (B, num_classes, h, w).

    Notes
    -----
    The channels of the taps are found by one pass of zeros in evaluation mode, which changes neither
    normalisation statistics nor the random state.
    """

    family: ClassVar[str] = "tapped"

    def __init__(self, backbone: nn.Module, taps: Sequence[str], num_classes: int, divisor: int = 1) -> None:
        super().__init__()
        if divisor < 1:
            raise InputError("a divisor is at least 1", where=f"divisor = {divisor}")
        self.backbone = backbone
        self.tap_names = tuple(taps)
        self.num_classes = num_classes
        self.divisor = divisor
        _check_names(backbone, self.tap_names)
        self.tap_channels = tuple(tap.shape[1] for tap in self._probe().taps)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Compute logits (B, num_classes, H, W) for frames (B, 3, H, W) in [0, 1]; no tap is collected."""
        padded = pad_to_multiple(x_BCHW, self.divisor)
        return self._fit(self._logits(padded)[0], padded, x_BCHW)

    def forward_deep(self, x_BCHW: Tensor) -> TrunkOutput:
        """Compute logits and side outputs at input size, and the taps at their own (of the padded frame)."""
        padded = pad_to_multiple(x_BCHW, self.divisor)
        with _listen(self.backbone, self.tap_names) as caught:
            logits = self._logits(padded)
        taps = [_feature_map(name, caught) for name in self.tap_names]
        return TrunkOutput([self._fit(each, padded, x_BCHW) for each in logits], taps)

    def _logits(self, padded_BCHW: Tensor) -> list[Tensor]:
        returned = self.backbone(padded_BCHW)
        if isinstance(returned, Mapping):
            returned = tuple(returned.values())
        logits = list(returned) if isinstance(returned, list | tuple) else [returned]
        for each in logits or [None]:
            if not isinstance(each, Tensor) or each.ndim != 4 or each.shape[1] != self.num_classes:
                raise InputError(
                    f"the backbone returns {_describe(each)}, not logits of {self.num_classes} channels",
                    where=type(self.backbone).__name__,
                    remedy=f"Let it map (B, 3, H, W) to (B, {self.num_classes}, H, W), or a list of such.",
                )
        return logits

    def _fit(self, logits: Tensor, padded_BCHW: Tensor, x_BCHW: Tensor) -> Tensor:
        height, width = x_BCHW.shape[-2:]
        return resize_like(logits, padded_BCHW)[..., :height, :width]

    def _probe(self) -> TrunkOutput:
        first = next(self.backbone.parameters(), torch.zeros(0))
        frame = torch.zeros(1, 3, _PROBE_PX, _PROBE_PX, dtype=first.dtype, device=first.device)
        devices = [first.device] if first.device.type == "cuda" else []
        with torch.random.fork_rng(devices), torch.no_grad(), _evaluating(self.backbone):
            return self.forward_deep(frame)


def multi_task(
    backbone: nn.Module,
    taps: Sequence[str],
    num_classes: int,
    hog: HogParams | HogGrid | None = None,
    head: HeadKind = "grid",
    divisor: int = 1,
) -> MultiTaskNetwork:
    """Make a multi-task network of your own backbone.

    Parameters
    ----------
    backbone, taps, num_classes, divisor
        As for `TappedTrunk`.
    hog : HogParams or HogGrid, optional
        The heads' target, or its geometry; the paper's `official-504` by default.
    head : {"grid", "none"}
        The other kinds are defined for the paper's networks only.

    Returns
    -------
    MultiTaskNetwork
        With the backbone itself inside (no copy), and fresh heads on the backbone's device.

    Raises
    ------
    InputError
        As for `TappedTrunk`, or if the head is not one of these.
    """
    network = with_heads(TappedTrunk(backbone, taps, num_classes, divisor), head, hog)
    first = next(backbone.parameters(), torch.zeros(0))
    network.heads.to(first.device)
    return network


@contextmanager
def _listen(backbone: nn.Module, names: Sequence[str]) -> Iterator[dict[str, object]]:
    """Catch what the named submodules return in this thread, while the context lasts."""
    caught: dict[str, object] = {}
    thread = get_ident()

    def catcher(name: str) -> Callable[[nn.Module, object, object], None]:
        def catch(_module: nn.Module, _inputs: object, output: object) -> None:
            # Another thread's pass through the same network meets this hook too.
            if get_ident() == thread:
                caught[name] = output

        return catch

    handles = [backbone.get_submodule(name).register_forward_hook(catcher(name)) for name in names]
    try:
        yield caught
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Switch to evaluation; afterwards every submodule is as it was: a frozen norm stays frozen."""
    before = {each: each.training for each in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for each, training in before.items():
            each.training = training


def _check_names(backbone: nn.Module, taps: Sequence[str]) -> None:
    names = [name for name, _ in backbone.named_modules() if name]
    for tap in taps:
        if tap not in names:
            near = get_close_matches(tap, names, n=3, cutoff=0.4) or names[:3]
            raise InputError(
                f"{type(backbone).__name__} has no submodule {tap!r}",
                where="taps",
                remedy=f"Near it are {', '.join(near)}; `named_modules()` lists all.",
            )


def _feature_map(name: str, caught: Mapping[str, object]) -> Tensor:
    tap = caught.get(name)
    if isinstance(tap, Tensor) and tap.ndim == 4:
        return tap
    returned = f"returns {_describe(tap)}, no feature map (B, c, h, w)" if name in caught else "does not run"
    raise InputError(f"tap {name!r} {returned}", where="taps", remedy="Tap one that returns one map.")


def _describe(value: object) -> str:
    return f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
