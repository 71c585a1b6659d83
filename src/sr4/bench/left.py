"""How long the rows of a benchmark that are left will take."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from sr4.bench.row import Job


class TimeLeft:
    """Tells the time that is left by the rows that were measured: of the same model and steps on
    another runtime, else of the same model, else of all of them the median.

    Args:
        jobs: all rows, in their order.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = tuple(jobs)
        self._measured: list[tuple[Job, float]] = []

    def add(self, job: Job, seconds: float) -> None:
        """A row was measured in that time."""
        self._measured.append((job, seconds))

    def after(self, done: int, elapsed: float = 0.0) -> float | None:
        """Seconds of the rows after the first ones, the next of which has taken some already; None
        where that is not known: before any was measured, or where that one takes longer than it
        should have.
        """
        if not self._measured:
            return None
        expected = [self._expected(job) for job in self._jobs[done:]]
        return None if elapsed > sum(expected[:1]) else sum(expected) - elapsed

    def _expected(self, job: Job) -> float:
        found = [(one, seconds) for one, seconds in self._measured if one.model == job.model]
        alike = [seconds for one, seconds in found if one.steps == job.steps]
        several = alike or [seconds for _, seconds in found]
        return several[-1] if several else statistics.median(s for _, s in self._measured)
