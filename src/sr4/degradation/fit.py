"""Pictures within limits, such as [-1, 1], that D maps onto low_res as closely as these let it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sr4.degradation.protocols import Degrades, Floats, Place
from sr4.machine.processors import for_each

# Rounds of projection and clipping: most of a photograph needs one, what is black or white up to
# all of them. They end once D gives low_res back to a fraction of the rounding to 8 bits, which is
# 4e-3.
_ROUNDS = 20
_CLOSE_ENOUGH = 2e-4
_TILE = 112  # low-res pixels along the edge of what is done until it is close enough
# Low-res pixels around a part that are done with it. What a pixel asks for falls off by half an
# order of magnitude with each.
_MARGIN = 6
_FELT = 3  # of these, those whose own need still moves what is inside
# Every so many rounds, what is close enough is left as it is, if that leaves at most a share to do.
_ROUNDS_TOGETHER = 2
_WORTH_IT = 0.75


class Limits(NamedTuple):
    """The least and the greatest value of each pixel (..., H, W), or of all; and of rounds."""

    low: Floats | float = -1.0
    high: Floats | float = 1.0
    rounds: int = _ROUNDS

    def clip(self, pictures: Floats) -> None:
        """Bring pictures within, in place."""
        np.clip(pictures, self.low, self.high, out=pictures)

    def at(self, place: tuple[Any, ...]) -> Limits:
        """Those of the pixels that an index names."""
        low, high = (one[place] if isinstance(one, np.ndarray) else one for one in self[:2])
        return self._replace(low=low, high=high)

    def of_planes(self) -> Limits:
        """Those of (P, H, W), whatever stands before the last two axes."""
        low, high = (
            one.reshape(-1, *one.shape[-2:]) if isinstance(one, np.ndarray) else one
            for one in self[:2]
        )
        return self._replace(low=low, high=high)


UNIT = Limits()


class _State(NamedTuple):
    """What a round begins with: a picture, what momentum makes of it, and D of both."""

    fitted: Floats
    seen: Floats
    ahead: Floats
    seen_ahead: Floats

    def cut(self, taken: Place, low: Place) -> _State:
        """Some high-res pixels, and the low-res ones that lie over them."""
        (top, left), (low_top, low_left) = taken, low
        return _State(
            self.fitted[..., top, left],
            self.seen[..., low_top, low_left],
            self.ahead[..., top, left],
            self.seen_ahead[..., low_top, low_left],
        )


def fit(degradation: Degrades, pictures: Floats, low_res: Floats, limits: Limits = UNIT) -> Floats:
    """Pictures near the given ones, within limits, that D maps onto low_res.

    Projection and clipping alternate with momentum (FISTA: Beck & Teboulle 2009, section 4);
    without it, a black or white picture takes ten times the rounds. After a first round for all,
    tiles that are still off go on, each alone with what surrounds it, and shrink to what is off.

    Args:
        degradation: D.
        pictures: (..., H, W); low_res: (..., h, w) in [-1, 1].
        limits: of the values.

    Returns:
        (..., H, W), a new array.
    """
    fitted = _round(degradation, pictures, low_res, limits)
    size = low_res.shape[-2:]
    if max(size) <= _TILE + 2 * (_MARGIN + degradation.reach):
        everywhere = slice(0, size[0]), slice(0, size[1])
        begun = _begun(degradation, fitted)
        made = _more_rounds(degradation, begun, low_res, limits, everywhere)
        return made if made is fitted else _round(degradation, made, low_res, limits)
    planes, low = (x.reshape(-1, *x.shape[-2:]) for x in (fitted, low_res))
    off = np.abs(low - degradation(planes)) >= _CLOSE_ENOUGH
    if not off.any():
        return fitted
    found: list[tuple[int, Place, Floats]] = []
    of_planes = limits.of_planes()

    def finish(tile: tuple[int, Place]) -> None:
        plane, place = tile
        outer = grown(place, _MARGIN + degradation.reach, size)
        part, taken = degradation.cut(*outer)
        begun = _begun(part, planes[plane][taken])
        felt = within(grown(place, _FELT, size), outer)
        made = _more_rounds(part, begun, low[plane][outer], of_planes.at((plane, *taken)), felt)
        found.append((plane, place, made[part.place(*within(place, outer))].copy()))

    share = min(size[0], _TILE) * min(size[1], _TILE) / low[0].size
    pixels = int(planes[0].size * share)
    for_each(finish, list(_tiles_off(off)), limits.rounds * pixels)
    for plane, place, made in found:  # at the end: each has seen what is around it as it was
        planes[plane][degradation.place(*place)] = made
    # Neighbours end after different numbers of rounds: where they meet one more makes them fit.
    return _round(degradation, fitted, low_res, limits)


def spread(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """A mask (..., h, w) with all pixels so near to one of it, along rows and columns."""
    for axis in (-2, -1):
        wide = np.pad(mask, [(0, 0)] * (mask.ndim - 2) + [(reach, reach)] * 2)
        wide = np.moveaxis(wide, axis, 0)
        parts = [wide[n : n + mask.shape[axis]] for n in range(2 * reach + 1)]
        joined = np.moveaxis(np.any(parts, axis=0), 0, axis)
        other = -1 if axis == -2 else -2
        mask = np.take(joined, range(reach, reach + mask.shape[other]), axis=other)
    return mask


def _round(degradation: Degrades, pictures: Floats, low_res: Floats, limits: Limits) -> Floats:
    """One projection, clipped."""
    fitted: Floats = degradation.descent(low_res - degradation(pictures))
    fitted += pictures
    limits.clip(fitted)
    return fitted


def _tiles_off(off: NDArray[np.bool_]) -> Iterator[tuple[int, Place]]:
    """The planes and places of tiles of (P, h, w) in which, or just beside which, a pixel is
    off.
    """
    height, width = off.shape[1:]
    for plane in np.flatnonzero(off.any(axis=(1, 2))):
        for top in range(0, height, _TILE):
            for left in range(0, width, _TILE):
                place = (
                    slice(top, min(height, top + _TILE)),
                    slice(left, min(width, left + _TILE)),
                )
                if off[plane][grown(place, _FELT, (height, width))].any():
                    yield int(plane), place


def _begun(degradation: Degrades, fitted: Floats) -> _State:
    """What the first round leaves."""
    seen = degradation(fitted)
    return _State(fitted, seen, fitted, seen)


def _more_rounds(
    degradation: Degrades,
    state: _State,
    low_res: Floats,
    limits: Limits,
    felt: Place,
    number: int = 1,
) -> Floats:
    """The rounds after the first.

    Args:
        state: what the ones before gave.
        limits: of the values.
        felt: rows and columns of low_res that are to be close enough.
        number: of rounds that were done.
    """
    for done in range(number, limits.rounds):
        off = np.abs((low_res - state.seen)[..., felt[0], felt[1]]) >= _CLOSE_ENOUGH
        if not off.any():
            break
        if done > number and done % _ROUNDS_TOGETHER == 0:
            size = low_res.shape[-2:]
            inner = grown(_around(off, felt), _FELT, size)
            outer = grown(inner, _MARGIN - _FELT + degradation.reach, size)
            if _area(outer) <= _WORTH_IT * size[0] * size[1]:
                part, taken = degradation.cut(*outer)
                low = low_res[..., outer[0], outer[1]]
                inside = within(inner, outer)
                around = limits.at((..., *taken))
                made = _more_rounds(part, state.cut(taken, outer), low, around, inside, done)
                fitted: Floats = state.fitted.copy()
                (top, left), (from_top, from_left) = degradation.place(*inner), part.place(*inside)
                fitted[..., top, left] = made[..., from_top, from_left]
                return fitted
        state = _next_round(degradation, state, low_res, limits, done)
    return state.fitted


def _next_round(
    degradation: Degrades, state: _State, low_res: Floats, limits: Limits, number: int
) -> _State:
    """One projection, clipped, and the momentum after so many rounds."""
    fitted, seen, ahead, seen_ahead = state
    moved = degradation.descent(low_res - seen_ahead)
    moved += ahead
    limits.clip(moved)
    seen_moved = degradation(moved)
    momentum = np.float32(number / (number + 3))
    ahead = moved - fitted
    ahead *= momentum
    ahead += moved
    seen_ahead = seen_moved + momentum * (seen_moved - seen)  # D is linear
    return _State(moved, seen_moved, ahead, seen_ahead)


def _around(off: NDArray[np.bool_], felt: Place) -> Place:
    """The rows and columns of low_res from the first to the last pixel that is off.

    Args:
        off: (..., h, w), of the pixels of `felt`.
    """
    rows, columns = (
        np.flatnonzero(off.any(axis=(*range(off.ndim - 2), axis))) + part.start
        for axis, part in zip((-1, -2), felt, strict=True)
    )
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def grown(place: Place, by: int, size: tuple[int, ...]) -> Place:
    """A place with so many pixels around it, as far as there are any."""
    rows, columns = (
        slice(max(0, part.start - by), min(length, part.stop + by))
        for part, length in zip(place, size, strict=True)
    )
    return rows, columns


def within(place: Place, outer: Place) -> Place:
    """Where a place lies in one around it."""
    rows, columns = (
        slice(part.start - around.start, part.stop - around.start)
        for part, around in zip(place, outer, strict=True)
    )
    return rows, columns


def _area(place: Place) -> int:
    """Pixels of a place."""
    return math.prod(part.stop - part.start for part in place)
