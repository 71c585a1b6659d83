"""Changes to the parts that files are made of: each file falls into its chunks, segments, blocks,
entries or headers again, with the right checksums, so that readers get as far as the change.
"""

from __future__ import annotations

import io
import random
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence

ODD = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 257, 32767, 32768, 65535, 2**24, 2**31 - 1, 2**32 - 1)
PNG = b"\x89PNG\r\n\x1a\n"
_MOST = 300_000  # bytes that a change may make of a file

Change = Callable[[bytes, Sequence[bytes], random.Random], bytes]


def restructure(data: bytes, others: Sequence[bytes], random_: random.Random) -> bytes:
    """The file with some of its parts changed, moved, doubled or left out; as it is where it is of
    no format that is known here, or too damaged to be taken apart.

    Args:
        others: files that parts may come from.
    """
    for signatures, change in _FORMATS:
        if data.startswith(signatures) or (signatures == (_BOXES,) and data[4:8] in _BOXED):
            try:
                return change(data, others, random_)[:_MOST]
            except (struct.error, IndexError, ValueError):
                return data
    return data


def shuffled(parts: list[bytes], foreign: Sequence[bytes], random_: random.Random) -> list[bytes]:
    """The parts with one to three of them moved, doubled, left out, joined by others, or cut."""
    for _ in range(random_.choice((1, 1, 2, 3))):
        place = random_.randrange(len(parts) + 1)
        chosen = random_.choice(parts) if parts else b""
        what = random_.randrange(6)
        if what == 0 and parts:
            parts.insert(place, parts.pop(random_.randrange(len(parts))))
        elif what == 1:
            parts[place:place] = [chosen] * random_.choice((1, 1, 2, 40))
        elif what == 2 and parts:
            parts.remove(chosen)
        elif what == 3 and foreign:
            parts.insert(place, random_.choice(foreign))
        elif parts:
            parts[random_.randrange(len(parts))] = _bent(chosen, random_)
    return parts


def _bent(data: bytes, random_: random.Random) -> bytes:
    """Bytes with an odd number in them, or cut, or longer."""
    what = random_.randrange(5)
    if what == 0:
        return data[: random_.randrange(len(data) + 1)]
    if what == 1:
        return data + random_.randbytes(random_.choice((1, 2, 4, 200)))
    code = random_.choice((">B", "<H", ">H", "<I", ">I"))
    size = struct.calcsize(code)
    if len(data) < size:
        return random_.randbytes(size)
    place = random_.randrange(min(len(data) - size, 40) + 1)
    odd = random_.choice(ODD) % 256**size
    return data[:place] + struct.pack(code, odd) + data[place + size :]


# PNG


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


_KINDS = (
    b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB cICP iCCP sBIT bKGD hIST pHYs tIME tEXt zTXt iTXt "
    b"eXIf acTL fcTL fdAT mDCV cLLI oFFs sPLT zzZz"
).split()


def _png_parts(data: bytes) -> Iterator[bytes]:
    """Kind and body of each chunk."""
    place = len(PNG)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        yield data[place + 4 : min(place + 8 + length, len(data))]
        place += 12 + length


def _png(data: bytes, others: Sequence[bytes], random_: random.Random) -> bytes:
    parts = list(_png_parts(data))
    foreign = [part for other in others if other.startswith(PNG) for part in _png_parts(other)]
    body = random_.choice(
        (random_.randbytes(random_.choice((0, 1, 4, 8, 26))), zlib.compress(b"x"))
    )
    foreign += [random_.choice(_KINDS) + body, b"acTL" + struct.pack(">II", *_odd(random_, 2))]
    frame = struct.pack(">IIIIIHHBB", 0, *_odd(random_, 4), 1, 0, random_.choice((0, 1, 2, 9)), 1)
    foreign += [b"fcTL" + frame, b"fdAT" + struct.pack(">I", random_.choice(ODD)) + body]
    parts = shuffled(parts, foreign, random_)
    return PNG + b"".join(png_chunk(part[:4].ljust(4, b"x"), part[4:]) for part in parts)


