"""Mean and deviation of samples, and the intervals that a calibration makes of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sr4.config import Calibration
from sr4.evaluation.metrics import Float64
from sr4.pictures.pixels import quantise
from sr4.upscaling.intervals import deviation, factor

Pixels = NDArray[np.uint8]  # (B, H, W, C)


@dataclass(frozen=True)
class Spread:
    """Mean and deviation of the samples of a batch, as `sr4.upscaling.result.Result` has them.

    Args:
        mean: (B, H, W, C) in 8 bits; uncertainty: (B, H, W) on the [0, 1] scale.
        samples: of each picture.
    """

    mean: Pixels
    uncertainty: Float64
    samples: int

    def errors(self, truths: Pixels) -> NDArray[np.float32]:
        """How far the mean is off, (B, H, W, C) on the [0, 1] scale."""
        return np.asarray(np.abs(truths.astype(np.float32) - self.mean) / 255, np.float32)

    def uncalibrated_coverage(self, truths: Pixels, level: float = 0.95) -> Float64:
        """Share of each picture's values, (B,), that as many deviations hold as hold that share of
        a normal distribution: 1.96 for 95 %.
        """
        deviations = NormalDist().inv_cdf((1 + level) / 2)
        inside = self.errors(truths) <= deviations * self.uncertainty[..., None]
        return np.asarray(inside.mean(axis=(1, 2, 3)), np.float64)


class RunningSpread:
    """The spread of samples that come one after the other (Welford 1962).

    Args:
        counts: the numbers of samples after which it is kept.
    """

    def __init__(self, counts: Iterable[int]) -> None:
        self._counts, self._done = frozenset(counts), 0
        self._mean: Float64 | None = None
        self._squares: Float64 | None = None
        self.kept: dict[int, Spread] = {}

    def add(self, drawn: NDArray[np.float32]) -> None:
        """One more sample of each picture, (B, C, H, W) in [-1, 1]."""
        if not self._counts:
            return
        self._done += 1
        if self._mean is None or self._squares is None:
            self._mean, self._squares = drawn.astype(np.float64), np.zeros(drawn.shape)
        else:
            distance = drawn - self._mean
            self._mean += distance / self._done
            self._squares += distance * (drawn - self._mean)
        if self._done in self._counts:
            deviations = np.sqrt(self._squares / (self._done - 1)).mean(axis=1)
            # [-1, 1] to [0, 1] is the factor 2.
            spread = Spread(quantise(self._mean), deviations / 2, self._done)
            self.kept[self._done] = spread


@dataclass(frozen=True)
class Intervals:
    """The calibrated intervals of a batch, beside the truth.

    Args:
        truths: (B, H, W, C) in 8 bits.
    """

    truths: Pixels
    spread: Spread
    calibration: Calibration

    @cached_property
    def deviations(self) -> NDArray[np.float32]:
        """(B, H, W) on the [0, 1] scale."""
        made_by = self.calibration
        return deviation(self.spread.uncertainty, smoothing=made_by.smoothing, floor=made_by.floor)

    def half_width(self, level: float) -> NDArray[np.float32]:
        """(B, H, W) on the [0, 1] scale."""
        return factor(self.calibration, level, self.spread.samples) * self.deviations

    def coverage(self, level: float) -> Float64:
        """Share of each picture's values that lie in their intervals, (B,)."""
        inside = self.spread.errors(self.truths) <= self.half_width(level)[..., None]
        return np.asarray(inside.mean(axis=(1, 2, 3)), np.float64)

    @property
    def rank(self) -> Float64:
        """See `spread_rank`."""
        return spread_rank(self.deviations, self.spread.errors(self.truths))


def spread_rank(deviations: NDArray[np.float32], errors: NDArray[np.float32]) -> Float64:
    """Spearman's correlation of deviation and error over the pixels of each picture, (B,); not a
    number where one of them is the same everywhere.

    Args:
        deviations: (B, H, W); errors: (B, H, W, C), of which the mean over the channels is taken.
    """
    from scipy.stats import ConstantInputWarning, spearmanr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        pairs = zip(deviations, errors.mean(axis=-1), strict=True)
        return np.array([spearmanr(one.ravel(), other.ravel()).statistic for one, other in pairs])
