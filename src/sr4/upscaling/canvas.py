"""Results in the making: put together from samples, in bands of rows where they are large."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr4.degradation.operator import MARGIN
from sr4.degradation.protocols import Degrades
from sr4.diffusion.samplers import OnStep, Step
from sr4.errors import PictureError
from sr4.evidence.kinds import Evidence
from sr4.evidence.sets import LEVEL
from sr4.files.unfinished import UnfinishedFile
from sr4.pictures import Picture
from sr4.pictures.parts import Parts
from sr4.pictures.raster import Raster
from sr4.upscaling.preview import shrunk
from sr4.upscaling.result import Result
from sr4.upscaling.sizing import AnySampling
from sr4.upscaling.transparency import (
    enlarged_alpha,
    is_transparent,
    reveal,
    seen_through,
    share_of,
)

Floats = NDArray[np.float32]

_BAND_PIXELS = 2**19  # low-res ones that are done together where the model has no part in it

_ALPHA_PIXELS = 2**16  # the same of alpha and of what it shows, for which there are more arrays


def result_bytes(given: Raster, size: tuple[int, int], samples: int) -> int:
    """What the result of a picture takes in memory: each sample and, of several, their mean and
    uncertainty.

    Args:
        size: height and width of the result.
    """
    pictures = samples + 1 if samples > 1 else 1
    values = given.pixels.shape[2] * pictures + (given.alpha is not None)
    each = values * given.pixels.itemsize + (4 if samples > 1 else 0)
    return size[0] * size[1] * int(each)


def too_large(
    given: tuple[int, int], size: tuple[int, int], needed: int, available: int
) -> PictureError:
    """What to raise for a picture whose result does not fit the memory there is.

    Args:
        given, size: width and height of the picture and of its result.
        needed, available: bytes.
    """
    return PictureError(
        f"got a {given[0]}x{given[1]} picture, for whose result of {size[0]}x{size[1]} "
        f"{needed / 1e9:.1f} GB of memory are needed; expected at most the {available / 1e9:.1f} "
        "GB that there are: crop or shrink it, or draw fewer samples"
    )


def whole_result(
    parts: Parts,
    samples: Sequence[Sequence[Floats]],
    degradation: Degrades,
    evidence: Evidence,
    use_mean: bool,
) -> Result:
    """The result of a picture that is drawn whole.

    The mean needs no projection: it fits the picture as each of the samples does, D being linear.

    Args:
        parts: the picture as it goes through the model.
        samples: of each, those of the parts, (C, H, W) in [-1, 1].
        degradation: from a result to the picture.
        evidence: what that says.
    """
    canvas = _Canvas(parts.raster, degradation, evidence, len(samples))
    canvas.put(0, np.stack([parts.join(of_parts) for of_parts in samples]))
    return canvas.result(use_mean=use_mean)


def large_result(
    parts: Parts,
    samples: Sequence[Sequence[AnySampling]],
    degradation: Degrades,
    evidence: Evidence,
    use_mean: bool,
    on_step: OnStep | None,
    is_shown: bool,
    unfinished: UnfinishedFile | None,
) -> Result:
    """The result of a picture that is drawn in bands, put together band by band.

    Args:
        parts: the picture as it goes through the model.
        samples: of each, those of the parts.
        degradation: from a result to the picture.
        evidence: what that says.
        on_step: called after each band; see `Pipeline.upscale`.
        is_shown: whether steps give previews of it.
        unfinished: keeps the bands that are drawn, and has those of a call that was stopped.
    """
    canvas = _Canvas(parts.raster, degradation, evidence, len(samples))
    preview = canvas.preview if is_shown else None
    bands = samples[0][0].bands
    first, drawn = 0, _bands_from(0, parts, samples)
    if unfinished is not None:
        pieces = [canvas.memory(*band) for band in bands]
        first = unfinished.restore({"tile": samples[0][0].tile}, pieces)
    if unfinished is not None and first > 0:
        drawn = _bands_from(first - 1, parts, samples)
        first = unfinished.go_on(canvas.holds(bands[first - 1][0], next(drawn)))
        if first == 0:
            drawn = _bands_from(0, parts, samples)
        else:
            canvas.count(bands[first - 1][1])
    for number, ((start, _), band) in enumerate(zip(bands[first:], drawn, strict=True), first + 1):
        canvas.put(start, band)
        if unfinished is not None:
            unfinished.finish(number)
        if on_step is not None:
            on_step(Step(number, len(bands), band[0], band[0], preview))
    if unfinished is not None and is_transparent(parts.raster):
        unfinished.settle()
    return canvas.result(use_mean=use_mean)


def _bands_from(
    first: int, parts: Parts, samples: Sequence[Sequence[AnySampling]]
) -> Iterator[Floats]:
    """The bands of all samples (K, N, rows, W), from one on."""
    streams = [
        map(parts.join, zip(*(one.bands_from(first) for one in of_parts), strict=True))
        for of_parts in samples
    ]
    return map(np.stack, zip(*streams, strict=True))


def result_size(given: Raster, degradation: Degrades) -> tuple[int, int]:
    """Height and width of a result."""
    width, height = given.size
    rows, columns = degradation.place(slice(0, height), slice(0, width))
    return rows.stop, columns.stop


class _Canvas:
    """A result in the making: rows come from top to bottom."""

    def __init__(
        self,
        given: Raster,
        degradation: Degrades,
        evidence: Evidence,
        count: int,
    ) -> None:
        self._given, self._degradation, self._count = given, degradation, count
        self._evidence, self._done = evidence, 0
        height, width = result_size(given, degradation)
        shape = (height, width, given.pixels.shape[2])
        self._drawn = [np.empty(shape, given.span.dtype) for _ in range(count)]
        self._mean = np.empty_like(self._drawn[0]) if count > 1 else self._drawn[0]
        # Of a single sample there is none, and a map of zeros would be larger than the result.
        self._uncertainty = np.broadcast_to(np.float32(0), (height, width))
        if count > 1:
            self._uncertainty = np.empty((height, width), np.float32)

    @property
    def _arrays(self) -> list[NDArray[Any]]:
        """All that is made of what is drawn, (H, W) or (H, W, N)."""
        return [*self._drawn, self._mean, self._uncertainty] if self._count > 1 else self._drawn

    def put(self, start: int, drawn: Floats) -> None:
        """Rows from `start` on of all samples (K, N, rows, W)."""
        for array, rows in zip(self._arrays, self._made_of(drawn), strict=True):
            array[start : start + len(rows)] = rows
        self.count(start + drawn.shape[2])

    def holds(self, start: int, drawn: Floats) -> bool:
        """Whether putting these rows there would change nothing."""
        return all(
            np.array_equal(array[start : start + len(rows)], rows)
            for array, rows in zip(self._arrays, self._made_of(drawn), strict=True)
        )

    def memory(self, start: int, stop: int) -> list[memoryview]:
        """Where the bytes of rows are, of one array after the other."""
        return [array[start:stop].reshape(-1).view(np.uint8).data for array in self._arrays]

    def _made_of(self, drawn: Floats) -> Iterator[NDArray[Any]]:
        """The rows of `_arrays` that are made of those of all samples."""
        quantised = self._given.span.pixels
        for band in drawn:
            yield np.moveaxis(quantised(band), 0, 2)
        if self._count > 1:
            yield np.moveaxis(quantised(drawn.mean(axis=0)), 0, 2)
            # [-1, 1] to [0, 1] is the factor 2.
            yield drawn.std(axis=0, ddof=1).mean(axis=0) / 2

    def _reveal(self, alpha: NDArray[Any]) -> None:
        given, evidence = self._given, self._evidence
        degradation = evidence.degradation(self._degradation)
        margin = MARGIN + degradation.reach
        bands = list(_bands_with_margin(*given.size, margin, _ALPHA_PIXELS))
        for drawn in self._drawn if self._count == 1 else [*self._drawn, self._mean]:
            reveal(drawn, alpha, given, degradation, evidence.allowed(given.shown), bands)

    def count(self, done: int) -> None:
        """Note how many rows are drawn, from the first on."""
        self._done = done

    def preview(self, side: int) -> Floats:
        """The first sample as far as it is there; see `sr4.diffusion.samplers.Step`."""
        return shrunk(self._drawn[0], self._done, side, self._given.span.unit)

    def result(self, *, use_mean: bool) -> Result:
        given, degradation = self._given, self._degradation
        alpha = enlarged_alpha(
            given, degradation, _bands_with_margin(*given.size, pixels=_ALPHA_PIXELS)
        )
        if alpha is not None and is_transparent(given):
            self._reveal(alpha)
        rasters = tuple(
            Raster(one, given.colour, given.span, alpha, given.nodata) for one in self._drawn
        )
        mean = rasters[0]
        if self._count > 1:
            mean = Raster(self._mean, given.colour, given.span, alpha, given.nodata)
        chosen = mean if use_mean else rasters[0]
        measured = [_consistency(given, one, degradation, self._evidence) for one in rasters]
        consistency, given_up = measured[0]
        if chosen is not rasters[0]:
            consistency, given_up = _consistency(given, chosen, degradation, self._evidence)
        return Result(
            raster=chosen,
            rasters=rasters,
            mean_raster=mean,
            uncertainty=self._uncertainty,
            consistency=consistency,
            consistencies=tuple(found for found, _ in measured),
            evidence=self._evidence,
            given_up=given_up,
            given=Picture((given,)),
        )


def _consistency(
    given: Raster, result: Raster, degradation: Degrades, evidence: Evidence
) -> tuple[float, NDArray[np.bool_]]:
    """See `Result.consistency` and `Result.given_up`."""
    low, total = given.shown, 0.0
    of_alpha = is_transparent(given)
    degrade = evidence.degradation(degradation)
    measured = evidence.measured(low)
    given_up = np.empty((given.size[1], given.size[0]), np.bool_)
    margin, at_once = MARGIN + degrade.reach, _ALPHA_PIXELS if of_alpha else None
    for start, stop, top, bottom in _bands_with_margin(*given.size, margin, at_once):
        top, bottom = measured.around(top, bottom)
        of_rows, (rows, _) = degrade.cut(slice(top, bottom))
        if of_alpha:
            seen = seen_through(of_rows, result, rows, low[:, top:bottom])
        else:
            pixels = np.moveaxis(result.pixels[rows], 2, 0)
            # Rounding to 8 bits is 30,000 times as coarse as float32.
            kind = np.float32 if pixels.dtype == np.uint8 else np.float64
            seen = result.span.exact_unit(of_rows(pixels.astype(kind, order="C")))
        rest = measured.cut(slice(top, bottom)).rest(seen.astype(np.float64))
        if of_alpha:
            rest = rest * share_of(given, slice(top, bottom))
        rest = rest[:, start - top : stop - top]
        total += float(np.sum((rest / 2) ** 2))
        given_up[start:stop] = np.abs(rest).max(axis=0) > LEVEL
    return total / low.size / 1e-5, given_up


def _bands_with_margin(
    width: int, height: int, margin: int = MARGIN, pixels: int | None = None
) -> Iterator[tuple[int, int, int, int]]:
    rows = max(4 * margin, (pixels or _BAND_PIXELS) // width)
    for start, stop in pairwise([*range(0, height, rows), height]):
        yield start, stop, max(0, start - margin), min(height, stop + margin)
