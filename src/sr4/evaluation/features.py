"""What sets of pictures are compared in: the features of an ImageNet network.

EfficientNet-Lite0 needs no network access: its weights come inside a Python package. Distances in
its features compare with each other and never with a published FID or KID, so they are called
`fd_efflite0` and `kid_efflite0`. `fid` and `kid` need Inception v3 and a file of weights.
"""

from __future__ import annotations

import hashlib
import importlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.errors import MissingExtraError, ModelError, UsageError, reason
from sr4.evaluation.efficientnet import DEVIATION, MEAN, STEM, feature_maps, pretrained
from sr4.evaluation.optional import require

Features = NDArray[np.floating[Any]]
INPUT_SIZE = 224
_CHUNK = 25  # pictures a pass; bounds the memory, changes nothing else
# What the SHA-256 of the weights of FID starts with; the names of their files end in it.
CANONICAL = "6726825d"
_EXPECTED = (
    f"expected the file weights-inception-2015-12-05-{CANONICAL}.pth that torch-fidelity publishes"
)


class FeatureExtractor(Protocol):
    """Anything that makes features of 8-bit pictures."""

    @property
    def protocol(self) -> str:
        """What the features are, in words."""
        ...

    def __call__(self, pictures: NDArray[np.uint8]) -> Features:
        """(B, H, W, 3) to (B, F)."""
        ...


def _in_chunks(
    pictures: NDArray[np.uint8], forward: Callable[[NDArray[np.uint8]], Features], size: int
) -> Features:
    """The features, (B, size), of pictures (B, H, W, 3)."""
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[-1] != 3:
        raise UsageError(
            f"got {pictures.dtype} pictures of shape {pictures.shape}; expected 8-bit ones, "
            "(B, H, W, 3)"
        )
    starts = range(0, len(pictures), _CHUNK)
    chunks = [forward(pictures[start : start + _CHUNK]) for start in starts]
    return np.concatenate([np.empty((0, size), np.float32), *chunks])


