"""The pictures that do not contradict an input: those whose D x lies in a convex set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sr4.degradation.arrays import array_namespace
from sr4.degradation.fit import fit_to, grown_to, spread, within
from sr4.degradation.protocols import Invertible, Place
from sr4.evidence.sets import LEVEL, ConvexSet, PaddedSet, PixelBox

Array = Any
Floats = NDArray[np.float32]

_ROUNDS = 20  # at most; pictures with little black and white need one
# By which a pixel is off, after all rounds, where nothing fits; what fits is met to two levels or
# so, however slowly.
_FAR = 4 * LEVEL
_REACH = 8  # low-res pixels around one that is not met where multipliers are bounded
_MARGIN = 8  # low-res pixels around such places that are done with them
_BOUND = 32 * LEVEL  # of the multipliers; see `Constraint._nearest`
_ALONE = 16 * LEVEL  # by which a pixel may exceed all its neighbours where nothing fits


class Corrects(Protocol):
    """What brings pictures x (B, C, H, W) nearer to an input, in all steps of a sampler but the
    last.
    """

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

    degradation: Invertible
    allowed: ConvexSet

    def correct(self, x: Array) -> Array:
        """`x + D⁺(P(D x) - D x)`, with the set's projection P, which may leave [-1, 1]:
        (..., C, H, W), same shape.
        """
        seen = self.degradation(x)
        return x + self.degradation.pseudo_inverse(self.allowed.project(seen) - seen)

    def fit(self, pictures: Floats) -> Floats:
        """Pictures near the given ones, in [-1, 1], that are in the set wherever any such picture
        is.

        Projection and clipping alternate with momentum. Where no picture is in both sets, black
        and white, they would fight, and leave dots beside every edge: if much remains somewhere,
        what lies around is done anew from the pictures given (see `_nearest`), and
        pixels that exceed all their neighbours are brought back to them.

        Args:
            pictures: (..., C, H, W).
        """
        fitted: Floats = np.asarray(self._alternated(pictures), pictures.dtype)
        unmet = self.unmet(fitted, _FAR)
        if not unmet.any():
            return fitted
        bounded = spread(unmet, _REACH)
        made: Floats = fitted.copy()
        for place in self._places(bounded):
            inside, found = self._anew(place, pictures, fitted, bounded)
            made[..., inside[0], inside[1]] = found
        return made

    def _places(self, bounded: NDArray[np.bool_]) -> Iterator[Place]:
        """The rectangles that hold all low-res pixels with bounds (..., 1, h, w), and whose
        surroundings do not overlap.
        """
        marked = np.any(bounded, axis=tuple(range(bounded.ndim - 2)))
        gap = 2 * self._margin
        for rows in _runs(np.any(marked, axis=1), gap):
            for columns in _runs(np.any(marked[rows], axis=0), gap):
                yield rows, columns

    @property
    def _margin(self) -> int:
        """Low-res pixels around others that are done with them."""
        return _MARGIN + self.degradation.reach

    def _anew(
        self, place: Place, pictures: Floats, fitted: Floats, bounded: NDArray[np.bool_]
    ) -> tuple[Place, Floats]:
        """Low-res pixels by `_nearest`: the high-res ones in their place, and what these become.

        Args:
            pictures, fitted: (..., C, H, W), as given and as alternating left them.
            bounded: (..., 1, h, w), the pixels whose multipliers have a bound.
        """
        outer = grown_to(self.allowed, place, self._margin, bounded.shape[-2:])
        degradation, (top, left) = self.degradation.cut(*outer)
        part = Constraint(degradation, self.allowed.cut(*outer))
        bounds = bounded[..., outer[0], outer[1]]
        given, start = pictures[..., top, left], fitted[..., top, left]
        start = np.where(degradation.repeated(bounds), given, start)
        made = part._nearest(start, np.where(bounds, _BOUND, np.inf))
        near = degradation.repeated(spread(part.unmet(made), 1))
        (top, left), inside = (
            degradation.place(*within(place, outer)),
            self.degradation.place(*place),
        )
        found: Floats = np.where(near, _without_dots(made), made)[..., top, left]
        return inside, found

    def _alternated(self, pictures: Floats) -> Floats:
        """Projection and clipping in turn; see `sr4.degradation.fit.fit_to`."""
        degradation, allowed = self.degradation, self.allowed
        if isinstance(allowed, PixelBox) and allowed.radius == 0:  # each channel for itself
            return degradation.fit(pictures, np.asarray(allowed.centre, pictures.dtype))
        fitted: Floats = fit_to(degradation, pictures[None], [allowed])[0]
        return fitted

    def _nearest(self, start: Floats, bound: Floats) -> Floats:
        """The nearest picture to a start that is in [-1, 1] and in the set, by Dykstra's algorithm
        (Boyle & Dykstra 1986): each round projects anew from the start, with multipliers p, one for
        each low-res pixel, that sum up what clipping took away. This is gradient ascent on the dual
        problem, which momentum speeds up.

        Where no picture is in both sets, p would grow for ever. A bound on it is the same as an
        exact penalty of as much per level (Bertsekas 1975): what can be met is met, and of the rest
        as much as is not bought with large changes.

        Args:
            start: (..., C, H, W).
            bound: (..., 1, h, w), of the multipliers.
        """
        degradation, allowed = self.degradation, self.allowed
        fitted = np.clip(start, -1.0, 1.0)
        seen = degradation(fitted)
        pushed = ahead = np.zeros_like(seen)
        bound = np.asarray(bound, seen.dtype)
        for number in range(_ROUNDS):
            point = seen - ahead
            found = np.clip(allowed.project(point) - point, -bound, bound)
            if np.abs(found - ahead).max() < allowed.tolerance:
                break
            momentum = np.float32(number / (number + 3))
            ahead, pushed = found + momentum * (found - pushed), found
            fitted = np.clip(start + degradation.descent(ahead), -1.0, 1.0)
            seen = degradation(fitted)
        return fitted

    def unmet(self, x: Floats, most: float = LEVEL) -> NDArray[np.bool_]:
        """The mask (..., 1, h, w) of low-res pixels that are off by more than a level in a channel.

        Args:
            most: by which they may be off, on the [-1, 1] scale.
        """
        found: NDArray[np.bool_] = np.abs(self.rest(x)).max(axis=-3, keepdims=True) > most
        return found

    def rest(self, x: Floats) -> Floats:
        """What of D x lies outside the set, (..., C, h, w) on the [-1, 1] scale."""
        found: Floats = self.allowed.rest(self.degradation(x))
        return found

    def padded(self, size: tuple[int, int], low_res: Floats) -> Constraint:
        """The constraint of a padded picture (C, H, W), whose upper left part is this one."""
        return Constraint(self.degradation, PaddedSet(self.allowed, size, low_res))

    def rows(self, start: int, stop: int) -> Constraint:
        """The constraint of some low-res rows, as if the picture had no others."""
        degradation, _ = self.degradation.cut(slice(start, stop))
        return Constraint(degradation, self.allowed.cut(slice(start, stop)))


def _runs(marked: NDArray[np.bool_], gap: int) -> Iterator[slice]:
    """The places of a row that are marked, from the first to the last without so large a gap."""
    places = np.flatnonzero(marked)
    for part in np.split(places, np.flatnonzero(np.diff(places) > gap) + 1):
        yield slice(int(part[0]), int(part[-1]) + 1)


def _without_dots(x: Floats) -> Floats:
    """Pictures (..., H, W) in which no pixel exceeds all of its neighbours by much."""
    around = _neighbours(x)
    # One after the other: together they would be eight copies of the pictures.
    low, high = reduce(np.minimum, around) - _ALONE, reduce(np.maximum, around) + _ALONE
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
    """The constraints of a batch, one for each of its pictures."""

    each: Sequence[Constraint]

    def correct(self, x: Array) -> Array:
        """See `Constraint.correct`, for x of shape (B, C, H, W)."""
        found = [one.correct(picture) for one, picture in zip(self.each, x, strict=True)]
        return array_namespace(x).stack(found)


def padded(constraints: Sequence[Constraint], size: tuple[int, int], low_res: Floats) -> Corrects:
    """The constraints of a batch of pictures that are continued below and on the right.

    Args:
        constraints: of the pictures themselves.
        size: their height and width.
        low_res: (B, C, H, W), the pictures with what continues them.
    """
    first = constraints[0]
    if isinstance(first.allowed, PixelBox) and all(
        isinstance(one.allowed, PixelBox)
        and (one.degradation, one.allowed.radius) == (first.degradation, first.allowed.radius)
        for one in constraints
    ):  # the usual ones are done together
        return Constraint(first.degradation, PixelBox(low_res, first.allowed.radius))
    return Constraints(
        [one.padded(size, low) for one, low in zip(constraints, low_res, strict=True)]
    )
