"""Formats of picture files: what each has a place for, and how it is written."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, features

from sr4.errors import PictureError
from sr4.pictures import exif, png_writing
from sr4.pictures.decoding import silence_libtiff
from sr4.pictures.metadata import COMMENT
from sr4.pictures.raster import Raster
from sr4.pictures.reading import Picture
from sr4.pictures.tiff_writing import write_deep

_Write = Callable[[BinaryIO, Picture], None]
_CLASSIC_TIFF = 2**31  # bytes of pixels up to which every file has less than 4 GB
_TIFF_XMP = 700  # the tag
_QUALITY = 95  # of formats that are lossy by themselves
_MOST_PLAYS = 65_535  # of an animation, in 16 bits
_GIF_HIDDEN = 255  # the colour of a frame's 256 that stands for what is not seen
_HALF = 128  # of alpha, from which a pixel counts as seen where it can only be seen or not
# Kinds of metadata, by the names that `Metadata` has for them.
_ALL = frozenset(("icc", "exif", "xmp", "text", "colour", "resolution"))
_USUAL = frozenset(("icc", "exif", "xmp", "resolution"))


@dataclass(frozen=True)
class Format:
    """What a format has a place for.

    Attributes:
        write: writes a picture that has nothing else.
        bits: the most of whole numbers; 0 for numbers of any kind.
        is_lossy: whether it changes them.
        at_quality: what writes a picture with a quality from 1 to 100; None where there is no such
            thing.
        holds: kinds of metadata, by their names in `Metadata`.
        keywords: of the comments that it has a place for; None for any.
        most_exif, most_xmp: bytes of a block.
        counts: whether it says how often an animation is shown.
        side: the most pixels along each axis; area: in all.
    """

    write: _Write
    bits: int
    is_lossy: bool = False
    at_quality: Callable[[int], _Write] | None = None
    alpha: bool = False
    cmyk: bool = False
    grey: bool = True
    moves: bool = False
    counts: bool = True
    holds: frozenset[str] = frozenset()
    keywords: tuple[str, ...] | None = None
    most_exif: int = 2**31 - 1
    most_xmp: int = 2**31 - 1
    side: int = 2**31 - 1
    area: int = 2**62


def format_of(path: Path) -> Format:
    """The format of a file, by its suffix.

    Raises:
        PictureError: it is unknown.
    """
    form = FORMATS.get(Path(path).suffix.lower())
    if form is None:
        raise PictureError(
            f"got the output {str(path)!r}; expected one of the suffixes {', '.join(FORMATS)}"
        )
    return form


def _pillow(
    file_format: str,
    *,
    says: tuple[str, ...] = (),
    to_pil: Callable[[Raster], Image.Image] = Raster.to_pil,
    **options: Any,
) -> _Write:
    """Writes by Pillow; `says` are its names for the metadata that it takes for this format."""

    def write(file: BinaryIO, picture: Picture) -> None:
        first, *others = [to_pil(raster) for raster in picture.frames]
        given = picture.metadata.info()
        extra: dict[str, Any] = {key: given[key] for key in says if key in given}
        if file_format == "PNG":
            extra["pnginfo"] = png_writing.said(picture.metadata)
        if others:
            durations = [round(one) for one in picture.durations]
            extra |= {"save_all": True, "append_images": others, "duration": durations}
            extra |= {"loop": min(picture.loop, _MOST_PLAYS), "disposal": 2}
            if file_format == "GIF":
                extra |= _gif_loop(picture.loop)
            if file_format == "WEBP":
                del extra["disposal"]  # it shows each frame anew by itself
        first.save(file, format=file_format, **extra, **options)

    return write


def _lossy(file_format: str, **options: Any) -> Callable[[int], _Write]:
    """What `_pillow` gives, for each quality."""
    return lambda quality: _pillow(file_format, quality=quality, **options)


def _gif_loop(plays: int) -> dict[str, int | None]:
    """A GIF says how often it begins anew, and nothing if it is shown once."""
    return {"loop": None if plays == 1 else min(max(0, plays - 1), _MOST_PLAYS)}


def _gif_frame(raster: Raster) -> Image.Image:
    """A frame whose pixels are seen or not, which Pillow makes only of some: it would show all that
    is not wholly transparent as opaque, in whatever colours are hidden there, and all of grey.
    """
    if raster.alpha is None:
        return raster.to_pil()
    shallow = raster.with_bits(8)
    assert shallow.alpha is not None
    is_seen = shallow.alpha >= _HALF
    colours = np.broadcast_to(shallow.pixels, (*is_seen.shape, 3)) * is_seen[:, :, None]
    frame = Image.fromarray(colours).quantize(_GIF_HIDDEN)
    frame.paste(_GIF_HIDDEN, mask=Image.fromarray(~is_seen))
    frame.info["transparency"] = _GIF_HIDDEN
    return frame


_write_animated_png = _pillow(
    "PNG", says=("icc_profile", "exif", "dpi"), compress_level=png_writing.LEVEL
)


def _write_png(file: BinaryIO, picture: Picture) -> None:
    if len(picture.frames) > 1:
        _write_animated_png(file, picture)
    else:
        png_writing.write(file, picture)


def _write_tiff(file: BinaryIO, picture: Picture) -> None:
    raster, metadata = picture.frames[0], picture.metadata
    is_small = raster.pixels.nbytes <= _CLASSIC_TIFF
    if not is_small or raster.is_deep or raster.colour == "bands" or raster.nodata is not None:
        write_deep(file, raster, metadata)
        return
    silence_libtiff()
    tags = exif.loaded(metadata.exif)
    if metadata.xmp is not None:
        tags[_TIFF_XMP] = metadata.xmp
    options: dict[str, Any] = {key: metadata.info().get(key) for key in ("icc_profile", "dpi")}
    if not metadata.has_inner_exif:  # which Pillow writes in uncompressed files alone
        options["compression"] = "tiff_deflate"
    given = {key: value for key, value in options.items() if value is not None}
    raster.to_pil().save(file, format="TIFF", exif=tags, **given)


_encode_jpeg_2000 = _pillow("JPEG2000", irreversible=False)


def _write_jpeg_2000(file: BinaryIO, picture: Picture) -> None:
    """By way of memory: the encoder never ends on a disk that is full."""
    encoded = io.BytesIO()
    _encode_jpeg_2000(encoded, picture)
    file.write(encoded.getbuffer())


def _write_npy(file: BinaryIO, picture: Picture) -> None:
    np.save(file, picture.frames[0].array, allow_pickle=False)


_SAYS = ("icc_profile", "exif", "xmp")
_jpeg_at = _lossy("JPEG", says=(*_SAYS, "dpi", "comment"), subsampling=0)
_avif_at = _lossy("AVIF", says=_SAYS, subsampling="4:4:4")
_JPEG = Format(
    _jpeg_at(_QUALITY),
    8,
    is_lossy=True,
    at_quality=_jpeg_at,
    cmyk=True,
    holds=_USUAL | {"text"},
    keywords=(COMMENT,),
    most_exif=65_000,  # of a segment; longer ones would go into several
    most_xmp=65_502,
    side=65_500,  # of libjpeg
)
_TIFF = Format(_write_tiff, 0, alpha=True, cmyk=True, holds=_USUAL)
_AVIF = Format(
    _avif_at(_QUALITY),
    8,
    is_lossy=True,
    at_quality=_avif_at,
    alpha=True,
    grey=False,
    moves=True,
    counts=False,
    holds=_USUAL,
    side=65_536,
)
_JPEG_2000 = Format(_write_jpeg_2000, 8, alpha=True)

FORMATS: Mapping[str, Format] = {
    # libpng writes and reads no longer sides unless programs ask for them.
    ".png": Format(_write_png, 16, alpha=True, moves=True, holds=_ALL, side=1_000_000),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": Format(
        _pillow("WEBP", says=_SAYS, lossless=True),
        8,
        at_quality=_lossy("WEBP", says=_SAYS),
        alpha=True,
        grey=False,
        moves=True,
        holds=_USUAL,
        side=16_383,
    ),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    **({".avif": _AVIF} if features.check("avif") else {}),
    **({".jp2": _JPEG_2000} if features.check("jpg_2000") else {}),
    ".bmp": Format(  # files of less than 4 GB
        _pillow("BMP", says=("dpi",)), 8, holds=frozenset(("resolution",)), area=2**30
    ),
    ".gif": Format(
        _pillow("GIF", says=("comment",), to_pil=_gif_frame),
        8,
        is_lossy=True,
        alpha=True,
        moves=True,
        holds=frozenset(("text",)),
        keywords=(COMMENT,),
        side=65_535,
    ),
    ".npy": Format(_write_npy, 0, alpha=True),
}
"""By suffix, in lower case."""
