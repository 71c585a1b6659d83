"""Files and folders written whole or not at all.

Whatever is written is made beside its place and gets its name in one step when all of it is on the
disk. Linux makes new files without a name for that; all else is made in a hidden folder:

    .0123456789abcdef.sr4/   the number is a checksum of the name that is to be given
        writing              an empty file that marks the folder as ours, locked while in use
        new                  what is being made; later what it has replaced, until that is removed
        old/NAME             what had the name, for the moment in which nothing has it: only where
                             the system cannot exchange two names in one step; or what is `kept`
        .*.sr4               another such folder, where `new` itself is replaced on the way

A process that is killed leaves that folder behind, and the old or the new under its name or in
there. The next write of the same name, `recover` or `clear_leftovers` put that right.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import io
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from sr4.files.owners import take

_MARK, _NEW, _OLD = "writing", "new", "old"
_WORKSHOP = re.compile(r"\.[0-9a-f]{16}\.sr4")
# What earlier versions have left, when they were killed, inside of runs and ablations.
_OF_OLD = re.compile(
    r"\.([0-9]{12}|[0-9a-f]{16}|model\.safetensors|config\.json|results\.json)\.(tmp|old)"
)
_PATIENCE = 10.0  # seconds to wait for another process that writes the same name
_PAUSE = 0.002  # seconds between looking whether it has finished
_HERE = -100  # AT_FDCWD of Linux: relative names are those of the working directory
_NO_REPLACE, _EXCHANGE = 1, 2  # RENAME_NOREPLACE, RENAME_EXCHANGE of Linux
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)


def write_whole(
    path: Path, write: Callable[[BinaryIO], object], *, overwrite: bool = False
) -> None:
    """Make a file of what `write` puts out, so that `path` holds either all of it or what was there
    before, whenever the process is killed. Its bytes are on the disk before it has its name.

    Args:
        write: gets an empty file that can be read, written and searched. It has no descriptor:
            encoders that write to one by themselves do not all look at how much was written.
        overwrite: replace a file that exists.

    Raises:
        FileExistsError: `path` exists, and `overwrite` is false.
        OSError: the folder is missing or read-only, the disk is full, or another process has been
            writing this file for more than ten seconds.
    """
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    if not overwrite and _write_nameless(path, write):
        return
    with _workshop(path) as place:
        new = place / _NEW
        with _Undescribed(io.FileIO(new, "xb+")) as file:
            _fill(file, write)
        if overwrite:
            os.replace(new, path)
        else:
            _name(new, path)


def write_text(path: Path, text: str) -> None:
    """Write or replace a UTF-8 file, whole or not at all; lines end as in `text`.

    Raises:
        OSError: as `write_whole`.
    """
    write_whole(path, lambda file: file.write(text.encode("utf-8")), overwrite=True)


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """A new, empty folder to be filled, which takes the place of `path` in one step when the
    context ends well. What was there goes after that; it is the caller's to know that it may.

    Raises:
        OSError: a folder cannot be made there, the disk is full, or another process has been
            writing this folder for more than ten seconds.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with _workshop(path) as place:
        new = place / _NEW
        new.mkdir()
        yield new
        _sync_all(new)
        if not os.path.lexists(path):
            os.rename(new, path)
        elif not _rename(new, path, _EXCHANGE):
            (place / _OLD).mkdir()
            os.rename(path, place / _OLD / path.name)
            os.rename(new, path)
        _sync(path.parent)


@contextmanager
def kept(paths: Iterable[Path]) -> Iterator[Mapping[Path, Path]]:
    """Where the files among some paths of a folder are to be had to the end of the context, however
    they are replaced meanwhile: for writing several files or, by moving these back, none.
    """
    there = [path for path in paths if path.is_file()]
    if not there:
        yield {}
        return
    with _workshop(there[-1].with_name(f"{there[-1].name} and others")) as place:
        (place / _OLD).mkdir()
        found = {path: place / _OLD / path.name for path in there}
        for path, copy in found.items():
            if not _link(path, copy):
                shutil.copy2(path, copy)
        yield found


def remove_folder(path: Path) -> None:
    """Remove a folder so that, whenever the process is killed, all or nothing of it has its name.

    Raises:
        OSError: it is missing, or the folder around it cannot be written.
    """
    with _workshop(path) as place:
        os.rename(path, place / _NEW)


def recover(path: Path) -> None:
    """Put right what a killed process has left of a write of this file or folder; what a living one
    is doing is left alone.

    Raises:
        OSError: it cannot be removed.
    """
    place = _workshop_of(path)
    if is_leftover(place):
        with suppress(BlockingIOError), _workshop(path, patience=0):
            pass


def clear_leftovers(folder: Path) -> None:
    """Put right what killed processes have left, at any depth of a folder that sr4 made."""
    for root, names, files in os.walk(folder):
        for name in [*names, *files]:
            path = Path(root, name)
            if is_leftover(path):
                with suppress(OSError):  # it stays: it does no harm
                    _close(path, _open(path, patience=0))
            elif _OF_OLD.fullmatch(name):
                with suppress(OSError):
                    _remove(path)
        names[:] = [name for name in names if not _WORKSHOP.fullmatch(name)]


def is_leftover(path: Path) -> bool:
    """Whether a path is a folder that this module has made beside another: by name and content."""
    if not _WORKSHOP.fullmatch(path.name):
        return False
    try:
        return _is_ours(path)
    except FileNotFoundError:
        return False


