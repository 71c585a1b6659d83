"""What a picture file says besides its pixels, and what a result says of how it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from PIL import ExifTags, Image

from sr4.pictures.raster import Colour

Provenance = Mapping[str, Any]

_Tag, _IFD = ExifTags.Base, ExifTags.IFD
HISTORY = _Tag.ImageHistory.value
# What EXIF says of the scene and the camera. The rest of its first folder describes how the pixels
# lie in that one file, and is written anew.
_KEPT = (
    _Tag.ImageDescription, _Tag.Make, _Tag.Model, _Tag.XResolution, _Tag.YResolution,
    _Tag.ResolutionUnit, _Tag.Software, _Tag.DateTime, _Tag.Artist, _Tag.HostComputer,
    _Tag.Copyright, _Tag.Rating, _Tag.RatingPercent, _Tag.XPTitle, _Tag.XPComment, _Tag.XPAuthor,
    _Tag.XPKeywords, _Tag.XPSubject,
)  # fmt: skip
_INNER = (_IFD.Exif, _IFD.GPSInfo)
# These hold places inside the file that they came from, and sizes that are no longer true.
_STALE = (_Tag.MakerNote, _Tag.ExifImageWidth, _Tag.ExifImageHeight)
_SPACES = {"grey": b"GRAY", "rgb": b"RGB ", "cmyk": b"CMYK"}
_MOST_TEXT = 1 << 20  # characters of comments that are carried along


@dataclass(frozen=True)
class Metadata:
    """What goes from a picture to its result.

    Attributes:
        icc: the colour profile.
        exif: of the scene and the camera, upright.
        xmp: an XMP packet.
        text: comments by keyword, as PNG has them.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    text: Mapping[str, str] | None = None

    @property
    def has_inner_exif(self) -> bool:
        """Whether EXIF has folders of its own, of the exposure and the place."""
        exif = Image.Exif()
        exif.load(self.exif or b"")
        return any(exif.get_ifd(folder) for folder in _INNER)

    def made_by(self, provenance: Provenance) -> Metadata:
        """With the provenance of a result in EXIF: `Software`, and `ImageHistory` as JSON."""
        exif = Image.Exif()
        if self.exif is not None:
            exif.load(self.exif)
        exif[_Tag.Software] = str(provenance["software"])
        exif[HISTORY] = json.dumps(provenance)
        return replace(self, exif=exif.tobytes())

    def for_colour(self, colour: Colour) -> Metadata:
        """Without a colour profile for other channels than these."""
        if self.icc is None or self.icc[16:20] == _SPACES.get(colour):
            return self
        return replace(self, icc=None)


NO_METADATA = Metadata()


def metadata_of(image: Image.Image) -> Metadata:
    """That of an opened Pillow picture. What is damaged in it is left out: the pixels are whole."""
    icc = image.info.get("icc_profile")
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if isinstance(xmp, str):
        xmp = xmp.encode()
    text = {
        str(key): str(value)
        for key, value in getattr(image, "text", {}).items()
        if key != "XML:com.adobe.xmp"
    }
    return Metadata(
        icc=icc if isinstance(icc, bytes) and len(icc) >= 128 else None,
        exif=_exif(image),
        xmp=xmp if isinstance(xmp, bytes) and xmp else None,
        text=text if text and sum(map(len, text.values())) <= _MOST_TEXT else None,
    )


def _exif(image: Image.Image) -> bytes | None:
    try:
        given, kept = image.getexif(), Image.Exif()
        for tag in _KEPT:
            if tag in given:
                kept[tag] = given[tag]
        for folder in _INNER:
            inner = {k: v for k, v in given.get_ifd(folder).items() if k not in _STALE}
            if inner:
                kept.get_ifd(folder).update(inner)
                kept[folder] = kept.get_ifd(folder)
        return kept.tobytes() if len(kept) else None
    except Exception:  # noqa: BLE001 - whatever a damaged EXIF block raises, the pixels are whole
        return None


def parse_provenance(history: object) -> Provenance | None:
    """That which an `ImageHistory` holds; None if it is someone else's."""
    try:
        found = json.loads(history) if isinstance(history, str) else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "software" in found else None
