"""Products of pictures with the banded matrix of an axis, as fast as memory gives the pixels.

A matrix is held as runs of equal blocks: away from the borders each block of a whole ratio is the
one before, moved on. A run is one call of NumPy's matmul over overlapping windows, which are views,
in products so small that a BLAS does not spread them over threads of its own: those of OpenBLAS
wait in busy loops, for each other and for whoever else wants the processors. Large pictures go to
the threads of `sr4.machine.processors` instead.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import device, is_numpy_namespace
from numpy.lib.stride_tricks import as_strided

from sr4.degradation.arrays import array_namespace
from sr4.degradation.bicubic import Rows, RowsOf
from sr4.degradation.inverse import NEGLIGIBLE, Adjoint, GramInverse, PseudoInverse
from sr4.machine.processors import in_pieces

Array = Any  # a NumPy array or a torch tensor

_WHOLE = 256  # axes up to this length are one block
_WHOLE_ELSEWHERE = 1024  # of other libraries, which start a kernel for each product
_BLOCK = 32  # places of the longer side in one of several blocks; fastest of 32, 64 and 128
# Multiplications of one product: up to these OpenBLAS uses the calling thread alone (its
# SMP_THRESHOLD_MIN times GEMM_MULTITHREAD_THRESHOLD).
_ONE_THREAD = 2**18
_LANES = 16  # numbers that a processor takes together


_MOST_KEPT = 2**24  # numbers of matrices that are kept for the next product
_OWN = 64  # that a run without its matrix takes the place of


class Run(NamedTuple):
    """Blocks of a matrix that are equal, but for their place.

    Attributes:
        start: the first row.
        first: the first column of the first block.
        step: columns from one block to the next.
        repeats: how many there are.
        matrix: (rows, columns), of the library that multiplies.
    """

    start: int
    first: int
    step: int
    repeats: int
    matrix: Array

    @property
    def columns(self) -> slice:
        """Those of the first block."""
        return slice(self.first, self.first + self.matrix.shape[1])


_KEPT: dict[Any, tuple[Run, ...]] = {}  # the one used last is at the end
_LOCK = threading.Lock()


def resized(
    x: Array, rows: RowsOf, height: int, width: int, *, across: RowsOf | None = None
) -> Array:
    """`R x Cᵀ` for the matrices R (height, H) and C (width, W) of x (..., H, W).

    Args:
        rows: of R, and of C where `across` has no others for it.
    """
    xp, place = array_namespace(x), device(x)
    before = x.shape[-2:]
    vertical, horizontal = (
        _runs(kind, int(a), b, xp, x.dtype, place)
        for kind, a, b in zip((rows, across or rows), before, (height, width), strict=True)
    )
    if not is_numpy_namespace(xp):
        x = xp.concat([block @ x[..., a:b, :] for block, a, b in _single(vertical)], axis=-2)
        return xp.concat([x[..., a:b] @ block.T for block, a, b in _single(horizontal)], axis=-1)
    planes = x.reshape(-1, *before)
    # First the axis that leaves less to do for the other.
    if height <= before[0]:
        planes = _along_columns(_along_rows(planes, vertical, height), horizontal, width)
    else:
        planes = _along_rows(_along_columns(planes, horizontal, width), vertical, height)
    return planes.reshape(*x.shape[:-2], height, width)


def inverted(y: Array, rows: RowsOf, size: tuple[int, int], weak: float = 0.0) -> Array:
    """D⁺(y), `Rᵀ (R Rᵀ)⁻¹ y (C Cᵀ)⁻¹ C` for the matrices R (h, H) and C (w, W) of D: (..., h, w) to
    (..., H, W).

    Small pictures are multiplied with one matrix for each axis. Those of others are bands of half a
    hundred high-res pixels: two narrower ones, of which the first works at the size of y, take half
    the time. Not after a blur, whose `(R Rᵀ)⁻¹` has entries so large that their sums lose digits.

    Args:
        rows: of R and C.
        size: H and W.
        weak: see `PseudoInverse`.
    """
    if weak or max(size) <= _WHOLE or not is_numpy_namespace(array_namespace(y)):
        return resized(y, PseudoInverse(rows, weak), *size)
    down, across = (GramInverse(rows, length) for length in size)
    return resized(resized(y, down, *y.shape[-2:], across=across), Adjoint(rows), *size)


def _single(runs: tuple[Run, ...]) -> list[tuple[Array, int, int]]:
    """The blocks with the columns of each."""
    return [
        (run.matrix, first, first + run.matrix.shape[1])
        for run in runs
        for first in (run.first + number * run.step for number in range(run.repeats))
    ]


def _runs(
    rows: RowsOf, size_in: int, size_out: int, xp: Any, dtype: Any, place: Any
) -> tuple[Run, ...]:
    """The runs of a matrix, made or kept from before."""
    key = rows, size_in, size_out, xp, dtype, place
    with _LOCK:
        if (found := _KEPT.pop(key, None)) is not None:
            _KEPT[key] = found
            return found
    found = _made(*key)
    with _LOCK:
        _KEPT[key] = found
        # One picture may have hundreds of small ones; those of ratios that are not whole are large.
        numbers = sum(map(_size, _KEPT.values()))
        while numbers > _MOST_KEPT and len(_KEPT) > 1:
            numbers -= _size(_KEPT.pop(next(iter(_KEPT))))
    return found


def _size(runs: tuple[Run, ...]) -> int:
    """How many numbers take the place of all."""
    return sum(_OWN + math.prod(run.matrix.shape) for run in runs)


def _made(
    rows: RowsOf, size_in: int, size_out: int, xp: Any, dtype: Any, place: Any
) -> tuple[Run, ...]:
    longest = max(size_in, size_out)
    if longest <= (_WHOLE if is_numpy_namespace(xp) else _WHOLE_ELSEWHERE):
        first, matrix = rows(size_in, size_out, 0, size_out)
        found = [Run(0, first, 0, 1, matrix)]
    else:
        found = blocks(rows, size_in, size_out, max(1, size_out * _BLOCK // longest))
    return tuple(
        run._replace(matrix=xp.asarray(run.matrix.copy(), dtype=dtype, device=place))
        for run in found
    )


def blocks(rows: RowsOf, size_in: int, size_out: int, block: int) -> list[Run]:
    """The runs of a matrix in blocks of so many rows, in float64.

    Where each block lies a whole number of columns behind the one before, blocks are made from the
    start until one is equal to that before it, and then from the end until one is equal to those:
    all between are.
    """
    count = -(-size_out // block)
    step, rest = divmod(block * size_in, size_out)

    @cache
    def made(number: int) -> Run:
        start = number * block
        held = _trimmed(rows(size_in, size_out, start, min(start + block, size_out)))
        return Run(start, held.first, step, 1, held.matrix)

    def equal(one: int, other: int) -> bool:
        a, b = made(one), made(other)
        return (
            b.first - a.first == (other - one) * step
            and b.matrix.shape == a.matrix.shape
            and bool(np.abs(b.matrix - a.matrix).max() <= NEGLIGIBLE * np.abs(a.matrix).max())
        )

    pairs = () if rest else pairwise(range(count))
    begin = next((one for one, other in pairs if equal(one, other)), None)
    if begin is None:
        return [made(number) for number in range(count)]
    end = next(number for number in range(count - 1, begin, -1) if equal(begin, number)) + 1
    run = made(begin)._replace(repeats=end - begin)
    return [*map(made, range(begin)), run, *map(made, range(end, count))]


def _trimmed(rows: Rows) -> Rows:
    size = np.abs(rows.matrix).max(axis=0)
    seen = np.flatnonzero(size > NEGLIGIBLE * size.max())
    if not seen.size:  # a block of outermost pixels alone, which nothing sees
        return Rows(rows.first, rows.matrix[:, :1])
    return Rows(rows.first + int(seen[0]), rows.matrix[:, seen[0] : seen[-1] + 1])


def _along_rows(x: Array, runs: tuple[Run, ...], height: int) -> Array:
    """(P, H, W) to (P, height, W)."""
    x = _with_neighbours_in_memory(x)
    planes, _, width = x.shape
    found = np.empty((planes, height, width), x.dtype)
    lanes = _Lanes.of(runs, width)
    if len(runs) == lanes.count == runs[0].repeats == 1:  # small: nothing to take apart
        return np.matmul(runs[0].matrix, x[:, runs[0].columns], out=found)

    def do(start: int, stop: int) -> None:
        for run, (left, each, count) in product(runs, lanes.groups(start, stop)):
            rows, columns = run.matrix.shape
            (plane, row, lane) = x.strides
            given = _view(
                x,
                (run.first, left),
                (planes, run.repeats, count, columns, each),
                (plane, run.step * row, each * lane, row, lane),
            )
            (plane, row, lane) = found.strides
            made = _view(
                found,
                (run.start, left),
                (planes, run.repeats, count, rows, each),
                (plane, rows * row, each * lane, row, lane),
            )
            np.matmul(run.matrix, given, out=made)

    in_pieces(do, lanes.count, planes * (x.shape[1] + height) * width, least=1)
    return found


def _along_columns(x: Array, runs: tuple[Run, ...], width: int) -> Array:
    """(P, H, W) to (P, H, width)."""
    x = np.ascontiguousarray(x)
    planes, height, before = x.shape
    found = np.empty((planes, height, width), x.dtype)
    lanes = _Lanes.of(runs, height)
    if len(runs) == lanes.count == runs[0].repeats == 1:
        return np.matmul(x[..., runs[0].columns], runs[0].matrix.T, out=found)

    def do(start: int, stop: int) -> None:
        for run, (top, each, count) in product(runs, lanes.groups(start, stop)):
            columns, rows = run.matrix.shape
            (plane, row, lane) = x.strides
            given = _view(
                x,
                (top, run.first),
                (planes, count, run.repeats, each, rows),
                (plane, each * row, run.step * lane, row, lane),
            )
            (plane, row, lane) = found.strides
            made = _view(
                found,
                (top, run.start),
                (planes, count, run.repeats, each, columns),
                (plane, each * row, columns * lane, row, lane),
            )
            np.matmul(given, run.matrix.T, out=made)

    in_pieces(do, lanes.count, planes * height * (before + width), least=1)
    return found


@dataclass(frozen=True)
class _Lanes:
    """Rows or columns of a plane, in the groups that go into one product.

    A BLAS may sum up in another order where a product has another shape. So the groups follow from
    the size of a plane alone: what a picture gives does not depend on the pictures that it comes
    with, nor on threads.

    Attributes:
        each: lanes in a group; the last one has what is left.
        length: lanes in all.
    """

    each: int
    length: int

    @classmethod
    def of(cls, runs: tuple[Run, ...], length: int) -> _Lanes:
        """The lanes of products with the matrices of some runs."""
        work = max(run.matrix.shape[0] * run.matrix.shape[1] for run in runs)
        return cls(max(_LANES, _ONE_THREAD // work // _LANES * _LANES), length)

    @property
    def count(self) -> int:
        """The number of groups."""
        return -(-self.length // self.each)

    def groups(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Groups `start` to `stop` by their size: the first lane, lanes in each, how many."""
        whole = min(stop, self.length // self.each) - start
        if whole > 0:
            yield start * self.each, self.each, whole
        if stop * self.each > self.length:
            first = self.length // self.each * self.each
            yield first, self.length - first, 1


def _view(
    x: Array, first: tuple[int, int], shape: tuple[int, ...], strides: tuple[int, ...]
) -> Array:
    """What numbers from a row and a column of x (P, H, W) on look like in another shape. The array
    is made by hand where that can be done: `as_strided` takes 15 times as long, and thousands of
    views are made for a picture.
    """
    row, column = first
    if not x.flags.c_contiguous:
        return as_strided(x[:, row:, column:], shape, strides)
    offset = row * x.strides[-2] + column * x.strides[-1]
    return np.ndarray(shape, x.dtype, x, offset, strides)


def _with_neighbours_in_memory(x: Array) -> Array:
    """x, copied if neighbours in a row are none in memory, which a BLAS cannot take."""
    if x.strides[-1] == x.itemsize and x.strides[-2] >= x.shape[-1] * x.itemsize:
        return x
    return np.ascontiguousarray(x)
