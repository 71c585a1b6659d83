"""Pictures for measuring: in order, as NumPy arrays, without torch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sr4.data.corruption import Corruption
from sr4.data.decoded import Pixels
from sr4.data.sources import Source
from sr4.degradation import Degradation
from sr4.degradation.known import CLEAN, Known
from sr4.errors import BadPictureError, DataError, UsageError
from sr4.pictures.pixels import to_array


@dataclass(frozen=True)
class EvaluationBatch:
    """Pictures of one size, in the order of their source."""

    high_res: NDArray[np.float32]  # (B, C, H, W) in [-1, 1]
    # (B, C, H / scale, W / scale) in [-1, 1], 8-bit levels if the source's pixels are
    low_res: NDArray[np.float32]
    known: tuple[Known, ...]  # what was done to each
    files: tuple[bytes | None, ...]  # the JPEG files that they come from, where they do
    names: tuple[str, ...]
    position: int  # pictures before this batch
    is_rounded: bool = True  # whether low_res has 8-bit levels


def evaluation_batches(
    source: Source,
    *,
    degradation: Degradation,
    batch_size: int,
    limit: int | None = None,
    most_pixels: int | None = None,
    corruption: Corruption | None = None,
    on_bad: Callable[[str], None] | None = None,
    least: int = 1,
) -> Iterator[EvaluationBatch]:
    """The pictures of a source in order, each with its `low_res`.

    A side that is no multiple of the scale loses its last pixels (right, bottom), the custom of the
    super-resolution benchmarks. A batch ends early where the picture size changes, and before a
    picture that is left out.

    Args:
        batch_size: the most pictures in a batch.
        limit: take only the first pictures.
        most_pixels: of the pictures of a batch together, beyond the first one.
        corruption: what low_res goes through, by draws that follow from a picture's place alone.
        on_bad: called with what is wrong with a picture that cannot be read or is too small, which
            is then left out; without it, such a picture is an error.
        least: pixels that each side of a picture has to have, besides being no smaller than the
            scale.

    Raises:
        UsageError: a batch size or limit below 1.
        DataError: a picture is bad (without `on_bad`), all are, or the source has changed.
    """
    if batch_size < 1 or (limit is not None and limit < 1):
        raise UsageError(f"got batch size {batch_size}, limit {limit}; expected at least 1")
    count = min(len(source), limit or len(source))
    most = (batch_size, most_pixels or sys.maxsize)
    return _batches(source, degradation, most, count, corruption, on_bad, least)


def _batches(
    source: Source,
    degradation: Degradation,
    most: tuple[int, int],
    count: int,
    corruption: Corruption | None,
    on_bad: Callable[[str], None] | None,
    least: int,
) -> Iterator[EvaluationBatch]:
    waiting: list[Pixels] = []
    bad: list[str] = []
    for index in range(count):
        pixels = None
        try:
            pixels = _whole_multiple(source, index, degradation.scale, least)
        except BadPictureError as error:
            if on_bad is None:
                raise
            bad.append(str(error))
            on_bad(str(error))
        fits = pixels is not None and all(one.shape == pixels.shape for one in waiting)
        if waiting and (_is_full(waiting, *most) or not fits):
            yield _batch(source, waiting, index, degradation, corruption)
            waiting = []
        if pixels is not None:
            waiting.append(pixels)
    if waiting:
        yield _batch(source, waiting, count, degradation, corruption)
    if len(bad) == count:
        raise DataError(f"none of the {count} pictures can be used; the first: {bad[0]}")


def _is_full(waiting: list[Pixels], batch_size: int, most_pixels: int) -> bool:
    """Whether one more picture of the same size is too much."""
    height, width = waiting[0].shape[:2]
    return len(waiting) == batch_size or (len(waiting) + 1) * height * width > most_pixels


def _whole_multiple(source: Source, index: int, scale: int, least: int) -> Pixels:
    pixels = source.read(index)
    height, width = (side - side % scale for side in pixels.shape[:2])
    if min(height, width) < max(scale, least):
        expected = (
            f"{scale}x{scale}, the scale of the model"
            if least <= scale
            else f"{least}x{least} in whole multiples of the model's scale, {scale}, to be scored"
        )
        raise BadPictureError(
            f"{source.names[index]!r} of {source.location!r} is {pixels.shape[1]}x"
            f"{pixels.shape[0]} pixels; expected at least {expected}"
        )
    return pixels[:height, :width]


def _batch(
    source: Source,
    pictures: list[Pixels],
    end: int,
    degradation: Degradation,
    corruption: Corruption | None,
) -> EvaluationBatch:
    high_res, start = to_array(np.stack(pictures)), end - len(pictures)
    # In float64, so that rounding to 8-bit levels does not hang on the order of a sum.
    exact, is_rounded = high_res.astype(np.float64), pictures[0].dtype == np.uint8
    files: tuple[bytes | None, ...]
    if corruption is None:
        low_res = degradation.observe(exact, is_rounded=is_rounded).astype(np.float32)
        known, files = (CLEAN,) * len(pictures), (None,) * len(pictures)
    else:
        found = [
            corruption(picture, degradation, np.random.default_rng([number, 4]))
            for number, picture in enumerate(exact, start=start)
        ]
        low_res = np.stack([one.low_res for one in found])
        known, files = tuple(one.known for one in found), tuple(one.file for one in found)
    names = tuple(source.names[start:end])
    return EvaluationBatch(high_res, low_res, known, files, names, start, is_rounded)
