"""Uncertainty maps: what they show of a result, as numbers and as pictures with a scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sr4.plots.heatmap import LEVEL, Legend, colours, heatmap, legend_of

if TYPE_CHECKING:
    from sr4.pictures.raster import Raster
    from sr4.upscaling.result import Result

_TICKS = 4  # parts of a scale between numbers
_SMALL, _LARGE = 11, 48  # pixels of the letters of a scale
_LETTERS = 60  # that go into the width of a picture, where it is so large


def legend(result: Result) -> Legend:
    """The legend of the map of a result."""
    return legend_of(result.calibration if result.is_calibrated else None)


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
