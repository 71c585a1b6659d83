"""Between 8-bit pixels and the values of models.

Pixels are uint8 (H, W, C); models hold float32 (C, H, W) in [-1, 1].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from sr4.errors import PictureError

UNIT_LEVELS = (np.arange(256) / 127.5 - 1).astype(np.float32)
"""[-1, 1] of the 256 levels, correctly rounded; -1 and 1 are exact."""


def to_array(image: Image.Image | NDArray[Any]) -> NDArray[np.float32]:
    """Pixels as models take them: float32 (C, H, W) in [-1, 1], of 8 bits the levels at multiples
    of 1 / 127.5.

    Args:
        image: RGB or grey ("L") picture, or pixels (..., H, W, C): uint8, or float32 in [-1, 1].
    """
    if isinstance(image, Image.Image) and image.mode not in ("RGB", "L"):
        raise PictureError(f"got a picture of mode {image.mode}; expected RGB or L: convert it")
    pixels = np.asarray(image)
    if pixels.dtype not in (np.uint8, np.float32):
        raise PictureError(f"got pixels of type {pixels.dtype}; expected uint8 or float32")
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.dtype == np.float32:
        return np.ascontiguousarray(np.moveaxis(pixels, -1, -3))
    return np.take(UNIT_LEVELS, np.moveaxis(pixels, -1, -3))


def quantise(array: ArrayLike) -> NDArray[np.uint8]:
    """The nearest 8-bit pixels, clipped: (..., C, H, W) in [-1, 1] to uint8 (..., H, W, C)."""
    values = np.asarray(array)
    if np.isnan(values).any():
        raise PictureError("got pixels that are not a number; expected values in [-1, 1]")
    levels = np.rint((np.clip(values, -1.0, 1.0) + 1) * 127.5).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(levels, -3, -1))


def shown(array: ArrayLike) -> NDArray[Any]:
    """What a picture of any number of channels (C, H, W) is shown by: the first three, or the
    first, where there are no three.
    """
    channels = np.asarray(array)
    return channels[:3] if len(channels) >= 3 else channels[:1]


def to_image(array: ArrayLike) -> Image.Image:
    """An RGB or grey picture of an array (C, H, W) in [-1, 1], with C of 3 or 1."""
    pixels = quantise(array)
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3):
        raise PictureError(
            f"got an array of shape {np.shape(array)}; expected (C, H, W) with 1 or 3 channels"
        )
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[-1] == 1 else pixels)
