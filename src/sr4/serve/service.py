"""A service: its models, limits, queue and jobs, from start to stop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sr4.serve.core import STOPPING, Core
from sr4.serve.jobs import Job, Jobs
from sr4.serve.limits import Budget, Limits, Share
from sr4.serve.metrics import Metrics
from sr4.serve.models import Models
from sr4.serve.pages import Pages
from sr4.serve.painter import LocalPainter, Painter
from sr4.serve.problems import Problem

if TYPE_CHECKING:
    from sr4.serve.tickets import Ticket

_LOOK = 0.05  # seconds between looks whether the models are loaded


@dataclass(frozen=True)
class Settings:
    """How a service is started.

    Attributes:
        models: names or folders, as in `Models`; backend, device: as in `sr4.load`.
        workers: threads that draw, or wait for who does, at least 2; of them one is kept for small
            pictures.
        key: what requests have to know; None for nothing.
        names: by which requests may call the service; None for any.
        limits: of requests.
    """

    models: Sequence[str] = ()
    backend: str = "auto"
    device: str = "auto"
    workers: int = 2
    key: str | None = None
    names: Collection[str] | None = None
    limits: Limits = field(default_factory=Limits)


class Service:
    """Takes tickets until it is stopped.

    Args:
        settings: how it is started.
        painter: draws; by default this process.

    Raises:
        UsageError, ModelError: the models of the settings cannot be used.
    """

    def __init__(self, settings: Settings, painter: Painter | None = None) -> None:
        self.settings, self.limits = settings, settings.limits
        self.models = Models(settings.models)
        self.metrics, self.pages = Metrics(), Pages()
        self.painter = painter or LocalPainter(settings.backend, settings.device)
        self.bytes = Budget(self.limits.all_bytes, "bytes of pictures")
        self.pixels = Budget(
            self.limits.all_pixels, "pixels of results", self._seconds_until_pixels
        )
        self.jobs = Jobs(self.limits.jobs, self.limits.kept_seconds)
        self._core = Core(
            self.painter,
            workers=settings.workers,
            waiting=self.limits.waiting,
            metrics=self.metrics,
        )
        self._is_warm = threading.Event()
        self._warming = threading.Thread(target=self._warm, name="sr4-warm", daemon=True)
        self.error: Exception | None = None
        self._draining_since: float | None = None

    def start(self) -> None:
        """Begin to draw, and load the models meanwhile."""
        self._core.start()
        self._warming.start()

    def _warm(self) -> None:
        try:
            self.painter.warm(self.models, lambda: self._core.is_draining)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the server
            self.error = error
            return
        self._is_warm.set()

    def check_ready(self) -> None:
        """Refuse unless requests are taken at once.

        Raises:
            Problem: the models are not warm yet, or the service is stopping.
        """
        self.check_open()
        if not self._is_warm.is_set():
            raise Problem(
                503, "the models are being loaded; expected a service that is ready: ask again soon"
            )

    async def until_warm(self) -> None:
        """Return once the models are loaded: seconds after the start, in which whoever asks already
        waits here, and not in a thread that others need.

        Raises:
            Problem: they cannot be loaded, or the service is stopping.
        """
        while not self._is_warm.is_set():
            self.check_open()
            if self.error is not None:
                raise Problem(503, STOPPING)
            await asyncio.sleep(_LOOK)

    def check_open(self) -> None:
        """Refuse where nothing new is taken any more.

        Raises:
            Problem: the service is stopping.
        """
        if self._core.is_draining:
            raise Problem(503, STOPPING, retry_after=5)

    def submit(self, ticket: Ticket, held: Share, *, as_job: bool) -> Job | None:
        """Put a ticket into the queue, and take what it needs until it is settled, or, of a job
        with a result, until that is forgotten.

        Args:
            held: the bytes of its picture.
            as_job: whether its result is fetched later.

        Returns:
            The job.

        Raises:
            Problem: there is no room, or the service is stopping. Nothing is held then.
        """
        pixels = Share(self.pixels)
        self.jobs.sweep()  # else what nobody asks for any more would leave no room
        try:
            if as_job:
                self.jobs.check_room()
            pixels.take(ticket.pixels)
            self._core.submit(ticket)
        except BaseException:
            held.close()
            pixels.close()
            raise
        ticket.result.add_done_callback(lambda _: held.close())
        if as_job:
            return self.jobs.open(ticket, pixels.close)
        ticket.result.add_done_callback(lambda _: pixels.close())
        return None

    def _seconds_until_pixels(self) -> int:
        """Whole seconds until some may be given back: soon, while anything is drawn."""
        return self.jobs.seconds_until_room() if self._core.is_idle else 1

    def drain(self) -> None:
        """Take nothing new; what waits is drawn, and results of jobs can be fetched."""
        if self._draining_since is None:
            self._draining_since = time.monotonic()
            self._core.drain()

    @property
    def is_draining(self) -> bool:
        """Whether nothing new is taken."""
        return self._core.is_draining

    @property
    def is_drained(self) -> bool:
        """Whether nobody waits for anything any more, or has waited long enough."""
        if self._draining_since is None:
            return False
        waited = time.monotonic() - self._draining_since
        is_done = self._core.is_idle and self.jobs.are_fetched
        return is_done or waited > self.limits.grace_seconds

    def give_up(self) -> None:
        """Tell whoever waits still that the service stops."""
        self._core.give_up()

    def stop(self) -> None:
        """End it."""
        self._core.give_up()
        self._core.join()
        self._warming.join()
