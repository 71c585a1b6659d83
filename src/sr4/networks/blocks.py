"""Parts that several networks share. Shapes are (B, C, H, W) unless said otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def zero_init(module: nn.Conv2d | nn.Linear) -> nn.Conv2d | nn.Linear:
    """Set all parameters to zero: a residual branch then starts as the identity."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def initialise(network: nn.Module, how: str) -> None:
    """Draw the weights of convolutions and linear layers anew; those that are zero stay so.

    Args:
        how: "orthogonal" (Saxe et al. 2014), as the unofficial SR3 has them, or "kaiming" (He et
            al. 2015), both with biases of zero; "default" leaves PyTorch's own.
    """
    if how == "default":
        return
    draws: Mapping[str, Callable[[Tensor], Tensor]] = {
        "orthogonal": nn.init.orthogonal_,
        "kaiming": nn.init.kaiming_normal_,
    }
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)) and layer.weight.any():
            draws[how](layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def to_target_size(low_res: Tensor, like: Tensor) -> Tensor:
    """The bicubic `upsampled` picture of the size of `like`; one of that size is taken as it is."""
    if low_res.shape[-2:] == like.shape[-2:]:
        return low_res
    return F.interpolate(
        low_res, size=like.shape[-2:], mode="bicubic", antialias=True, align_corners=False
    )


class LogSNREmbedding(nn.Module):
    """Sines and cosines of `log_snr` at geometric frequencies, then two dense layers.

    (B,) to (B, width). Periods run from 2 to 80, twice the range of `log_snr`.
    """

    frequencies: Tensor

    def __init__(self, width: int, features: int = 64) -> None:
        super().__init__()
        periods = torch.logspace(math.log10(2), math.log10(80), features // 2)
        self.register_buffer("frequencies", 2 * math.pi / periods, persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )

    def forward(self, log_snr: Tensor) -> Tensor:
        angles = log_snr[:, None] * self.frequencies  # (B, features / 2)
        features = torch.cat([angles.sin(), angles.cos()], dim=1)
        return self.layers(features)  # type: ignore[no-any-return]


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel, without parameters of its own.

    Unlike group normalisation it uses no statistics over the picture's area: a tile of a picture
    gives what the whole picture gives there. In channels_last it is one fused call.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.permute(0, 2, 3, 1), (self.channels,)).permute(0, 3, 1, 2)


class SelfAttention(nn.Module):
    """Multi-head self-attention over all pixels, as a residual branch that starts at zero.

    A head has head_channels channels, or the largest common divisor of those and all channels.
    """

    def __init__(self, channels: int, head_channels: int = 64) -> None:
        super().__init__()
        self.heads = channels // math.gcd(channels, head_channels)
        self.norm = ChannelNorm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zero_init(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(1, (self.heads, -1)).flatten(3).transpose(2, 3)
            for part in self.qkv(self.norm(x)).chunk(3, dim=1)
        )  # each (B, heads, H * W, C / heads)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(x.shape)
        return x + self.out(mixed)  # type: ignore[no-any-return]


def with_mean_output(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a network with a mean output that begins with both of its predictions equal to
    the one of a network without: what a denoiser says of pure noise is that mean. Networks end in a
    layer `conv_out`.
    """
    return {
        name: torch.cat([tensor, tensor]) if name.startswith("conv_out.") else tensor
        for name, tensor in tensors.items()
    }
