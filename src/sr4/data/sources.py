"""Where pictures come from: a folder, tar files (WebDataset shards), also at addresses, or an LMDB
folder.

All hold encoded picture files by name; only the way to the bytes differs. A source holds no
open handle, each read opens and closes what it needs: so it can be sent to worker processes, used
before and after a fork and from threads, at a cost (some 10 µs, LMDB 100 µs) far below decoding.

LMDB layout: each key is a picture's name in UTF-8, with or without suffix; its value is the encoded
file.
"""

from __future__ import annotations

import importlib
import os
import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol, final

from sr4.data.decoded import Pixels
from sr4.data.encoded import EncodedSource, is_picture
from sr4.data.patterns import matching_paths
from sr4.data.remote import open_addresses
from sr4.data.tars import ChangedError, index_tar, read_place
from sr4.errors import (
    BadPictureError,
    DataError,
    MissingExtraError,
    PictureError,
    UsageError,
    reason,
)
from sr4.files.documents import read_bytes
from sr4.files.paths import is_address, missing_path, shown_address, whole_address
from sr4.pictures import READ_SUFFIXES, tiff
from sr4.pictures.decoding import MAX_BYTES
from sr4.pictures.finding import counted, list_files, read_here
from sr4.pictures.raster import Range
from sr4.pictures.reading import NPY


