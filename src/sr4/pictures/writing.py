"""Pixels to picture files, with what they carry: each format keeps what it has a place for."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from numbers import Integral
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from sr4.errors import PictureError, UsageError, reason
from sr4.files.paths import refuse_address
from sr4.files.whole import write_whole
from sr4.pictures.fitting import fitted
from sr4.pictures.formats import FORMATS, format_of
from sr4.pictures.metadata import Provenance
from sr4.pictures.raster import from_pil
from sr4.pictures.reading import Picture

_Write = Callable[[BinaryIO], object]

SUFFIXES = tuple(FORMATS)
"""The suffixes, in lower case, of the files that `write_picture` writes."""


def write_picture(
    picture: Picture,
    path: Path,
    *,
    provenance: Provenance | None = None,
    quality: int | None = None,
    overwrite: bool = False,
) -> None:
    """Write a picture so that `path` holds either all of it or what was there before.

    The suffix decides the format. What that has no place for is converted or left out, see
    `sr4.pictures.losses`: alpha is laid on white, inks become sRGB, numbers are rounded, of an
    animation the first frame is kept.

    Args:
        quality: of JPEG, WebP and AVIF, from 1 to 100: the lower, the smaller the file. None is 95,
            and a WebP without loss.

    Raises:
        PictureError: `path` exists (without `overwrite`), its folder is missing or read-only, the
            suffix is unknown, the format has no way to show the picture or is too small for it,
            or the disk is full.
        UsageError: `quality` is no such number, or the format has none.
    """
    check_output(path, overwrite=overwrite)
    _publish(Path(path), _encoder(picture, path, provenance, quality), overwrite=overwrite)


def encode_picture(
    picture: Picture,
    name: Path,
    provenance: Provenance | None = None,
    quality: int | None = None,
) -> bytes:
    """The bytes of the file that `write_picture` would write under a name; errors as there."""
    file = io.BytesIO()
    _encoder(picture, name, provenance, quality)(file)
    return file.getvalue()


def _encoder(
    picture: Picture, path: Path, provenance: Provenance | None, quality: int | None
) -> _Write:
    """Puts out the picture as the format of its file holds it."""
    check_sides(path, picture.frames[0].size)
    check_quality(path, quality)
    form = format_of(path)
    fitting = fitted(picture, form, provenance)
    write = form.write
    if quality is not None and form.at_quality is not None:
        write = form.at_quality(int(quality))
    return lambda file: write(file, fitting)


def write_image(image: Image.Image, path: Path, *, overwrite: bool = False) -> None:
    """`write_picture` of a Pillow picture alone."""
    write_picture(Picture((from_pil(image),)), path, overwrite=overwrite)


def check_output(path: Path, *, overwrite: bool = False) -> None:
    """Refuse what `write_picture` would, as far as can be told beforehand; worth asking before long
    work.

    Raises:
        PictureError: `path` exists (without `overwrite`), its folder is missing, or the suffix is
            unknown.
        UsageError: it is an address on a network.
    """
    refuse_address(path)
    label = repr(str(path))
    format_of(path)
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
    form = format_of(path)
    if max(size) <= form.side and width * height <= form.area:
        return
    larger = [
        key for key, one in FORMATS.items() if max(size) <= one.side and width * height <= one.area
    ]
    most = f"sides of at most {form.side:,} pixels"
    if max(size) <= form.side:
        most = f"at most {form.area:,} pixels"
    other = f"choose one of {', '.join(larger)}" if larger else "no other format does: ask for less"
    raise PictureError(
        f"{str(path)!r} would be {width}x{height}; expected {most}, as {suffix} holds no more: "
        f"{other}"
    )


def has_quality(path: Path) -> bool:
    """Whether the format of a file, by its suffix, has qualities to choose from."""
    return format_of(path).at_quality is not None


def holds_provenance(path: Path) -> bool:
    """Whether a file that is written, by its suffix, has a place for how it was made."""
    form = FORMATS.get(Path(path).suffix.lower())
    return form is not None and "exif" in form.holds


def check_quality(path: Path, quality: object) -> None:
    """Refuse a quality that a file cannot be written with; worth asking before long work.

    Raises:
        UsageError: it is no whole number from 1 to 100, or the format has none.
    """
    if quality is None:
        return
    is_whole = isinstance(quality, Integral) and not isinstance(quality, bool)
    if not (is_whole and 1 <= quality <= 100):  # type: ignore[operator]
        raise UsageError(
            f"got quality {quality!r}; expected a whole number from 1, the smallest file, to 100"
        )
    if not has_quality(path):
        lossy = ", ".join(key for key, one in FORMATS.items() if one.at_quality is not None)
        raise UsageError(
            f"got quality {quality} for results in {Path(path).suffix.lower()}, which has none; "
            f"expected one of {lossy}: choose such a format, or leave the quality out"
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
    except (OSError, ValueError, ArithmeticError, RuntimeError, struct.error) as error:
        if isinstance(error, FileNotFoundError) and not path.parent.is_dir():
            raise _no_folder(path) from error
        raise PictureError(
            f"{label} cannot be written ({reason(error)}); expected a writable folder and a "
            f"picture that fits {path.suffix}"
        ) from error
