"""Long work in pieces, kept in a hidden file beside the file that is to come of it, so that a call
that was stopped goes on where it was:

    sr4 unfinished 1         the mark, by which the file is known as ours
    {"key": …}               what the pieces are of: one line of JSON
    piece, checksum          the pieces that are finished, one after the other
    …

The disk is waited for with the first two lines only: what a kill or a loss of power has left of a
piece has a checksum that does not fit, and counts as never written.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from sr4.errors import reason
from sr4.files.owners import is_mine, take

# The bytes of a piece: arrays that own them one after the other, each written and read as it is.
Piece = Sequence[memoryview]

_MARK = b"sr4 unfinished 1\n"
_DIGEST = 16  # bytes of a checksum
_WORTH = 15.0  # seconds of work that are done again rather than kept
_SHARE = 0.02  # of the time, which keeping may take
_OPEN = (
    os.O_RDWR
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a pipe would wait for its other end
    | getattr(os, "O_BINARY", 0)
)


class UnfinishedFile:
    """The finished pieces of the work on one file. Where they cannot be kept, a line says why, and
    the work goes on without.

    Args:
        output: the file that is to come of the work.
        key: what decides the pieces, as JSON has it: of another one, nothing is taken up.
        goes_on: called with the share of the work that need not be done again.
        tell: called with that line.
    """

    def __init__(
        self,
        output: Path,
        key: Mapping[str, Any],
        *,
        goes_on: Callable[[float], object],
        tell: Callable[[str], object],
    ) -> None:
        self.path = unfinished_path(output)
        self._key, self._goes_on, self._tell = _line(key), goes_on, tell
        self._handle: int | None = None
        self._header = b""
        self._pieces: Sequence[Piece] = ()
        self._finished = self._kept = 0  # pieces
        self._is_off = False
        self._began, self._spent = monotonic(), 0.0

    def open(self) -> Mapping[str, Any]:
        """What was chosen for the work that the file holds; nothing where there is none to go on
        with. From here on, no other process takes the file.
        """
        if self._handle is not None or self._is_off:
            return {}
        try:
            self._handle = _open_ours(self.path)
        except FileNotFoundError:
            return {}
        except OSError as error:
            self._give_up(error)
            return {}
        found = _read_header(self._handle)
        chosen = found.get("chosen")
        is_same = _line(found.get("key")) == self._key
        return chosen if is_same and isinstance(chosen, dict) else {}

    def restore(self, chosen: Mapping[str, Any], pieces: Sequence[Piece]) -> int:
        """Begin the work, or go on with it.

        Args:
            chosen: for the work, beside its key.
            pieces: where each is made; those that the file holds are filled.

        Returns:
            How many they are.
        """
        line = f'{{"chosen": {_line(chosen)}, "key": {self._key}}}\n'
        self._header, self._pieces = _MARK + line.encode(), pieces
        self._finished = self._kept = self._read()
        self._began, self._spent = monotonic(), 0.0
        return self._kept

    def go_on(self, is_same: bool) -> int:
        """Go on with the work, or begin it again.

        Args:
            is_same: whether the last of the pieces that were filled was made again, and was the
                same; on another processor, or with another version of a library, it may not be.

        Returns:
            The number of pieces that are finished.
        """
        if is_same:
            sizes = list(map(_size, self._pieces))
            self._goes_on(sum(sizes[: self._kept]) / sum(sizes))
        else:
            self._finished = self._kept = 0
        return self._kept

    def finish(self, count: int) -> None:
        """Keep the first pieces, so many, that are finished, as soon as that is worth its time."""
        self._finished = count
        past = monotonic() - self._began
        if (self._kept or past > _WORTH) and self._spent <= _SHARE * past:
            self._keep()

    def settle(self) -> None:
        """Keep no more of what is finished: it is about to change."""
        self._finished = self._kept

    def close(self) -> None:
        """Stop, with all that is finished kept for another call."""
        if self._kept or monotonic() - self._began > _WORTH:
            self._keep()
        self._is_off, self._pieces = True, ()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def remove(self) -> bool:
        """End the work: whether there was a file, which is gone. Another's stays."""
        self._is_off, self._pieces = True, ()
        if self._handle is None:
            return discard(self.path)
        _unlink(self.path, self._handle)
        self._handle = None
        return True

    def _read(self) -> int:
        """The number of pieces of the file that are those of this work, and whole."""
        if self._handle is None:
            return 0
        try:
            os.lseek(self._handle, 0, os.SEEK_SET)
            with open(self._handle, "rb", closefd=False) as file:
                if file.read(len(self._header)) != self._header:
                    return 0
                for number, piece in enumerate(self._pieces):
                    whole = all(file.readinto(part) == part.nbytes for part in piece)
                    if not whole or file.read(_DIGEST) != self._checksum(number):
                        return number
        except OSError as error:
            self._give_up(error)
            return 0
        return len(self._pieces)

    def _keep(self) -> None:
        """Write what is finished and not kept yet."""
        if self._is_off or self._finished == self._kept:
            return
        began = monotonic()
        try:
            if self._handle is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._handle = _make(self.path)
            if self._kept == 0:
                os.ftruncate(self._handle, 0)
                os.lseek(self._handle, 0, os.SEEK_SET)
                _write(self._handle, memoryview(self._header))
                os.fsync(self._handle)  # so that not even the loss of power takes the mark
            before = self._pieces[: self._kept]
            place = len(self._header) + sum(_size(one) + _DIGEST for one in before)
            os.lseek(self._handle, place, os.SEEK_SET)
            for number in range(self._kept, self._finished):
                for part in self._pieces[number]:
                    _write(self._handle, part)
                _write(self._handle, memoryview(self._checksum(number)))
                self._kept = number + 1
        except OSError as error:
            self._give_up(error)
        self._spent += monotonic() - began

    def _checksum(self, number: int) -> bytes:
        """Of a piece in its place in this work."""
        digest = hashlib.blake2b(self._header, digest_size=_DIGEST)
        digest.update(number.to_bytes(8, "little"))
        for part in self._pieces[number]:
            digest.update(part)
        return digest.digest()

    def _give_up(self, error: OSError) -> None:
        self._is_off = True
        if self._handle is not None:  # ours, and of no use half written on a disk that is full
            with suppress(OSError):
                _unlink(self.path, self._handle)
            self._handle = None
        self._tell(
            f"{str(self.path)!r} cannot be used ({reason(error)}); if this call is stopped, "
            "another one begins again"
        )


