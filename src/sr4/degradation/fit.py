"""Pictures within limits, such as [-1, 1], that D maps onto low_res, or into a set, as closely as
these let it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sr4.degradation.protocols import Degrades, Floats, Place
from sr4.machine.processors import for_each

if TYPE_CHECKING:
    from typing_extensions import Self

# Rounds of projection and clipping: most of a photograph needs one, what is black or white up to
# all of them. They end once D gives low_res back to a fraction of the rounding to 8 bits, which is
# 4e-3.
_ROUNDS = 20
CLOSE_ENOUGH = 2e-4
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


class Wanted(Protocol):
    """What D of a picture has to be: a set of pictures y (..., h, w), such as one alone."""

    @property
    def tolerance(self) -> float:
        """How far each pixel of y may be from its projection where that is close enough."""
        ...

    def project(self, y: Any) -> Any:
        """The nearest one to y that is wanted."""
        ...

    def cut(self, rows: slice, columns: slice) -> Self:
        """What is wanted of some rows and columns."""
        ...

    def around(self, start: int, stop: int, axis: int) -> tuple[int, int]:
        """The rows (axis -2) or columns (-1), at least those given, that are projected together."""
        ...


@dataclass(frozen=True)
class _Exactly:
    """One picture (..., h, w) and no other."""

    low_res: Floats

    tolerance = CLOSE_ENOUGH

    def project(self, y: Floats) -> Floats:
        return self.low_res

    def cut(self, rows: slice, columns: slice) -> _Exactly:
        return _Exactly(self.low_res[..., rows, columns])

    def around(self, start: int, stop: int, axis: int) -> tuple[int, int]:
        return start, stop


@dataclass(frozen=True)
class _Each:
    """What is wanted of each of several pictures (N, ..., h, w), all of one kind."""

    wanted: Sequence[Wanted]

    @property
    def tolerance(self) -> float:
        return self.wanted[0].tolerance

    def project(self, y: Floats) -> Floats:
        return np.stack([one.project(each) for one, each in zip(self.wanted, y, strict=True)])

    def cut(self, rows: slice, columns: slice) -> _Each:
        return _Each([one.cut(rows, columns) for one in self.wanted])

    def around(self, start: int, stop: int, axis: int) -> tuple[int, int]:
        return self.wanted[0].around(start, stop, axis)


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

    Args:
        degradation: D.
        pictures: (..., H, W); low_res: (..., h, w) in [-1, 1].
        limits: of the values.

    Returns:
        (..., H, W), a new array.
    """
    planes, low = (x.reshape(-1, *x.shape[-2:]) for x in (pictures, low_res))
    made = fit_to(degradation, planes, [_Exactly(one) for one in low], limits.of_planes())
    return made.reshape(pictures.shape)


def fit_to(
    degradation: Degrades, pictures: Floats, wanted: Sequence[Wanted], limits: Limits = UNIT
) -> Floats:
    """Pictures near the given ones, within limits, that D maps to what is wanted.

    Projection and clipping alternate with momentum (FISTA: Beck & Teboulle 2009, section 4);
    without it, a black or white picture takes ten times the rounds. After a first round for all,
    tiles that are still off go on, each alone with what surrounds it, and shrink to what is off.

    Args:
        degradation: D.
        pictures: (N, ..., H, W).
        wanted: of each of them.
        limits: of the values.

    Returns:
        (N, ..., H, W), a new array.
    """
    every = _Each(wanted)
    fitted = _round(degradation, pictures, every, limits)
    seen = degradation(fitted)
    size = seen.shape[-2:]
    if max(size) <= _TILE + 2 * (_MARGIN + degradation.reach):
        everywhere = slice(0, size[0]), slice(0, size[1])
        begun = _State(fitted, seen, fitted, seen)
        made = _more_rounds(degradation, begun, every, limits, everywhere)
        return made if made is fitted else _round(degradation, made, every, limits)
    off = np.abs(every.project(seen) - seen) >= every.tolerance
    off = np.any(off, axis=tuple(range(1, off.ndim - 2)))  # (N, h, w)
    if not off.any():
        return fitted
    found: list[tuple[int, Place, Floats]] = []

    def finish(tile: tuple[int, Place]) -> None:
        number, place = tile
        outer = grown_to(wanted[number], place, _MARGIN + degradation.reach, size)
        part, taken = degradation.cut(*outer)
        given = fitted[number][..., taken[0], taken[1]]
        of_part = part(given)
        begun = _State(given, of_part, given, of_part)
        felt = within(grown_to(wanted[number], place, _FELT, size), outer)
        around = limits.at((number, ..., *taken))
        made = _more_rounds(part, begun, wanted[number].cut(*outer), around, felt)
        rows, columns = part.place(*within(place, outer))
        found.append((number, place, made[..., rows, columns].copy()))

    share = min(size[0], _TILE) * min(size[1], _TILE) / math.prod(size)
    for_each(finish, list(_tiles_off(off)), limits.rounds * int(fitted[0].size * share))
    for number, place, made in found:  # at the end: each has seen what is around it as it was
        rows, columns = degradation.place(*place)
        fitted[number][..., rows, columns] = made
    # Neighbours end after different numbers of rounds: where they meet one more makes them fit.
    return _round(degradation, fitted, every, limits)


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


def _round(degradation: Degrades, pictures: Floats, wanted: Wanted, limits: Limits) -> Floats:
    """One projection, clipped."""
    seen = degradation(pictures)
    fitted: Floats = degradation.descent(wanted.project(seen) - seen)
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


def _more_rounds(
    degradation: Degrades,
    state: _State,
    wanted: Wanted,
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
        rest = wanted.project(state.seen) - state.seen
        off = np.abs(rest[..., felt[0], felt[1]]) >= wanted.tolerance
        if not off.any():
            break
        if done > number and done % _ROUNDS_TOGETHER == 0:
            size = state.seen.shape[-2:]
            inner = grown_to(wanted, _around(off, felt), _FELT, size)
            outer = grown_to(wanted, inner, _MARGIN - _FELT + degradation.reach, size)
            if _area(outer) <= _WORTH_IT * size[0] * size[1]:
                part, taken = degradation.cut(*outer)
                inside = within(inner, outer)
                around, cut = limits.at((..., *taken)), wanted.cut(*outer)
                made = _more_rounds(part, state.cut(taken, outer), cut, around, inside, done)
                fitted: Floats = state.fitted.copy()
                (top, left), (from_top, from_left) = degradation.place(*inner), part.place(*inside)
                fitted[..., top, left] = made[..., from_top, from_left]
                return fitted
        if state.seen_ahead is not state.seen:
            rest = wanted.project(state.seen_ahead) - state.seen_ahead
        state = _next_round(degradation, state, rest, limits, done)
    return state.fitted


def _next_round(
    degradation: Degrades, state: _State, rest: Floats, limits: Limits, number: int
) -> _State:
    """One projection, clipped, and the momentum after so many rounds.

    Args:
        rest: by how much `seen_ahead` is to change.
    """
    fitted, seen, ahead, _ = state
    moved = degradation.descent(rest)
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


def grown_to(wanted: Wanted, place: Place, by: int, size: tuple[int, ...]) -> Place:
    """A place with so many pixels around it, and those that are projected with them."""
    rows, columns = (
        slice(*wanted.around(part.start, part.stop, axis))
        for part, axis in zip(grown(place, by, size), (-2, -1), strict=True)
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