class Source(Protocol):
    """High-resolution pictures by index. It must survive being sent to a worker process."""

    @property
    def location(self) -> str:
        """What messages call the source."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """A unique name for each picture, in the order of the indices."""
        ...

    def __len__(self) -> int: ...

    def read(self, index: int) -> Pixels:
        """Pixels (H, W, C) of one picture, with the channels that the source was opened for: of 8
        bits or, if it was opened for values in a range, in [-1, 1].

        Raises:
            BadPictureError: it is damaged or of no use; names it.
            DataError: the source is not what it was when it was opened.
        """
        ...


@final
class FolderSource(EncodedSource):
    """Pictures under a folder, searched recursively; names are paths relative to it, sorted."""

    kind = "folder"

    def __init__(self, root: Path, files: Sequence[Path], others: Sequence[Path] = ()) -> None:
        names = [file.relative_to(root).as_posix() for file in files]
        super().__init__(str(root), names, [root], counted(others))

    def read_bytes(self, index: int) -> bytes:
        try:
            return read_bytes(self.paths[0] / self.names[index], MAX_BYTES)
        except PermissionError as error:
            raise BadPictureError(
                f"{self.label(index)!r} cannot be read ({reason(error)}); expected a readable "
                "file: change its permissions"
            ) from error
        except ValueError as error:  # too large, or a pipe
            raise BadPictureError(
                f"{self.label(index)!r} cannot be read ({reason(error)}); expected a picture file"
            ) from error
        except OSError as error:
            raise self._unreadable(index, reason(error)) from error


@final
class TarSource(EncodedSource):
    """The pictures of one uncompressed tar, in its order; other members are skipped.

    The headers are read once; nothing is unpacked. Of members with the same name the last counts,
    as it does for tar itself.
    """

    kind = "tar"

    def __init__(self, path: Path) -> None:
        self._state, places = index_tar(path, is_picture)
        super().__init__(str(path), list(places), [path])
        self._places = list(places.values())

    def read_bytes(self, index: int) -> bytes:
        place = self._places[index]
        self._check_size(index, place.size)
        try:
            return read_place(self.paths[0], place, self._state)
        except ChangedError as error:
            raise self._unreadable(index, "the tar has changed") from error
        except OSError as error:
            raise self._unreadable(index, reason(error)) from error


# What files of the usual formats begin with.
_BEGINNINGS = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",  # JPEG
    b"RIFF",  # WebP
    b"GIF8",
    *tiff.SIGNATURES,
    NPY,
)
_LMDB_LOCK = threading.Lock()  # LMDB refuses to open an environment twice in one process


@final
class LMDBSource(EncodedSource):
    """The pictures of an LMDB folder, in the order of their keys; other keys are skipped.

    Where no key has a suffix of pictures, as BasicSR's script makes them, the values decide.
    """

    kind = "lmdb"

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _lmdb_names(path), [path])

    def read_bytes(self, index: int) -> bytes:
        key = self.names[index].encode("utf-8", "surrogateescape")
        path = self.paths[0]
        try:
            with _LMDB_LOCK, _open_lmdb(path) as environment, environment.begin() as transaction:
                data = transaction.get(key)
                self._check_size(index, len(data or b""))
        except _import_lmdb().Error as error:
            raise self._unreadable(index, reason(error)) from error
        if data is None:
            raise self._unreadable(index, "the key is gone")
        return bytes(data)


def _lmdb_names(path: Path) -> list[str]:
    try:
        with _LMDB_LOCK, _open_lmdb(path) as environment:
            pages = environment.info()["last_pgno"] + 1
            # LMDB maps the file, and reading past its end would kill the process.
            if (path / "data.mdb").stat().st_size < pages * environment.stat()["psize"]:
                raise DataError(f"the LMDB folder {str(path)!r} is truncated: get it again")
            with environment.begin(buffers=True) as transaction:
                cursor = transaction.cursor()
                names = [_decoded(key) for key in cursor.iternext(values=False)]
                return [name for name in names if is_picture(name)] or [
                    _decoded(key)
                    for key, value in cursor.iternext()
                    if bytes(value[:16]).startswith(_BEGINNINGS)
                ]
    except _import_lmdb().Error as error:
        raise DataError(
            f"{str(path)!r} cannot be opened as an LMDB folder ({reason(error)}); expected "
            "picture names as keys and encoded pictures as values"
        ) from error


def _decoded(key: memoryview) -> str:
    return bytes(key).decode("utf-8", "surrogateescape")


def _open_lmdb(path: Path) -> Any:
    # No lock file: the folder may be read-only, and nothing is written.
    return _import_lmdb().open(str(path), readonly=True, lock=False, readahead=False, create=False)


def _import_lmdb() -> Any:
    try:
        return importlib.import_module("lmdb")
    except ModuleNotFoundError as error:
        raise MissingExtraError("Reading an LMDB folder", "lmdb", "train") from error


@final
class JoinedSource(EncodedSource):
    """Several sources one after the other.

    Names stay as they are where they are unique; else all get the name of their part in front.
    """

    def __init__(self, parts: Sequence[EncodedSource], location: str) -> None:
        names = [name for part in parts for name in part.names]
        if len(set(names)) < len(names):
            labels = _part_labels(parts)
            names = [
                f"{label}/{name}"
                for label, part in zip(labels, parts, strict=True)
                for name in part.names
            ]
        left_out = sum((Counter(part.left_out) for part in parts), Counter[str]())
        super().__init__(location, names, [path for part in parts for path in part.paths], left_out)
        self.kind = " + ".join(sorted({part.kind for part in parts}))
        self._parts = tuple(parts)
        self._ends = list(accumulate(len(part) for part in parts))

    def _find(self, index: int) -> tuple[EncodedSource, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} of {len(self)} pictures")
        place = bisect_right(self._ends, index)
        part = self._parts[place]
        return part, index - (self._ends[place] - len(part))

    def read_bytes(self, index: int) -> bytes:
        part, inner = self._find(index)
        return part.read_bytes(inner)

    def label(self, index: int) -> str:
        part, inner = self._find(index)
        return part.label(inner)


def _part_labels(parts: Sequence[EncodedSource]) -> list[str]:
    """A short unique name for each part: its file name, else its whole location, numbered."""
    for labels in (
        [Path(part.location).name for part in parts],
        [part.location for part in parts],
    ):
        if len(set(labels)) == len(labels):
            return labels
    return [f"{number}-{part.location}" for number, part in enumerate(parts)]


def open_source(
    spec: str | Path, channels: int = 3, data_range: Range | None = None
) -> EncodedSource:
    """The pictures that a `SRC` of the command line names.

    Args:
        spec: a folder of pictures (or of tar shards, if it holds no picture), a `.tar`, an LMDB
            folder, or a pattern of these such as `train-{00..02}.tar` or `train-*.tar`; the address
            of a tar such as `s3://bucket/train.tar`, or a pattern of addresses.
        channels: of the pixels that it gives.
        data_range: the values of its pictures that stand for black and white; None for 8 bits.

    Raises:
        DataError: nothing is there, it holds no picture, or it is damaged.
        MissingPackageError: one that an LMDB folder or an address needs is missing.
    """
    text = os.path.expanduser(os.fspath(spec))
    if not text:
        raise UsageError("got an empty source; expected a folder, a tar or a pattern of tars")
    # A file whose name holds braces or brackets is meant literally.
    parts: Sequence[EncodedSource]
    if is_address(text):
        text = whole_address(text)
        parts, location = open_addresses(text), shown_address(text)
    else:
        paths = [Path(text)] if os.path.lexists(text) else matching_paths(text)
        parts, location = [_open_path(path) for path in paths], text
    return _join(parts, location, channels, data_range)


def open_sources(
    specs: Iterable[str | Path], channels: int = 3, data_range: Range | None = None
) -> EncodedSource:
    """Several sources as one, in the order given."""
    sources = [open_source(spec) for spec in specs]
    if not sources:
        raise UsageError("got no source; expected at least one folder, tar or pattern of tars")
    location = " + ".join(source.location for source in sources)
    return _join(sources, location, channels, data_range)


def _join(
    parts: Sequence[EncodedSource],
    location: str,
    channels: int = 3,
    data_range: Range | None = None,
) -> EncodedSource:
    found = parts[0] if len(parts) == 1 else JoinedSource(parts, location)
    found.channels, found.data_range = channels, data_range
    return found


def _open_path(path: Path) -> EncodedSource:
    if path.is_dir():
        return _open_folder(path)
    if path.is_file():
        return TarSource(path)
    if path.exists():
        raise DataError(f"{str(path)!r} is a pipe or a device; expected a folder or a tar file")
    raise DataError(f"{missing_path(path)}; expected a folder, a tar or a pattern of tars")


def _open_folder(path: Path) -> EncodedSource:
    if (path / "data.mdb").is_file():
        return LMDBSource(path)
    try:
        files, others = list_files(path, read_here(READ_SUFFIXES))
    except PictureError as error:
        raise DataError(str(error)) from error
    shards = sorted(path.glob("*.tar"))
    if shards and not files:
        return _join([TarSource(shard) for shard in shards], str(path))
    return FolderSource(path, files, others)
