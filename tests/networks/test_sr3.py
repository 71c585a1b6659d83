"""The SR3 U-Net. Its arithmetic is checked with the weights' names, in
tests/compat/test_sr3_weights.py.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sr4.errors import UsageError
from sr4.networks.blocks import to_target_size
from sr4.networks.sr3 import GroupAttention, NoiseLevelEmbedding, ResidualBlock, SR3UNet

TINY: dict[str, Any] = {
    "inner": 8,
    "multipliers": (1, 2),
    "groups": 4,
    "attention_resolutions": (8,),
    "blocks": 1,
    "image_size": 16,
}


@pytest.fixture
def tiny() -> SR3UNet:
    torch.manual_seed(0)
    return SR3UNet(**TINY).eval()


def pictures(batch: int, height: int, width: int, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, channels, height, width, generator=generator)


def test_papers_setting() -> None:
    with torch.device("meta"):
        network = SR3UNet()
        output = network(
            pictures(1, 128, 128).to("meta"), torch.zeros(1), torch.zeros(1, 3, 16, 16)
        )
    assert sum(parameter.numel() for parameter in network.parameters()) == 97_807_491
    assert network.size_multiple == 16
    assert output.shape == (1, 3, 128, 128)


def test_attention_is_at_its_resolution_and_in_the_middle() -> None:
    seen = []
    with torch.device("meta"):
        network = SR3UNet()
        for module in network.modules():
            if isinstance(module, GroupAttention):
                module.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[-1]))
        network(torch.zeros(1, 3, 128, 128), torch.zeros(1), torch.zeros(1, 3, 16, 16))
    assert seen == [16, 16, 8, 16, 16, 16]


@pytest.mark.parametrize("size", [(16, 16), (2, 2), (6, 22)])
def test_any_multiple_fits(tiny: SR3UNet, size: tuple[int, int]) -> None:
    x_t = pictures(2, *size)
    output = tiny(x_t, torch.tensor([3.0, -3.0]), torch.zeros(2, 3, 4, 4))
    assert tiny.size_multiple == 2
    assert output.shape == x_t.shape
    assert output.std() > 0


def test_upsampled_picture_is_taken_as_it_is(tiny: SR3UNet) -> None:
    x_t, low_res, log_snr = pictures(1, 16, 16), pictures(1, 4, 4), torch.zeros(1)
    upsampled = F.interpolate(low_res, size=(16, 16), mode="bicubic", antialias=True)
    assert torch.equal(to_target_size(upsampled, x_t), upsampled)
    assert torch.equal(tiny(x_t, log_snr, low_res), tiny(x_t, log_snr, upsampled))


@torch.no_grad()
def test_pictures_of_a_batch_are_independent(tiny: SR3UNet) -> None:
    x_t, low_res, log_snr = pictures(3, 16, 16), pictures(3, 4, 4), torch.tensor([-2.0, 0.0, 5.0])
    together = tiny(x_t, log_snr, low_res)
    alone = torch.cat([tiny(x_t[i, None], log_snr[i, None], low_res[i, None]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@torch.no_grad()
def test_every_input_matters(tiny: SR3UNet) -> None:
    x_t, low_res, log_snr = pictures(1, 16, 16), pictures(1, 4, 4), torch.zeros(1)
    output = tiny(x_t, log_snr, low_res)
    for other in (
        tiny(x_t + 0.1 * pictures(1, 16, 16), log_snr, low_res),
        tiny(x_t, log_snr + 1, low_res),
        tiny(x_t, log_snr, -low_res),
    ):
        assert (output - other).abs().max() > 1e-4


def test_gradients_reach_all_parameters(tiny: SR3UNet) -> None:
    tiny(pictures(2, 16, 16), torch.zeros(2), pictures(2, 4, 4)).square().sum().backward()
    for name, parameter in tiny.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_learned_variance_doubles_the_output() -> None:
    network = SR3UNet(**TINY, channels=1, out_channels=2)
    assert network(pictures(1, 16, 16, 1), torch.zeros(1), pictures(1, 4, 4, 1)).shape[1] == 2


@torch.no_grad()
def test_dropout_is_for_training_only(tiny: SR3UNet) -> None:
    arguments = pictures(1, 16, 16), torch.zeros(1), pictures(1, 4, 4)
    assert torch.equal(tiny(*arguments), tiny(*arguments))
    tiny.train()
    assert not torch.equal(tiny(*arguments), tiny(*arguments))


@torch.no_grad()
def test_an_entry_adds_where_a_level_begins(tiny: SR3UNet, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = pictures(1, 16, 16), torch.zeros(1), pictures(1, 4, 4)
    plain, shift = tiny(*arguments), pictures(1, 8, 8, 8)
    made = tiny.entry
    monkeypatch.setattr(tiny, "entry", lambda *given: made(*given)._replace(down={1: shift}))
    moved = tiny(*arguments)
    monkeypatch.undo()
    # The same shift, made by the layer in front: the strided convolution's output.
    entry = tiny.get_submodule("down.1.entry")
    handle = entry.register_forward_hook(lambda _, args, output: output + shift)
    assert torch.equal(tiny(*arguments), moved)
    handle.remove()
    assert torch.equal(tiny(*arguments), plain)
    assert not torch.equal(moved, plain)


def test_noise_level_embedding_in_closed_form() -> None:
    embedding = NoiseLevelEmbedding(4)
    embedding.layers = torch.nn.Identity()  # type: ignore[assignment]
    features = embedding(torch.tensor([0.0, 80.0, -80.0]))
    half = math.sqrt(0.5)  # log_snr 0: alpha² = sigma² = 1/2; frequencies 1 and 1/100
    expected = [
        [math.sin(half), math.sin(half / 100), math.cos(half), math.cos(half / 100)],
        [math.sin(1), math.sin(0.01), math.cos(1), math.cos(0.01)],
        [0, 0, 1, 1],
    ]
    torch.testing.assert_close(features, torch.tensor(expected))


def test_residual_block_in_closed_form() -> None:
    """With 1x1 maps, one channel a group and unit weights, each normalisation gives its bias."""
    block = ResidualBlock(2, 2, embedding=1, groups=2, dropout=0.0).double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.fill_(1.0)
    silu = 1 / (1 + math.exp(-1))  # silu(1), the value of both normalised and activated maps
    x = torch.tensor([3.0, -5.0, 0.5, 2.0], dtype=torch.float64).reshape(2, 2, 1, 1)
    output = block(x, torch.zeros(2, 1, dtype=torch.float64))
    torch.testing.assert_close(output, x + 2 * silu + 1)


def test_heads_attend_separately() -> None:
    """Two heads are two single heads side by side."""
    torch.manual_seed(0)
    both = GroupAttention(8, groups=2, heads=2)
    x = torch.randn(2, 8, 3, 5)
    normed = both.norm(x)
    mixed = []
    for head in range(2):
        rows = both.qkv.weight[head * 12 : head * 12 + 12]  # q, k and v of 4 channels each
        q, k, v = F.conv2d(normed, rows).flatten(2).chunk(3, dim=1)
        attention = torch.softmax(q.transpose(1, 2) @ k / math.sqrt(4), dim=2)
        mixed.append(v @ attention.transpose(1, 2))
    expected = x + both.out(torch.cat(mixed, dim=1).reshape(x.shape))
    torch.testing.assert_close(both(x), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 15}, "got image_size 15 and 2 levels"),
        ({"multipliers": ()}, "and 0 levels"),
        ({"attention_resolutions": (7,)}, "attention at resolution 7; .* choose from 16, 8"),
        ({"groups": 3}, "got groups 3 for feature maps of 8 channels"),
        ({"groups": 0}, "got groups 0"),
        ({"heads": 5}, "got heads 5 for feature maps of 16 channels"),
        ({"inner": 5, "groups": 1}, "got 5 features of the noise level"),
    ],
)
def test_contradicting_arguments(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        SR3UNet(**TINY | change)
    assert "\n" not in str(error.value)
