"""The low-res path of SR4, and the four ways down that the paper tried for it (section 5.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from sr4.errors import UsageError, nearest
from sr4.networks.blocks import zero_init


class EveryNth(nn.Module):
    """Every n-th pixel of every n-th row: (B, C, H, W) to (B, C, H / n, W / n)."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: Tensor) -> Tensor:
        return x[..., :: self.n, :: self.n]


class BicubicDownscale(nn.Module):
    """Bicubic downscaling with antialiasing: (B, C, H, W) to (B, C, H / n, W / n)."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: Tensor) -> Tensor:
        size = (x.shape[-2] // self.n, x.shape[-1] // self.n)
        return F.interpolate(x, size=size, mode="bicubic", antialias=True, align_corners=False)


Activation = Callable[[], nn.Module]
Downscale = Callable[[int, int, int, Activation], tuple[nn.Module, int]]

ACTIVATIONS: Mapping[str, Activation] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "leaky-relu": partial(nn.LeakyReLU, 0.2),
    "gelu": nn.GELU,
}


def _convolutions(
    channels: int, halvings: int, width: int, activation: Activation
) -> tuple[nn.Module, int]:
    """Strided 3x3 convolutions that halve the picture, double the channels and are each followed
    by an activation.
    """
    layers: list[nn.Module] = []
    widths = [channels, *(width << level for level in range(halvings))]
    for width_in, width_out in pairwise(widths):
        layers += [nn.Conv2d(width_in, width_out, 3, stride=2, padding=1), activation()]
    return nn.Sequential(*layers), widths[-1]


def _large_kernel(
    channels: int, halvings: int, width: int, activation: Activation
) -> tuple[nn.Module, int]:
    """One convolution to as many channels, twice as wide as its stride, and an activation."""
    stride, out = 2**halvings, width << (halvings - 1)
    convolution = nn.Conv2d(channels, out, 2 * stride, stride=stride, padding=stride // 2)
    return nn.Sequential(convolution, activation()), out


# By name: colour channels, halvings, width and activation to a module and the channels it gives.
DOWNSCALES: Mapping[str, Downscale] = {
    "convolutions": _convolutions,
    "large-kernel": _large_kernel,
    "bicubic": lambda channels, halvings, *_: (BicubicDownscale(2**halvings), channels),
    "direct": lambda channels, halvings, *_: (EveryNth(2**halvings), channels),
}


class LowResPath(nn.Module):
    """A downscaling of the `upsampled` picture, with one projection for each place that uses its
    features.

    The 1x1 projections start at zero, so an untrained path changes nothing.

    Args:
        scheme: a name in `DOWNSCALES`.
        channels: colour channels of the picture.
        halvings: how often the picture is halved, at least 1.
        outputs: channels that each place needs.
        width: channels after the first convolution; the two schemes that learn nothing have none.
        activation: a name in `ACTIVATIONS`, of the schemes that learn.

    Raises:
        UsageError: an unknown scheme or activation.
    """

    def __init__(
        self,
        *,
        channels: int,
        halvings: int,
        outputs: tuple[int, ...],
        width: int = 32,
        scheme: str = "convolutions",
        activation: str = "silu",
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise UsageError(
                f"unknown activation {activation!r}: {nearest(activation, ACTIVATIONS)}"
            )
        if scheme not in DOWNSCALES:
            raise UsageError(f"unknown low-res path {scheme!r}: {nearest(scheme, DOWNSCALES)}")
        self.downscale, features = DOWNSCALES[scheme](
            channels, halvings, width, ACTIVATIONS[activation]
        )
        self.project = nn.ModuleList(zero_init(nn.Conv2d(features, out, 1)) for out in outputs)

    def forward(self, upsampled: Tensor) -> list[Tensor]:
        """(B, channels, H, W) to one (B, output, H / 2^halvings, W / 2^halvings) for each place."""
        features = self.downscale(upsampled)
        return [project(features) for project in self.project]
