"""The members of a tar, found without unpacking anything."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

from sr4.errors import DataError, reason

_MOST_EXTENSION = 2**20  # bytes of a long name or of extended fields, which come into memory whole
# fmt: off
_EXTENSIONS = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
# fmt: on


class Place(NamedTuple):
    """Where in a tar the bytes of a member are."""

    offset: int
    size: int


class ChangedError(Exception):
    """A tar is not what it was when it was opened."""


class FileState(NamedTuple):
    """What changes when a file is written or replaced."""

    size: int
    changed: int  # nanoseconds


def file_state(file: IO[bytes]) -> FileState:
    """The state of an open file."""
    status = os.fstat(file.fileno())
    return FileState(status.st_size, status.st_mtime_ns)


class _Header(tarfile.TarInfo):
    """A header of a member that ends behind its beginning."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header: _Header = super().frombuf(buf, encoding, errors)
        if header.size < 0:
            raise tarfile.HeaderError("a member has a negative size")
        if header.type in _EXTENSIONS and header.size > _MOST_EXTENSION:
            raise tarfile.HeaderError(f"a name or note has {header.size:,} bytes")
        return header


def index_tar(path: Path, is_wanted: Callable[[str], bool]) -> tuple[FileState, dict[str, Place]]:
    """The state of a tar, and the places in it as of `index_open_tar`.

    Raises:
        DataError: it cannot be read, is no uncompressed tar, or is damaged.
    """
    try:
        with path.open("rb") as file:
            return file_state(file), index_open_tar(file, str(path), is_wanted)
    except OSError as error:
        raise DataError(
            f"{str(path)!r} cannot be read ({reason(error)}); expected a tar file: check its "
            "permissions"
        ) from error


def read_place(tar: Path, place: Place, state: FileState) -> bytes:
    """The bytes of a member, where it was found when the tar had that state.

    Raises:
        ChangedError: it has another one, and the place may hold anything.
        OSError: it cannot be read.
    """
    with tar.open("rb") as file:
        if file_state(file) != state:
            raise ChangedError
        file.seek(place.offset)
        return file.read(place.size)


def index_open_tar(
    file: IO[bytes], name: str, is_wanted: Callable[[str], bool]
) -> dict[str, Place]:
    """Where the files with names that are wanted lie in an open tar, in its order. Hard links are
    followed, symbolic ones passed over; of members with the same name the last counts, as it does
    for tar itself.

    Args:
        name: what messages call the tar.

    Raises:
        DataError: it is no uncompressed tar, or is damaged. What else reading the file raises goes
            through if it is an OSError or a ChangedError.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:", tarinfo=_Header) as tar:
            places = _places(tar, is_wanted)
            # tarfile stops without a word at a damaged header, so look at what it stopped at.
            file.seek(tar.offset)
            end = file.read(tarfile.BLOCKSIZE)
    except (OSError, DataError, ChangedError):
        raise
    except Exception as error:  # damaged headers make tarfile raise nearly every type
        raise DataError(
            f"{name!r} is no tar, or is truncated or damaged ({reason(error)}); expected an "
            "uncompressed tar of pictures, a folder or an LMDB folder"
        ) from error
    if end != bytes(tarfile.BLOCKSIZE):
        raise DataError(
            f"{name!r} is truncated or damaged after {len(places)} pictures; expected a tar "
            "with its end mark: get it again"
        )
    return places


def _places(tar: tarfile.TarFile, is_wanted: Callable[[str], bool]) -> dict[str, Place]:
    files: dict[str, Place] = {}
    wanted: dict[str, Place] = {}
    reached = -1
    for member in tar:
        # Sizes stand in several places, not all of which `_Header` sees.
        if member.size < 0 or tar.offset <= reached:
            raise tarfile.HeaderError("a member ends before it begins")
        reached = tar.offset
        name = _plain(member.name)
        if member.islnk():
            if is_wanted(name) and _plain(member.linkname) not in files:
                raise tarfile.HeaderError(
                    f"{name[:80]!r} is a link to {member.linkname[:80]!r}, which is not before it"
                )
            place = files.get(_plain(member.linkname))
        elif not member.isreg():
            continue
        elif member.issparse():
            if is_wanted(name):
                raise tarfile.HeaderError(f"{name[:80]!r} is stored with holes (a sparse file)")
            continue
        else:
            place = Place(member.offset_data, member.size)
        if place is not None:
            files[name] = place
            if is_wanted(name):
                wanted[name] = place
    return wanted


def _plain(name: str) -> str:
    return name.removeprefix("./")
