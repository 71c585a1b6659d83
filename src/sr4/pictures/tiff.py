"""TIFF files: which page is the picture, and its pixels where Pillow has 8 bits for them, or none:
16 bits a channel, whole numbers of other sizes, floating point, any number of bands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.errors import PictureError
from sr4.pictures import codestreams, exif, nodata, xmp
from sr4.pictures.decoding import check_pixels, decoding
from sr4.pictures.metadata import HISTORY, Metadata, Said
from sr4.pictures.raster import Colour, Raster, checked
from sr4.pictures.rgb import upright_size

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # TIFF and BigTIFF of either byte order

MOST_PAGES = 1000
"""How many pages are looked at."""

# What a pixel may take where pictures are limited in pixels: four samples of 32 bits.
_BYTES_OF_PIXEL = 16
_SHALLOW = (np.uint8, np.bool_)  # what pixels of 8 bits and fewer are read as
# Values of tags (TIFF 6.0).
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
_PREMULTIPLIED, _ALPHA = 1, 2
_ICC, _XMP, _ORIENTATION, _COLOUR_MAP = 34675, 700, 274, 320
_IPTC, _GEOGRAPHY = 33723, 34735
_XMP_ORIENTATION = rb'tiff:Orientation(?:="|>)([0-9])'
# Compressions that Pillow reads everywhere: none, CCITT, LZW, JPEG, deflate, PackBits.
_OF_PILLOW = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946)
_YCBCR_AS_IT_IS = 33003  # of the codecs of pictures, the one whose colours are not converted
_COLOURS: dict[int, tuple[Colour, int]] = {
    _WHITE_IS_ZERO: ("grey", 1),
    _BLACK_IS_ZERO: ("grey", 1),
    _RGB: ("rgb", 3),
    _SEPARATED: ("cmyk", 4),
}


class Found(NamedTuple):
    """What a TIFF file holds.

    Attributes:
        page: the number of the page that is the picture.
        pages: how many there are, smaller versions left out; one more than `MOST_PAGES` for more.
        raster: its pixels; None where Pillow reads them without loss.
        metadata: what it says besides; of a raster alone.
        notes: what is left out, each a clause for a message.
    """

    page: int
    pages: int
    raster: Raster | None = None
    metadata: Metadata = Metadata()
    notes: tuple[str, ...] = ()


class _Place(NamedTuple):
    """The page that is the picture, and its number; -1 inside another one."""

    page: TiffPage
    number: int


def is_deep(path: Path | bytes) -> bool:
    """Whether a TIFF file holds what no PNG does: numbers other than 8- and 16-bit ones, bands that
    are no colours, or pixels without data. False for what is no TIFF: said when it is read.
    """
    import tifffile

    try:
        with decoding(path) as (stream, _), tifffile.TiffFile(stream) as file:
            page = _picture(file).page
            is_usual = page.dtype in (*_SHALLOW, np.uint16) and _colour(page)[0] != "bands"
            return not is_usual or nodata.TAG in page.tags
    except PictureError:
        return False


def read(stream: BinaryIO, label: str, max_pixels: int) -> Found:
    """The picture of a TIFF: the first page that is no smaller version of another one, and no mask.
    Raises whatever its decoder does.
    """
    import tifffile

    with tifffile.TiffFile(stream) as file:
        page, number = _picture(file)
        pages = _count_pages(file)
        _check_pixels(page, label, max_pixels)
        if number >= 0 and _suits_pillow(page):
            return Found(number, pages)
        if page.imagedepth != 1:
            raise ValueError(f"a volume of {page.imagedepth} layers")
        codestreams.check(page)
        array = page.asarray().reshape(page.shaped)  # (planes, 1, H, W, samples of each)
        pixels = np.concatenate(list(array[:, 0]), axis=2)
        raster, notes = _raster(_full_range(pixels, page), page)
        orientation = _orientation(page)
        metadata, more = _metadata(page, stream, orientation)
        return Found(number, pages, raster.turned(orientation), metadata, (*notes, *more))


def size(stream: BinaryIO) -> tuple[int, int]:
    """Width and height of a TIFF's picture, upright."""
    import tifffile

    with tifffile.TiffFile(stream) as file:
        page = _picture(file).page
        return upright_size((page.imagewidth, page.imagelength), _orientation(page))


