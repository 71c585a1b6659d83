"""JPEG files marker by marker (ITU-T T.81, annex B): how many scans they have, before decoding.

For each scan, however few bytes it has, a decoder goes through all blocks of the picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

SIGNATURE = b"\xff\xd8\xff"

MOST_SCANS = 200
"""Of a picture: progressive files have about ten, and a few dozen at the most."""
_MOST_SEGMENTS = 10_000

_SCAN, _END = 0xDA, 0xD9
# Those that a segment follows, and the end. Others stand alone; in data, a 0 follows each 0xFF.
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
_BLOCK = 2**16


class _Readable(Protocol):
    def seek(self, place: int, /) -> int: ...
    def read(self, count: int, /) -> bytes: ...


def check(stream: _Readable, start: int, end: int) -> None:
    """Refuse a picture that is made to take a decoder for ever.

    Args:
        stream: a file, in which the picture lies from `start` to `end`.

    Raises:
        ValueError: it has too many scans, or other segments.
    """
    scans = 0
    for number, marker in enumerate(_segments(stream, start, end)):
        scans += marker == _SCAN
        if scans > MOST_SCANS:
            raise ValueError(f"a JPEG of more than {MOST_SCANS} scans")
        if number >= _MOST_SEGMENTS:
            raise ValueError(f"a JPEG of more than {_MOST_SEGMENTS:,} segments")


def _segments(stream: _Readable, start: int, end: int) -> Iterator[int]:
    """The markers of segments up to the end of the picture. What stands inside of one, such as a
    thumbnail, is not looked at, nor what stands behind the picture, such as a second one.
    """
    place = start + 2
    while place < end:
        stream.seek(place)
        block = stream.read(min(_BLOCK, end - place))
        found = _MARKER.search(block)
        if found is None:
            place += max(1, len(block) - 1)  # the last byte may begin a marker
            continue
        marker = found[1][0]
        if marker == _END:
            return
        yield marker
        place += found.end()
        stream.seek(place)
        place += max(2, int.from_bytes(stream.read(2), "big"))
