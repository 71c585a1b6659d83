"""What upscaling gives: pictures, their uncertainty, and how well they fit their input."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.evidence.kinds import Evidence
from sr4.pictures import NO_METADATA, Metadata, Raster

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Result:
    """What `upscale` gives for one picture: in the mode and the depth of the picture given, so far
    as Pillow has such pictures; `raster` and `rasters` have it always. Pictures that are equal by
    definition are one object.

    Attributes:
        raster: the result: the first sample, or the mean where that was asked for.
        rasters: all K samples.
        mean_raster: mean of the samples; closer to the truth than any one of them, and softer.
        uncertainty: (H, W) float32, sample standard deviation over the K samples, mean over the
            channels, on the [0, 1] scale: how much of each pixel was invented. Zero where K is 1.
        consistency: the mean squared distance of D(raster) to what the evidence allows, on the
            [0, 1] scale, x 1e-5, as the result is rounded, over the channels of colour. Of exact
            pixels, and without evidence, that is `mean((D(raster) - low_res)²)`.
        evidence: what the input was taken to say.
        given_up: (h, w), the pixels of the input that the result is off by more than a level from,
            for no picture fits them, or because it was not asked to.
        metadata: what the file of the input said besides its pixels, as far as it is true of the
            result; its profile, EXIF, XMP and resolution are in `info` of the Pillow pictures.
    """

    raster: Raster
    rasters: tuple[Raster, ...]
    mean_raster: Raster
    uncertainty: Floats
    consistency: float
    evidence: Evidence
    given_up: NDArray[np.bool_]
    metadata: Metadata = NO_METADATA

    @cached_property
    def _pictures(self) -> dict[int, Image.Image]:
        rasters = {id(one): one for one in (self.raster, *self.rasters, self.mean_raster)}
        return {key: self._picture(one) for key, one in rasters.items()}

    def _picture(self, raster: Raster) -> Image.Image:
        picture = raster.to_pil()
        picture.info |= self.metadata.for_colour(raster.colour).info()
        return picture

    @property
    def image(self) -> Image.Image:
        """The result as a Pillow picture."""
        return self._pictures[id(self.raster)]

    @property
    def samples(self) -> tuple[Image.Image, ...]:
        """All K samples as Pillow pictures."""
        return tuple(self._pictures[id(one)] for one in self.rasters)

    @property
    def mean(self) -> Image.Image:
        """The mean of the samples as a Pillow picture."""
        return self._pictures[id(self.mean_raster)]

    @property
    def array(self) -> NDArray[Any]:
        """The result's pixels, (H, W) or (H, W, N), of the type given; alpha is the last."""
        return self.raster.array
