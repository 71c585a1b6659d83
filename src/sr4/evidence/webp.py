"""How much the compression of a WebP file may have changed its pixels, by the file itself."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

# Deviation of what quantisation took from luma, in levels of 255, by the index of the quantiser
# (0 to 127): a straight line through libwebp's files of photographs, qualities 10 to 98.
_DEVIATION_AT_0, _DEVIATION_PER_STEP = 0.76, 0.095

_FRAME_HEADER = 10  # bytes: tag, start code, width and height
_START_CODE = b"\x9d\x01\x2a"
_MOST_CHUNKS = 64  # before that of the picture; files have a handful
_READ = 256  # bytes of a frame, more than all fields before the quantiser take
_SEGMENTS = 4
_DELTAS = 8  # of the loop filter, by reference frame and by mode
_EVEN = 128  # the probability of one half, in parts of 256


def compression_noise(file: Path | bytes) -> float:
    """The deviation of what lossy compression has changed in a still picture, in levels of 255; 0
    for files without loss, and for those that cannot be read.
    """
    try:
        with io.BytesIO(file) if isinstance(file, bytes) else file.open("rb") as stream:
            chunks = islice(_chunks(stream), _MOST_CHUNKS)
            frame = next((data for kind, data in chunks if kind == b"VP8 "), b"")
    except OSError:
        return 0.0
    index = _quantiser(frame)
    return 0.0 if index is None else _DEVIATION_AT_0 + _DEVIATION_PER_STEP * index


def _chunks(stream: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The name and the first bytes of each chunk of a RIFF file."""
    stream.seek(12)  # behind its own name and size
    while len(head := stream.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        start = stream.tell()
        yield name, stream.read(min(size, _READ))
        stream.seek(start + size + size % 2)


def _quantiser(frame: bytes) -> int | None:
    """The index that the quantiser of a VP8 key frame has for the coefficients of luma, that of the
    strongest segment where there are several (RFC 6386, sections 9.2 to 9.6).
    """
    if frame[3:6] != _START_CODE or len(frame) < _FRAME_HEADER + 2:
        return None
    fields = _Fields(frame[_FRAME_HEADER:])
    fields.number(2)  # colour space, clamping
    segments, is_absolute = [0], False
    if fields.flag():  # segments
        has_map, has_values = fields.flag(), fields.flag()
        if has_values:
            is_absolute = fields.flag()
            segments = [fields.signed(7) if fields.flag() else 0 for _ in range(_SEGMENTS)]
            for _ in range(_SEGMENTS):  # the strength of their loop filter
                if fields.flag():
                    fields.signed(6)
        for _ in range(3 if has_map else 0):
            if fields.flag():
                fields.number(8)
    fields.number(10)  # kind, strength and sharpness of the loop filter
    if fields.flag() and fields.flag():
        for _ in range(_DELTAS):
            if fields.flag():
                fields.signed(6)
    fields.number(2)  # partitions
    base = fields.number(7)
    found = max(segments) if is_absolute else base + max(segments)
    return min(max(found, 0), 127)


class _Fields:
    """The fields of a frame header, which are coded as bits of even chance (RFC 6386, section 7.3).
    Behind the end of the data there are zeros.
    """

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data[:2], "big")
        self._rest = iter(data[2:])
        self._range, self._shifted = 255, 0

    def flag(self) -> bool:
        split = 1 + (((self._range - 1) * _EVEN) >> 8)
        is_set = self._value >= split << 8
        if is_set:
            self._range -= split
            self._value -= split << 8
        else:
            self._range = split
        while self._range < 128:
            self._range, self._value = self._range << 1, self._value << 1
            self._shifted += 1
            if self._shifted % 8 == 0:
                self._value |= next(self._rest, 0)
        return is_set

    def number(self, bits: int) -> int:
        return sum(self.flag() << place for place in reversed(range(bits)))

    def signed(self, bits: int) -> int:
        size = self.number(bits)
        return -size if self.flag() else size
