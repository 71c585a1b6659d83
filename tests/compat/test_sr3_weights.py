"""Weights of the unofficial SR3 implementation, checked against its stored output and against a
plain float64 re-implementation that walks its own key names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from sr4.compat import load_sr3_unet
from sr4.errors import ModelError, UsageError

Tensors = dict[str, Tensor]
GOLDEN: dict[str, Any] = {
    "channels": 32,
    "multipliers": (1, 2, 2),
    "groups": 16,
    "attention_resolutions": (16,),
    "blocks": 1,
    "image_size": 32,
}
TINY: dict[str, Any] = {
    "channels": 4,
    "multipliers": (1, 3, 2),
    "groups": 2,
    "attention_resolutions": (8, 4),
    "blocks": 2,
    "image_size": 16,
}


def weights(
    *,
    channels: int,
    multipliers: tuple[int, ...],
    attention_resolutions: tuple[int, ...],
    blocks: int,
    image_size: int,
    groups: int,
) -> Tensors:
    """Random weights under the implementation's names, in the order in which it builds layers."""
    generator = torch.Generator().manual_seed(3)
    tensors: Tensors = {}

    def layer(name: str, *shape: int, bias: bool = True) -> None:
        scale = 1 / math.sqrt(math.prod(shape[1:]))
        tensors[f"{name}.weight"] = torch.randn(shape, generator=generator) * scale + (
            1.0 if len(shape) == 1 else 0.0
        )
        if bias:
            tensors[f"{name}.bias"] = torch.randn(shape[:1], generator=generator) * 0.3

    def block(name: str, width_in: int, width: int, attention: bool) -> None:
        layer(f"{name}.res_block.noise_func.noise_func.0", width, channels)
        for part, size in ((1, width_in), (2, width)):
            layer(f"{name}.res_block.block{part}.block.0", size)
            layer(f"{name}.res_block.block{part}.block.3", width, size, 3, 3)
        if width_in != width:
            layer(f"{name}.res_block.res_conv", width, width_in, 1, 1)
        if attention:
            layer(f"{name}.attn.norm", width)
            layer(f"{name}.attn.qkv", 3 * width, width, 1, 1, bias=False)
            layer(f"{name}.attn.out", width, width, 1, 1)

    layer("noise_level_mlp.1", 4 * channels, channels)
    layer("noise_level_mlp.3", channels, 4 * channels)
    layer("downs.0", channels, 6, 3, 3)
    width, edge, skips, number = channels, image_size, [channels], count(1)
    for level, multiplier in enumerate(multipliers):
        for _ in range(blocks):
            block(
                f"downs.{next(number)}", width, channels * multiplier, edge in attention_resolutions
            )
            width = channels * multiplier
            skips.append(width)
        if level < len(multipliers) - 1:
            layer(f"downs.{next(number)}.conv", width, width, 3, 3)
            skips.append(width)
            edge //= 2
    block("mid.0", width, width, True)
    block("mid.1", width, width, False)
    number = count(0)
    for multiplier in reversed(multipliers):
        for _ in range(blocks + 1):
            size = width + skips.pop()
            block(f"ups.{next(number)}", size, channels * multiplier, edge in attention_resolutions)
            width = channels * multiplier
        if skips:
            layer(f"ups.{next(number)}.conv", width, width, 3, 3)
            edge *= 2
    layer("final_conv.block.0", width)
    layer("final_conv.block.3", 3, width, 3, 3)
    return tensors


