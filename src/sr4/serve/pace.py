"""How long a queue takes, for those who are asked to come again."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_WEIGHT = 0.2  # of the latest group in the mean
_LONGEST = 60  # seconds that are told


class QueuePace:
    """Measures the seconds that a picture takes.

    Args:
        workers: that draw at the same time.
    """

    def __init__(self, workers: int) -> None:
        self._workers, self._lock = workers, threading.Lock()
        self._seconds: float | None = None  # a picture

    @contextmanager
    def measured(self, pictures: int) -> Iterator[None]:
        """Count what is done inside as the work of that many pictures."""
        began = time.monotonic()
        yield
        each = (time.monotonic() - began) / pictures
        with self._lock:
            before = each if self._seconds is None else self._seconds
            self._seconds = before + _WEIGHT * (each - before)

    def seconds_until_free(self, waiting: int) -> int:
        """Whole seconds, at least 1, until half of those that wait are drawn."""
        each = self._seconds or 0.0
        return max(1, min(_LONGEST, math.ceil(each * waiting / (2 * self._workers))))