class EfficientNetLite0:
    """The features of EfficientNet-Lite0 (ImageNet): spatial mean of its last feature map, 1280.

    Args:
        device: where torch computes.

    Raises:
        MissingExtraError: torch, the network's package or the weights' package is not installed.
    """

    size = 1280
    DEPTHS = (STEM, 2, 4, 7, 10)
    """Where `maps` looks."""

    def __init__(self, device: str = "cpu") -> None:
        network, self._path = pretrained(0)
        self._torch = importlib.import_module("torch")
        self._network = network.to(device)
        self._device = device

    @property
    def name(self) -> str:
        """The name of the file of weights, without its suffix."""
        return self._path.stem

    @property
    def protocol(self) -> str:
        """What the features are, in words."""
        return (
            f"{self.name} (ImageNet), spatial mean of the last feature map, {self.size}; "
            f"8-bit pictures resized to {INPUT_SIZE}x{INPUT_SIZE} by Pillow bicubic"
        )

    def __call__(self, pictures: NDArray[np.uint8]) -> Features:
        """(B, H, W, 3) uint8 to (B, 1280) float32."""
        return _in_chunks(pictures, self._forward, self.size)

    def _forward(self, pictures: NDArray[np.uint8]) -> Features:
        size = (INPUT_SIZE, INPUT_SIZE)
        resized = [Image.fromarray(one).resize(size, Image.Resampling.BICUBIC) for one in pictures]
        with self._torch.inference_mode():
            tensor = self._tensor(np.stack([np.asarray(one) for one in resized]))
            maps = self._network.extract_features(tensor)  # (B, 1280, 7, 7)
            return np.asarray(maps.mean(dim=(2, 3)).float().cpu().numpy())

    def maps(self, pictures: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """The feature maps of pictures (B, H, W, 3) in their own size at each of `DEPTHS`:
        (B, 32, H/2, W/2), (B, 24, H/4, W/4), (B, 40, H/8, W/8), (B, 80, H/16, W/16) and
        (B, 112, H/16, W/16), more or less a place.
        """
        with self._torch.inference_mode():
            found = feature_maps(self._network, self._tensor(pictures), self.DEPTHS)
            return [np.asarray(one.float().cpu().numpy()) for one in found]

    def _tensor(self, pictures: NDArray[np.uint8]) -> Any:
        """Pictures (B, H, W, 3) as the network takes them: (B, 3, H, W)."""
        pixels = (pictures.astype(np.float32) / 255 - MEAN) / DEVIATION
        tensor = self._torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
        return tensor.to(self._device)


class InceptionV3:
    """The features of FID (Heusel et al. 2017): the last pooling of Inception v3, 2048, computed by
    torch-fidelity, whose network and resizing give the numbers of the original TensorFlow graph.

    Args:
        weights: a file of its weights. The canonical ones are published by torch-fidelity as
            weights-inception-2015-12-05-6726825d.pth, and by pytorch-fid under another name.
        device: where torch computes.

    Raises:
        MissingExtraError: torch or torch-fidelity is not installed.
        ModelError: the file cannot be read, or holds something else.
    """

    size = 2048

    def __init__(self, weights: str | Path, device: str = "cpu") -> None:
        self._torch = require("torch", what="FID", package="torch")
        try:
            fidelity = importlib.import_module("torch_fidelity")
        except ModuleNotFoundError as error:
            raise MissingExtraError("FID", "torch-fidelity", "fid") from error
        self._version = fidelity.__version__
        self._path = Path(weights)
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise ModelError(f"{weights}: cannot be read ({reason(error)}); {_EXPECTED}") from error
        self._sha256 = hashlib.sha256(content).hexdigest()
        tensors = self._tensors_alone(content)
        try:
            network = fidelity.FeatureExtractorInceptionV3("inception", [str(self.size)], tensors)
        except Exception as error:  # keys, shapes and types that do not fit raise one each
            raise ModelError(
                f"{weights}: holds no weights of Inception v3 ({reason(error)[:200]}); {_EXPECTED}"
            ) from error
        self._network = network.eval().to(device)
        self._device = device

    def _tensors_alone(self, content: bytes) -> io.BytesIO:
        """The tensors of a file, written anew: torch-fidelity unpickles whatever it is given."""
        try:
            tensors = self._torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except Exception as error:  # damaged bytes make torch raise nearly every type
            # Not in torch's words, which recommend to unpickle the file.
            raise ModelError(
                f"{self._path}: is damaged or holds more than tensors; {_EXPECTED}: copy it again"
            ) from error
        written = io.BytesIO()
        self._torch.save(tensors, written)
        written.seek(0)
        return written

    @property
    def protocol(self) -> str:
        """What the features are, in words."""
        return (
            f"Inception v3 of torch-fidelity {self._version}, last pooling, {self.size}; weights "
            f"{self._path.name}, SHA-256 {self._sha256}; 8-bit pictures resized to 299x299 as "
            "TensorFlow 1 does"
        )

    @property
    def caution(self) -> str | None:
        """Why these features are not those of published figures; None if they are."""
        if self._sha256.startswith(CANONICAL):
            return None
        return (
            f"fid and kid are not the canonical ones: the SHA-256 of {self._path.name} starts with "
            f"{self._sha256[: len(CANONICAL)]} instead of {CANONICAL}; compare them with each "
            "other only"
        )

    def __call__(self, pictures: NDArray[np.uint8]) -> Features:
        """(B, H, W, 3) uint8 to (B, 2048) float32."""
        return _in_chunks(pictures, self._forward, self.size)

    def _forward(self, pictures: NDArray[np.uint8]) -> Features:
        tensor = self._torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))
        with self._torch.inference_mode():
            (features,) = self._network(tensor.to(self._device))
            return np.asarray(features.float().cpu().numpy())
