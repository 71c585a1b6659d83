"""Feature maps, and a perceptual distance in them, that a student can learn by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sr4.evaluation.efficientnet import DEVIATION, MEAN, STEM, feature_maps, pretrained

_DEPTHS = (STEM, 3, 6, 10, 14, 20)  # the blocks end a resolution or a width
CHANNELS = (32, 24, 40, 80, 112, 320)
_DEVIATIONS = (2.0, 12.0, 10.0, 7.5, 7.0, 2.5)  # over the values of photographs
_COMPARED = slice(1, 5)  # of the maps, by the perceptual distance: 1/4, 1/8, 1/16, 1/16
_EPSILON = 1e-6  # of a squared length


class FeatureMaps(nn.Module):
    """The feature maps of EfficientNet-Lite1 (ImageNet) at six depths, of about unit variance.
    Scores are computed with another network, EfficientNet-Lite0. Its weights are fixed.

    Raises:
        MissingExtraError: a package of the network is not installed.
    """

    _mean: Tensor
    _deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        network, _ = pretrained(1)
        self._network: Any = network.requires_grad_(False)
        self.register_buffer("_mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("_deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1))

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """The maps of RGB pictures (B, 3, H, W) in [-1, 1], of at least 32x32 pixels, which may
        leave that range a little: (B, C, h, w) for each of `CHANNELS`, h = H/2, H/4, H/8, H/16,
        H/16 and H/32.
        """
        x = ((pictures + 1) / 2 - self._mean) / self._deviation
        found = feature_maps(self._network, x, _DEPTHS)
        return [one / size for one, size in zip(found, _DEVIATIONS, strict=True)]


def perceptual_distance(
    maps: Sequence[Tensor], others: Sequence[Tensor], *, is_squared: bool = True
) -> Tensor:
    """The distances (B,), from 0 to 4, of pictures by their feature maps (Zhang et al. 2018, The
    Unreasonable Effectiveness of Deep Features as a Perceptual Metric, equation 1), without
    learned weights.

    Args:
        is_squared: as there; else the lengths themselves, from 0 to 2, place by place.
    """
    pairs = zip(maps[_COMPARED], others[_COMPARED], strict=True)
    found = [
        (_of_length_1(one) - _of_length_1(other)).square().sum(dim=1, keepdim=True)
        for one, other in pairs
    ]
    if not is_squared:
        found = [_root(one) for one in found]
    return torch.stack([one.mean(dim=(1, 2, 3)) for one in found]).mean(dim=0)


def _of_length_1(maps: Tensor) -> Tensor:
    x = maps.float()
    return x / _root(x.square().sum(dim=1, keepdim=True))


def _root(squares: Tensor) -> Tensor:
    return squares.add(_EPSILON).sqrt()