def unfinished_path(output: Path) -> Path:
    """The hidden file that keeps the work on a file while it is not finished."""
    return output.with_name(f".{output.name}.sr4-unfinished")


def discard(path: Path) -> bool:
    """Remove such a file if nobody works on it; whether it is gone. What is not ours stays."""
    try:
        handle = _open_ours(path)
        _unlink(path, handle)
    except OSError:
        return False
    return True


def _open_ours(path: Path) -> int:
    """A file of ours, open and locked.

    Raises:
        FileNotFoundError: there is none.
        OSError: it is not ours, in use, or cannot be read and written.
    """
    foreign = OSError(errno.EEXIST, "sr4 did not make it")
    if path.is_symlink():
        raise foreign
    try:
        handle = os.open(path, _OPEN)
    except IsADirectoryError:
        raise foreign from None
    try:
        status = os.fstat(handle)
        is_ours = stat.S_ISREG(status.st_mode) and is_mine(status)
        # A kill may have come while the mark was written.
        if not is_ours or not _MARK.startswith(os.read(handle, len(_MARK))):
            raise foreign
        if not take(handle, path):
            raise OSError(errno.EAGAIN, "another process is using it")
    except OSError:
        os.close(handle)
        raise
    return handle


def _make(path: Path) -> int:
    handle = os.open(path, _OPEN | os.O_CREAT | os.O_EXCL, 0o666)
    if not take(handle, path):
        os.close(handle)
        raise OSError(errno.EAGAIN, "another process is using it")
    return handle


def _read_header(handle: int) -> Mapping[str, Any]:
    os.lseek(handle, 0, os.SEEK_SET)
    try:
        with open(handle, "rb", closefd=False) as file:
            mark, line = file.readline(len(_MARK)), file.readline(2**20)
        found = json.loads(line) if mark == _MARK else None
    except (OSError, ValueError, RecursionError):  # cut
        return {}
    return found if isinstance(found, dict) else {}


def _size(piece: Piece) -> int:
    return sum(part.nbytes for part in piece)


def _line(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _write(handle: int, part: memoryview) -> None:
    """All of it: a disk that becomes full takes a part, and refuses the next."""
    while part:
        part = part[os.write(handle, part) :]


def _unlink(path: Path, handle: int) -> None:
    """Remove an open file and close it."""
    if sys.platform == "win32":  # where nothing that is open can be removed
        os.close(handle)
        path.unlink(missing_ok=True)
        return
    try:
        path.unlink(missing_ok=True)
    finally:
        os.close(handle)
