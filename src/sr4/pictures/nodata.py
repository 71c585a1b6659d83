"""Pixels without data, for which a number stands that is none of the others' kind.

Maps and measurements say "nothing was measured here" by a number: that which GDAL_NODATA names in a
TIFF, or one of a few by custom. Such a pixel is not seen, as one of alpha 0; see `Raster.nodata`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr4.errors import PictureError
from sr4.pictures.raster import Colour, Raster, checked

TAG = 42113
"""GDAL_NODATA of a TIFF, a number as text (gdal.org/drivers/raster/gtiff.html)."""

_CUSTOMARY = (-9999.0, -99999.0, -32768.0, -32767.0)
_HUGE = 1e30  # beyond which floats stand for nothing: the least of float32, and 1e38 and the like


def declared(text: object, dtype: np.dtype[Any]) -> float | int | None:
    """The number that a tag's text names, as pixels of that type have it; None for none of them."""
    if not isinstance(text, str):
        return None
    words = text.strip("\0 ")
    try:
        number = float(words)
        if dtype.kind == "f":
            with np.errstate(over="ignore"):
                return float(np.asarray(number).astype(dtype))
        # Floats do not hold all numbers of 64 bits.
        whole = int(words) if words.lstrip("+-").isdecimal() else int(number)
    except (ValueError, OverflowError):
        return None
    limits = np.iinfo(dtype)
    return whole if float(whole) == number and limits.min <= whole <= limits.max else None


def raster(
    pixels: NDArray[Any], colour: Colour, number: float | int | None
) -> tuple[Raster, tuple[str, ...]]:
    """A raster of pixels (H, W, N) of which some may hold no data, and a clause for a message where
    nothing declares the number that stands for it.

    Raises:
        PictureError: none holds any, or their numbers are not finite.
    """
    is_declared = number is not None
    if number is None:
        number = _undeclared(pixels)
    if number is None:
        return checked(pixels, colour), ()
    equal = np.isnan(pixels) if number != number else pixels == number
    # Of a colour, one channel may well be as dark or as bright by itself.
    is_colour = colour == "rgb" and pixels.dtype in (np.uint8, np.uint16)
    missing = equal.all(axis=2) if is_colour else equal.any(axis=2)
    count = int(missing.sum())
    if count == 0:
        return checked(pixels, colour), ()
    if missing.all():
        raise PictureError(f"got pixels of {number:g} alone, which stands for no data")
    note = f"{number:g} is taken for no data, in {count:,} pixels"
    seen = pixels[~missing]
    filled = np.where(missing[:, :, None], seen.min(), pixels)
    alpha = (~missing).astype(pixels.dtype)
    return checked(filled, colour, alpha, nodata=number), () if is_declared else (note,)


def _undeclared(pixels: NDArray[Any]) -> float | None:
    """A number that stands for no data by custom, and lies farther from all others than these lie
    from each other.
    """
    if pixels.dtype.kind not in "if" or pixels.dtype.itemsize < 2:
        return None
    if pixels.size == 0 or not np.isfinite(pixels).all():
        return None
    for extreme in (pixels.min(), pixels.max()):
        number = float(extreme)
        if number not in _CUSTOMARY and abs(number) < _HUGE:
            continue
        others = pixels[pixels != extreme]
        if others.size == 0:
            continue
        low, high = float(others.min()), float(others.max())
        if min(abs(number - low), abs(number - high)) > high - low:
            return number
    return None
