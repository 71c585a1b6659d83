"""Metrics of single pictures: PSNR, SSIM, consistency, colour drift; intervals for their means.

Pictures are float arrays (B, C, H, W) in [0, 1]; every metric gives one float64 number a picture,
shape (B,). No border is cropped and nothing is rounded here: who wants the score of an 8-bit file
passes its values / 255.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict

from sr4.degradation import Degradation
from sr4.errors import UsageError
from sr4.evaluation.optional import require

Float64 = NDArray[np.float64]

SSIM_SIGMA = 1.5
SSIM_WINDOW = 11  # pixels; what scikit-image makes of sigma 1.5, truncated at 3.5 sigma
# ITU-R BT.601, R'G'B' in [0, 1] to the studio range 16-235 of 8 bits (MATLAB's rgb2ycbcr).
_LUMA_WEIGHTS = np.array([65.481, 128.553, 24.966]) / 255
_LUMA_OFFSET = 16 / 255


class Interval(BaseModel):
    """A mean, or another number of a set, with its 95 % interval."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float

    def within(self, limits: tuple[float, float]) -> Interval:
        """The same, no further than the least and the greatest number that there can be: intervals
        of means are wider than what was seen.
        """
        least, greatest = limits
        value, low, high = (
            min(max(one, least), greatest) for one in (self.value, self.low, self.high)
        )
        return Interval(value=value, low=low, high=high)

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


def luma(pictures: NDArray[Any]) -> Float64:
    """Y of ITU-R BT.601, as super-resolution papers use it: (B, 3, H, W) to (B, 1, H, W).

    Black is 16/255 and white 235/255; not rounded.
    """
    if pictures.shape[1] != 3:
        raise UsageError(
            f"got pictures with {pictures.shape[1]} channels; luma needs the 3 of RGB: "
            "use the metric without luma"
        )
    weighted = np.einsum("bchw,c->bhw", pictures.astype(np.float64), _LUMA_WEIGHTS)
    return np.asarray(weighted[:, None] + _LUMA_OFFSET)


def _pair(a: NDArray[Any], b: NDArray[Any], of_luma: bool) -> tuple[Float64, Float64]:
    if a.ndim != 4 or a.shape != b.shape:
        raise UsageError(
            f"got pictures of shapes {a.shape} and {b.shape}; expected two equal ones, (B, C, H, W)"
        )
    if of_luma:
        return luma(a), luma(b)
    return a.astype(np.float64), b.astype(np.float64)


def psnr(a: NDArray[Any], b: NDArray[Any], *, luma: bool = False) -> Float64:
    """Peak signal-to-noise ratio in dB, `-10 log10(mean((a - b)²))`; infinite for equal pictures.

    Args:
        a: (B, C, H, W) in [0, 1].
        b: same shape.
        luma: compare Y of BT.601 alone, still with a peak of 1 (that is, 255).
    """
    a, b = _pair(a, b, luma)
    with np.errstate(divide="ignore"):
        return np.asarray(-10 * np.log10(np.mean((a - b) ** 2, axis=(1, 2, 3))))


def ssim(a: NDArray[Any], b: NDArray[Any], *, luma: bool) -> Float64:
    """Structural similarity (Wang et al. 2004), by scikit-image with the paper's settings.

    Gaussian window of 11 x 11 pixels with sigma 1.5, population covariance, K1 = 0.01,
    K2 = 0.03; the mean over the places where the window is inside the picture.

    Args:
        a: (B, C, H, W) in [0, 1], at least 11 x 11 pixels.
        b: same shape.
        luma: compare Y of BT.601 alone; otherwise the mean over the channels.

    Raises:
        MissingExtraError: scikit-image is not installed.
        UsageError: the shapes differ, or a picture is smaller than the window.
    """
    similarity = require("skimage.metrics", what="SSIM", package="scikit-image", extra="scores")
    a, b = _pair(a, b, luma)
    if min(a.shape[-2:]) < SSIM_WINDOW:
        raise UsageError(
            f"got pictures of {a.shape[-1]}x{a.shape[-2]} pixels; SSIM needs at least "
            f"{SSIM_WINDOW} along each axis: use larger pictures"
        )
    scores = [
        similarity.structural_similarity(
            one,
            other,
            channel_axis=0,
            data_range=1.0,
            gaussian_weights=True,
            sigma=SSIM_SIGMA,
            use_sample_covariance=False,
        )
        for one, other in zip(a, b, strict=True)
    ]
    return np.array(scores, dtype=np.float64)