class Reference:
    """The implementation's forward pass, step by step in float64."""

    def __init__(self, tensors: Mapping[str, Tensor], groups: int) -> None:
        self.tensors = {name: tensor.double() for name, tensor in tensors.items()}
        self.groups = groups

    def __call__(self, condition: Tensor, noisy: Tensor, level: Tensor) -> Tensor:
        inner = self.tensors["noise_level_mlp.1.weight"].shape[1]
        step = torch.arange(inner // 2, dtype=torch.float64) / (inner // 2)
        angles = level.double()[:, None] * 10000.0**-step
        encoding = torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)
        noise = self.dense(
            "noise_level_mlp.3", self.swish(self.dense("noise_level_mlp.1", encoding))
        )
        x = self.conv("downs.0", torch.cat([condition, noisy], dim=1).double())
        maps = [x]
        for name in self.numbered("downs", start=1):
            if f"{name}.conv.weight" in self.tensors:
                x = self.conv(f"{name}.conv", x, stride=2)
            else:
                x = self.block(name, x, noise)
            maps.append(x)
        for name in self.numbered("mid"):
            x = self.block(name, x, noise)
        for name in self.numbered("ups"):
            if f"{name}.conv.weight" in self.tensors:
                x = self.conv(f"{name}.conv", x.repeat_interleave(2, 2).repeat_interleave(2, 3))
            else:
                x = self.block(name, torch.cat([x, maps.pop()], dim=1), noise)
        assert not maps
        return self.conv("final_conv.block.3", self.swish(self.norm("final_conv.block.0", x)))

    def numbered(self, way: str, start: int = 0) -> list[str]:
        last = max(int(name.split(".")[1]) for name in self.tensors if name.startswith(f"{way}."))
        return [f"{way}.{number}" for number in range(start, last + 1)]

    def block(self, name: str, x: Tensor, noise: Tensor) -> Tensor:
        part = f"{name}.res_block"
        hidden = self.conv(
            f"{part}.block1.block.3", self.swish(self.norm(f"{part}.block1.block.0", x))
        )
        hidden += self.dense(f"{part}.noise_func.noise_func.0", noise)[:, :, None, None]
        hidden = self.conv(
            f"{part}.block2.block.3", self.swish(self.norm(f"{part}.block2.block.0", hidden))
        )
        if f"{part}.res_conv.weight" in self.tensors:
            x = self.conv(f"{part}.res_conv", x)
        x = x + hidden
        return self.attention(f"{name}.attn", x) if f"{name}.attn.qkv.weight" in self.tensors else x

    def attention(self, name: str, x: Tensor) -> Tensor:
        pixels = self.conv(f"{name}.qkv", self.norm(f"{name}.norm", x)).flatten(2)
        query, key, value = pixels.split(x.shape[1], dim=1)
        scores = torch.einsum("bcq,bck->bqk", query, key) / math.sqrt(x.shape[1])
        weights = scores.exp() / scores.exp().sum(dim=2, keepdim=True)
        mixed = torch.einsum("bqk,bck->bcq", weights, value).reshape(x.shape)
        return x + self.conv(f"{name}.out", mixed)

    def norm(self, name: str, x: Tensor) -> Tensor:
        parts = x.reshape(x.shape[0], self.groups, -1)
        mean, variance = parts.mean(2, keepdim=True), parts.var(2, keepdim=True, unbiased=False)
        normed = ((parts - mean) / torch.sqrt(variance + 1e-5)).reshape(x.shape)
        weight, bias = (self.tensors[f"{name}.{kind}"] for kind in ("weight", "bias"))
        return normed * weight[:, None, None] + bias[:, None, None]

    def conv(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = self.tensors[f"{name}.weight"]
        bias = self.tensors.get(f"{name}.bias")
        return F.conv2d(x, weight, bias, stride=stride, padding=weight.shape[-1] // 2)

    def dense(self, name: str, x: Tensor) -> Tensor:
        return x @ self.tensors[f"{name}.weight"].T + self.tensors[f"{name}.bias"]

    def swish(self, x: Tensor) -> Tensor:
        return x / (1 + torch.exp(-x))


def log_snr_of(level: Tensor) -> Tensor:
    """log_snr of sqrt(gamma)."""
    gamma = level.double() ** 2
    return torch.log(gamma / (1 - gamma)).float()


@pytest.fixture(scope="module")
def tiny() -> Tensors:
    return weights(**TINY)


@pytest.fixture(scope="module")
def golden(shared: Path) -> Tensors:
    return load_file(shared / "golden" / "sr3_unofficial_unet_small.safetensors")


@torch.no_grad()
def test_golden_output(golden: Tensors) -> None:
    network = load_sr3_unet(golden, **GOLDEN)
    condition, noisy = golden["io.x"].float().chunk(2, dim=1)
    level = golden["io.noise_level"].flatten()
    result = network(noisy, log_snr_of(level), condition)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, golden["io.y"].float(), rtol=0, atol=1e-4)


@torch.no_grad()
def test_reference_reproduces_golden_output(golden: Tensors) -> None:
    own = {name.removeprefix("model."): golden[name] for name in golden if name[:2] != "io"}
    condition, noisy = golden["io.x"].chunk(2, dim=1)
    result = Reference(own, groups=16)(condition, noisy, golden["io.noise_level"].flatten())
    torch.testing.assert_close(result, golden["io.y"].double(), rtol=0, atol=1e-4)


@torch.no_grad()
def test_equals_reference(tiny: Tensors) -> None:
    generator = torch.Generator().manual_seed(0)
    condition, noisy = torch.randn(2, 3, 3, 16, 24, generator=generator)
    level = torch.tensor([0.999, 0.5, 0.01])
    network = load_sr3_unet(tiny, **TINY)
    assert not network.training
    result = network(noisy, log_snr_of(level), condition)
    expected = Reference(tiny, groups=2)(condition, noisy, level)
    assert expected.std() > 0.3
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("prefix", ["", "model.", "denoise_fn.", "module.denoise_fn."])
def test_prefixes_buffers_and_numpy(tiny: Tensors, prefix: str) -> None:
    plain = load_sr3_unet(tiny, **TINY).state_dict()
    arrays = {f"{prefix}{name}": tensor.numpy() for name, tensor in tiny.items()}
    arrays |= {name: np.zeros(10) for name in ("betas", "posterior_mean_coef1")}
    for array in arrays.values():
        array.flags.writeable = False
    loaded = load_sr3_unet(arrays, **TINY).state_dict()
    assert all(torch.equal(loaded[name], plain[name]) for name in plain)


def test_loaded_weights_are_copies(tiny: Tensors) -> None:
    before = tiny["downs.0.weight"].clone()
    network = load_sr3_unet(tiny, **TINY)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert torch.equal(tiny["downs.0.weight"], before)


def test_channels_follow_from_the_tensors(tiny: Tensors) -> None:
    grey = dict(tiny)
    grey["downs.0.weight"] = tiny["downs.0.weight"][:, :2].clone()
    grey["final_conv.block.3.weight"] = tiny["final_conv.block.3.weight"][:2].clone()
    grey["final_conv.block.3.bias"] = tiny["final_conv.block.3.bias"][:2].clone()
    picture = torch.zeros(1, 1, 8, 8)
    assert load_sr3_unet(grey, **TINY)(picture, torch.zeros(1), picture).shape == (1, 2, 8, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"multipliers": (1, 3, 4)},
            r"of shape .*; expected .* for channels=4, multipliers=\(1, 3",
        ),
        ({"blocks": 1}, "'downs.2.conv.weight'"),
        ({"attention_resolutions": (8,)}, "got a tensor 'downs.7.attn.norm.weight'; expected none"),
        ({"attention_resolutions": (16, 8, 4)}, "got no tensor 'downs.1.attn.norm.weight'"),
        ({"channels": 8}, "of shape"),
    ],
)
def test_other_configuration(tiny: Tensors, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message) as error:
        load_sr3_unet(tiny, **TINY | change)
    assert "\n" not in str(error.value)


