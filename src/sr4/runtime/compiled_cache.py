"""Compiled models, kept between processes.

What is read here is run as it is: so a cache is a folder of this user alone, and each entry is held
against the checksum that it was written with. Where there is no such folder, there is no cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from sr4.files.caches import is_private
from sr4.files.owners import is_mine
from sr4.files.whole import write_whole

_MOST_BYTES = 2**30  # of all entries: those used last stay; one of a shipped model has 20 to 50 MB
_SUFFIX = ".blob"
_DIGEST = hashlib.sha256().digest_size


class CompiledCache:
    """A folder of compiled models by key.

    Args:
        folder: made when the first model is kept; None keeps none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @property
    def keeps(self) -> bool:
        """Whether there is a folder, as far as that is known: without, neither a key nor what it
        stands for has to be made.
        """
        return self._folder is not None

    def read(self, key: str) -> bytes | None:
        """The model of that key, whole as it was written; None if there is none."""
        if self._folder is None or not is_private(self._folder):
            return None
        path = self._path(self._folder, key)
        try:
            with path.open("rb") as file:
                if not is_mine(os.fstat(file.fileno())):
                    return None
                checksum, data = file.read(_DIGEST), file.read()
        except OSError:
            return None
        if checksum != _checksum(key, data):
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # used last
        return data

    def write(self, key: str, data: bytes) -> None:
        """Keep a model, if that can be done."""
        if self._folder is None:
            return
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            if is_private(self._folder):
                whole = _checksum(key, data) + data
                write_whole(
                    self._path(self._folder, key), lambda file: file.write(whole), overwrite=True
                )
                self._prune(self._folder)
        except OSError:  # a full disk, a read-only folder: the work goes on without
            self._folder = None

    @staticmethod
    def _path(folder: Path, key: str) -> Path:
        return folder / (hashlib.sha256(key.encode()).hexdigest() + _SUFFIX)

    @staticmethod
    def _prune(folder: Path) -> None:
        """Remove those not used for longest, till the rest takes no more than it may."""
        entries = [(path, path.stat()) for path in folder.glob(f"*{_SUFFIX}")]
        total = 0
        for path, status in sorted(entries, key=lambda one: one[1].st_mtime_ns, reverse=True):
            total += status.st_size
            if total > _MOST_BYTES:
                path.unlink(missing_ok=True)


def _checksum(key: str, data: bytes) -> bytes:
    """Of an entry under its key, so that one cannot stand for another."""
    return hashlib.sha256(key.encode() + b"\0" + data).digest()
