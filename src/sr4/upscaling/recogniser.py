"""A recogniser of faces: whether a tiny picture shows a face and nothing else.

It decides which shipped model a picture of 16 to 32 pixels goes through where none is named. Its
network of 30,000 weights was trained by `scripts/train_recogniser.py`, on the pictures that the new
models learn from (`docs/data.md`). Its weights have the terms of those of `sr4-fast`: research and
other non-commercial use, as the pictures of faces.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]

WEIGHTS = Path(__file__).with_name("recogniser.npz")
LAYERS = ((3, 24, 1), (24, 32, 2), (32, 48, 2))
"""Of each 3x3 convolution: channels in and out, and stride."""

_SIDE = 16
_SURE = 1.0  # log of the odds


def as_seen(pixels: NDArray[np.uint8]) -> Floats:
    """8-bit RGB pixels (H, W, 3) as the network takes them, (3, 16, 16) in [-1, 1]."""
    small = Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    return np.moveaxis(np.asarray(small, np.float32) / 127.5 - 1, 2, 0)


class Recogniser:
    """A convolutional network in NumPy: ReLU convolutions, then one number.

    Args:
        tensors: weights and biases by name, as torch calls them.
    """

    def __init__(self, tensors: Mapping[str, NDArray[np.floating]]) -> None:
        self._tensors = {name: array.astype(np.float32) for name, array in tensors.items()}

    @classmethod
    def open(cls, path: Path = WEIGHTS) -> Recogniser:
        """The recogniser whose weights an .npz file holds."""
        with np.load(path, allow_pickle=False) as tensors:
            return cls(dict(tensors))

    def is_face(self, pixels: NDArray[np.uint8]) -> bool:
        """Whether 8-bit RGB pixels (H, W, 3) are a face, by odds of more than e to one: of 1,500
        pictures of each kind held apart, 1.3 % of the faces, turned, moved and degraded, are
        passed over, and 0.4 % of the others are taken for one.
        """
        return self.is_sure(as_seen(pixels))

    def is_sure(self, x: Floats) -> bool:
        """Whether (3, 16, 16) in [-1, 1], as `as_seen` gives it, is a face by those odds."""
        return self.score(x) > _SURE

    def score(self, x: Floats) -> float:
        """The log of the odds that (3, 16, 16) in [-1, 1] is a face."""
        for number, (_, _, stride) in enumerate(LAYERS):
            weight, bias = (self._tensors[f"convolutions.{number}.{n}"] for n in ("weight", "bias"))
            padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
            windows = sliding_window_view(padded, (3, 3), (1, 2))[:, ::stride, ::stride]
            found = np.einsum("ihwyx,oiyx->ohw", windows, weight, optimize=True)
            x = np.maximum(found + bias[:, None, None], 0)
        return float(self._tensors["out.weight"][0] @ x.ravel() + self._tensors["out.bias"][0])


@cache
def recogniser() -> Recogniser:
    """The recogniser of faces that comes with the package, opened once."""
    return Recogniser.open()
