"""Networks of other libraries, by name: they build without a download, train with heads, take any size."""

from __future__ import annotations

import copy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_hogseg.io.errors import InputError
from napari_hogseg.models import NETWORKS, build_network, load_initial_weights
from napari_hogseg.models.architectures import decoder_tapped
from napari_hogseg.runs.config import NetworkName


def test_recipes_can_name_every_network() -> None:
    assert set(get_args(NetworkName)) == set(NETWORKS)


def test_the_libraries_are_imported_only_when_asked_for() -> None:
    asked = "import sys, napari_hogseg.models; sys.exit('monai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "channels"), [("segresnet", (16, 32, 64, 128)), ("flexible-unet", (16, 32, 64, 128, 256))]
)
def test_a_network_of_monai_trains_a_step_on_odd_sizes(name: str, channels: tuple[int, ...]) -> None:
    pytest.importorskip("monai")
    torch.manual_seed(0)
    network = build_network(name, 4).train()
    assert network.trunk.tap_channels == channels
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    frames = torch.rand(2, 3, 45, 70)
    told = network(frames)
    assert told.logits[0].shape == (2, 4, 45, 70)
    assert [hog.shape for hog in told.hog] == [(2, network.hog_dim)] * len(channels)
    sides = [tap.shape[-1] for tap in network.trunk.forward_deep(frames).taps]
    assert sides == sorted(sides, reverse=True)
    masks = torch.randint(0, 4, (2, 45, 70))
    loss = functional.cross_entropy(told.logits[0], masks) + sum(hog.square().mean() for hog in told.hog)
    before = copy.deepcopy(network.state_dict())
    loss.backward()
    optimizer.step()
    assert all(value.grad is not None for value in network.head_parameters())
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert {name for name, _ in network.named_parameters() if name.startswith("heads")} <= moved
    assert any(name.startswith("trunk.backbone.") for name in moved)
    assert network.eval()(frames[..., :33, :41]).shape == (2, 4, 33, 41)


@pytest.mark.skipif(
    find_spec("segmentation_models_pytorch") is not None, reason="the library is here: nothing to refuse"
)
def test_a_missing_library_is_named() -> None:
    with pytest.raises(InputError, match=r"segmentation_models_pytorch cannot be imported.*pip install"):
        build_network("smp-unet-resnet34", 3)


def test_a_missing_monai_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "monai.networks.nets", None)
    monkeypatch.setitem(sys.modules, "monai.networks", None)
    monkeypatch.setitem(sys.modules, "monai", None)
    with pytest.raises(InputError, match=r"MONAI cannot be imported.*napari-hogseg\[architectures\]"):
        build_network("segresnet", 3)


class Encoder(nn.Module):
    """Six maps, each half of the one before, as encoders of segmentation_models_pytorch return them."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3 if i == 0 else 4, 4, 3, 2, 1) for i in range(5))

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = [x]
        for conv in self.convs:
            maps.append(conv(maps[-1]))
        return maps


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Conv2d(7 if i == 4 else 8, 4, 3, padding=1) for i in range(5))

    def forward(self, maps: list[Tensor]) -> Tensor:
        x = maps[-1]
        for block, skip in zip(self.blocks, reversed(maps[:-1]), strict=True):
            x = block(torch.cat([functional.interpolate(x, scale_factor=2.0), skip], dim=1))
        return x


class EncoderDecoder(nn.Module):
    """The shape of such a U-Net: refuses frames that are no multiple of 32."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()
        self.segmentation_head = nn.Conv2d(4, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2] % 32 or x.shape[-1] % 32:
            raise RuntimeError("no multiple of 32")
        return self.segmentation_head(self.decoder(self.encoder(x)))


def test_an_encoder_and_decoder_of_that_shape_is_wrapped() -> None:
    trunk = decoder_tapped(EncoderDecoder(3), 3)
    logits, taps = trunk.forward_deep(torch.rand(1, 3, 40, 70))
    assert logits[0].shape == (1, 3, 40, 70)
    assert [tuple(tap.shape[-2:]) for tap in taps] == [(64, 96), (32, 48), (16, 24), (8, 12), (4, 6)]


def published_resnet18() -> dict[str, Tensor]:
    """Random weights under the names and shapes that torchvision publishes for ResNet-18."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7), "bn1": (64,)}
    c_in = 64
    for layer, c_out in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            name = f"layer{layer}.{block}."
            shapes |= {f"{name}conv1.weight": (c_out, c_in, 3, 3), f"{name}bn1": (c_out,)}
            shapes |= {f"{name}conv2.weight": (c_out, c_out, 3, 3), f"{name}bn2": (c_out,)}
            if c_in != c_out:
                shapes |= {f"{name}downsample.0.weight": (c_out, c_in, 1, 1), f"{name}downsample.1": (c_out,)}
            c_in = c_out
    shapes |= {"fc.weight": (1000, 512), "fc.bias": (1000,)}
    norms = [name for name in shapes if name.endswith(("bn1", "bn2", "downsample.1"))]
    for name in norms:
        shape = shapes.pop(name)
        shapes |= {f"{name}.{kind}": shape for kind in ("weight", "bias", "running_mean", "running_var")}
    return {name: torch.rand(shape) for name, shape in shapes.items()}


def test_published_weights_of_a_resnet_find_the_encoder() -> None:
    pytest.importorskip("monai")
    network = build_network("flexible-unet", 3, head="none")
    published = published_resnet18()
    assert len(published) == 102
    report = load_initial_weights(network, published)
    assert report.into == "backbone.encoder"
    # MONAI's ResNet-18 pads its shortcuts with zeros and has no convolution there.
    assert {name for name in published if "downsample" in name or name.startswith("fc.")} == set(
        report.unknown
    )
    assert report.skipped_by_shape == ()
    first = network.trunk.backbone.encoder.layer4[1].conv2.weight
    assert torch.equal(first, published["layer4.1.conv2.weight"])


def test_the_example_of_the_docs_runs_as_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "architectures.md").read_text("utf-8")
    example = page.split("```python\n")[1].split("```")[0]
    exec(compile(example, "architectures.md", "exec"), {})
    told = capsys.readouterr().out.replace("torch.Size", "")
    assert told == "([2, 4, 97, 130]) [([2, 504]), ([2, 504])]\n([2, 4, 97, 130])\n"
