"""Decoding of picture files that strangers made: limits before it, and whatever a decoder raises as
one line."""

from __future__ import annotations

import ctypes
import functools
import io
import logging
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from sr4.errors import PictureError, reason
from sr4.files.paths import missing_path
from sr4.machine.installation import how_to_install
from sr4.pictures import png, scans

# Decoders log some of what they also raise, which Python prints unless somebody takes it.
for name in ("PIL", "tifffile", "imagecodecs"):
    logging.getLogger(name).addHandler(logging.NullHandler())

# Formats with a signature of their own: others are guessed from bytes that fit anything (TGA), or
# run a program (EPS). The frequent ones come first, since Pillow tries them in this order.
_READ_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
_EMPTY_WORDS = {"cannot load this image", "decoder error"}  # of Pillow
_SAVE_AS_PNG = "save it as PNG first"
# What people have instead, by how it begins, and what to do.
_OTHERS = {
    b"PK\x03\x04": "a ZIP archive (unpack it first)",
    b"\x1f\x8b": "compressed by gzip (unpack it first; tars are read if they are not compressed)",
    b"%PDF-": "a PDF (save its pages as pictures first)",
    b"<svg": "an SVG drawing (which has no pixels and can be drawn at any size)",
    b"<?xml": "an XML file, such as an SVG drawing (which can be drawn at any size)",
    b"\xff\x0a": f"JPEG XL ({_SAVE_AS_PNG})",
    b"\0\0\0\x0cJXL \r\n\x87\n": f"JPEG XL ({_SAVE_AS_PNG})",
    b"8BPS": f"a Photoshop document ({_SAVE_AS_PNG})",
    b"gimp xcf": f"a GIMP document ({_SAVE_AS_PNG})",
    b"\x76\x2f\x31\x01": f"OpenEXR ({_SAVE_AS_PNG})",
    b"\0\0\x01\0": f"an icon of several sizes ({_SAVE_AS_PNG})",
}
_TGA = ".tga", f"a TGA picture ({_SAVE_AS_PNG})"  # which has no signature: known by its suffix
_PNG_DEPTH = 24  # the place of the bit depth in a PNG, before that of the kind of colour
_PNG_GREY = 0
_BRANDS = 256  # bytes at a file's start that name what a file of boxes holds (ISO 14496-12, 4.3)
_HEIF = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}

MAX_BYTES = 2**30
"""The largest file that `read_image` reads unless told otherwise: some decoders take it whole."""


@contextmanager
def decoding(
    source: str | Path | bytes | BinaryIO, name: str | None = None, max_bytes: int = MAX_BYTES
) -> Iterator[tuple[BinaryIO, str]]:
    """The bytes of a picture, seekable, and what messages call it; whatever a decoder raises inside
    becomes PictureError.
    """
    stream: BinaryIO
    if isinstance(source, (str, Path)):
        label = repr(name or str(source))
        stream = _open_file(Path(source), label)
    else:
        label = repr(name) if name else "the given picture"
        stream = io.BytesIO(source) if isinstance(source, bytes) else read_stream(source, max_bytes)
    with stream, warnings.catch_warnings():
        # Decoders warn of odd metadata and large sizes; pixels either decode or raise.
        warnings.simplefilter("ignore")
        try:
            if not stream.read(1):
                raise PictureError(f"{label} is empty; expected a picture file: get it again")
            check_size(stream.seek(0, os.SEEK_END), label, max_bytes)
            stream.seek(0)
            yield stream, label
        except PictureError:
            raise
        except UnidentifiedImageError as error:
            stream.seek(0)
            raise PictureError(_no_picture(label, stream.read(_BRANDS))) from error
        except Image.DecompressionBombError as error:
            raise PictureError(
                f"{label} is enormous{_why(error)}; expected fewer pixels: crop it or make it "
                "smaller first"
            ) from error
        except MemoryError as error:
            raise PictureError(
                f"{label} takes more memory to decode than there is{_why(error)}; expected a "
                "smaller picture: free some memory, or make it smaller"
            ) from error
        except Exception as error:  # damaged bytes make decoders raise nearly every type
            raise PictureError(
                f"{label} cannot be decoded{_why(error)}; expected a whole picture file: it is "
                "truncated, damaged or of an unknown kind, get it again or convert it"
            ) from error


