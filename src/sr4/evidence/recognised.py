"""The JPEG compression that pixels show: where its blocks begin, by which steps they were quantised
and how its colours were subsampled.

All take pictures (C, h, w) in [-1, 1], of one channel or of RGB. How often they are right is
measured in docs/evidence.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sr4.evidence.boxes import components_of, means
from sr4.evidence.jpeg import Tables, all_standard, quality_of, standard_tables, upsampled_samples
from sr4.evidence.sets import BLOCK, to_blocks
from sr4.evidence.steps import Steps, found_steps, periodicity

Float64 = NDArray[np.float64]

_EDGE = 384  # of the part of a picture, about its centre, that is searched for a grid
_FREQUENCIES = np.add.outer(np.arange(BLOCK), np.arange(BLOCK))
_HALF = BLOCK // 2
_GONE = 1.0  # levels below which a coefficient counts as gone
_CONTRAST = 0.04  # by which more have to be gone on the grid than beside it
_STEPS = ((2, 2), (1, 1), (1, 2), (2, 1))  # pixels to a sample of colour, along each axis
# Seldom used, and half the colours of the usual step; so this has to be likelier than others by a
# factor, and by itself.
_RARE_STEP, _RARE, _RARE_SCORE = (2, 1), 1.5, 100.0
_BORDER = 4  # pixels from there on that decoders take samples of colour from
_CLEAR = 92  # the quality from which on a file still shows an earlier grid beside its own
_LESS = 10  # by which an earlier quality has to be lower to be told
_ENOUGH, _PERIODIC = 100, 0.5  # coefficients that are not gone, and their periodicity
_SEVERAL = 8  # frequencies, of two of them or more: photographs have 13 at least, gradients 1 or 2
# The same of what nothing but rounding has moved. Small steps have less of it, for which libjpeg's
# tables, all of whose steps fit, make up. Samples of colour that are taken at other places than the
# right ones have steps of which about half of them are multiples.
_FIT, _FIT_STANDARD, _FIT_COLOUR = 0.45, 0.3, 0.6
# Nats by which steps are likelier than none, of luma and, once blocks are seen there, of colour.
_BEYOND_DOUBT, _LIKELY = 80.0, 20.0
_ELSEWHERE = 0.25  # the share of that up to which they may be likelier between the blocks, too
# Of those coefficients across blocks that are neither gone nor larger than half a step, the share
# that may be left in blocks, and of those larger than a step, the share that has to be.
_BETWEEN, _LARGE = 0.35, 0.4
_FINEST = 0.2  # steps of colour in parts of the usual ones, below which they are chance
_COLOUR_WIDER = 1.5  # factor on libjpeg's table of colour where colours tell nothing of theirs


class Recognised(NamedTuple):
    """A JPEG picture told by its pixels.

    Attributes:
        quality: on libjpeg's scale, the nearest if the tables are not libjpeg's.
        tables: of luma and colour, (8, 8) each.
        step: pixels to a sample of colour, along each axis.
        offset: rows above and columns on the left of the picture that its first blocks have.
    """

    quality: int
    tables: Tables
    step: tuple[int, int]
    offset: tuple[int, int]


class Unread(NamedTuple):
    """A JPEG picture that something has been done to, so that its steps are not told any more.

    Attributes:
        noise: the deviation of what quantising has taken, in levels of 255.
    """

    noise: float


def recognised_jpeg(unit: NDArray[Any]) -> Recognised | Unread | None:
    """The JPEG compression that pixels show, by whatever tables; None if none is to be seen.

    On the right grid many small coefficients are gone, and most others are multiples of the steps.
    """
    components, strange = _seen(unit)
    place = _grid(components[0])
    if place is None:
        return None
    beside = ((place[0] + _HALF) % BLOCK, (place[1] + _HALF) % BLOCK)
    luma, other = (_steps([components[0]], strange, here) for here in (place, beside))
    least = _FIT_STANDARD if luma.quality else _FIT
    if luma.fit < least or luma.score < max(_BEYOND_DOUBT, other.score / _ELSEWHERE):
        return _unread(_blocks(components[0], place), _blocks(components[0], beside))
    colour, step = _usual_colour(luma), (1, 1)
    if len(unit) == 3:
        colour, step, place = _colour(components[1:], strange, place, luma)
    quality = luma.quality or quality_of([luma.table])
    return Recognised(quality, (luma.table, colour), step, _offset(place, step))


def _unread(inside: Float64, across: Float64) -> Unread | None:
    """What quantising has taken, if coefficients (blocks, 64) show that it was done, however they
    were changed since: where it is, few are left between nothing and one step, and large ones stay.
    What across blocks is not gone stands for what was there before, and the table of libjpeg by
    which as much of it would be gone for the one that was used.
    """
    inside, across = np.abs(inside[:, 1:]), np.abs(across[:, 1:])
    tables = all_standard()[0].reshape(-1, BLOCK**2)[:, 1:]
    gone = (inside < _GONE).mean()
    shares = [(across < table / 2).mean() for table in tables]
    table = tables[np.abs(np.array(shares) - gone).argmin()]
    low, high = 1.5 * _GONE, 0.45 * table
    between = [((part > low) & (part < high)).mean() for part in (inside, across)]
    large = [(part > 0.6 * table).mean() for part in (inside, across)]
    if between[0] > _BETWEEN * between[1] or large[0] < _LARGE * large[1] or not large[0]:
        return None
    taken = np.where(across < table / 2, across**2, table**2 / 12)
    return Unread(float(np.sqrt(taken.sum(axis=1).mean() / BLOCK**2)))


def earlier_jpeg(unit: NDArray[Any], below: int) -> Recognised | None:
    """An earlier compression of a JPEG file whose blocks begin at the first pixel, by one of
    libjpeg's tables; None if none is to be seen.

    The last one has moved the coefficients by more than rounding would, so that it takes the mean
    of `cos(2 pi c / q)` over them to see the steps, which is near 1 for multiples (as in Fan & de
    Queiroz 2003, of whose likelihood this is the first harmonic).

    Args:
        below: the quality of the file; what is searched for is less than that.
    """
    components, _ = _seen(unit)
    places: list[tuple[int, int] | None] = [(0, 0)]
    if below >= _CLEAR:
        places.append(_grid(components[0], elsewhere=True))
    for place in places:
        if place is None:
            continue
        quality = _quality(_blocks(components[0], place), below - _LESS)
        if quality is not None:
            break
    else:
        return None
    tables = standard_tables(quality)
    step, place = ((1, 1), place) if len(unit) == 1 else _subsampling(components, place, tables[1])
    return Recognised(quality, tables, step, _offset(place, step))


def _seen(unit: NDArray[Any]) -> tuple[Float64, NDArray[np.bool_]]:
    """The components, in levels, of the part of a picture that is looked at, and which of its
    pixels are not what was decoded: black and white ones, and those at a border that has pixels
    behind it, which have a part in its colours.
    """
    top, left = (max(0, (side - _EDGE) // 2) // 16 * 16 for side in unit.shape[1:])
    part = np.asarray(unit[:, top : top + _EDGE, left : left + _EDGE], np.float64)
    strange: NDArray[np.bool_] = np.asarray((np.abs(part) >= 1).any(axis=0))
    for axis, first in enumerate((top, left)):
        if unit.shape[1 + axis] > strange.shape[axis]:
            edge = np.moveaxis(strange, axis, 0)
            edge[-_BORDER:] = True
            edge[: _BORDER if first else 0] = True
    return components_of(part, "ycc" if len(part) == 3 else "same"), strange


def _offset(place: tuple[int, int], step: tuple[int, int]) -> tuple[int, int]:
    """What the blocks of all components have above and on the left, if some begin at a place."""
    (top, left), (down, across) = place, step
    return -top % (BLOCK * down), -left % (BLOCK * across)


def _cut(component: NDArray[Any], place: tuple[int, int], size: tuple[int, int]) -> NDArray[Any]:
    """The whole blocks of that size, the first of which begins there."""
    rows, columns = (
        (side - first) // each * each
        for side, first, each in zip(component.shape, place, size, strict=True)
    )
    return component[place[0] : place[0] + rows, place[1] : place[1] + columns]


def _grid(luma: Float64, elsewhere: bool = False) -> tuple[int, int] | None:
    """Where blocks begin: the place, of 64, at which most coefficients are gone; elsewhere than at
    the first pixel, if so asked.
    """
    middle = (_FREQUENCIES >= 2) & (_FREQUENCIES <= 10)
    gone = np.zeros((BLOCK, BLOCK))
    for place in itertools.product(range(BLOCK), range(BLOCK)):
        coefficients = to_blocks(_cut(luma, place, (BLOCK, BLOCK)))[:, :, middle]
        gone[place] = (np.abs(coefficients) < _GONE).mean()
    if elsewhere:
        gone[0, 0] = np.median(gone)
    best = np.unravel_index(int(np.argmax(gone)), gone.shape)
    others = np.delete(gone.ravel(), int(np.argmax(gone)))
    if gone[best] - others.max() < _CONTRAST * (1 - others.max()):
        return None
    return int(best[0]), int(best[1])


def _blocks(samples: Float64, start: tuple[int, int]) -> Float64:
    """The coefficients (blocks, 64) of samples whose blocks begin there."""
    return np.asarray(to_blocks(_cut(samples, start, (BLOCK, BLOCK))).reshape(-1, BLOCK**2))


def _steps(
    samples: Sequence[Float64],
    strange: NDArray[np.bool_],
    start: tuple[int, int],
    **known: Any,
) -> Steps:
    """The steps of components that have the same table; see `found_steps`.

    Args:
        samples: of each.
        strange: those, of any, that are not what was decoded.
    """
    share = means(_cut(strange, start, (BLOCK, BLOCK)).astype(np.float64), BLOCK, BLOCK).ravel()
    flat = np.concatenate([_blocks(one, start) for one in samples])
    return found_steps(flat, np.tile(share, len(samples)), **known)


def _layouts(
    components: Float64, strange: NDArray[np.bool_], place: tuple[int, int]
) -> Iterator[tuple[tuple[int, int], tuple[int, int], list[Float64], NDArray[np.bool_]]]:
    """The steps that colours may have, where their blocks may begin given those of luma, their
    samples and which of these are strange: the places are counted in samples.
    """
    for step in _STEPS:
        first = (place[0] % step[0], place[1] % step[1])
        samples = [upsampled_samples(_cut(one, first, step), step) for one in components]
        mixed = means(_cut(strange, first, step).astype(np.float64), *step) > 0
        rows, columns = (
            range(here // each, BLOCK, BLOCK // each)
            for here, each in zip(place, step, strict=True)
        )
        for start in itertools.product(rows, columns):
            yield step, start, samples, mixed


def _colour(
    components: Float64, strange: NDArray[np.bool_], place: tuple[int, int], luma: Steps
) -> tuple[NDArray[np.int64], tuple[int, int], tuple[int, int]]:
    """The table of colour, its step, and where its blocks begin. Colours that tell nothing count as
    halved along both axes, as is usual.
    """
    usual = _usual_colour(luma)
    best, found = _LIKELY, (usual, (2, 2), place)
    for step, start, samples, mixed in _layouts(components, strange, place):
        steps = _steps(samples, mixed, start, colour=True, quality=luma.quality)
        least = max(_RARE_SCORE, _RARE * best) if step == _RARE_STEP else best
        is_usual = np.median(steps.table / usual) > _FINEST
        if steps.score > least and steps.fit > _FIT_COLOUR and is_usual:
            best, found = steps.score, (steps.table, step, _pixels(start, place, step))
    return found


def _pixels(
    start: tuple[int, int], place: tuple[int, int], step: tuple[int, int]
) -> tuple[int, int]:
    """The place of a sample in pixels, if some samples begin at a place."""
    top, left = (n * each + here % each for n, here, each in zip(start, place, step, strict=True))
    return top, left


def _usual_colour(luma: Steps) -> NDArray[np.int64]:
    """A table of colour for one of luma: libjpeg's, on the wide side if that of luma is another."""
    if luma.quality is not None:
        return standard_tables(luma.quality)[1]
    table = np.maximum(luma.table, standard_tables(quality_of([luma.table]))[1])
    return np.minimum(np.ceil(_COLOUR_WIDER * table), 255).astype(np.int64)


