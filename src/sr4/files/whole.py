"""Files written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_whole(
    path: Path, write: Callable[[BinaryIO], object], *, overwrite: bool = False
) -> None:
    """Make a file of what `write` puts out, so that `path` holds either all of it or what was there
    before, whenever the process is killed.

    Raises:
        FileExistsError: `path` exists, and `overwrite` is false.
        OSError: the folder is missing or read-only, or the disk is full.
    """
    with _unnamed(path.parent) as file:
        if file is not None:
            _fill(file, write)
            if _give_name(file, path, overwrite=overwrite):
                return
    temporary = _beside(path)
    try:
        with temporary.open("xb") as named:
            _fill(named, write)
        if not overwrite:
            try:
                os.link(temporary, path)
                return
            except FileExistsError:
                raise
            except OSError:  # no links on this file system: claim the name, then replace our own
                path.open("xb").close()
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _give_name(file: BinaryIO, path: Path, *, overwrite: bool) -> bool:
    """Whether a file without a name could be given this one."""
    name = _beside(path) if overwrite else path
    try:  # a link, unlike a rename, fails if the name is taken
        # With a folder given, which an absolute path does not need, Python follows the link that
        # /proc has for the file.
        os.link(f"/proc/self/fd/{file.fileno()}", name, src_dir_fd=file.fileno())
    except FileExistsError:
        raise
    except OSError:  # no links on this file system
        return False
    if overwrite:
        try:
            os.replace(name, path)
        except OSError:
            name.unlink(missing_ok=True)
            raise
    return True


@contextmanager
def _unnamed(folder: Path) -> Iterator[BinaryIO | None]:
    """A file without a name, of which a kill leaves nothing; None where there are no such files."""
    try:
        handle = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666)
    except (AttributeError, OSError):  # not Linux, or not on this file system
        yield None
        return
    try:  # by a path, since some libraries want a file's name
        with open(f"/proc/self/fd/{handle}", "w+b") as file:
            yield file
    finally:
        os.close(handle)


def _beside(path: Path) -> Path:
    return path.with_name(f".{secrets.token_hex(8)}.tmp")


def _fill(file: BinaryIO, write: Callable[[BinaryIO], object]) -> None:
    write(file)
    file.flush()
    os.fsync(file.fileno())


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
