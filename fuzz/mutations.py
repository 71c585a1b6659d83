"""Changes to files, from one wrong bit to lengths that lie, all drawn from one random generator."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence

from structures import ODD, PNG, restructure

_HEAD = 96  # bytes, in which formats keep their sizes


def mutate(data: bytes, others: Sequence[bytes], random_: random.Random) -> bytes:
    """The file with one to three changes, half of the time to its parts, most of those to nothing
    else.

    Args:
        others: files that parts may come from.
    """
    if random_.random() < 0.5:
        parted = restructure(data, others, random_)
        if parted != data and random_.random() < 0.7:
            return parted
        data = parted
    for _ in range(random_.choice((1, 1, 2, 3))):
        data = random_.choice(_CHANGES)(data, others, random_)
    if data.startswith(PNG) and random_.random() < 0.7:
        data = fix_png(data)
    return data


def _place(data: bytes, random_: random.Random) -> int:
    """Somewhere, half of the time near the start."""
    return random_.randrange(min(len(data), _HEAD) if random_.random() < 0.5 else len(data))


def _flip(data: bytes, others: Sequence[bytes], random_: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random_.choice((1, 1, 4, 16)) if data else 0):
        changed[_place(data, random_)] ^= 1 << random_.randrange(8)
    return bytes(changed)


def _cut(data: bytes, others: Sequence[bytes], random_: random.Random) -> bytes:
    return data[: random_.randrange(len(data) + 1)]


def _splice(data: bytes, others: Sequence[bytes], random_: random.Random) -> bytes:
    """Part of a file in place of part of this one."""
    other = random_.choice([data, *others[:1], random_.choice(others)])
    begin, end = sorted(random_.randrange(len(data) + 1) for _ in range(2))
    start = random_.randrange(len(other) + 1)
    return data[:begin] + other[start : start + random_.randrange(1, 400)] + data[end:]


def _repeat(data: bytes, others: Sequence[bytes], random_: random.Random) -> bytes:
    begin, end = sorted(random_.randrange(len(data) + 1) for _ in range(2))
    times = random_.choice((1, 2, 50, max(1, 200_000 // (end - begin + 1))))
    return data[:end] + data[begin:end] * times + data[end:]


def _integer(data: bytes, others: Sequence[bytes], random_: random.Random) -> bytes:
    """An odd number in place of some bytes, where sizes are."""
    code = random_.choice(("<B", "<H", ">H", "<I", ">I"))
    size = struct.calcsize(code)
    if len(data) < size:
        return data
    place = min(_place(data, random_), len(data) - size)
    return _with(data, place, code, random_.choice(ODD))


def _length(data: bytes, others: Sequence[bytes], random_: random.Random) -> bytes:
    """Another length for one part of the file."""
    places = list(lengths(data))
    if not places:
        return _integer(data, others, random_)
    place, code = random_.choice(places)
    (old,) = struct.unpack_from(code, data, place)
    return _with(data, place, code, random_.choice((*ODD, old - 1, old + 1, 2 * old)))


def _with(data: bytes, place: int, code: str, number: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(code, changed, place, number % 256 ** struct.calcsize(code))
    return bytes(changed)


_CHANGES: tuple[Callable[[bytes, Sequence[bytes], random.Random], bytes], ...] = (
    _flip,
    _flip,
    _cut,
    _splice,
    _repeat,
    _integer,
    _integer,
    _length,
)


def lengths(data: bytes) -> Iterator[tuple[int, str]]:
    """Where a file of chunks, segments, boxes or tags keeps numbers on its parts, and how."""
    if data.startswith(PNG):
        yield from ((begin, ">I") for begin, _ in _chunks(data))
    elif data[:4] == b"RIFF":
        place = 12
        yield 4, "<I"
        while place + 8 <= len(data):
            yield place + 4, "<I"
            place += 8 + (struct.unpack_from("<I", data, place + 4)[0] + 1) // 2 * 2
    elif data[:2] == b"\xff\xd8":
        place = 2
        while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
            yield place + 2, ">H"
            place += 2 + struct.unpack_from(">H", data, place + 2)[0]
    elif data[4:8] in (b"ftyp", b"jP  "):
        place = 0
        while place + 8 <= len(data):
            yield place, ">I"
            place += max(8, struct.unpack_from(">I", data, place)[0])
    elif data[:4] == b"II*\0" and len(data) > 8:
        entries = struct.unpack_from("<I", data, 4)[0]
        for place in range(entries + 2, len(data) - 12, 12):
            yield from ((place, "<H"), (place + 2, "<H"), (place + 4, "<I"), (place + 8, "<I"))


def _chunks(data: bytes) -> Iterator[tuple[int, int]]:
    """Begin and end of a PNG's chunks."""
    place = len(PNG)
    while place + 12 <= len(data):
        end = place + 12 + struct.unpack_from(">I", data, place)[0]
        yield place, min(end, len(data))
        place = end


def fix_png(data: bytes) -> bytes:
    """The checksums of all chunks set right, so that the change is met by what reads the chunks."""
    changed = bytearray(data)
    for begin, end in _chunks(data):
        changed[end - 4 : end] = struct.pack(">I", zlib.crc32(changed[begin + 4 : end - 4]))
    return bytes(changed)
