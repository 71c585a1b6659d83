"""Kinds of folders that sr4 makes: each is known by a file of its own that nothing else writes, so
that no folder of others is ever replaced or filled.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sr4.errors import SR4Error, reason
from sr4.files.documents import parse_json, parse_yaml, read_bytes
from sr4.files.paths import refuse_address
from sr4.files.whole import is_leftover, recover, replaced_folder


@dataclass(frozen=True)
class FolderKind:
    """A kind of folders.

    Args:
        denial: what is said of a folder of another kind: "is no model folder".
        proof: whether a folder is of this kind, by what its own file holds.
        error: what refusals are raised as.
        first: names of what a folder holds before that file is written: an empty file or folder
            each.
    """

    denial: str
    proof: Callable[[Path], bool]
    error: type[SR4Error]
    first: tuple[str, ...] = ()

    def check_new(self, path: Path, *, overwrite: bool = False) -> None:
        """Refuse a place where no new folder may be written; worth asking before long work.

        Args:
            overwrite: a folder of this kind may be replaced.

        Raises:
            SR4Error: of the kind: there is something that may not be replaced, or looked at.
            UsageError: it is an address on a network.
        """
        refuse_address(path)
        try:
            recover(Path(os.path.realpath(path)))
            self._refuse(path, overwrite)
        except OSError as error:
            raise self._unusable(path, error) from error

    @contextmanager
    def new(self, path: Path, *, overwrite: bool = False) -> Iterator[Path]:
        """A new, empty folder to be filled; see `replaced_folder`.

        Raises:
            SR4Error: as `check_new`.
            OSError: as `replaced_folder`.
        """
        self.check_new(path, overwrite=overwrite)
        with replaced_folder(path) as folder:
            yield folder
            self._refuse(path, overwrite)  # others may have put something there meanwhile

    def check_lasting(self, path: Path) -> None:
        """Refuse a folder to go on with, or to begin, that holds files but is not of this kind.

        Raises:
            SR4Error: of the kind.
            UsageError: it is an address on a network.
        """
        refuse_address(path)
        if not os.path.isdir(path) or self.proof(path):  # what is no folder cannot become one
            return
        try:
            is_new = all(is_leftover(one) or self._comes_first(one) for one in path.iterdir())
        except OSError as error:
            raise self._unusable(path, error) from error
        if not is_new:
            raise self.error(
                f"{path}: {self.denial}; expected a new or empty folder: choose another --out"
            )

    def _refuse(self, path: Path, overwrite: bool) -> None:
        is_folder = os.path.isdir(path)
        if not os.path.lexists(path) or (is_folder and not any(path.iterdir())):
            return
        if not overwrite:
            raise self.error(
                f"{path}: exists already; expected a new folder, but this is "
                + ("not empty: choose another name or use --overwrite" if is_folder else "a file")
            )
        if not is_folder or not self.proof(path):
            raise self.error(
                f"{path}: {self.denial}; expected one to replace, or a new name: choose another"
            )

    def _unusable(self, path: Path, error: OSError) -> SR4Error:
        return self.error(
            f"{path}: cannot be looked at ({reason(error)}); expected a folder that may be read "
            "and written: choose another"
        )

    def _comes_first(self, path: Path) -> bool:
        if path.name not in self.first or path.is_symlink():
            return False
        return all(map(is_leftover, path.iterdir())) if path.is_dir() else not path.stat().st_size


def fields(path: Path) -> Mapping[str, Any]:
    """The object in a JSON or YAML file; an empty one if there is none."""
    parse = parse_json if path.suffix == ".json" else parse_yaml
    try:
        found = parse(read_bytes(path).decode("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def holds(name: str, *keys: str) -> Callable[[Path], bool]:
    """A proof: the file of that name holds an object with all of these keys."""
    return lambda folder: fields(folder / name).keys() >= {*keys}
