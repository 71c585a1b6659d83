"""The degradation operator D that makes `low_res` from `high_res`, and all that follows from it.

D is bicubic downscaling with antialiasing, as Pillow and torch (`antialias=True`) do it. It is
separable and linear, `D(x) = A x Bᵀ` with one small matrix per axis, so its adjoint, its
pseudo-inverse `D⁺` and the projection onto `{x : D x = low_res}` are products of small matrices
too. All functions take NumPy arrays and torch tensors of shape (..., H, W), any value range.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from sr4.errors import UsageError

Array = Any  # a NumPy array or a torch tensor; one implementation serves both
_CUBIC_A = -0.5  # Keys' parameter; the value Pillow uses, and torch when antialiasing


def _keys_cubic(x: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution kernel (Keys 1981, equation 15) at the distances x."""
    x, a = np.abs(x), _CUBIC_A
    near = ((a + 2) * x - (a + 3)) * x**2 + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


@lru_cache(maxsize=64)
def resize_matrix(size_in: int, size_out: int) -> np.ndarray:
    """Bicubic resizing of one axis as a matrix, shape (size_out, size_in), float64, read-only.

    Downscaling widens the kernel by the scale (antialiasing); upscaling does not. Rows sum to 1.
    """
    if size_in < 1 or size_out < 1:
        raise UsageError(f"got sizes {size_in} and {size_out}; each axis needs at least 1 pixel")
    scale = size_in / size_out
    width = max(scale, 1.0)
    centres = (np.arange(size_out) + 0.5) * scale
    positions = np.arange(size_in) + 0.5
    matrix = _keys_cubic((positions[None, :] - centres[:, None]) / width)
    matrix /= matrix.sum(axis=1, keepdims=True)
    matrix.flags.writeable = False
    return matrix


@lru_cache(maxsize=64)
def _pseudo_inverse(size_in: int, size_out: int) -> np.ndarray:
    inverse = np.linalg.pinv(resize_matrix(size_in, size_out))
    inverse.flags.writeable = False
    return inverse


@lru_cache(maxsize=256)
def _convert(kind: str, size_in: int, size_out: int, xp: Any, dtype: Any, place: Any) -> Array:
    matrix = (_pseudo_inverse if kind == "inverse" else resize_matrix)(size_in, size_out)
    return xp.asarray(matrix.copy(), dtype=dtype, device=place)


def _apply(x: Array, rows: Array, columns: Array) -> Array:
    """rows x columnsᵀ over the last two axes."""
    xp = array_namespace(x)
    return xp.matmul(xp.matmul(rows, x), columns.T)


def resize(x: Array, height: int, width: int) -> Array:
    """Bicubic resizing with antialiasing of (..., H, W) to (..., height, width).

    Equal to torch's `interpolate(mode="bicubic", antialias=True)` to float32 rounding.
    """
    xp, place = array_namespace(x), device(x)
    rows = _convert("resize", x.shape[-2], height, xp, x.dtype, place)
    columns = _convert("resize", x.shape[-1], width, xp, x.dtype, place)
    return _apply(x, rows, columns)


@dataclass(frozen=True)
class Degradation:
    """Bicubic downscaling by a whole factor.

    Args:
        scale: the factor between `low_res` and `high_res` along each axis, at least 1.
    """

    scale: int

    def __post_init__(self) -> None:
        if self.scale < 1:
            raise UsageError(f"got scale {self.scale}; expected a whole number of at least 1")

    def _matrices(self, like: Array, kind: str, height: int, width: int) -> tuple[Array, Array]:
        """The row and column matrix for a high-res size of (height, width)."""
        if height % self.scale or width % self.scale:
            raise UsageError(
                f"got a {width}x{height} high-res size; expected multiples of the scale "
                f"{self.scale}: pad or crop the picture"
            )
        xp, place = array_namespace(like), device(like)
        return (
            _convert(kind, height, height // self.scale, xp, like.dtype, place),
            _convert(kind, width, width // self.scale, xp, like.dtype, place),
        )

    def __call__(self, x: Array) -> Array:
        """D(x): (..., H, W) to (..., H / scale, W / scale)."""
        rows, columns = self._matrices(x, "resize", x.shape[-2], x.shape[-1])
        return _apply(x, rows, columns)

    def adjoint(self, y: Array) -> Array:
        """Dᵀ(y), with <D x, y> = <x, Dᵀ y>: (..., h, w) to (..., h * scale, w * scale)."""
        rows, columns = self._matrices(
            y, "resize", y.shape[-2] * self.scale, y.shape[-1] * self.scale
        )
        return _apply(y, rows.T, columns.T)

    def pseudo_inverse(self, y: Array) -> Array:
        """D⁺(y), the smallest picture that D maps onto y: (..., h, w) to (..., H, W)."""
        rows, columns = self._matrices(
            y, "inverse", y.shape[-2] * self.scale, y.shape[-1] * self.scale
        )
        return _apply(y, rows, columns)

    def observe(self, high_res: Array) -> Array:
        """`low_res` as an 8-bit file holds it: D(high_res) in [-1, 1], clipped and rounded.

        Training and evaluation both see this one, since this is what users have.
        """
        xp = array_namespace(high_res)
        levels = xp.round((xp.clip(self(high_res), -1.0, 1.0) + 1) * 127.5)
        return levels / 127.5 - 1

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
