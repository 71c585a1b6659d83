"""The steps that the coefficients of a JPEG were quantised by, told by the coefficients that its
decoded pixels have.

These lie near multiples of the steps, moved by the rounding of the pixels. Each step is found by
itself, as the one that makes its coefficients likeliest against none at all (as in Fan & de
Queiroz, "Identification of bitmap compression history", IEEE Trans. Image Processing 12(2), 2003,
section III, which has no outliers), so that it does not matter whose tables they are. What is less
than a nat or two in each is beyond doubt in a hundred blocks.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sr4.evidence.jpeg import all_standard
from sr4.evidence.sets import BLOCK

Float64 = NDArray[np.float64]

_MOST = 255  # the largest step of files of 8 bits (T.81, B.2.4.1)
_SURE = 8.0  # nats by which a step has to be likelier than none; 255 of them are compared
_BIN, _TOP = 0.25, 1024  # levels: of the histogram of coefficients, and the largest there can be
# Deviation of what the rounding of samples, of colours and of pixels does to a coefficient.
_ROUNDED = 0.5
_ROUNDED_MEAN = 1.0  # the same of the mean of a block: flat parts are rounded alike
_ROUNDED_TO_ZERO = 1.0  # the same of those that are gone; these only speak against steps
_STRANGE = 0.05  # share of coefficients that something else has happened to
_FEWEST = 40  # blocks that are used even if parts of them are black or white
_GONE = 1.0  # levels below which a coefficient counts as gone
_FEW = 10  # coefficients that have to be more than gone
_FLAT = 2  # coefficients without which a block is flat: its pixels are all rounded alike
# Of steps that are not found: the usual growth of the logarithm by frequency, what that is worth in
# steps found, the deviations from it above and below, and the factor by which too wide is safer
# than too narrow, of which the logarithm grows with the distance to the nearest step found.
_GROWTH, _WORTH, _SPREAD, _SPREAD_BELOW, _WIDER, _WIDER_AWAY = 0.1, 20.0, 0.4, 0.25, 1.3, 0.05
_PASSES = 2  # of the second, what the first has found unlikely has no part in what is expected
_ITSELF = 1e-9  # the weight of a step in what the others let expect of it
_HINT = 3.0  # nats: one coefficient that fits
_DOUBT = 0.5  # nats a block: one coefficient in six that does not
_FREQUENCIES = np.indices((BLOCK, BLOCK)).reshape(2, -1).T


class Steps(NamedTuple):
    """A table as found.

    Attributes:
        table: (8, 8), whole numbers.
        score: nats by which it is likelier than none.
        fit: see `periodicity`.
        quality: on libjpeg's scale if it is one of libjpeg's; else None.
    """

    table: NDArray[np.int64]
    score: float
    fit: float
    quality: int | None


@cache
def _gains(rounded: float) -> Float64:
    """By how much a coefficient is likelier, in nats, under each step than under none: (bins of its
    magnitude, steps). Zeros say nothing for a step, but what lies between zero and one step speaks
    against it.
    """
    size = np.arange(_TOP / _BIN + 1)[:, None] * _BIN
    steps = np.arange(1.0, _MOST + 1)
    number = np.rint(size / steps)
    rest = size - number * steps
    gain, loss = (
        np.log(_STRANGE + (1 - _STRANGE) * _density(rest, steps, deviation))
        for deviation in (rounded, _ROUNDED_TO_ZERO)
    )
    return np.asarray(np.where(number == 0, np.minimum(loss, 0), gain))


def _density(rest: Float64, steps: Float64, deviation: float) -> Float64:
    """That of what is left of multiples, against an even one over each step."""
    near = sum(np.exp(-(((rest + side * steps) / deviation) ** 2) / 2) for side in (-1, 0, 1))
    return np.asarray(near * steps / (deviation * np.sqrt(2 * np.pi)))


def _telling(coefficients: NDArray[Any], clipped: NDArray[Any]) -> NDArray[np.intp]:
    """The blocks to look at: neither flat nor clipped, and each pattern once, as drawings and text
    repeat few of them.
    """
    active = np.flatnonzero((np.abs(coefficients[:, 1:]) > _GONE).sum(axis=1) > _FLAT)
    order = active[np.argsort(clipped[active], kind="stable")]
    used = order[: max(_FEWEST, int((clipped[order] == 0).sum()))]
    mark = np.random.default_rng(0).standard_normal(BLOCK**2)
    _, first = np.unique(np.rint(coefficients[used] @ mark * 1e6), return_index=True)
    return np.asarray(used[first])


def _step_gains(coefficients: NDArray[Any]) -> Float64:
    """By how much each step explains the coefficients (blocks, 64) of its frequency better than
    none, in nats: (64, 255), by frequency and step.
    """
    mean, other = _gains(_ROUNDED_MEAN), _gains(_ROUNDED)
    count = len(other)
    bins = np.minimum(np.rint(np.abs(coefficients) / _BIN).astype(np.int64), count - 1)
    bins += np.arange(BLOCK**2) * count
    histogram = np.bincount(bins.ravel(), minlength=count * BLOCK**2).reshape(BLOCK**2, count)
    found: Float64 = histogram.astype(np.float64) @ other
    found[0] = histogram[0] @ mean
    return found


def found_steps(
    coefficients: NDArray[Any],
    clipped: NDArray[Any],
    *,
    colour: bool = False,
    quality: int | None = None,
) -> Steps:
    """The table by which coefficients were quantised: one of libjpeg's if it explains them as well
    as free steps do, else these, and where there are none what their neighbours say.

    Args:
        coefficients: (blocks, 64), in levels.
        clipped: (blocks,), the share of each block's pixels that are not what was decoded.
        colour: whether the tables of libjpeg for colour are meant.
        quality: the one of libjpeg's that luma has, which counts unless another is surely better.
    """
    flat = coefficients[_telling(coefficients, clipped)]
    gains = _step_gains(flat)
    rows, most = np.arange(BLOCK**2), gains.max(axis=1)
    sure = most > _SURE
    tables = all_standard()[colour].reshape(-1, BLOCK**2).astype(np.int64)
    explained = gains[rows, tables - 1]
    total = explained.sum(axis=1)
    best = int(total.argmax())
    if quality is not None and total[quality - 1] > total[best] - _SURE:
        best = quality - 1
    score = float((most - _SURE)[sure].sum())
    is_standard = bool(explained[best, sure].sum() >= score)
    if is_standard:
        table, score = tables[best], max(float(total[best]), score)
    else:
        table = _completed(gains, sure, tables, _DOUBT * len(flat))
    table = table.reshape(BLOCK, BLOCK)
    return Steps(table, score, periodicity(flat, table, _FEW), best + 1 if is_standard else None)


def periodicity(coefficients: NDArray[Any], table: NDArray[Any], enough: int) -> float:
    """The mean cosine of coefficients (blocks, 64), but for the means of blocks, in the period of
    their steps: near 1 for multiples, near 0 for others; 0 if fewer than enough are not gone.
    """
    steps = table.ravel().astype(np.float64)[1:]
    used = np.abs(coefficients[:, 1:]) > 0.6 * steps
    if used.sum() < enough:
        return 0.0
    return float(np.cos(2 * np.pi * (coefficients[:, 1:] / steps))[used].mean())


def _completed(
    gains: Float64, sure: NDArray[np.bool_], tables: NDArray[np.int64], most: float
) -> NDArray[np.int64]:
    """The steps (64,) that coefficients tell, each seen with what the others that are sure let
    expect; where they tell none, what is expected, on the wide side: too wide a box leaves the
    truth inside.

    Args:
        tables: (qualities, 64), those of libjpeg.
        most: nats of coefficients that may speak against what is expected.
    """
    rows, found = np.arange(BLOCK**2), gains.argmax(axis=1)
    against = np.where(gains < -most, gains, 0)
    for _ in range(_PASSES):
        squares = ((_FREQUENCIES[:, None] - _FREQUENCIES[sure]) ** 2).sum(axis=2)
        expected = _expected(np.log(found[sure] + 1), sure, squares, np.log(tables))
        away = np.log(np.arange(1, _MOST + 1)) - expected.mean(axis=0)[:, None]
        doubt = (away / np.where(away < 0, _SPREAD_BELOW, _SPREAD)) ** 2 / 2
        told = (np.maximum(gains, against) - doubt).argmax(axis=1)
        if not (sure & (told == found)).any():
            break
        sure = sure & (told == found)
    wider = np.log(_WIDER) + _WIDER_AWAY * np.sqrt(squares.min(axis=1))
    wide = np.ceil(np.exp(np.minimum(expected.max(axis=0) + wider, np.log(_MOST)))).astype(np.int64)
    wide = np.minimum(wide, _MOST)
    is_told = (gains[rows, told] > _HINT + doubt[rows, told]) | (gains[rows, wide - 1] < -most)
    return np.asarray(np.where(is_told, told + 1, wide))


def _expected(
    known: Float64, sure: NDArray[np.bool_], squares: NDArray[np.int64], shapes: Float64
) -> Float64:
    """Logarithms of steps (2, 64) by those that are known: a line over the frequency, and the shape
    of the nearest table of libjpeg, each with what the nearest ones differ from it.

    Args:
        squares: (64, known), those of distances to these.
        shapes: (qualities, 64), logarithms.
    """
    order = _FREQUENCIES.sum(axis=1)
    away = order[sure] - order[sure].mean()
    growth = ((known * away).sum() + _GROWTH * _WORTH) / ((away**2).sum() + _WORTH)
    nearest = np.abs(shapes[:, sure] - known).sum(axis=1).argmin()
    weights = np.where(squares == 0, _ITSELF, 1 / (squares + 0.5) ** 2)
    weights /= weights.sum(axis=1, keepdims=True)
    both = (max(growth, 0.0) * order, shapes[nearest])
    return np.array([shape + weights @ (known - shape[sure]) for shape in both])
