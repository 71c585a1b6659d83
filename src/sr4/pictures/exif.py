"""EXIF of a picture that is turned upright and enlarged: what stays true is kept."""

from __future__ import annotations

import math
from typing import Any

from PIL import ExifTags, Image

from sr4.pictures.resolution import MOST, Resolution, checked

_Tag, _IFD = ExifTags.Base, ExifTags.IFD
# What EXIF says of the scene and the camera. The rest of its first folder describes how the pixels
# lie in that one file, and is written anew.
_KEPT = (
    _Tag.ImageDescription, _Tag.Make, _Tag.Model, _Tag.XResolution, _Tag.YResolution,
    _Tag.ResolutionUnit, _Tag.Software, _Tag.DateTime, _Tag.Artist, _Tag.HostComputer,
    _Tag.Copyright, _Tag.Rating, _Tag.RatingPercent, _Tag.XPTitle, _Tag.XPComment, _Tag.XPAuthor,
    _Tag.XPKeywords, _Tag.XPSubject,
)  # fmt: skip
# These hold places inside the file that they came from, places among its pixels, and what is no
# longer true of these; the folder of interoperability is carried by itself.
_STALE = (
    _Tag.MakerNote, _Tag.ExifImageWidth, _Tag.ExifImageHeight, _Tag.ComponentsConfiguration,
    _Tag.CompressedBitsPerPixel, _Tag.ExifInteroperabilityOffset,
    0x9214, 0xA214,  # area and place of the subject
    0xEA1C, 0xEA1D,  # padding, and how far a maker's notes were moved
)  # fmt: skip
# Numbers of pixels along each axis for a length.
_DENSITIES = (
    (_Tag.XResolution, _Tag.YResolution),
    (_Tag.FocalPlaneXResolution, _Tag.FocalPlaneYResolution),
)
_NONE, _INCH, _CENTIMETRE = 1, 2, 3
_FOLDERS = (_IFD.Exif, _IFD.GPSInfo)


def kept(given: Image.Exif, *, turned: bool) -> bytes | None:
    """What stays true, as a block of EXIF; None where that is nothing.

    Args:
        turned: whether rows became columns.

    Raises:
        Exception: of any type, as Pillow does for what is damaged.
    """
    found = Image.Exif()
    for tag in _KEPT:
        if tag in given:
            found[tag] = given[tag]
    for folder in _FOLDERS:
        inner = {tag: value for tag, value in given.get_ifd(folder).items() if tag not in _STALE}
        if folder == _IFD.Exif:
            interoperability = _interoperability(given)
            if interoperability:
                inner[_IFD.Interop] = interoperability
        if inner:
            found.get_ifd(folder).update(inner)
            found[folder] = found.get_ifd(folder)
    for folder in _with_densities(found):
        _drop_impossible(folder)
    if turned:
        for folder in _with_densities(found):
            _swap(folder)
    return _bytewise(found).tobytes() if len(found) else None


def _interoperability(given: Image.Exif) -> dict[int, Any]:
    try:
        return dict(given.get_ifd(_IFD.Interop))
    except KeyError:  # there is none
        return {}


def _with_densities(found: Image.Exif) -> list[Any]:
    """The folders that may state one; asking for a folder that is not there would make it."""
    return [found, found.get_ifd(_IFD.Exif)] if _IFD.Exif in found else [found]


def _swap(folder: Any) -> None:
    for across, down in _DENSITIES:
        if across in folder and down in folder:
            folder[across], folder[down] = folder[down], folder[across]


def _drop_impossible(folder: Any) -> None:
    """Densities that are none, or too large for one: not every format's writer takes them."""
    unit = folder.get(_Tag.ResolutionUnit, _INCH)
    for pair in _DENSITIES:
        stated = [folder[tag] for tag in pair if tag in folder]
        is_known = pair != _DENSITIES[0] or unit in (_NONE, _INCH, _CENTIMETRE)
        if not is_known or any(_number(one) is None for one in stated):
            for tag in pair:
                folder.pop(tag, None)
    if unit not in (_NONE, _INCH, _CENTIMETRE):
        del folder[_Tag.ResolutionUnit]


def scaled(block: bytes, across: float, down: float) -> bytes:
    """The block of EXIF of a picture that has `across` and `down` times more pixels per length."""
    found = loaded(block)
    for folder in _with_densities(found):
        for pair in _DENSITIES:
            for tag, factor in zip(pair, (across, down), strict=True):
                value = _number(folder.get(tag))
                if value is not None:
                    folder[tag] = value * factor
        _drop_impossible(folder)
    return found.tobytes()


def resolution(block: bytes | None) -> Resolution | None:
    """The resolution that a block of EXIF states."""
    if block is None:
        return None
    found = loaded(block)
    across, down = (_number(found.get(tag)) for tag in _DENSITIES[0])
    unit = found.get(_Tag.ResolutionUnit, _INCH)
    if across is None or down is None or unit not in (_INCH, _CENTIMETRE):
        return None
    inches = 2.54 if unit == _CENTIMETRE else 1
    return checked(across * inches, down * inches)


def with_resolution(block: bytes | None, stated: Resolution) -> bytes:
    """The block of EXIF with a resolution, unless it states one already."""
    found = loaded(block)
    if _Tag.XResolution not in found:
        found[_Tag.XResolution], found[_Tag.YResolution] = stated.across, stated.down
        found[_Tag.ResolutionUnit] = _INCH if stated.is_absolute else 1
    return found.tobytes()


def loaded(block: bytes | None) -> Image.Exif:
    """A block of EXIF to be changed, with all its folders."""
    found = Image.Exif()
    found.load(block or b"")
    for folder in _FOLDERS:
        if folder in found:
            inner = found.get_ifd(folder)
            if folder == _IFD.Exif and (interoperability := _interoperability(found)):
                inner[_IFD.Interop] = interoperability
            found[folder] = inner
    return _bytewise(found)


def _bytewise(found: Image.Exif) -> Image.Exif:
    """The same, whose texts are written as the bytes that they were read from."""
    for folder in (found, *(found.get_ifd(one) for one in _FOLDERS if one in found)):
        for tag, value in list(folder.items()):
            if isinstance(value, str) and not value.isascii():
                folder[tag] = _Bytewise(value)
    return found


class _Bytewise(str):
    """Text as Pillow reads it, each byte as a character of Latin-1. Pillow itself would write it
    in ASCII, with a "?" for each that is none.
    """

    def encode(self, encoding: str = "latin-1", errors: str = "strict") -> bytes:
        return super().encode("latin-1")


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and 0 < number < MOST else None
