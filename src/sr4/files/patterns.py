"""Paths by shell pattern."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Iterator

_MAGIC = "*?["
_ANY_DEPTH = "**"


def is_pattern(text: str) -> bool:
    """Whether a text holds a sign that stands for others."""
    return any(sign in text for sign in _MAGIC)


def matching(pattern: str) -> list[str]:
    """The existing paths that a pattern names, sorted: `*`, `?` and `[...]` within a name, `**` for
    folders at any depth. Hidden files and folders have to be named by their dot.

    As Python's `glob`, but `**` enters each real folder once: of links to folders that hold them,
    two would stand for more paths than can be counted.
    """
    drive, path = os.path.splitdrive(pattern)
    names = path.replace(os.altsep or os.sep, os.sep).split(os.sep)
    places = [drive]
    if not names[0]:
        places, names = [drive + os.sep], names[1:]
    while names:
        name, *names = names
        if name == _ANY_DEPTH:
            entered: set[tuple[int, int]] = set()
            places = [one for place in places for one in _folders(place, entered)]
            if not names:
                names = ["*"]
        elif is_pattern(name):
            places = [one for place in places for one in _inside(place, name)]
        else:
            places = [one for one in _joined(places, name) if os.path.lexists(one)]
    return sorted(dict.fromkeys(places))


def _joined(places: Iterable[str], name: str) -> Iterator[str]:
    return (os.path.join(place, name) for place in places)


def _inside(place: str, pattern: str) -> list[str]:
    names = fnmatch.filter(_names(place), pattern)
    if not pattern.startswith("."):
        names = [name for name in names if not name.startswith(".")]
    return [os.path.join(place, name) for name in names]


def _names(place: str) -> list[str]:
    try:
        return sorted(os.listdir(place or os.curdir))
    except OSError:  # a file, or a folder that may not be listed
        return []


def _folders(place: str, entered: set[tuple[int, int]]) -> Iterator[str]:
    """A folder and all below it, without those entered before; links are followed."""
    waiting = [place]
    while waiting:
        folder = waiting.pop()
        try:
            status = os.stat(folder or os.curdir)
        except OSError:
            continue
        if (status.st_dev, status.st_ino) in entered:
            continue
        entered.add((status.st_dev, status.st_ino))
        yield folder
        below = (one for one in _inside(folder, "*") if os.path.isdir(one))
        waiting += sorted(below, reverse=True)
