"""Paths that users name: what is said of one that does not exist, or cannot be written."""

from __future__ import annotations

import difflib
import os
import re
import sys
from pathlib import Path

from sr4.errors import PictureError, UsageError, reason, shorten

_MANY_SIBLINGS = 5000  # beyond this, looking for a similar name would take longer than it helps
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+:)/+([^/].*)", re.DOTALL)  # a drive has one letter

_SECRET = re.compile(r"(://)(?:[^/?#]*@)?([^?#]*).*", re.DOTALL)


def plain(name: str) -> str:
    """A name as UTF-8 can hold it; those of files need not be such text."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def is_address(text: str) -> bool:
    """Whether a name is an address on a network (a URL), and no file that is there."""
    return _ADDRESS.fullmatch(text) is not None and not os.path.lexists(text)


def whole_address(address: str) -> str:
    """An address with both slashes after its colon, of which a `Path` keeps one."""
    return _ADDRESS.sub(r"\1//\2", address)


def shown_address(address: str) -> str:
    """An address as messages and files name it: without what may be secret in it, a user's name,
    a password, or a query with a signature.
    """
    return _SECRET.sub(r"\1\2", whole_address(address))


def refuse_address(path: Path) -> None:
    """Refuse an output that is an address on a network: it would become a folder named `https:`.

    Raises:
        UsageError: it is one.
    """
    if is_address(str(path)):
        shown = shown_address(str(path))
        raise UsageError(
            f"got the output {shown!r}; expected a place on this computer, since nothing is sent "
            "over the network: write it here and copy it there"
        )


def refuse_unreachable(path: Path) -> None:
    """Refuse an output that the system does not even look for, such as a name that is too long.

    Raises:
        UsageError: says why.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise UsageError(
            f"got the output {shorten(str(path))!r}, which cannot be looked for ({reason(error)}); "
            "expected a place that can be written: choose another"
        ) from error


def longest_name(folder: Path) -> int:
    """How many bytes a name in an existing folder may have, as far as the system tells."""
    try:
        most = os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # AttributeError: on Windows
        return sys.maxsize
    return most if most > 0 else sys.maxsize


def refuse_long_name(path: Path, most: int) -> None:
    """Refuse an output whose name has more than so many bytes.

    Raises:
        PictureError: it has.
    """
    size = len(os.fsencode(path.name))
    if size > most:
        raise PictureError(
            f"the output {shorten(path.name)!r} would have a name of {size} bytes; expected at "
            f"most {most}: choose a shorter one"
        )


def missing_path(path: Path) -> str:
    """The line for a path that does not exist, with the nearest name that does, or where it leads
    to.
    """
    if is_address(str(path)):
        shown = shown_address(str(path))
        return f"{shown!r} is an address, and nothing is fetched from the network: save it first"
    if os.path.islink(path):  # unlike pathlib's, never raises
        return f"{str(path)!r} is a link to {os.readlink(path)!r}, which does not exist"
    absent = path
    while absent != absent.parent and not os.path.exists(absent.parent):
        absent = absent.parent
    try:
        siblings = os.listdir(absent.parent)
    except OSError:  # a folder that may not be listed offers no hint
        siblings = []
    few = siblings if len(siblings) <= _MANY_SIBLINGS else []
    close = difflib.get_close_matches(absent.name, few, n=1, cutoff=0.6)
    hint = f": did you mean {str(absent.with_name(close[0]))!r}?" if close else ""
    where = f" (there is no {str(absent)!r})" if absent != path else ""
    return f"{str(path)!r} does not exist{where}{hint}"
