"""What follows from the matrix A of an axis: its adjoint and its pseudo-inverse, by rows.

No whole matrix is made for a long axis: that of 8,192 pixels times 8 would take 4 GB, and its
inverse minutes. The rows wanted depend on what is near alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sr4.degradation.bicubic import Float64, Rows, RowsOf

NEGLIGIBLE = 1e-9  # what counts as zero in a matrix, in units of its largest entry
_NEAR = 12  # low-res pixels on each side that are looked at first


@dataclass(frozen=True)
class Adjoint:
    """The rows of `Aᵀ`, (high, low), for A of shape (low, high) with high >= low."""

    rows: RowsOf

    def __call__(self, low: int, high: int, start: int, stop: int) -> Rows:
        def near(first: int, last: int) -> Float64:
            found: Float64 = _columns(self.rows(high, low, first, last), start, stop).T
            return found

        return _from_what_is_near(near, low, high, start, stop)


@dataclass(frozen=True)
class PseudoInverse:
    """The rows of `Aᵀ (A Aᵀ)⁻¹`, (high, low): the pseudo-inverse, as the rows of A are independent.

    `A Aᵀ` is banded, and its inverse falls off exponentially from the diagonal (Demko, Moss and
    Smith 1984): for bicubic downscaling by half an order of magnitude a pixel.

    Args:
        rows: of A.
        weak: singular values of A below this share of the largest count as erased, little by
            little: then `Aᵀ (A Aᵀ + ε² I)⁻¹` (Tikhonov). What a blur has all but erased would come
            back as noise.
    """

    rows: RowsOf
    weak: float = 0.0

    def __call__(self, low: int, high: int, start: int, stop: int) -> Rows:
        def near(first: int, last: int) -> Float64:
            rows = self.rows(high, low, first, last)
            gram = rows.matrix @ rows.matrix.T
            # The largest singular value is that of a flat picture, the root of low / high.
            gram += self.weak**2 * low / high * np.eye(len(gram))
            found: Float64 = np.linalg.solve(gram, _columns(rows, start, stop)).T
            return found

        return _from_what_is_near(near, low, high, start, stop)


@dataclass(frozen=True)
class GramInverse:
    """The rows of `(A Aᵀ)⁻¹`, (low, low): the pseudo-inverse without the adjoint.

    Args:
        rows: of A.
        high: columns of A.
    """

    rows: RowsOf
    high: int

    def __call__(self, low: int, _: int, start: int, stop: int) -> Rows:
        def near(first: int, last: int) -> Float64:
            matrix = self.rows(self.high, low, first, last).matrix
            unit = np.eye(len(matrix))[:, start - first : stop - first]
            found: Float64 = np.linalg.solve(matrix @ matrix.T, unit).T
            return found

        return _from_what_is_near(near, low, low, start, stop)


def _columns(rows: Rows, start: int, stop: int) -> Float64:
    """Columns `start` to `stop`, those that are not held being zero."""
    held = rows.matrix[:, max(0, start - rows.first) : max(0, stop - rows.first)]
    before = min(max(0, rows.first - start), stop - start)
    return np.pad(held, ((0, 0), (before, stop - start - before - held.shape[1])))


def _from_what_is_near(
    near: Callable[[int, int], Float64], low: int, high: int, start: int, stop: int
) -> Rows:
    """Rows `start` to `stop` made of ever more low-res pixels, until the outermost have no part.

    Args:
        near: the rows, given the first low-res pixel and the one after the last.
    """
    reach = _NEAR
    while True:
        first = max(0, start * low // high - reach)
        last = min(low, -(-stop * low // high) + reach)
        matrix = near(first, last)
        size = np.abs(matrix).max(axis=0)
        outermost = max(size[0] if first > 0 else 0, size[-1] if last < low else 0)
        if outermost <= NEGLIGIBLE * size.max():
            return Rows(first, matrix)
        reach *= 2
