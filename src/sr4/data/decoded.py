"""Pictures of a source as training and scoring take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr4.errors import PictureError
from sr4.pictures import read_picture, tiff
from sr4.pictures.raster import Range, Raster
from sr4.pictures.reading import NPY
from sr4.pictures.rgb import read_image

Pixels = NDArray[Any]
"""(H, W, C): uint8, or float32 in [-1, 1]."""


def decoded(data: bytes, label: str, channels: int, data_range: Range | None) -> Pixels:
    """The pixels of an encoded picture: of 8 bits, or in [-1, 1] with all their levels, where it is
    said which values stand for black and white.

    Args:
        label: what messages call it.
        channels: 3 for RGB, 1 for grey, any other number for as many bands. Pictures of another
            colour become RGB or grey only as 8 bits.

    Raises:
        PictureError: it is no picture, or of other channels.
    """
    if data_range is not None:
        raster = raster_of(data, label, channels).for_model(channels, data_range)
        return np.moveaxis(raster.unit, 0, 2)
    if channels not in (1, 3):
        return raster_of(data, label, channels).with_bits(8).pixels
    mode = "RGB" if channels == 3 else "L"
    if not is_deep_file(data):
        return np.atleast_3d(np.asarray(read_image(data, name=label).convert(mode)))
    raster = read_picture(data, name=label).frames[0].with_bits(8)
    if raster.colour == "bands":
        raise _other_channels(raster, label, channels)
    return np.atleast_3d(np.asarray(raster.to_pil().convert(mode)))


def is_deep_file(data: bytes) -> bool:
    """Whether a picture file is one of those that Pillow, which gives 8 bits, does not read: NPY,
    and TIFF of floats or of other than the usual bands.
    """
    if data.startswith(NPY):
        return True
    return data.startswith(tiff.SIGNATURES) and tiff.is_deep(data)


def raster_of(data: bytes, label: str, channels: int) -> Raster:
    """An encoded picture of so many channels in the numbers of its file.

    Raises:
        PictureError: it is no picture, or of other channels.
    """
    raster = read_picture(data, name=label).frames[0].for_model(channels)
    if raster.pixels.shape[2] != channels:
        raise _other_channels(raster, label, channels)
    return raster


def _other_channels(raster: Raster, label: str, channels: int) -> PictureError:
    count = np.atleast_3d(raster.array).shape[2]
    return PictureError(f"{label!r} has {count} channels; expected {channels}, those of the model")
