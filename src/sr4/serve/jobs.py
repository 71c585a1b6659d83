"""Jobs: pictures whose results are fetched later, and kept for a stated time."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sr4.serve.problems import Problem

if TYPE_CHECKING:
    from sr4.batch.events import Done
    from sr4.serve.tickets import Ticket

_LOOK = 0.1  # seconds between looks at what has changed
_SWEEP = 1.0  # seconds between sweeps
_SOON = 5  # seconds until it is worth asking again, while jobs are drawn
_ALIVE = 15.0  # seconds after which connections that are silent are told that they are not dead


@dataclass(eq=False)
class Job:
    """A ticket with an address.

    Attributes:
        ticket: the picture; release: called once nothing is kept of a result, since there is none,
            or it is forgotten; perhaps again.
        name: the last part of its address, which nobody can guess.
        ended: when it was settled; None before.
        is_fetched: whether its result was.
    """

    ticket: Ticket
    release: Callable[[], None]
    name: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    ended: float | None = None
    is_fetched: bool = False

    def __post_init__(self) -> None:
        def settled(result: Future[Done]) -> None:
            self.ended = time.monotonic()
            if result.cancelled() or result.exception() is not None:
                self.release()

        self.ticket.result.add_done_callback(settled)

    @property
    def has_no_result(self) -> bool:
        """Whether there never will be one."""
        return self.ticket.state in ("failed", "cancelled")


class Jobs:
    """The jobs of a service.

    Args:
        most: that are drawn or kept at a time; kept_seconds: that results are.
    """

    def __init__(self, most: int, kept_seconds: float) -> None:
        self._most, self.kept_seconds = most, kept_seconds
        self._jobs: dict[str, Job] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def are_fetched(self) -> bool:
        """Whether nobody waits for a result any more."""
        return all(one.is_fetched or one.has_no_result for one in self._jobs.values())

    def check_room(self) -> None:
        """Refuse what would be one job too many. The oldest of those that failed makes room, for
        what is said of it is the least that is kept.

        Raises:
            Problem: says so.
        """
        if len(self._jobs) < self._most:
            return
        failed = next((one for one in self._jobs.values() if one.has_no_result), None)
        if failed is None:
            raise Problem(
                429,
                f"{self._most} jobs are drawn or kept already; expected fewer at a time: delete "
                "those whose results were fetched, or ask again later",
                retry_after=self.seconds_until_room(),
            )
        self.close(failed)

    def seconds_until_room(self) -> int:
        """Whole seconds, at least 1, until the next result is forgotten; some while jobs are still
        drawn, which may fail, or be deleted once they are fetched.
        """
        ended = [one.ended for one in self._jobs.values() if not one.has_no_result]
        kept = [when for when in ended if when is not None]
        if not kept or len(kept) < len(ended):
            return _SOON
        return max(1, math.ceil(min(kept) + self.kept_seconds - time.monotonic()))

    def open(self, ticket: Ticket, release: Callable[[], None]) -> Job:
        """A job for a ticket.

        Args:
            release: as for `Job`.
        """
        job = Job(ticket, release)
        self._jobs[job.name] = job
        return job

    def find(self, name: str) -> Job:
        """The job of that name.

        Raises:
            Problem: there is none, or no longer.
        """
        self.sweep()
        try:
            return self._jobs[name]
        except KeyError:
            raise Problem(
                404,
                f"there is no such job; expected one of the last {self.kept_seconds:g} s: results "
                "are not kept longer, and jobs that failed make room for new ones",
            ) from None

    def close(self, job: Job) -> None:
        """Cancel a job, and forget it and its result."""
        job.ticket.cancel()
        if self._jobs.pop(job.name, None) is not None:
            job.release()

    def sweep(self) -> None:
        """Forget jobs whose time is over."""
        now = time.monotonic()
        for job in tuple(self._jobs.values()):
            if job.ended is not None and now - job.ended > self.kept_seconds:
                self.close(job)

    async def keep_swept(self) -> None:
        """Sweep until this is cancelled: else what nobody asks for would stay in memory."""
        while True:
            await asyncio.sleep(_SWEEP)
            self.sweep()


async def changes(ticket: Ticket) -> AsyncIterator[bool]:
    """True whenever state, share or preview of a ticket have changed, until it is settled; False
    where nothing has for a while.
    """
    before: object = None
    silent = 0.0
    while True:
        is_settled = ticket.result.done()
        now = ticket.state, round(ticket.share, 3), ticket.previews
        if now != before or silent >= _ALIVE:
            yield now != before
            before, silent = now, 0.0
        if is_settled:
            return
        await asyncio.sleep(_LOOK)
        silent += _LOOK
