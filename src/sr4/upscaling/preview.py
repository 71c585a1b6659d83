"""Small pictures of results in the making."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
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
    high, wide = -(-height // factor), -(-width // factor)
    there = high if done == height else done // factor
    inside = np.unique(np.arange(_POINTS) * factor // _POINTS)

    def places(count: int, offset: int, length: int) -> NDArray[np.intp]:
        found: NDArray[np.intp] = np.minimum(factor * np.arange(count) + offset, length - 1)
        return found

    seen = np.zeros((there, wide, channels), np.float32)
    for down, across in product(inside, inside):
        seen += unit(pixels[np.ix_(places(there, down, height), places(wide, across, width))])
    small = np.full((channels, high, wide), np.nan, np.float32)
    small[:, :there] = np.moveaxis(seen / np.float32(len(inside) ** 2), 2, 0)
    return small