def _odd(random_: random.Random, count: int) -> list[int]:
    """Numbers of which some are odd, and some are small."""
    return [random_.choice((random_.randrange(40), random_.choice(ODD))) for _ in range(count)]


# JPEG, and what its segments hold

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_HEADS = (b"Exif\0\0", _XMP, b"ICC_PROFILE\0\1\1", b"MPF\0", b"Adobe\0")


def _jpeg_parts(data: bytes) -> tuple[list[bytes], bytes]:
    """Marker and body of each segment, and the scan behind them."""
    parts, place = [], 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, place + 2)
        parts.append(data[place + 1 : place + 2] + data[place + 4 : place + 2 + length])
        place += 2 + max(2, length)
    return parts, data[place:]


def _jpeg(data: bytes, others: Sequence[bytes], random_: random.Random) -> bytes:
    parts, scan = _jpeg_parts(data)
    foreign = [b"\xdd" + struct.pack(">H", random_.choice(ODD) % 65536)]
    if others and (other := random_.choice(others)).startswith(b"\xff\xd8"):
        foreign += _jpeg_parts(other)[0]
    tiff = random_.choice([one for one in others if one[:4] in (b"II*\0", b"MM\0*")] or [b"II*\0"])
    head = random_.choice(_HEADS)
    inner = _tiff(tiff, others, random_) if head[:3] in (b"Exi", b"MPF") else _xmp(random_)
    foreign.append(bytes([0xE0 + random_.choice((0, 1, 2, 2, 13, 14))]) + head + inner[:60_000])
    parts = shuffled(parts, foreign, random_)
    made = b"".join(
        b"\xff" + (part[:1] or b"\xe0") + struct.pack(">H", len(part[1:]) + 2) + part[1:]
        for part in parts
        if len(part) < 65_534
    )
    tail = random_.choice((b"", b"", b"", data))  # a second picture, as MPO and gain maps have
    return b"\xff\xd8" + made + scan + tail


def _xmp(random_: random.Random) -> bytes:
    """XMP of odd values, places and depth."""
    names = ("tiff:Orientation", "hdrgm:Version", "xmpMM:History", "GContainer:Directory", "x:y")
    name = random_.choice(names)
    value = random_.choice(("6", "-1", "9" * 400, "&a;", "<rdf:li/>" * 300, "\0", "]]>", "é"))
    inner = f"<{name}>{value}</{name}>" * random_.choice((1, 2, 100))
    body = f'<rdf:RDF xmlns:rdf="r" xmlns:{name.split(":")[0]}="n">{inner}</rdf:RDF>'
    head = random_.choice(("", '<!DOCTYPE a [<!ENTITY a "b">]>', '<?xpacket begin="" id="W5"?>'))
    return (head + body)[: random_.choice((20, 500, 50_000))].encode()


# TIFF, and EXIF which is one

_TYPES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8, 18: 8}
_TAGS = (
    254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 282, 283, 284, 296, 301, 317, 320,
    322, 323, 324, 325, 330, 338, 339, 340, 341, 347, 529, 530, 532, 700, 33550, 33723, 34377,
    34665, 34675, 34853, 37500, 40965, 42112, 42113, 50838, 65000,
)  # fmt: skip
_CODECS = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32809, 32946, 34661, 34712, 34925, 34933, 50000, 50001)


