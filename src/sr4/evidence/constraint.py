"""The pictures that do not contradict an input: those whose D x lies in a convex set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from sr4.degradation import Degradation
from sr4.evidence.sets import LEVEL, ConvexSet

Array = Any
Floats = NDArray[np.float32]

_ROUNDS = 20  # at most; pictures with little black and white need one
_CLOSE_ENOUGH = 2e-5  # a change of multipliers that is nothing beside the rounding to 8 bits, 4e-3
_REACH = 8  # low-res pixels around one that is not met where multipliers are bounded
_BOUND = 16 * LEVEL  # of the multipliers; see `Constraint.fit`
_ALONE = 16 * LEVEL  # by which a pixel may exceed all its neighbours where nothing fits


class Corrects(Protocol):
    """What brings pictures x (B, C, H, W) nearer to an input, in every step of a sampler."""

    def correct(self, x: Array) -> Array:
        """Same shape."""
        ...


@dataclass(frozen=True)
class Constraint:
    """The pictures x with D x in a convex set.

    Args:
        degradation: D.
        allowed: the set, of pictures as small as the input.
    """

    degradation: Degradation
    allowed: ConvexSet

    def correct(self, x: Array) -> Array:
        """`x + D⁺(P(D x) - D x)`, with the set's projection P, which may leave [-1, 1]:
        (..., C, H, W), same shape.
        """
        seen = self.degradation(x)
        return x + self.degradation.pseudo_inverse(self.allowed.project(seen) - seen)

    def fit(self, pictures: Floats) -> Floats:
        """The nearest pictures to the given ones that are in [-1, 1] and, if any such picture is,
        in the set.

        Two convex sets, a range and what the input allows, are met by Dykstra's algorithm (Boyle &
        Dykstra 1986): each round projects anew from the start, with a multiplier p, here a picture
        of low-res pixels, that has summed up what clipping took away. This is gradient ascent on
        the dual problem, and momentum speeds it up (FISTA: Beck & Teboulle 2009, section 4).

        Where no picture is in both sets, p would grow for ever and leave black and white dots
        beside every edge. Where more than a level remains, it is therefore kept within 16 levels,
        and all is done again. A bound on the multipliers is the same as an exact penalty of as much
        per level (Bertsekas 1975): what can be met is met, and of the rest as much as is not bought
        with large changes. Last, pixels there that exceed all their neighbours are brought back to
        them.

        Args:
            pictures: (..., C, H, W).
        """
        start = self.correct(pictures)
        fitted = self._nearest(start, np.inf)
        unmet = self.unmet(fitted)
        if unmet.any():
            fitted = self._nearest(start, np.where(_spread(unmet, _REACH), _BOUND, np.inf))
            scale = self.degradation.scale
            near = _spread(self.unmet(fitted), 1).repeat(scale, axis=-2).repeat(scale, axis=-1)
            fitted = np.where(near, _without_dots(fitted), fitted)
        return np.asarray(fitted, pictures.dtype)

    def _nearest(self, start: Floats, bound: NDArray[np.float64] | float) -> Floats:
        """Rounds of Dykstra's algorithm, with multipliers within a bound, (..., 1, h, w)."""
        degradation, allowed = self.degradation, self.allowed
        fitted = np.clip(start, -1.0, 1.0)
        seen = degradation(fitted)
        pushed = ahead = np.zeros_like(seen)
        bound = np.asarray(bound, seen.dtype)
        for number in range(_ROUNDS):
            point = seen - ahead
            found = np.clip(allowed.project(point) - point, -bound, bound)
            if np.abs(found - ahead).max() < _CLOSE_ENOUGH:
                break
            momentum = np.float32(number / (number + 3))
            ahead, pushed = found + momentum * (found - pushed), found
            fitted = np.clip(start + degradation.pseudo_inverse(ahead), -1.0, 1.0)
            seen = degradation(fitted)
        return fitted

    def unmet(self, x: Floats) -> NDArray[np.bool_]:
        """Which low-res pixels are off by more than a level in some channel: (..., 1, h, w)."""
        found: NDArray[np.bool_] = np.abs(self.rest(x)).max(axis=-3, keepdims=True) > LEVEL
        return found

    def rest(self, x: Floats) -> Floats:
        """What of D x lies outside the set, (..., C, h, w) on the [-1, 1] scale."""
        found: Floats = self.allowed.rest(self.degradation(x))
        return found

    def rows(self, start: int, stop: int) -> Constraint:
        """That of some low-res rows, as if the picture had no others."""
        return Constraint(self.degradation, self.allowed.rows(start, stop))


def _spread(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """With all pixels so near to one of the mask, along rows and columns."""
    for axis in (-2, -1):
        wide = np.pad(mask, [(0, 0)] * (mask.ndim - 2) + [(reach, reach)] * 2)
        wide = np.moveaxis(wide, axis, 0)
        parts = [wide[n : n + mask.shape[axis]] for n in range(2 * reach + 1)]
        joined = np.moveaxis(np.any(parts, axis=0), 0, axis)
        other = -1 if axis == -2 else -2
        mask = np.take(joined, range(reach, reach + mask.shape[other]), axis=other)
    return mask


def _without_dots(x: Floats) -> Floats:
    """Pictures (..., H, W) in which no pixel exceeds all of its neighbours by much."""
    around = _neighbours(x)
    low, high = np.min(around, axis=0) - _ALONE, np.max(around, axis=0) + _ALONE
    found: Floats = np.clip(x, low, high)
    return found


def _neighbours(x: NDArray[Any]) -> list[NDArray[Any]]:
    """The eight neighbours of each pixel; behind the borders, the outermost are repeated."""
    height, width = x.shape[-2:]
    padded = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(1, 1), (1, 1)], mode="edge")
    places = [(row, column) for row in range(3) for column in range(3) if (row, column) != (1, 1)]
    return [padded[..., row : row + height, column : column + width] for row, column in places]


@dataclass(frozen=True)
class Constraints:
    """Those of the pictures of a batch, each its own; None for pictures without one."""

    each: Sequence[Constraint | None]

    def correct(self, x: Array) -> Array:
        """See `Constraint.correct`, for x of shape (B, C, H, W)."""
        xp = array_namespace(x)
        return xp.stack(
            [
                picture if one is None else one.correct(picture)
                for one, picture in zip(self.each, x, strict=True)
            ]
        )
