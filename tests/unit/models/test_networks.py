"""Trunks: parameter counts of the literature, structure against a second implementation, any frame size."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from napari_hogseg.io.errors import InputError
from napari_hogseg.models import U2NET_STAGES, U2NETP_STAGES, U2Net, UNet, build_network
from napari_hogseg.models.u2net import DilatedBlock, PooledBlock, StageWidths


def num_parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("stages", "num_classes", "expected"),
    [
        (U2NET_STAGES, 1, 44_009_869),
        (U2NET_STAGES, 8, 44_107_064),
        (U2NET_STAGES, 18, 44_246_934),
        (U2NET_STAGES, 26, 44_359_694),
        (U2NETP_STAGES, 1, 1_131_181),
        (U2NETP_STAGES, 8, 1_155_800),
        (U2NETP_STAGES, 18, 1_191_990),
        (U2NETP_STAGES, 26, 1_221_806),
    ],
)
def test_u2net_has_the_published_number_of_parameters(stages, num_classes, expected):
    with torch.device("meta"):
        assert num_parameters(U2Net(num_classes, stages)) == expected


@pytest.mark.parametrize(("upsampling", "expected"), [("transposed", 31_044_626), ("bilinear", 17_268_498)])
def test_unet_has_the_published_number_of_parameters(upsampling, expected):
    with torch.device("meta"):
        assert num_parameters(UNet(18, upsampling=upsampling)) == expected


def test_u2net_state_has_the_public_names():
    with torch.device("meta"):
        names = set(U2Net(1).state_dict())
    assert len(names) == 798
    assert {
        "stage1.rebnconvin.conv_s1.weight",
        "stage1.rebnconv7.bn_s1.running_var",
        "stage1.rebnconv6d.conv_s1.bias",
        "stage5.rebnconv4.bn_s1.num_batches_tracked",
        "stage6.rebnconv3d.conv_s1.weight",
        "stage2d.rebnconv1d.bn_s1.weight",
        "side6.weight",
        "outconv.bias",
    } <= names


# A second U2-Net, written as the recursion that its figure is; it reads weights by their public names.


def conv_norm_relu(state, name, x, dilation=1):
    y = functional.conv2d(
        x, state[f"{name}.conv_s1.weight"], state[f"{name}.conv_s1.bias"], padding=dilation, dilation=dilation
    )
    mean, var = state[f"{name}.bn_s1.running_mean"], state[f"{name}.bn_s1.running_var"]
    weight, bias = state[f"{name}.bn_s1.weight"], state[f"{name}.bn_s1.bias"]
    return functional.batch_norm(y, mean, var, weight, bias, eps=1e-5).relu()


def upsample(x, like):
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def residual_block(state, name, x, depth, pooled):
    """RSU-depth (pooled) or RSU-4F."""

    def conv(suffix, y, dilation):
        return conv_norm_relu(state, f"{name}.rebnconv{suffix}", y, 1 if pooled else dilation)

    def level(i, y):
        y = conv(i, y, 2 ** (i - 1))
        if i == depth - 1:
            inner = conv_norm_relu(state, f"{name}.rebnconv{depth}", y, 2 if pooled else 2 ** (depth - 1))
        else:
            inner = level(i + 1, functional.max_pool2d(y, 2, ceil_mode=True) if pooled else y)
        return conv(f"{i}d", torch.cat([upsample(inner, y), y], 1), 2 ** (i - 1))

    x = conv_norm_relu(state, f"{name}.rebnconvin", x)
    return level(1, x) + x


def u2net_logits(state, x):
    depths = {1: 7, 2: 6, 3: 5, 4: 4, 5: 4, 6: 4}
    maps = {}

    def level(i, y):
        encoded = residual_block(state, f"stage{i}", y, depths[i], pooled=i < 5)
        if i == 6:
            maps[6] = encoded
            return encoded
        inner = level(i + 1, functional.max_pool2d(encoded, 2, ceil_mode=True))
        joined = torch.cat([upsample(inner, encoded), encoded], 1)
        maps[i] = residual_block(state, f"stage{i}d", joined, depths[i], pooled=i < 5)
        return maps[i]

    level(1, x)
    sides = [
        upsample(functional.conv2d(maps[i], state[f"side{i}.weight"], state[f"side{i}.bias"], padding=1), x)
        for i in range(1, 7)
    ]
    fused = functional.conv2d(torch.cat(sides, 1), state["outconv.weight"], state["outconv.bias"])
    return [fused, *sides], [maps[i] for i in range(1, 7)]


def with_lively_norms(module):
    """Running statistics as after training: at their initial values a swapped layer could go unseen."""
    generator = torch.Generator().manual_seed(5)
    for name, buffer in module.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1, generator=generator)
        elif name.endswith("running_var"):
            buffer.uniform_(0.1, 0.5, generator=generator)
    return module.eval()


@pytest.mark.parametrize(("height", "width"), [(47, 61), (32, 32)])
@torch.no_grad()
def test_u2netp_equals_the_recursive_implementation(height, width):
    torch.manual_seed(0)
    network = with_lively_norms(U2Net(3, U2NETP_STAGES))
    x = torch.rand(2, 3, height, width)
    logits, taps = u2net_logits(network.state_dict(), x)
    found = network.forward_deep(x)
    for got, want in zip((*found.logits, *found.taps), (*logits, *taps), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network(x), logits[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", [4, 5, 6, 7, None])
@torch.no_grad()
def test_residual_block_equals_the_recursive_implementation(depth):
    torch.manual_seed(1)
    widths = StageWidths(3, 4, 6)
    block = with_lively_norms(DilatedBlock(widths) if depth is None else PooledBlock(depth, widths))
    x = torch.rand(1, 3, 37, 53)
    state = {f"block.{name}": value for name, value in block.state_dict().items()}
    want = residual_block(state, "block", x, depth or 4, pooled=depth is not None)
    torch.testing.assert_close(block(x), want, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_stage_maps_of_u2net_have_the_widths_and_strides_of_the_table():
    with torch.device("meta"):
        taps = U2Net(8).eval().forward_deep(torch.empty(1, 3, 320, 288)).taps
    assert [tuple(tap.shape[1:]) for tap in taps] == [
        (64, 320, 288),
        (64, 160, 144),
        (128, 80, 72),
        (256, 40, 36),
        (512, 20, 18),
        (512, 10, 9),
    ]


@torch.no_grad()
def test_unet_bottleneck_has_1024_channels_at_a_sixteenth():
    with torch.device("meta"):
        tap = build_network("unet", 8).trunk.eval().forward_deep(torch.empty(1, 3, 256, 256)).taps[0]
    assert tuple(tap.shape) == (1, 1024, 16, 16)


@pytest.mark.parametrize("name", ["unet-s", "u2netp"])
@pytest.mark.parametrize(("height", "width"), [(33, 50), (1, 70), (96, 64)])
@torch.no_grad()
def test_any_frame_size_comes_back_at_its_own_size(name, height, width):
    logits = build_network(name, 4).eval()(torch.rand(1, 3, height, width))
    assert tuple(logits.shape) == (1, 4, height, width)
    assert torch.isfinite(logits).all()


@torch.no_grad()
def test_unet_on_an_odd_frame_is_unet_on_the_frame_with_its_edge_repeated():
    network = with_lively_norms(UNet(3, width=4))
    frame = torch.rand(1, 3, 45, 50)
    padded = torch.cat([frame, frame[:, :, -1:].expand(-1, -1, 3, -1)], dim=2)
    padded = torch.cat([padded, padded[..., -1:].expand(-1, -1, -1, 14)], dim=3)
    torch.testing.assert_close(network(frame), network(padded)[..., :45, :50])


@torch.no_grad()
def test_bilinear_unet_takes_odd_frames():
    assert tuple(UNet(3, width=8, upsampling="bilinear").eval()(torch.rand(1, 3, 35, 41)).shape) == (
        1,
        3,
        35,
        41,
    )


def test_unknown_names_and_counts_are_refused():
    with pytest.raises(InputError, match="unknown network 'resnet'"):
        build_network("resnet", 8)
    with pytest.raises(InputError, match="at least two classes"):
        build_network("unet-s", 1)
    with pytest.raises(InputError, match="unknown head 'mlp'"):
        build_network("unet-s", 8, head="mlp")
