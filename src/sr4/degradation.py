"""The degradation operator D that makes `low_res` from `high_res`, and all that follows from it.

D is bicubic downscaling with antialiasing, as Pillow and torch (`antialias=True`) do it, after a
Gaussian blur where that is part of what happened. It is
separable and linear, `D(x) = A x Bᵀ` with one small matrix per axis, so its adjoint, its
pseudo-inverse `D⁺` and the projection onto `{x : D x = low_res}` are products of small matrices
too. All functions take NumPy arrays and torch tensors of shape (..., H, W), any value range.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

from sr4.errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import Self

Array = Any  # a NumPy array or a torch tensor; one implementation serves both
Floats = NDArray[np.float32]
# Rounds of projection and clipping that end a sampling: pictures with little black and white need
# one, the others up to all of them. They end early once D gives low_res back to a fraction of the
# rounding to 8 bits, which is 4e-3.
_FINAL_ROUNDS = 20
_CLOSE_ENOUGH = 2e-5
MAX_BLUR = 8.0
"""The largest deviation of a blur, in low-res pixels: beyond, nothing is left to bring back."""
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
    _, matrix = _resize_rows(size_in, size_out, 0, size_out)
    matrix.flags.writeable = False
    return matrix


def _resize_rows(size_in: int, size_out: int, start: int, stop: int) -> tuple[int, np.ndarray]:
    """Some rows of that matrix, from the first column on that they reach, and that column."""
    scale = size_in / size_out
    width = max(scale, 1.0)
    centres = (np.arange(start, stop) + 0.5) * scale
    first = max(0, int(centres[0] - 2 * width) - 1)
    last = min(size_in, int(centres[-1] + 2 * width) + 2)
    if stop - start == size_out:
        first, last = 0, size_in
    positions = np.arange(first, last) + 0.5
    matrix = _keys_cubic((positions[None, :] - centres[:, None]) / width)
    matrix /= matrix.sum(axis=1, keepdims=True)
    return first, matrix


@lru_cache(maxsize=64)
def gaussian_matrix(size: int, deviation: float) -> np.ndarray:
    """A Gaussian blur of one axis as a matrix, shape (size, size), float64, read-only. At the
    borders, the weights of the pixels that are there add up to 1.

    Args:
        deviation: in pixels.
    """
    places = np.arange(size)
    matrix = np.exp(-0.5 * ((places[:, None] - places) / deviation) ** 2)
    matrix /= matrix.sum(axis=1, keepdims=True)
    matrix.flags.writeable = False
    return matrix


@lru_cache(maxsize=64)
def _degrading_matrix(high: int, low: int, blur: float) -> np.ndarray:
    """D along one axis: blur, in low-res pixels, and resizing."""
    matrix = resize_matrix(high, low)
    return matrix @ gaussian_matrix(high, blur * high / low) if blur > 0 else matrix


@lru_cache(maxsize=64)
def _pseudo_inverse(size_in: int, size_out: int, blur: float) -> np.ndarray:
    """`Aᵀ (A Aᵀ)⁻¹`, since the rows of A are independent. What a blur has all but erased would
    come back as noise: then `Aᵀ (A Aᵀ + ε² I)⁻¹` (Tikhonov).
    """
    matrix = _degrading_matrix(size_in, size_out, blur)
    gram = matrix @ matrix.T
    if blur > 0:
        gram = gram + _WEAK**2 * size_out / size_in * np.eye(size_out)  # its largest value
    inverse: np.ndarray = np.linalg.solve(gram, matrix).T
    inverse.flags.writeable = False
    return inverse


# By kind, the matrix of one axis for a high-res size, a low-res size and a blur.
_MATRICES: Mapping[str, Callable[[int, int, float], np.ndarray]] = {
    "resize": _degrading_matrix,
    "adjoint": lambda high, low, blur: _degrading_matrix(high, low, blur).T,
    "inverse": _pseudo_inverse,
}
_WEAK = 0.05  # singular values below this share of the largest count as erased, little by little
# Longer axes are done in blocks, as most of their matrices is zero. Nor is such a matrix ever made
# whole: that of 8,192 pixels times 8 would take 4 GB, and the inverse minutes.
_WHOLE = 1024
_BLOCK = 512  # places of the longer side in one
_NEAR = 64  # low-res pixels beyond which the pseudo-inverse is zero to rounding
_NOTHING = 1e-9  # what counts as zero, in units of the largest entry


def _rows(
    kind: str, high: int, low: int, blur: float, start: int, stop: int
) -> tuple[int, np.ndarray]:
    """Some rows of one of these matrices, from some column on, and that column."""
    if kind == "resize" and blur == 0:
        return _resize_rows(high, low, start, stop)
    scale = high // low  # what a blur, an adjoint or an inverse belongs to is a whole one
    # What is near is that of a picture which ends there.
    if kind == "resize":
        first, last = max(0, start - _NEAR), min(low, stop + _NEAR)
        near = _MATRICES[kind]((last - first) * scale, last - first, blur)
        return first * scale, near[start - first : stop - first]
    first, last = max(0, start // scale - _NEAR), min(low, -(-stop // scale) + _NEAR)
    near = _MATRICES[kind]((last - first) * scale, last - first, blur)
    return first, near[start - first * scale : stop - first * scale]


class _Block(NamedTuple):
    """A part of a matrix: some of its rows, at the columns where they are not zero."""

    first: int
    last: int
    matrix: Array


@lru_cache(maxsize=256)
def _blocks(
    kind: str, high: int, low: int, blur: float, xp: Any, dtype: Any, place: Any
) -> tuple[_Block, ...]:
    if max(high, low) <= _WHOLE:
        matrix = _MATRICES[kind](high, low, blur)
        return (_Block(0, matrix.shape[1], xp.asarray(matrix.copy(), dtype=dtype, device=place)),)
    count = low if kind == "resize" else high
    step = max(1, count * _BLOCK // max(high, low))
    blocks = []
    for start in range(0, count, step):
        first, rows = _rows(kind, high, low, blur, start, min(start + step, count))
        seen = np.flatnonzero(np.abs(rows).max(axis=0) > _NOTHING * np.abs(rows).max())
        rows = rows[:, seen[0] : seen[-1] + 1]
        native = xp.asarray(rows.copy(), dtype=dtype, device=place)
        blocks.append(_Block(first + int(seen[0]), first + int(seen[-1]) + 1, native))
    return tuple(blocks)


def _apply(
    x: Array, kind: str, heights: tuple[int, int], widths: tuple[int, int], blur: float = 0.0
) -> Array:
    """rows x columnsᵀ over the last two axes, for the (high-res, low-res) sizes of each."""
    xp, place = array_namespace(x), device(x)
    parts = [
        xp.matmul(matrix, x[..., first:last, :])
        for first, last, matrix in _blocks(kind, *heights, blur, xp, x.dtype, place)
    ]
    x = parts[0] if len(parts) == 1 else xp.concat(parts, axis=-2)
    parts = [
        xp.matmul(x[..., first:last], matrix.T)
        for first, last, matrix in _blocks(kind, *widths, blur, xp, x.dtype, place)
    ]
    return parts[0] if len(parts) == 1 else xp.concat(parts, axis=-1)


def resize(x: Array, height: int, width: int) -> Array:
    """Bicubic resizing with antialiasing of (..., H, W) to (..., height, width).

    Equal to torch's `interpolate(mode="bicubic", antialias=True)` to float32 rounding.
    """
    return _apply(x, "resize", (x.shape[-2], height), (x.shape[-1], width))


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
        if not 0 <= self.blur <= MAX_BLUR:
            raise UsageError(
                f"got a blur of {self.blur}; expected a deviation of 0 to {MAX_BLUR:g} low-res "
                "pixels"
            )

    def _sizes(self, length: int) -> tuple[int, int]:
        """The high-res and the low-res size of an axis of that high-res length."""
        return length, length // self.scale

    def __call__(self, x: Array) -> Array:
        """D(x): (..., H, W) to (..., H / scale, W / scale)."""
        height, width = x.shape[-2:]
        if height % self.scale or width % self.scale:
            raise UsageError(
                f"got a {width}x{height} high-res size; expected multiples of the scale "
                f"{self.scale}: pad or crop the picture"
            )
        return _apply(x, "resize", self._sizes(height), self._sizes(width), self.blur)

    def adjoint(self, y: Array) -> Array:
        """Dᵀ(y), with <D x, y> = <x, Dᵀ y>: (..., h, w) to (..., h * scale, w * scale)."""
        return self._enlarge(y, "adjoint")

    def pseudo_inverse(self, y: Array) -> Array:
        """D⁺(y), the smallest picture that D maps onto y: (..., h, w) to (..., H, W)."""
        return self._enlarge(y, "inverse")

    def _enlarge(self, y: Array, kind: str) -> Array:
        height, width = (side * self.scale for side in y.shape[-2:])
        return _apply(y, kind, self._sizes(height), self._sizes(width), self.blur)

    def blurred(self, deviation: float) -> Self:
        """This one after a Gaussian blur; see `blur`."""
        return replace(self, blur=deviation)

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

    def fit(self, pictures: Floats, low_res: Floats) -> Floats:
        """Pictures near the given ones, in [-1, 1], that D maps onto low_res as closely as that
        range lets it.

        Projection and clipping alternate with momentum (FISTA: Beck & Teboulle 2009, section 4);
        without it, a black or white picture takes ten times the rounds.

        Args:
            pictures: (..., H, W); low_res: (..., h, w) in [-1, 1].
        """
        fitted = ahead = pictures
        seen = seen_ahead = self(pictures)
        for number in range(_FINAL_ROUNDS):
            before, seen_before = fitted, seen
            moved = ahead + self.pseudo_inverse(low_res - seen_ahead)
            fitted = np.clip(moved, -1.0, 1.0)
            seen = self(fitted)
            if np.abs(low_res - seen).max() < _CLOSE_ENOUGH:
                break
            momentum = np.float32(number / (number + 3))
            ahead = fitted + momentum * (fitted - before)
            seen_ahead = seen + momentum * (seen - seen_before)  # D is linear
        return fitted

    def enlarge(self, low_res: Floats) -> Floats:
        """The `upsampled` picture made to fit low_res: (..., h, w) to (..., H, W) in [-1, 1]."""
        return self.fit(np.clip(self.upsample(low_res), -1.0, 1.0), low_res)


@dataclass(frozen=True)
class DegradationChain:
    """Degradations one after the other: `D_1(D_2(... D_n(x)))`, linear as each of them.

    Bicubic downscaling by 4 and then by 8 is not the one by 32, so a cascade of models has its own.

    Args:
        parts: D_1 to D_n, in the order of the models: the last one is applied first.
    """

    parts: tuple[Degradation, ...]

    @property
    def scale(self) -> int:
        """The product of the scales."""
        return math.prod(part.scale for part in self.parts)

    def __call__(self, x: Array) -> Array:
        """(..., H, W) to (..., H / scale, W / scale)."""
        for part in reversed(self.parts):
            x = part(x)
        return x

    def blurred(self, deviation: float) -> Self:
        """With a blur before the downscaling to the smallest picture."""
        first, *others = self.parts
        return replace(self, parts=(first.blurred(deviation), *others))

    def enlarge(self, low_res: Floats) -> Floats:
        """`Degradation.enlarge` of each in turn."""
        for part in self.parts:
            low_res = part.enlarge(low_res)
        return low_res
