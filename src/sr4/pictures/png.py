"""PNG files chunk by chunk (ISO 15948): those of the pixels, and what the others say.

Pillow refuses a whole picture for one long or damaged comment, and looks at what stands behind the
pixels only once these are decoded. So it is given the chunks that pixels need, and no others.
"""

from __future__ import annotations

import io
import re
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"

COLOUR_CHUNKS = (b"cICP", b"gAMA", b"cHRM", b"sRGB", b"mDCV", b"cLLI")
"""The chunks that say what colours the numbers stand for, beside a profile."""

_OF_PIXELS = (b"tRNS", b"acTL", b"fcTL", b"fdAT")  # those that may be left out by their name
_XMP = "XML:com.adobe.xmp"
_XMP_MARKER = b"http://ns.adobe.com/xap/1.0/\0"  # before XMP, where it stands beside EXIF
_RAW_PROFILE = "raw profile type "  # ImageMagick's text chunks that hold bytes, in hexadecimal
_MOST_BYTES = 2**26  # of one chunk besides the pixels
_MOST_TEXT = 2**20  # characters of all comments that are carried along
_SRGB_GAMMA = 45455  # of gAMA
# Of cHRM: white, red, green and blue point (section 11.3.2.1).
_SRGB_PRIMARIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


@dataclass
class Side:
    """What a PNG file says besides its pixels; what is damaged of it is left out.

    Attributes:
        exif, xmp, icc: a block of EXIF, an XMP packet and a colour profile.
        text: comments by keyword.
        colour: data of the chunks named in `COLOUR_CHUNKS`.
        physical: pixels a unit along each axis, and whether that is a metre (1) or unknown (0).
        notes: what is left out, each a clause for a message.
        text_left: bytes of further comments, keywords included, that are carried along.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    icc: bytes | None = None
    text: dict[str, str] = field(default_factory=dict)
    colour: dict[bytes, bytes] = field(default_factory=dict)
    physical: tuple[int, int, int] | None = None
    notes: list[str] = field(default_factory=list)
    text_left: int = _MOST_TEXT

    def info(self) -> dict[str | tuple[int, int], Any]:
        """What Pillow keeps in `Image.info` of it, and this itself as "png"."""
        named = {"xmp": self.xmp, "icc_profile": self.icc}
        found: dict[str | tuple[int, int], Any] = {key: one for key, one in named.items() if one}
        # Of an empty block too: where there is none, Pillow decodes all pixels to look behind them.
        return found | {"exif": self.exif or b"", "png": self}


def is_srgb(colour: Mapping[bytes, bytes]) -> bool:
    """Whether chunks of colour say what a file without them is taken for."""
    if b"cICP" in colour:
        return colour[b"cICP"][:2] == b"\x01\x0d"  # BT.709 primaries, transfer of sRGB (H.273)
    if b"sRGB" in colour:
        return True
    gamma = int.from_bytes(colour.get(b"gAMA", _SRGB_GAMMA.to_bytes(4, "big")), "big")
    points = colour.get(b"cHRM")
    if abs(gamma - _SRGB_GAMMA) > 50:
        return False
    if points is None:
        return True
    values = [int.from_bytes(points[place : place + 4], "big") for place in range(0, 32, 4)]
    return all(abs(a - b) <= 50 for a, b in zip(values, _SRGB_PRIMARIES, strict=True))


def split(stream: BinaryIO) -> tuple[BinaryIO, Side]:
    """A PNG file's chunks of pixels, as a file of their own, and what the others say."""
    pixels = [(0, len(SIGNATURE))]
    side = Side()
    end = stream.seek(0, io.SEEK_END)
    place = len(SIGNATURE)
    while place < end:
        stream.seek(place)
        header = stream.read(8)
        length, kind = int.from_bytes(header[:4], "big"), header[4:]
        size = min(length + 12, end - place)
        is_needed = len(kind) < 4 or not kind[0] & 0x20 or kind in _OF_PIXELS
        if is_needed:
            start, before = pixels[-1]
            if start + before == place:
                pixels[-1] = (start, before + size)
            else:
                pixels.append((place, size))
        else:
            _take(side, kind, _data(stream, kind, length))
        place += size
        if kind == b"IEND":
            break
    return io.BufferedReader(_Pieces(stream, pixels)), side


def _data(stream: BinaryIO, kind: bytes, length: int) -> bytes | None:
    """The data of a chunk, whose header is read; None where it is too long or damaged."""
    if length > _MOST_BYTES:
        return None
    data, check = stream.read(length), stream.read(4)
    return data if zlib.crc32(kind + data).to_bytes(4, "big") == check else None


