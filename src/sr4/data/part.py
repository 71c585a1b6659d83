"""A part of a batch: the pictures that one process takes at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Part:
    """Some of the pictures of a batch, by their places in it.

    What is random about a batch is drawn for all of it, and `take` gives the rows of a part. So
    each picture meets the same noise, however many processes share the batch.

    Attributes:
        rows: the places, from 0.
        of: pictures in the whole batch.
    """

    rows: range
    of: int

    def take(self, drawn: Any) -> Any:
        """The rows of an array or tensor that has one for each picture of the whole batch."""
        return drawn[slice(self.rows.start, self.rows.stop, self.rows.step)]

    def share(self, index: int, count: int) -> Part:
        """What is left to one of some processes: every picture whose place leaves this remainder,
        so that each process has some of the first and of the last ones.
        """
        return Part(self.rows[index::count], self.of)

    def after(self, first: int) -> Part:
        """What there is of it beyond so many first pictures of the batch, as a part of those."""
        rows = self.rows[sum(row < first for row in self.rows) :]
        return Part(range(rows.start - first, rows.stop - first, rows.step), self.of - first)

    def pieces(self, most: int | None) -> list[slice]:
        """Slices of the part, of at most so many pictures each; all of it if None."""
        step = most or len(self.rows)
        return [slice(start, start + step) for start in range(0, len(self.rows), step)]
