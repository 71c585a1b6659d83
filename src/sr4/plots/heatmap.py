"""The colours of uncertainty maps, and what they stand for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.config import Calibration

FULL_SCALE = 32 / 255
"""The standard deviation, on the [0, 1] scale, from which on a map shows its brightest colour."""

INTERVAL_SCALE = 96 / 255
"""Half the width of an interval, likewise."""

LEVEL = 0.90
"""Of the intervals whose widths maps show."""

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


def heatmap(uncertainty: NDArray[np.float32], full_scale: float = FULL_SCALE) -> Image.Image:
    """An RGB picture of an uncertainty (H, W) on the [0, 1] scale: black is 0.

    Args:
        full_scale: what the brightest colour stands for, and all above.
    """
    shares = np.clip(uncertainty / full_scale, 0.0, 1.0)
    return Image.fromarray(colours()[np.rint(shares * 255).astype(np.uint8)])


class Legend(NamedTuple):
    """What the map of a result shows.

    Attributes:
        shows: in words, with the pictures that it was calibrated on.
        unit: the same in short.
        is_calibrated: whether it is half the width of intervals, not a mere standard deviation.
        most: what the brightest colour stands for, in levels of 255.
    """

    shows: str
    unit: str
    is_calibrated: bool
    most: int


def legend_of(calibration: Calibration | None) -> Legend:
    """The legend of the maps that a calibration makes; without one they show the deviation."""
    if calibration is None:
        return Legend(
            "the standard deviation of the samples in levels of 255, not calibrated",
            "standard deviation, levels of 255",
            False,
            round(255 * FULL_SCALE),
        )
    half = f"half the {100 * LEVEL:g} % interval"
    return Legend(
        f"{half} in levels of 255, calibrated on {calibration.data_name}",
        f"{half}, levels of 255",
        True,
        round(255 * INTERVAL_SCALE),
    )
