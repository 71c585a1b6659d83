"""XMP packets of a picture that is turned upright and enlarged: what is no longer true goes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple
from xml.dom import minidom
from xml.parsers.expat import ExpatError

from sr4.pictures.resolution import Resolution, checked

_MOST_BYTES = 2**24  # of a packet
_ADOBE, _GOOGLE = "http://ns.adobe.com/", "http://ns.google.com/photos/1.0/"
_TIFF, _EXIF = f"{_ADOBE}tiff/1.0/", f"{_ADOBE}exif/1.0/"
_XMLNS = "http://www.w3.org/2000/xmlns/"
_PANORAMA = f"{_GOOGLE}panorama/"

# How the pixels lie in a file, and its preview.
_OF_PIXELS: Mapping[str, tuple[str, ...]] = {
    _TIFF: (
        "Orientation", "ImageWidth", "ImageLength", "BitsPerSample", "Compression",
        "PhotometricInterpretation", "SamplesPerPixel", "PlanarConfiguration", "YCbCrSubSampling",
        "YCbCrPositioning", "XResolution", "YResolution", "ResolutionUnit", "NativeDigest",
    ),
    _EXIF: (
        "Orientation", "PixelXDimension", "PixelYDimension", "ComponentsConfiguration",
        "CompressedBitsPerPixel", "SubjectArea", "SubjectLocation", "FocalPlaneXResolution",
        "FocalPlaneYResolution", "FocalPlaneResolutionUnit", "NativeDigest",
    ),
    f"{_ADOBE}xap/1.0/": ("Thumbnails",),
}  # fmt: skip
# Where something is to be seen, as the pixels lay before they were turned.
_PLACES = (
    "http://www.metadataworkinggroup.com/schemas/regions/",
    "http://ns.microsoft.com/photo/1.2/",
)
_GAIN_MAPS = (f"{_ADOBE}hdr-gain-map/1.0/", "http://ns.apple.com/HDRGainMap/1.0/")
# Other pictures, sounds and films in the same file.
_PARTS = tuple(
    _GOOGLE + name for name in ("container/", "container/item/", "depthmap/", "image/", "audio/")
)
_FILM = ("MicroVideo", "MotionPhoto")
_CAMERA = f"{_GOOGLE}camera/"
_EXTENDED = "http://ns.adobe.com/xmp/note/"
_WORDS = re.compile(rb"Orientation|GainMap|gain-map|hdrgm|container/|MotionPhoto|HasExtendedXMP")


class Cleaned(NamedTuple):
    """What of a packet stays, the resolution that it stated, and clauses about what goes."""

    packet: bytes | None
    resolution: Resolution | None = None
    notes: tuple[str, ...] = ()


def cleaned(packet: bytes, *, turned: bool = False) -> Cleaned:
    """A packet without what is no longer true: byte by byte what it was, if all is.

    Args:
        turned: whether the pixels were turned or mirrored.
    """
    packet = packet.rstrip(b"\0")
    try:
        document = _parsed(packet)
    except (ExpatError, ValueError, RecursionError):
        if _WORDS.search(packet) is None and len(packet) <= _MOST_BYTES:
            return Cleaned(packet or None)
        return Cleaned(None, notes=("its XMP is damaged or too long, and left out",))
    stale = list(_stale(document, turned))
    stated = _resolution(document)
    if not stale:
        return Cleaned(packet, stated)
    notes = _notes({(node.namespaceURI or "", node.localName or "") for _, node in stale})
    for owner, node in stale:
        if isinstance(node, minidom.Attr):
            owner.removeAttributeNode(node)
        else:
            owner.removeChild(node)  # type: ignore[type-var]
    _forget_namespaces(document)
    return Cleaned(_text(document), stated, notes)


def scaled(packet: bytes, across: float, down: float) -> bytes:
    """The packet of XMP with the sizes of a panorama, which its viewers go by, multiplied."""
    if _PANORAMA.encode() not in packet:
        return packet
    try:
        document = _parsed(packet)
    except (ExpatError, ValueError, RecursionError):
        return packet
    for _, node in _nodes(document):
        name = node.localName or ""
        if node.namespaceURI == _PANORAMA and name.endswith("Pixels"):
            factor = across if "Width" in name or "Left" in name else down
            text = node if isinstance(node, minidom.Attr) else node.firstChild
            if text is not None and str(text.nodeValue).strip().isdecimal():
                text.nodeValue = str(round(int(str(text.nodeValue)) * factor))
    return _text(document)


def _parsed(packet: bytes) -> minidom.Document:
    if len(packet) > _MOST_BYTES or b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        raise ValueError("a packet without definitions was expected")
    packet.decode("utf-8")
    return minidom.parseString(packet)


def _text(document: minidom.Document) -> bytes:
    """Without the declaration of XML, which packets do not have."""
    return "".join(node.toxml() for node in document.childNodes).encode()


def _nodes(document: minidom.Document) -> Iterator[tuple[minidom.Element, minidom.Node]]:
    """All elements and attributes, each with what holds it."""
    waiting = [node for node in document.childNodes if isinstance(node, minidom.Element)]
    while waiting:
        element = waiting.pop()
        for attribute in list((element.attributes or {}).values()):
            yield element, attribute
        for child in list(element.childNodes):
            if isinstance(child, minidom.Element):
                yield element, child
                waiting.append(child)


def _stale(
    document: minidom.Document, turned: bool
) -> Iterator[tuple[minidom.Element, minidom.Node]]:
    gone: set[int] = set()  # elements that go, with all inside
    for owner, node in _nodes(document):
        if id(owner) in gone:
            gone.add(id(node))
            continue
        space, name = node.namespaceURI or "", node.localName or ""
        if (
            name in _OF_PIXELS.get(space, ())
            or space in (*_GAIN_MAPS, *_PARTS)
            or (turned and space in _PLACES)
            or (space == _CAMERA and name.startswith(_FILM))
            or (space == _EXTENDED and name == "HasExtendedXMP")
        ):
            gone.add(id(node))
            yield owner, node


def _notes(stale: set[tuple[str, str]]) -> tuple[str, ...]:
    found, spaces = [], {space for space, _ in stale}
    if spaces & set(_GAIN_MAPS):
        found.append("its gain map is left out, HDR is lost")
    elif spaces & set(_PARTS):
        found.append("the other parts that its XMP lists are left out")
    if spaces & {_CAMERA}:
        found.append("its film is left out")
    if spaces & set(_PLACES):
        found.append("the places that its XMP marks are left out, since it is turned")
    if (_EXTENDED, "HasExtendedXMP") in stale:
        found.append("the extended part of its XMP is left out")
    return tuple(found)


def _forget_namespaces(document: minidom.Document) -> None:
    """Remove declarations of namespaces of which nothing is left."""
    used = {node.namespaceURI for _, node in _nodes(document) if node.namespaceURI != _XMLNS}
    for owner, node in list(_nodes(document)):
        if (
            isinstance(node, minidom.Attr)
            and node.namespaceURI == _XMLNS
            and node.value in (*_GAIN_MAPS, *_PARTS)
            and node.value not in used
        ):
            owner.removeAttributeNode(node)


def _resolution(document: minidom.Document) -> Resolution | None:
    found: dict[str, float] = {}
    for _, node in _nodes(document):
        if node.namespaceURI == _TIFF and node.localName in _OF_PIXELS[_TIFF]:
            text = node if isinstance(node, minidom.Attr) else node.firstChild
            try:
                found[node.localName] = float(Fraction(str(getattr(text, "nodeValue", ""))))
            except (ValueError, ZeroDivisionError, OverflowError):
                continue
    if "XResolution" not in found or "YResolution" not in found:
        return None
    inches = 2.54 if found.get("ResolutionUnit") == 3 else 1
    return checked(found["XResolution"] * inches, found["YResolution"] * inches)
