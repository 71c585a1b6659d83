"""What upscaling gives: pictures, their uncertainty, and how well they fit their input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.degradation import Degradation, DegradationChain
from sr4.diffusion.samplers import OnStep, Step
from sr4.images import quantise, to_image
from sr4.tiling import BandedSampling

Floats = NDArray[np.float32]

# Low-res rows around a band from which D of its rows follows: 2 of them, and for a chain of n
# degradations less than 2 (1 + 1/2 + ... + 1/2^n).
_MARGIN = 4


@dataclass(frozen=True)
class Result:
    """What `upscale` gives for one picture. Pictures that are equal by definition are one object.

    Attributes:
        image: the result, 8-bit RGB: the first sample, or the mean where that was asked for.
        samples: all K samples, 8-bit RGB.
        mean: mean of the samples, 8-bit RGB; closer to the truth than any one of them, and softer.
        uncertainty: (H, W) float32, sample standard deviation over the K samples, mean over the
            channels, on the [0, 1] scale: how much of each pixel was invented. Zero where K is 1.
        consistency: `mean((D(image) - low_res)²)` on the [0, 1] scale, x 1e-5, of the 8-bit image.
    """

    image: Image.Image
    samples: tuple[Image.Image, ...]
    mean: Image.Image
    uncertainty: Floats
    consistency: float


def whole_result(
    samples: Floats,
    low_res: Floats,
    degradation: Degradation | DegradationChain,
    use_mean: bool,
) -> Result:
    """The result of samples (K, C, H, W) in [-1, 1] for low_res (C, h, w).

    The mean needs no projection: it fits low_res because each of the samples does, D being linear.
    """
    drawn = tuple(to_image(sample) for sample in samples)
    mean, deviation = drawn[0], np.zeros_like(samples[0])
    if len(samples) > 1:
        mean, deviation = to_image(samples.mean(axis=0)), samples.std(axis=0, ddof=1)
    chosen = mean if use_mean else drawn[0]
    pixels = np.moveaxis(np.asarray(chosen), -1, 0).astype(np.float64) / 255
    misfit = degradation(pixels) - (low_res.astype(np.float64) + 1) / 2
    return Result(
        image=chosen,
        samples=drawn,
        mean=mean,
        uncertainty=(deviation.mean(axis=0) / 2).astype(np.float32),  # [-1, 1] to [0, 1]
        consistency=float(np.mean(misfit**2)) / 1e-5,
    )


def large_result(
    samplings: Sequence[BandedSampling],
    low_res: Floats,
    degradation: Degradation | DegradationChain,
    use_mean: bool,
    on_step: OnStep | None,
) -> Result:
    """The result of one picture's samples for low_res (C, h, w), put together band by band."""
    sampling, count = samplings[0], len(samplings)
    _, height, width = sampling.shape
    drawn = [np.empty((height, width, 3), np.uint8) for _ in samplings]
    mean = np.empty_like(drawn[0]) if count > 1 else drawn[0]
    uncertainty = np.zeros((height, width), np.float32)
    for number, (place, *bands) in enumerate(zip(sampling.bands, *samplings, strict=True)):
        rows = slice(*place)
        for pixels, band in zip(drawn, bands, strict=True):
            pixels[rows] = quantise(band)
        if count > 1:
            together = np.stack(bands)
            mean[rows] = quantise(together.mean(axis=0))
            uncertainty[rows] = together.std(axis=0, ddof=1).mean(axis=0) / 2
        if on_step is not None:
            on_step(Step(number + 1, len(sampling.bands), bands[0], bands[0]))
    pictures = tuple(Image.fromarray(pixels) for pixels in drawn)
    average = Image.fromarray(mean) if count > 1 else pictures[0]
    return Result(
        image=average if use_mean else pictures[0],
        samples=pictures,
        mean=average,
        uncertainty=uncertainty,
        consistency=_consistency(mean if use_mean else drawn[0], low_res, degradation),
    )


def _consistency(
    pixels: NDArray[np.uint8], low_res: Floats, degradation: Degradation | DegradationChain
) -> float:
    """That of a large picture, by bands."""
    scale, total = degradation.scale, 0.0
    for start, stop, top, bottom in _bands_with_margin(low_res.shape[1]):
        rows = np.moveaxis(pixels[top * scale : bottom * scale], -1, 0).astype(np.float64) / 255
        seen = degradation(rows)[:, start - top : stop - top]
        wanted = (low_res[:, start:stop].astype(np.float64) + 1) / 2
        total += float(np.sum((seen - wanted) ** 2))
    return total / low_res.size / 1e-5


def _bands_with_margin(height: int) -> Iterator[tuple[int, int, int, int]]:
    for start in range(0, height, 64):
        stop = min(start + 64, height)
        yield start, stop, max(0, start - _MARGIN), min(height, stop + _MARGIN)