def consistency(result: NDArray[Any], low_res: NDArray[Any], degradation: Degradation) -> Float64:
    """How far a result contradicts its input: `mean((D(result) - low_res)²)`, 0 is best.

    Reported x 1e-5 (the unit of SR3's table); this is the raw number.

    Args:
        result: (B, C, H, W) in [0, 1].
        low_res: (B, C, H / scale, W / scale) in [0, 1], as the model got it.
    """
    degraded, low_res = _pair(degradation(result.astype(np.float64)), low_res, False)
    return np.asarray(np.mean((degraded - low_res) ** 2, axis=(1, 2, 3)))


def colour_drift(result: NDArray[Any], low_res: NDArray[Any], degradation: Degradation) -> Float64:
    """How far the colours of a result are off as a whole, 0 is best.

    `mean(D(result) - low_res)` over the pixels of each channel, then the root of the mean square
    over the channels. D keeps the low frequencies alone, so invented detail costs nothing. Wrong
    spatial means are a fault of diffusion models of their own (Deck & Bischoff 2023), which PSNR
    hardly shows; super-resolution with them corrects it against the input (StableSR, Wang et al.
    2024). The square is the part of the consistency that one constant per channel makes up.

    Reported in 8-bit levels, that is, x 255; this is the raw number.

    Args:
        result: (B, C, H, W) in [0, 1].
        low_res: (B, C, H / scale, W / scale) in [0, 1], as the model got it.
    """
    degraded, low_res = _pair(degradation(result.astype(np.float64)), low_res, False)
    shift = np.mean(degraded - low_res, axis=(2, 3))  # (B, C)
    return np.asarray(np.sqrt(np.mean(shift**2, axis=1)))


def bootstrap(
    values: ArrayLike,
    seed: int = 0,
    resamples: int = 1000,
    over: Callable[[Float64], Any] = np.mean,
) -> Interval:
    """The mean of independent values, or another number of them, with its 95 % percentile
    bootstrap interval (Efron 1979).

    That of a mean is widened as Student's t is wider than a normal distribution, and by the bias of
    the deviation of resampled values: without, it holds the true mean of 5 values 85 times in 100,
    of 2 values 52 times.

    Args:
        values: (N,) finite numbers, at least one; the interval of a single one is that one.
        seed: of the resampling: the same values and seed give the same interval.
        over: what makes one number of (N,) values.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or numbers.size == 0 or not np.all(np.isfinite(numbers)):
        raise UsageError(
            f"got values of shape {numbers.shape}; expected at least one number, all finite"
        )
    rng = np.random.default_rng(seed)
    size = numbers.size
    means = [over(numbers[rng.integers(size, size=size)]) for _ in range(resamples)]
    value = float(over(numbers))
    low, high = np.percentile(means, [2.5, 97.5])
    if over is np.mean and size > 1:
        low, high = value + _widening(size) * (np.array([low, high]) - value)
    return Interval(value=value, low=float(low), high=float(high))


def _widening(size: int) -> float:
    """What makes the 95 % percentile interval of a mean of so few values one of Student's t."""
    from scipy.special import ndtri, stdtrit  # not at the top: it takes long to load

    return float(stdtrit(size - 1, 0.975) / ndtri(0.975) * math.sqrt(size / (size - 1)))