def decoded_bytes(stream: BinaryIO) -> int:
    """What decoding a TIFF's picture takes."""
    import tifffile

    with tifffile.TiffFile(stream) as file:
        return _decoded_bytes(_picture(file).page)


def history(stream: BinaryIO) -> object:
    """The `ImageHistory` of a TIFF's picture."""
    import tifffile

    with tifffile.TiffFile(stream) as file:
        return _picture(file).page.tags.valueof(HISTORY)


def _check_pixels(page: TiffPage, label: str, max_pixels: int) -> None:
    check_pixels(label, page.imagewidth, page.imagelength, 1, max_pixels)
    taken, most = _decoded_bytes(page), _BYTES_OF_PIXEL * max_pixels
    if taken > most:
        raise PictureError(
            f"{label} is enormous ({taken:,} bytes, {page.samplesperpixel} bands of {page.dtype}); "
            f"expected at most {most:,} bytes of pixels: crop it, or leave bands out"
        )


def _decoded_bytes(page: TiffPage) -> int:
    pixels = page.imagewidth * page.imagelength
    if page.is_tiled:  # which are decoded whole
        pixels = max(pixels, page.tilewidth * page.tilelength)
    assert page.dtype is not None  # as it is known
    return int(pixels * page.samplesperpixel * page.dtype.itemsize)


def _picture(file: TiffFile) -> _Place:
    first: _Place | None = None
    for number, page in enumerate(_pages(file)):
        first = first or _Place(page, number)
        for place in (_Place(page, number), *(_Place(one, -1) for one in _inside(page))):
            if not _is_part(place.page):
                return _Place(_known(place.page), place.number)
    if first is None:
        raise ValueError("no page")
    return _Place(_known(first.page), first.number)


def _pages(file: TiffFile) -> Iterator[TiffPage]:
    """The pages that are whole, up to the first that is not; no more than are looked at."""
    pages = iter(file.pages)
    for number in range(MOST_PAGES):
        try:
            page = next(pages)
        except StopIteration:
            return
        except Exception:
            if number == 0:
                raise
            return
        yield page  # type: ignore[misc]


def _inside(page: TiffPage) -> list[TiffPage]:
    """Pages that stand inside a smaller version of them, where cameras put them."""
    if not _is_part(page) or not page.subifds:
        return []
    return list(islice(page.pages or (), MOST_PAGES))  # type: ignore[arg-type]


def _is_part(page: TiffPage) -> bool:
    """Whether it is a smaller version of another page, or a mask of it."""
    return bool(int(page.subfiletype or 0) & (_REDUCED | _MASK))


def _known(page: TiffPage) -> TiffPage:
    sides: list[object] = [page.imagewidth, page.imagelength, page.samplesperpixel]
    # A damaged tag may hold several numbers, or a text.
    if page.dtype is None or 0 in page.shape or not all(isinstance(one, int) for one in sides):
        raise ValueError("no pixels that are known")
    return page


def _count_pages(file: TiffFile) -> int:
    count = sum(not _is_part(page) for page in _pages(file))
    return count + 1 if count == MOST_PAGES else count


def _orientation(page: TiffPage) -> int:
    """How the pixels lie, by the tag, or by XMP where there is none, as Pillow takes it."""
    packet = page.tags.valueof(_XMP)
    found = re.search(_XMP_ORIENTATION, packet) if isinstance(packet, bytes) else None
    lies = page.tags.valueof(_ORIENTATION, int(found[1]) if found else 1)
    return int(lies) if lies in range(1, 9) else 1  # a damaged tag may be anything


def _suits_pillow(page: TiffPage) -> bool:
    return (
        page.dtype in _SHALLOW
        and page.compression in _OF_PILLOW
        and nodata.TAG not in page.tags
        and _colour(page)[0] != "bands"
    )


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
    # Some programs leave out what a fourth sample beside three colours is, which is alpha then.
    if not extra and page.dtype in (np.uint8, np.uint16):
        extra = (_ALPHA,) * (samples - count)
    has_alpha = any(one in (_PREMULTIPLIED, _ALPHA) for one in extra[:1])
    if has_alpha and samples == count + 1 <= 4:
        return colour, extra[0]
    return "bands", None


