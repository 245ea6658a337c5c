"""Any module as a trunk: taps by name, nothing changed by looking, nothing kept after a pass."""

from __future__ import annotations

import copy
import gc
import threading
import weakref

import pytest
import torch
from torch import Tensor, nn

from napari_hogseg.io.errors import InputError
from napari_hogseg.models import TappedTrunk, UNet, multi_task
from napari_hogseg.models.trunk import resize_like


class Stem(nn.Module):
    """A plain network of stride 4: needs multiples of 4, returns quarter-size logits and side outputs."""

    def __init__(self, num_classes: int = 3, *, form: str = "one") -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(3, 6, 2, stride=2), nn.BatchNorm2d(6), nn.Conv2d(6, 8, 2, stride=2)
        )
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.unused = nn.Conv2d(8, 8, 1)
        self.drop = nn.Dropout(0.5)
        self.classify = nn.Conv2d(8, num_classes, 1)
        self.form = form

    def forward(self, x: Tensor) -> object:
        assert x.shape[-2] % 4 == x.shape[-1] % 4 == 0
        x = self.down(x)
        x = self.drop(x) + self.pooled(x)[..., None, None]
        logits = self.classify(x)
        if self.form == "one":
            return logits
        return [logits, -logits] if self.form == "list" else {"out": logits, "aux": -logits}


def test_taps_and_logits_are_those_of_the_network_itself() -> None:
    torch.manual_seed(0)
    plain = UNet(3, width=4)
    trunk = TappedTrunk(plain, ["bottleneck"], 3)
    assert trunk.tap_channels == plain.tap_channels
    frames = torch.rand(2, 3, 37, 50)
    expected = plain.forward_deep(frames)
    told = trunk.forward_deep(frames)
    assert torch.equal(told.logits[0], expected.logits[0])
    assert torch.equal(told.taps[0], expected.taps[0])
    torch.stack([told.taps[0].sum(), told.logits[0].sum()]).sum().backward()
    assert plain.encoder[0][0].weight.grad is not None


@pytest.mark.parametrize("form", ["one", "list", "mapping"])
def test_frames_are_padded_and_logits_brought_back_to_their_size(form: str) -> None:
    torch.manual_seed(0)
    backbone = Stem(form=form).eval()
    trunk = TappedTrunk(backbone, ["down", "down.0"], 3, divisor=4)
    frames = torch.rand(1, 3, 13, 22)
    rows = torch.arange(16).clamp(max=12)
    columns = torch.arange(24).clamp(max=21)
    padded = frames[:, :, rows][..., columns]
    returned = backbone(padded)
    quarter = returned if form == "one" else returned[0] if form == "list" else returned["out"]
    expected = resize_like(quarter, padded)[..., :13, :22]
    logits, taps = trunk.forward_deep(frames)
    torch.testing.assert_close(logits[0], expected)
    torch.testing.assert_close(trunk(frames), expected)
    assert len(logits) == (1 if form == "one" else 2)
    torch.testing.assert_close(logits[-1], expected if form == "one" else -expected)
    assert [tuple(tap.shape) for tap in taps] == [(1, 8, 4, 6), (1, 6, 8, 12)]
    assert trunk.tap_channels == (8, 6)


def test_finding_the_channels_changes_nothing() -> None:
    backbone = Stem()
    backbone.down[1].eval()  # frozen by its owner
    before = copy.deepcopy(backbone.state_dict())
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    TappedTrunk(backbone, ["down"], 3, divisor=4)
    assert torch.equal(torch.rand(4), expected)
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    assert backbone.training
    assert not backbone.down[1].training


@pytest.mark.parametrize(
    ("tap", "match"),
    [
        ("donw.0", r"no submodule 'donw\.0'.*down\.0"),
        ("pooled", r"'pooled' returns a tensor \(1, 8\)"),
        ("unused", "'unused' does not run"),
    ],
)
def test_a_tap_that_is_none_is_refused(tap: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        TappedTrunk(Stem(), [tap], 3, divisor=4)


def test_logits_of_other_classes_are_refused() -> None:
    with pytest.raises(InputError, match="not logits of 4 channels"):
        TappedTrunk(Stem(), ["down"], 4, divisor=4)
    with pytest.raises(InputError, match=r"tensor \(1, 3\), not logits"):
        TappedTrunk(Stem().pooled, [], 8)


def test_only_the_grid_head_is_defined_for_taps() -> None:
    for head in ("official", "table1"):
        with pytest.raises(InputError, match="paper's networks only"):
            multi_task(Stem(), ["down"], 3, head=head, divisor=4)
    with pytest.raises(InputError, match="needs a tap"):
        multi_task(Stem(), [], 3, divisor=4)
    assert len(multi_task(Stem(), [], 3, head="none", divisor=4).heads) == 0


def test_no_hook_and_no_map_outlives_a_pass() -> None:
    trunk = TappedTrunk(Stem(), ["down"], 3, divisor=4)
    tap = weakref.ref(trunk.forward_deep(torch.rand(1, 3, 8, 8)).taps[0])
    gc.collect()
    assert tap() is None
    assert not any(module._forward_hooks for module in trunk.modules())
    with pytest.raises(RuntimeError):
        trunk.forward_deep(torch.rand(1, 5, 8, 8))
    assert not any(module._forward_hooks for module in trunk.modules())


def test_a_copy_has_taps_of_its_own() -> None:
    torch.manual_seed(0)
    network = multi_task(Stem(), ["down"], 3, divisor=4).train()
    twin = copy.deepcopy(network)
    with torch.no_grad():
        network.trunk.backbone.down[0].weight.zero_()
        network.trunk.backbone.down[0].bias.zero_()
    frames = torch.rand(2, 3, 16, 16)
    mine, its = network.trunk.forward_deep(frames).taps[0], twin.trunk.forward_deep(frames).taps[0]
    assert mine.std(dim=(2, 3)).max() == 0
    assert its.std(dim=(2, 3)).min() > 0


def test_threads_do_not_catch_each_others_maps() -> None:
    trunk = TappedTrunk(Stem().eval(), ["down"], 3, divisor=4)
    frames = [torch.full((1, 3, 8 + 4 * i, 8), float(i)) for i in range(4)]
    expected = [trunk.forward_deep(frame).taps[0] for frame in frames]
    wrong: list[int] = []

    def work(i: int) -> None:
        torch.set_num_threads(1)
        for _ in range(40):
            tap = trunk.forward_deep(frames[i]).taps[0]
            if tap.shape != expected[i].shape or not torch.equal(tap, expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
