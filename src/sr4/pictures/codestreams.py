"""Pictures inside the strips and tiles of a TIFF file: how large they are, before they are decoded.

A strip or tile may hold a whole picture of another format, which is decoded with the size that it
states itself, whatever the page says.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from sr4.pictures import scans

if TYPE_CHECKING:
    from tifffile import TiffPage

_BYTES = 2**16  # of a strip or tile, in which its size stands
_FILLED = 64  # pixels by which encoders may fill up a strip or tile
_JPEG = (6, 7, 34892, 33007)


class Inner(NamedTuple):
    """Width, height and number of samples."""

    width: int
    height: int
    samples: int = 1


def check(page: TiffPage) -> None:
    """Refuse a page with a strip or tile that is larger inside than the page says, or is made to
    take a decoder for ever.

    Raises:
        ValueError: says how large, or that it cannot be known.
    """
    import tifffile

    measure = _MEASURES.get(int(page.compression))
    if measure is None:
        if page.compression in tifffile.TIFF.IMAGE_COMPRESSIONS:
            raise ValueError(f"pictures of compression {page.compression} inside")
        return  # plain bytes, of which no more are decoded than the page has
    width = page.tilewidth if page.is_tiled else page.imagewidth
    height = page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength)
    handle = page.parent.filehandle
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if count == 0:
            continue
        handle.seek(offset)
        inner = measure(handle.read(min(count, _BYTES)))
        is_larger = inner.width > width + _FILLED or inner.height > height + _FILLED
        if is_larger or inner.samples > page.samplesperpixel + 1:
            raise ValueError(
                f"a strip or tile of {width}x{height} holds a picture of "
                f"{inner.width}x{inner.height} with {inner.samples} samples"
            )
        if measure is _jpeg:
            scans.check(handle, offset, offset + count)


def measures(page: TiffPage) -> bool:
    """Whether strips and tiles of a page are pictures of another format."""
    return int(page.compression) in _MEASURES


def _big(data: bytes, place: int, size: int = 4) -> int:
    found = data[place : place + size]
    if len(found) < size:
        raise ValueError("a strip or tile that ends in its header")
    return int.from_bytes(found, "big")


def _little(data: bytes, place: int, size: int = 4) -> int:
    return _big(data[place : place + size][::-1], 0, size)


def _jpeg(data: bytes) -> Inner:
    """By the start of frame (ITU-T T.81, B.2.2)."""
    place = 2
    while True:
        marker = _big(data, place, 2)
        if marker in range(0xFFC0, 0xFFD0) and marker not in (0xFFC4, 0xFFC8, 0xFFCC):
            return Inner(
                _big(data, place + 7, 2), _big(data, place + 5, 2), _big(data, place + 9, 1)
            )
        if marker < 0xFF01:
            raise ValueError("a JPEG strip without a frame")
        place += 1 if marker == 0xFFFF else 2 + _big(data, place + 2, 2)


def _jpeg2000(data: bytes) -> Inner:
    """By SIZ, the first segment of a codestream (ITU-T T.800, A.5.1)."""
    place = data.find(b"\xff\x4f\xff\x51")
    if place < 0:
        raise ValueError("a JPEG 2000 strip without a codestream")
    width, height, left, top = (_big(data, place + 8 + 4 * number) for number in range(4))
    return Inner(width - left, height - top, _big(data, place + 40, 2))


def _lerc(data: bytes) -> Inner:
    """By the header of the blob (github.com/Esri/lerc, src/LercLib/Lerc2.h and CntZImage.cpp)."""
    if data.startswith(b"Lerc2 "):
        version = _little(data, 6)
        place = 10 + (4 if version >= 3 else 0)  # a checksum
        depth = _little(data, place + 8) if version >= 4 else 1
        return Inner(_little(data, place + 4), _little(data, place), depth)
    if data.startswith(b"CntZImage "):
        return Inner(_little(data, 22), _little(data, 18))
    raise ValueError("a LERC strip without its header")


def _png(data: bytes) -> Inner:
    return Inner(_big(data, 16), _big(data, 20))


def _webp(data: bytes) -> Inner:
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
        return Inner(*image.size)


def _jpeg_xr(data: bytes) -> Inner:
    """By the tags of its container, which is like TIFF (ITU-T T.832, annex A)."""
    place, sides = _little(data, 4), {}
    for number in range(_little(data, place, 2)):
        entry = place + 2 + 12 * number
        sides[_little(data, entry, 2)] = _little(data, entry + 8, 2 if data[entry + 2] == 3 else 4)
    return Inner(sides[0xBC80], sides[0xBC81])


def _jpeg_xl(data: bytes) -> Inner:
    """By the header of its size (ISO 18181-1, annex D), in a codestream of its own or in boxes."""
    place = data.find(b"\xff\x0a")
    if place < 0:
        raise ValueError("a JPEG XL strip without a codestream")
    stream = int.from_bytes(data[place + 2 : place + 18], "little")

    def bits(count: int) -> int:
        nonlocal stream
        found = stream & ((1 << count) - 1)
        stream >>= count
        return found

    def side(is_small: bool) -> int:
        return 8 * (bits(5) + 1) if is_small else bits((9, 13, 18, 30)[bits(2)]) + 1

    is_small = bool(bits(1))
    height = side(is_small)
    ratio = bits(3)
    if ratio == 0:
        return Inner(side(is_small), height)
    across, down = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
    return Inner(height * across // down, height)


_MEASURES: Mapping[int, Callable[[bytes], Inner]] = {
    **dict.fromkeys(_JPEG, _jpeg),
    **dict.fromkeys((33003, 33004, 33005, 34712), _jpeg2000),
    34887: _lerc,
    34933: _png,
    **dict.fromkeys((50001, 34927), _webp),
    **dict.fromkeys((22610, 34934), _jpeg_xr),
    **dict.fromkeys((50002, 52546), _jpeg_xl),
}
