"""What a picture file says besides its pixels, and what a result says of how it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from PIL import ExifTags, Image

from sr4.pictures import exif, resolution, xmp
from sr4.pictures.png import Side
from sr4.pictures.raster import Colour
from sr4.pictures.resolution import Resolution
from sr4.pictures.rgb import upright_size

Provenance = Mapping[str, Any]

COMMENT = "Comment"
"""The keyword of the one comment that a JPEG or GIF has (PNG, section 11.3.3.1)."""

_Tag, _IFD = ExifTags.Base, ExifTags.IFD
HISTORY = _Tag.ImageHistory.value
_INNER = (_IFD.Exif, _IFD.GPSInfo)
_SPACES = {"grey": b"GRAY", "rgb": b"RGB ", "cmyk": b"CMYK"}
_PHOTOSHOP_IPTC = 0x0404
_GAIN_MAP = b"urn:iso:std:iso:ts:21496"  # ISO 21496-1, in APP2
_TIFF_IPTC, _TIFF_GEOGRAPHY = 33723, 34735


@dataclass(frozen=True)
class Metadata:
    """What goes from a picture to its result.

    Attributes:
        icc: the colour profile.
        exif: of the scene and the camera, upright.
        xmp: an XMP packet.
        text: comments by keyword, as PNG has them.
        colour: data of the chunks that say in a PNG what colours its numbers stand for, by name.
        resolution: pixels an inch, as the format states them in a place of its own.
        size: width and height that all of it is true of; None where that does not matter.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    text: Mapping[str, str] | None = None
    colour: Mapping[bytes, bytes] = field(default_factory=dict)
    resolution: Resolution | None = None
    size: tuple[int, int] | None = None

    @property
    def has_inner_exif(self) -> bool:
        """Whether EXIF has folders of its own, of the exposure and the place."""
        found = Image.Exif()
        found.load(self.exif or b"")
        return any(found.get_ifd(folder) for folder in _INNER)

    def made_by(self, provenance: Provenance) -> Metadata:
        """The metadata with a provenance in EXIF: `Software`, and `ImageHistory` as JSON."""
        found = exif.loaded(self.exif)
        found[_Tag.Software] = str(provenance["software"])
        found[HISTORY] = json.dumps(provenance)
        return replace(self, exif=found.tobytes())

    def for_colour(self, colour: Colour) -> Metadata:
        """Without a colour profile for other channels than these."""
        if self.icc is None or self.icc[16:20] == _SPACES.get(colour):
            return self
        return replace(self, icc=None)

    def for_size(self, size: tuple[int, int]) -> Metadata:
        """What is true of the same picture with another width and height: its print keeps its
        size, so there are more pixels an inch.
        """
        if self.size in (None, size) or not all(self.size):
            return self
        across, down = (new / old for new, old in zip(size, self.size, strict=True))
        return replace(
            self,
            exif=None if self.exif is None else exif.scaled(self.exif, across, down),
            xmp=None if self.xmp is None else xmp.scaled(self.xmp, across, down),
            resolution=self.resolution and self.resolution.scaled(across, down),
            size=size,
        )

    def info(self) -> dict[str | tuple[int, int], Any]:
        """What `Image.info` of a Pillow picture holds of it."""
        dpi = None
        if self.resolution is not None and self.resolution.is_absolute:
            dpi = (self.resolution.across, self.resolution.down)
        named: dict[str | tuple[int, int], Any]
        named = {"icc_profile": self.icc, "exif": self.exif, "xmp": self.xmp, "dpi": dpi}
        if self.text and COMMENT in self.text:
            named["comment"] = self.text[COMMENT].encode("utf-8")
        return {key: value for key, value in named.items() if value is not None}


NO_METADATA = Metadata()


class Said(NamedTuple):
    """What a file says, and clauses about what of it is left out."""

    metadata: Metadata
    notes: tuple[str, ...] = ()


def metadata_of(image: Image.Image, orientation: int = 1) -> Said:
    """The metadata of an opened Pillow picture. What is damaged is left out: the pixels are whole.

    Args:
        orientation: how it lies (EXIF 2.32, tag 0x0112); what is kept is true once it is upright.
    """
    notes: list[str] = []
    side = image.info.get("png")
    if isinstance(side, Side):
        notes += side.notes
        text, colour = side.text, side.colour
    else:
        text, colour = _text(image), {}
    packet = xmp.Cleaned(None)
    found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if isinstance(found, (str, bytes)) and found:
        raw = found.encode() if isinstance(found, str) else found
        packet = xmp.cleaned(raw, turned=orientation != 1)
        notes += packet.notes
    block = None
    try:
        block = exif.kept(image.getexif(), turned=orientation >= 5)
    except Exception:  # noqa: BLE001 - whatever a damaged EXIF block raises, the pixels are whole
        notes.append("its EXIF is damaged and left out")
    stated = resolution.stated(image)
    if stated is not None and orientation >= 5:
        stated = stated._replace(across=stated.down, down=stated.across)
    icc = image.info.get("icc_profile")
    notes += [one for one in _of_other_parts(image) if one not in notes]
    metadata = Metadata(
        icc=icc if isinstance(icc, bytes) and len(icc) >= 128 else None,
        exif=block,
        xmp=packet.packet,
        text=text or None,
        colour=colour,
        resolution=stated or exif.resolution(block) or packet.resolution,
        size=upright_size(image.size, orientation),
    )
    return Said(metadata, tuple(notes))


def _text(image: Image.Image) -> dict[str, str]:
    """The comment of a JPEG or GIF, and those of a PNG that was opened elsewhere."""
    comment = image.info.get("comment")
    if isinstance(comment, bytes) and comment.strip(b"\0 "):
        try:
            return {COMMENT: comment.decode("utf-8")}
        except UnicodeDecodeError:
            return {COMMENT: comment.decode("latin-1")}
    return {
        str(key): str(value)
        for key, value in getattr(image, "text", {}).items()
        if key != "XML:com.adobe.xmp" and not str(key).lower().startswith("raw profile type ")
    }


def _of_other_parts(image: Image.Image) -> list[str]:
    notes = []
    photoshop = image.info.get("photoshop")
    tags = getattr(image, "tag_v2", None) or {}
    if (isinstance(photoshop, dict) and _PHOTOSHOP_IPTC in photoshop) or _TIFF_IPTC in tags:
        notes.append("its IPTC is left out")
    if any(
        name == "APP2" and data.startswith(_GAIN_MAP)
        for name, data in getattr(image, "applist", ())
    ):
        notes.append("its gain map is left out, HDR is lost")
    return notes


def parse_provenance(history: object) -> Provenance | None:
    """The provenance that an `ImageHistory` holds; None if another program wrote it."""
    try:
        found = json.loads(history) if isinstance(history, str) else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "software" in found else None
