"""Pictures of values in [-1, 1] that D maps onto low_res as closely as that range lets it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sr4.degradation.protocols import Floats, Invertible, Place
from sr4.machine.processors import for_each

# Rounds of projection and clipping: most of a photograph needs one, what is black or white up to
# all of them. They end once D gives low_res back to a fraction of the rounding to 8 bits, which is
# 4e-3.
_ROUNDS = 20
_CLOSE_ENOUGH = 2e-5
_TILE = 84  # low-res pixels along the edge of what is done until it is close enough
# Low-res pixels around a tile that are done with it. What a pixel asks for falls off by an order of
# magnitude with each.
_MARGIN = 6
_FELT = 3  # of these, those whose own need still moves what is inside


class _Tile(NamedTuple):
    """A part of a plane, in low-res pixels: itself, and what is done with it."""

    plane: int
    inner: Place
    outer: Place

    def inside(self, by: int = 0) -> Place:
        """Where the tile, and `by` pixels around it, lie within `outer`."""
        rows, columns = (
            slice(
                max(0, inner.start - outer.start - by),
                min(outer.stop, inner.stop + by) - outer.start,
            )
            for inner, outer in zip(self.inner, self.outer, strict=True)
        )
        return rows, columns


def fit(degradation: Invertible, pictures: Floats, low_res: Floats) -> Floats:
    """Pictures near the given ones, in [-1, 1], that D maps onto low_res.

    Projection and clipping alternate with momentum (FISTA: Beck & Teboulle 2009, section 4);
    without it, a black or white picture takes ten times the rounds. After a first round for all,
    tiles that are still off go on, each alone with what surrounds it.

    Args:
        degradation: D.
        pictures: (..., H, W); low_res: (..., h, w) in [-1, 1].

    Returns:
        (..., H, W), a new array.
    """
    fitted = _round(degradation, pictures, low_res)
    if max(low_res.shape[-2:]) <= _TILE + 2 * _MARGIN:
        return _more_rounds(degradation, fitted, low_res, (slice(None), slice(None)))
    planes, low = (x.reshape(-1, *x.shape[-2:]) for x in (fitted, low_res))
    off = np.abs(low - degradation(planes)) >= _CLOSE_ENOUGH
    if not off.any():
        return fitted
    found: list[tuple[_Tile, Floats]] = []

    def finish(tile: _Tile) -> None:
        part, taken = degradation.cut(*tile.outer)
        given = planes[tile.plane][taken]
        made = _more_rounds(part, given, low[tile.plane][tile.outer], tile.inside(_FELT))
        found.append((tile, made[part.place(*tile.inside())].copy()))

    share = min(low.shape[-2], _TILE) * min(low.shape[-1], _TILE) / low[0].size
    pixels = int(planes[0].size * share)
    for_each(finish, list(_tiles_off(off)), _ROUNDS * pixels)
    for tile, made in found:  # at the end: each has seen what is around it as it was
        planes[tile.plane][degradation.place(*tile.inner)] = made
    # Neighbours end after different numbers of rounds: where they meet one more makes them fit.
    return _round(degradation, fitted, low_res)


def _round(degradation: Invertible, pictures: Floats, low_res: Floats) -> Floats:
    """One projection, clipped."""
    fitted: Floats = degradation.pseudo_inverse(low_res - degradation(pictures))
    fitted += pictures
    np.clip(fitted, -1.0, 1.0, out=fitted)
    return fitted


def _tiles_off(off: NDArray[np.bool_]) -> Iterator[_Tile]:
    """The tiles of planes (P, h, w) in which, or just beside which, a pixel is off."""
    height, width = off.shape[1:]
    for plane in np.flatnonzero(off.any(axis=(1, 2))):
        for top in range(0, height, _TILE):
            for left in range(0, width, _TILE):
                inner, felt, outer = (
                    (
                        slice(max(0, top - by), min(height, top + _TILE + by)),
                        slice(max(0, left - by), min(width, left + _TILE + by)),
                    )
                    for by in (0, _FELT, _MARGIN)
                )
                if off[plane][felt].any():
                    yield _Tile(int(plane), inner, outer)


def _more_rounds(degradation: Invertible, fitted: Floats, low_res: Floats, felt: Place) -> Floats:
    """The rounds after the first.

    Args:
        fitted: what the first gave.
        felt: rows and columns of low_res that are to be close enough.
    """
    seen = degradation(fitted)
    ahead, seen_ahead = fitted, seen
    for number in range(1, _ROUNDS):
        if np.abs((low_res - seen)[..., felt[0], felt[1]]).max() < _CLOSE_ENOUGH:
            break
        moved = degradation.pseudo_inverse(low_res - seen_ahead)
        moved += ahead
        np.clip(moved, -1.0, 1.0, out=moved)
        seen_moved = degradation(moved)
        momentum = np.float32(number / (number + 3))
        ahead = moved - fitted
        ahead *= momentum
        ahead += moved
        seen_ahead = seen_moved + momentum * (seen_moved - seen)  # D is linear
        fitted, seen = moved, seen_moved
    return fitted