def _quality(flat: Float64, most: int) -> int | None:
    """That, up to `most`, whose steps the coefficients have. Steps that divide the right ones score
    less, as the rounding of pixels moves a coefficient by more of them.
    """
    tables = (standard_tables(quality)[0] for quality in range(1, most + 1))
    found = [periodicity(flat, table, _ENOUGH) for table in tables]
    best = int(np.argmax(found)) if found else 0
    if not found or found[best] < _PERIODIC:
        return None
    half = standard_tables(best + 1)[0].ravel() / 2
    seen = (np.abs(flat[:, 1:]) > half[1:]).sum(axis=0) > 1
    return best + 1 if seen.sum() >= _SEVERAL else None


def _subsampling(
    components: Float64, place: tuple[int, int], table: NDArray[Any]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """The step of colour of a known table, and where its blocks begin; see `_colour`."""
    best: tuple[float, tuple[int, int], tuple[int, int]] = (_PERIODIC, (2, 2), place)
    nothing = np.zeros(components.shape[1:], bool)
    for step, start, samples, _ in _layouts(components[1:], nothing, place):
        flat = np.concatenate([_blocks(one, start) for one in samples])
        score = periodicity(flat, table, _ENOUGH)
        if score > best[0]:
            best = (score, step, _pixels(start, place, step))
    return best[1], best[2]
