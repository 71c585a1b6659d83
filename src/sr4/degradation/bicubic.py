"""Bicubic resizing of one axis: the kernel, and the rows of the matrix that it makes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sr4.errors import UsageError

Float64 = NDArray[np.float64]

_CUBIC_A = -0.5  # Keys' parameter; the value Pillow uses, and torch when antialiasing


class Rows(NamedTuple):
    """Neighbouring rows of the matrix of an axis, without the columns that are zero in all of them.

    Attributes:
        first: the first column held.
        matrix: (rows, columns) float64.
    """

    first: int
    matrix: Float64


# rows(size_in, size_out, start, stop): rows `start` to `stop` of a matrix (size_out, size_in). What
# is built on it caches by it, so it has to be hashable: a function or a frozen dataclass.
RowsOf = Callable[[int, int, int, int], Rows]


def keys_cubic(x: Float64) -> Float64:
    """Keys' cubic convolution kernel (Keys 1981, equation 15) at the distances x."""
    x, a = np.abs(x), _CUBIC_A
    near = ((a + 2) * x - (a + 3)) * x**2 + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def resize_rows(size_in: int, size_out: int, start: int, stop: int) -> Rows:
    """Rows of the matrix of bicubic resizing, of any ratio.

    Downscaling widens the kernel by the ratio (antialiasing); upscaling does not. Rows sum to 1: at
    a border what is left of the kernel is scaled to do so, as Pillow and torch have it.
    """
    scale = size_in / size_out
    width = max(scale, 1.0)
    centres = (np.arange(start, stop) + 0.5) * scale
    first = max(0, int(centres[0] - 2 * width) - 1)
    last = min(size_in, int(centres[-1] + 2 * width) + 2)
    positions = np.arange(first, last) + 0.5
    matrix = keys_cubic((positions[None, :] - centres[:, None]) / width)
    matrix /= matrix.sum(axis=1, keepdims=True)
    return Rows(first, matrix)


@lru_cache(maxsize=64)
def resize_matrix(size_in: int, size_out: int) -> Float64:
    """Bicubic resizing of one axis as a matrix, shape (size_out, size_in), float64, read-only.

    Raises:
        UsageError: an axis without pixels.
    """
    check_sizes(size_in, size_out)
    first, rows = resize_rows(size_in, size_out, 0, size_out)
    matrix = np.zeros((size_out, size_in))
    matrix[:, first : first + rows.shape[1]] = rows
    matrix.flags.writeable = False
    return matrix


def check_sizes(size_in: int, size_out: int) -> None:
    """Refuse axes without pixels.

    Raises:
        UsageError: says so.
    """
    if size_in < 1 or size_out < 1:
        raise UsageError(f"got sizes {size_in} and {size_out}; each axis needs at least 1 pixel")
