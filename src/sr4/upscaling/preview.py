"""Small pictures of results in the making."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_POINTS = 2  # along each axis, of those of a result's that a pixel is the mean of


def shrunk(
    pixels: NDArray[Any], done: int, side: int, unit: Callable[[NDArray[Any]], Floats]
) -> Floats:
    """A result in the making, shrunk by a whole factor. Its cost does not grow with the result: a
    pixel is the mean of at most 2x2 of those that it stands for.

    Args:
        pixels: (H, W, N), of any type; done: how many of its rows there are.
        side: the longest that is wanted, in pixels.
        unit: gives [-1, 1] of pixels.

    Returns:
        (N, h, w) in [-1, 1]; NaN in rows that are not there yet.
    """
    height, width, channels = pixels.shape
    factor = -(-max(height, width) // side)
    points = min(factor, _POINTS)
    high, wide = -(-height // factor), -(-width // factor)
    there = high if done == height else done // factor

    def places(count: int, length: int) -> NDArray[np.intp]:
        first = factor * np.arange(count)[:, None]
        found: NDArray[np.intp] = first + np.arange(points) * factor // points
        return np.minimum(found, length - 1).ravel()

    seen = unit(pixels[np.ix_(places(there, height), places(wide, width))])
    small = np.full((channels, high, wide), np.nan, np.float32)
    blocks = seen.reshape(there, points, wide, points, channels)
    small[:, :there] = np.moveaxis(blocks.mean(axis=(1, 3)), 2, 0)
    return small
