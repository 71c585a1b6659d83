"""Pixels to picture files, with what they carry: each format keeps what it has a place for."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo, putchunk

from sr4.errors import PictureError, reason
from sr4.files.whole import write_whole
from sr4.pictures.decoding import silence_libtiff
from sr4.pictures.metadata import Metadata, Provenance
from sr4.pictures.raster import Raster, from_pil
from sr4.pictures.reading import Picture
from sr4.pictures.tiff import write_deep

_Write = Callable[[BinaryIO], object]
_PNG_LEVEL = 3  # of animations: a quarter of the time of level 6 for a tenth more bytes
_PAETH = 0x80  # the filter of libpng (PNG_FILTER_PAETH)
_PNG_STRIP = 2**22  # bytes of pixels of a PNG that are encoded at a time
_BEHIND_HEADER = 8 + 25  # in a PNG: signature, IHDR
_CLASSIC_TIFF = 2**31  # bytes of pixels up to which every file has less than 4 GB
_MOST_EXIF = 65_000  # bytes that a JPEG has room for


@dataclass(frozen=True)
class _Format:
    """What a format has a place for."""

    write: Callable[[BinaryIO, Picture], None]
    bits: int  # the most of whole numbers; 0: numbers of any kind
    alpha: bool = False
    cmyk: bool = False
    grey: bool = True
    moves: bool = False
    side: int = 2**31 - 1  # the most pixels along each
    area: int = 2**62


def write_picture(
    picture: Picture,
    path: Path,
    *,
    provenance: Provenance | None = None,
    overwrite: bool = False,
) -> None:
    """Write a picture so that `path` holds either all of it or what was there before.

    The suffix decides the format. What that has no place for is converted (see `losses`): alpha is
    laid on white, inks become sRGB, numbers are rounded, of an animation the first frame is kept.

    Raises:
        PictureError: `path` exists (without `overwrite`), its folder is missing or read-only, the
            suffix is unknown, the format has no way to show the picture or is too small for it,
            or the disk is full.
    """
    check_output(path, overwrite=overwrite)
    _publish(Path(path), _encoder(picture, path, provenance), overwrite=overwrite)


def encode_picture(picture: Picture, name: Path, provenance: Provenance | None = None) -> bytes:
    """The bytes of the file that `write_picture` would write under a name; errors as there."""
    file = io.BytesIO()
    _encoder(picture, name, provenance)(file)
    return file.getvalue()


def _encoder(picture: Picture, path: Path, provenance: Provenance | None) -> _Write:
    """Puts out the picture as the format of its file holds it."""
    check_sides(path, picture.frames[0].size)
    form = _format_of(path)
    fitting = _fitted(picture, form)
    metadata = fitting.metadata if provenance is None else fitting.metadata.made_by(provenance)
    fitting = replace(fitting, metadata=metadata.for_colour(fitting.frames[0].colour))
    return lambda file: form.write(file, fitting)


def write_image(image: Image.Image, path: Path, *, overwrite: bool = False) -> None:
    """`write_picture` of a Pillow picture alone."""
    write_picture(Picture((from_pil(image),)), path, overwrite=overwrite)


def check_output(path: Path, *, overwrite: bool = False) -> None:
    """Refuse what `write_picture` would, as far as can be told beforehand; worth asking before long
    work.

    Raises:
        PictureError: `path` exists (without `overwrite`), its folder is missing, or the suffix is
            unknown.
    """
    label = repr(str(path))
    _format_of(path)
    if not overwrite and os.path.lexists(path):
        raise _exists(label)
    if not path.parent.exists():
        raise _no_folder(path)


def check_sides(path: Path, size: tuple[int, int]) -> None:
    """Refuse a picture, by its width and height, that is too large for the format of its file;
    worth asking before long work.

    Raises:
        PictureError: says what the format holds, and which hold more.
    """
    suffix, (width, height) = Path(path).suffix.lower(), size
    form = _format_of(path)
    if max(size) <= form.side and width * height <= form.area:
        return
    larger = [
        key for key, one in _FORMATS.items() if max(size) <= one.side and width * height <= one.area
    ]
    most = f"sides of at most {form.side:,} pixels"
    if max(size) <= form.side:
        most = f"at most {form.area:,} pixels"
    raise PictureError(
        f"{str(path)!r} would be {width}x{height}; expected {most}, as {suffix} holds no more: "
        f"choose one of {', '.join(larger)}"
    )


def _no_folder(path: Path) -> PictureError:
    return PictureError(
        f"the folder {str(path.parent)!r} does not exist; expected a folder to write "
        f"{path.name!r} into: make it first"
    )


def _exists(label: str) -> PictureError:
    return PictureError(
        f"{label} exists already; expected a new file: use --overwrite to replace it"
    )


def _publish(path: Path, write: _Write, *, overwrite: bool = False) -> None:
    label = repr(str(path))
    try:
        write_whole(path, write, overwrite=overwrite)
    except FileExistsError as error:
        raise _exists(label) from error
    except FileNotFoundError as error:
        raise _no_folder(path) from error
    except (OSError, ValueError, struct.error) as error:
        raise PictureError(
            f"{label} cannot be written ({reason(error)}); expected a writable folder and a "
            f"picture that fits {path.suffix}"
        ) from error


def _format_of(path: Path) -> _Format:
    form = _FORMATS.get(Path(path).suffix.lower())
    if form is None:
        raise PictureError(
            f"got the output {str(path)!r}; expected one of the suffixes {', '.join(_FORMATS)}"
        )
    return form


def losses(picture: Picture, path: Path) -> tuple[str, ...]:
    """What of a picture is lost in a format, each a clause for a message."""
    form, first = _format_of(path), picture.frames[0]
    suffix, dtype = path.suffix.lower(), first.pixels.dtype
    found = []
    if len(picture.frames) > 1 and not form.moves:
        found.append(
            f"{suffix} holds no animation, the first of {len(picture.frames)} frames is kept"
        )
    if first.alpha is not None and not form.alpha:
        found.append(f"{suffix} holds no transparency, the picture is laid on white")
    if first.colour == "cmyk" and not form.cmyk:
        found.append(f"{suffix} holds no CMYK, the colours become sRGB")
    if form.bits and (dtype.kind != "u" or dtype.itemsize * 8 > form.bits):
        found.append(f"{suffix} holds {form.bits} bits a channel, the {dtype} pixels are rounded")
    if suffix == ".gif":
        found.append(".gif holds 256 colours a frame, and pixels that are transparent or not")
    return tuple(found)


def _fitted(picture: Picture, form: _Format) -> Picture:
    frames = picture.frames if form.moves else picture.frames[:1]
    metadata = picture.metadata
    if frames[0].colour == "cmyk" and not form.cmyk:
        frames = tuple(_to_rgb(raster, metadata.icc) for raster in frames)
        metadata = replace(metadata, icc=None)
    return replace(
        picture, frames=tuple(_fit(raster, form) for raster in frames), metadata=metadata
    )


def _fit(raster: Raster, form: _Format) -> Raster:
    if raster.alpha is not None and not form.alpha:
        raster = raster.without_alpha()
    if not form.bits:
        return raster
    if raster.colour == "bands":
        raise PictureError(
            f"got a picture of {raster.pixels.shape[2]} bands; expected a file that holds them: "
            "write .tif or .npy"
        )
    if form.bits == 8 or raster.pixels.dtype == np.uint8:
        raster = raster.with_bits(8)
    else:
        raster = raster.with_bits(16)
    if raster.colour == "grey" and not form.grey:
        pixels = np.repeat(raster.pixels, 3, axis=2)
        raster = replace(raster, pixels=pixels, colour="rgb")
    return raster


def _to_rgb(raster: Raster, icc: bytes | None) -> Raster:
    """sRGB of CMYK, by its profile if there is one that fits."""
    image = raster.to_pil()
    try:
        if icc is None or icc[16:20] != b"CMYK":
            raise ImageCms.PyCMSError("no profile")
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        srgb = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        converted = image.convert("RGB")
    assert converted is not None
    shallow = raster.with_bits(8)
    return replace(shallow, pixels=np.asarray(converted), colour="rgb")


def _pillow(
    file_format: str, *, says: tuple[str, ...] = (), **options: Any
) -> Callable[[BinaryIO, Picture], None]:
    """Writes by Pillow; `says` are the kinds of metadata that it takes for this format."""

    def write(file: BinaryIO, picture: Picture) -> None:
        first, *others = [raster.to_pil() for raster in picture.frames]
        given = {
            "icc_profile": picture.metadata.icc,
            "exif": picture.metadata.exif,
            "xmp": picture.metadata.xmp,
        }
        extra: dict[str, Any] = {key: given[key] for key in says if given[key]}
        if file_format == "JPEG" and len(extra.get("exif", b"")) > _MOST_EXIF:
            del extra["exif"]
        if file_format == "PNG":
            extra["pnginfo"] = _comments(picture.metadata)
        if others:
            durations = [round(one) for one in picture.durations]
            extra |= {"save_all": True, "append_images": others, "duration": durations}
            extra |= {"loop": picture.loop, "disposal": 2}
            if file_format == "WEBP":
                del extra["disposal"]  # it shows each frame anew by itself
        first.save(file, format=file_format, **extra, **options)

    return write


def _comments(metadata: Metadata) -> PngInfo:
    info = PngInfo()
    for key, value in (metadata.text or {}).items():
        info.add_itxt(key, value)
    if metadata.xmp is not None:
        info.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8", "replace"))
    return info


_write_animated_png = _pillow("PNG", says=("icc_profile", "exif"), compress_level=_PNG_LEVEL)


def _write_png(file: BinaryIO, picture: Picture) -> None:
    """Pillow writes animations; the chunks of a still picture go behind its header.

    Of photographs the differences that one filter leaves hardly repeat, so looking for what does
    takes four times as long for a tenth more bytes: run lengths and Huffman's code are enough.
    """
    raster, metadata = picture.frames[0], picture.metadata
    if len(picture.frames) > 1:
        _write_animated_png(file, picture)
        return
    parts = _png_parts(raster)
    file.write(next(parts))
    if metadata.icc is not None:
        putchunk(file, b"iCCP", b"ICC\0\0" + zlib.compress(metadata.icc))
    if metadata.exif is not None:
        putchunk(file, b"eXIf", metadata.exif.removeprefix(b"Exif\0\0"))
    for chunk in _comments(metadata).chunks:
        putchunk(file, *chunk[:2])
    for part in parts:
        file.write(part)


def _png_parts(raster: Raster) -> Iterator[bytes]:
    """The bytes of a PNG file: signature and header, then the rest in strips, so that no second
    copy of a large picture is made.

    Each strip is filtered by libpng, whose output of level 0 holds the filtered rows as they are;
    the row above, which the filter looks at, is left out again.
    """
    height = len(raster.pixels)
    rows = max(1, _PNG_STRIP // max(1, raster.pixels[0].nbytes))
    if height <= rows:
        encoded = _encoded_png(raster, 0, height, level=_PNG_LEVEL, strategy=zlib.Z_RLE)
        yield encoded[:_BEHIND_HEADER]
        yield encoded[_BEHIND_HEADER:]
        return
    deflate = zlib.compressobj(_PNG_LEVEL, strategy=zlib.Z_RLE)
    for start in range(0, height, rows):
        top, bottom = max(0, start - 1), min(start + rows, height)
        encoded = _encoded_png(raster, top, bottom, level=0)
        if start == 0:
            width_and_kind = encoded[16:20], encoded[24:29]  # ISO 15948, section 11.2.2
            header = struct.pack(">I", height).join(width_and_kind)
            yield encoded[:8] + _chunk(b"IHDR", header)
        filtered = zlib.decompress(b"".join(_chunks(encoded, b"IDAT")))
        above = len(filtered) // (bottom - top) * (start - top)
        yield _chunk(b"IDAT", deflate.compress(memoryview(filtered)[above:]))
    yield _chunk(b"IDAT", deflate.flush())
    yield _chunk(b"IEND", b"")


def _encoded_png(raster: Raster, top: int, bottom: int, **options: Any) -> bytes:
    """A PNG file of some rows."""
    import imagecodecs

    alpha = None if raster.alpha is None else raster.alpha[top:bottom]
    rows = replace(raster, pixels=raster.pixels[top:bottom], alpha=alpha).array
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(rows), filter=_PAETH, **options))


def _chunks(png: bytes, kind: bytes) -> Iterator[memoryview]:
    """The data of the chunks of a kind."""
    place = 8
    while place < len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        if png[place + 4 : place + 8] == kind:
            yield memoryview(png)[place + 8 : place + 8 + length]
        place += length + 12


def _chunk(kind: bytes, data: bytes) -> bytes:
    made = io.BytesIO()
    putchunk(made, kind, data)
    return made.getvalue()


_write_small_tiff = _pillow("TIFF", says=("icc_profile", "exif"), compression="tiff_deflate")
_write_plain_tiff = _pillow("TIFF", says=("icc_profile", "exif"))


def _write_tiff(file: BinaryIO, picture: Picture) -> None:
    raster = picture.frames[0]
    silence_libtiff()
    if raster.is_deep or raster.colour == "bands" or raster.pixels.nbytes > _CLASSIC_TIFF:
        write_deep(file, raster, picture.metadata)
    elif picture.metadata.has_inner_exif:  # which Pillow writes in uncompressed files alone
        _write_plain_tiff(file, picture)
    else:
        _write_small_tiff(file, picture)


def _write_npy(file: BinaryIO, picture: Picture) -> None:
    np.save(file, picture.frames[0].array, allow_pickle=False)


_JPEG = _Format(
    _pillow("JPEG", says=("icc_profile", "exif", "xmp"), quality=95, subsampling=0),
    8,
    cmyk=True,
    side=65_500,  # of libjpeg
)
_TIFF = _Format(_write_tiff, 0, alpha=True, cmyk=True)
_FORMATS: Mapping[str, _Format] = {
    # libpng writes and reads no longer sides unless programs ask for them.
    ".png": _Format(_write_png, 16, alpha=True, moves=True, side=1_000_000),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": _Format(
        _pillow("WEBP", says=("icc_profile", "exif", "xmp"), lossless=True),
        8,
        alpha=True,
        grey=False,
        moves=True,
        side=16_383,
    ),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": _Format(_pillow("BMP"), 8, area=2**30),  # files of less than 4 GB
    ".gif": _Format(_pillow("GIF"), 8, alpha=True, moves=True, side=65_535),
    ".npy": _Format(_write_npy, 0, alpha=True),
}

SUFFIXES = tuple(_FORMATS)
"""The suffixes, in lower case, of the files that `write_picture` writes."""
