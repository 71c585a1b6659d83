"""What upscaling gives: pictures, their uncertainty, and how well they fit their input."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.config import Calibration
from sr4.errors import PictureError, UsageError
from sr4.evidence.kinds import Evidence
from sr4.pictures import Metadata, Picture, Provenance, check_quality, losses, write_picture
from sr4.pictures.raster import Raster
from sr4.upscaling.intervals import SEVERAL_MODELS, deviation, factor
from sr4.upscaling.provenance import with_quality

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What `upscale` gives for one picture: in the mode and the depth of the picture given, so far
    as Pillow has such pictures; `raster` and `rasters` have it always. Pictures that are equal by
    definition are one object. A notebook shows it beside its input.

    Examples:
        >>> result = sr4.upscale("holiday.jpg", samples=8)
        >>> result
        Result(4000x3000 of 1000x750, by photo-x4, jpeg (quality 90, 4:2:0), consistency 0.004)
        >>> result.save("large.png")

    Attributes:
        raster: the result: the first sample, or the mean where that was asked for.
        rasters: all K samples.
        mean_raster: mean of the samples; closer to the truth than any one of them, and softer.
        uncertainty: (H, W) float32, sample standard deviation over the K samples, mean over the
            channels, on the [0, 1] scale: how much of each pixel was invented. Of a single sample
            it is zero everywhere, which says nothing. `sr4 upscale --uncertainty` writes the
            `half_width` of the 90 % interval in its place, where there is a calibration.
        consistency: the mean squared distance of D(raster) to what the evidence allows, on the
            [0, 1] scale, x 1e-5, as the result is rounded, over the channels of colour. Of exact
            pixels, and without evidence, that is `mean((D(raster) - low_res)²)`; with transparency,
            of colours as they are seen, weighted by alpha. Of an animation
            it is the first frame's; each of `frames` has its own.
        consistencies: the same of each sample.
        evidence: what the input was taken to say.
        given_up: (h, w), the pixels of the input that the result is off by more than a level from,
            for no picture fits them, or because it was not asked to.
        given: the picture given, upright, with what its file says.
        calibration: what makes intervals of the samples, and which pictures it was fitted on; None
            where there is none for results made so.
        provenance: how the result was made, which `save` writes into the file.
        frames: of an animation, the results of all frames, this being the first of them; else this
            one.
        metadata: what the file of the input said besides its pixels, as far as it is true of the
            result; its profile, EXIF, XMP and resolution are in `info` of the Pillow pictures.
    """

    raster: Raster
    rasters: tuple[Raster, ...]
    mean_raster: Raster
    uncertainty: Floats
    consistency: float
    consistencies: tuple[float, ...]
    evidence: Evidence
    given_up: NDArray[np.bool_]
    given: Picture
    calibration: Calibration | None = None
    provenance: Provenance | None = None
    why_uncalibrated: str = SEVERAL_MODELS
    later_frames: tuple[Result, ...] = ()

    def __repr__(self) -> str:
        (width, height), before = self.raster.size, self.given.frames[0].size
        parts = [f"{width}x{height} of {before[0]}x{before[1]}"]
        if self.later_frames:
            parts.append(f"{len(self.frames)} frames")
        if self.provenance is not None:
            parts.append(f"by {self.provenance['model']}")
        if len(self.rasters) > 1:
            parts.append(f"{len(self.rasters)} samples")
        if self.is_calibrated:
            assert self.calibration is not None
            parts.append(f"calibrated on {self.calibration.data_name}")
        parts += [str(self.evidence), f"consistency {self.consistency:.3g}"]
        return f"Result({', '.join(parts)})"

    @property
    def is_calibrated(self) -> bool:
        """Whether pixels have intervals."""
        made_by = self.calibration
        return made_by is not None and len(self.rasters) >= min(made_by.factors)

    def interval(self, level: float) -> tuple[Floats, Floats]:
        """The interval of each pixel that holds the truth at that share of the pixels, on average
        over pictures like those that the model was calibrated on; see docs/uncertainty.md.

        Args:
            level: such as 0.5, 0.8, 0.9 or 0.95; `calibration.levels` lists all.

        Returns:
            Lower and upper bounds around the mean of the samples, on the [0, 1] scale and clipped
            to it: (H, W), or (H, W, N) where there are several channels of colour. Alpha is not
            drawn, and has none.

        Raises:
            UsageError: there is no calibration for results made so, a single sample, or no such
                level.

        Examples:
            >>> result = sr4.load("sr4-fast").upscale(face, samples=16)
            >>> low, high = result.interval(0.90)
        """
        half = self.half_width(level)[..., None]
        raster = self.mean_raster
        mean = (raster.span.unit(raster.pixels) + 1) / 2
        channels = 0 if mean.shape[2] == 1 else slice(None)
        bounds = np.stack([mean - half, mean + half])[..., channels]
        low, high = np.clip(bounds, 0, 1, dtype=np.float32)
        return low, high

    def half_width(self, level: float) -> Floats:
        """Half the width of the interval of each pixel before it is clipped, the same for all
        channels: (H, W) on the [0, 1] scale. Arguments and errors are those of `interval`.
        """
        made_by = self.calibration
        if made_by is None:
            raise UsageError(self.why_uncalibrated)
        times = factor(made_by, level, len(self.rasters))
        spread = deviation(self.uncertainty, smoothing=made_by.smoothing, floor=made_by.floor)
        return np.asarray(times * spread, np.float32)

    @property
    def metadata(self) -> Metadata:
        """What the picture given says besides its pixels, as it is true of the result's size."""
        return self.given.metadata.for_size(self.raster.size)

    def _repr_html_(self) -> str:
        from sr4.upscaling.notebook import html

        return html(self)

    @property
    def frames(self) -> tuple[Result, ...]:
        """The results of all frames of an animation, this one first; of a picture this alone."""
        return (self, *self.later_frames)

    def save(
        self, path: str | Path, *, quality: int | None = None, overwrite: bool = False
    ) -> None:
        """Write the result as `sr4 upscale` does: whole or not at all, in the format of the suffix,
        with colour profile and metadata of the picture given, and with how it was made. All frames
        of an animation are written.

        Args:
            quality: of JPEG, WebP and AVIF, from 1 to 100: the lower, the smaller the file. None is
                95, and a WebP without loss.
            overwrite: whether a file that exists is replaced.

        Warns:
            UserWarning: the format loses something of the result.

        Raises:
            PictureError: `path` exists (without `overwrite`), its folder is missing or read-only,
                its suffix is unknown, or the format cannot hold the result.
            UsageError: `quality` is no such number, or the format has none.
        """
        if not isinstance(path, (str, os.PathLike)):
            raise PictureError(
                f"got {type(path).__name__} for a file name; expected a path such as 'large.png'"
            )
        target = Path(path)
        if not overwrite and os.path.lexists(target):
            raise PictureError(
                f"{str(path)!r} exists already; expected a new file: pass overwrite=True to "
                "replace it"
            )
        check_quality(target, quality)
        picture = replace(self.given, frames=tuple(one.raster for one in self.frames))
        for lost in losses(picture, target):
            warnings.warn(f"{target}: {lost}", stacklevel=2)
        said = self.provenance and with_quality(self.provenance, quality)
        write_picture(picture, target, provenance=said, quality=quality, overwrite=overwrite)

    @cached_property
    def _pictures(self) -> dict[int, Image.Image]:
        """The Pillow pictures that somebody has asked for, by the first place of their raster."""
        return {}

    def _picture(self, raster: Raster) -> Image.Image:
        place = (self.raster, *self.rasters, self.mean_raster).index(raster)
        if place not in self._pictures:
            picture = raster.to_pil()
            picture.info |= self.metadata.for_colour(raster.colour).info()
            self._pictures.setdefault(place, picture)
        return self._pictures[place]

    @property
    def image(self) -> Image.Image:
        """The result as a Pillow picture."""
        return self._picture(self.raster)

    @property
    def samples(self) -> tuple[Image.Image, ...]:
        """All K samples as Pillow pictures."""
        return tuple(map(self._picture, self.rasters))

    @property
    def mean(self) -> Image.Image:
        """The mean of the samples as a Pillow picture."""
        return self._picture(self.mean_raster)

    @property
    def array(self) -> NDArray[Any]:
        """The result's pixels, (H, W) or (H, W, N), of the type given; alpha is the last."""
        return self.raster.array
