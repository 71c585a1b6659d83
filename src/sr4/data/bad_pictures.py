"""The bad pictures of a source: each is named once, counted, and only so many are put up with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from sr4.data.sources import Source
from sr4.errors import DataError


class BadPictures:
    """A count of the pictures of a source that could not be read, which ends a run of too many.

    Args:
        source: where they are.
        share: of its pictures that may be bad, but at least one picture; 0 allows none.

    Attributes:
        found: what is wrong, by the picture's name.
    """

    def __init__(self, source: Source, share: float) -> None:
        self.found: dict[str, str] = {}
        self._source, self._share = source, share
        self._most = max(1, int(share * len(source) + 1e-9)) if share > 0 else 0

    def add(self, found: Mapping[str, str]) -> list[str]:
        """Take in more of them; returns what is wrong with those that are new.

        Raises:
            DataError: now there are too many.
        """
        new = [why for name, why in found.items() if name not in self.found]
        self.found.update(found)
        if found and len(self.found) > self._most:
            self.refuse()
        return new

    def refuse(self) -> NoReturn:
        """Raise the error that says how many there are, beginning with the last one."""
        *_, last = self.found.values()
        raise DataError(
            f"{last}; that makes {len(self.found)} bad of the {len(self._source)} pictures, "
            f"expected at most {self._most} (data.max_bad={self._share:g}): `sr4 data prepare` "
            "leaves them out, a higher data.max_bad allows more"
        )
