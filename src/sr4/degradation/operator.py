"""D, its adjoint, its pseudo-inverse, and the projection onto the pictures that D maps onto one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sr4.degradation.arrays import array_namespace
from sr4.degradation.banded import inverted, resized
from sr4.degradation.bicubic import RowsOf, check_sizes, resize_rows
from sr4.degradation.blur import check_blur, damped_values, reach_of, rows_after, weak_values
from sr4.degradation.enlarging import enlarged
from sr4.degradation.fit import fit
from sr4.degradation.inverse import Adjoint
from sr4.degradation.protocols import Array, Centres, Floats, Place, near
from sr4.errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import Self

MARGIN = 8
"""Low-res rows around others from which D and D⁺ of these follow. D⁺ reaches further, but falls off
by half an order of magnitude with each."""

_ALL = slice(None)


def resize(x: Array, height: int, width: int) -> Array:
    """Bicubic resizing with antialiasing of (..., H, W) to (..., height, width).

    Equal to torch's `interpolate(mode="bicubic", antialias=True)` to float32 rounding.
    """
    for before, after in zip(x.shape[-2:], (height, width), strict=True):
        check_sizes(before, after)
    return resized(x, resize_rows, height, width)


@dataclass(frozen=True)
class Degradation:
    """Bicubic downscaling by a whole factor, after a Gaussian blur if there is one.

    Args:
        scale: the factor between `low_res` and `high_res` along each axis, at least 1.
        blur: deviation of the blur, in pixels of `low_res`; 0 is none. With one, `pseudo_inverse`
            is regularised: `project` then takes a few rounds.
    """

    scale: int
    blur: float = 0.0

    def __post_init__(self) -> None:
        if self.scale < 1:
            raise UsageError(f"got scale {self.scale}; expected a whole number of at least 1")
        check_blur(self.blur)

    @property
    def rows(self) -> RowsOf:
        """The rows of the matrix of an axis."""
        return rows_after(self.blur)

    def __call__(self, x: Array) -> Array:
        """D(x): (..., H, W) to (..., H / scale, W / scale)."""
        height, width = x.shape[-2:]
        if height % self.scale or width % self.scale:
            raise UsageError(
                f"got a {width}x{height} high-res size; expected multiples of the scale "
                f"{self.scale}: pad or crop the picture"
            )
        return resized(x, self.rows, height // self.scale, width // self.scale)

    def adjoint(self, y: Array) -> Array:
        """Dᵀ(y), with <D x, y> = <x, Dᵀ y>: (..., h, w) to (..., h * scale, w * scale)."""
        return resized(y, Adjoint(self.rows), *self._size(y))

    def pseudo_inverse(self, y: Array) -> Array:
        """D⁺(y), the smallest picture that D maps onto y: (..., h, w) to (..., H, W)."""
        return inverted(y, self.rows, self._size(y), weak_values(self.blur))

    def descent(self, y: Array) -> Array:
        """What to add to x for D x to grow by about y, in rounds that clip what was added: D⁺(y),
        but after a blur with much of what that left weak let go. Else rounds grow apart: what a
        blur has erased D⁺ adds with all its might, and clipping takes it away elsewhere.

        Args:
            y: (..., h, w).

        Returns:
            (..., H, W).
        """
        return inverted(y, self.rows, self._size(y), damped_values(self.blur))

    @property
    def reach(self) -> int:
        """Low-res pixels by which a blur widens what others follow from."""
        return reach_of(self.blur)

    def _size(self, y: Array) -> tuple[int, int]:
        """Height and width of pictures that D maps onto ones like y."""
        height, width = y.shape[-2:]
        return height * self.scale, width * self.scale

    def cut(self, rows: slice = _ALL, columns: slice = _ALL) -> tuple[Self, Place]:
        """D of some low-res pixels, as if the picture had no others, and the high-res ones that it
        takes for them.
        """
        return self, self.place(rows, columns)

    def place(self, rows: slice = _ALL, columns: slice = _ALL) -> Place:
        """The high-res pixels in the place of low-res ones."""
        return scaled(rows, self.scale), scaled(columns, self.scale)

    def repeated(self, y: NDArray[Any]) -> NDArray[Any]:
        """Each low-res pixel at all high-res ones in its place: (..., h, w) to (..., H, W)."""
        return y.repeat(self.scale, axis=-2).repeat(self.scale, axis=-1)

    def centres(self, size: tuple[int, int]) -> Centres:
        """See `Degrades.centres`."""
        return centres(size, self.scale)

    def blurred(self, deviation: float) -> Self:
        """This one after a Gaussian blur; see `blur`."""
        return replace(self, blur=deviation)

    def observe(self, high_res: Array, *, is_rounded: bool = True) -> Array:
        """`low_res` as an 8-bit file holds it: D(high_res) in [-1, 1], clipped and rounded.

        Training and evaluation both see this one, since this is what users have.

        Args:
            is_rounded: False for files of more levels than need to be told apart from any number.
        """
        xp = array_namespace(high_res)
        clipped = xp.clip(self(high_res), -1.0, 1.0)
        return xp.round((clipped + 1) * 127.5) / 127.5 - 1 if is_rounded else clipped

    def upsample(self, y: Array) -> Array:
        """The `upsampled` picture: bicubic, (..., h, w) to (..., h * scale, w * scale)."""
        return resize(y, y.shape[-2] * self.scale, y.shape[-1] * self.scale)

    def null_space(self, x: Array) -> Array:
        """(I - D⁺D)(x): the part of x that D does not see, same shape as x."""
        return x - self.pseudo_inverse(self(x))

    def project(
        self,
        x: Array,
        low_res: Array,
        *,
        rounds: int = 1,
        value_range: tuple[float, float] | None = None,
    ) -> Array:
        """The nearest picture to x whose degraded version is low_res: x + D⁺(low_res - D x).

        With a value_range, clipping and projection alternate for the given rounds (alternating
        projections onto two convex sets) and the result is inside the range; it then fits low_res
        as well as the range lets it.

        Args:
            x: (..., H, W) pictures.
            low_res: (..., H / scale, W / scale).
        """
        xp = array_namespace(x)
        for _ in range(rounds):
            x = x + self.pseudo_inverse(low_res - self(x))
            if value_range is not None:
                x = xp.clip(x, *value_range)
        return x

    def fit(self, pictures: Floats, low_res: Floats) -> Floats:
        """Pictures near the given ones, in [-1, 1], that D maps onto low_res as closely as that
        range lets it: see `sr4.degradation.fit`.

        Args:
            pictures: (..., H, W); low_res: (..., h, w) in [-1, 1].
        """
        return fit(self, pictures, low_res)

    def enlarge(self, low_res: Floats, rows: slice = _ALL) -> Floats:
        """The `upsampled` picture, made to fit low_res as far as it stays between its pixels:
        (..., h, w) to (..., H, W) in [-1, 1], or of it the rows in the place of some low-res ones.
        """
        around, inside = near(rows, low_res.shape[-2], MARGIN + self.reach)
        given = low_res[..., around, :]
        fitted = enlarged(self, self.upsample(given), given)
        return fitted[..., self.place(inside)[0], :]


def centres(size: tuple[int, int], scale: int) -> Centres:
    """See `Degrades.centres`."""
    down, across = ((np.arange(side * scale) + 0.5) / scale - 0.5 for side in size)
    return down, across


def scaled(part: slice, scale: int) -> slice:
    """The high-res rows or columns that lie over some low-res ones."""
    start, stop = (None if place is None else place * scale for place in (part.start, part.stop))
    return slice(start, stop)
