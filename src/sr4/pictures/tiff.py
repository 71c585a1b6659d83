"""TIFF files that Pillow holds in 8 bits, or not at all: 16 bits a channel, whole numbers of other
sizes, floating point, any number of bands.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sr4.errors import PictureError
from sr4.pictures.decoding import check_pixels, decoding
from sr4.pictures.metadata import HISTORY, Metadata
from sr4.pictures.raster import Colour, Raster, checked

if TYPE_CHECKING:
    from tifffile import TiffPage

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # TIFF and BigTIFF of either byte order

_SHALLOW = (np.uint8, np.bool_)  # what pixels of 8 bits and fewer are read as
# Values of tags (TIFF 6.0).
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _SEPARATED = 0, 1, 2, 5
_PREMULTIPLIED, _ALPHA = 1, 2
_ICC, _XMP, _ORIENTATION = 34675, 700, 274
_ASCII, _BYTE, _UNDEFINED = 2, 1, 7
_TEXTS = (270, 271, 272, 306, 315, 33432)  # description, make, model, time, artist, copyright
_COLOURS: dict[int, tuple[Colour, int]] = {
    _WHITE_IS_ZERO: ("grey", 1),
    _BLACK_IS_ZERO: ("grey", 1),
    _RGB: ("rgb", 3),
    _SEPARATED: ("cmyk", 4),
}


def is_deep(path: Path | bytes) -> bool:
    """Whether a TIFF file holds what no PNG does: numbers other than 8- and 16-bit ones, or bands
    that are no colours. False for what is no TIFF, which is said when it is read.
    """
    import tifffile

    try:
        with decoding(path) as (stream, _), tifffile.TiffFile(stream) as file:
            page = _first(file)
            colour = _colour(page)[0]
            return page.dtype not in (*_SHALLOW, np.uint16) or colour == "bands"
    except PictureError:
        return False


def read_deep(stream: BinaryIO, label: str, max_pixels: int) -> tuple[Raster, Metadata, int] | None:
    """The first page of a TIFF, its metadata and the number of pages; None where Pillow loses
    nothing. Raises whatever its decoder does.
    """
    import tifffile

    with tifffile.TiffFile(stream) as file:
        page = _first(file)
        if _suits_pillow(page):
            return None
        check_pixels(label, page.imagewidth, page.imagelength, 1, max_pixels)
        samples = page.samplesperpixel
        if page.imagedepth != 1:
            raise ValueError(f"a volume of {page.imagedepth} layers")
        check_pixels(label, page.imagewidth * samples, page.imagelength, 1, 4 * max_pixels)
        array = page.asarray().reshape(page.shaped)  # (planes, 1, H, W, samples of each)
        pixels = np.concatenate(list(array[:, 0]), axis=2)
        raster = _raster(_full_range(pixels, page), page)
        orientation = page.tags.valueof(_ORIENTATION, 1)
        return raster.turned(int(orientation)), _metadata(page), _count_pages(file)


def size(stream: BinaryIO) -> tuple[int, int]:
    """Width and height of a TIFF's first page."""
    import tifffile

    with tifffile.TiffFile(stream) as file:
        page = _first(file)
        return page.imagewidth, page.imagelength


def history(stream: BinaryIO) -> object:
    """The `ImageHistory` of a TIFF's first page."""
    import tifffile

    with tifffile.TiffFile(stream) as file:
        return _first(file).tags.valueof(HISTORY)


def _first(file: Any) -> TiffPage:
    page: TiffPage = file.pages.first
    sides: list[object] = [page.imagewidth, page.imagelength, page.samplesperpixel]
    # A damaged tag may hold several numbers, or a text.
    if page.dtype is None or 0 in page.shape or not all(isinstance(one, int) for one in sides):
        raise ValueError("no pixels that are known")
    return page


def _count_pages(file: Any) -> int:
    """Pages but for smaller versions of one (tag 254, NewSubfileType)."""
    return sum(1 for page in file.pages[:1000] if not int(page.subfiletype or 0) & 1)


