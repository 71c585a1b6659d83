"""Rows of a picture that comes in bands, as long as they are needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class RowWindow:
    """The rows of a stream of bands (C, rows, W) that are still needed.

    Args:
        start: the first row of the first band.
    """

    def __init__(self, bands: Iterator[Floats], start: int = 0) -> None:
        self._bands = bands
        self._held: deque[Floats] = deque()
        self._start = self._stop = start

    def rows(self, start: int, stop: int) -> Floats:
        """The rows from `start` to `stop`, (C, stop - start, W), with as many further bands as that
        takes.
        """
        while self._stop < stop:
            band = next(self._bands)
            self._held.append(band)
            self._stop += band.shape[1]
        found, top = [], self._start
        for band in self._held:
            part = band[:, max(0, start - top) : max(0, stop - top)]
            top += band.shape[1]
            if part.shape[1]:
                found.append(part)
        return found[0] if len(found) == 1 else np.concatenate(found, axis=1)

    def forget(self, before: int) -> None:
        """Rows above will not be asked for again."""
        while self._held and self._start + self._held[0].shape[1] <= before:
            self._start += self._held.popleft().shape[1]