def _is_ours(path: Path) -> bool:
    """The same of a path of such a name.

    Raises:
        FileNotFoundError: nothing has it, any more.
    """
    if path.is_symlink():
        return False
    try:
        found = set(os.listdir(path))
    except NotADirectoryError:
        return False
    inner = {name for name in found if _WORKSHOP.fullmatch(name)}
    return not found or (_MARK in found and found <= {_MARK, _NEW, _OLD} | inner)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class _Undescribed(io.BufferedRandom):
    """A file that hands its descriptor to nobody, so that every byte comes by `write`, which stores
    all of them or raises.
    """

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


def _workshop_of(path: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()
    return path.parent / f".{digest[:16]}.sr4"  # also of names too long to be made longer


@contextmanager
def _workshop(path: Path, patience: float = _PATIENCE) -> Iterator[Path]:
    """The hidden folder beside a path, with the mark alone in it, to the end of the context."""
    place = _workshop_of(path)
    lock = _open(place, patience)
    try:
        _clear(place)
        yield place
    finally:
        with suppress(OSError):  # what stays is put right by the next write
            _close(place, lock)


def _open(place: Path, patience: float) -> int:
    """Make or take over a hidden folder, and lock its mark.

    Raises:
        BlockingIOError: another process holds the lock.
    """
    end = time.monotonic() + patience
    while True:
        lock = _enter(place)
        if lock is not None and take(lock, place / _MARK):
            return lock
        if lock is not None:
            os.close(lock)
        if time.monotonic() > end:
            raise BlockingIOError(errno.EAGAIN, "another process is writing it")
        time.sleep(_PAUSE)


def _enter(place: Path) -> int | None:
    """The mark of a hidden folder, both made if missing; None if whoever wrote there has removed
    them meanwhile.
    """
    try:
        os.mkdir(place)
    except FileExistsError:
        try:
            is_ours = _is_ours(place)
        except FileNotFoundError:  # it may be there again by now
            return None
        if not is_ours:
            raise OSError(
                errno.ENOTEMPTY, f"{place.name!r}, which sr4 did not make, is in the way"
            ) from None
    try:
        return os.open(place / _MARK, os.O_RDWR | os.O_CREAT, 0o666)
    except FileNotFoundError:
        return None
    except OSError:
        with suppress(OSError):  # it is not empty: another process is there
            os.rmdir(place)
        raise


def _close(place: Path, lock: int) -> None:
    """Clear and remove a hidden folder."""
    try:
        _clear(place)
    except OSError:
        os.close(lock)
        raise
    if sys.platform == "win32":  # where nothing that is open can be removed
        os.close(lock)
        os.unlink(place / _MARK)
    else:
        os.unlink(place / _MARK)
        os.close(lock)
    os.rmdir(place)


def _clear(place: Path) -> None:
    """Remove all but the mark; what was moved aside goes back if nothing has its name."""
    new, old = place / _NEW, place / _OLD
    for path in place.iterdir():
        if _WORKSHOP.fullmatch(path.name):  # beside what was being made
            _remove(path)
    _remove(new)
    if not old.is_dir():
        return
    for path in list(old.iterdir()):
        if os.path.lexists(place.with_name(path.name)):
            os.rename(path, new)  # first: half of it must not go back after a kill
            _remove(new)
        else:
            os.rename(path, place.with_name(path.name))
    old.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _fill(file: _Undescribed, write: Callable[[BinaryIO], object]) -> None:
    write(file)
    file.flush()
    os.fsync(file.raw.fileno())


def _write_nameless(path: Path, write: Callable[[BinaryIO], object]) -> bool:
    """Whether a new file could be made that had no name before all of it was on the disk, which is
    faster, and of which a kill leaves nothing.
    """
    try:
        handle = os.open(path.parent, os.O_TMPFILE | os.O_RDWR, 0o666)
    except (AttributeError, OSError):  # not Linux, or not on this file system
        return False
    link = f"/proc/self/fd/{handle}"
    try:
        try:
            file = _Undescribed(io.FileIO(link, "rb+"))  # by a path: some encoders want a name
        except OSError:  # no /proc
            return False
        with file:
            _fill(file, write)
        # With a folder given, which an absolute path does not need, Python follows that link.
        return _link(link, path, src_dir_fd=handle)
    finally:
        os.close(handle)


def _name(new: Path, path: Path) -> None:
    """Give a file a name that is free.

    Raises:
        FileExistsError: it is not.
    """
    if _link(new, path) or _rename(new, path, _NO_REPLACE):
        return
    if sys.platform != "win32" and os.path.lexists(path):  # there, renaming never replaces
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    os.rename(new, path)


def _link(one: str | Path, other: Path, src_dir_fd: int | None = None) -> bool:
    """Whether a file could be given a further name, which is free; an error says that it is not."""
    try:
        os.link(one, other, src_dir_fd=src_dir_fd)
    except FileExistsError:
        raise
    except OSError:  # no links on this file system
        return False
    return True


def _rename(one: Path, other: Path, flag: int) -> bool:
    """Linux's renameat2, which Python has no function for; false where there is none."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    if call(_HERE, os.fsencode(one), _HERE, os.fsencode(other), flag) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(other))


def _sync_all(folder: Path) -> None:
    """Have the system put a folder and all that is in it on the disk."""
    for root, _, files in os.walk(folder, topdown=False):
        for name in files:
            if (path := Path(root, name)).is_file() and not path.is_symlink():
                _sync(path)
        _sync(Path(root))


def _sync(path: Path) -> None:
    """Have the system put a file, or a folder's list of names, on the disk."""
    if os.name == "nt" and path.is_dir():  # has no handles of folders
        return
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:  # folders of some network file systems
            raise
    finally:
        os.close(handle)
