"""What metrics of single pictures see: results beside their originals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr4.degradation import Degradation
from sr4.errors import UsageError
from sr4.evaluation import metrics
from sr4.evaluation.metrics import Float64
from sr4.evaluation.perceptual import PerceptualDistance
from sr4.evaluation.spread import Intervals, Pixels

PEAK = 255  # of 8 bits
_RGB = 3  # channels


@dataclass(frozen=True)
class Observed:
    """A batch of results beside what they should be.

    Args:
        truths: 8-bit originals; draws: results, K of each, of the same shape.
        low_res: what the results were made of, 8 bits, (B, h, w, C).
        degradation: what made it.
        border: pixels at each edge that PSNR and SSIM leave out.
        perceptual: the distance in feature maps; None leaves it out.
        intervals: the calibrated ones; None leaves them out.
    """

    truths: Pixels
    draws: Sequence[Pixels]
    low_res: Pixels
    degradation: Degradation
    border: int = 0
    perceptual: PerceptualDistance | None = None
    intervals: Intervals | None = None

    @property
    def results(self) -> Pixels:
        """The first draw of each picture."""
        return self.draws[0]

    @property
    def is_rgb(self) -> bool:
        """Whether there is a luma, and what feature networks see."""
        return bool(self.truths.shape[-1] == _RGB)

    @cached_property
    def truth(self) -> Float64:
        """Inside the border, (B, C, H, W) in [0, 1]."""
        return unit(self.inside(self.truths))

    @cached_property
    def result(self) -> Float64:
        """Inside the border, (B, C, H, W) in [0, 1]."""
        return unit(self.inside(self.results))

    @cached_property
    def mean(self) -> Float64:
        """The mean of the draws, rounded to 8 bits; inside the border, (B, C, H, W) in [0, 1]."""
        return unit(self.inside(np.rint(self.levels.mean(axis=0))))

    @cached_property
    def levels(self) -> Float64:
        """(K, B, H, W, C) of all draws."""
        return np.stack(self.draws).astype(np.float64)

    @cached_property
    def degraded(self) -> tuple[Float64, Float64, Degradation]:
        """What the metrics of D take: results and low_res, (B, C, H, W) in [0, 1], and D."""
        return unit(self.results), unit(self.low_res), self.degradation

    def inside(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Pixels (B, H, W, C) without the border."""
        height, width = pixels.shape[1:3]
        if min(height, width) - 2 * self.border < metrics.SSIM_WINDOW:
            raise UsageError(
                f"got a border of {self.border} for a picture of {width}x{height}; expected at "
                f"least {metrics.SSIM_WINDOW} pixels inside it: make it narrower"
            )
        return pixels[:, self.border : height - self.border, self.border : width - self.border]


def unit(pixels: NDArray[np.uint8] | Float64) -> Float64:
    """8-bit levels (B, H, W, C) to (B, C, H, W) in [0, 1]."""
    return np.asarray(np.moveaxis(pixels, -1, -3) / PEAK)