def _no_picture(label: str, start: bytes) -> str:
    """What to say of a file that begins as none of the formats that are read does."""
    suffix, tga = _TGA
    for signature, what in _OTHERS.items():
        if start.startswith(signature):
            return f"{label} is {what}; expected a picture"
    if label.lower().strip("'\"").endswith(suffix):
        return f"{label} is {tga}; expected a picture"
    has_heif = find_spec("pillow_heif") is not None
    read = (*_READ_FORMATS, *(["HEIC"] if has_heif else []), "NPY")
    return (
        f"{label} is not a picture, or is damaged at its start; expected one of {', '.join(read)}"
    )


def _why(error: Exception) -> str:
    """What a decoder says, in brackets; nothing where it tells nothing, as a number does."""
    said = reason(error)
    is_empty = not any(letter.isalpha() for letter in said) or said in _EMPTY_WORDS
    return "" if is_empty else f" ({said})"


def _open_file(path: Path, label: str) -> BinaryIO:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise PictureError(
                f"{label} is a folder; expected one picture file: name a file inside it"
            )
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device might never end
            raise PictureError(f"{label} is a pipe or a device; expected a picture file")
        return path.open("rb")
    except FileNotFoundError:
        raise PictureError(missing_path(path)) from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise PictureError(
            f"{label} cannot be read ({reason(error)}); expected a readable picture file: "
            "check its name and permissions"
        ) from error


def open_stream(stream: BinaryIO) -> Image.Image:
    """The picture with its header read, not decoded. Of a PNG, all that its file says is in
    `info`, "png" being a `sr4.pictures.png.Side`. Raises what Pillow does, and ValueError for a
    JPEG of too many scans.
    """
    start = stream.read(_BRANDS)
    stream.seek(0)
    if start.startswith(png.SIGNATURE):
        pixels, side = png.split(stream)
        image = Image.open(pixels, formats=["PNG"])
        depth, colour = start[_PNG_DEPTH : _PNG_DEPTH + 2]
        if colour == _PNG_GREY and depth in (2, 4) and "transparency" in image.info:
            # Pillow spreads the pixels over 8 bits, but not the one that is not seen.
            image.info["transparency"] *= 255 // (2**depth - 1)
        image.info |= side.info()
        return image
    if _is_heif(start):
        return _open_heif(stream)
    if start.startswith(scans.SIGNATURE):
        scans.check(stream, 0, stream.seek(0, os.SEEK_END))
        stream.seek(0)
    if start.startswith((b"II", b"MM")):
        silence_libtiff()
    return Image.open(stream, formats=_READ_FORMATS)


def _is_heif(start: bytes) -> bool:
    """Whether a file begins as HEIF does, and is no AVIF."""
    if start[4:8] != b"ftyp":
        return False
    end = min(len(start), int.from_bytes(start[:4], "big"))
    brands = {start[8:12], *(start[place : place + 4] for place in range(16, end, 4))}
    return bool(brands & _HEIF) and not brands & {b"avif", b"avis"}


def _open_heif(stream: BinaryIO) -> Image.Image:
    try:
        import pillow_heif
    except ImportError:
        raise PictureError(
            "HEIC is not read here; expected another format: convert the picture, or "
            f"{how_to_install('heic', 'pillow-heif')}"
        ) from None
    image: Image.Image = pillow_heif.HeifImageFile(stream)  # type: ignore[no-untyped-call]
    return image


def check_pixels(label: str, width: int, height: int, frames: int, max_pixels: int) -> None:
    """Refuse a picture of too many pixels, before they are decoded.

    Raises:
        PictureError: says how many there are.
    """
    if width * height * frames > max_pixels:
        each = f"{frames} frames of " if frames > 1 else ""
        raise PictureError(
            f"{label} is enormous ({each}{width}x{height}); expected at most {max_pixels:,} "
            "pixels: crop it or make it smaller first"
        )


def check_size(size: int, label: str, max_bytes: int = MAX_BYTES) -> None:
    """Refuse a picture file by its size.

    Raises:
        PictureError: it has more bytes than `max_bytes`.
    """
    if size > max_bytes:
        raise PictureError(
            f"{label} is a file of more than {max_bytes:,} bytes; expected a smaller one: save the "
            "picture in a compressed format"
        )


@functools.cache
def silence_libtiff() -> None:
    """libtiff prints what it finds wrong by itself, past every stream of Python; what counts of it,
    Pillow raises.
    """
    from PIL import _imaging

    with suppress(OSError, AttributeError):  # a build that hides libtiff stays as it is
        library = ctypes.CDLL(_imaging.__file__)
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)


def read_stream(source: BinaryIO, most: int) -> io.BytesIO:
    """A stream to its end, or to where it is known to have more than so many bytes."""
    copy = io.BytesIO()
    while copy.tell() <= most and (block := source.read(2**20)):
        copy.write(block)
    copy.seek(0)
    return copy
