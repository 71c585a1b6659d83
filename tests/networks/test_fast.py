"""The efficient U-Net and the parts it is made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sr4.degradation.known import CLEAN, KNOWN_LENGTH, UNKNOWN, Known
from sr4.networks.blocks import (
    ChannelNorm,
    LogSNREmbedding,
    SelfAttention,
    with_mean_output,
    zero_init,
)
from sr4.networks.fast import FastUNet


def fill(network: nn.Module) -> nn.Module:
    """The network with every layer that starts at zero given random weights."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return network


@pytest.fixture
def tiny() -> FastUNet:
    torch.manual_seed(0)
    return FastUNet(widths=(16, 32), blocks=(1, 1), patch=2, embedding=16)


@pytest.fixture
def arguments() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x_t = torch.randn(3, 3, 16, 24, generator=generator)
    return x_t, torch.tensor([-4.0, 0.0, 6.0]), torch.randn(3, 3, 2, 3, generator=generator)


@pytest.mark.parametrize("widths", [(96, 192, 320), (96, 192, 256), (64, 128, 192)])
def test_cost_of_one_call(widths: tuple[int, ...]) -> None:
    with torch.device("meta"):
        network = FastUNet(widths=widths)
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 3, 128, 128), torch.zeros(1), torch.zeros(1, 3, 16, 16))
    assert 2e9 <= counter.get_total_flops() <= 6e9
    assert network.size_multiple == 16


def test_starts_at_zero(tiny: FastUNet, arguments: tuple[Tensor, Tensor, Tensor]) -> None:
    assert not tiny(*arguments).any()


@pytest.mark.parametrize("size", [(4, 4), (8, 20), (32, 16)])
def test_any_multiple_fits(tiny: FastUNet, size: tuple[int, int]) -> None:
    assert tiny.size_multiple == 4
    output = tiny(torch.zeros(2, 3, *size), torch.zeros(2), torch.zeros(2, 3, 2, 2))
    assert output.shape == (2, 3, *size)


@torch.no_grad()
def test_pictures_of_a_batch_are_independent(
    tiny: FastUNet, arguments: tuple[Tensor, Tensor, Tensor]
) -> None:
    fill(tiny)
    together = tiny(*arguments)
    alone = torch.cat([tiny(*(part[i, None] for part in arguments)) for i in range(3)])
    assert together.std() > 0.01
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@torch.no_grad()
def test_every_input_matters(tiny: FastUNet, arguments: tuple[Tensor, Tensor, Tensor]) -> None:
    fill(tiny)
    x_t, log_snr, low_res = arguments
    output = tiny(x_t, log_snr, low_res)
    for other in (
        tiny(0.9 * x_t, log_snr, low_res),
        tiny(x_t, log_snr + 1, low_res),
        tiny(x_t, log_snr, -low_res),
    ):
        assert (output - other).abs().max() > 1e-4


@torch.no_grad()
def test_upsampled_picture_is_taken_as_it_is(
    tiny: FastUNet, arguments: tuple[Tensor, Tensor, Tensor]
) -> None:
    fill(tiny)
    x_t, log_snr, low_res = arguments
    upsampled = nn.functional.interpolate(low_res, size=(16, 24), mode="bicubic", antialias=True)
    assert torch.equal(tiny(x_t, log_snr, low_res), tiny(x_t, log_snr, upsampled))


def test_gradients_reach_all_parameters(
    tiny: FastUNet, arguments: tuple[Tensor, Tensor, Tensor]
) -> None:
    fill(tiny)(*arguments).square().sum().backward()
    for name, parameter in tiny.named_parameters():
        assert parameter.grad is not None, name
        if name.endswith("qkv.bias"):  # the softmax does not see a shift of all keys
            continue
        assert parameter.grad.abs().max() > 0, name


def test_channel_norm_is_local() -> None:
    x = torch.randn(2, 5, 8, 8, generator=torch.Generator().manual_seed(0)) * 3 + 1
    norm = ChannelNorm(5)
    normed = norm(x)
    torch.testing.assert_close(norm(x[:, :, 2:5, 3:]), normed[:, :, 2:5, 3:])
    expected = (x - x.mean(1, keepdim=True)) / (
        x.var(1, keepdim=True, unbiased=False) + 1e-5
    ).sqrt()
    torch.testing.assert_close(normed, expected)


def test_self_attention_mixes_pixels_by_softmax() -> None:
    """With equal keys, every pixel becomes the mean of all values."""
    attention = SelfAttention(4, head_channels=2)
    x = torch.randn(1, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    assert attention.heads == 2
    assert torch.equal(attention(x), x)  # it starts as the identity
    with torch.no_grad():
        attention.qkv.weight[:8].zero_()
        attention.qkv.weight[8:, :, 0, 0] = torch.eye(4)
        attention.qkv.bias.zero_()  # type: ignore[union-attr]
        attention.out.weight[:, :, 0, 0] = torch.eye(4)
    mean = attention.norm(x).mean((2, 3), keepdim=True)
    torch.testing.assert_close(attention(x), x + mean)


def test_self_attention_ignores_the_order_of_pixels() -> None:
    attention = fill(SelfAttention(8, head_channels=4))
    x = torch.randn(1, 8, 4, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(attention(x.flip(3)), attention(x).flip(3))


def test_embedding_tells_noise_levels_apart() -> None:
    embedding = LogSNREmbedding(8, features=16)
    angles = torch.tensor([0.0, 2.0])[:, None] * embedding.frequencies
    # The shortest period is 2, the longest 80: a step of 2 is one turn and a fortieth.
    turns = angles[1] / (2 * torch.pi)
    torch.testing.assert_close(turns[[0, -1]], torch.tensor([1.0, 1 / 40]))
    assert embedding(torch.tensor([-20.0, 0.0, 20.0])).shape == (3, 8)


def test_zero_init_zeroes_weight_and_bias() -> None:
    layer = zero_init(nn.Conv2d(2, 2, 1))
    assert not any(parameter.any() for parameter in layer.parameters())


@torch.no_grad()
def test_what_is_known_of_the_degradation_matters(
    arguments: tuple[Tensor, Tensor, Tensor],
) -> None:
    torch.manual_seed(0)
    network = fill(
        FastUNet(widths=(16, 32), blocks=(1, 1), patch=2, embedding=16, degradation_aware=True)
    )
    vectors = torch.from_numpy(np.stack([CLEAN.vector(), UNKNOWN.vector(), Known(5.0).vector()]))
    told = network(*arguments, vectors)
    without = network(*arguments)  # nothing is known
    assert torch.equal(without, network(*arguments, torch.zeros(3, KNOWN_LENGTH)))
    torch.testing.assert_close(told[1], without[1])
    for picture in (0, 2):
        assert (told[picture] - without[picture]).abs().max() > 1e-4


@torch.no_grad()
def test_both_predictions_begin_as_that_of_the_network_without(
    tiny: FastUNet, arguments: tuple[Tensor, Tensor, Tensor]
) -> None:
    fill(tiny)
    both = FastUNet(widths=(16, 32), blocks=(1, 1), patch=2, embedding=16, mean_output=True)
    both.load_state_dict(with_mean_output(tiny.state_dict()))
    sample, mean = both(*arguments).chunk(2, dim=1)
    torch.testing.assert_close(sample, tiny(*arguments))
    assert torch.equal(sample, mean)
