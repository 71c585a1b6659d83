"""Low-res pictures enlarged without a network, for what is not to be invented, such as alpha.

The bicubic picture is made to fit, but stays between the low-res pixels around: a fit that is free
rings beside every edge, which shows where a soft shadow lies there and swings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sr4.degradation.fit import Limits, fit
from sr4.degradation.protocols import Centres, Degrades, Floats

# Where no picture between its neighbours fits, such as around jagged edges, the fit leaves dots.
# It gives way to the bicubic picture little by little, from so many levels of rest to so many.
_LITTLE = 8 / 127.5
_MUCH = 32 / 127.5
_FREE = 1.5  # times the share that four pixels have in what all around differ by
_NOTHING = np.float32(1e-12)
_ROUNDS = 8  # with more, what hardly fits is met by specks beside edges
_SLACK = 0.5 / 127.5  # by which pixels may leave what is around them: less than can be seen
_PAIRS = ((0, 1), (1, 0), (1, 1), (1, -1))  # one neighbour of the two on either side of a pixel

Choice = Callable[[Any, Any], Any]


def enlarged(degradation: Degrades, pictures: Floats, low_res: Floats) -> Floats:
    """Bicubic pictures made to fit low_res as closely as they do between its pixels.

    Args:
        degradation: D.
        pictures: (..., H, W), bicubic; low_res: (..., h, w) in [-1, 1].

    Returns:
        (..., H, W).
    """
    height, width = low_res.shape[-2:]
    centres = degradation.centres((height, width))
    limits = _limits(low_res, centres)
    plain = np.clip(pictures, limits.low, limits.high)
    fitted = fit(degradation, plain, low_res, limits)
    off = np.abs(low_res - degradation(fitted))
    if off.max() <= _LITTLE:
        return fitted
    share = (_MUCH - _of_three_by_three(off, np.maximum)) / (_MUCH - _LITTLE)
    smooth = _of_three_by_three(np.clip(share, 0, 1, dtype=np.float32), np.add) / np.float32(9)
    fitted -= plain
    fitted *= _interpolated(np.asarray(smooth, np.float32), centres)
    fitted += plain
    return fitted


def of_nearest_four(y: NDArray[Any], centres: Centres, choose: Choice) -> NDArray[Any]:
    """What a choice, such as `np.minimum`, makes of the four low-res pixels (..., h, w) around each
    high-res one, (..., H, W).
    """
    for axis, places in zip((-2, -1), centres, strict=True):
        first = np.floor(places).astype(np.intp)
        before, after = (_at(y, first + step, axis) for step in (0, 1))
        y = choose(before, after)
    return y


def _limits(low_res: Floats, centres: Centres) -> Limits:
    """Limits of each high-res pixel: the least and the greatest of the four low-res ones around it.

    Where these differ by little beside a large step, such as in the shadow of an object, pixels
    stay near the bilinear picture, for what the fit would add there is the ringing of that step. A
    pixel that sticks out on both sides, as that of a thin line does, is a mean of more and of less:
    it may stick out as far again.
    """
    (low, high), (lower, higher) = (
        [of_nearest_four(made, centres, choose) for made, choose in pair]
        for pair in (
            [(low_res, np.minimum), (low_res, np.maximum)],
            [(_of_three_by_three(low_res, one), one) for one in (np.minimum, np.maximum)],
        )
    )
    share = _FREE * (high - low) / np.maximum(higher - lower, _NOTHING)
    leave = (high - low) * np.minimum(share, 1)
    middle = _interpolated(low_res, centres)
    low, high = np.clip(middle - leave, low, high), np.clip(middle + leave, low, high)
    for limit, sign in ((low, -1), (high, 1)):
        ridges = sign * _ridges(sign * low_res)
        for axis, places in zip((-2, -1), centres, strict=True):
            ridges = _at(ridges, np.rint(places).astype(np.intp), axis)
        # What is wholly black or white, as alpha is nearly everywhere, stays so.
        limit += ridges + sign * np.float32(_SLACK) * (limit != -sign)
        np.clip(limit, -1.0, 1.0, out=limit)
    return Limits(low, high, _ROUNDS)


def _ridges(y: Floats) -> Floats:
    """By how much each pixel (..., h, w) exceeds its two neighbours along a line through it, along
    which it does so most; 0 if along none. Behind the borders, pictures go on as in a mirror.
    """
    around = _padded(y, "reflect")
    found: Floats = np.zeros_like(y)
    for down, across in _PAIRS:
        pair = (_moved(around, sign * down, sign * across) for sign in (1, -1))
        np.maximum(found, y - np.maximum(*pair), out=found)
    return found


def _of_three_by_three(y: Floats, choose: Choice) -> Floats:
    """What a choice makes of each pixel (..., h, w) and its eight neighbours."""
    steps = (-1, 0, 1)
    for moves in ([(step, 0) for step in steps], [(0, step) for step in steps]):
        around = _padded(y, "edge")
        first, second, third = (_moved(around, *move) for move in moves)
        y = choose(choose(first, second), third)
    return y


def _padded(y: Floats, mode: Literal["edge", "reflect"]) -> Floats:
    """(..., h + 2, w + 2)."""
    return np.pad(y, [(0, 0)] * (y.ndim - 2) + [(1, 1), (1, 1)], mode=mode)


def _moved(padded: Floats, down: int, across: int) -> Floats:
    """The neighbours so far away of all pixels that were padded."""
    height, width = padded.shape[-2:]
    rows, columns = slice(1 + down, height - 1 + down), slice(1 + across, width - 1 + across)
    return padded[..., rows, columns]


def _interpolated(y: Floats, centres: Centres) -> Floats:
    """Bilinear, (..., h, w) to (..., H, W)."""
    for axis, places in zip((-2, -1), centres, strict=True):
        first = np.floor(places)
        share = (places - first).astype(np.float32)
        share = share[:, None] if axis == -2 else share
        before, after = (_at(y, first.astype(np.intp) + step, axis) for step in (0, 1))
        y = before + share * (after - before)
    return y


def _at(y: NDArray[Any], places: NDArray[np.intp], axis: int) -> NDArray[Any]:
    """Pixels at places along an axis; beyond the ends the outermost."""
    return np.take(y, np.clip(places, 0, y.shape[axis] - 1), axis=axis)
