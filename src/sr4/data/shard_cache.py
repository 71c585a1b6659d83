"""Blocks of files at addresses, kept on the disk of this computer.

One file holds the blocks of one state of one address, those that are there:

    0123...cdef.blocks   random bytes by which one such file is told from another, a checksum for
                         each block (zeros: not there), the blocks, each at its place
    0123...cdef.index    the places of its pictures, as JSON

Several processes may fill and read it at once, and be killed: a checksum is written after its
block, and each process holds a block against it before the first use. So a block that was half
written, or was lost with the power, is fetched again; a lock is not needed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from sr4.data.tars import Place
from sr4.errors import UsageError, reason
from sr4.files.caches import cache_folder, is_private
from sr4.files.whole import write_whole

BLOCK = 2**20
"""Bytes of a block: large enough that 20 ms for each is no matter, small enough for pictures that
are read in any order."""
_GIGABYTES = "SR4_CACHE_GIGABYTES"
_DEFAULT = 50.0
_ENTRY = re.compile(r"([0-9a-f]{32})\.(blocks|index)")
_IDENTITY, _SUM = 16, 8  # bytes
_LOOK_AFTER = 16  # blocks that are written before the size of all is looked at


class ShardCache:
    """What is kept of one file.

    Args:
        folder: where such files are kept, made if missing; None keeps nothing.
        key: what tells the file and its state from all others.
        size: of the file in bytes.
        most: bytes that the files of the folder may take; those used longest ago go first.
    """

    def __init__(self, folder: Path | None, key: str, size: int, most: float) -> None:
        self._folder = folder if most > 0 else None
        self._name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        self._size, self._most = size, most
        self._count = -(-size // BLOCK)
        self._begin = -(-(_IDENTITY + _SUM * self._count) // 4096) * 4096
        # The blocks that were held against their checksums, of the file with that identity.
        self._checked: tuple[bytes, set[int]] = b"", set()
        self._written = 0
        try:
            if self._folder is not None:
                self._enter(self._folder)
        except OSError as error:
            self._give_up(error)

    @property
    def is_on(self) -> bool:
        """Whether anything is kept."""
        return self._folder is not None

    def read(self, begin: int, size: int) -> bytes | None:
        """The bytes from a place on; None if not all are there."""
        if self._folder is None:
            return None
        try:
            with self._path("blocks").open("rb", buffering=0) as file:
                numbers = range(begin // BLOCK, -(-(begin + size) // BLOCK))
                if not all(self._holds(file, number) for number in numbers):
                    return None
                data = _read_at(file, self._begin + begin, size)
        except OSError:  # removed, to make room
            return None
        return data if len(data) == size else None

    def keep(self, number: int, data: bytes) -> None:
        """Keep a block, if that can be done."""
        if self._folder is None:
            return
        try:
            path = self._path("blocks")
            if not path.exists():
                self._make(path)
            with path.open("rb+", buffering=0) as file:
                _write_at(file, self._begin + number * BLOCK, data)
                _write_at(file, _IDENTITY + number * _SUM, _checksum(data))
            self._written += 1
            if self._written % _LOOK_AFTER == 1:
                self._make_room()
        except FileNotFoundError:  # removed meanwhile, to make room
            return
        except OSError as error:
            self._give_up(error)

    def places(self) -> dict[str, Place] | None:
        """The places of the pictures, if they are kept; they count as used now."""
        if self._folder is None:
            return None
        try:
            found = json.loads(self._path("index").read_bytes())
            places = {str(name): Place(int(begin), int(size)) for name, begin, size in found}
        except (OSError, ValueError, TypeError, RecursionError):  # not there, or damaged
            return None
        if any(min(place) < 0 or sum(place) > self._size for place in places.values()):
            return None
        for kind in ("index", "blocks"):
            with contextlib.suppress(OSError):
                os.utime(self._path(kind))
        return places

    def keep_places(self, places: Mapping[str, Place]) -> None:
        """Keep the places of the pictures, if that can be done."""
        if self._folder is None:
            return
        text = json.dumps([[name, *place] for name, place in places.items()])
        try:
            write_whole(self._path("index"), lambda file: file.write(text.encode()), overwrite=True)
        except OSError as error:
            self._give_up(error)

    def _path(self, kind: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{self._name}.{kind}"

    def _make(self, path: Path) -> None:
        """The file without a block."""
        self._enter(path.parent)
        head = os.urandom(_IDENTITY) + bytes(self._begin - _IDENTITY)
        with contextlib.suppress(FileExistsError):  # another process was faster
            write_whole(path, lambda file: file.write(head))

    @staticmethod
    def _enter(folder: Path) -> None:
        """Make the folder, for this user alone: pictures of private buckets are kept in it."""
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if not is_private(folder):
            raise PermissionError(f"{str(folder)!r} is not a folder of this user alone")

    def _holds(self, file: BinaryIO, number: int) -> bool:
        """Whether a block is there, as it was written."""
        identity = _read_at(file, 0, _IDENTITY)
        if identity != self._checked[0]:
            self._checked = identity, set()
        checked = self._checked[1]
        if number not in checked:
            checksum = _read_at(file, _IDENTITY + number * _SUM, _SUM)
            if checksum == bytes(_SUM):
                return False
            begin = number * BLOCK
            data = _read_at(file, self._begin + begin, min(BLOCK, self._size - begin))
            if _checksum(data) != checksum:
                return False
            checked.add(number)
        return True

    def _make_room(self) -> None:
        """Remove what was used longest ago, till the rest takes no more than it may."""
        assert self._folder is not None
        sizes: dict[str, int] = {}
        used: dict[str, int] = {}
        for path in self._folder.iterdir():
            if match := _ENTRY.fullmatch(path.name):
                status = path.stat()
                taken = getattr(status, "st_blocks", -(-status.st_size // 512)) * 512
                sizes[match[1]] = sizes.get(match[1], 0) + taken
                used[match[1]] = max(used.get(match[1], 0), status.st_mtime_ns)
        used.pop(self._name, None)
        total = sum(sizes.values())
        for name in sorted(used, key=lambda name: used[name]):
            if total <= self._most:
                return
            for kind in ("blocks", "index"):
                (self._folder / f"{name}.{kind}").unlink(missing_ok=True)
            total -= sizes[name]

    def _give_up(self, error: OSError) -> None:
        self._folder = None
        warnings.warn(
            f"pictures of addresses are not kept on this computer ({reason(error)}): they are "
            "fetched anew each time they are read; free some space or set XDG_CACHE_HOME to a "
            "folder that can be written",
            stacklevel=2,
        )


def cache_of_shards(key: str, size: int) -> ShardCache:
    """What is kept of a file in the user's cache.

    Raises:
        UsageError: the variable of the environment that bounds it holds no such number.
    """
    base = cache_folder()
    return ShardCache(base and base / "shards", key, size, _most_bytes())


def _most_bytes() -> float:
    text = os.environ.get(_GIGABYTES) or str(_DEFAULT)
    try:
        gigabytes = float(text)
        if not gigabytes >= 0:
            raise ValueError
    except ValueError:
        raise UsageError(
            f"got {_GIGABYTES}={text!r}; expected a number of gigabytes, 0 to keep nothing"
        ) from None
    return gigabytes * 1e9


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_SUM).digest()


def _read_at(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    data = file.read(size)
    while len(data) < size and (more := file.read(size - len(data))):  # a signal may cut it short
        data += more
    return data


def _write_at(file: BinaryIO, place: int, data: bytes) -> None:
    file.seek(place)
    rest = memoryview(data)
    while rest:  # of a disk that gets full, a part is written first
        rest = rest[file.write(rest) :]
