"""A distance between two pictures in the feature maps of an ImageNet network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr4.errors import UsageError
from sr4.evaluation.features import EfficientNetLite0, FeatureExtractor
from sr4.evaluation.metrics import Float64

SMALLEST = 32  # pixels a side; the deepest map has 2x2 places then
LARGEST = 1024  # pixels a side of what goes through the network at once; bounds the memory
_EPSILON = 1e-10  # of a squared length


class PerceptualDistance:
    """How different two pictures look: the distance of Zhang et al. (2018, The Unreasonable
    Effectiveness of Deep Features as a Perceptual Metric, equation 1) with EfficientNet-Lite0 and
    without learned weights, so its numbers are no LPIPS of another network.

    At each of five depths, from half to a sixteenth of the pictures' size, feature vectors are
    brought to length 1 at each place; the squared distance of the two vectors, from 0 to 4, is
    averaged over the places and then over the depths. Pictures keep their size.

    Args:
        network: gives the feature maps.
    """

    def __init__(self, network: EfficientNetLite0) -> None:
        self._network = network

    @property
    def protocol(self) -> str:
        """What the distance is, in words."""
        return (
            f"feature maps of {self._network.name} (ImageNet) at {len(self._network.DEPTHS)} "
            "depths, 1/2 to 1/16 of the size, vectors of length 1; squared distance, mean over "
            "places, then depths; no learned weights; 8-bit pictures in their own size, above "
            f"{LARGEST} pixels a side in equal parts"
        )

    def __call__(self, a: NDArray[np.uint8], b: NDArray[np.uint8]) -> Float64:
        """The distances (B,) of pictures (B, H, W, 3), each from the one with the same index.

        Raises:
            UsageError: they differ in shape, are not 8-bit RGB, or are smaller than 32x32 pixels.
        """
        for pictures in (a, b):
            if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[-1] != 3:
                raise UsageError(
                    f"got {pictures.dtype} pictures of shape {pictures.shape}; expected 8-bit "
                    "ones, (B, H, W, 3)"
                )
        if a.shape != b.shape or min(a.shape[1:3]) < SMALLEST:
            raise UsageError(
                f"got pictures of shapes {a.shape} and {b.shape}; expected two equal ones of at "
                f"least {SMALLEST}x{SMALLEST} pixels"
            )
        # One pair at a time: sums in another order would make a score hang on its batch.
        return np.array([self._of_pair(pair) for pair in np.stack([a, b], axis=1)])

    def _of_pair(self, pair: NDArray[np.uint8]) -> float:
        """The distance of two pictures (2, H, W, 3)."""
        parts = list(_parts(pair))
        areas = [part.shape[1] * part.shape[2] for part in parts]
        return float(np.average([self._of_part(part) for part in parts], weights=areas))

    def _of_part(self, pair: NDArray[np.uint8]) -> float:
        return float(np.mean([_squared_distance(one) for one in self._network.maps(pair)]))


def shared_distance(extractor: FeatureExtractor | None) -> PerceptualDistance | None:
    """The distance by a network that is loaded for other scores anyway; None if it is not one that
    gives feature maps.
    """
    return PerceptualDistance(extractor) if isinstance(extractor, EfficientNetLite0) else None


def _squared_distance(maps: NDArray[np.float32]) -> float:
    """Of the unit vectors of two feature maps (2, C, h, w), mean over the places."""
    lengths = np.sqrt((maps**2).sum(axis=1, keepdims=True) + _EPSILON)
    first, second = maps / lengths
    return float(((first - second) ** 2).sum(axis=0, dtype=np.float64).mean())


def _parts(pair: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """A pair (2, H, W, 3) in the fewest equal parts that are small enough."""
    rows, columns = (-(-side // LARGEST) for side in pair.shape[1:3])
    for band in np.array_split(pair, rows, axis=1):
        yield from np.array_split(band, columns, axis=2)