def _tiff(data: bytes, others: Sequence[bytes], random_: random.Random) -> bytes:
    """Entries with other tags, types, counts and values; loops of pages; tiles for strips."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    entry, place_code, head = (
        (f"{order}HHQQ", f"{order}Q", 8) if big else (f"{order}HHII", f"{order}I", 4)
    )
    count_code = f"{order}Q" if big else f"{order}H"
    changed = bytearray(data)
    directories = list(_directories(data, head, place_code, count_code, struct.calcsize(entry)))
    for _ in range(random_.choice((1, 1, 2, 4))):
        begin, count = random_.choice(directories)
        place = begin + random_.randrange(max(1, count)) * struct.calcsize(entry)
        tag, kind, many, value = struct.unpack_from(entry, changed, place)
        what = random_.randrange(7)
        if what == 0:
            tag = random_.choice(_TAGS)
        elif what == 1:
            kind = random_.choice((*_TYPES, 0, 13, 17, 255))
        elif what == 2:
            many = random_.choice((*ODD, many + 1, max(0, many - 1)))
        elif what in (3, 4):
            codec = tag == 259 and random_.random() < 0.8
            value = random_.choice(_CODECS if codec else (*ODD, value + 1, len(data), place, begin))
        elif what == 5:
            end = begin + count * struct.calcsize(entry)  # where the next page is named
            after = random_.choice((begin - struct.calcsize(count_code), len(data) - 2, *ODD))
            struct.pack_into(place_code, changed, end, max(0, after))
            continue
        else:
            struct.pack_into(count_code, changed, begin - struct.calcsize(count_code), count + 1)
        struct.pack_into(entry, changed, place, tag, kind, many, value)
    return bytes(changed)


def _directories(
    data: bytes, head: int, place_code: str, count_code: str, entry: int
) -> Iterator[tuple[int, int]]:
    """Where the entries of each page begin, and how many they are."""
    (place,) = struct.unpack_from(place_code, data, head)
    for _ in range(8):
        if not place:
            return
        (count,) = struct.unpack_from(count_code, data, place)
        begin = place + struct.calcsize(count_code)
        yield begin, count
        (place,) = struct.unpack_from(place_code, data, begin + count * entry)


# GIF


def _gif(data: bytes, others: Sequence[bytes], random_: random.Random) -> bytes:
    head, parts = _gif_parts(data)
    screen = struct.pack("<HH", *(one % 65536 for one in _odd(random_, 2)))
    control = b"\x21\xf9\4" + random_.randbytes(4) + b"\0"
    loop = b"\x21\xff\x0bNETSCAPE2.0\3\1" + random_.randbytes(2) + b"\0"
    picture = b"\x2c" + struct.pack("<HHHHB", *(one % 65536 for one in _odd(random_, 4)), 0)
    foreign = [control, loop, picture + b"\2\2\x44\1\0", b"\x21\xfe\xff" + bytes(255) + b"\0", b";"]
    if random_.random() < 0.3:
        head = head[:6] + screen + head[10:]
    return head + b"".join(shuffled(parts, foreign, random_))


def _gif_parts(data: bytes) -> tuple[bytes, list[bytes]]:
    """The screen with its palette, and each block."""
    place = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    head, parts = data[:place], []
    while place < len(data) and data[place] in (0x21, 0x2C):
        begin = place
        if data[place] == 0x21:
            place += 2
        else:
            flags = data[place + 9]
            place += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        while data[place]:
            place += data[place] + 1
        place += 1
        parts.append(data[begin:place])
    return head, [*parts, data[place:]]


# WebP, and the boxes of AVIF, HEIC and JPEG 2000

_BOXES = b"boxes"
_BOXED = (b"ftyp", b"jP  ")


def _riff(data: bytes, others: Sequence[bytes], random_: random.Random) -> bytes:
    parts, place = [], 12
    while place + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, place + 4)
        parts.append(data[place : place + 4] + data[place + 8 : place + 8 + length])
        place += 8 + length + length % 2
    body = random_.randbytes(random_.choice((0, 10, 16)))
    kinds = (b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"ICCP", b"EXIF", b"XMP ", b"VP8 ", b"VP8L")
    made = b"WEBP" + b"".join(
        part[:4].ljust(4) + struct.pack("<I", len(part[4:])) + part[4:] + bytes(len(part) % 2)
        for part in shuffled(parts, [random_.choice(kinds) + body], random_)
    )
    return b"RIFF" + struct.pack("<I", len(made)) + made


def _boxes(data: bytes, others: Sequence[bytes], random_: random.Random, depth: int = 0) -> bytes:
    parts, place = [], 0
    while place + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        end = place + length if length >= 8 else len(data)
        parts.append(data[place + 4 : end])
        place = end
    inner = [n for n, part in enumerate(parts) if part[:4] in (b"meta", b"iprp", b"ipco", b"jp2h")]
    if inner and depth < 3 and random_.random() < 0.7:
        number = random_.choice(inner)
        skip = 8 if parts[number][:4] == b"meta" else 4
        part = parts[number]
        parts[number] = part[:skip] + _boxes(part[skip:], others, random_, depth + 1)
    else:
        parts = shuffled(parts, [b"free" + random_.randbytes(8)], random_)
    return b"".join(struct.pack(">I", len(part) + 4) + part for part in parts)


# Tars


def tar(members: Sequence[tuple[str, bytes]], random_: random.Random) -> bytes:
    """A tar of files, with one to three headers that lie, whose checksums are right."""
    made = io.BytesIO()
    form = random_.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT))
    with tarfile.open(fileobj=made, mode="w", format=form) as archive:
        for number, (name, data) in enumerate(members):
            info = tarfile.TarInfo(name if number else f"{'deep/' * random_.choice((0, 9))}{name}")
            info.size = len(data)
            if form == tarfile.PAX_FORMAT and random_.random() < 0.3:
                info.pax_headers = {random_.choice(_PAX): random_.choice(_PAX_VALUES)}
            archive.addfile(info, io.BytesIO(data))
    blocks = bytearray(made.getvalue())
    headers = [at for at in range(0, len(blocks), 512) if blocks[at + 257 : at + 262] == b"ustar"]
    for _ in range(random_.choice((0, 1, 1, 3))):
        _lie(blocks, random_.choice(headers), random_)
    end = len(blocks) - random_.choice((0, 0, 0, 512, 1024, random_.randrange(len(blocks))))
    return bytes(blocks[:end])


_PAX = (
    "size",
    "path",
    "linkpath",
    "GNU.sparse.map",
    "GNU.sparse.size",
    "GNU.sparse.major",
    "mtime",
)
_PAX_VALUES = ("-1", "0", "9" * 30, "1,2,3", "nan", "../../x.png", "é\n", "1")
_FIELDS = {"name": (0, 100), "size": (124, 12), "link": (157, 100), "prefix": (345, 155)}
_SIZES = (b"\x80" + bytes(10) + b"\1", b"\xff" * 12, b"77777777777\0", b"-0000000001\0", b"\0" * 12)


def _lie(blocks: bytearray, at: int, random_: random.Random) -> None:
    field = random_.choice((*_FIELDS, "kind"))
    if field == "kind":
        blocks[at + 156] = random_.choice(b"01234567gxLKSVMDN\0\xff")
    else:
        begin, length = _FIELDS[field]
        value = random_.choice(
            _SIZES if field == "size" else (b"0.png", b"../0.png", b"\xff" * 100, b"x" * 100, b"")
        )
        blocks[at + begin : at + begin + length] = value[:length].ljust(length, b"\0")
    blocks[at + 148 : at + 156] = b" " * 8
    blocks[at + 148 : at + 156] = b"%06o\0 " % sum(blocks[at : at + 512])


_FORMATS: tuple[tuple[tuple[bytes, ...], Change], ...] = (
    ((PNG,), _png),
    ((b"\xff\xd8",), _jpeg),
    ((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _tiff),
    ((b"GIF8",), _gif),
    ((b"RIFF",), _riff),
    ((_BOXES,), _boxes),
)