def _suits_pillow(page: TiffPage) -> bool:
    return page.dtype in _SHALLOW and _colour(page)[0] != "bands"


def _colour(page: TiffPage) -> tuple[Colour, int | None]:
    """What the samples are, and what kind of alpha the last one is."""
    samples = page.samplesperpixel
    if page.photometric not in _COLOURS:  # palettes, YCbCr, Lab: Pillow knows how
        if page.dtype not in _SHALLOW:
            raise ValueError(f"colours of kind {page.photometric} in {page.dtype}")
        return "rgb", None
    colour, count = _COLOURS[page.photometric]
    extra = tuple(int(one) for one in page.extrasamples)
    if samples == count:
        return colour, None
    has_alpha = any(one in (_PREMULTIPLIED, _ALPHA) for one in extra[:1])
    if has_alpha and samples == count + 1 <= 4:
        return colour, extra[0]
    return "bands", None


def _full_range(pixels: NDArray[Any], page: TiffPage) -> NDArray[Any]:
    """9 to 15 bits as 16."""
    bits = page.bitspersample
    if pixels.dtype == np.uint16 and bits < 16:
        most = (1 << bits) - 1
        return ((pixels.astype(np.uint32) * 65535 + most // 2) // most).astype(np.uint16)
    return pixels


def _raster(pixels: NDArray[Any], page: TiffPage) -> Raster:
    colour, kind = _colour(page)
    alpha = None
    if kind is not None:
        pixels, alpha = pixels[:, :, :-1], pixels[:, :, -1]
        if kind == _PREMULTIPLIED:
            most = 1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
            share = np.maximum(alpha, 1e-6 if pixels.dtype.kind == "f" else 1)[:, :, None] / most
            pixels = np.clip(np.rint(pixels / share) if most > 1 else pixels / share, 0, most)
            pixels = pixels.astype(alpha.dtype)
    if page.photometric in (_WHITE_IS_ZERO, _SEPARATED) and colour != "bands":
        if pixels.dtype.kind != "u":
            raise ValueError(f"inks in {pixels.dtype}")
        pixels = np.iinfo(pixels.dtype).max - pixels
    return checked(pixels, colour, alpha)


def _metadata(page: TiffPage) -> Metadata:
    """Profile and XMP as they are; of the texts what EXIF has a place for."""
    from PIL import Image

    exif = Image.Exif()
    for code in _TEXTS:
        value = page.tags.valueof(code)
        if isinstance(value, str) and value:
            exif[code] = value
    icc, xmp = page.tags.valueof(_ICC), page.tags.valueof(_XMP)
    return Metadata(
        icc=bytes(icc) if isinstance(icc, bytes) else None,
        exif=exif.tobytes() if len(exif) else None,
        xmp=bytes(xmp) if isinstance(xmp, bytes) else None,
    )


def write_deep(file: BinaryIO, raster: Raster, metadata: Metadata) -> None:
    """Write a TIFF of any depth and number of bands, compressed without loss.

    Of EXIF only texts are written: Pillow alone writes the rest, in pictures that it holds.
    """
    import tifffile
    from PIL import Image

    exif = Image.Exif()
    if metadata.exif is not None:
        exif.load(metadata.exif)
    texts = {code: exif[code] for code in (*_TEXTS, HISTORY) if isinstance(exif.get(code), str)}
    description = texts.pop(270, None)
    extra: list[tuple[int, int, int, Any, bool]] = [
        (code, _ASCII, 0, text, True) for code, text in texts.items()
    ]
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
        software=exif.get(305),
        metadata=None,
        extratags=extra,
        bigtiff=pixels.nbytes > 2**31,
    )


def _extra_samples(raster: Raster) -> tuple[int, ...] | None:
    if raster.alpha is not None:
        return (_ALPHA,)
    more = raster.pixels.shape[2] - 1 if raster.colour == "bands" else 0
    return (0,) * more or None
