"""Uncertainty maps: what they show of a result, as numbers and as pictures with a scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from sr4.pictures.raster import Raster
    from sr4.upscaling.result import Result

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
_TICKS = 4  # parts of a scale between numbers
_SMALL, _LARGE = 11, 48  # pixels of the letters of a scale
_LETTERS = 60  # that go into the width of a picture, where it is so large


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


def legend(result: Result) -> Legend:
    """The legend of the map of a result."""
    if result.calibration is None or not result.is_calibrated:
        return Legend(
            "the standard deviation of the samples in levels of 255, not calibrated",
            "standard deviation, levels of 255",
            False,
            round(255 * FULL_SCALE),
        )
    half = f"half the {100 * LEVEL:g} % interval"
    return Legend(
        f"{half} in levels of 255, calibrated on {result.calibration.data_name}",
        f"{half}, levels of 255",
        True,
        round(255 * INTERVAL_SCALE),
    )


@dataclass(frozen=True)
class UncertaintyMap:
    """How sure a result is of each pixel: half the width of its calibrated interval or, where there
    is none, the standard deviation of the samples.

    Attributes:
        values: (H, W) on the [0, 1] scale; legend: what they are.
    """

    values: NDArray[np.float32]
    legend: Legend

    @classmethod
    def of(cls, result: Result) -> UncertaintyMap:
        """The map of a result of several samples."""
        values = result.half_width(LEVEL) if result.is_calibrated else result.uncertainty
        return cls(values, legend(result))

    def raster(self) -> Raster:
        """The numbers themselves, in levels of 255, as float32."""
        from sr4.pictures.raster import checked

        return checked(self.values * np.float32(255), "grey")

    def picture(self, *, has_scale: bool) -> Image.Image:
        """In colours.

        Args:
            has_scale: whether these are explained below.
        """
        picture = heatmap(self.values, self.legend.most / 255)
        return _explained(picture, self.legend) if has_scale else picture


def _explained(picture: Image.Image, legend: Legend) -> Image.Image:
    """A map above its scale: a bar of all colours, numbers below it, and the unit."""
    size = min(_LARGE, max(_SMALL, picture.width // _LETTERS))
    font: Any = ImageFont.load_default(size)
    margin, line = size, round(1.4 * size)
    width = max(picture.width, 2 * margin + int(font.getlength(legend.unit)) + 1)
    whole = Image.new("RGB", (width, picture.height + 2 * margin + size + 2 * line), "white")
    whole.paste(picture, (0, 0))
    left, right, top = margin, width - margin, picture.height + margin
    ramp = Image.fromarray(colours()[None]).resize((right - left, size), Image.Resampling.BILINEAR)
    whole.paste(ramp, (left, top))
    draw = ImageDraw.Draw(whole)
    for part in range(_TICKS + 1):
        place = left + part * (right - left - 1) / _TICKS
        number = f"{legend.most * part // _TICKS}{'+' if part == _TICKS else ''}"
        draw.line([(place, top + size), (place, top + size + 2)], fill="black")
        draw.text((place, top + size + 3), number, fill="black", font=font, anchor="ma")
    draw.text((width / 2, top + size + 3 + line), legend.unit, fill="black", font=font, anchor="ma")
    return whole
