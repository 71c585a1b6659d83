"""Convex sets that D x may lie in, for pictures as arrays (..., C, h, w) in [-1, 1].

All take NumPy arrays and torch tensors. Each set belongs to one picture and can be cut to some of
its rows and columns, as large pictures are made in parts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from array_api_compat import device
from numpy.typing import NDArray

from sr4.degradation.arrays import array_namespace
from sr4.degradation.fit import CLOSE_ENOUGH, Wanted

if TYPE_CHECKING:
    from typing_extensions import Self

Array = Any
Floats = NDArray[np.float32]

ALL = slice(None)
BLOCK = 8  # edge of the blocks that JPEG transforms, in samples
LEVEL = 1 / 127.5
"""One of 255 levels, on the [-1, 1] scale."""


_SHARE = 1 / 8  # of a radius: what is little beside it, up to half a level


class ConvexSet(Wanted, Protocol):
    """A closed convex set of pictures of one size.

    Attributes:
        tolerance: how far each pixel may be from the projection of a picture that counts as one of
            the set, on the [-1, 1] scale: rounds that bring pictures into the set end there.
    """

    def project(self, y: Array) -> Array:
        """The nearest picture of the set to each of y (..., C, h, w), same shape."""
        ...

    def rest(self, y: Array) -> Array:
        """What of y lies outside, (..., C, h, w): zero for pictures that the input allows. That may
        be a little more than the set that results are brought into, as these get rounded.
        """
        ...

    def cut(self, rows: slice, columns: slice = ALL) -> Self:
        """The set of some rows and columns."""
        ...

    def around(self, start: int, stop: int, axis: int = -2) -> tuple[int, int]:
        """The rows, at least those given, that a projection has to see together, or of the axis -1
        the columns.
        """
        ...


class Everything:
    """The set of all pictures: no evidence."""

    tolerance = LEVEL  # no picture is any away

    def project(self, y: Array) -> Array:
        """See `ConvexSet`."""
        return y

    def rest(self, y: Array) -> Array:
        """See `ConvexSet`."""
        return array_namespace(y).zeros_like(y)

    def cut(self, rows: slice, columns: slice = ALL) -> Self:
        """See `ConvexSet`."""
        return self

    def around(self, start: int, stop: int, axis: int = -2) -> tuple[int, int]:
        """See `ConvexSet`."""
        return start, stop


@dataclass(frozen=True)
class PixelBox:
    """Pictures whose pixels lie near given ones.

    Args:
        centre: (C, h, w), or (B, C, h, w) for a batch of pictures.
        radius: how far a pixel may lie from it.
    """

    centre: Floats
    radius: float

    @property
    def tolerance(self) -> float:
        """See `ConvexSet`."""
        return _tolerance(self.radius)

    def project(self, y: Array) -> Array:
        """See `ConvexSet`."""
        xp, centre = array_namespace(y), like(self.centre, y)
        if self.radius == 0:
            return xp.zeros_like(y) + centre
        return xp.clip(y, centre - self.radius, centre + self.radius)

    def rest(self, y: Array) -> Array:
        """The difference to the pixels themselves."""
        return y - like(self.centre, y)

    def cut(self, rows: slice, columns: slice = ALL) -> Self:
        """See `ConvexSet`."""
        return replace(self, centre=self.centre[..., rows, columns])

    def around(self, start: int, stop: int, axis: int = -2) -> tuple[int, int]:
        """See `ConvexSet`."""
        return start, stop


@dataclass(frozen=True)
class NoiseBox:
    """Pictures that differ from a noisy one by what may be its noise.

    White noise of deviation s has that deviation in every coefficient of an orthonormal DCT too;
    each may lie within `radius`. Other than a box around the pixels, this bounds the mean of a
    block eight times as closely as single pixels.

    Args:
        centre: (C, h, w), the noisy picture.
        radius: how far a coefficient of the 8x8 blocks may lie from its own, on the [-1, 1] scale.
    """

    centre: Floats
    radius: float

    @property
    def tolerance(self) -> float:
        """See `ConvexSet`."""
        return _tolerance(self.radius)

    def project(self, y: Array) -> Array:
        """See `ConvexSet`."""
        return y - self.rest(y)

    def rest(self, y: Array) -> Array:
        """See `ConvexSet`. Blocks that the borders cut are done with zeros behind the borders."""
        xp = array_namespace(y)
        height, width = y.shape[-2:]
        noise = y - like(self.centre, y)
        noise = padded_with_zeros(noise, -height % BLOCK, -width % BLOCK)
        coefficients = to_blocks(noise)
        outside = coefficients - xp.clip(coefficients, -self.radius, self.radius)
        return from_blocks(outside)[..., :height, :width]

    def cut(self, rows: slice, columns: slice = ALL) -> Self:
        """See `ConvexSet`. Blocks begin at the first row and column."""
        return replace(self, centre=self.centre[..., rows, columns])

    def around(self, start: int, stop: int, axis: int = -2) -> tuple[int, int]:
        """See `ConvexSet`."""
        return whole_blocks(start, stop, BLOCK, self.centre.shape[axis])


@dataclass(frozen=True)
class PaddedSet:
    """A set of pictures, continued below and on the right by given pixels.

    Args:
        inner: the set of the upper left part.
        size: its height and width.
        padded: (C, H, W) that holds the pixels to continue with.
    """

    inner: ConvexSet
    size: tuple[int, int]
    padded: Floats

    @property
    def tolerance(self) -> float:
        """See `ConvexSet`."""
        return self.inner.tolerance

    def project(self, y: Array) -> Array:
        """See `ConvexSet`."""
        xp, (height, width) = array_namespace(y), self.size
        edge = xp.zeros_like(y) + like(self.padded, y)
        if not height or not width:
            return edge
        inside = self.inner.project(y[..., :height, :width])
        above = xp.concat([inside, edge[..., :height, width:]], axis=-1)
        return xp.concat([above, edge[..., height:, :]], axis=-2)

    def rest(self, y: Array) -> Array:
        """See `ConvexSet`."""
        return y - self.project(y)

    def cut(self, rows: slice, columns: slice = ALL) -> Self:
        """See `ConvexSet`."""
        inside = [
            slice(start, max(start, min(stop, length)))
            for (start, stop, _), length in zip(
                (rows.indices(self.padded.shape[-2]), columns.indices(self.padded.shape[-1])),
                self.size,
                strict=True,
            )
        ]
        size = inside[0].stop - inside[0].start, inside[1].stop - inside[1].start
        inner = self.inner.cut(*inside) if all(size) else self.inner
        return replace(self, inner=inner, size=size, padded=self.padded[..., rows, columns])

    def around(self, start: int, stop: int, axis: int = -2) -> tuple[int, int]:
        """See `ConvexSet`."""
        length = self.size[axis]
        if start >= length:
            return start, stop
        first, last = self.inner.around(start, min(stop, length), axis)
        return min(first, start), max(last, stop)


def _tolerance(radius: float) -> float:
    """That of a set of what lies so far from something at most."""
    return min(0.5 * LEVEL, max(CLOSE_ENOUGH, _SHARE * radius))


def like(array: NDArray[Any], y: Array) -> Array:
    """The array in the library, on the device and in the precision of y."""
    return array_namespace(y).asarray(array, dtype=y.dtype, device=device(y))


def whole_blocks(
    start: int, stop: int, block: int, length: int, offset: int = 0
) -> tuple[int, int]:
    """The rows of all blocks that some rows have a part in, of `length` rows; `offset` rows of the
    first block lie above the picture. Or columns likewise.
    """
    first = (start + offset) // block * block - offset
    last = -(-(stop + offset) // block) * block - offset
    return max(0, first), min(length, last)


def padded_with_zeros(y: Array, below: int, right: int) -> Array:
    """(..., h, w) with rows and columns of zeros behind it."""
    xp = array_namespace(y)
    for axis, count in ((-2, below), (-1, right)):
        if count:
            shape = list(y.shape)
            shape[axis] = count
            zeros = xp.zeros(tuple(shape), dtype=y.dtype, device=device(y))
            y = xp.concat([y, zeros], axis=axis)
    return y


@cache
def dct_matrix() -> NDArray[np.float64]:
    """The orthonormal DCT of eight samples (ITU-T T.81, section A.3.3, is its product with itself
    over both axes), (frequency, sample).
    """
    places = np.arange(BLOCK)
    matrix = np.cos((2 * places + 1) * places[:, None] * np.pi / (2 * BLOCK)) / 2
    matrix[0] /= np.sqrt(2)
    matrix.flags.writeable = False
    return np.asarray(matrix)


def to_blocks(y: Array) -> Array:
    """The DCT of 8x8 blocks: (..., 8 m, 8 n) to (..., m, n, 8, 8), row frequencies first."""
    xp, dct = array_namespace(y), like(dct_matrix(), y)
    height, width = y.shape[-2:]
    blocks = xp.reshape(y, (*y.shape[:-2], height // BLOCK, BLOCK, width // BLOCK, BLOCK))
    blocks = xp.matmul(xp.moveaxis(blocks, -3, -2), dct.T)
    return xp.matmul(dct, blocks)


def from_blocks(coefficients: Array) -> Array:
    """The inverse of `to_blocks`."""
    xp, dct = array_namespace(coefficients), like(dct_matrix(), coefficients)
    blocks = xp.matmul(xp.matmul(dct.T, coefficients), dct)
    *batch, rows, columns, _, _ = blocks.shape
    blocks = xp.moveaxis(blocks, -2, -3)
    return xp.reshape(blocks, (*batch, rows * BLOCK, columns * BLOCK))
