"""Tars at addresses (URLs): `s3://`, `gs://`, `hf://`, `https://` and whatever else fsspec knows.

Their headers are read once; of the rest, blocks are fetched when a picture in them is wanted, and
kept on this computer by `sr4.data.shard_cache`. fsspec's own caches would not do: their files are
not safe for several processes that fill them at once, nor against kills in between.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import IO, cast, final

from sr4.data.encoded import EncodedSource, is_picture
from sr4.data.network import RemoteState, fetch, find_files, remote_state
from sr4.data.patterns import expand_braces
from sr4.data.shard_cache import BLOCK, cache_of_shards
from sr4.data.tars import ChangedError, index_open_tar
from sr4.errors import DataError
from sr4.files.paths import shown_address

_MOST_AHEAD = 8  # blocks that are fetched at once where a tar is read from front to back
_AT_ONCE = 8  # tars whose headers are read at the same time


class _Shard:
    """The bytes of a file at an address, as it was when this was made: from the disk of this
    computer where they are kept there, else over the network.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.state: RemoteState = remote_state(url)
        self.cache = cache_of_shards("\n".join((url, *map(str, self.state))), self.state.size)

    def read(self, begin: int, size: int) -> bytes:
        """The bytes from a place on, fewer at the end.

        Raises:
            ChangedError: the file is not what it was.
            DataError: it cannot be read.
        """
        size = min(size, self.state.size - begin)
        if size <= 0:
            return b""
        kept = self.cache.read(begin, size)
        if kept is not None:
            return kept
        if not self.cache.is_on:
            return fetch(self.url, [(begin, begin + size)], self.state)[0]
        first = begin // BLOCK
        blocks = self.blocks(range(first, -(-(begin + size) // BLOCK)))
        begin -= first * BLOCK
        return b"".join(blocks)[begin : begin + size]

    def blocks(self, numbers: Iterable[int]) -> list[bytes]:
        """The blocks with those numbers, each whole; what is missing is fetched at once."""
        ranges = {n: (n * BLOCK, min((n + 1) * BLOCK, self.state.size)) for n in numbers}
        found = {n: self.cache.read(begin, end - begin) for n, (begin, end) in ranges.items()}
        missing = [n for n, data in found.items() if data is None]
        if missing:
            fetched = fetch(self.url, [ranges[n] for n in missing], self.state)
            for number, data in zip(missing, fetched, strict=True):
                self.cache.keep(number, data)
                found[number] = data
        return [data for data in found.values() if data is not None]


class _ShardFile(io.RawIOBase):
    """A shard as a file that is read mostly from front to back, and so ever more of it at once."""

    def __init__(self, shard: _Shard) -> None:
        self._shard = shard
        self._place = 0
        self._ahead = 1
        self._first, self._blocks = 0, list[bytes]()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._shard.state.size}
        self._place = max(0, base[whence] + offset)
        return self._place

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        if self._place >= self._shard.state.size:
            return 0
        number, begin = divmod(self._place, BLOCK)
        if not 0 <= number - self._first < len(self._blocks):
            follows = number == self._first + len(self._blocks)
            self._ahead = min(2 * self._ahead, _MOST_AHEAD) if follows else 1
            end = min(number + self._ahead, -(-self._shard.state.size // BLOCK))
            self._first, self._blocks = number, self._shard.blocks(range(number, end))
        data = self._blocks[number - self._first][begin : begin + len(buffer)]
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


@final
class RemoteTarSource(EncodedSource):
    """The pictures of one uncompressed tar at an address, as `TarSource` has those of a file.

    Raises:
        DataError: it cannot be read, is no tar, is damaged, or holds no picture.
        MissingPackageError: one for such addresses is missing.
    """

    kind = "tar"

    def __init__(self, url: str) -> None:
        location = shown_address(url)
        self._shard = _Shard(url)
        places = self._shard.cache.places()
        if places is None:
            file = cast(IO[bytes], io.BufferedReader(_ShardFile(self._shard)))
            try:
                places = index_open_tar(file, location, is_picture)
            except ChangedError as error:
                raise DataError(
                    f"{location!r} has changed while it was read; expected a tar that stays as it "
                    "is: start again"
                ) from error
            self._shard.cache.keep_places(places)
        super().__init__(location, list(places), [])
        self._places = list(places.values())

    def read_bytes(self, index: int) -> bytes:
        place = self._places[index]
        self._check_size(index, place.size)
        try:
            return self._shard.read(*place)
        except ChangedError as error:
            raise self._unreadable(index, "the tar has changed") from error


def open_addresses(text: str) -> list[RemoteTarSource]:
    """The tars that an address names, or a pattern of addresses.

    Raises:
        DataError: nothing is there, or it cannot be read.
        MissingPackageError: one for such addresses is missing.
    """
    urls = dict.fromkeys(url for part in expand_braces(text) for url in find_files(part))
    pool = ThreadPoolExecutor(min(len(urls), _AT_ONCE))
    try:
        return list(pool.map(RemoteTarSource, urls))
    finally:
        pool.shutdown(cancel_futures=True)
