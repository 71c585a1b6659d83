"""TIFF files of pixels that Pillow does not write: of any depth and number of bands."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np

from sr4.pictures.metadata import HISTORY, Metadata
from sr4.pictures.nodata import TAG as NODATA_TAG
from sr4.pictures.raster import Raster

# Values of tags (TIFF 6.0).
_BLACK_IS_ZERO, _RGB, _SEPARATED = 1, 2, 5
_ALPHA = 2  # not premultiplied
_XMP, _ASCII, _BYTE = 700, 2, 1
_DESCRIPTION, _SOFTWARE = 270, 305
_TEXTS = (_DESCRIPTION, 271, 272, 306, 315, 33432)  # make, model, time, artist, copyright


def write_deep(file: BinaryIO, raster: Raster, metadata: Metadata) -> None:
    """Write a TIFF of any depth and number of bands, compressed without loss.

    Of EXIF only texts and the resolution are written: Pillow alone writes the rest, in pictures
    that it holds.
    """
    import tifffile
    from PIL import Image

    exif = Image.Exif()
    if metadata.exif is not None:
        exif.load(metadata.exif)
    texts = {
        code: exif[code].encode("latin-1")  # byte by byte, as Pillow reads them
        for code in (*_TEXTS, _SOFTWARE, HISTORY)
        if isinstance(exif.get(code), str)
    }
    description, software = texts.pop(_DESCRIPTION, None), texts.pop(_SOFTWARE, None)
    stated = metadata.resolution
    extra: list[tuple[int, int, int, Any, bool]] = [
        (code, _ASCII, 0, text, True) for code, text in texts.items()
    ]
    if raster.nodata is not None:
        extra.append((NODATA_TAG, _ASCII, 0, str(raster.nodata), True))
    if metadata.xmp is not None:
        extra.append((_XMP, _BYTE, len(metadata.xmp), metadata.xmp, True))
    pixels = raster.array
    if raster.colour == "cmyk":
        pixels = np.iinfo(pixels.dtype).max - pixels
    photometric = {"rgb": _RGB, "cmyk": _SEPARATED}.get(raster.colour, _BLACK_IS_ZERO)
    tifffile.imwrite(
        file,
        pixels,
        photometric=photometric,
        planarconfig="contig" if pixels.ndim == 3 else None,
        extrasamples=_extra_samples(raster),
        compression="zlib",
        predictor=pixels.dtype.kind in "uif" and pixels.dtype.itemsize <= 4,
        iccprofile=metadata.icc,
        description=description,
        software=software,
        resolution=None if stated is None else (stated.across, stated.down),
        resolutionunit=None if stated is None else (2 if stated.is_absolute else 1),
        metadata=None,
        extratags=extra,
        bigtiff=pixels.nbytes > 2**31,
    )


def _extra_samples(raster: Raster) -> tuple[int, ...] | None:
    if raster.alpha is not None and raster.nodata is None:
        return (_ALPHA,)
    more = raster.pixels.shape[2] - 1 if raster.colour == "bands" else 0
    return (0,) * more or None
