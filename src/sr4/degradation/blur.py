"""A Gaussian blur of one axis, by itself and before a resizing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr4.degradation.bicubic import Float64, Rows, RowsOf, resize_rows
from sr4.errors import UsageError

MAX_BLUR = 8.0
"""The largest deviation of a blur, in low-res pixels: beyond, nothing is left to bring back."""
_WEAK = 0.05  # what a blur leaves of the singular values; see `PseudoInverse`
_DAMPED = 0.25  # likewise, in rounds: with less they grow apart, with more they take longer
_FIT_REACH = 8  # deviations beyond which a need moves a fit by less than a tenth of a level
_REACH = 6.5  # deviations beyond which a Gaussian is below a thousand millionth of its height
_NARROWEST = 0.025  # pixels, up to which a neighbour's weight is 0 in float64: exp(-800)


@lru_cache(maxsize=64)
def gaussian_matrix(size: int, deviation: float) -> Float64:
    """A Gaussian blur of one axis as a matrix, shape (size, size), float64, read-only. At the
    borders, the weights of the pixels that are there add up to 1.

    Args:
        deviation: in pixels.
    """
    matrix = _gaussian(np.arange(size), np.arange(size), deviation)
    matrix.flags.writeable = False
    return matrix


def _gaussian(places: NDArray[Any], neighbours: NDArray[Any], deviation: float) -> Float64:
    """The weights of neighbours, (places, neighbours); those of each place add up to 1."""
    distances = (places[:, None] - neighbours) / max(deviation, _NARROWEST)
    matrix = np.exp(-0.5 * distances**2)
    return np.asarray(matrix / matrix.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class BlurredRows:
    """The rows of a bicubic downscaling after a Gaussian blur.

    Args:
        deviation: of the blur, in pixels of the smaller picture.
    """

    deviation: float

    def __call__(self, high: int, low: int, start: int, stop: int) -> Rows:
        rows = resize_rows(high, low, start, stop)
        deviation = self.deviation * high / low
        last, reach = rows.first + rows.matrix.shape[1], math.ceil(_REACH * deviation)
        first, after = max(0, rows.first - reach), min(high, last + reach)
        blur = _gaussian(np.arange(rows.first, last), np.arange(first, after), deviation)
        return Rows(first, rows.matrix @ blur)


def rows_after(blur: float) -> RowsOf:
    """The rows of a bicubic downscaling after a blur of that deviation; 0 is none."""
    return BlurredRows(blur) if blur > 0 else resize_rows


def weak_values(blur: float) -> float:
    """Up to where singular values count as erased in the pseudo-inverse of such a downscaling."""
    return _WEAK if blur > 0 else 0.0


def damped_values(blur: float) -> float:
    """The same in rounds that clip what they add; see `Degradation.descent`."""
    return _DAMPED if blur > 0 else 0.0


def reach_of(blur: float) -> int:
    """Low-res pixels that what lies around has to be wider by, after a blur of that deviation."""
    return math.ceil(_FIT_REACH * blur)


def check_blur(blur: float) -> None:
    """Refuse impossible deviations.

    Raises:
        UsageError: says so.
    """
    if not 0 <= blur <= MAX_BLUR:
        raise UsageError(
            f"got a blur of {blur}; expected a deviation of 0 to {MAX_BLUR:g} low-res pixels"
        )