def test_contradicting_configuration(tiny: Tensors) -> None:
    with pytest.raises(UsageError, match="groups 3 for feature maps of 4 channels"):
        load_sr3_unet(tiny, **TINY | {"groups": 3})


def test_damaged_tensors(tiny: Tensors) -> None:
    def without(name: str) -> Tensors:
        return {key: tensor for key, tensor in tiny.items() if key != name}

    with pytest.raises(ModelError, match=r"got no tensor 'mid.1.res_block.block1.block.0.bias'"):
        load_sr3_unet(without("mid.1.res_block.block1.block.0.bias"), **TINY)
    with pytest.raises(ModelError, match=r"got no tensor 'final_conv.block.3.weight'"):
        load_sr3_unet(without("final_conv.block.3.weight"), **TINY)
    with pytest.raises(ModelError, match=r"got a tensor 'extra.weight'"):
        load_sr3_unet(tiny | {"extra.weight": torch.zeros(1)}, **TINY)
    with pytest.raises(ModelError, match="expected the four axes"):
        load_sr3_unet(tiny | {"downs.0.weight": torch.zeros(1)}, **TINY)
    with pytest.raises(ModelError, match=r"got 0 tensors named 'downs.0.weight'"):
        load_sr3_unet({"betas": torch.zeros(1)}, **TINY)
    twice = tiny | {f"ema.{name}": tensor for name, tensor in tiny.items()}
    with pytest.raises(ModelError, match=r"got 2 tensors named"):
        load_sr3_unet(twice, **TINY)