def _take(side: Side, kind: bytes, data: bytes | None) -> None:
    if data is None:
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            _note(side, "a comment that is damaged or too long is left out")
        elif kind in (b"eXIf", b"iCCP", *COLOUR_CHUNKS):
            _note(side, f"its {kind.decode()} is damaged or too long and left out")
    elif kind == b"eXIf":
        side.exif = side.exif or data
    elif kind == b"iCCP":
        name, _, rest = data.partition(b"\0")
        side.icc = side.icc or _inflated(rest[1:], _MOST_BYTES)
        if side.icc is None:
            _note(side, f"its profile {name.decode('latin-1')!r} is damaged and left out")
    elif kind in COLOUR_CHUNKS:
        if _is_whole(kind, data):
            side.colour.setdefault(kind, data)
    elif kind == b"pHYs" and len(data) == 9:
        sides = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
        side.physical = (*sides, data[8])
    elif kind in (b"tEXt", b"zTXt", b"iTXt"):
        _take_text(side, kind, data)


def _is_whole(kind: bytes, data: bytes) -> bool:
    lengths = {b"cICP": 4, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"mDCV": 24, b"cLLI": 8}
    return len(data) == lengths[kind] and (kind != b"gAMA" or any(data))


def _take_text(side: Side, kind: bytes, data: bytes) -> None:
    raw_key, _, rest = data.partition(b"\0")
    key = raw_key.decode("latin-1")
    raw: bytes | None = rest
    encoding = "latin-1"
    if kind == b"zTXt":
        raw = _inflated(rest[1:], _MOST_BYTES)
    elif kind == b"iTXt":
        encoding = "utf-8"
        *_, raw = rest[2:].split(b"\0", 2)
        if rest[:1] == b"\1":
            raw = _inflated(raw, _MOST_BYTES)
    if raw is None:
        _note(side, "a comment that is damaged or too long is left out")
    elif key == _XMP:
        side.xmp = side.xmp or raw
    elif key.lower().startswith(_RAW_PROFILE):
        _take_raw_profile(side, key[len(_RAW_PROFILE) :].lower(), raw)
    elif not 0 < len(key) < 80:
        _note(side, "a comment without a name is left out")
    elif side.text_left < len(key) + len(raw):
        _note(side, f"comments beyond {_MOST_TEXT:,} characters are left out")
    else:
        side.text_left -= len(key) + len(raw)
        side.text[key] = raw.decode(encoding, "replace")


def _take_raw_profile(side: Side, kind: str, text: bytes) -> None:
    """What ImageMagick writes where PNG had no chunk of its own: name, length, and hexadecimal."""
    found = re.fullmatch(rb"\s*\S+\s+(\d+)\s+([0-9a-fA-F\s]*)", text)
    block = b"" if found is None else bytes.fromhex(found[2].decode("ascii"))
    if found is None or len(block) != int(found[1]):
        _note(side, f"its {kind.upper()} is damaged and left out")
    elif kind in ("exif", "app1") and block.startswith(_XMP_MARKER):
        side.xmp = side.xmp or block[len(_XMP_MARKER) :]
    elif kind in ("exif", "app1"):
        side.exif = side.exif or block
    elif kind == "xmp":
        side.xmp = side.xmp or block
    elif kind in ("icc", "icm"):
        side.icc = side.icc or block
    else:
        _note(side, f"its {kind.upper()} is left out")


def _note(side: Side, text: str) -> None:
    if text not in side.notes:
        side.notes.append(text)


def _inflated(data: bytes, most: int) -> bytes | None:
    """None where it is damaged, or longer than that."""
    inflate = zlib.decompressobj()
    try:
        found = inflate.decompress(data, most)
    except zlib.error:
        return None
    return found if inflate.eof else None


def chunks(png: bytes, kind: bytes) -> Iterator[memoryview]:
    """The data of the chunks of a kind."""
    place = len(SIGNATURE)
    while place < len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        if png[place + 4 : place + 8] == kind:
            yield memoryview(png)[place + 8 : place + 8 + length]
        place += length + 12


class _Pieces(io.RawIOBase):
    """Pieces of a file, each a place and a length, read as one; the file is left open."""

    def __init__(self, stream: BinaryIO, pieces: list[tuple[int, int]]) -> None:
        self._stream, self._pieces = stream, pieces
        # Where each begins in the file that they make, and where the last one ends.
        self._begin = list(accumulate((length for _, length in pieces), initial=0))
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        end = self._begin[-1]
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: end}[whence]
        self._place = max(0, start + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        if self._place >= self._begin[-1]:
            return 0
        number = bisect_right(self._begin, self._place) - 1
        inside = self._place - self._begin[number]
        start, length = self._pieces[number]
        self._stream.seek(start + inside)
        data = self._stream.read(min(len(buffer), length - inside))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)
