"""Uncertainty maps as pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FULL_SCALE = 32 / 255
"""The standard deviation, on the [0, 1] scale, from which on a map shows its brightest colour."""

# Every tenth of the perceptually uniform map "inferno" (van der Walt and Smith 2015, CC0).
_ANCHORS = (
    (0, 0, 4),
    (22, 11, 57),
    (66, 10, 104),
    (106, 23, 110),
    (147, 38, 103),
    (188, 55, 84),
    (221, 81, 58),
    (243, 120, 25),
    (252, 165, 10),
    (246, 215, 70),
    (252, 255, 164),
)


def colours() -> NDArray[np.uint8]:
    """The map's 256 colours, (256, 3), from black over red to pale yellow."""
    places = np.linspace(0, len(_ANCHORS) - 1, 256)
    channels = np.transpose(_ANCHORS)
    mixed = [np.interp(places, np.arange(len(_ANCHORS)), channel) for channel in channels]
    lookup: NDArray[np.uint8] = np.rint(np.stack(mixed, axis=1)).astype(np.uint8)
    return lookup


def heatmap(uncertainty: NDArray[np.float32]) -> Image.Image:
    """An RGB picture of a standard deviation (H, W) on the [0, 1] scale: black is 0."""
    shares = np.clip(uncertainty / FULL_SCALE, 0.0, 1.0)
    return Image.fromarray(colours()[np.rint(shares * 255).astype(np.uint8)])
