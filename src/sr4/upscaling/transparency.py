"""Transparency of results: alpha, which is not drawn, and the colours that are seen through it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr4.degradation.enlarging import of_nearest_four
from sr4.degradation.fit import Limits, fit
from sr4.degradation.protocols import Degrades, Floats
from sr4.evidence.sets import ConvexSet
from sr4.pictures.raster import Raster

_LEAST = 0.5 / 255  # of alpha, from which anything is to be seen
_ROUNDS = 4  # what more of them meet, where hardly anything fits, they pay for with bright rims
_NOTHING = np.float32(1e-12)

Bands = Iterable[tuple[int, int, int, int]]
"""Low-res rows: the first one, that after the last, and both with what these follow from."""


def is_transparent(given: Raster) -> bool:
    """Whether some of a picture is to be seen in part or not at all, not for lack of data."""
    return given.nodata is None and not given.is_opaque


def share_of(raster: Raster, rows: slice = slice(None)) -> Floats:
    """Alpha of a raster that has one, in [0, 1]: (H, W), or of it some rows."""
    assert raster.alpha is not None
    unit = raster.alpha_span.unit(raster.alpha[rows])
    return np.asarray((unit + 1) / 2, np.float32)


def enlarged_alpha(given: Raster, degradation: Degrades, bands: Bands) -> NDArray[Any] | None:
    """Alpha of a result: see `sr4.degradation.enlarging`, as what is to be seen is not invented.
    Whether a pixel has data is that of the pixel that it lies in.
    """
    low, (width, height) = given.unit_alpha, given.size
    if low is None or given.alpha is None:
        return None
    rows, columns = degradation.place(slice(0, height), slice(0, width))
    if given.nodata is not None:
        down, across = (
            np.arange(new) * old // new for new, old in ((rows.stop, height), (columns.stop, width))
        )
        nearest: NDArray[Any] = given.alpha[down[:, None], across]
        return nearest
    enlarged = np.empty((rows.stop, columns.stop), given.span.dtype)
    for start, stop, *_ in bands:
        place, _ = degradation.place(slice(start, stop))
        band = degradation.enlarge(low, slice(start, stop))[0]
        enlarged[place] = given.alpha_span.pixels(band)
    return enlarged


def reveal(
    drawn: NDArray[Any],
    alpha: NDArray[Any],
    given: Raster,
    degradation: Degrades,
    allowed: ConvexSet,
    bands: Bands,
) -> None:
    """Make what a network has drawn fit a picture with transparency as far as it is seen.

    The network has seen colours that hold on behind the edges of objects (`Raster.unit`), such as
    that of a button in its shadow. In the result they end where alpha does: with light as colour
    times alpha, D(light) is brought to the light of the picture, as far as colours stay between
    those that are there. What is opaque has its evidence already, and stays.

    Args:
        drawn: (H, W, N) in the numbers of the picture, changed in place.
        alpha: (H, W), of the result.
        given: the picture, of (h, w).
        degradation: D, with the blur of the evidence.
        allowed: the set that the colours seen may lie in.
        bands: what is done at once.
    """
    result, span = Raster(drawn, given.colour, given.span, alpha), given.span
    rounding = 1 / (span.high - span.low) if span.dtype.kind in "ui" else 0.0
    held, done = drawn[:0], 0
    for start, stop, *around in bands:
        top, bottom = allowed.around(*around)
        low, (part, (rows, _)) = slice(top, bottom), degradation.cut(slice(top, bottom))
        colours = drawn[rows].copy()
        if done > rows.start:  # those that the band before has changed, as they were
            colours[: done - rows.start] = held[rows.start - done :]
        inside, _ = degradation.place(slice(start, stop))
        held, done = colours[: inside.stop - rows.start], inside.stop
        if (share_of(given, low) == 1).all():
            continue
        unit = np.ascontiguousarray(np.moveaxis(span.unit(colours), 2, 0))
        share, shown = share_of(result, rows), given.shown[:, low]
        seen, light = _seen(part, unit, share, shown)
        wanted = allowed.cut(low).project(seen + shown - given.unit[:, low])
        rest = (wanted - seen) * light
        rest -= np.clip(rest, -rounding, rounding)
        if rest.any():
            found = _fitted(part, unit, share, shown, (seen + 1) * light + rest)
            band = found[:, inside.start - rows.start : inside.stop - rows.start]
            drawn[inside] = np.moveaxis(span.pixels(band), 0, 2)


def _fitted(
    degradation: Degrades, unit: Floats, share: Floats, shown: Floats, light: Floats
) -> Floats:
    """Colours (N, H, W) near the given ones whose light D brings to that of low-res pixels.

    Args:
        unit: (N, H, W); share: (H, W), of alpha.
        shown: (N, h, w), what colours are to lie between, where those given do not leave it.
        light: (N, h, w), colour times alpha, from 0 on.
    """
    centres = degradation.centres((shown.shape[1], shown.shape[2]))
    low, high = (
        share * (choose(unit, of_nearest_four(shown, centres, choose)) + 1)
        for choose in (np.minimum, np.maximum)
    )
    made = fit(degradation, share * (unit + 1), light, Limits(low, high, _ROUNDS))
    return np.where(share > 0, made / np.maximum(share, _NOTHING) - 1, unit)


def seen_through(
    degradation: Degrades, result: Raster, rows: slice, shown: Floats
) -> NDArray[np.float64]:
    """The colours (N, h, w) that D makes of some rows of a result as far as they are seen.

    Args:
        shown: (N, h, w), to be taken where nothing is.
    """
    unit = np.moveaxis(result.span.exact_unit(result.pixels[rows]), 2, 0)
    seen: NDArray[np.float64] = _seen(degradation, unit, share_of(result, rows), shown)[0]
    return seen


def _seen(
    degradation: Degrades, unit: NDArray[Any], share: Floats, shown: Floats
) -> tuple[NDArray[Any], Floats]:
    """What D makes of colours (N, H, W) as they are seen, D(alpha x) / D(alpha), and D(alpha)."""
    light = degradation(share)
    is_seen = light > _LEAST
    sums = degradation(share * (unit + 1))
    return np.where(is_seen, sums / np.where(is_seen, light, 1) - 1, shown), light
