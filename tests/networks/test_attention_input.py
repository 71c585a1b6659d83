"""The attention over the inputs: its map, and what it does to the low-res picture."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sr4.networks.attention_input import AttentionInputUNet, InputAttention
from sr4.networks.sr3 import SR3UNet

TINY: dict[str, Any] = {
    "inner": 8,
    "multipliers": (1, 2),
    "groups": 4,
    "attention_resolutions": (8,),
    "blocks": 1,
    "image_size": 16,
}


@pytest.fixture
def tiny() -> AttentionInputUNet:
    torch.manual_seed(0)
    return AttentionInputUNet(**TINY).eval()


@pytest.fixture
def arguments() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x_t = torch.randn(2, 3, 16, 16, generator=generator)
    low_res = torch.rand(2, 3, 16, 16, generator=generator) * 2 - 1
    return x_t, torch.tensor([-1.0, 2.0]), low_res


@torch.no_grad()
def test_the_map_in_closed_form() -> None:
    """Convolutions that copy each colour: the map is sigmoid(x_t · low_res / sqrt(3))."""
    attention = InputAttention(channels=3, width=3)
    for convolution in (attention.query, attention.key):
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        nn.init.dirac_(convolution.weight)
    generator = torch.Generator().manual_seed(0)
    x_t, upsampled = (torch.randn(2, 3, 5, 7, generator=generator) for _ in range(2))
    found = attention(x_t, upsampled)
    expected = 1 / (1 + torch.exp(-(x_t * upsampled).sum(1) / 3**0.5))
    assert found.shape == (2, 1, 5, 7)
    torch.testing.assert_close(found[:, 0], expected)


@torch.no_grad()
def test_the_map_stays_exact_in_bf16_and_inside_0_and_1(
    tiny: AttentionInputUNet, arguments: tuple[Tensor, Tensor, Tensor]
) -> None:
    x_t, _, low_res = arguments
    exact = tiny.input_attention(x_t, low_res)
    assert 0 < exact.min() < 0.5 < exact.max() < 1
    with torch.autocast("cpu", torch.bfloat16):
        rough = tiny.input_attention(x_t, low_res)
    assert rough.dtype == torch.float32
    assert rough.unique().numel() > 500  # of 512; in bf16 there are 128 numbers from 0.5 to 1
    torch.testing.assert_close(rough, exact, rtol=0, atol=5e-3)


@torch.no_grad()
def test_the_map_multiplies_the_low_res_picture(
    tiny: AttentionInputUNet, arguments: tuple[Tensor, Tensor, Tensor]
) -> None:
    x_t, log_snr, low_res = arguments
    plain = SR3UNet(**TINY).eval()
    own = {k: v for k, v in tiny.state_dict().items() if not k.startswith("input_attention.")}
    plain.load_state_dict(own)
    value = tiny.input_attention(x_t, low_res) * low_res
    torch.testing.assert_close(tiny(*arguments), plain(x_t, log_snr, value))
    assert (tiny(*arguments) - plain(*arguments)).abs().max() > 1e-3


def test_gradients_reach_all_parameters(
    tiny: AttentionInputUNet, arguments: tuple[Tensor, Tensor, Tensor]
) -> None:
    tiny(*arguments).square().sum().backward()
    for name, parameter in tiny.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@torch.no_grad()
def test_a_low_res_picture_of_its_own_size_is_brought_to_the_target(
    tiny: AttentionInputUNet, arguments: tuple[Tensor, Tensor, Tensor]
) -> None:
    x_t, log_snr, low_res = arguments
    small = low_res[..., ::4, ::4]
    upsampled = nn.functional.interpolate(small, size=(16, 16), mode="bicubic", antialias=True)
    assert torch.equal(tiny(x_t, log_snr, small), tiny(x_t, log_snr, upsampled))
