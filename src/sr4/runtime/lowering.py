"""Parts of networks in the form that exported graphs run fastest.

torch has one fused call for a normalisation over the channels of pixels that lie channels-last.
Runtimes that lay them out their own way would move the channels to the back and again to the front
around it; sums over the channel axis move nothing. And where torch looks at halves of the channels
in place, runtimes copy them; convolutions of half as many channels give them apart.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr4.networks.blocks import ChannelNorm
from sr4.networks.fast import Gate

_EPSILON = 1e-5  # of torch's layer normalisation


class _SumNorm(nn.Module):
    """What `ChannelNorm` computes, by sums over the channel axis."""

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=1, keepdim=True)
        length = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
        return centred * torch.rsqrt(length.square() / x.shape[1] + _EPSILON)


class _HalvesGate(nn.Module):
    """What `Gate` computes, with a convolution for each half: pointwise ones, each pixel by itself,
    or depthwise ones, each channel by itself.
    """

    def forward(self, x: Tensor, *convolutions: nn.Conv2d) -> Tensor:
        halves = [x, x]
        for convolution in convolutions:
            halves = [_half(convolution, x, number) for number, x in enumerate(halves)]
        one, other = halves
        return one * other


def _half(convolution: nn.Conv2d, x: Tensor, number: int) -> Tensor:
    """The first (0) or second (1) half of the channels that a convolution gives."""
    bias = None if convolution.bias is None else convolution.bias.chunk(2)[number]
    groups = max(1, convolution.groups // 2)
    weight = convolution.weight.chunk(2)[number]
    return F.conv2d(x, weight, bias, padding=convolution.padding, groups=groups)


_FORMS = {ChannelNorm: _SumNorm, Gate: _HalvesGate}


def lowered(network: nn.Module) -> nn.Module:
    """A copy of a network with its parts in those forms; names and values of tensors stay."""
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) in _FORMS:
                setattr(parent, name, _FORMS[type(child)]())
    return network
