"""A source without some of its pictures."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from fnmatch import translate

import numpy as np
from numpy.typing import NDArray

from sr4.data.sources import Source
from sr4.errors import DataError


class ExcludingSource:
    """A source whose pictures of certain names are left out; the others keep their order.

    Args:
        source: the whole.
        patterns: shell patterns. One with a slash is compared with a picture's whole name in the
            source, another one with the name of its file; case matters.

    Raises:
        DataError: a pattern matches no picture, or nothing is left.
    """

    def __init__(self, source: Source, patterns: Sequence[str]) -> None:
        excluded: set[int] = set()
        for pattern in patterns:
            matching = _matching(source.names, pattern)
            if not matching:
                raise DataError(
                    f"the pattern {pattern!r} of data.exclude matches none of the {len(source):,} "
                    f"pictures of {source.location!r}; expected at least one: correct the pattern "
                    "or leave it away"
                )
            excluded.update(matching)
        self._source = source
        self._kept = [index for index in range(len(source)) if index not in excluded]
        if not self._kept:
            raise DataError(
                f"data.exclude leaves none of the {len(source):,} pictures of "
                f"{source.location!r}; expected some to train on: narrow its patterns"
            )
        self._names = [source.names[index] for index in self._kept]

    @property
    def location(self) -> str:
        """What messages call the source."""
        return self._source.location

    @property
    def names(self) -> Sequence[str]:
        """The names of the pictures that are left."""
        return self._names

    def __len__(self) -> int:
        return len(self._kept)

    def read(self, index: int) -> NDArray[np.uint8]:
        """Pixels (H, W, C) of one picture; errors as in `Source.read`."""
        return self._source.read(self._kept[index])


def _matching(names: Sequence[str], pattern: str) -> list[int]:
    matches = re.compile(translate(pattern)).match
    if "/" not in pattern:
        names = [posixpath.basename(name) for name in names]
    return [index for index, name in enumerate(names) if matches(name)]


def excluding(source: Source, patterns: Sequence[str]) -> Source:
    """The source itself, or where there are patterns an `ExcludingSource`."""
    return ExcludingSource(source, patterns) if patterns else source
