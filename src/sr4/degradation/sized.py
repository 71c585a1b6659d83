"""Bicubic downscaling between two given sizes, of any ratio, and of windows of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sr4.degradation.banded import resized
from sr4.degradation.bicubic import Rows, RowsOf, check_sizes, resize_rows
from sr4.degradation.blur import check_blur, damped_values, reach_of, rows_after, weak_values
from sr4.degradation.enlarging import enlarged
from sr4.degradation.fit import fit
from sr4.degradation.inverse import Adjoint, PseudoInverse
from sr4.degradation.protocols import Array, Centres, Floats, Place, near
from sr4.errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import Self

MARGIN = 12
"""Low-res rows around others from which these, enlarged, follow, at any ratio; whole factors need
no more than `operator.MARGIN`."""

_ALL = slice(None)


@dataclass(frozen=True)
class Window:
    """Rows `start` to `stop` of a matrix, with the columns that they need and no others: a matrix
    by itself, which leaves nothing out.

    Args:
        rows: of the whole matrix, (size_out, size_in).
    """

    rows: RowsOf
    size_in: int
    size_out: int
    start: int
    stop: int

    @cached_property
    def columns(self) -> tuple[int, int]:
        """The first one needed, and the one after the last."""
        first, _ = self.rows(self.size_in, self.size_out, self.start, self.start + 1)
        last = self.rows(self.size_in, self.size_out, self.stop - 1, self.stop)
        return first, last.first + last.matrix.shape[1]

    def __call__(self, size_in: int, size_out: int, start: int, stop: int) -> Rows:
        found = self.rows(self.size_in, self.size_out, self.start + start, self.start + stop)
        return Rows(found.first - self.columns[0], found.matrix)


@dataclass(frozen=True)
class SizedDegradation:
    """Bicubic downscaling from one size to another, after a Gaussian blur if there is one.

    Other than that by a whole factor (`Degradation`), it belongs to one size of picture, and a
    window of it has to know where it lies. Its singular values are at least 0.5 of the largest for
    ratios from 1.1 on, so that its pseudo-inverse needs no regularisation. Nearer to 1 the least
    gets smaller the larger the picture is, as somewhere pixels lie just between those of the other:
    0.149 from 201 to 200 pixels, 0.106 from 401 to 400, 0.067 from 1000 to 999. Patterns as fine
    as pixels are up to so many times as strong there.

    Args:
        high: height and width of `high_res`.
        low: those of `low_res`, at most as large.
        blur: deviation of the blur, in pixels of `low_res`; as in `Degradation`.
        start, stop: of a window, the first low-res row and column, and those after the last.

    Raises:
        UsageError: `high` is smaller than `low`, or the blur is impossible.
    """

    high: tuple[int, int]
    low: tuple[int, int]
    blur: float = 0.0
    start: tuple[int, int] = (0, 0)
    stop: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for high, low in zip(self.high, self.low, strict=True):
            check_sizes(high, low)
            if high < low:
                raise UsageError(
                    f"got a downscaling from {high} to {low} pixels; expected no more than before"
                )
        check_blur(self.blur)

    @cached_property
    def _axes(self) -> tuple[Window, Window]:
        rows, stop = rows_after(self.blur), self.stop or self.low
        vertical, horizontal = (
            Window(rows, *each) for each in zip(self.high, self.low, self.start, stop, strict=True)
        )
        return vertical, horizontal

    @property
    def _sizes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Of what it takes, and of what it makes."""
        taken, made = zip(
            *((axis.columns[1] - axis.columns[0], axis.stop - axis.start) for axis in self._axes),
            strict=True,
        )
        return taken, made

    def __call__(self, x: Array) -> Array:
        """D(x): (..., H, W) to (..., h, w)."""
        taken, made = self._sizes
        if tuple(x.shape[-2:]) != taken:
            raise UsageError(
                f"got a {x.shape[-1]}x{x.shape[-2]} high-res size; expected {taken[1]}x{taken[0]}"
            )
        vertical, horizontal = self._axes
        return resized(x, vertical, *made, across=horizontal)

    def adjoint(self, y: Array) -> Array:
        """Dᵀ(y): (..., h, w) to (..., H, W)."""
        vertical, horizontal = (Adjoint(axis) for axis in self._axes)
        return resized(y, vertical, *self._sizes[0], across=horizontal)

    def pseudo_inverse(self, y: Array) -> Array:
        """D⁺(y), the smallest picture that D maps onto y: (..., h, w) to (..., H, W)."""
        return self._enlarged(y, weak_values(self.blur))

    def descent(self, y: Array) -> Array:
        """See `Degradation.descent`."""
        return self._enlarged(y, damped_values(self.blur))

    @property
    def reach(self) -> int:
        """See `Degradation.reach`."""
        return reach_of(self.blur)

    def _enlarged(self, y: Array, weak: float) -> Array:
        vertical, horizontal = (PseudoInverse(axis, weak) for axis in self._axes)
        return resized(y, vertical, *self._sizes[0], across=horizontal)

    def blurred(self, deviation: float) -> Self:
        """This one after a Gaussian blur; see `blur`."""
        return replace(self, blur=deviation)

    def cut(self, rows: slice = _ALL, columns: slice = _ALL) -> tuple[Self, Place]:
        """D of some low-res pixels, and the high-res ones that it takes for them."""
        limits = [
            [axis.start + place for place in part.indices(axis.stop - axis.start)[:2]]
            for axis, part in zip(self._axes, (rows, columns), strict=True)
        ]
        (top, bottom), (left, right) = limits
        found = replace(self, start=(top, left), stop=(bottom, right))
        down, across = (
            slice(inner.columns[0] - axis.columns[0], inner.columns[1] - axis.columns[0])
            for inner, axis in zip(found._axes, self._axes, strict=True)
        )
        return found, (down, across)

    def place(self, rows: slice = _ALL, columns: slice = _ALL) -> Place:
        """The high-res pixels whose centres lie in some low-res ones."""
        found = []
        for axis, part in zip(self._axes, (rows, columns), strict=True):
            high, low = axis.size_in, axis.size_out
            places = part.indices(axis.stop - axis.start)[:2]
            first, last = (
                -(-(2 * (axis.start + one) * high - low) // (2 * low)) - axis.columns[0]
                for one in places
            )
            found.append(slice(first, last))
        return found[0], found[1]

    def repeated(self, y: NDArray[Any]) -> NDArray[Any]:
        """The low-res pixel that each high-res one lies in: (..., h, w) to (..., H, W)."""
        for dimension, axis in zip((-2, -1), self._axes, strict=True):
            centres = 2 * np.arange(*axis.columns) + 1
            nearest = centres * axis.size_out // (2 * axis.size_in)
            held = np.clip(nearest, axis.start, axis.stop - 1) - axis.start
            y = np.take(y, held, axis=dimension)
        return y

    def centres(self, size: tuple[int, int]) -> Centres:
        """See `Degrades.centres`."""
        down, across = (
            (np.arange(*axis.columns) + 0.5) * axis.size_out / axis.size_in - 0.5 - axis.start
            for axis in self._axes
        )
        return down, across

    def fit(self, pictures: Floats, low_res: Floats) -> Floats:
        """See `Degradation.fit`."""
        return fit(self, pictures, low_res)

    def upsample(self, y: Array, rows: slice = _ALL) -> Array:
        """The bicubic picture, (..., h, w) to (..., H, W), or some of its rows. Not of a window."""
        height, width = self.high
        start, stop, _ = rows.indices(height)
        window = Window(resize_rows, y.shape[-2], height, start, stop)
        given = y[..., slice(*window.columns), :]
        return resized(given, window, stop - start, width, across=resize_rows)

    def enlarge(self, low_res: Floats, rows: slice = _ALL) -> Floats:
        """See `Degradation.enlarge`. Not of a window."""
        around, _ = near(rows, low_res.shape[-2], MARGIN + self.reach)
        part, (taken, _) = self.cut(around)
        inside, _ = self.place(rows)
        fitted = enlarged(part, self.upsample(low_res, taken), low_res[..., around, :])
        return fitted[..., inside.start - taken.start : inside.stop - taken.start, :]