def _full_range(pixels: NDArray[Any], page: TiffPage) -> NDArray[Any]:
    """1 to 7 bits as 8, and 9 to 15 as 16."""
    bits: Any = page.bitspersample  # several numbers where samples differ
    if pixels.dtype == np.bool_:
        two_levels: NDArray[Any] = pixels.astype(np.uint8) * np.uint8(255)
        return two_levels
    if pixels.dtype not in (np.uint8, np.uint16) or page.photometric == _PALETTE:
        return pixels
    full = pixels.dtype.itemsize * 8
    if not isinstance(bits, int) or bits >= full:
        return pixels
    most, all_of_it = (1 << bits) - 1, (1 << full) - 1
    wide = (pixels.astype(np.uint32) * all_of_it + most // 2) // most
    full_range: NDArray[Any] = wide.astype(pixels.dtype)
    return full_range


def _raster(pixels: NDArray[Any], page: TiffPage) -> tuple[Raster, tuple[str, ...]]:
    if page.photometric not in _COLOURS:
        return checked(_rgb(pixels, page), "rgb"), ()
    colour, kind = _colour(page)
    alpha = None
    if kind is not None:
        pixels, alpha = pixels[:, :, :-1], pixels[:, :, -1]
        if kind == _PREMULTIPLIED:
            most = 1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
            share = np.maximum(alpha, 1e-6 if pixels.dtype.kind == "f" else 1)[:, :, None] / most
            pixels = np.clip(np.rint(pixels / share) if most > 1 else pixels / share, 0, most)
            pixels = pixels.astype(alpha.dtype)
    declared = nodata.declared(page.tags.valueof(nodata.TAG), pixels.dtype)
    is_inverse = page.photometric in (_WHITE_IS_ZERO, _SEPARATED) and colour != "bands"
    if is_inverse:
        if pixels.dtype.kind != "u":
            raise ValueError(f"inks in {pixels.dtype}")
        pixels = np.iinfo(pixels.dtype).max - pixels
        declared = None if declared is None else np.iinfo(pixels.dtype).max - declared
    if alpha is not None:
        return checked(pixels, colour, alpha), ()
    return nodata.raster(pixels, colour, declared)


def _rgb(pixels: NDArray[Any], page: TiffPage) -> NDArray[Any]:
    """Of 8-bit palettes and YCbCr."""
    if page.photometric == _PALETTE and page.colormap is not None:
        table: NDArray[Any] = page.colormap.T  # (colours, 3), 16 bits
        index = np.minimum(pixels[:, :, 0], len(table) - 1)
        colours: NDArray[Any] = (table[index] // 257).astype(np.uint8)
        return colours
    if page.photometric == _YCBCR and pixels.shape[2] == 3:
        is_picture = page.compression != _YCBCR_AS_IT_IS and codestreams.measures(page)
        if is_picture:  # whose decoder converts colours
            return pixels
        return np.asarray(Image.fromarray(pixels, "YCbCr").convert("RGB"))
    raise ValueError(f"colours of kind {page.photometric}")


def _metadata(page: TiffPage, stream: BinaryIO, orientation: int) -> Said:
    """What is true of the pixels once they are upright."""
    notes: list[str] = []
    icc, packet = page.tags.valueof(_ICC), page.tags.valueof(_XMP)
    found = xmp.Cleaned(None)
    if isinstance(packet, bytes) and packet:
        found = xmp.cleaned(packet, turned=orientation != 1)
        notes += found.notes
    block = None
    try:
        tags = Image.Exif()
        tags.endian = page.parent.byteorder
        tags.bigtiff = page.parent.is_bigtiff
        tags.load_from_fp(stream, page.offset)
        block = exif.kept(tags, turned=orientation >= 5)
    except Exception:  # noqa: BLE001 - whatever damaged tags raise, the pixels are whole
        notes.append("its EXIF is damaged and left out")
    if _IPTC in page.tags:
        notes.append("its IPTC is left out")
    if _GEOGRAPHY in page.tags:
        notes.append("its place on the map (GeoTIFF) is left out")
    metadata = Metadata(
        icc=bytes(icc) if isinstance(icc, bytes) else None,
        exif=block,
        xmp=found.packet,
        resolution=exif.resolution(block) or found.resolution,
        size=upright_size((page.imagewidth, page.imagelength), orientation),
    )
    return Said(metadata, tuple(notes))
